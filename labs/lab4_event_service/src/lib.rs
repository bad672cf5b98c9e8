//! Lab 4: an event service that loses nothing, and consumers that do nothing twice.
//!
//! * A row and its event are written in one transaction; a relay publishes the event. So Kafka may be away: HTTP
//!   answers all the same, and what was accepted arrives later. The seed's direct send loses it after
//!   `message.timeout.ms`.
//! * A message may come twice (a crash between handling and committing). The event's id, marked in the transaction of
//!   the effect, makes the second time a no-op.
//! * A message that cannot be handled goes to a dead letter topic, so that those behind it need not wait.
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

pub mod client;
pub mod load;
pub mod metrics;
pub mod outage;
pub mod programs;

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
    pub send: Send,
    pub listen: SocketAddr,
    pub database: PathBuf,
    pub relay_batch: u32,
    pub notifications_listen: SocketAddr,
    pub notifications_database: PathBuf,
    pub notifications_group: String,
    pub jobs_group: String,
    pub redrive_group: String,
    pub retries: usize,
    pub first_pause_ms: u64,
    pub longest_pause_ms: u64,
}

impl Default for Lab {
    fn default() -> Self {
        Self {
            users_topic: "user_events".to_owned(),
            dead_letters: ".dlq".to_owned(),
            send: Send::Outbox,
            listen: SocketAddr::from(([127, 0, 0, 1], 8090)),
            database: ".run/lab4-service.db".into(),
            relay_batch: 500,
            notifications_listen: SocketAddr::from(([127, 0, 0, 1], 8091)),
            notifications_database: ".run/lab4-notifications.db".into(),
            notifications_group: "lab4-notifications".to_owned(),
            jobs_group: "lab4-jobs".to_owned(),
            redrive_group: "lab4-redrive".to_owned(),
            retries: 4,
            first_pause_ms: 100,
            longest_pause_ms: 2000,
        }
    }
}

/// How an event leaves the service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Send {
    /// Written with the row, published by the relay.
    #[default]
    Outbox,
    /// Sent in the background after the row was written; a failure is logged.
    Direct,
}

/// How long a program tries to finish what it has begun, after Ctrl-C.
pub const FAREWELL: Duration = Duration::from_secs(5);

/// Who asks for the configuration, under this name.
pub const fn program(name: &'static str) -> Program<'static> {
    Program {
        name,
        file: "labs/lab4_event_service/lab4.toml",
        clients: &[Client::Producer, Client::Consumer],
        defaults: &[
            (Client::Producer, "message.timeout.ms", "5000"),
            (Client::Consumer, "session.timeout.ms", "6000"),
            (Client::Consumer, "auto.offset.reset", "earliest"),
            // A message counts as read when it was handled, not when librdkafka has fetched it.
            (Client::Consumer, "enable.auto.offset.store", "false"),
        ],
    }
}

/// Which of the two topics of events.
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

    /// The group that handles it.
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

/// Every topic of the lab.
pub fn topics(config: &Config) -> Vec<Topic> {
    Stream::ALL
        .into_iter()
        .flat_map(|stream| [stream.topic(config).to_owned(), stream.dead_letters(config)])
        .map(|name| Topic::new(&name, config.topic.partitions))
        .collect()
}

/// A path of the configuration: a relative one counts from the workspace's root, wherever the program was started.
pub fn in_workspace(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    let root = here.ancestors().find(|folder| folder.join("Cargo.lock").is_file());
    root.unwrap_or(&here).join(path)
}
