//! OffsetFetch, versions 1–9: what a group has committed.
//!
//! * For the partitions that the request names, or for all (null topics, from version 2 on).
//! * A partition without a committed offset gets offset -1 and no error. So does a partition of an unknown group or topic.
//! * From version 8 on, a request can name many groups (KIP-709).
//! * A group or a partition that is named twice is answered once.
//!
//! Left out: `require_stable` (KIP-447) changes nothing, because without transactions no offset is pending. Member id and
//! epoch (version 9) are for groups of KIP-848 only.

use std::collections::HashSet;

use super::text;
use crate::{
    api::Context,
    error_code::ErrorCode,
    group::{CommittedOffset, Group},
    time::Moment,
    wire::{
        StrBytes,
        messages::{
            OffsetFetchRequest, OffsetFetchResponse, TopicName,
            offset_fetch_request::OffsetFetchRequestGroup,
            offset_fetch_response::{
                OffsetFetchResponseGroup, OffsetFetchResponsePartition,
                OffsetFetchResponsePartitions, OffsetFetchResponseTopic, OffsetFetchResponseTopics,
            },
        },
    },
};

pub(crate) fn answer(cx: &Context, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let answer = OffsetFetchResponse::default();
    if cx.version >= 8 {
        let mut seen = HashSet::new();
        let groups = request.groups.into_iter();
        let once = groups.filter(|group| seen.insert(group.group_id.clone()));
        return answer.with_groups(once.map(|asked| group(cx, asked)).collect());
    }
    let asked = request.topics.map(|topics| {
        topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)).collect()
    });
    let topics = fetch(cx, &request.group_id, asked).into_iter().map(|(name, partitions)| {
        let partition = |(index, committed): (i32, CommittedOffset)| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(index)
                .with_committed_offset(committed.offset)
                .with_committed_leader_epoch(committed.leader_epoch)
                .with_metadata(Some(text(committed.metadata)))
        };
        OffsetFetchResponseTopic::default()
            .with_name(name)
            .with_partitions(partitions.into_iter().map(partition).collect())
    });
    answer.with_topics(topics.collect())
}

fn group(cx: &Context, request: OffsetFetchRequestGroup) -> OffsetFetchResponseGroup {
    let asked = request.topics.map(|topics| {
        topics.into_iter().map(|topic| (topic.name, topic.partition_indexes)).collect()
    });
    let topics = fetch(cx, &request.group_id, asked).into_iter().map(|(name, partitions)| {
        let partition = |(index, committed): (i32, CommittedOffset)| {
            OffsetFetchResponsePartitions::default()
                .with_partition_index(index)
                .with_committed_offset(committed.offset)
                .with_committed_leader_epoch(committed.leader_epoch)
                .with_metadata(Some(text(committed.metadata)))
        };
        OffsetFetchResponseTopics::default()
            .with_name(name)
            .with_partitions(partitions.into_iter().map(partition).collect())
    });
    OffsetFetchResponseGroup::default()
        .with_group_id(request.group_id)
        .with_topics(topics.collect())
        .with_error_code(ErrorCode::None.code())
}

/// Partitions by topic, with what is committed for them.
type Fetched = Vec<(TopicName, Vec<(i32, CommittedOffset)>)>;

/// What is committed for the partitions asked for, or (`None`) everything that is committed.
fn fetch(cx: &Context, group_id: &str, asked: Option<Vec<(TopicName, Vec<i32>)>>) -> Fetched {
    let Some(asked) = asked else {
        return cx.cluster.groups.read(group_id, everything).unwrap_or_default();
    };
    let look_up = |group: Option<&Group>| -> Fetched {
        let mut seen = HashSet::new();
        let of_topic = |(topic, partitions): &(TopicName, Vec<i32>)| {
            let committed = |index: i32| {
                let committed = group.and_then(|group| group.committed(topic, index));
                (index, committed.cloned().unwrap_or_else(nothing))
            };
            let once = partitions.iter().copied();
            let once = once.filter(|index| seen.insert((topic.clone(), *index)));
            (topic.clone(), once.map(committed).collect())
        };
        asked.iter().map(of_topic).collect()
    };
    let found = cx.cluster.groups.read(group_id, |group| look_up(Some(group)));
    found.unwrap_or_else(|| look_up(None))
}

fn everything(group: &Group) -> Fetched {
    let topics = group.all_committed().map(|(topic, partitions)| {
        let partitions = partitions.iter().map(|(index, committed)| (*index, committed.clone()));
        (TopicName(StrBytes::from_string(topic.to_owned())), partitions.collect())
    });
    topics.collect()
}

fn nothing() -> CommittedOffset {
    CommittedOffset {
        offset: -1,
        leader_epoch: -1,
        metadata: String::new(),
        commit_time: Moment::default(),
    }
}
