//! The consumer: reads as a member of a group, and commits what it has handed over.
//!
//! At least once: a message's offset is stored after it was handed over, committed from there every few seconds
//! (`enable.auto.commit`), when a partition is given up, and at the end. A crash in between means that the next
//! consumer reads some messages again; none is skipped.

use anyhow::{Context, bail};
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use shared::client::{ConsumerStream, Rebalance};
use shared::report::Partitions;
use shared::shutdown::Shutdown;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How long the last commit may take.
const LAST_COMMIT: Duration = Duration::from_secs(5);

/// When to stop by oneself. The default is never.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    pub max_messages: Option<u64>,
    /// At the end of all partitions; needs `enable.partition.eof`.
    pub at_end: bool,
    /// When no message came for so long.
    pub idle: Option<Duration>,
}

/// What to read.
#[derive(Debug, Clone)]
pub enum From {
    /// The partitions that the group leaves to this member.
    Group,
    /// This partition alone, without the group's protocol.
    Partition(i32, Option<Offset>),
}

/// A message, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since 1970.
    pub timestamp: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.as_deref())
    }
}

/// What happens while messages are read.
#[derive(Debug)]
pub enum Event {
    Message(Received),
    Rebalance(Rebalance),
    /// Reading goes on; this is what stood in the way.
    Trouble(String),
}

/// Reads until a limit or `shutdown`; every event goes to `on`. What `on` has seen is committed at the end.
pub async fn consume(
    consumer: ConsumerStream,
    mut rebalances: mpsc::UnboundedReceiver<Rebalance>,
    topic: &str,
    from: From,
    limits: Limits,
    shutdown: &Shutdown,
    mut on: impl FnMut(Event) -> io::Result<()>,
) -> anyhow::Result<Partitions> {
    let mut mine = BTreeSet::new();
    match from {
        From::Group => consumer
            .subscribe(&[topic])
            .with_context(|| format!("{topic} cannot be subscribed to"))?,
        From::Partition(partition, start) => {
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(topic, partition, start.unwrap_or(Offset::Stored))?;
            consumer
                .assign(&list)
                .with_context(|| format!("{topic}[{partition}] cannot be read"))?;
            mine.insert(partition);
        }
    }

    let mut read = Partitions::default();
    let mut assigned = !mine.is_empty();
    let mut at_end = BTreeSet::new();
    let mut last_trouble = None;
    let mut last_message = Instant::now();
    loop {
        if limits.max_messages.is_some_and(|max| read.records() >= max) {
            break;
        }
        if limits.at_end && assigned && mine.is_subset(&at_end) {
            break;
        }
        tokio::select! {
            biased;
            () = shutdown.requested() => break,
            Some(event) = rebalances.recv() => {
                match &event {
                    Rebalance::Assigned(partitions) => {
                        assigned = true;
                        mine.extend(partitions.iter().map(|(_, partition)| *partition));
                    }
                    Rebalance::Revoked(partitions) => {
                        for (_, partition) in partitions {
                            mine.remove(partition);
                            at_end.remove(partition);
                        }
                        assigned = !mine.is_empty();
                    }
                    Rebalance::Failed(_) => {}
                }
                on(Event::Rebalance(event))?;
            }
            result = consumer.recv() => match result {
                Ok(message) => {
                    at_end.remove(&message.partition());
                    last_trouble = None;
                    last_message = Instant::now();
                    let received = owned(&message);
                    read.add(received.partition, received.offset);
                    on(Event::Message(received))?;
                    store(&consumer, &message, &mut on)?;
                }
                Err(KafkaError::PartitionEOF(partition)) => {
                    at_end.insert(partition);
                }
                Err(KafkaError::MessageConsumptionFatal(code)) => bail!("The consumer cannot go on: {code}."),
                Err(error) => {
                    // librdkafka goes on trying, and says the same again and again.
                    let sentence = sentence(&error);
                    if last_trouble.as_ref() != Some(&sentence) {
                        on(Event::Trouble(sentence.clone()))?;
                        last_trouble = Some(sentence);
                    }
                }
            },
            () = idle(last_message, limits.idle) => break,
        }
    }
    finish(consumer, &mut on).await?;
    Ok(read)
}

fn store(
    consumer: &ConsumerStream,
    message: &BorrowedMessage<'_>,
    on: &mut impl FnMut(Event) -> io::Result<()>,
) -> io::Result<()> {
    match consumer.store_offset_from_message(message) {
        // Another member has the partition now, or `-X enable.auto.offset.store=true` does it for us.
        Ok(())
        | Err(KafkaError::StoreOffset(
            RDKafkaErrorCode::State | RDKafkaErrorCode::InvalidArgument,
        )) => Ok(()),
        Err(error) => on(Event::Trouble(format!("The offset could not be stored: {error}"))),
    }
}

/// Commits and leaves the group. Both need the broker, so both have a limit.
async fn finish(
    consumer: ConsumerStream,
    on: &mut impl FnMut(Event) -> io::Result<()>,
) -> io::Result<()> {
    let consumer = Arc::new(consumer);
    let shared = consumer.clone();
    // librdkafka's call blocks its thread, and so does closing.
    let commit = tokio::task::spawn_blocking(move || {
        let result = shared.commit_consumer_state(CommitMode::Sync);
        drop(shared);
        result
    });
    let trouble = match tokio::time::timeout(LAST_COMMIT, commit).await {
        // Nothing new to commit.
        Ok(Ok(Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)))) => None,
        Ok(Ok(Err(error))) => Some(error.to_string()),
        Ok(Err(error)) => Some(error.to_string()),
        Err(_elapsed) => Some("no broker answered".to_owned()),
    };
    if let Some(trouble) = trouble {
        on(Event::Trouble(format!(
            "The last offsets are not committed ({trouble}); they will be read again"
        )))?;
    }
    let closed = tokio::task::spawn_blocking(move || drop(consumer));
    // Without its farewell the group notices after session.timeout.ms.
    let _ = tokio::time::timeout(LAST_COMMIT, closed).await;
    Ok(())
}

async fn idle(since: Instant, limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep_until(since + limit).await,
        None => std::future::pending().await,
    }
}

fn owned(message: &BorrowedMessage<'_>) -> Received {
    let headers = message.headers().map(|headers| {
        headers
            .iter()
            .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_owned)))
            .collect()
    });
    Received {
        topic: message.topic().to_owned(),
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis(),
        key: message.key().map(<[u8]>::to_owned),
        value: message.payload().map(<[u8]>::to_owned),
        headers: headers.unwrap_or_default(),
    }
}

fn sentence(error: &KafkaError) -> String {
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::Resolve,
        ) => "The broker does not answer; trying again".to_owned(),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
            "The topic is gone; waiting for it".to_owned()
        }
        Some(code) => format!("Trouble: {code}; trying again"),
        None => format!("Trouble: {error}; trying again"),
    }
}
