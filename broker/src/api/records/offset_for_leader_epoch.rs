//! OffsetForLeaderEpoch, versions 2–4: the last offset of a leader epoch (KIP-101, KIP-320).
//!
//! * With it, a consumer finds out whether the log lost records when the leader changed. Here the leader never changes. So
//!   there is one epoch, and it ends where the log ends.
//! * An epoch that the partition never had is answered with −1. If the client's own epoch is newer than the leader's, the
//!   error is `UNKNOWN_LEADER_EPOCH`.

use crate::{
    api::Context,
    cluster::Partition,
    error_code::ErrorCode,
    wire::messages::{
        OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
        offset_for_leader_epoch_request::OffsetForLeaderPartition,
        offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult},
    },
};

pub(crate) fn answer(
    cx: &Context,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let found = cx.cluster.topics.named(&topic.topic);
        let partitions = topic.partitions.into_iter().map(|asked| {
            let partition = found.as_ref().and_then(|found| found.partition(asked.partition));
            let end = partition
                .ok_or(ErrorCode::UnknownTopicOrPartition)
                .and_then(|partition| end_of(partition, &asked));
            let result = EpochEndOffset::default().with_partition(asked.partition);
            match end {
                Err(code) => result.with_error_code(code.code()),
                Ok(None) => result,
                Ok(Some(end)) => result.with_leader_epoch(asked.leader_epoch).with_end_offset(end),
            }
        });
        OffsetForLeaderTopicResult::default()
            .with_partitions(partitions.collect())
            .with_topic(topic.topic)
    });
    OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
}

/// Where the epoch ended, if the partition had it.
fn end_of(
    partition: &Partition,
    asked: &OffsetForLeaderPartition,
) -> Result<Option<i64>, ErrorCode> {
    let offsets = partition.offsets(asked.current_leader_epoch)?;
    Ok((asked.leader_epoch == partition.leader().epoch).then_some(offsets.high_watermark))
}
