//! Fetch, versions 4–18: read record batches from partitions.
//!
//! * Waits up to `max_wait_ms` until `min_bytes` are there; an append wakes it.
//! * Answers with whole batches, the first one even if it is longer than the limits (KIP-74), from the one
//!   that holds the offset asked for: the client skips what it did not ask for.
//! * Partitions are read in the order of the request, until `max_bytes` is used up.
//! * An unknown topic or an offset out of range is an error for that partition, and is answered at once.
//!
//! Left out: fetch sessions (KIP-227): every answer has session id 0, so clients list all partitions each time;
//! followers and racks (KIP-392): there is one replica; diverging epochs (KIP-595): the epoch never changes.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use uuid::Uuid;

use crate::{
    api::Context,
    cluster::{Clock, Partition, Waiter},
    error_code::ErrorCode,
    log::LEADER_EPOCH,
    wire::{
        FetchAnswer, FetchedPartition, FetchedTopic,
        messages::{FetchRequest, fetch_request::FetchPartition},
    },
};

/// The isolation level that sees only what is committed.
const READ_COMMITTED: i8 = 1;

pub(crate) async fn answer(cx: &Context<'_>, request: FetchRequest) -> FetchAnswer {
    if request.session_id != 0 && request.session_epoch > 0 {
        return FetchAnswer { error: Some(ErrorCode::FetchSessionIdNotFound), topics: Vec::new() };
    }
    let deadline =
        Clock::real_now() + Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let min_bytes = usize::try_from(request.min_bytes).unwrap_or(0);
    let max_bytes = request.max_bytes.min(cx.cluster.settings.fetch_max_bytes);
    let read = Read {
        max_bytes: usize::try_from(max_bytes).unwrap_or(0),
        lists_aborted: request.isolation_level == READ_COMMITTED,
        topics: find(cx, &request),
    };

    let mut answer = read.now();
    if is_enough(&answer, min_bytes) || deadline <= Clock::real_now() {
        return answer;
    }
    // Watch first and look again then: an append between the two looks must not be missed.
    let waiter: Waiter = Arc::new(Notify::new());
    let partitions = read.topics.iter().flat_map(|topic| &topic.partitions);
    let _watches: Vec<_> =
        partitions.filter_map(|wanted| Some(wanted.partition.as_ref()?.watch(&waiter))).collect();
    loop {
        answer = read.now();
        if is_enough(&answer, min_bytes) {
            return answer;
        }
        if tokio::time::timeout_at(deadline, waiter.notified()).await.is_err() {
            return answer;
        }
    }
}

fn is_enough(answer: &FetchAnswer, min_bytes: usize) -> bool {
    let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions).peekable();
    // Kafka does not wait for nothing either.
    partitions.peek().is_none()
        || partitions.clone().any(|partition| partition.error != ErrorCode::None)
        || partitions.map(FetchedPartition::size).sum::<usize>() >= min_bytes
}

/// A Fetch with its partitions looked up.
struct Read {
    max_bytes: usize,
    lists_aborted: bool,
    topics: Vec<WantedTopic>,
}

struct WantedTopic {
    name: String,
    id: Uuid,
    partitions: Vec<Wanted>,
}

struct Wanted {
    index: i32,
    partition: Option<Arc<Partition>>,
    /// The error if there is no such partition.
    unknown: ErrorCode,
    leader_epoch: i32,
    offset: i64,
    max_bytes: usize,
}

fn find(cx: &Context, request: &FetchRequest) -> Vec<WantedTopic> {
    let by_id = cx.version >= 13;
    let wanted = |asked: &crate::wire::messages::fetch_request::FetchTopic| {
        let (topic, unknown) = if by_id {
            (cx.cluster.topics.with_id(asked.topic_id), ErrorCode::UnknownTopicId)
        } else {
            (cx.cluster.topics.named(&asked.topic), ErrorCode::UnknownTopicOrPartition)
        };
        let unknown = if topic.is_some() { ErrorCode::UnknownTopicOrPartition } else { unknown };
        let partition = |asked: &FetchPartition| Wanted {
            index: asked.partition,
            partition: topic.as_ref().and_then(|topic| topic.partition(asked.partition)).cloned(),
            unknown,
            leader_epoch: asked.current_leader_epoch,
            offset: asked.fetch_offset,
            max_bytes: usize::try_from(asked.partition_max_bytes).unwrap_or(0),
        };
        WantedTopic {
            name: asked.topic.to_string(),
            id: asked.topic_id,
            partitions: asked.partitions.iter().map(partition).collect(),
        }
    };
    request.topics.iter().map(wanted).collect()
}

impl Read {
    /// What is there now.
    fn now(&self) -> FetchAnswer {
        let mut left = self.max_bytes;
        let mut is_empty = true;
        let topics = self.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|wanted| {
                let fetched = wanted.read(left, is_empty, self.lists_aborted);
                left = left.saturating_sub(fetched.size());
                is_empty &= fetched.records.is_empty();
                fetched
            });
            FetchedTopic {
                name: topic.name.clone(),
                id: topic.id,
                partitions: partitions.collect(),
            }
        });
        FetchAnswer { error: None, topics: topics.collect() }
    }
}

impl Wanted {
    fn read(&self, left: usize, at_least_one: bool, lists_aborted: bool) -> FetchedPartition {
        let failed = |error| FetchedPartition {
            index: self.index,
            error,
            high_watermark: -1,
            log_start_offset: -1,
            records: Vec::new(),
            lists_aborted,
        };
        // Kafka's answer for a partition that it does not have lists no aborted transactions, instead of nothing.
        let Some(partition) = &self.partition else {
            return FetchedPartition { lists_aborted: true, ..failed(self.unknown) };
        };
        if self.leader_epoch > LEADER_EPOCH {
            return failed(ErrorCode::UnknownLeaderEpoch);
        }
        partition.log(|log| match log.read(self.offset, self.max_bytes.min(left), at_least_one) {
            Err(error) => failed(error),
            Ok(records) => FetchedPartition {
                high_watermark: log.end_offset(),
                log_start_offset: log.start_offset(),
                records,
                ..failed(ErrorCode::None)
            },
        })
    }
}
