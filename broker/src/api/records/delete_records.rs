//! DeleteRecords, versions 0–2: delete the records before an offset (KIP-107).
//!
//! * Offset −1 means the high watermark, so all records are deleted.
//! * If the offset lies inside a batch, the whole batch stays. Its earlier records are still sent, and clients skip them.

use crate::{
    api::Context,
    error_code::ErrorCode,
    wire::messages::{
        DeleteRecordsRequest, DeleteRecordsResponse,
        delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult},
    },
};

const HIGH_WATERMARK: i64 = -1;

pub(crate) fn answer(cx: &Context, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let found = cx.cluster.topics.named(&topic.name);
        let partitions = topic.partitions.into_iter().map(|asked| {
            let partition = found.as_ref().and_then(|found| found.partition(asked.partition_index));
            let before = (asked.offset != HIGH_WATERMARK).then_some(asked.offset);
            let deleted = partition
                .ok_or(ErrorCode::UnknownTopicOrPartition)
                .and_then(|partition| partition.delete_before(before));
            let result =
                DeleteRecordsPartitionResult::default().with_partition_index(asked.partition_index);
            match deleted {
                Ok(low_watermark) => result.with_low_watermark(low_watermark),
                Err(code) => result.with_low_watermark(-1).with_error_code(code.code()),
            }
        });
        DeleteRecordsTopicResult::default()
            .with_partitions(partitions.collect())
            .with_name(topic.name)
    });
    DeleteRecordsResponse::default().with_topics(topics.collect())
}
