//! What happens at the memory limit: nothing is dropped, producers wait, and go on when there is room.
//!
//! Clients in other languages do the same in `integration_tests.rs`.

#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "a test stops where it fails, and shares its client"
)]

#[path = "hostile/client.rs"]
mod client;
#[path = "memory_limit/full.rs"]
mod full;

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};

use crate::full::{Full, TOPIC};

#[tokio::test(flavor = "multi_thread")]
async fn librdkafka_waits_until_there_is_room() {
    let full = tokio::task::spawn_blocking(Full::start).await.unwrap();
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", full.bootstrap_servers())
        .set("retry.backoff.ms", "10")
        .create()
        .unwrap();
    let sent = tokio::spawn(async move {
        let record = FutureRecord::<(), str>::to(TOPIC).payload("late");
        producer.send(record, Timeout::After(Duration::from_secs(60))).await.map_err(|e| e.0)
    });
    let full = tokio::task::spawn_blocking(move || {
        full.refuses(3);
        assert_eq!(full.records(), 0);
        full.delete_topic();
        full
    });
    let full = full.await.unwrap();
    let delivery = sent.await.unwrap().unwrap();
    assert_eq!((delivery.partition, delivery.offset, full.records()), (0, 0, 1));
}

#[test]
fn deleted_records_make_room() {
    let full = Full::start();
    assert_ne!(full.produce(TOPIC, 1), 0);
    full.delete_records();
    assert_eq!(full.produce(TOPIC, 900_000), 0);
    assert_ne!(full.produce(TOPIC, 900_000), 0);
    assert_eq!(full.records(), 1);
}
