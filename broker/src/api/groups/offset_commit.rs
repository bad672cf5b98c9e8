//! OffsetCommit, versions 2–9: keep what a group has read.
//!
//! * By a member of the current generation, or by anybody (generation -1) while the group has no members.
//! * A topic or partition that does not exist is `UNKNOWN_TOPIC_OR_PARTITION`, for that partition only.
//! * A note longer than `offset.metadata.max.bytes` is `OFFSET_METADATA_TOO_LARGE`.
//! * A member's error is said of each of its partitions. An unknown group is `GROUP_ID_NOT_FOUND`; before
//!   version 9, `ILLEGAL_GENERATION`.
//!
//! Left out: `retention_time_ms` (versions 2–4): offsets stay until their group or topic is deleted. Kafka
//! keeps them for that long, or else for a week after the group became empty.

use std::sync::Arc;

use super::{by_partition::Results, code, string};
use crate::{
    api::Context,
    error_code::ErrorCode,
    group::{Committer, NewOffset},
    wire::messages::{
        OffsetCommitRequest, OffsetCommitResponse,
        offset_commit_request::OffsetCommitRequestPartition,
        offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic},
    },
};

pub(crate) fn answer(cx: &Context, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let asked = request.topics.into_iter().map(|topic| (topic.name, topic.partitions));
    let (mut results, existing) =
        Results::of_existing(cx, asked, |partition| partition.partition_index);
    // Kafka does not look at the group either if there is nothing to commit.
    if !existing.is_empty() {
        let count = existing.len();
        let committer = Committer {
            member_id: request.member_id.to_string(),
            instance_id: string(request.group_instance_id.as_ref()),
            generation: request.generation_id_or_member_epoch,
        };
        let offsets = existing.into_iter().map(new_offset).collect();
        results.fill(match cx.cluster.groups.commit(&request.group_id, &committer, offsets) {
            Ok(decided) => decided,
            Err(ErrorCode::GroupIdNotFound) if cx.version < 9 => {
                vec![Err(ErrorCode::IllegalGeneration); count]
            }
            Err(error) => vec![Err(error); count],
        });
    }
    let topics = results.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, result)| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(index)
                .with_error_code(code(result))
        });
        OffsetCommitResponseTopic::default().with_name(name).with_partitions(partitions.collect())
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

fn new_offset((topic, partition): (Arc<str>, OffsetCommitRequestPartition)) -> NewOffset {
    NewOffset {
        topic,
        partition: partition.partition_index,
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: string(partition.committed_metadata.as_ref()).unwrap_or_default(),
    }
}
