//! The broker is away for ten seconds under load: counted, event by event.
//!
//! The in-memory broker is a process that is suspended and continued; its memory would end with it. A real Kafka is
//! stopped and started again with its data: `KAFKA_LAUNCHER` names the program that does it (`LAUNCHER start PORT`,
//! `KEEP=1 LAUNCHER stop PORT`).

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use lab4_event_service::Send;
use lab4_event_service::load::{Accepted, Verdict};
use lab4_event_service::outage::{self, Broker, Scene};
use shared::shutdown::Shutdown;
use std::time::Duration;

const SCENE: Scene = Scene {
    send: Send::Outbox,
    rate: 100,
    calm: Duration::from_secs(2),
    outage: Duration::from_secs(10),
};

#[tokio::test(flavor = "multi_thread")]
async fn with_the_outbox_nothing_accepted_is_lost_and_nothing_is_handled_twice() {
    let (accepted, verdict) = run(in_memory().await, SCENE).await;
    everything_arrived(&accepted, &verdict);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_direct_sends_accepted_events_are_lost() {
    let (accepted, verdict) = run(in_memory().await, Scene { send: Send::Direct, ..SCENE }).await;
    assert_eq!(accepted.failed, 0, "the callers notice nothing");
    assert!(verdict.lost() > 0, "{verdict}");
    assert_eq!(verdict.twice(), 0, "{verdict}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_kafka_that_is_stopped_and_started_loses_nothing_either() {
    let Some(launcher) = std::env::var_os("KAFKA_LAUNCHER").filter(|launcher| !launcher.is_empty())
    else {
        eprintln!("Skipped: KAFKA_LAUNCHER does not name a program that starts and stops a Kafka.");
        return;
    };
    let broker = Broker::launched(launcher.into()).await.unwrap();
    let (accepted, verdict) = run(broker, SCENE).await;
    everything_arrived(&accepted, &verdict);
}

fn everything_arrived(accepted: &Accepted, verdict: &Verdict) {
    assert_eq!(accepted.failed, 0, "HTTP does not need Kafka");
    // 100 a second for 14 s, less the likes that were no news.
    assert!(accepted.count() > 1000, "there was load: {verdict}");
    assert!(verdict.handled_known);
    assert_eq!((verdict.lost(), verdict.unhandled(), verdict.twice()), (0, 0, 0), "{verdict}");
}

async fn in_memory() -> Broker {
    // `cargo test -p` builds no program of another package.
    let build = std::process::Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "mini-kafka-program", "--bin", "mini-kafka"])
        .status();
    assert!(build.unwrap().success());
    Broker::in_memory().await.unwrap()
}

async fn run(broker: Broker, scene: Scene) -> (Accepted, Verdict) {
    let (config, _folder) = common::config(&broker.address());
    let (_trigger, never) = Shutdown::by_hand();
    let result = outage::run(&config, &broker, &scene, &never).await;
    broker.end().await.unwrap();
    result.unwrap()
}
