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
    api::{Context, Reply},
    cluster::Topic,
    error_code::ErrorCode,
    log::batch::{Batch, Compression},
    time::Timestamp,
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
struct Refusal {
    code: ErrorCode,
    message: Option<String>,
    /// Known once the batch was offered to the log; otherwise −1.
    log_start_offset: i64,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None, log_start_offset: -1 }
    }
}

fn refuse(code: ErrorCode, message: impl Into<String>) -> Refusal {
    Refusal { message: Some(message.into()), ..code.into() }
}

pub(crate) fn answer(cx: &Context, request: ProduceRequest) -> Reply<ProduceResponse> {
    let refused = refused_as_a_whole(&request);
    let mut responses = Vec::with_capacity(request.topic_data.len());
    for data in request.topic_data {
        let (topic, unknown) = if cx.version >= 13 {
            (cx.cluster.topics.with_id(data.topic_id), ErrorCode::UnknownTopicId)
        } else {
            (cx.cluster.topics.named(&data.name), ErrorCode::UnknownTopicOrPartition)
        };
        let partition_responses = data.partition_data.into_iter().map(|data| {
            let index = data.index;
            let appended = match (&topic, refused) {
                (_, Some(code)) => Err(code.into()),
                (None, _) => Err(unknown.into()),
                (Some(topic), _) => append(cx, topic, data, request.acks),
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

/// One transactional batch without a transaction spoils the request for all of its partitions.
fn refused_as_a_whole(request: &ProduceRequest) -> Option<ErrorCode> {
    let mut records = request
        .topic_data
        .iter()
        .flat_map(|topic| &topic.partition_data)
        .flat_map(|data| &data.records);
    let is_transactional = records.any(|records| {
        matches!(Batch::take(&mut records.clone()), Ok(Some(batch)) if batch.is_transactional())
    });
    is_transactional.then_some(ErrorCode::TransactionalIdAuthorizationFailed)
}

fn append(
    cx: &Context,
    topic: &Topic,
    data: PartitionProduceData,
    acks: i16,
) -> Result<PartitionProduceResponse, Refusal> {
    let partition = topic.partition(data.index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let batch = only_batch(data.records.unwrap_or_default(), cx.version)?;
    if !(-1..=1).contains(&acks) {
        return Err(ErrorCode::InvalidRequiredAcks.into());
    }
    let limit = topic.settings.max_message_bytes;
    if batch.bytes.len() > usize::try_from(limit).unwrap_or(0) {
        let message = format!(
            "The record batch size in the append to {}-{} is {} bytes which exceeds the maximum configured value of {limit}.",
            topic.name,
            data.index,
            batch.bytes.len(),
        );
        return Err(refuse(ErrorCode::MessageTooLarge, message));
    }
    if !batch.is_intact() {
        return Err(ErrorCode::CorruptMessage.into());
    }
    let now = cx.cluster.clock.wall();
    let appended = check(topic, &batch, now)
        .and_then(|()| Ok(partition.append(&batch, topic.timestamp_type(), now)?))
        .map_err(|refusal| {
            let log_start_offset = partition.log(|log| log.start_offset());
            Refusal { log_start_offset: told(cx, log_start_offset), ..refusal }
        })?;
    Ok(PartitionProduceResponse::default()
        .with_base_offset(appended.base_offset)
        .with_log_append_time_ms(appended.log_append_time.unwrap_or(-1))
        .with_log_start_offset(told(cx, appended.log_start_offset)))
}

/// The one batch of a partition: what Kafka's `ProduceRequest.validateRecords` asks.
fn only_batch(mut records: Bytes, version: i16) -> Result<Batch, Refusal> {
    let invalid = |what: &str| {
        refuse(ErrorCode::InvalidRecord, format!("Produce requests with version {version} {what}"))
    };
    let batch = Batch::take(&mut records)?
        .ok_or_else(|| invalid("must have at least one record batch per partition"))?;
    match batch.compression() {
        // An exception that Kafka does not foresee; it finds the codec here before version 7 and later after.
        None if version < 7 => return Err(ErrorCode::UnknownServerError.into()),
        Some(Compression::Zstd) if version < 7 => {
            let message = format!(
                "Produce requests with version {version} are not allowed to use ZStandard compression"
            );
            return Err(refuse(ErrorCode::UnsupportedCompressionType, message));
        }
        _ => {}
    }
    if Batch::take(&mut records)?.is_some() {
        return Err(invalid("are only allowed to contain exactly one record batch per partition"));
    }
    Ok(batch)
}

/// What Kafka's log asks of a batch before it appends it.
fn check(topic: &Topic, batch: &Batch, now: Timestamp) -> Result<(), Refusal> {
    let invalid = |message: &str| Err(refuse(ErrorCode::InvalidRecord, message));
    if batch.compression().is_none() {
        return Err(ErrorCode::UnknownServerError.into());
    }
    if batch.base_offset != 0 {
        return invalid(
            "The offsets of a batch must begin at 0: the broker gives out the real ones.",
        );
    }
    if batch.last_offset_delta < 0
        || i64::from(batch.record_count) != i64::from(batch.last_offset_delta) + 1
    {
        return invalid("The record count of the batch does not agree with its last offset delta.");
    }
    if batch.is_control() {
        return invalid("Clients are not allowed to write control records.");
    }
    if batch.has_producer_id() && batch.base_sequence < 0 {
        return invalid("A batch with a producer id needs a sequence number that is not negative.");
    }
    let latest = now.saturating_add(topic.settings.message_timestamp_after_max_ms);
    if batch.max_timestamp > latest {
        let message = format!(
            "Timestamp {} of message is later than {latest}, which the broker takes at most.",
            batch.max_timestamp
        );
        return Err(refuse(ErrorCode::InvalidTimestamp, message));
    }
    Ok(())
}

fn failed(cx: &Context, refusal: Refusal) -> PartitionProduceResponse {
    let failed = PartitionProduceResponse::default()
        .with_error_code(refusal.code.code())
        .with_base_offset(-1)
        .with_log_start_offset(refusal.log_start_offset);
    if cx.version < 8 {
        return failed;
    }
    failed.with_error_message(refusal.message.map(StrBytes::from_string))
}

/// The start of a log as an answer can tell it: versions before 5 have no field for it.
fn told(cx: &Context, log_start_offset: i64) -> i64 {
    if cx.version >= 5 { log_start_offset } else { -1 }
}
