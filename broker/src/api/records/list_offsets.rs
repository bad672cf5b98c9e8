//! ListOffsets, versions 1–10: find an offset by time.
//!
//! * −1 the end, −2 the start, −3 the record with the greatest timestamp (from version 7), otherwise the first
//!   record at or after the time; offset and timestamp −1 if there is none.
//! * With one replica the high watermark and the last stable offset are the end of the log.
//! * −4 (version 8) and −5 (version 9), of tiered storage, mean the start and nothing: all that is here is local.
//! * Any other negative time, or one of a later version, is `UNSUPPORTED_VERSION` for its partition.

use crate::{
    api::Context,
    error_code::ErrorCode,
    log::{LEADER_EPOCH, Log},
    wire::messages::{
        ListOffsetsRequest, ListOffsetsResponse,
        list_offsets_request::ListOffsetsPartition,
        list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse},
    },
};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;

pub(crate) fn answer(cx: &Context, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let found = cx.cluster.topics.named(&topic.name);
        let partitions = topic.partitions.into_iter().map(|asked| {
            let partition = found.as_ref().and_then(|found| found.partition(asked.partition_index));
            let result = match partition {
                None => Err(ErrorCode::UnknownTopicOrPartition),
                Some(_) if asked.current_leader_epoch > LEADER_EPOCH => {
                    Err(ErrorCode::UnknownLeaderEpoch)
                }
                Some(partition) => partition.log(|log| look_up(log, &asked, cx.version)),
            };
            let response =
                ListOffsetsPartitionResponse::default().with_partition_index(asked.partition_index);
            match result {
                Err(code) => response.with_error_code(code.code()),
                Ok((offset, timestamp)) => {
                    response.with_offset(offset).with_timestamp(timestamp).with_leader_epoch(
                        if cx.version >= 4 && offset >= 0 { LEADER_EPOCH } else { -1 },
                    )
                }
            }
        });
        ListOffsetsTopicResponse::default()
            .with_partitions(partitions.collect())
            .with_name(topic.name)
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

/// Offset and timestamp, −1 where there is none.
fn look_up(
    log: &mut Log,
    asked: &ListOffsetsPartition,
    version: i16,
) -> Result<(i64, i64), ErrorCode> {
    let found = match (asked.timestamp, version) {
        (LATEST, _) => return Ok((log.end_offset(), -1)),
        (EARLIEST, _) | (EARLIEST_LOCAL, 8..) => return Ok((log.start_offset(), -1)),
        (MAX_TIMESTAMP, 7..) => log.max_timestamp(),
        (LATEST_TIERED, 9..) => None,
        (..0, _) => return Err(ErrorCode::UnsupportedVersion),
        (timestamp, _) => log.first_at_or_after(timestamp),
    };
    Ok(found.map_or((-1, -1), |record| (record.offset, record.timestamp)))
}
