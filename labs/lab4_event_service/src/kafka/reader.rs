//! Reads one partition from an offset to where it ends now, without the group's protocol.

use super::Message;
use super::lag::Lag;
use crate::Config;
use anyhow::{Context as _, Result};
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use shared::client::ConsumerStream;
use shared::config::Client;
use std::time::Duration;

/// The messages that lie between a group and the end of a partition.
pub struct Reader {
    consumer: ConsumerStream,
    range: Lag,
    next: i64,
}

/// The broker has these messages; so long may it take to hand one out.
const LIMIT: Duration = Duration::from_secs(10);

impl Reader {
    pub fn open(config: &Config, range: &Lag) -> Result<Self> {
        let mut config = config.clone();
        config.set(Client::Consumer, "group.id", &range.group, "the reader")?;
        config.set(Client::Consumer, "enable.auto.commit", "false", "the reader")?;
        // The last offsets may be no messages (a transaction's markers, say): then the end is told by this alone.
        config.set(Client::Consumer, "enable.partition.eof", "true", "the reader")?;
        let (consumer, _rebalances) = shared::client::consumer(&config, None)?;
        let reader = Self { consumer, range: range.clone(), next: range.next };
        reader.consumer.assign(&reader.place()?).context("The partition cannot be read")?;
        Ok(reader)
    }

    /// The next message; none at the end.
    pub async fn next(&mut self) -> Result<Option<Message>> {
        while self.next < self.range.end {
            let received = tokio::time::timeout(LIMIT, self.consumer.recv()).await;
            match received.with_context(|| {
                format!("{} was not handed out within {LIMIT:?}", self.range.topic)
            })? {
                Ok(message) => {
                    let message = Message::from(&message);
                    self.next = message.offset + 1;
                    return Ok((message.offset < self.range.end).then_some(message));
                }
                Err(KafkaError::PartitionEOF(_)) => self.next = self.range.end,
                // The connection comes and goes; the limit ends it.
                Err(error) => tracing::debug!("{error}"),
            }
        }
        Ok(None)
    }

    /// Takes a message back, before [`commit`](Self::commit).
    pub fn go_back_to(&mut self, offset: i64) {
        self.next = offset;
    }

    /// Commits for the group what was read so far.
    pub async fn commit(self) -> Result<()> {
        tokio::task::spawn_blocking(move || {
            Ok(self.consumer.commit(&self.place()?, CommitMode::Sync)?)
        })
        .await?
    }

    fn place(&self) -> Result<TopicPartitionList> {
        let mut place = TopicPartitionList::new();
        place.add_partition_offset(
            &self.range.topic,
            self.range.partition,
            Offset::Offset(self.next),
        )?;
        Ok(place)
    }
}
