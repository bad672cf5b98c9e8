//! The producer: `new` and `send_message` as in the seed.
//!
//! Corrected inside:
//!
//! * No `Arc<Mutex<BaseProducer>>`. librdkafka's producer is thread-safe, and `FutureProducer` is a handle that can be
//!   cloned: a lock would make web workers queue for nothing.
//! * No `poll()` after sending. It reports only what happens to be finished; `FutureProducer` has a thread that polls,
//!   and the delivery report of each message is a future. So `send_message` is done when the broker has the message.

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

/// How long a message may wait for room in librdkafka's queue.
const ROOM: Duration = Duration::from_secs(5);

impl KafkaProducer {
    /// A producer whose messages fail after `message.timeout.ms` (5 s).
    pub fn new(config: &Config) -> Result<Self> {
        Ok(Self { producer: shared::client::producer(config)? })
    }

    /// A producer whose messages wait for the broker for as long as it takes: for those that are kept elsewhere anyway.
    ///
    /// A message that timed out may still be in the broker, so sending it again makes a duplicate, and the messages
    /// behind it may have overtaken it. Without a timeout the idempotent producer rules out both.
    pub fn patient(config: &Config) -> Result<Self> {
        let mut config = config.clone();
        config.set(Client::Producer, "message.timeout.ms", "0", "the relay")?;
        Self::new(&config)
    }

    /// Sends a message, and waits until the broker has acknowledged it. A failure is logged, and returned.
    pub async fn send_message(&self, topic: &str, key: &str, payload: &str) -> Result<()> {
        let sent = self
            .send(FutureRecord::to(topic).key(key.as_bytes()).payload(payload.as_bytes()))
            .await;
        if let Err(error) = &sent {
            tracing::warn!(topic, key, "The message could not be sent: {error}");
        }
        sent.with_context(|| format!("The message for {topic} could not be sent"))
    }

    /// Sends any record: a key or a payload of any bytes or none, with headers.
    pub async fn send(&self, record: FutureRecord<'_, [u8], [u8]>) -> Result<(), KafkaError> {
        self.producer.send(record, ROOM).await.map(drop).map_err(|(error, _message)| error)
    }

    /// Queues a message, and leaves it to the caller when to wait for the report: so many share a batch, in this order.
    pub fn enqueue(
        &self,
        topic: &str,
        key: &str,
        payload: &str,
    ) -> Result<DeliveryFuture, KafkaError> {
        let record = FutureRecord::to(topic).key(key).payload(payload);
        self.producer.send_result(record).map_err(|(error, _record)| error)
    }

    /// The reason why this producer will never send again; a new one may.
    pub fn fatal(&self) -> Option<String> {
        self.producer.client().fatal_error().map(|(_code, reason)| reason)
    }
}

/// Will the broker never take this message, however often it is sent?
pub fn is_refused(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::MessageSizeTooLarge
                | RDKafkaErrorCode::InvalidMessage
                | RDKafkaErrorCode::InvalidRecord
        )
    )
}
