//! Members join a group and leave it, one after the other: who owns which partition then, and what was taken away on the
//! way there.
//!
//! The strategy is chosen by the clients, and worked out by one of them, the group's leader. The broker only carries it
//! to the others.
//!
//! * `range` and `roundrobin` are *eager*: before each rebalance every member gives up everything, also what it gets
//!   back a moment later. Nobody reads meanwhile.
//! * `cooperative-sticky` (KIP-429) takes away only what moves to another member.

use crate::settings::Lab;
use anyhow::Context as _;
use clap::ValueEnum;
use rdkafka::consumer::Consumer as _;
use shared::client::{self, Rebalance};
use shared::config::{Client, Config};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How long a group may take to settle.
const LIMIT: Duration = Duration::from_secs(30);

/// How partitions are dealt out, by librdkafka's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Strategy {
    /// Neighbouring partitions together.
    Range,
    /// One by one, in turn.
    Roundrobin,
    /// As even as possible, and nothing moves without need.
    CooperativeSticky,
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Range => "range",
            Self::Roundrobin => "roundrobin",
            Self::CooperativeSticky => "cooperative-sticky",
        })
    }
}

/// A group with the members that this program made.
#[derive(Debug)]
pub struct Group {
    config: Config<Lab>,
    partitions: i32,
    members: BTreeMap<usize, Member>,
    events: mpsc::UnboundedReceiver<(usize, Rebalance)>,
    sender: mpsc::UnboundedSender<(usize, Rebalance)>,
}

#[derive(Debug)]
struct Member {
    reading: JoinHandle<()>,
    owns: Vec<i32>,
    /// It has heard from the group at least once.
    settled: bool,
}

/// What one join or leave did to the members that are in the group afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// `member-2 joins`.
    pub what: String,
    /// Member by member.
    pub changes: Vec<Change>,
}

/// What it did to one member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Its number.
    pub member: usize,
    /// What it had to give up, also for a moment.
    pub gave_up: Vec<i32>,
    /// What it has now; nothing: it sits idle.
    pub has: Vec<i32>,
}

impl Turn {
    /// Partitions that a member had to stop reading.
    pub fn interrupted(&self) -> usize {
        self.changes.iter().map(|change| change.gave_up.len()).sum()
    }

    /// Partitions that a member had to give up for good.
    pub fn moved(&self) -> usize {
        let lost = |change: &Change| {
            change.gave_up.iter().filter(|partition| !change.has.contains(partition)).count()
        };
        self.changes.iter().map(lost).sum()
    }
}

impl Group {
    /// An empty group on a topic with so many partitions.
    ///
    /// # Errors
    /// When librdkafka does not take the strategy.
    pub fn new(config: &Config<Lab>, strategy: Strategy, partitions: i32) -> anyhow::Result<Self> {
        let mut config = config.clone();
        let group = format!("lab2-{strategy}-{}", std::process::id());
        for (name, value) in [
            ("group.id", group.as_str()),
            ("partition.assignment.strategy", &strategy.to_string()),
            // A member hears of a rebalance by its next heartbeat: this is what a turn takes.
            ("heartbeat.interval.ms", "250"),
            ("session.timeout.ms", "6000"),
        ] {
            config.set(Client::Consumer, name, value, "lab2 rebalance")?;
        }
        let (sender, events) = mpsc::unbounded_channel();
        Ok(Self { config, partitions, members: BTreeMap::new(), events, sender })
    }

    /// A further member joins.
    ///
    /// # Errors
    /// When the group does not settle.
    pub async fn join(&mut self) -> anyhow::Result<Turn> {
        let number = self.members.keys().last().map_or(1, |last| last + 1);
        let mut config = self.config.clone();
        // Kafka makes the member's id of the client's, and the strategies sort by it.
        config.set(Client::Consumer, "client.id", &name(number), "lab2 rebalance")?;
        let (consumer, mut rebalances) = client::consumer(&config, None)?;
        let topic = config.topic.name.as_str();
        consumer
            .subscribe(&[topic])
            .with_context(|| format!("Topic {topic} cannot be subscribed to"))?;
        let events = self.sender.clone();
        let reading = tokio::spawn(async move {
            loop {
                tokio::select! {
                    biased;
                    Some(rebalance) = rebalances.recv() => {
                        if events.send((number, rebalance)).is_err() {
                            return;
                        }
                    }
                    // What it reads is of no interest here, but without reading there are no rebalances.
                    _record_or_trouble = consumer.recv() => {}
                }
            }
        });
        self.members.insert(number, Member { reading, owns: Vec::new(), settled: false });
        self.settle(format!("{} joins", name(number))).await
    }

    /// A member leaves, in good order.
    ///
    /// # Errors
    /// When the group does not settle.
    pub async fn leave(&mut self, number: usize) -> anyhow::Result<Turn> {
        if let Some(member) = self.members.remove(&number) {
            end(member).await;
        }
        self.settle(format!("{} leaves", name(number))).await
    }

    /// Everybody leaves.
    pub async fn dissolve(mut self) {
        while let Some((_, member)) = self.members.pop_first() {
            end(member).await;
        }
    }

    async fn settle(&mut self, what: String) -> anyhow::Result<Turn> {
        let mut changes: BTreeMap<usize, Change> = self
            .members
            .keys()
            .map(|member| (*member, Change { member: *member, ..Change::default() }))
            .collect();
        let settled = async {
            while !self.is_settled() {
                let Some((number, rebalance)) = self.events.recv().await else { return };
                // The last word of a member that has left.
                let Some(member) = self.members.get_mut(&number) else { continue };
                match rebalance {
                    Rebalance::Assigned(partitions) => {
                        member.owns.extend(indexes(&partitions));
                        member.owns.sort_unstable();
                        member.settled = true;
                    }
                    Rebalance::Revoked(partitions) | Rebalance::Lost(partitions) => {
                        let revoked = indexes(&partitions);
                        member.owns.retain(|partition| !revoked.contains(partition));
                        if let Some(change) = changes.get_mut(&number) {
                            change.gave_up.extend(revoked);
                        }
                    }
                    Rebalance::Failed(_) => member.owns.clear(),
                }
            }
        };
        tokio::time::timeout(LIMIT, settled)
            .await
            .with_context(|| format!("The group has not settled after {what}"))?;
        for change in changes.values_mut() {
            change.has = self.members[&change.member].owns.clone();
        }
        Ok(Turn { what, changes: changes.into_values().collect() })
    }

    /// Every member has had news, every partition has one owner, and the shares are even. The first step of a cooperative
    /// rebalance looks complete too, but its shares are not even.
    fn is_settled(&self) -> bool {
        let mut owned: Vec<i32> =
            self.members.values().flat_map(|member| member.owns.iter().copied()).collect();
        owned.sort_unstable();
        let shares = self.members.values().map(|member| member.owns.len());
        let most = shares.clone().max().unwrap_or(0);
        let least = shares.min().unwrap_or(0);
        self.members.values().all(|member| member.settled)
            && owned.into_iter().eq(0..self.partitions)
            && most - least <= 1
    }
}

/// `member-2`, its `client.id`.
pub fn name(number: usize) -> String {
    format!("member-{number}")
}

async fn end(member: Member) {
    member.reading.abort();
    // The consumer leaves the group when it is dropped.
    let _aborted = member.reading.await;
}

fn indexes(partitions: &[(String, i32)]) -> Vec<i32> {
    partitions.iter().map(|(_, partition)| *partition).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_comes_back_was_interrupted_and_not_moved() {
        let change = Change { member: 1, gave_up: vec![0, 1, 2], has: vec![0, 1] };
        let turn = Turn { what: "member-2 joins".to_owned(), changes: vec![change] };
        assert_eq!((turn.interrupted(), turn.moved()), (3, 1));
    }
}
