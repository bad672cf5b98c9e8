//! Sends a payment at a fixed interval, and waits for the broker's word on each.

use crate::transaction::Transaction;
use anyhow::bail;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureRecord, Producer as _};
use rdkafka::util::Timeout;
use shared::client::{Producer, words};
use std::time::Duration;

/// How long the producer may take to deliver what it still has when it is stopped.
pub const FLUSH: Duration = Duration::from_secs(5);

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// The broker has it, here.
    Delivered {
        /// Its partition.
        partition: i32,
        /// Its offset.
        offset: i64,
    },
    /// Nobody knows whether the broker has it: the answer did not come within `message.timeout.ms`.
    TimedOut,
    /// The broker refused it, for this reason.
    Refused(String),
}

/// Sends one transaction, keyed by its payer.
///
/// # Errors
/// When this producer cannot send anything any more.
pub async fn send(
    producer: &Producer,
    topic: &str,
    transaction: &Transaction,
) -> anyhow::Result<Sent> {
    let value = transaction.to_json();
    let record = FutureRecord::to(topic).key(&transaction.from).payload(&value);
    match producer.send(record, Timeout::Never).await {
        Ok(delivery) => {
            Ok(Sent::Delivered { partition: delivery.partition, offset: delivery.offset })
        }
        Err((KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut), _)) => {
            Ok(Sent::TimedOut)
        }
        Err((KafkaError::MessageProduction(code), _)) if code != RDKafkaErrorCode::Fatal => {
            Ok(Sent::Refused(words(code)))
        }
        Err((error, _)) => {
            let reason = producer.client().fatal_error().map_or(error.to_string(), |(_, why)| why);
            bail!("The producer cannot go on: {reason}. Start it again.")
        }
    }
}

/// Waits for what is still on its way, [`FLUSH`] at most; `false` when something is.
pub fn flush(producer: &Producer) -> bool {
    tokio::task::block_in_place(|| producer.flush(FLUSH)).is_ok()
}
