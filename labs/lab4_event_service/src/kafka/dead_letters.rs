//! Dead letters: messages that a group could not handle, kept with the reason, and sent back when it is gone.
//!
//! A dead letter has the key, the payload and the headers of its original, and headers of its own:
//! `original-topic`, `original-partition`, `original-offset`, `group`, `error`, and `attempt`: how often it was tried
//! so far, over all its lives.

use super::lag::{self, Lag};
use super::reader::Reader;
use super::{KafkaProducer, Message};
use crate::handling::Failure;
use crate::{Config, Stream, dead_letters};
use anyhow::{Context as _, Result};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::FutureRecord;
use shared::shutdown::Shutdown;
use std::time::Duration;

pub const ORIGINAL_TOPIC: &str = "original-topic";
pub const ORIGINAL_PARTITION: &str = "original-partition";
pub const ORIGINAL_OFFSET: &str = "original-offset";
pub const GROUP: &str = "group";
pub const ERROR: &str = "error";
pub const ATTEMPT: &str = "attempt";

const OWN: [&str; 6] = [ORIGINAL_TOPIC, ORIGINAL_PARTITION, ORIGINAL_OFFSET, GROUP, ERROR, ATTEMPT];
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Puts the message among the dead letters, however long that takes: until it is there, its offset must not be stored.
pub async fn bury(
    config: &Config,
    producer: &KafkaProducer,
    group: &str,
    message: &Message,
    failure: &Failure,
    attempts: usize,
) {
    let topic = dead_letters(config, &message.topic);
    let earlier: usize = message.header(ATTEMPT).and_then(|text| text.parse().ok()).unwrap_or(0);
    let own = [
        (ORIGINAL_TOPIC, message.topic.clone()),
        (ORIGINAL_PARTITION, message.partition.to_string()),
        (ORIGINAL_OFFSET, message.offset.to_string()),
        (GROUP, group.to_owned()),
        (ERROR, failure.reason().to_owned()),
        (ATTEMPT, (earlier + attempts).to_string()),
    ];
    let mut headers = foreign_headers(message);
    for (key, value) in &own {
        headers = headers.insert(Header { key, value: Some(value) });
    }
    while let Err(error) = producer.send(record(message, &topic, headers.clone())).await {
        tracing::warn!("{} could not be put into {topic}: {error}; trying again.", message.place());
        tokio::time::sleep(AFTER_FAILURE).await;
    }
}

/// Sends every dead letter of now back to the topic it came from, and says where it was and what came of it.
///
/// Dead letters that arrive meanwhile are left for the next time, or one that can never be handled would go round and
/// round. What was sent back is committed in the group `redrive_group`; a crash before that sends some twice, which
/// their event ids make harmless.
pub async fn redrive(
    config: &Config,
    shutdown: &Shutdown,
    mut on: impl FnMut(&Message, &str),
) -> Result<u64> {
    let producer = KafkaProducer::new(config)?;
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
    on: &mut impl FnMut(&Message, &str),
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
        let Some(original) = letter.header(ORIGINAL_TOPIC) else {
            tracing::warn!(
                "{} does not say where it came from; it stays where it is.",
                letter.place()
            );
            continue;
        };
        let attempt = letter.header(ATTEMPT).unwrap_or("0");
        let headers =
            foreign_headers(&letter).insert(Header { key: ATTEMPT, value: Some(attempt) });
        if let Err(error) = producer.send(record(&letter, original, headers)).await {
            failure =
                Some(format!("{} could not be sent back ({error}); try again", letter.place()));
            letters.go_back_to(letter.offset);
            break;
        }
        on(&letter, original);
        sent += 1;
    }
    letters
        .commit()
        .await
        .context("What was sent back could not be committed; the next redrive sends it again")?;
    failure.map_or(Ok(sent), |failure| Err(anyhow::anyhow!(failure)))
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

/// The headers that the message was born with.
fn foreign_headers(message: &Message) -> OwnedHeaders {
    let foreign = message.headers.iter().filter(|(key, _)| !OWN.contains(&key.as_str()));
    foreign.fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(Header { key, value: value.as_deref() })
    })
}
