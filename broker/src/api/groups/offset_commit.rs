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

use super::{code, string};
use crate::{
    api::Context,
    error_code::ErrorCode,
    group::{Committer, NewOffset},
    wire::messages::{
        OffsetCommitRequest, OffsetCommitResponse,
        offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic},
    },
};

pub(crate) fn answer(cx: &Context, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let mut offsets = Vec::new();
    // Where in the answer the result of each offset goes.
    let mut places = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for asked in request.topics {
        let topic = cx.cluster.topics.named(&asked.name);
        let mut partitions = Vec::with_capacity(asked.partitions.len());
        for partition in asked.partitions {
            let index = partition.partition_index;
            let answer = OffsetCommitResponsePartition::default().with_partition_index(index);
            if topic.as_ref().is_some_and(|topic| topic.partition(index).is_some()) {
                offsets.push(NewOffset {
                    topic: asked.name.to_string(),
                    partition: index,
                    offset: partition.committed_offset,
                    leader_epoch: partition.committed_leader_epoch,
                    metadata: string(partition.committed_metadata.as_ref()).unwrap_or_default(),
                });
                places.push((topics.len(), partitions.len()));
                partitions.push(answer);
            } else {
                let error = ErrorCode::UnknownTopicOrPartition;
                partitions.push(answer.with_error_code(error.code()));
            }
        }
        let answer = OffsetCommitResponseTopic::default().with_name(asked.name);
        topics.push(answer.with_partitions(partitions));
    }

    // Kafka does not look at the group either if there is nothing to commit.
    if !offsets.is_empty() {
        let committer = Committer {
            member_id: request.member_id.to_string(),
            instance_id: string(request.group_instance_id.as_ref()),
            generation: request.generation_id_or_member_epoch,
        };
        let results = match cx.cluster.groups.commit(&request.group_id, &committer, offsets) {
            Ok(results) => results,
            Err(ErrorCode::GroupIdNotFound) if cx.version < 9 => {
                vec![Err(ErrorCode::IllegalGeneration); places.len()]
            }
            Err(error) => vec![Err(error); places.len()],
        };
        for ((topic, partition), result) in places.into_iter().zip(results) {
            topics[topic].partitions[partition].error_code = code(result);
        }
    }
    OffsetCommitResponse::default().with_topics(topics)
}
