//! The producer: `new` and `send_message`.
//!
//! Two habits from examples are not here:
//!
//! * No `Arc<Mutex<BaseProducer>>`. librdkafka's producer is thread-safe, and `FutureProducer` is a handle that can be
//!   cloned. A lock would make web workers wait for each other.
//! * No `poll()` after sending. It reports only what is finished by then. `FutureProducer` has a thread that polls, and
//!   the delivery report of each message is a future. So `send_message` ends when the broker has the message.

use crate::Config;
use anyhow::{Context as _, Result};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryFuture, FutureRecord, Producer as _};
use shared::client::Producer;
use shared::config::Client;
use std::time::Duration;

/// Sends messages. A clone is the same producer.
#[derive(Clone)]
pub struct KafkaProducer {
    producer: Producer,
}

/// A message may wait so long for room in librdkafka's queue.
const ROOM: Duration = Duration::from_secs(5);

impl KafkaProducer {
    /// A producer whose messages fail after `message.timeout.ms` (5 s).
    pub fn new(config: &Config) -> Result<Self> {
        Ok(Self { producer: shared::client::producer(config)? })
    }

    /// A producer whose messages wait for the broker as long as it takes, for messages that are also kept elsewhere.
    ///
    /// A message that timed out may still be in the broker. Sending it again makes a duplicate, and the next messages may
    /// have overtaken it. An idempotent producer without a time-out rules out both.
    pub fn patient(config: &Config) -> Result<Self> {
        let mut config = config.clone();
        config.set(Client::Producer, "message.timeout.ms", "0", "the relay")?;
        Self::new(&config)
    }

    /// A patient producer that may send larger messages than others.
    pub fn of_dead_letters(config: &Config) -> Result<Self> {
        let mut config = config.clone();
        let limit = config.lab.dead_letter_bytes.to_string();
        config.set(Client::Producer, "message.max.bytes", &limit, "dead_letter_bytes")?;
        Self::patient(&config)
    }

    /// Sends a message, and waits until the broker has acknowledged it. A failure is logged and returned.
    pub async fn send_message(&self, topic: &str, key: &str, payload: &str) -> Result<()> {
        let sent = self
            .send(FutureRecord::to(topic).key(key.as_bytes()).payload(payload.as_bytes()))
            .await;
        if let Err(error) = &sent {
            tracing::warn!(topic, key, "The message could not be sent: {error}");
        }
        sent.with_context(|| format!("The message for {topic} could not be sent"))
    }

    /// Sends any record: with or without key and payload, of any bytes, with headers.
    pub async fn send(&self, record: FutureRecord<'_, [u8], [u8]>) -> Result<(), KafkaError> {
        self.producer.send(record, ROOM).await.map(drop).map_err(|(error, _message)| error)
    }

    /// Queues a message. The caller waits for the report later, so that many messages share a batch, in this order.
    pub fn enqueue(
        &self,
        topic: &str,
        key: &str,
        payload: &str,
    ) -> Result<DeliveryFuture, KafkaError> {
        let record = FutureRecord::to(topic).key(key).payload(payload);
        self.producer.send_result(record).map_err(|(error, _record)| error)
    }

    /// Why this producer will never send again. A new one may.
    pub fn fatal(&self) -> Option<String> {
        self.producer.client().fatal_error().map(|(_code, reason)| reason)
    }
}

/// Is this message refused for good, however often it is sent?
pub fn is_refused(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::MessageSizeTooLarge
                | RDKafkaErrorCode::MessageBatchTooLarge
                | RDKafkaErrorCode::InvalidMessage
                | RDKafkaErrorCode::InvalidRecord
        )
    )
}
