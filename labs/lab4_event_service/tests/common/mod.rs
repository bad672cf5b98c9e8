//! For all tests: a configuration with names of its own, and the two programs in this process.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file uses its own part"
)]

use lab4_event_service::client::Client;
use lab4_event_service::load::{Plan, settle};
use lab4_event_service::programs::{self, Running};
use lab4_event_service::{Config, program};
use serde_json::Value;
use shared::config::{Client as Kind, Flags, Topic};
use shared::shutdown::{Shutdown, Trigger};
use shared::testing::{TestBroker, unique};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// A configuration for this broker, and the folder of its databases.
pub fn config(bootstrap_servers: &str) -> (Config, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let flags = Flags { bootstrap_server: Some(bootstrap_servers.to_owned()), ..Flags::default() };
    let mut config = Config::load(&program("lab4-test"), &flags).unwrap();
    config.topic = Topic::new(&unique("feeds"), 3);
    // So that a test soon sees the commits.
    config.set(Kind::Consumer, "auto.commit.interval.ms", "100", "the test").unwrap();
    let lab = &mut config.lab;
    lab.users_topic = unique("users");
    lab.notifications_group = unique("notifications");
    lab.jobs_group = unique("jobs");
    lab.redrive_group = unique("redrive");
    lab.database = folder.path().join("service.db");
    lab.notifications_database = folder.path().join("notifications.db");
    lab.lost_events = folder.path().join("lost.log");
    lab.listen.set_port(0);
    lab.notifications_listen.set_port(0);
    lab.first_pause_ms = 1;
    lab.longest_pause_ms = 5;
    (config, folder)
}

/// A program in this process, and its end.
pub struct Program {
    pub address: SocketAddr,
    running: Running,
    end: Trigger,
}

impl Program {
    pub async fn service(config: &Config) -> Self {
        let (end, shutdown) = Shutdown::by_hand();
        let running = programs::service(config, &shutdown).await.unwrap();
        Self { address: running.address, running, end }
    }

    pub async fn consumers(config: &Config) -> Self {
        let (end, shutdown) = Shutdown::by_hand();
        let running = programs::consumers(config, false, &shutdown).await.unwrap();
        Self { address: running.address, running, end }
    }

    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    pub async fn end(self) {
        self.end.pull();
        self.running.ended().await.unwrap();
    }

    /// Waits until it ends without being asked, and gives the reason.
    pub async fn ends_by_itself(self) -> String {
        format!("{:#}", self.running.ended().await.unwrap_err())
    }

    /// Asks for `/metrics` until it holds this text.
    pub async fn metrics_say(&self, text: &str) {
        let mut client = self.client();
        while !client.get_text("/metrics").await.unwrap().contains(text) {
            tokio::task::yield_now().await;
        }
    }
}

/// Another program that keeps the lock of a database, until this is dropped.
pub struct Locked(rusqlite::Connection);

impl Locked {
    pub fn new(database: &Path) -> Self {
        let connection = rusqlite::Connection::open(database).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        Self(connection)
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.0.execute_batch("ROLLBACK").unwrap();
    }
}

/// A port on which a broker can be started later: nobody else takes the port of a broker that was just there.
pub async fn port_without_broker() -> u16 {
    let before = TestBroker::embedded(0).await.unwrap();
    let port = before.bootstrap_servers().rsplit(':').next().unwrap().parse().unwrap();
    before.stop().await;
    port
}

/// Builds `mini-kafka`, which the scenes start: `cargo test -p` builds no program of another package.
pub fn build_mini_kafka() {
    let mut build = std::process::Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--bin", "mini-kafka"]);
    assert!(build.current_dir("../..").status().unwrap().success());
}

/// Waits until no event and no message is left.
pub async fn rest(config: &Config, service: &Program, consumers: &Program) {
    settle(config, &plan(service.address, Some(consumers.address))).await.unwrap();
}

pub fn plan(service: SocketAddr, notifications: Option<SocketAddr>) -> Plan {
    Plan { service, notifications, rate: 100, length: Duration::from_secs(3) }
}

/// Posts and expects something new; gives the answer.
pub async fn post(client: &mut Client, path: &str, body: Value) -> Value {
    let (status, answer) = client.post(path, &body).await.unwrap();
    assert_eq!(status, 201, "{path}: {answer}");
    answer
}
