//! The consumer: bytes in, events out.
//!
//! At least once: the offset of an event is stored after the event was printed. Stored offsets are committed every few
//! seconds and at the end. A record that holds no event is reported and skipped: reading it again would not help.

use crate::event::{DecodeError, UserEvent, decode};
use anyhow::Context as _;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use shared::client::{ConsumerStream, Rebalance};
use shared::shutdown::Shutdown;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long the commit at the end may take.
const LAST_COMMIT: Duration = Duration::from_secs(5);

/// When to stop without Ctrl-C. The default is never.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    pub max_messages: Option<u64>,
    /// At the end of all partitions; needs `enable.partition.eof`.
    pub at_end: bool,
}

/// A record, and the event in it.
#[derive(Debug)]
pub struct Received {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// Bytes of the record's value.
    pub bytes: usize,
    pub event: Result<UserEvent, DecodeError>,
}

/// What was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Read {
    pub events: u64,
    /// Records that hold no event.
    pub others: u64,
    /// Bytes of all values.
    pub bytes: u64,
}

/// What happens while records are read.
#[derive(Debug)]
pub enum Step {
    Received(Received),
    /// A problem. Reading goes on.
    Trouble(String),
}

/// Reads until a limit or `shutdown`, and calls `on` for every step. At the end it commits what `on` has seen.
pub async fn receive(
    consumer: ConsumerStream,
    mut rebalances: mpsc::UnboundedReceiver<Rebalance>,
    topic: &str,
    limits: Limits,
    shutdown: &Shutdown,
    mut on: impl FnMut(Step) -> io::Result<()>,
) -> anyhow::Result<Read> {
    consumer.subscribe(&[topic]).with_context(|| format!("{topic} cannot be subscribed to"))?;
    let mut read = Read::default();
    let (mut mine, mut at_end) = (BTreeSet::new(), BTreeSet::new());
    let mut last_trouble = None;
    loop {
        if limits.max_messages.is_some_and(|max| read.events + read.others >= max)
            || limits.at_end && !mine.is_empty() && mine.is_subset(&at_end)
        {
            break;
        }
        tokio::select! {
            biased;
            () = shutdown.requested() => break,
            Some(rebalance) = rebalances.recv() => match rebalance {
                Rebalance::Assigned(partitions) => {
                    mine.extend(partitions.into_iter().map(|(_, partition)| partition));
                }
                Rebalance::Revoked(partitions) => {
                    for (_, partition) in partitions {
                        mine.remove(&partition);
                        at_end.remove(&partition);
                    }
                }
                Rebalance::Failed(why) => on(Step::Trouble(why))?,
            },
            result = consumer.recv() => match result {
                Ok(record) => {
                    at_end.remove(&record.partition());
                    last_trouble = None;
                    let value = record.payload().unwrap_or_default();
                    let event = decode(value);
                    match &event {
                        Ok(_) => read.events += 1,
                        Err(_) => read.others += 1,
                    }
                    read.bytes += value.len() as u64;
                    on(Step::Received(Received {
                        topic: record.topic().to_owned(),
                        partition: record.partition(),
                        offset: record.offset(),
                        bytes: value.len(),
                        event,
                    }))?;
                    match consumer.store_offset_from_message(&record) {
                        // Another member has the partition now. It will read this record again.
                        Ok(()) | Err(KafkaError::StoreOffset(RDKafkaErrorCode::State)) => {}
                        Err(error) => on(Step::Trouble(format!("The offset could not be stored: {error}.")))?,
                    }
                }
                Err(KafkaError::PartitionEOF(partition)) => {
                    at_end.insert(partition);
                }
                Err(KafkaError::MessageConsumptionFatal(code)) => {
                    anyhow::bail!("The consumer cannot go on: {code}.")
                }
                Err(error) => {
                    // librdkafka tries again, and reports the same error each time.
                    let sentence = sentence(&error);
                    if last_trouble.as_ref() != Some(&sentence) {
                        on(Step::Trouble(sentence.clone()))?;
                        last_trouble = Some(sentence);
                    }
                }
            },
        }
    }
    if let Some(trouble) = finish(consumer).await {
        on(Step::Trouble(trouble))?;
    }
    Ok(read)
}

/// Commits and leaves the group. Both need the broker, so both have a limit.
async fn finish(consumer: ConsumerStream) -> Option<String> {
    let consumer = Arc::new(consumer);
    let committing = consumer.clone();
    // librdkafka's calls block their thread.
    let commit =
        tokio::task::spawn_blocking(move || committing.commit_consumer_state(CommitMode::Sync));
    let trouble = match tokio::time::timeout(LAST_COMMIT, commit).await {
        // NoOffset: there was nothing new to commit.
        Ok(Ok(Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)))) => None,
        Ok(Ok(Err(error))) => Some(error.to_string()),
        Ok(Err(error)) => Some(error.to_string()),
        Err(_elapsed) => Some("no broker answered".to_owned()),
    };
    let closed = tokio::task::spawn_blocking(move || drop(consumer));
    // If leaving takes too long, the group notices after session.timeout.ms.
    let _ = tokio::time::timeout(LAST_COMMIT, closed).await;
    trouble.map(|why| {
        format!("The last offsets are not committed ({why}). These records will be read again.")
    })
}

fn sentence(error: &KafkaError) -> String {
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::Resolve,
        ) => "The broker does not answer. Trying again.".to_owned(),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
            "The topic is gone. Waiting for it; `make lab3-producer` makes it again.".to_owned()
        }
        Some(code) => format!("Problem: {code}. Trying again."),
        None => format!("Problem: {error}. Trying again."),
    }
}
