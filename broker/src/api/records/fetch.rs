//! Fetch, versions 4–18: read record batches from partitions.
//!
//! * The answer comes when there are `min_bytes` of records, or after `max_wait_ms`. If `max_bytes` is less than `min_bytes`,
//!   it counts instead. An append wakes a Fetch that waits.
//! * The answer has whole batches. The first one holds the offset that the client asked for, and the client skips earlier
//!   records. The first batch is sent even if it is longer than the limits (KIP-74).
//! * Partitions are read in the order of the request, until `max_bytes` are reached. A partition that is named
//!   twice is answered once, and its last mention counts.
//! * An unknown topic, a deleted topic, or an offset out of range is an error for that partition. Then the answer comes at
//!   once.
//!
//! Left out: fetch sessions (KIP-227): every answer has session id 0, so clients list all partitions each time.
//! Followers and racks (KIP-392): there is one replica. Diverging epochs (KIP-595): the epoch never changes.

use std::{
    collections::{HashMap, hash_map::Entry},
    time::Duration,
};

use uuid::Uuid;

use crate::{
    api::Context,
    cluster::{Fetch, Read, Wanted},
    error_code::ErrorCode,
    wire::{
        FetchAnswer, FetchedPartition, FetchedTopic,
        messages::{
            FetchRequest, TopicName,
            fetch_request::{FetchPartition, FetchTopic},
        },
    },
};

/// The isolation level that sees only what is committed.
const READ_COMMITTED: i8 = 1;

pub(crate) async fn answer(cx: &Context<'_>, request: FetchRequest) -> FetchAnswer {
    if request.session_id != 0 && request.session_epoch > 0 {
        return FetchAnswer { error: Some(ErrorCode::FetchSessionIdNotFound), topics: Vec::new() };
    }
    let max_bytes = request.max_bytes.min(cx.cluster.settings.fetch_max_bytes);
    let (places, wanted) = find(cx, &request);
    let fetch = Fetch {
        wait: Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)),
        min_bytes: usize::try_from(request.min_bytes).unwrap_or(0),
        max_bytes: usize::try_from(max_bytes).unwrap_or(0),
        wanted,
    };
    let answer = fetch.answer().await;

    let is_read_committed = request.isolation_level == READ_COMMITTED;
    let mut topics: Vec<FetchedTopic> = Vec::with_capacity(request.topics.len());
    for ((place, wanted), read) in places.iter().zip(&fetch.wanted).zip(answer) {
        // Kafka's answer for a partition that it does not have lists no aborted transactions, instead of nothing.
        let lists_aborted = is_read_committed || wanted.partition.is_err();
        let partition = fetched(place.index, lists_aborted, read);
        match topics.last_mut() {
            Some(last) if last.name == place.topic.0.as_str() && last.id == place.id => {
                last.partitions.push(partition);
            }
            _ => topics.push(FetchedTopic {
                name: place.topic.to_string(),
                id: place.id,
                partitions: vec![partition],
            }),
        }
    }
    FetchAnswer { error: None, topics }
}

/// Which partition it is, in the words of the request.
struct Place<'a> {
    topic: &'a TopicName,
    id: Uuid,
    index: i32,
}

fn find<'a>(cx: &Context, request: &'a FetchRequest) -> (Vec<Place<'a>>, Vec<Wanted>) {
    let named = request.topics.iter().map(|topic| topic.partitions.len()).sum::<usize>();
    let (mut places, mut all) = (Vec::with_capacity(named), Vec::with_capacity(named));
    let mut known = HashMap::new();
    for topic in &request.topics {
        let wanted = wanted_of(cx, topic);
        for asked in &topic.partitions {
            let (id, index) = (topic.topic_id, asked.partition);
            // Most name a few partitions, and one cannot be named twice.
            if named > 1 {
                match known.entry((&topic.topic, id, index)) {
                    Entry::Occupied(earlier) => {
                        let earlier: &usize = earlier.get();
                        all[*earlier] = wanted(asked);
                        continue;
                    }
                    Entry::Vacant(new) => {
                        new.insert(places.len());
                    }
                }
            }
            places.push(Place { topic: &topic.topic, id, index });
            all.push(wanted(asked));
        }
    }
    (places, all)
}

/// What is wanted of a topic's partition.
fn wanted_of(cx: &Context, asked: &FetchTopic) -> impl Fn(&FetchPartition) -> Wanted {
    let topic = if cx.version >= 13 {
        cx.cluster.topics.with_id(asked.topic_id).ok_or(ErrorCode::UnknownTopicId)
    } else {
        cx.cluster.topics.named(&asked.topic).ok_or(ErrorCode::UnknownTopicOrPartition)
    };
    move |asked| Wanted {
        partition: topic.as_ref().map_err(|unknown| *unknown).and_then(|topic| {
            topic.partition(asked.partition).cloned().ok_or(ErrorCode::UnknownTopicOrPartition)
        }),
        known_epoch: asked.current_leader_epoch,
        offset: asked.fetch_offset,
        max_bytes: usize::try_from(asked.partition_max_bytes).unwrap_or(0),
    }
}

fn fetched(index: i32, lists_aborted: bool, read: Result<Read, ErrorCode>) -> FetchedPartition {
    match read {
        Ok(Read { records, offsets }) => FetchedPartition {
            index,
            error: ErrorCode::None,
            high_watermark: offsets.high_watermark,
            last_stable_offset: offsets.last_stable,
            log_start_offset: offsets.log_start,
            records,
            lists_aborted,
        },
        Err(error) => FetchedPartition {
            index,
            error,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            records: Vec::new(),
            lists_aborted,
        },
    }
}
