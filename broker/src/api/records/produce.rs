//! Produce, versions 3–13: append record batches to partitions.
//!
//! * Takes batches of magic 2, one for each partition. It stores them unchanged; a compressed batch stays compressed.
//! * Checks framing, size, CRC-32C, counts, timestamps and records, in Kafka's order. From version 8 on, the answer
//!   names the records that are wrong.
//! * There is one replica, so acks 1 and acks all mean the same. With acks 0 there is no answer, and an error ends the
//!   connection.
//! * If an idempotent producer sends a batch again, the answer has the offset of the first time. If a sequence number is
//!   missing, the batch is refused.
//! * An error belongs to its partition, never to the whole request.
//! * ApiVersions names version 0 as the oldest, although the oldest one that is served is 3. librdkafka before 2.6 turned
//!   compression off when it did not see a 0 (KAFKA-18659). Kafka does the same.
//! * Above the memory limit the error is `KAFKA_STORAGE_ERROR`. Clients try again after this error.
//!
//! Left out: transactions. Records are checked in full, and compressed batches are unpacked, only if a setting of the topic
//! needs it.

use bytes::Bytes;

use crate::{
    api::{Context, Reply},
    cluster::Topic,
    error_code::ErrorCode,
    log::{
        batch::{Batch, Compression},
        rules::{self, Rejection, reject},
    },
    wire::{
        StrBytes,
        messages::{
            ProduceRequest, ProduceResponse,
            produce_request::PartitionProduceData,
            produce_response::{
                BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
            },
        },
    },
};

pub(crate) async fn answer(cx: &Context<'_>, request: ProduceRequest) -> Reply<ProduceResponse> {
    let refused = refused_as_a_whole(&request);
    let mut responses = Vec::with_capacity(request.topic_data.len());
    for data in request.topic_data {
        let (topic, unknown) = if cx.version >= 13 {
            (cx.cluster.topics.with_id(data.topic_id), ErrorCode::UnknownTopicId)
        } else {
            (cx.cluster.topics.named(&data.name), ErrorCode::UnknownTopicOrPartition)
        };
        let mut partition_responses = Vec::with_capacity(data.partition_data.len());
        for data in data.partition_data {
            let index = data.index;
            let response = match (&topic, refused) {
                (_, Some(code)) => failed(cx, code.into()),
                (None, _) => failed(cx, unknown.into()),
                (Some(topic), _) => append(cx, topic, data, request.acks).await,
            };
            partition_responses.push(response.with_index(index));
        }
        responses.push(
            TopicProduceResponse::default()
                .with_partition_responses(partition_responses)
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

async fn append(
    cx: &Context<'_>,
    topic: &Topic,
    data: PartitionProduceData,
    acks: i16,
) -> PartitionProduceResponse {
    let Some(partition) = topic.partition(data.index) else {
        return failed(cx, ErrorCode::UnknownTopicOrPartition.into());
    };
    let batch = only_batch(data.records.unwrap_or_default(), cx.version)
        .and_then(|batch| match acks {
            -1..=1 => Ok(batch),
            _ => Err(ErrorCode::InvalidRequiredAcks.into()),
        })
        .and_then(|batch| topic.rules.check_header(&batch).map(|()| batch));
    let mut batch = match batch {
        Ok(batch) => batch,
        Err(rejection) => return failed(cx, rejection),
    };
    let (rules, now) = (topic.rules, cx.cluster.clock.wall());
    let checked = if rules.looks_at_records(&batch, now) {
        cx.cluster.scans.run(&batch, move |batch| rules.check_records(batch, now)).await
    } else {
        rules.check_records(&batch, now)
    };
    let appended = checked.and_then(|max_timestamp| {
        batch.max_timestamp = max_timestamp;
        Ok(partition.append(&batch, rules.timestamps, now)?)
    });
    match appended {
        Ok(appended) => PartitionProduceResponse::default()
            .with_base_offset(appended.base_offset)
            .with_log_append_time_ms(appended.log_append_time.unwrap_or(-1))
            .with_log_start_offset(told(cx, appended.log_start_offset)),
        Err(rejection) => {
            let log_start = partition.offsets(-1).map_or(-1, |offsets| offsets.log_start);
            failed(cx, rejection).with_log_start_offset(told(cx, log_start))
        }
    }
}

/// The one batch of a partition: what Kafka's `ProduceRequest.validateRecords` asks.
fn only_batch(mut records: Bytes, version: i16) -> Result<Batch, Rejection> {
    let invalid = |what: &str| {
        reject(ErrorCode::InvalidRecord, format!("Produce requests with version {version} {what}"))
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
            return Err(reject(ErrorCode::UnsupportedCompressionType, message));
        }
        _ => {}
    }
    if Batch::take(&mut records)?.is_some() {
        return Err(invalid("are only allowed to contain exactly one record batch per partition"));
    }
    Ok(batch)
}

fn failed(cx: &Context, rejection: Rejection) -> PartitionProduceResponse {
    let failed = PartitionProduceResponse::default()
        .with_error_code(rejection.code.code())
        .with_base_offset(-1);
    if cx.version < 8 {
        return failed;
    }
    let blame = |bad: rules::BadRecord| {
        BatchIndexAndErrorMessage::default()
            .with_batch_index(bad.index)
            .with_batch_index_error_message(Some(StrBytes::from_string(bad.message)))
    };
    failed
        .with_record_errors(rejection.records.into_iter().map(blame).collect())
        .with_error_message(rejection.message.map(StrBytes::from_string))
}

/// The start of a log as an answer can tell it: versions before 5 have no field for it.
fn told(cx: &Context, log_start_offset: i64) -> i64 {
    if cx.version >= 5 { log_start_offset } else { -1 }
}
