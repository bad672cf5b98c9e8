//! OffsetForLeaderEpoch, versions 2–4: where a leader's epoch ended (KIP-101, KIP-320).
//!
//! * Consumers ask it to learn whether the log they read from was cut. Here the leader never changes: there is one
//!   epoch, and it ends where the log ends.
//! * An epoch that the partition never had is answered with −1; a client's own epoch that is newer than the
//!   leader's is `UNKNOWN_LEADER_EPOCH`.

use crate::{
    api::Context,
    error_code::ErrorCode,
    log::LEADER_EPOCH,
    wire::messages::{
        OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
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
            let result = EpochEndOffset::default().with_partition(asked.partition);
            match partition {
                None => result.with_error_code(ErrorCode::UnknownTopicOrPartition.code()),
                Some(_) if asked.current_leader_epoch > LEADER_EPOCH => {
                    result.with_error_code(ErrorCode::UnknownLeaderEpoch.code())
                }
                Some(partition) if asked.leader_epoch == LEADER_EPOCH => result
                    .with_leader_epoch(LEADER_EPOCH)
                    .with_end_offset(partition.log(|log| log.end_offset())),
                Some(_) => result,
            }
        });
        OffsetForLeaderTopicResult::default()
            .with_partitions(partitions.collect())
            .with_topic(topic.topic)
    });
    OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
}
