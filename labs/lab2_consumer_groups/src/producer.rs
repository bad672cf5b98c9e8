//! Sends a payment at a fixed interval, and waits for the broker's word on each.

use crate::transaction::Transaction;
use anyhow::bail;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureRecord, Producer as _};
use rdkafka::util::Timeout;
use shared::client::Producer;
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
}

/// Sends one transaction, keyed by its payer.
///
/// # Errors
/// When the broker refuses it; another one would be refused as well.
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
        Err((error, _)) => {
            bail!("Transaction {} could not be sent to {topic}: {error}.", transaction.id)
        }
    }
}

/// Waits for what is still on its way, [`FLUSH`] at most; `false` when something is.
pub fn flush(producer: &Producer) -> bool {
    tokio::task::block_in_place(|| producer.flush(FLUSH)).is_ok()
}
