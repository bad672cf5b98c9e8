//! Topics: made when they are missing, deleted when the lab starts over.

use crate::client::{Cluster, Context, words};
use crate::config::Topic;
use crate::shutdown;
use anyhow::{Context as _, bail};
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::error::RDKafkaErrorCode;
use std::fmt;
use std::time::Duration;

/// How long a broker may take to make or delete a topic.
const LIMIT: Duration = Duration::from_secs(10);

/// What [`ensure`] found or did. As text it is a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provisioned {
    /// It was made.
    Created {
        /// Its name.
        topic: String,
        /// With so many partitions.
        partitions: i32,
    },
    /// It was there, as configured.
    Existing {
        /// Its name.
        topic: String,
        /// With so many partitions.
        partitions: i32,
    },
    /// It was there, with another number of partitions than configured; it was left alone.
    Different {
        /// Its name.
        topic: String,
        /// What it has.
        partitions: i32,
        /// What the configuration says.
        wanted: i32,
    },
}

impl Provisioned {
    /// How many partitions the topic has now.
    pub fn partitions(&self) -> i32 {
        let (Self::Created { partitions, .. }
        | Self::Existing { partitions, .. }
        | Self::Different { partitions, .. }) = self;
        *partitions
    }
}

impl Provisioned {
    /// Is there such a partition?
    ///
    /// # Errors
    /// A sentence that names the partitions there are.
    pub fn has(&self, partition: i32) -> anyhow::Result<()> {
        let (Self::Created { topic, .. }
        | Self::Existing { topic, .. }
        | Self::Different { topic, .. }) = self;
        let last = self.partitions() - 1;
        anyhow::ensure!(
            (0..=last).contains(&partition),
            "There is no {topic}[{partition}]: the partitions are {topic}[0] to {topic}[{last}]."
        );
        Ok(())
    }
}

impl fmt::Display for Provisioned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |n: i32| crate::report::count(u64::try_from(n).unwrap_or(0), "partition");
        match self {
            Self::Created { topic, partitions } => {
                write!(f, "Created topic {topic} with {}.", count(*partitions))
            }
            Self::Existing { topic, partitions } => {
                write!(f, "Topic {topic} is there, with {}.", count(*partitions))
            }
            Self::Different { topic, partitions, wanted } => write!(
                f,
                "Topic {topic} has {}, not {wanted} as configured. `make reset` deletes it and makes it anew.",
                count(*partitions)
            ),
        }
    }
}

/// Makes the topic if it is missing. Several programs may do this at once: one makes it, the others find it.
///
/// # Errors
/// When the broker refuses (a name that Kafka does not allow, say) or does not answer.
pub async fn ensure(cluster: &Cluster, topic: &Topic) -> anyhow::Result<Provisioned> {
    shutdown::unless_interrupted(find_or_make(cluster, topic)).await
}

async fn find_or_make(cluster: &Cluster, topic: &Topic) -> anyhow::Result<Provisioned> {
    let name = topic.name.clone();
    if let Some(partitions) = cluster.partitions(&topic.name).await? {
        return Ok(if partitions == topic.partitions {
            Provisioned::Existing { topic: name, partitions }
        } else {
            Provisioned::Different { topic: name, partitions, wanted: topic.partitions }
        });
    }
    // -1: as many replicas as the broker's default says (KIP-464).
    let mut new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(-1));
    for (name, value) in &topic.settings {
        new = new.set(name, value);
    }
    let results = cluster.admin().create_topics([&new], &options()).await;
    let created = match results
        .with_context(|| format!("Topic {name} could not be made"))?
        .into_iter()
        .next()
    {
        Some(Ok(_)) => true,
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => false,
        Some(Err((_, code))) => bail!("Topic {name} could not be made: {}.", words(code)),
        None => bail!("Topic {name} could not be made: the broker did not say why."),
    };
    let partitions = wait_for(cluster, &name, |partitions| partitions).await?;
    Ok(match created {
        true => Provisioned::Created { topic: name, partitions },
        false if partitions == topic.partitions => {
            Provisioned::Existing { topic: name, partitions }
        }
        false => Provisioned::Different { topic: name, partitions, wanted: topic.partitions },
    })
}

/// Gives the topic more partitions, and says how many it had.
///
/// # Errors
/// When there is no such topic, when it has so many already, or when the broker does not answer.
pub async fn grow(cluster: &Cluster, topic: &str, partitions: i32) -> anyhow::Result<i32> {
    let count = |n: i32| crate::report::count(u64::try_from(n).unwrap_or(0), "partition");
    let before = cluster.partitions(topic).await?;
    let before = before.with_context(|| format!("There is no topic {topic}"))?;
    if partitions <= before {
        bail!("Topic {topic} has {} already, and can only get more.", count(before));
    }
    let wanted = NewPartitions::new(topic, usize::try_from(partitions)?);
    let results = cluster.admin().create_partitions([&wanted], &options()).await;
    match results.with_context(|| format!("Topic {topic} could not grow"))?.into_iter().next() {
        Some(Err((_, code))) => bail!("Topic {topic} could not grow: {}.", words(code)),
        Some(Ok(_)) | None => {
            wait_for(cluster, topic, |now| (now == Some(partitions)).then_some(())).await?;
            Ok(before)
        }
    }
}

/// Deletes the topic with everything in it; `false` when there was none.
///
/// # Errors
/// When the broker refuses or does not answer.
pub async fn delete(cluster: &Cluster, topic: &str) -> anyhow::Result<bool> {
    let results = cluster.admin().delete_topics(&[topic], &options()).await;
    match results.with_context(|| format!("Topic {topic} could not be deleted"))?.into_iter().next()
    {
        Some(Err((_, RDKafkaErrorCode::UnknownTopicOrPartition))) => Ok(false),
        Some(Err((_, code))) => bail!("Topic {topic} could not be deleted: {}.", words(code)),
        Some(Ok(_)) | None => {
            wait_for(cluster, topic, |partitions| partitions.is_none().then_some(())).await?;
            Ok(true)
        }
    }
}

/// Deletes the group with its committed offsets; `false` when there was none.
///
/// # Errors
/// When the group still has members, or the broker does not answer.
pub async fn delete_group(cluster: &Cluster, group: &str) -> anyhow::Result<bool> {
    let admin: &AdminClient<Context> = cluster.admin();
    let ask_again = async {
        let mut pause = Duration::from_millis(50);
        loop {
            let results = admin.delete_groups(&[group], &options()).await;
            let result = results.map(|results| results.into_iter().next());
            match result {
                // The first question about groups makes a new Kafka create their coordinator.
                Ok(Some(Err((
                    _,
                    RDKafkaErrorCode::NotCoordinator
                    | RDKafkaErrorCode::CoordinatorNotAvailable
                    | RDKafkaErrorCode::CoordinatorLoadInProgress,
                )))) => {}
                result => return result,
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    };
    let result = tokio::time::timeout(LIMIT, ask_again).await;
    let result =
        result.with_context(|| format!("No coordinator for group {group} within {LIMIT:?}"))?;
    match result.with_context(|| format!("Group {group} could not be deleted"))? {
        Some(Err((_, RDKafkaErrorCode::GroupIdNotFound))) => Ok(false),
        Some(Err((_, RDKafkaErrorCode::NonEmptyGroup))) => {
            bail!("Group {group} still has members. Stop its consumers first.")
        }
        Some(Err((_, code))) => bail!("Group {group} could not be deleted: {}.", words(code)),
        Some(Ok(_)) | None => Ok(true),
    }
}

/// A change of topics reaches a broker's metadata a moment after it was answered, and no API tells when: so this one
/// place asks again, at growing intervals, until `done` or the limit.
async fn wait_for<T>(
    cluster: &Cluster,
    topic: &str,
    done: impl Fn(Option<i32>) -> Option<T>,
) -> anyhow::Result<T> {
    let ask_again = async {
        let mut pause = Duration::from_millis(5);
        loop {
            if let Some(answer) = done(cluster.partitions(topic).await?) {
                return anyhow::Ok(answer);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    };
    tokio::time::timeout(LIMIT, ask_again).await.with_context(|| {
        format!("The broker still has not carried out the change to topic {topic}")
    })?
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(LIMIT)).operation_timeout(Some(LIMIT))
}
