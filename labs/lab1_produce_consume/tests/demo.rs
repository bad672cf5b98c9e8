//! The demo's values, on either broker: what the lesson claims, for lines that nobody typed.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use lab1_produce_consume::Mode;
use lab1_produce_consume::demo::{self, LINES, Run};
use shared::config::Flags;
use shared::shutdown::Shutdown;
use shared::testing::{TestBroker, unique};

async fn run(broker: &TestBroker, file: &str) -> Run {
    let flags =
        Flags { bootstrap_server: Some(broker.bootstrap_servers().to_owned()), ..Flags::default() };
    let (_trigger, shutdown) = Shutdown::by_hand();
    demo::run(&flags, file, &unique("demo"), &shutdown).await.unwrap()
}

#[tokio::test]
async fn keyed_keeps_each_user_in_one_partition_and_in_order() {
    let broker = TestBroker::start().await.unwrap();
    let run = run(&broker, "config_keyed.toml").await;
    assert_eq!(run.mode, Mode::Keyed);
    for (user, partition) in [("u1", 2), ("u2", 0), ("u7", 1)] {
        assert_eq!(run.partitions_of(user).into_iter().collect::<Vec<_>>(), [partition]);
        let sent: Vec<&str> = LINES.into_iter().filter(|line| line.starts_with(user)).collect();
        let key = Some(user.as_bytes());
        let received: Vec<&[u8]> = run
            .received
            .iter()
            .filter(|message| message.key.as_deref() == key)
            .filter_map(|message| message.value.as_deref())
            .collect();
        assert_eq!(received, sent.iter().map(|line| line.as_bytes()).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn round_robin_deals_the_lines_out_without_keys() {
    let broker = TestBroker::start().await.unwrap();
    let run = run(&broker, "config_roundrobin.toml").await;
    let places: Vec<(i32, i64)> =
        run.reports.iter().map(|report| report.result.clone().unwrap()).collect();
    assert_eq!(places, [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (0, 2), (1, 2)]);
    assert!(run.received.iter().all(|message| message.key.is_none()));
    assert_eq!([0, 1, 2].map(|partition| run.count(partition)), [3, 3, 2]);
}
