//! The producer: a line in, a message out, and later the delivery report.
//!
//! Sending is asynchronous. [`send_result`](rdkafka::producer::FutureProducer::send_result) only queues the message;
//! the broker's answer, partition and offset or an error, arrives as a future. So lines are read on while reports are
//! outstanding, and a report that never came is known at the end.

use crate::{CHOSEN_BY, Lab, Mode};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{DeliveryFuture, FutureRecord};
use shared::client::{Producer, words};
use shared::config::{Client, Config};
use shared::keeper::Keeper;
use shared::partitioner::{Choice, Partitioner};
use shared::report::Partitions;
use shared::shutdown::Shutdown;
use std::collections::VecDeque;
use std::io;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long outstanding reports are waited for after Ctrl-C.
const FLUSH: Duration = Duration::from_secs(5);

/// Where lines go, and why.
#[derive(Debug, Clone)]
pub struct Plan {
    pub topic: String,
    pub partitions: i32,
    mode: Mode,
    partitioner: Partitioner,
    fixed: Option<i32>,
    message_timeout: String,
}

impl Plan {
    /// The plan that the configuration asks for, for a topic that has `partitions`. `fixed` overrides it.
    pub fn new(config: &Config<Lab>, partitions: i32, fixed: Option<i32>) -> Self {
        let property =
            |name| config.property(Client::Producer, name).map_or("", |setting| &setting.value);
        Self {
            topic: config.topic.name.clone(),
            partitions,
            mode: config.lab.mode,
            partitioner: Partitioner::named(property("partitioner")).unwrap_or(Partitioner::Crc32),
            fixed,
            message_timeout: property("message.timeout.ms").to_owned(),
        }
    }

    /// The key of line `n` (from 0), and the choice of its partition.
    pub fn place<'a>(&self, n: u64, line: &'a [u8]) -> (Option<&'a [u8]>, Choice) {
        let key = match self.mode {
            Mode::Keyed => line.split(u8::is_ascii_whitespace).find(|word| !word.is_empty()),
            Mode::RoundRobin | Mode::Sticky => None,
        };
        let choice = match (self.fixed, self.mode) {
            (Some(partition), _) => Choice::Fixed { partition },
            (None, Mode::Keyed) => self.partitioner.choose(key, self.partitions),
            (None, Mode::RoundRobin) => Choice::round_robin(n, self.partitions),
            (None, Mode::Sticky) => Choice::Sticky,
        };
        (key, choice)
    }

    /// The plan as a sentence, for the banner.
    pub fn describe(&self) -> String {
        match (self.fixed, self.mode) {
            (Some(partition), _) => format!("every line goes to partition {partition}"),
            (None, Mode::Keyed) => {
                format!(
                    "keyed: the first word is the key, {} of it % {} is the partition",
                    self.partitioner, self.partitions
                )
            }
            (None, Mode::RoundRobin) => {
                format!("round robin: no key, line number % {} is the partition", self.partitions)
            }
            (None, Mode::Sticky) => "sticky: no key, librdkafka picks the partition".to_owned(),
        }
    }
}

/// What became of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub line: Vec<u8>,
    pub key: Option<Vec<u8>>,
    pub choice: Choice,
    /// Partition and offset, or why there are none.
    pub result: Result<(i32, i64), String>,
}

/// What happens while lines are sent.
#[derive(Debug)]
pub enum Event {
    /// Every line so far has its report.
    Idle,
    /// The report of a line, in the order of the lines.
    Report(Report),
    /// A sentence about the broker.
    News(String),
}

/// The end of the story.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    pub delivered: Partitions,
    pub failed: u64,
    /// No report came in time: perhaps delivered, perhaps not.
    pub unknown: u64,
}

/// Sends lines until there are no more, or until `shutdown`; every event goes to `on`.
pub async fn produce(
    producer: &Producer,
    plan: &Plan,
    mut keeper: Keeper,
    mut lines: mpsc::Receiver<Vec<u8>>,
    shutdown: &Shutdown,
    mut on: impl FnMut(Event) -> io::Result<()>,
) -> io::Result<Sent> {
    let mut sent = Sent::default();
    let mut outstanding = VecDeque::new();
    let mut n = 0;
    on(Event::Idle)?;
    loop {
        let step = tokio::select! {
            biased;
            () = shutdown.requested() => break,
            report = next_report(&mut outstanding, plan) => Step::Report(report),
            sentence = keeper.news() => Step::News(sentence),
            line = lines.recv() => Step::Line(line),
        };
        match step {
            Step::Report(report) => {
                sent.count(&report);
                on(Event::Report(report))?;
                if outstanding.is_empty() {
                    on(Event::Idle)?;
                }
            }
            Step::News(sentence) => {
                on(Event::News(sentence))?;
                if outstanding.is_empty() {
                    on(Event::Idle)?;
                }
            }
            Step::Line(Some(line)) if line.trim_ascii().is_empty() => {
                if outstanding.is_empty() {
                    on(Event::Idle)?;
                }
            }
            Step::Line(Some(line)) => {
                // A full queue is back pressure: make room by waiting for the oldest report.
                while let Err(NoRoom) = queue(producer, plan, n, &line, &mut outstanding) {
                    let report = next_report(&mut outstanding, plan).await;
                    sent.count(&report);
                    on(Event::Report(report))?;
                }
                n += 1;
            }
            Step::Line(None) => break,
        }
    }

    // The end of the input or Ctrl-C: what is queued is still on its way.
    let mut rest: io::Result<()> = Ok(());
    let flush = async {
        while !outstanding.is_empty() {
            let report = next_report(&mut outstanding, plan).await;
            sent.count(&report);
            // Nobody may be left to read it, and still the message should arrive.
            rest = std::mem::replace(&mut rest, Ok(())).and(on(Event::Report(report)));
        }
    };
    let too_late = async {
        shutdown.requested().await;
        tokio::time::sleep(FLUSH).await;
    };
    tokio::select! {
        () = flush => {}
        () = too_late => {}
    }
    rest?;
    sent.unknown = outstanding.len() as u64;
    Ok(sent)
}

impl Sent {
    fn count(&mut self, report: &Report) {
        match &report.result {
            Ok((partition, offset)) => self.delivered.add(*partition, *offset),
            Err(_) => self.failed += 1,
        }
    }
}

enum Step {
    Report(Report),
    News(String),
    Line(Option<Vec<u8>>),
}

/// A message on its way.
struct Outstanding {
    line: Vec<u8>,
    key: Option<Vec<u8>>,
    choice: Choice,
    delivery: Delivery,
}

enum Delivery {
    Queued(DeliveryFuture),
    /// librdkafka refused it at once: it is too large, for example.
    Refused(KafkaError),
}

struct NoRoom;

fn queue(
    producer: &Producer,
    plan: &Plan,
    n: u64,
    line: &[u8],
    outstanding: &mut VecDeque<Outstanding>,
) -> Result<(), NoRoom> {
    let (key, choice) = plan.place(n, line);
    let why = choice.to_string();
    let mut record = FutureRecord::<[u8], [u8]>::to(&plan.topic)
        .payload(line)
        .headers(OwnedHeaders::new().insert(Header { key: CHOSEN_BY, value: Some(&why) }));
    if let Some(key) = key {
        record = record.key(key);
    }
    if let Some(partition) = choice.explicit() {
        record = record.partition(partition);
    }
    let delivery = match producer.send_result(record) {
        Ok(future) => Delivery::Queued(future),
        Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _))
            if !outstanding.is_empty() =>
        {
            return Err(NoRoom);
        }
        Err((error, _)) => Delivery::Refused(error),
    };
    outstanding.push_back(Outstanding {
        line: line.to_owned(),
        key: key.map(<[u8]>::to_owned),
        choice,
        delivery,
    });
    Ok(())
}

/// The report of the oldest line. Waits for ever when there is none; nothing is lost when it is dropped half-way.
async fn next_report(outstanding: &mut VecDeque<Outstanding>, plan: &Plan) -> Report {
    let Some(oldest) = outstanding.front_mut() else { return std::future::pending().await };
    let result = match &mut oldest.delivery {
        Delivery::Queued(future) => match future.await {
            Ok(Ok(delivery)) => Ok((delivery.partition, delivery.offset)),
            Ok(Err((error, _message))) => Err(not_delivered(&error, plan)),
            Err(_canceled) => Err("the producer was closed before the broker answered".to_owned()),
        },
        Delivery::Refused(error) => Err(not_queued(error)),
    };
    let Some(Outstanding { line, key, choice, .. }) = outstanding.pop_front() else {
        unreachable!("it was in front above")
    };
    Report { line, key, choice, result }
}

/// Why librdkafka does not even try.
fn not_queued(error: &KafkaError) -> String {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
            "it is larger than this producer may send (message.max.bytes)".to_owned()
        }
        Some(RDKafkaErrorCode::UnknownPartition) => "the topic has no such partition".to_owned(),
        Some(code) => format!("librdkafka refused it: {}", words(code)),
        None => error.to_string(),
    }
}

/// Why librdkafka gave it up, or what the broker answered.
fn not_delivered(error: &KafkaError, plan: &Plan) -> String {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::MessageTimedOut) => {
            format!(
                "no broker acknowledged it within {} ms (message.timeout.ms)",
                plan.message_timeout
            )
        }
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
            "the broker refused it: it is larger than the topic allows (max.message.bytes)".to_owned()
        }
        Some(RDKafkaErrorCode::InvalidRecord) => {
            "the broker refused it as invalid. A topic with cleanup.policy=compact takes no message without a key"
                .to_owned()
        }
        Some(RDKafkaErrorCode::UnknownPartition) => "the topic has no such partition".to_owned(),
        Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition) => {
            format!("the topic {} is gone", plan.topic)
        }
        Some(code) => format!("the broker refused it: {}", words(code)),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(mode: Mode, fixed: Option<i32>) -> Plan {
        Plan {
            topic: "lab1".to_owned(),
            partitions: 3,
            mode,
            partitioner: Partitioner::Crc32,
            fixed,
            message_timeout: "5000".to_owned(),
        }
    }

    #[test]
    fn keyed_takes_the_first_word_and_its_hash() {
        let plan = plan(Mode::Keyed, None);
        for (n, line) in ["u1 click 10", "  u1", "u1\tview 1"].iter().enumerate() {
            let (key, choice) = plan.place(n as u64, line.as_bytes());
            assert_eq!(
                (key, choice.partition(), choice.explicit()),
                (Some(&b"u1"[..]), Some(2), None),
                "{line}"
            );
        }
    }

    #[test]
    fn round_robin_has_no_key_and_names_the_partition_itself() {
        let plan = plan(Mode::RoundRobin, None);
        let partitions: Vec<_> =
            (0..5).map(|n| plan.place(n, b"u1 click 10").1.explicit()).collect();
        assert_eq!(partitions, [Some(0), Some(1), Some(2), Some(0), Some(1)]);
        assert_eq!(plan.place(0, b"u1 click 10").0, None);
    }

    #[test]
    fn sticky_leaves_it_to_librdkafka_and_a_fixed_partition_to_nobody() {
        assert_eq!(plan(Mode::Sticky, None).place(0, b"u1"), (None, Choice::Sticky));
        let (key, choice) = plan(Mode::Keyed, Some(1)).place(0, b"u1 click");
        assert_eq!((key, choice.explicit()), (Some(&b"u1"[..]), Some(1)));
    }
}
