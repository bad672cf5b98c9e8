//! Dead letters: messages that a group could not handle. They are kept with the reason, and can be sent back later.
//!
//! A dead letter has the key, the payload and the headers of its original, and headers of its own:
//! `original-topic`, `original-partition`, `original-offset`, `group`, `error`, and `attempt` (how often the message was
//! tried so far, before earlier redrives too).
//!
//! The headers make a letter larger than its original. If the broker refuses it, a letter without payload takes its
//! place. It has one more header, `original-size`, and says where the original is.

use super::lag::{self, Lag};
use super::producer::is_refused;
use super::reader::Reader;
use super::{KafkaProducer, Message};
use crate::{Config, Stream, dead_letters};
use anyhow::{Context as _, Result, anyhow};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::FutureRecord;
use shared::shutdown::Shutdown;
use std::time::Duration;

pub const ORIGINAL_TOPIC: &str = "original-topic";
pub const ORIGINAL_PARTITION: &str = "original-partition";
pub const ORIGINAL_OFFSET: &str = "original-offset";
pub const ORIGINAL_SIZE: &str = "original-size";
pub const GROUP: &str = "group";
pub const ERROR: &str = "error";
pub const ATTEMPT: &str = "attempt";

const OWN: [&str; 7] =
    [ORIGINAL_TOPIC, ORIGINAL_PARTITION, ORIGINAL_OFFSET, ORIGINAL_SIZE, GROUP, ERROR, ATTEMPT];
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// A reason may quote the message. So much of it is enough.
const LONGEST_REASON: usize = 1000;

/// A message that nobody could handle.
#[derive(Debug, Clone, Copy)]
pub struct Letter<'a> {
    pub message: &'a Message,
    /// Who has given up.
    pub group: &'a str,
    /// Why.
    pub reason: &'a str,
    /// After so many attempts.
    pub attempts: usize,
}

/// What is in the dead letter topic now.
#[derive(Debug, PartialEq, Eq)]
pub enum Buried {
    Whole,
    /// The broker has refused the whole letter.
    WithoutPayload,
    /// The broker has refused the small letter too, for this reason.
    Not(String),
}

impl Letter<'_> {
    /// Puts the message among the dead letters, and waits for the broker as long as it takes: before the letter is there,
    /// the message's offset must not be stored.
    pub async fn bury(&self, config: &Config, producer: &KafkaProducer) -> Buried {
        let topic = dead_letters(config, &self.message.topic);
        let whole = record(self.message, &topic, self.headers(foreign_headers(self.message), None));
        let Err(refusal) = self.send(producer, whole).await else { return Buried::Whole };
        tracing::info!("{}: the letter was refused ({refusal})", self.message.place());
        let headers = self.headers(OwnedHeaders::new(), Some(self.message.size()));
        let small = FutureRecord::to(&topic).headers(headers);
        match self.send(producer, small).await {
            Ok(()) => Buried::WithoutPayload,
            Err(refusal) => Buried::Not(refusal.to_string()),
        }
    }

    /// Sends until the broker has taken it or refuses it for good.
    async fn send(
        &self,
        producer: &KafkaProducer,
        record: FutureRecord<'_, [u8], [u8]>,
    ) -> Result<(), KafkaError> {
        let topic = record.topic;
        loop {
            // A record is used up by sending it.
            let copy = FutureRecord { headers: record.headers.clone(), ..record };
            match producer.send(copy).await {
                Ok(()) => return Ok(()),
                Err(error) if is_refused(&error) => return Err(error),
                Err(error) => {
                    let place = self.message.place();
                    tracing::warn!("{place} could not be put into {topic}: {error}; trying again.");
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
            }
        }
    }

    fn headers(&self, foreign: OwnedHeaders, size: Option<usize>) -> OwnedHeaders {
        let Self { message, group, reason, attempts } = *self;
        let earlier: usize =
            message.header(ATTEMPT).and_then(|text| text.parse().ok()).unwrap_or(0);
        let reason: String = reason.chars().take(LONGEST_REASON).collect();
        let own = [
            (ORIGINAL_TOPIC, Some(message.topic.clone())),
            (ORIGINAL_PARTITION, Some(message.partition.to_string())),
            (ORIGINAL_OFFSET, Some(message.offset.to_string())),
            (ORIGINAL_SIZE, size.map(|size| size.to_string())),
            (GROUP, Some(group.to_owned())),
            (ERROR, Some(reason)),
            (ATTEMPT, Some((earlier + attempts).to_string())),
        ];
        let own = own.iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
        own.fold(foreign, |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value) })
        })
    }
}

/// What a redrive did with a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redriven {
    /// It is in this topic again.
    BackTo(String),
    /// It cannot be sent back, for this reason. The next redrive does not look at it again.
    Stays(String),
}

/// Sends every dead letter back to its topic, and tells `on` about each.
///
/// Dead letters that arrive in the meantime are left for the next redrive: otherwise a message that always fails would go
/// round for ever. The group `redrive_group` commits what was sent back. A crash before the commit sends some of them
/// twice, and the event id makes that harmless.
pub async fn redrive(
    config: &Config,
    shutdown: &Shutdown,
    mut on: impl FnMut(&Message, &Redriven),
) -> Result<u64> {
    let producer = KafkaProducer::of_dead_letters(config)?;
    let mut sent = 0;
    for stream in Stream::ALL {
        let topic = stream.dead_letters(config);
        for lag in lag::of(config, &config.lab.redrive_group, &[topic]).await? {
            sent += redrive_partition(config, &producer, &lag, shutdown, &mut on).await?;
        }
    }
    Ok(sent)
}

/// The dead letters that nobody has sent back yet.
pub async fn waiting(config: &Config) -> Result<Vec<Message>> {
    let mut waiting = Vec::new();
    for stream in Stream::ALL {
        for lag in
            lag::of(config, &config.lab.redrive_group, &[stream.dead_letters(config)]).await?
        {
            let mut letters = Reader::open(config, &lag)?;
            while let Some(letter) = letters.next().await? {
                waiting.push(letter);
            }
        }
    }
    Ok(waiting)
}

async fn redrive_partition(
    config: &Config,
    producer: &KafkaProducer,
    lag: &Lag,
    shutdown: &Shutdown,
    on: &mut impl FnMut(&Message, &Redriven),
) -> Result<u64> {
    let mut sent = 0;
    if lag.lag() == 0 {
        return Ok(sent);
    }
    let mut letters = Reader::open(config, lag)?;
    let mut failure = None;
    while !shutdown.is_requested()
        && let Some(letter) = letters.next().await?
    {
        match send_back(producer, &letter).await {
            Ok(redriven) => {
                sent += u64::from(matches!(redriven, Redriven::BackTo(_)));
                on(&letter, &redriven);
            }
            Err(error) => {
                failure = Some(anyhow!(
                    "{} could not be sent back ({error}). Try again.",
                    letter.place()
                ));
                letters.go_back_to(letter.offset);
                break;
            }
        }
    }
    letters
        .commit()
        .await
        .context("What was sent back could not be committed; the next redrive sends it again")?;
    failure.map_or(Ok(sent), Err)
}

async fn send_back(producer: &KafkaProducer, letter: &Message) -> Result<Redriven, KafkaError> {
    let header = |name| letter.header(name).unwrap_or("?");
    let Some(original) = letter.header(ORIGINAL_TOPIC) else {
        return Ok(Redriven::Stays("it does not say where it came from".to_owned()));
    };
    if letter.header(ORIGINAL_SIZE).is_some() {
        let (partition, offset) = (header(ORIGINAL_PARTITION), header(ORIGINAL_OFFSET));
        return Ok(Redriven::Stays(format!(
            "it has no payload; the original is {original}[{partition}]@{offset}"
        )));
    }
    let attempt = letter.header(ATTEMPT).unwrap_or("0");
    let headers = foreign_headers(letter).insert(Header { key: ATTEMPT, value: Some(attempt) });
    match producer.send(record(letter, original, headers)).await {
        Ok(()) => Ok(Redriven::BackTo(original.to_owned())),
        Err(error) if is_refused(&error) => {
            Ok(Redriven::Stays(format!("{original} refuses it ({error})")))
        }
        Err(error) => Err(error),
    }
}

fn record<'a>(
    message: &'a Message,
    topic: &'a str,
    headers: OwnedHeaders,
) -> FutureRecord<'a, [u8], [u8]> {
    let mut record = FutureRecord::to(topic).headers(headers);
    record.key = message.key.as_deref();
    record.payload = message.payload.as_deref();
    record
}

/// The headers that the message had before it became a dead letter.
fn foreign_headers(message: &Message) -> OwnedHeaders {
    let foreign = message.headers.iter().filter(|(key, _)| !OWN.contains(&key.as_str()));
    foreign.fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(Header { key, value: value.as_deref() })
    })
}
