//! Lab 4: an event service that loses nothing, and consumers that do nothing twice.
//!
//! * A row and its event are written in one transaction. A relay publishes the event later. So HTTP also answers while
//!   Kafka is away, and the accepted events arrive when it is back. A direct send, without an outbox, loses them after
//!   `message.timeout.ms`.
//! * A message may come twice, for example after a crash between the effect and the commit. The transaction of the effect
//!   also stores the event's id. So the second copy does nothing.
//! * A message that cannot be handled goes to a dead letter topic. The messages behind it do not wait.
//!
//! ```text
//! http → service (one transaction: row + outbox) → relay → kafka
//! kafka → consumer → once (one transaction: dedupe + effect) → retry → dead letters
//! ```
#![allow(
    missing_docs,
    reason = "a lab is read from top to bottom; its README is the documentation"
)]
#![allow(
    missing_debug_implementations,
    reason = "librdkafka's clients have none, and nobody prints them"
)]

pub mod kafka;

pub mod database;
pub mod http;
pub mod outbox;
pub mod schema;
pub mod service;

pub mod handling;
pub mod jobs;
pub mod notifications;

pub mod broker;
pub mod client;
pub mod crash;
pub mod load;
pub mod losses;
pub mod metrics;
pub mod outage;
pub mod programs;
pub mod reset;
pub mod say;

use serde::{Deserialize, Serialize};
use shared::config::{Client, Program, Topic};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything a program of this lab was told.
pub type Config = shared::config::Config<Lab>;

/// `[lab]` in `lab4.toml`, which explains each key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lab {
    pub users_topic: String,
    pub dead_letters: String,
    pub dead_letter_bytes: u32,
    pub send: SendMode,
    pub listen: SocketAddr,
    pub request_timeout_ms: u64,
    pub database: PathBuf,
    pub lost_events: PathBuf,
    pub relay_batch: u32,
    pub remember_requests_hours: u64,
    pub notifications_listen: SocketAddr,
    pub notifications_database: PathBuf,
    pub notifications_group: String,
    pub jobs_group: String,
    pub redrive_group: String,
    pub dedupe: bool,
    pub remember_events_days: u64,
    pub commit: Commit,
    pub work_ms: u64,
    pub retries: usize,
    pub first_pause_ms: u64,
    pub longest_pause_ms: u64,
}

impl Default for Lab {
    fn default() -> Self {
        Self {
            users_topic: "user_events".to_owned(),
            dead_letters: ".dlq".to_owned(),
            dead_letter_bytes: 2_000_000,
            send: SendMode::Outbox,
            listen: SocketAddr::from(([127, 0, 0, 1], 8090)),
            request_timeout_ms: 5000,
            database: ".run/lab4-service.db".into(),
            lost_events: ".run/lab4-lost.log".into(),
            relay_batch: 500,
            remember_requests_hours: 24,
            notifications_listen: SocketAddr::from(([127, 0, 0, 1], 8091)),
            notifications_database: ".run/lab4-notifications.db".into(),
            notifications_group: "lab4-notifications".to_owned(),
            jobs_group: "lab4-jobs".to_owned(),
            redrive_group: "lab4-redrive".to_owned(),
            dedupe: true,
            remember_events_days: 8,
            commit: Commit::After,
            work_ms: 0,
            retries: 4,
            first_pause_ms: 100,
            longest_pause_ms: 2000,
        }
    }
}

/// How an event leaves the service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum SendMode {
    /// Written with the row, published by the relay
    #[default]
    Outbox,
    /// Sent in the background after the row was written. A failed send is only logged
    Direct,
}

/// When a consumer commits the offset of a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Commit {
    /// After its effect: a crash in between brings the message again
    #[default]
    After,
    /// Before its effect: a crash in between loses the message
    First,
}

/// After Ctrl-C a program has this long to finish its work.
pub const FAREWELL: Duration = Duration::from_secs(5);

/// What the configuration must know about the program of this name.
pub const fn program(name: &'static str) -> Program<'static> {
    Program {
        name,
        file: "labs/lab4_event_service/lab4.toml",
        clients: &[Client::Producer, Client::Consumer],
        defaults: &[
            (Client::Producer, "message.timeout.ms", "5000"),
            (Client::Consumer, "session.timeout.ms", "6000"),
            (Client::Consumer, "auto.offset.reset", "earliest"),
            // A message counts as read after it was handled, not when librdkafka has fetched it.
            (Client::Consumer, "enable.auto.offset.store", "false"),
        ],
    }
}

/// One of the two topics of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Users,
    Feeds,
}

impl Stream {
    pub const ALL: [Self; 2] = [Self::Users, Self::Feeds];

    pub fn topic(self, config: &Config) -> &str {
        match self {
            Self::Users => &config.lab.users_topic,
            Self::Feeds => &config.topic.name,
        }
    }

    pub fn dead_letters(self, config: &Config) -> String {
        dead_letters(config, self.topic(config))
    }

    /// The group that handles its events.
    pub fn group(self, config: &Config) -> &str {
        match self {
            Self::Users => &config.lab.jobs_group,
            Self::Feeds => &config.lab.notifications_group,
        }
    }
}

pub fn dead_letters(config: &Config, topic: &str) -> String {
    format!("{topic}{}", config.lab.dead_letters)
}

/// Every topic of the lab. A dead letter may be larger than its original: it has more headers.
pub fn topics(config: &Config) -> Vec<Topic> {
    let partitions = config.topic.partitions;
    let limit = config.lab.dead_letter_bytes.to_string();
    let pair = |stream: Stream| {
        let letters = Topic::new(&stream.dead_letters(config), partitions);
        [
            Topic::new(stream.topic(config), partitions),
            letters.with_setting("max.message.bytes", &limit),
        ]
    };
    Stream::ALL.into_iter().flat_map(pair).collect()
}

/// A path of the configuration. A relative path starts at the workspace's root, in whatever folder the program runs.
pub fn in_workspace(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    let root = here.ancestors().find(|folder| folder.join("Cargo.lock").is_file());
    root.unwrap_or(&here).join(path)
}
