//! Before a stage: waits until the broker is ready.
//!
//! A topic that was made a moment ago has no leader yet, and the first question about a group makes a new Kafka create
//! the topic in which it keeps groups. A broker says so with error codes that mean "ask again", and real clients do,
//! with every request. This lab asks here, beforehand, so that the bytes of a stage are about the stage.

use crate::Lab;
use crate::connection::Connection;
use anyhow::{Context as _, bail};
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use shared::client::Cluster;
use shared::config::{Config, NoLab, Topic};
use shared::topic::{self, Provisioned};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// LEADER_NOT_AVAILABLE, NOT_LEADER_OR_FOLLOWER, the three of a coordinator, and a topic not yet known everywhere.
const ASK_AGAIN: [i16; 6] = [3, 5, 6, 14, 15, 16];

const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);

impl Lab {
    /// Waits until partition 0 has a leader that serves it, the group a coordinator, and producers get their ids.
    ///
    /// # Errors
    /// When it takes more than half a minute, or when nobody answers.
    pub async fn ready(&mut self) -> anyhow::Result<()> {
        self.story.hushed = true;
        let waited = timeout(PATIENCE, async {
            self.leader_ready().await?;
            self.coordinator_ready().await?;
            self.producer_ids_ready().await
        });
        let waited = waited.await;
        self.story.hushed = false;
        waited.context("The broker is not ready yet. Try again.")?
    }

    async fn leader_ready(&mut self) -> anyhow::Result<()> {
        loop {
            // Metadata knows no leader at first, which is an error too.
            if let Ok((mut to, epoch)) = self.leader().await {
                // The end of the log: whatever is there, it need not be carried.
                let fetched = self.fetch(&mut to, i64::MAX, epoch).await?;
                if !ASK_AGAIN.contains(&fetched.error) {
                    return Ok(());
                }
            } else {
                Connection::open(self.config.bootstrap_servers()).await?;
            }
            sleep(PAUSE).await;
        }
    }

    async fn coordinator_ready(&mut self) -> anyhow::Result<()> {
        loop {
            // There may be none at first, which is an error too.
            if let Ok(mut to) = self.coordinator().await
                && !ASK_AGAIN.contains(&self.heartbeat(&mut to, 0, "nobody").await?)
            {
                return Ok(());
            }
            sleep(PAUSE).await;
        }
    }

    async fn producer_ids_ready(&mut self) -> anyhow::Result<()> {
        let (mut to, _) = self.leader().await?;
        loop {
            match self.producer_id(&mut to).await? {
                (0, _) => return Ok(()),
                (error, _) if ASK_AGAIN.contains(&error) => sleep(PAUSE).await,
                (error, _) => {
                    bail!("InitProducerId: the broker answers {}", crate::errors::named(error))
                }
            }
        }
    }
}

/// Makes the lab's topic if it is missing, so that time does not delete what it holds: the exercise's records are years
/// old, and Kafka looks at a record's own timestamp when it deletes what is older than `retention.ms`, by default a week.
///
/// # Errors
/// When the broker refuses or does not answer.
pub async fn topic(cluster: &Cluster, config: &Config<NoLab>) -> anyhow::Result<Provisioned> {
    let Topic { name, partitions, .. } = &config.topic;
    if cluster.partitions(name).await?.is_none() {
        let new =
            NewTopic::new(name, *partitions, TopicReplication::Fixed(-1)).set("retention.ms", "-1");
        let made = cluster.admin().create_topics([&new], &AdminOptions::new()).await;
        // What it says, and whether somebody else was faster, `ensure` finds out.
        made.context("The topic could not be made")?;
    }
    topic::ensure(cluster, &config.topic).await
}
