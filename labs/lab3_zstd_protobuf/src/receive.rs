//! The consumer: bytes in, events out. The loop that reads the records is [`shared::consume`](mod@shared::consume).
//!
//! A record that holds no event is reported and skipped: reading it again would not help.

use crate::Lab;
use crate::event::{DecodeError, UserEvent, decode};
use rdkafka::message::{BorrowedMessage, Message as _};
use shared::client::Cluster;
use shared::config::Config;
use shared::consume::{Event, From, Limits, consume};
use shared::shutdown::Shutdown;
use std::io;

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
    /// A sentence about what stands in the way. Reading goes on.
    News(String),
}

/// Reads until a limit or `shutdown`; every step goes to `on`. What `on` has seen is committed at the end.
///
/// # Errors
/// When the consumer cannot go on, or when `on` fails.
pub async fn receive(
    config: &Config<Lab>,
    cluster: &Cluster,
    limits: Limits,
    shutdown: &Shutdown,
    mut on: impl FnMut(Step) -> io::Result<()>,
) -> anyhow::Result<Read> {
    let mut read = Read::default();
    consume(config, cluster, From::Group(None), limits, shutdown, |event| match event {
        Event::Message(record) => {
            let received = Received::from(record);
            match received.event {
                Ok(_) => read.events += 1,
                Err(_) => read.others += 1,
            }
            read.bytes += received.bytes as u64;
            on(Step::Received(received))
        }
        // Who gets which partition is the subject of Labs 1 and 2.
        Event::Rebalance(_) => Ok(()),
        Event::News(sentence) => on(Step::News(sentence)),
    })
    .await?;
    Ok(read)
}

impl std::convert::From<&BorrowedMessage<'_>> for Received {
    fn from(record: &BorrowedMessage<'_>) -> Self {
        let value = record.payload().unwrap_or_default();
        Self {
            topic: record.topic().to_owned(),
            partition: record.partition(),
            offset: record.offset(),
            bytes: value.len(),
            event: decode(value),
        }
    }
}
