//! Produce, versions 3–13: append record batches to partitions.
//!
//! * Takes batches of magic 2, one for each partition, and keeps them as they are: compressed ones stay so.
//! * Checks framing, CRC-32C, counts, size (`max.message.bytes`) and timestamps, in Kafka's order.
//! * acks 1 and all mean the same with one replica; acks 0 gets no answer, and a mistake ends the connection.
//! * An idempotent producer's retry is answered with the offset of the first time; a gap is refused.
//! * An error is one for its partition, never for the request.
//! * ApiVersions names 0 as the oldest version although 3 is: librdkafka before 2.6 turned
//!   compression off when it did not see a 0 (KAFKA-18659). Kafka does the same.
//!
//! Left out: a look at the single records, which Kafka takes (and unpacks them for it); transactions.

use bytes::Bytes;

use crate::{
    ErrorCode,
    api::{Context, Reply},
    cluster::{Partition, Topic},
    log::batch::{Batch, Compression},
    wire::{
        StrBytes,
        messages::{
            ProduceRequest, ProduceResponse,
            produce_request::PartitionProduceData,
            produce_response::{PartitionProduceResponse, TopicProduceResponse},
        },
    },
};

/// An error and, where the code alone says too little, a sentence.
type Refusal = (ErrorCode, Option<String>);

pub(crate) fn answer(cx: &Context, request: ProduceRequest) -> Reply<ProduceResponse> {
    let refused_acks = !(-1..=1).contains(&request.acks);
    let mut responses = Vec::with_capacity(request.topic_data.len());
    for data in request.topic_data {
        let (topic, unknown) = if cx.version >= 13 {
            (cx.cluster.topics.with_id(data.topic_id), ErrorCode::UnknownTopicId)
        } else {
            (cx.cluster.topics.named(&data.name), ErrorCode::UnknownTopicOrPartition)
        };
        let partition_responses = data.partition_data.into_iter().map(|data| {
            let index = data.index;
            let appended = match &topic {
                None => Err((unknown, None)),
                Some(topic) => append(cx, topic, data, refused_acks),
            };
            appended.unwrap_or_else(|refusal| failed(cx, refusal)).with_index(index)
        });
        responses.push(
            TopicProduceResponse::default()
                .with_partition_responses(partition_responses.collect())
                .with_topic_id(data.topic_id)
                .with_name(data.name),
        );
    }
    if request.acks != 0 {
        return Reply::Answer(ProduceResponse::default().with_responses(responses));
    }
    let codes = responses.iter().flat_map(|topic| &topic.partition_responses).map(|p| p.error_code);
    match codes.filter_map(ErrorCode::from_code).find(|code| *code != ErrorCode::None) {
        Some(code) => {
            Reply::Close(format!("a Produce with acks=0 failed with {code}, and it gets no answer"))
        }
        None => Reply::Nothing,
    }
}

fn append(
    cx: &Context,
    topic: &Topic,
    data: PartitionProduceData,
    refused_acks: bool,
) -> Result<PartitionProduceResponse, Refusal> {
    let partition =
        topic.partition(data.index).ok_or((ErrorCode::UnknownTopicOrPartition, None))?;
    let batch = only_batch(data.records.unwrap_or_default(), cx.version)?;
    if refused_acks {
        return Err((ErrorCode::InvalidRequiredAcks, None));
    }
    let now = cx.cluster.clock.now();
    let limit = topic.settings.max_message_bytes;
    if batch.bytes.len() > usize::try_from(limit).unwrap_or(0) {
        let message = format!(
            "The record batch size in the append to {}-{} is {} bytes which exceeds the maximum configured value of {limit}.",
            topic.name,
            data.index,
            batch.bytes.len(),
        );
        return Err((ErrorCode::MessageTooLarge, Some(message)));
    }
    check(&batch)?;
    let latest = now.saturating_add(topic.settings.message_timestamp_after_max_ms);
    if batch.max_timestamp > latest {
        let message = format!(
            "Timestamp {} of message is later than {latest}, which the broker takes at most.",
            batch.max_timestamp
        );
        return Err((ErrorCode::InvalidTimestamp, Some(message)));
    }
    let appended =
        partition.append(&batch, topic.timestamp_type(), now).map_err(|code| (code, None))?;
    Ok(PartitionProduceResponse::default()
        .with_base_offset(appended.base_offset)
        .with_log_append_time_ms(appended.log_append_time.unwrap_or(-1))
        .with_log_start_offset(start_offset(cx, partition)))
}

/// The one batch of a partition: what Kafka's `ProduceRequest.validateRecords` asks.
fn only_batch(mut records: Bytes, version: i16) -> Result<Batch, Refusal> {
    let invalid = |what: &str| {
        let message = format!("Produce requests with version {version} {what}");
        (ErrorCode::InvalidRecord, Some(message))
    };
    let batch = Batch::take(&mut records)
        .map_err(|code| (code, None))?
        .ok_or_else(|| invalid("must have at least one record batch per partition"))?;
    if version < 7 && batch.compression() == Some(Compression::Zstd) {
        let message = format!(
            "Produce requests with version {version} are not allowed to use ZStandard compression"
        );
        return Err((ErrorCode::UnsupportedCompressionType, Some(message)));
    }
    if Batch::take(&mut records).map_err(|code| (code, None))?.is_some() {
        return Err(invalid("are only allowed to contain exactly one record batch per partition"));
    }
    Ok(batch)
}

/// What Kafka's log asks of a batch before it appends it.
fn check(batch: &Batch) -> Result<(), Refusal> {
    if !batch.is_intact() {
        return Err((ErrorCode::CorruptMessage, None));
    }
    let invalid = |message: &str| Err((ErrorCode::InvalidRecord, Some(message.to_owned())));
    if batch.compression().is_none() {
        return Err((ErrorCode::UnsupportedCompressionType, None));
    }
    if batch.last_offset_delta < 0
        || i64::from(batch.record_count) != i64::from(batch.last_offset_delta) + 1
    {
        return invalid("The record count of the batch does not agree with its last offset delta.");
    }
    if batch.is_control() {
        return invalid("Clients are not allowed to write control records.");
    }
    if batch.has_producer_id() && (batch.base_sequence < 0 || batch.producer_epoch < 0) {
        return invalid(
            "A batch with a producer id needs an epoch and a sequence number that are not negative.",
        );
    }
    Ok(())
}

fn failed(cx: &Context, (code, message): Refusal) -> PartitionProduceResponse {
    let failed =
        PartitionProduceResponse::default().with_error_code(code.code()).with_base_offset(-1);
    if cx.version < 8 {
        return failed;
    }
    failed.with_error_message(message.map(StrBytes::from_string))
}

/// Versions before 5 have no field for it.
fn start_offset(cx: &Context, partition: &Partition) -> i64 {
    if cx.version >= 5 { partition.log(|log| log.start_offset()) } else { -1 }
}
