//! ListOffsets, versions 1–10: find an offset by time.
//!
//! * −1 means the end, −2 the start, −3 the record with the greatest timestamp (from version 7 on). A time means the
//!   first record at or after it. If there is no such record, offset and timestamp are −1.
//! * The end is the last stable offset for `read_committed`, otherwise the high watermark.
//! * −4 (from version 8 on) and −5 (from version 9 on) are for tiered storage, which is absent here. So −4 means the start,
//!   and −5 finds nothing.
//! * Any other negative time, or one of a later version, is `UNSUPPORTED_VERSION` for its partition.
//! * A partition that is named twice is `INVALID_REQUEST`, and is answered once.

use std::collections::HashMap;

use crate::{
    api::Context,
    cluster::Partition,
    error_code::ErrorCode,
    wire::messages::{
        ListOffsetsRequest, ListOffsetsResponse, TopicName,
        list_offsets_request::ListOffsetsPartition,
        list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse},
    },
};

/// The isolation level that sees only what is committed.
const READ_COMMITTED: i8 = 1;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;

pub(crate) async fn answer(cx: &Context<'_>, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let mut times_named = times_named(&request);
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let found = cx.cluster.topics.named(&topic.name);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in topic.partitions {
            let index = asked.partition_index;
            let partition = found.as_ref().and_then(|found| found.partition(index));
            let result = match times_named.remove(&(topic.name.clone(), index)) {
                None => continue,
                Some(2..) => Err(ErrorCode::InvalidRequest),
                Some(_) => match partition {
                    None => Err(ErrorCode::UnknownTopicOrPartition),
                    Some(partition) => {
                        look_up(cx, partition, &asked, request.isolation_level).await
                    }
                },
            };
            let response = ListOffsetsPartitionResponse::default().with_partition_index(index);
            partitions.push(match (result, partition) {
                (Err(code), _) => response.with_error_code(code.code()),
                (Ok((offset @ 0.., timestamp)), Some(partition)) if cx.version >= 4 => response
                    .with_offset(offset)
                    .with_timestamp(timestamp)
                    .with_leader_epoch(partition.leader().epoch),
                (Ok((offset, timestamp)), _) => {
                    response.with_offset(offset).with_timestamp(timestamp)
                }
            });
        }
        let topic = ListOffsetsTopicResponse::default().with_name(topic.name);
        topics.push(topic.with_partitions(partitions));
    }
    ListOffsetsResponse::default().with_topics(topics)
}

fn times_named(request: &ListOffsetsRequest) -> HashMap<(TopicName, i32), usize> {
    let mut times = HashMap::new();
    for topic in &request.topics {
        for asked in &topic.partitions {
            *times.entry((topic.name.clone(), asked.partition_index)).or_default() += 1;
        }
    }
    times
}

/// Offset and timestamp, −1 where there is none.
async fn look_up(
    cx: &Context<'_>,
    partition: &Partition,
    asked: &ListOffsetsPartition,
    isolation_level: i8,
) -> Result<(i64, i64), ErrorCode> {
    let offsets = partition.offsets(asked.current_leader_epoch)?;
    let scans = &cx.cluster.scans;
    let found = match (asked.timestamp, cx.version) {
        (LATEST, _) if isolation_level == READ_COMMITTED => return Ok((offsets.last_stable, -1)),
        (LATEST, _) => return Ok((offsets.high_watermark, -1)),
        (EARLIEST, _) | (EARLIEST_LOCAL, 8..) => return Ok((offsets.log_start, -1)),
        (MAX_TIMESTAMP, 7..) => partition.look_up_latest(scans).await?,
        (LATEST_TIERED, 9..) => None,
        (..0, _) => return Err(ErrorCode::UnsupportedVersion),
        (timestamp, _) => partition.look_up(timestamp, scans).await?,
    };
    Ok(found.map_or((-1, -1), |record| (record.offset, record.timestamp)))
}
