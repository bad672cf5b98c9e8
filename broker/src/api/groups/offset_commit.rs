//! OffsetCommit, versions 2–9: store how far a group has read.
//!
//! * A member of the current generation may commit. While the group has no members, any client may commit (generation -1).
//! * A topic or partition that does not exist is `UNKNOWN_TOPIC_OR_PARTITION`, for that partition only.
//! * Metadata longer than `offset.metadata.max.bytes` is `OFFSET_METADATA_TOO_LARGE`.
//! * If the member may not commit, each of its partitions gets the error. An unknown group is `GROUP_ID_NOT_FOUND`; before
//!   version 9 it is `ILLEGAL_GENERATION`.
//!
//! Left out: `retention_time_ms` (versions 2–4): offsets stay until their group or topic is deleted. Kafka
//! keeps them for that long. Without it, Kafka keeps them for a week after the group became empty.

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
