//! Starting over: what a lab made on the broker is deleted, unless somebody still uses it.
//!
//! Every lab has its own reset. `make reset` first asks all of them (`--check`) and then deletes, so that a consumer
//! which still runs stops it before anything is gone.

use crate::client::{Cluster, FIRST_ANSWER};
use crate::{report, topic};
use anyhow::Context as _;
use rdkafka::error::KafkaError;
use rdkafka::producer::Producer as _;
use std::fmt;

/// What a lab made on the broker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Made {
    /// Its topics.
    pub topics: Vec<String>,
    /// Its groups.
    pub groups: Vec<String>,
}

impl Made {
    /// Deletes groups and topics and prints what was there.
    ///
    /// # Errors
    /// [`InUse`] when somebody still uses them; then nothing was deleted.
    pub async fn delete(&self, cluster: &Cluster) -> anyhow::Result<()> {
        self.check(cluster).await?;
        for group in &self.groups {
            if topic::delete_group(cluster, group).await? {
                report::data(format!("Deleted group {group} with its offsets."))?;
            }
        }
        for name in &self.topics {
            if topic::delete(cluster, name).await? {
                report::data(format!("Deleted topic {name} with its messages."))?;
            }
        }
        Ok(())
    }

    /// Looks whether somebody still uses them: a member of one of the groups, or of any group that reads the topics.
    ///
    /// # Errors
    /// [`InUse`] when somebody does.
    pub async fn check(&self, cluster: &Cluster) -> anyhow::Result<()> {
        let asker = cluster.asker().clone();
        let listed = tokio::task::spawn_blocking(move || {
            let listed = asker.client().fetch_group_list(None, FIRST_ANSWER)?;
            let groups = listed.groups().iter().map(|group| Group {
                name: group.name().to_owned(),
                members: group
                    .members()
                    .iter()
                    .map(|member| Member {
                        client: member.client_id().to_owned(),
                        topics: subscription(member.metadata().unwrap_or_default()),
                    })
                    .collect(),
            });
            Ok::<_, KafkaError>(groups.collect::<Vec<_>>())
        });
        let groups = listed
            .await
            .unwrap_or(Err(KafkaError::Canceled))
            .context("The broker did not tell its groups")?;
        let users: Vec<_> = groups.into_iter().filter(|group| self.is_used_by(group)).collect();
        if users.is_empty() { Ok(()) } else { Err(InUse(users).into()) }
    }

    fn is_used_by(&self, group: &Group) -> bool {
        let reads = |member: &Member| member.topics.iter().any(|topic| self.topics.contains(topic));
        !group.members.is_empty()
            && (self.groups.contains(&group.name) || group.members.iter().any(reads))
    }
}

/// Somebody still uses what should be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InUse(Vec<Group>);

/// A group with its members.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    name: String,
    members: Vec<Member>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    client: String,
    topics: Vec<String>,
}

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Group { name, members } in &self.0 {
            let clients: Vec<_> =
                members.iter().map(|member| report::text(member.client.as_bytes())).collect();
            let count = report::count(clients.len() as u64, "member");
            writeln!(f, "Group {name} still has {count}: {}.", clients.join(", "))?;
        }
        f.write_str(
            "Nothing was deleted. Stop these consumers and try again. \
             A consumer that was killed counts until its session ends (session.timeout.ms).",
        )
    }
}

impl std::error::Error for InUse {}

/// The topics in a member's metadata: a version, then strings with their lengths (Kafka's ConsumerProtocolSubscription).
fn subscription(metadata: &[u8]) -> Vec<String> {
    fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
        let (head, tail) = bytes.split_at_checked(count)?;
        *bytes = tail;
        Some(head)
    }
    let mut rest = metadata;
    let mut topics = Vec::new();
    let mut read = || {
        take(&mut rest, 2)?;
        let count = u32::from_be_bytes(take(&mut rest, 4)?.try_into().ok()?);
        for _ in 0..count {
            let length = u16::from_be_bytes(take(&mut rest, 2)?.try_into().ok()?);
            let name = take(&mut rest, length.into())?;
            topics.push(String::from_utf8_lossy(name).into_owned());
        }
        Some(())
    };
    // A member of another kind (Kafka Connect, say) has other metadata, and reads none of the labs' topics.
    let _ = read();
    topics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_is_read_and_anything_else_is_none() {
        let metadata = b"\0\x03\0\0\0\x02\0\x04lab1\0\x05other\xff\xff\xff\xff";
        assert_eq!(subscription(metadata), ["lab1", "other"]);
        assert_eq!(subscription(b"\0\x01\x7f\xff\xff\xff"), Vec::<String>::new());
        assert_eq!(subscription(b""), Vec::<String>::new());
    }
}
