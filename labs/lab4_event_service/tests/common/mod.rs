//! What the tests share: a configuration whose names nobody else has, and the two programs in this process.

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
use shared::testing::unique;
use std::net::SocketAddr;
use std::time::Duration;
use tempfile::TempDir;

/// A configuration for this broker, and the folder of its databases.
pub fn config(bootstrap_servers: &str) -> (Config, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let flags = Flags { bootstrap_server: Some(bootstrap_servers.to_owned()), ..Flags::default() };
    let mut config = Config::load(&program("lab4-test"), &flags).unwrap();
    config.topic = Topic::new(&unique("feeds"), 3);
    // So that a test sees soon what was committed.
    config.set(Kind::Consumer, "auto.commit.interval.ms", "100", "the test").unwrap();
    let lab = &mut config.lab;
    lab.users_topic = unique("users");
    lab.notifications_group = unique("notifications");
    lab.jobs_group = unique("jobs");
    lab.redrive_group = unique("redrive");
    lab.database = folder.path().join("service.db");
    lab.notifications_database = folder.path().join("notifications.db");
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
}

/// Waits until no event and no message waits for anybody.
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
