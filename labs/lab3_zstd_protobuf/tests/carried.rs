//! What arrives, what does not, and that the counts say so. On either broker.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use lab3_zstd_protobuf::event::{Format, UserEvent};
use lab3_zstd_protobuf::generate::{events, noise};
use lab3_zstd_protobuf::receive::{Step, receive};
use lab3_zstd_protobuf::send::{Failure, Producer, Record, Tally, WhenFull};
use lab3_zstd_protobuf::stored::{Codec, stored};
use lab3_zstd_protobuf::{CONSUMER, Lab, PRODUCER};
use shared::client::Cluster;
use shared::config::{Client, Config, Flags};
use shared::consume::Limits;
use shared::shutdown::Shutdown;
use shared::testing::{TestBroker, unique};
use std::collections::BTreeMap;

/// The lab's configuration for a topic of this test alone, which is made.
async fn configured(broker: &TestBroker, properties: &[(&str, &str)]) -> Config<Lab> {
    let flags = Flags {
        bootstrap_server: Some(broker.bootstrap_servers().to_owned()),
        topic: Some(unique("lab3-test")),
        properties: properties
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        ..Flags::default()
    };
    let config = Config::load(&PRODUCER, &flags).unwrap();
    let cluster = Cluster::connect(&config).await.unwrap();
    shared::topic::ensure(&cluster, &config.topic).await.unwrap();
    config
}

async fn send(config: &Config<Lab>, events: Vec<UserEvent>, when_full: WhenFull) -> Tally {
    let (_trigger, shutdown) = Shutdown::by_hand();
    let mut producer = Producer::new(&config.client(Client::Producer)).unwrap();
    let records = events.into_iter().map(|event| {
        let value = Format::Protobuf.encode(&event);
        Record::new(event.user_id, value)
    });
    producer
        .send(&config.topic.name, records, None, when_full, &shutdown, |_| Ok(()))
        .await
        .unwrap()
}

/// Everything in the topic, in the order of arrival.
async fn read(config: &Config<Lab>) -> (Vec<UserEvent>, u64) {
    let flags = Flags {
        bootstrap_server: Some(config.bootstrap_servers().to_owned()),
        topic: Some(config.topic.name.clone()),
        properties: vec![("enable.partition.eof".to_owned(), "true".to_owned())],
        ..Flags::default()
    };
    let mut config: Config<Lab> = Config::load(&CONSUMER, &flags).unwrap();
    config.set(Client::Consumer, "group.id", &config.topic.name.clone(), "test").unwrap();
    let cluster = Cluster::connect(&config).await.unwrap();
    let (_trigger, shutdown) = Shutdown::by_hand();
    let mut events = Vec::new();
    let limits = Limits { at_end: true, ..Limits::default() };
    let read = receive(&config, &cluster, limits, &shutdown, |step| {
        match step {
            Step::Received(received) => events.extend(received.event),
            Step::News(sentence) => panic!("{sentence}"),
        }
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(read.events, events.len() as u64);
    (events, read.others)
}

async fn stored_records(config: &Config<Lab>) -> u64 {
    let cluster = Cluster::connect(config).await.unwrap();
    let batches = stored(&cluster, &config.topic.name, 0).await.unwrap();
    batches.iter().map(|batch| batch.records).sum()
}

#[tokio::test]
async fn what_is_sent_arrives_once_and_in_order_for_each_user() {
    let broker = TestBroker::start().await.unwrap();
    let config = configured(&broker, &[]).await;
    let sent: Vec<_> = events(5, 0).take(2_000).collect();
    let tally = send(&config, sent.clone(), WhenFull::Wait).await;
    assert!(tally.is_complete(), "{tally:?}");
    assert_eq!(tally.sentence(&config), "2000 of 2000 events delivered.");

    let (received, others) = read(&config).await;
    assert_eq!(others, 0);
    let by_user = |events: Vec<UserEvent>| {
        let mut users: BTreeMap<String, Vec<UserEvent>> = BTreeMap::new();
        for event in events {
            users.entry(event.user_id.clone()).or_default().push(event);
        }
        users
    };
    assert!(by_user(received) == by_user(sent));
}

#[tokio::test]
async fn the_log_holds_zstd_and_less_than_was_sent() {
    let broker = TestBroker::start().await.unwrap();
    let config = configured(&broker, &[("linger.ms", "500")]).await;
    let tally = send(&config, events(5, 0).take(3_000).collect(), WhenFull::Wait).await;
    let cluster = Cluster::connect(&config).await.unwrap();
    let batches = stored(&cluster, &config.topic.name, 0).await.unwrap();
    assert_eq!(batches.iter().map(|batch| batch.records).sum::<u64>(), 3_000);
    assert!(batches.iter().all(|batch| batch.codec == Codec::Zstd), "{batches:?}");
    let bytes: u64 = batches.iter().map(|batch| batch.bytes).sum();
    assert!(bytes < tally.value_bytes, "{bytes} of {}", tally.value_bytes);
    // One partition after the other, without a gap.
    for partition in 0..3 {
        let mut next = 0;
        for batch in batches.iter().filter(|batch| batch.partition == partition) {
            assert_eq!(batch.offset, next);
            next += i64::try_from(batch.records).unwrap();
        }
    }
    let behind = stored(&cluster, &config.topic.name, 100_000).await.unwrap();
    assert!(behind.is_empty());
}

/// Nothing leaves the queue before `linger.ms`, so it fills.
const SMALL_QUEUE: [(&str, &str); 2] =
    [("queue.buffering.max.messages", "100"), ("linger.ms", "300")];

#[tokio::test]
async fn a_full_queue_drops_what_may_not_wait() {
    let broker = TestBroker::start().await.unwrap();
    let config = configured(&broker, &[SMALL_QUEUE[0], ("linger.ms", "3000")]).await;
    let tally = send(&config, events(1, 0).take(1_000).collect(), WhenFull::Drop).await;
    assert_eq!(tally.delivered.records(), 100);
    assert_eq!(tally.failed, BTreeMap::from([(Failure::QueueFull, 900)]));
    assert_eq!(
        tally.sentence(&config),
        "100 of 1000 events delivered, 900 not: 900 found the queue full (queue.buffering.max.messages=100, \
         queue.buffering.max.kbytes=1048576)."
    );
    assert_eq!(stored_records(&config).await, 100);
}

#[tokio::test]
async fn a_full_queue_makes_the_others_wait() {
    let broker = TestBroker::start().await.unwrap();
    let config = configured(&broker, &SMALL_QUEUE).await;
    let tally = send(&config, events(1, 0).take(300).collect(), WhenFull::Wait).await;
    assert!(tally.is_complete(), "{tally:?}");
    assert!(tally.waited > 0, "{tally:?}");
    assert_eq!(stored_records(&config).await, 300);
}

/// Ten events, the first of which carries `bytes` of noise.
fn with_note(bytes: usize) -> Vec<UserEvent> {
    let mut events: Vec<_> = events(1, 0).take(10).collect();
    let data = events[0].data.as_mut().unwrap();
    data.metadata.insert("note".to_owned(), noise(1, bytes));
    events
}

#[tokio::test]
async fn an_event_too_large_for_the_producer_stays_alone() {
    let broker = TestBroker::start().await.unwrap();
    let config = configured(&broker, &[]).await;
    let tally = send(&config, with_note(2_000_000), WhenFull::Wait).await;
    assert_eq!(tally.failed, BTreeMap::from([(Failure::TooLarge, 1)]));
    assert_eq!(
        tally.sentence(&config),
        "9 of 10 events delivered, 1 not: 1 too large for this producer (message.max.bytes=1000000)."
    );
    assert_eq!(stored_records(&config).await, 9);
}

#[tokio::test]
async fn an_event_too_large_for_the_topic_takes_its_batch_along() {
    let broker = TestBroker::start().await.unwrap();
    let large =
        [("message.max.bytes", "10000000"), ("batch.size", "10000000"), ("linger.ms", "2000")];
    let config = configured(&broker, &large).await;
    let events = with_note(2_000_000);
    let tally = send(&config, events, WhenFull::Wait).await;
    let lost = tally.failed.get(&Failure::BatchTooLarge).copied().unwrap_or_default();
    // Those of the same partition, which its key decides.
    assert_eq!((lost, tally.delivered.records()), (4, 6), "{tally:?}");
    assert_eq!(
        tally.sentence(&config),
        "6 of 10 events delivered, 4 not: 4 in a batch too large for the topic (its max.message.bytes)."
    );
    assert_eq!(stored_records(&config).await, 6);
}

#[tokio::test]
async fn the_broker_weighs_what_is_left_after_compression() {
    let broker = TestBroker::start().await.unwrap();
    let config = configured(&broker, &[("message.max.bytes", "10000000")]).await;
    let mut events = with_note(0);
    let data = events[0].data.as_mut().unwrap();
    data.metadata.insert("note".to_owned(), "x".repeat(2_000_000));
    let tally = send(&config, events, WhenFull::Wait).await;
    assert!(tally.is_complete(), "{tally:?}");
}

#[tokio::test]
async fn a_broker_that_stays_away_for_longer_than_the_timeout() {
    // The scene stops it, so it is always our own.
    let broker = TestBroker::embedded(0).await.unwrap();
    let config = configured(&broker, &[("message.timeout.ms", "1000"), ("linger.ms", "0")]).await;
    let (_trigger, shutdown) = Shutdown::by_hand();
    let mut producer = Producer::new(&config.client(Client::Producer)).unwrap();
    let records = events(1, 0)
        .take(200)
        .map(|event| Record::new(event.user_id, vec![0; 10]))
        .collect::<Vec<_>>();
    let (stop, mut stopped) = tokio::sync::mpsc::unbounded_channel();
    let broker_ends = async {
        stopped.recv().await;
        broker.stop().await;
    };
    let mut delivered = 0;
    let sending = producer.send(
        &config.topic.name,
        records.into_iter(),
        Some(200),
        WhenFull::Wait,
        &shutdown,
        |report| {
            delivered += u64::from(report.result.is_ok());
            if delivered == 50 {
                let _ = stop.send(());
            }
            Ok(())
        },
    );
    let (tally, ()) = tokio::join!(sending, broker_ends);
    let tally = tally.unwrap();
    let failed = tally.failed.get(&Failure::TimedOut).copied().unwrap_or_default();
    assert!(failed > 0 && tally.delivered.records() >= 50, "{tally:?}");
    assert_eq!(tally.delivered.records() + failed, 200, "{tally:?}");
    assert_eq!(
        tally.sentence(&config),
        format!(
            "{} of 200 events delivered, {failed} not: {failed} had no answer within message.timeout.ms=1000.",
            200 - failed
        )
    );
}

#[tokio::test]
async fn what_is_no_event_is_counted_and_passed_over() {
    let broker = TestBroker::start().await.unwrap();
    let config = configured(&broker, &[]).await;
    let (_trigger, shutdown) = Shutdown::by_hand();
    let mut producer = Producer::new(&config.client(Client::Producer)).unwrap();
    let event = events(1, 0).next().unwrap();
    let records = vec![
        Record::new("a", Format::Protobuf.encode(&event)),
        Record::new("a", Format::Json.encode(&event)),
        Record::new("a", vec![0xff; 9]),
    ];
    producer
        .send(&config.topic.name, records.into_iter(), None, WhenFull::Wait, &shutdown, |_| Ok(()))
        .await
        .unwrap();
    assert_eq!(read(&config).await, (vec![event], 2));
}

#[tokio::test]
async fn who_is_stopped_tells_what_was_not_sent() {
    let broker = TestBroker::start().await.unwrap();
    let config = configured(&broker, &[("linger.ms", "0")]).await;
    let (trigger, shutdown) = Shutdown::by_hand();
    let mut producer = Producer::new(&config.client(Client::Producer)).unwrap();
    let records = events(1, 0)
        .take(1_000)
        .map(|event| Record::new(event.user_id, vec![0; 10]))
        .collect::<Vec<_>>();
    let tally = producer
        .send(
            &config.topic.name,
            records.into_iter(),
            Some(500),
            WhenFull::Wait,
            &shutdown,
            |report| {
                if report.n == 20 {
                    trigger.pull();
                }
                Ok(())
            },
        )
        .await
        .unwrap();
    assert!(tally.unsent > 0 && tally.unknown == 0, "{tally:?}");
    assert_eq!(tally.delivered.records() + tally.unsent, 1_000);
    assert!(
        tally.sentence(&config).ends_with(" not sent, you stopped it."),
        "{}",
        tally.sentence(&config)
    );
    assert_eq!(stored_records(&config).await, tally.delivered.records());
}
