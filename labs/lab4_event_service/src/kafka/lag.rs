//! How far a group is behind: for each partition, the next offset it would read and the partition's end.

use crate::Config;
use anyhow::{Context as _, Result};
use backon::{ConstantBuilder, Retryable as _};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use shared::client::Context;
use shared::config::Client;
use std::sync::Arc;
use std::time::Duration;

/// One partition, as a group sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lag {
    pub group: String,
    pub topic: String,
    pub partition: i32,
    /// Has the group ever committed here?
    pub committed: bool,
    /// Where it goes on reading; without a commit, the oldest offset.
    pub next: i64,
    /// The offset that the next message will get.
    pub end: i64,
}

/// How long the broker may take for each question.
const LIMIT: Duration = Duration::from_secs(5);

impl Lag {
    /// How many messages lie between.
    pub fn lag(&self) -> i64 {
        (self.end - self.next).max(0)
    }
}

/// The lag of a group in these topics; a topic that is not there has no partitions.
pub async fn of(config: &Config, group: &str, topics: &[String]) -> Result<Vec<Lag>> {
    let mut config = config.clone();
    config.set(Client::Consumer, "group.id", group, "the lag")?;
    let (config, group, topics): (Arc<Config>, Arc<str>, Arc<[String]>) =
        (config.into(), group.into(), topics.into());
    let ask = || async {
        let (config, group, topics) = (config.clone(), group.clone(), topics.clone());
        // librdkafka's questions block their thread.
        let asked = tokio::task::spawn_blocking(move || of_topics(&config, &group, &topics)).await;
        asked.unwrap_or(Err(KafkaError::Canceled))
    };
    // The first question about a group makes the broker choose a coordinator, and that one load its offsets.
    let lags = ask.retry(
        ConstantBuilder::default().with_delay(Duration::from_millis(100)).with_max_times(50),
    );
    lags.when(coordinator_not_ready).await.context("The broker does not say how far the groups are")
}

fn coordinator_not_ready(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::NotCoordinator
                | RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::CoordinatorLoadInProgress
        )
    )
}

fn of_topics(config: &Config, group: &str, topics: &[String]) -> KafkaResult<Vec<Lag>> {
    let consumer: BaseConsumer<Context> =
        config.client(Client::Consumer).create_with_context(Context::default())?;
    let mut lags = Vec::new();
    for topic in topics {
        lags.extend(of_topic(&consumer, group, topic)?);
    }
    Ok(lags)
}

fn of_topic(consumer: &BaseConsumer<Context>, group: &str, topic: &str) -> KafkaResult<Vec<Lag>> {
    let metadata = consumer.fetch_metadata(Some(topic), LIMIT)?;
    let mut asked = TopicPartitionList::new();
    for partition in metadata.topics().iter().flat_map(rdkafka::metadata::MetadataTopic::partitions)
    {
        asked.add_partition(topic, partition.id());
    }
    if asked.count() == 0 {
        return Ok(Vec::new());
    }
    let committed = consumer.committed_offsets(asked, LIMIT)?;
    let lag = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
        let (low, end) = consumer.fetch_watermarks(topic, element.partition(), LIMIT)?;
        let (committed, next) = match element.offset() {
            // What retention has deleted cannot be read any more.
            Offset::Offset(next) => (true, next.max(low)),
            _ => (false, low),
        };
        Ok(Lag {
            group: group.to_owned(),
            topic: topic.to_owned(),
            partition: element.partition(),
            committed,
            next,
            end,
        })
    };
    committed.elements().iter().map(lag).collect()
}
