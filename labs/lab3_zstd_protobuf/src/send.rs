//! The producer sends records and counts what happened to each.
//!
//! `send` only puts a record into librdkafka's queue. A callback reports later whether it was delivered. So every record
//! carries a number, and a record without a report counts as unknown.
//!
//! Why not the `FutureProducer` of Lab 1? It makes a channel for each record. At hundreds of thousands of records a second,
//! [`measure`](mod@crate::measure) would mostly measure these channels.

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use serde::{Deserialize, Serialize};
use shared::config::{Client, Config};
use shared::report::{Partitions, count};
use shared::shutdown::Shutdown;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long to wait for the last reports after Ctrl-C.
const LAST_REPORTS: Duration = Duration::from_secs(5);

/// What to do with an event while the queue is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum WhenFull {
    /// Wait until a report makes room; the producer becomes slower
    #[default]
    Wait,
    /// Count the event as not delivered, and go on
    Drop,
}

/// A producer and the reports of what it sent.
#[expect(missing_debug_implementations, reason = "librdkafka's client has none")]
pub struct Producer {
    client: ThreadedProducer<Reports>,
    reports: mpsc::UnboundedReceiver<Report>,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<K> {
    pub key: K,
    pub value: Vec<u8>,
    /// Milliseconds since 1970; `None`: now.
    pub timestamp: Option<i64>,
}

impl<K> Record<K> {
    pub fn new(key: K, value: Vec<u8>) -> Self {
        Self { key, value, timestamp: None }
    }
}

/// What happened to record `n`, counted from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub n: usize,
    /// Partition and offset, or why there are none.
    pub result: Result<(i32, i64), Failure>,
}

/// Why a record was not delivered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// Nobody acknowledged it within `message.timeout.ms`. The broker may have stored it, if only the answer was lost.
    TimedOut,
    /// It is larger than the producer's `message.max.bytes`, so it never left.
    TooLarge,
    /// The broker refused its batch, which is larger than the topic's `max.message.bytes`.
    BatchTooLarge,
    /// There was no room for it, and it was not to wait.
    QueueFull,
    /// In librdkafka's words.
    Other(String),
}

/// What happened to all records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    pub delivered: Partitions,
    pub failed: BTreeMap<Failure, u64>,
    /// Ctrl-C came before their report.
    pub unknown: u64,
    /// Ctrl-C came before them.
    pub unsent: u64,
    /// How many had to wait for room in the queue.
    pub waited: u64,
    /// Bytes of all values that were handed to the queue.
    pub value_bytes: u64,
}

impl Producer {
    pub fn new(config: &ClientConfig) -> Result<Self, KafkaError> {
        let (sender, reports) = mpsc::unbounded_channel();
        let client = ThreadedProducer::from_config_and_context(config, Reports(sender))?;
        Ok(Self { client, reports })
    }

    /// Sends `total` records, not more than `rate` a second, and waits for their reports. Each goes to `on`.
    ///
    /// The records come from an iterator, so each is encoded just before it is sent.
    pub async fn send<K: AsRef<[u8]>>(
        &mut self,
        topic: &str,
        records: impl ExactSizeIterator<Item = Record<K>>,
        rate: Option<u32>,
        when_full: WhenFull,
        shutdown: &Shutdown,
        mut on: impl FnMut(&Report) -> io::Result<()>,
    ) -> io::Result<Tally> {
        let mut tally = Tally::default();
        let mut outstanding = 0_u64;
        let mut pace = rate.map(|rate| tokio::time::interval(Duration::from_secs(1) / rate.max(1)));
        let stop = shutdown.requested();
        tokio::pin!(stop);

        let mut records = records.enumerate();
        'records: for (n, Record { key, value, timestamp }) in records.by_ref() {
            tally.value_bytes += value.len() as u64;
            while let Some(pace) = &mut pace {
                tokio::select! {
                    biased;
                    () = &mut stop => {
                        tally.unsent += 1;
                        break 'records;
                    }
                    _ = pace.tick() => break,
                    Some(report) = self.reports.recv() => tally.add(&report, &mut outstanding, &mut on)?,
                }
            }
            let mut record = BaseRecord::with_opaque_to(topic, n).key(key.as_ref()).payload(&value);
            if let Some(timestamp) = timestamp {
                record = record.timestamp(timestamp);
            }
            let mut waits = false;
            loop {
                if shutdown.is_requested() {
                    tally.unsent += 1;
                    break 'records;
                }
                match self.client.send(record) {
                    Ok(()) => {
                        outstanding += 1;
                        break;
                    }
                    Err((error, refused))
                        if room(&error) && when_full == WhenFull::Wait && outstanding > 0 =>
                    {
                        record = refused;
                        waits = true;
                        tokio::select! {
                            () = &mut stop => {}
                            Some(report) = self.reports.recv() => tally.add(&report, &mut outstanding, &mut on)?,
                        }
                    }
                    Err((error, _record)) => {
                        let report = Report { n, result: Err(Failure::at_once(&error)) };
                        tally.count(&report);
                        on(&report)?;
                        break;
                    }
                }
            }
            tally.waited += u64::from(waits);
            while let Ok(report) = self.reports.try_recv() {
                tally.add(&report, &mut outstanding, &mut on)?;
            }
        }
        tally.unsent += records.len() as u64;

        // What is queued is still on its way.
        let too_late = async {
            shutdown.requested().await;
            tokio::time::sleep(LAST_REPORTS).await;
        };
        tokio::pin!(too_late);
        while outstanding > 0 {
            tokio::select! {
                Some(report) = self.reports.recv() => tally.add(&report, &mut outstanding, &mut on)?,
                () = &mut too_late => break,
            }
        }
        tally.unknown = outstanding;
        Ok(tally)
    }

    /// One record, acknowledged before this returns: the connection stands and the topic is known.
    pub(crate) fn warm_up(&mut self, topic: &str) -> Result<(), KafkaError> {
        let record: BaseRecord<'_, [u8], [u8], usize> =
            BaseRecord::with_opaque_to(topic, 0).payload(b"");
        self.client.send(record).map_err(|(error, _record)| error)?;
        self.client.flush(Duration::from_secs(10))?;
        while self.reports.try_recv().is_ok() {}
        Ok(())
    }
}

fn room(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull)
}

impl Failure {
    /// `send` itself refused.
    fn at_once(error: &KafkaError) -> Self {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::QueueFull) => Self::QueueFull,
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => Self::TooLarge,
            _ => Self::reported(error),
        }
    }

    /// The delivery report says so.
    fn reported(error: &KafkaError) -> Self {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::MessageTimedOut) => Self::TimedOut,
            // The same code as above, from the broker.
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => Self::BatchTooLarge,
            Some(code) => Self::Other(code.to_string()),
            None => Self::Other(error.to_string()),
        }
    }
}

impl Tally {
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    pub fn is_complete(&self) -> bool {
        self.failures() + self.unknown + self.unsent == 0
    }

    fn add(
        &mut self,
        report: &Report,
        outstanding: &mut u64,
        on: &mut impl FnMut(&Report) -> io::Result<()>,
    ) -> io::Result<()> {
        *outstanding = outstanding.saturating_sub(1);
        self.count(report);
        on(report)
    }

    fn count(&mut self, report: &Report) {
        match &report.result {
            Ok((partition, offset)) => self.delivered.add(*partition, *offset),
            Err(failure) => *self.failed.entry(failure.clone()).or_default() += 1,
        }
    }

    /// One sentence with every count in it.
    pub fn sentence<L>(&self, config: &Config<L>) -> String {
        // As librdkafka has it, its own defaults included.
        let in_force = config.client(Client::Producer).create_native_config();
        let property =
            |name| in_force.as_ref().ok().and_then(|all| all.get(name).ok()).unwrap_or_default();
        let delivered = self.delivered.records();
        let missing = self.failures() + self.unknown + self.unsent;
        let total = delivered + missing;
        if missing == 0 {
            return format!("{delivered} of {} delivered.", count(total, "event"));
        }
        let mut text =
            format!("{delivered} of {} delivered, {missing} not: ", count(total, "event"));
        let mut reasons: Vec<String> = self
            .failed
            .iter()
            .map(|(failure, n)| match failure {
                Failure::TimedOut => format!(
                    "{n} had no answer within message.timeout.ms={}",
                    property("message.timeout.ms")
                ),
                Failure::TooLarge => {
                    format!(
                        "{n} too large for this producer (message.max.bytes={})",
                        property("message.max.bytes")
                    )
                }
                Failure::BatchTooLarge => {
                    format!("{n} in a batch too large for the topic (its max.message.bytes)")
                }
                Failure::QueueFull => format!(
                    "{n} found the queue full (queue.buffering.max.messages={}, queue.buffering.max.kbytes={})",
                    property("queue.buffering.max.messages"),
                    property("queue.buffering.max.kbytes")
                ),
                Failure::Other(words) => format!("{n} refused ({words})"),
            })
            .collect();
        if self.unknown > 0 {
            reasons.push(format!("{} had no answer yet when you stopped it", self.unknown));
        }
        if self.unsent > 0 {
            reasons.push(format!("{} not sent, you stopped it", self.unsent));
        }
        let _ = write!(text, "{}.", reasons.join("; "));
        text
    }
}

/// librdkafka's callbacks: a report into the channel, log lines to `tracing`.
struct Reports(mpsc::UnboundedSender<Report>);

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", ?level, "{facility} {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", "{error}: {reason}");
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, n: usize) {
        let result = match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, _message)) => Err(Failure::reported(error)),
        };
        // Nobody listens any more when the program ends.
        let _ = self.0.send(Report { n, result });
    }
}
