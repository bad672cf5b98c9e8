//! Stage 2: which brokers are there, and which of them leads each partition?
//!
//! Version 9 of Metadata is its first in the flexible style: a length is a varint, plus one, and structures end in
//! tagged fields. Only the leader of a partition takes records for it, so the later stages connect to the one named here.

use super::api_versions::differences;
use crate::Lab;
use crate::connection::{Connection, Header, LIMIT};
use crate::errors;
use crate::wire::{Decoder, Encoder, Frame, uvarint};
use anyhow::{Context as _, ensure};

pub const KEY: i16 = 3;

/// What the answer says about the cluster and one topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    pub nodes: Vec<Node>,
    pub topic: String,
    pub error: i16,
    pub partitions: Vec<Partition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub id: i32,
    pub host: String,
    pub port: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    pub index: i32,
    pub leader: i32,
    pub leader_epoch: i32,
}

pub async fn run(lab: &mut Lab) -> anyhow::Result<()> {
    let mut to = Connection::open(lab.config.bootstrap_servers()).await?;
    let topic = lab.topic();
    let id = lab.next_id();
    let request = question(id, &topic, lab.exercise.compact);
    let right = question(id, &topic, |length| length + 1);
    lab.story.check_faults(
        differences(&right, &request.bytes),
        "your compact lengths are one more than the length",
    );
    let before_name = request.field("name").and_then(|name| name.first().copied());

    let metadata = lab.ask(&mut to, request, Header::Flexible, LIMIT, parse).await?;
    let length = u8::try_from(topic.len()).ok();
    lab.story.observed = Some(if before_name == length.map(|n| n + 1) { 'b' } else { 'a' });

    lab.story.check(
        metadata.error == 0 && metadata.topic == topic,
        format!("the broker knows topic {topic}"),
        format!(
            "the broker answers {} about topic {:?}",
            errors::named(metadata.error),
            metadata.topic
        ),
    );
    let led = |partition: &Partition| metadata.nodes.iter().any(|node| node.id == partition.leader);
    lab.story.check(
        !metadata.partitions.is_empty() && metadata.partitions.iter().all(led),
        format!(
            "each of its {} partitions has a leader among the brokers",
            metadata.partitions.len()
        ),
        "a partition has no leader among the brokers",
    );
    Ok(())
}

/// The question about one topic.
pub fn question(id: i32, topic: &str, compact: fn(u64) -> u64) -> Frame {
    let mut to = Encoder::flexible("Metadata version 9", KEY, 9, id, "lab5");
    to.raw("topics", &uvarint(compact(1)), 1, "a compact array: 1 element, written as 2");
    let name = [&uvarint(compact(topic.len() as u64)), topic.as_bytes()].concat();
    to.raw("name", &name, format!("{topic:?}"), "a compact string: its length plus 1, then UTF-8");
    to.no_tags();
    to.i8("allow_auto_topic_creation", 0, "a boolean: no");
    to.i8("include_cluster_authorized_operations", 0, "");
    to.i8("include_topic_authorized_operations", 0, "");
    to.no_tags();
    to.finish()
}

/// The answer in version 9.
pub fn parse(from: &mut Decoder) -> anyhow::Result<Metadata> {
    let mut metadata = Metadata::default();
    from.i32("throttle_time_ms", "how long a client must wait if it is over its quota")?;
    for _ in 0..from.compact_array("brokers", "")? {
        let id = from.i32("node_id", "")?;
        let host = from.compact_string("host", "where clients reach it: advertised.listeners")?;
        let port = from.i32("port", "")?;
        from.compact_string("rack", "")?;
        from.tags()?;
        metadata.nodes.push(Node { id, host, port });
    }
    from.compact_string("cluster_id", "")?;
    from.i32("controller_id", "the broker that creates topics")?;
    for _ in 0..from.compact_array("topics", "")? {
        metadata.error = from.error()?;
        metadata.topic = from.compact_string("name", "")?;
        from.i8("is_internal", "")?;
        for _ in 0..from.compact_array("partitions", "")? {
            metadata.partitions.push(partition(from)?);
        }
        from.i32("topic_authorized_operations", "not asked for")?;
        from.tags()?;
    }
    from.i32("cluster_authorized_operations", "not asked for")?;
    from.tags()?;
    Ok(metadata)
}

fn partition(from: &mut Decoder) -> anyhow::Result<Partition> {
    from.error()?;
    let index = from.i32("partition_index", "")?;
    from.enter(format!("partition {index}"));
    let leader = from.i32("leader_id", "the node_id to send its records to")?;
    let leader_epoch = from.i32("leader_epoch", "how often the leader has changed")?;
    from.numbers("replica_nodes", true)?;
    from.numbers("isr_nodes", true)?;
    from.numbers("offline_replicas", true)?;
    from.tags()?;
    from.leave();
    Ok(Partition { index, leader, leader_epoch })
}

impl Lab {
    /// A connection to the leader of partition 0, and the leader's epoch. The question is not told again.
    ///
    /// # Errors
    /// When there is no leader, or it does not answer.
    pub async fn leader(&mut self) -> anyhow::Result<(Connection, i32)> {
        let hushed = std::mem::replace(&mut self.story.hushed, true);
        let mut to = Connection::open(self.config.bootstrap_servers()).await?;
        let request = question(self.next_id(), &self.topic(), |length| length + 1);
        let metadata = self.ask(&mut to, request, Header::Flexible, LIMIT, parse).await;
        self.story.hushed = hushed;
        let metadata = metadata?;
        ensure!(
            metadata.error == 0,
            "Metadata: the broker answers {}",
            errors::named(metadata.error)
        );
        let partition = metadata.partitions.iter().find(|partition| partition.index == 0);
        let partition = partition.context("The topic has no partition 0")?;
        let leader = metadata.nodes.iter().find(|node| node.id == partition.leader);
        let leader = leader.context("Partition 0 has no leader")?;
        let to = Connection::open(&format!("{}:{}", leader.host, leader.port)).await?;
        Ok((to, partition.leader_epoch))
    }
}
