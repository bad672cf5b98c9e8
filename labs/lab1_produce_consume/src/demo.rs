//! The lab without a terminal: the same lines, keyed and round robin, side by side.

use crate::consume::Received;
use crate::produce::{self, Plan, Report};
use crate::{DEMO, Lab, Mode};
use anyhow::{Context, ensure};
use rdkafka::Offset;
use shared::client::{self, Cluster};
use shared::config::{Client, Config, Flags, Topic};
use shared::consume::{self, From, Limits, consume};
use shared::keeper::Keeper;
use shared::shutdown::Shutdown;
use shared::topic;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use tokio::sync::mpsc;

/// The lines that are sent: three users, whose events should keep their order.
pub const LINES: [&str; 8] = [
    "u1 click 10",
    "u2 purchase 99",
    "u1 view 1",
    "u2 view 2",
    "u7 click 3",
    "u7 view 8",
    "u1 purchase 25",
    "u1 click 11",
];

/// One run over the lines.
#[derive(Debug, Clone)]
pub struct Run {
    pub mode: Mode,
    pub partitions: i32,
    /// In the order of the lines.
    pub reports: Vec<Report>,
    /// By partition and offset.
    pub received: Vec<Received>,
}

impl Run {
    /// The partitions in which the messages of this user are.
    pub fn partitions_of(&self, user: &str) -> BTreeSet<i32> {
        let mut partitions = BTreeSet::new();
        for report in &self.reports {
            let of_user = report.line.split(|byte| *byte == b' ').next() == Some(user.as_bytes());
            if let (true, Ok((partition, _))) = (of_user, &report.result) {
                partitions.insert(*partition);
            }
        }
        partitions
    }

    /// How many messages partition `partition` got.
    pub fn count(&self, partition: i32) -> usize {
        self.received.iter().filter(|message| message.partition == partition).count()
    }
}

/// Sends the lines as `file` says and reads them back, in a topic of its own that is deleted afterwards.
pub async fn run(
    flags: &Flags,
    file: &str,
    topic: &str,
    shutdown: &Shutdown,
) -> anyhow::Result<Run> {
    let mut config: Config<Lab> = Config::load_file(&DEMO, flags, Path::new(file))?;
    config.topic = Topic::new(topic, config.topic.partitions);
    config.set(Client::Consumer, "group.id", topic, "the demo")?;
    config.set(Client::Consumer, "auto.offset.reset", "earliest", "the demo")?;

    let cluster = Cluster::connect(&config).await?;
    let partitions = topic::ensure(&cluster, &config.topic).await?.partitions();
    let run = send_and_read(&config, &cluster, partitions, shutdown).await;
    // Also after a failure nothing stays behind.
    let _ = topic::delete_group(&cluster, topic).await;
    topic::delete(&cluster, topic).await?;
    run
}

async fn send_and_read(
    config: &Config<Lab>,
    cluster: &Cluster,
    partitions: i32,
    shutdown: &Shutdown,
) -> anyhow::Result<Run> {
    let (sender, lines) = mpsc::channel(LINES.len());
    for line in LINES {
        sender.send(line.as_bytes().to_vec()).await.context("the channel holds all lines")?;
    }
    drop(sender);
    let plan = Plan::new(config, partitions, None);
    let keeper = Keeper::start(cluster, std::slice::from_ref(&config.topic));
    let mut reports = Vec::new();
    let producer = client::producer(config)?;
    let sent = produce::produce(&producer, &plan, keeper, lines, shutdown, |event| {
        if let produce::Event::Report(report) = event {
            reports.push(report);
        }
        Ok(())
    })
    .await?;
    ensure!(sent.failed + sent.unknown == 0, "Not every line was delivered: {reports:?}.");

    let mut received: Vec<Received> = Vec::new();
    // The limit on silence only matters when something is wrong: a test or a person should not wait for ever.
    let limits = Limits {
        max_messages: Some(LINES.len() as u64),
        idle: Some(Duration::from_secs(30)),
        at_end: false,
    };
    let from = From::Group(Some(Offset::Beginning));
    consume(config, cluster, from, limits, shutdown, |event| {
        if let consume::Event::Message(message) = event {
            received.push(message.into());
        }
        Ok(())
    })
    .await?;
    ensure!(
        received.len() == LINES.len() || shutdown.is_requested(),
        "Only {} lines came back.",
        received.len()
    );
    received.sort_by_key(|message| (message.partition, message.offset));
    Ok(Run { mode: config.lab.mode, partitions, reports, received })
}
