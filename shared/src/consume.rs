//! The loop of a consumer that reads one record at a time and lets librdkafka commit (Labs 1 and 3).
//!
//! At least once: a record's offset is stored after the record was handed over. librdkafka commits what is stored every
//! few seconds (`enable.auto.commit`), and when a partition is given up; the loop does so at the end. After a crash the
//! next consumer reads some records again, and skips none. `enable.auto.offset.store = false` must be set for that.

use crate::client::{self, Cluster, ConsumerStream, Rebalance};
use crate::config::Config;
use crate::keeper::Keeper;
use crate::shutdown::Shutdown;
use crate::waiting::Waiting;
use anyhow::{Context as _, bail};
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeSet;
use std::io;
use std::slice;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

/// How long the last commit may take.
const LAST_COMMIT: Duration = Duration::from_secs(5);

/// What to read.
#[derive(Debug, Clone, Copy)]
pub enum From {
    /// The partitions that the group gives this member. The offset says where to begin in each of them; without one,
    /// behind what the group has committed.
    Group(Option<Offset>),
    /// This partition alone. The group does not assign it, and other members may read it too.
    Partition(i32, Option<Offset>),
}

/// When to stop without being asked to. The default is never.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// After so many records.
    pub max_messages: Option<u64>,
    /// At the end of all partitions; needs `enable.partition.eof`.
    pub at_end: bool,
    /// When no record came for so long.
    pub idle: Option<Duration>,
}

/// What happens while records are read.
#[derive(Debug)]
pub enum Event<'a> {
    /// A record.
    Message(&'a BorrowedMessage<'a>),
    /// The share of the partitions changed.
    Rebalance(Rebalance),
    /// A sentence about what stands in the way, or stood there. Reading goes on.
    News(String),
}

/// Reads the configuration's topic until a limit or `shutdown`; every event goes to `on`. What `on` has seen is
/// committed at the end, also when `on` fails.
///
/// # Errors
/// When the consumer cannot go on, or when `on` fails.
pub async fn consume<L>(
    config: &Config<L>,
    cluster: &Cluster,
    from: From,
    limits: Limits,
    shutdown: &Shutdown,
    mut on: impl FnMut(Event<'_>) -> io::Result<()>,
) -> anyhow::Result<()> {
    let topic = &config.topic.name;
    let start = match from {
        From::Group(start) => start,
        From::Partition(..) => None,
    };
    let (consumer, rebalances) = client::consumer(config, start)?;
    let mut share = Share::default();
    let mut waiting = None;
    match from {
        From::Group(_) => {
            consumer
                .subscribe(&[topic])
                .with_context(|| format!("{topic} cannot be subscribed to"))?;
            waiting = Some(Waiting::start(cluster, config));
        }
        From::Partition(partition, start) => {
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(topic, partition, start.unwrap_or(Offset::Stored))?;
            consumer
                .assign(&list)
                .with_context(|| format!("{topic}[{partition}] cannot be read"))?;
            share.mine.insert(partition);
        }
    }
    let keeper = Keeper::start(cluster, slice::from_ref(&config.topic));
    let ears = Ears { rebalances, waiting, keeper };
    let read = read(&consumer, ears, share, limits, shutdown, &mut on).await;
    if let Some(trouble) = finish(consumer).await {
        // The output may be what failed above.
        let _ = on(Event::News(trouble));
    }
    read
}

/// What is listened to besides the records.
struct Ears {
    rebalances: mpsc::UnboundedReceiver<Rebalance>,
    waiting: Option<Waiting>,
    keeper: Keeper,
}

/// The partitions of this consumer.
#[derive(Default)]
struct Share {
    mine: BTreeSet<i32>,
    at_end: BTreeSet<i32>,
}

impl Share {
    fn rebalanced(&mut self, rebalance: &Rebalance) {
        match rebalance {
            Rebalance::Assigned(partitions) => {
                self.mine.extend(partitions.iter().map(|(_, partition)| *partition));
            }
            Rebalance::Revoked(partitions) | Rebalance::Lost(partitions) => {
                for (_, partition) in partitions {
                    self.mine.remove(partition);
                    self.at_end.remove(partition);
                }
            }
            Rebalance::Failed(_) => {}
        }
    }

    fn is_read_to_the_end(&self) -> bool {
        !self.mine.is_empty() && self.mine.is_subset(&self.at_end)
    }
}

async fn read(
    consumer: &ConsumerStream,
    mut ears: Ears,
    mut share: Share,
    limits: Limits,
    shutdown: &Shutdown,
    on: &mut impl FnMut(Event<'_>) -> io::Result<()>,
) -> anyhow::Result<()> {
    let mut read = 0;
    let mut last_message = Instant::now();
    let mut last_trouble = None;
    let mut topic_is_missing = false;
    loop {
        if limits.max_messages.is_some_and(|max| read >= max)
            || limits.at_end && share.is_read_to_the_end()
        {
            return Ok(());
        }
        tokio::select! {
            biased;
            () = shutdown.requested() => return Ok(()),
            Some(rebalance) = ears.rebalances.recv() => {
                share.rebalanced(&rebalance);
                if let Some(waiting) = &mut ears.waiting {
                    waiting.rebalanced(&rebalance);
                }
                match &rebalance {
                    Rebalance::Revoked(none) if none.is_empty() => continue,
                    // There is nothing to assign, and the keeper tells why.
                    Rebalance::Assigned(none) if none.is_empty() && topic_is_missing => continue,
                    _ => on(Event::Rebalance(rebalance))?,
                }
            }
            sentence = ears.keeper.news() => {
                topic_is_missing = false;
                on(Event::News(sentence))?;
            }
            sentence = news(&mut ears.waiting) => on(Event::News(sentence))?,
            result = consumer.recv() => match result {
                Ok(message) => {
                    share.at_end.remove(&message.partition());
                    last_trouble = None;
                    last_message = Instant::now();
                    read += 1;
                    on(Event::Message(&message))?;
                    store(consumer, &message, on)?;
                }
                Err(KafkaError::PartitionEOF(partition)) => {
                    share.at_end.insert(partition);
                }
                Err(KafkaError::MessageConsumptionFatal(code)) => {
                    bail!("The consumer cannot go on: {}.", client::words(code))
                }
                Err(error) if is_about_a_missing_topic(&error) => {
                    topic_is_missing = true;
                    ears.keeper.look();
                }
                Err(error) => {
                    // librdkafka goes on trying, and says the same again and again.
                    let sentence = sentence(&error);
                    if last_trouble.as_ref() != Some(&sentence) {
                        on(Event::News(sentence.clone()))?;
                        last_trouble = Some(sentence);
                    }
                }
            },
            () = idle(last_message, limits.idle) => return Ok(()),
        }
    }
}

fn store(
    consumer: &ConsumerStream,
    message: &BorrowedMessage<'_>,
    on: &mut impl FnMut(Event<'_>) -> io::Result<()>,
) -> io::Result<()> {
    match consumer.store_offset_from_message(message) {
        // Another member has the partition now, or `-X enable.auto.offset.store=true` does it for us.
        Ok(())
        | Err(KafkaError::StoreOffset(
            RDKafkaErrorCode::State | RDKafkaErrorCode::InvalidArgument,
        )) => Ok(()),
        Err(error) => on(Event::News(format!("The offset could not be stored: {error}."))),
    }
}

/// Commits and leaves the group. Both need the broker, so both have a limit.
async fn finish(consumer: ConsumerStream) -> Option<String> {
    let consumer = Arc::new(consumer);
    let committing = consumer.clone();
    // librdkafka's calls block their thread.
    let commit =
        tokio::task::spawn_blocking(move || committing.commit_consumer_state(CommitMode::Sync));
    let trouble = match timeout(LAST_COMMIT, commit).await {
        // The second: there is nothing new to commit.
        Ok(Ok(Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)))) => None,
        Ok(Ok(Err(KafkaError::ConsumerCommit(code)))) => Some(client::words(code)),
        Ok(Ok(Err(error))) => Some(error.to_string()),
        Ok(Err(error)) => Some(error.to_string()),
        Err(_elapsed) => Some("no broker answered".to_owned()),
    };
    let closed = tokio::task::spawn_blocking(move || drop(consumer));
    // Without its farewell the group notices after session.timeout.ms.
    let _ = timeout(LAST_COMMIT, closed).await;
    trouble.map(|why| {
        format!("The last offsets are not committed ({why}). Their messages will be read again.")
    })
}

async fn news(waiting: &mut Option<Waiting>) -> String {
    match waiting {
        Some(waiting) => waiting.news().await,
        None => std::future::pending().await,
    }
}

async fn idle(since: Instant, limit: Option<Duration>) {
    match limit {
        Some(limit) => sleep_until(since + limit).await,
        None => std::future::pending().await,
    }
}

/// A consumer's error that a [`Keeper`] should look into.
pub fn is_about_a_missing_topic(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::UnknownTopicId
        )
    )
}

fn sentence(error: &KafkaError) -> String {
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::Resolve,
        ) => "The broker does not answer. Trying again.".to_owned(),
        Some(code) => format!("Nothing can be read now: {}. Trying again.", client::words(code)),
        None => format!("Nothing can be read now: {error}. Trying again."),
    }
}
