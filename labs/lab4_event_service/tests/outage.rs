//! The broker is away under load: counted, event by event. The README's own scenes are played by `lesson.rs`.
//!
//! A real Kafka is stopped and started again with its data: `KAFKA_LAUNCHER` names the program that does it
//! (`LAUNCHER start PORT`, `KEEP=1 LAUNCHER stop PORT`).

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use lab4_event_service::SendMode;
use lab4_event_service::broker::Broker;
use lab4_event_service::load::{Accepted, Verdict};
use lab4_event_service::outage::{self, Scene};
use shared::config::Client;
use shared::shutdown::Shutdown;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn with_direct_sends_accepted_events_are_lost() {
    common::build_mini_kafka();
    let (calm, outage) = (Duration::from_secs(1), Duration::from_secs(3));
    let scene = Scene { send: SendMode::Direct, rate: 100, calm, outage };
    let (accepted, verdict) = run(Broker::in_memory().await.unwrap(), "500", scene).await;
    assert_eq!(accepted.failed, 0, "the callers notice nothing");
    assert!(verdict.lost() > 0, "{verdict}");
    assert_eq!(verdict.twice(), 0, "{verdict}");
}

/// Also while the broker is suspended, and nothing in this process can clear up.
#[test]
fn a_killed_outage_leaves_no_broker_behind() {
    common::build_mini_kafka();
    let mut outage = Command::new(env!("CARGO_BIN_EXE_lab4"))
        .args(["outage", "--rate", "1", "--seconds", "600"])
        .env_remove("KAFKA_LAUNCHER")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(outage.stderr.take().unwrap()).lines().map(Result::unwrap);
    let address = lines.find_map(|line| {
        let address = line.strip_prefix("A broker for this scene listens on ")?;
        Some(address.trim_end_matches('.').to_owned())
    });
    let address = address.unwrap();
    assert!(lines.any(|line| line == "The broker goes."));
    outage.kill().unwrap();
    outage.wait().unwrap();
    // A suspended process still has its port.
    while TcpStream::connect(&address).is_ok() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_kafka_that_is_stopped_and_started_loses_nothing_either() {
    let Some(launcher) = std::env::var_os("KAFKA_LAUNCHER").filter(|launcher| !launcher.is_empty())
    else {
        eprintln!("Skipped: KAFKA_LAUNCHER does not name a program that starts and stops a Kafka.");
        return;
    };
    let broker = Broker::launched(launcher.into()).await.unwrap();
    let (calm, outage) = (Duration::from_secs(2), Duration::from_secs(10));
    let scene = Scene { send: SendMode::Outbox, rate: 100, calm, outage };
    let (accepted, verdict) = run(broker, "5000", scene).await;
    assert_eq!(accepted.failed, 0, "HTTP does not need Kafka");
    // 100 a second for 14 s, less the likes that were no news.
    assert!(accepted.count() > 1000, "there was load: {verdict}");
    assert!(verdict.handled_known);
    assert_eq!((verdict.lost(), verdict.unhandled(), verdict.twice()), (0, 0, 0), "{verdict}");
}

async fn run(broker: Broker, message_timeout: &str, scene: Scene) -> (Accepted, Verdict) {
    let (mut config, folder) = common::config(&broker.address());
    config.set(Client::Producer, "message.timeout.ms", message_timeout, "the test").unwrap();
    let (_trigger, never) = Shutdown::by_hand();
    let result = outage::run(&config, &broker, &scene, &never).await;
    broker.end().await.unwrap();
    let (accepted, verdict) = result.unwrap();
    let lost = std::fs::read_to_string(folder.path().join("lost.log")).unwrap_or_default();
    // More, because a send that timed out may have reached the broker.
    assert!(lost.lines().count() as u64 >= verdict.lost(), "the file has each lost event");
    (accepted, verdict)
}
