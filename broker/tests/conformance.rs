//! What a client relies on, asked of the broker by librdkafka: every test passes on Apache Kafka and on ours.
//!
//! ```sh
//! cargo test --test conformance                                           # our broker, one per test
//! KAFKA_BOOTSTRAP_SERVERS=localhost:9092 cargo test --test conformance    # that Kafka
//! ```
//!
//! The other Kafka wants `num.partitions=3`, its default `auto.create.topics.enable=true`, and, so that nobody waits,
//! `group.initial.rebalance.delay.ms=0`. Rebalancing has tests of its own; so has the wire, in `wire_conformance.rs`.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

#[path = "conformance/subject.rs"]
mod subject;

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigSource, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::subject::Subject;

/// How long anything may take before it counts as missing.
const PATIENCE: Duration = Duration::from_secs(30);

// ---------------------------------------------------------------------------------------------------------------
// Producing
// ---------------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn a_key_decides_the_partition() {
    let kafka = Kafka::start().await;
    let topic = kafka.topic(3).await;
    let producer = kafka.producer([("partitioner", "consistent")]);
    for index in 0..30 {
        let key = format!("user-{index}");
        let mut crc = flate2::Crc::new();
        crc.update(key.as_bytes());
        let delivery =
            send(&producer, FutureRecord::to(&topic).key(&key).payload("click")).await.unwrap();
        assert_eq!(delivery.0, i32::try_from(crc.sum() % 3).unwrap(), "{key}");
    }

    let messages = kafka.read(&topic, 3, 30).await;
    let mut keys: HashMap<i32, Vec<&str>> = HashMap::new();
    for message in &messages {
        keys.entry(message.partition()).or_default().push(key(message));
    }
    assert_eq!(keys.len(), 3, "every partition has some of 30 keys: {keys:?}");
    for (partition, keys) in keys {
        let mut numbers: Vec<u32> = keys.iter().map(|key| key[5..].parse().unwrap()).collect();
        assert!(
            numbers.is_sorted(),
            "partition {partition} keeps the order of sending: {numbers:?}"
        );
        numbers.dedup();
        assert_eq!(numbers.len(), keys.len(), "partition {partition} has nothing twice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_partition_counts_its_own_offsets() {
    let kafka = Kafka::start().await;
    let topic = kafka.topic(2).await;
    let producer = kafka.producer([]);
    for (partition, offset) in [(0, 0), (0, 1), (1, 0), (0, 2), (1, 1)] {
        let record = FutureRecord::<(), _>::to(&topic).partition(partition).payload("x");
        assert_eq!(send(&producer, record).await, Ok((partition, offset)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_codec_gives_back_what_was_put_in() {
    let kafka = Kafka::start().await;
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = kafka.topic(1).await;
        let producer = kafka.producer([("compression.type", codec), ("linger.ms", "50")]);
        let expected: Vec<_> =
            (0..100).map(|index| format!("{codec} {index} ").repeat(20)).collect();
        let records = expected.iter().map(|value| FutureRecord::to(&topic).payload(value));
        assert_eq!(
            send_together(&producer, records).await,
            (0..100).collect::<Vec<_>>(),
            "{codec}"
        );
        let messages = kafka.read(&topic, 1, 100).await;
        let values: Vec<_> = messages.iter().map(value).collect();
        assert_eq!(values, expected, "{codec}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_acknowledgements_store_the_record() {
    let kafka = Kafka::start().await;
    for acks in ["0", "1", "all"] {
        let topic = kafka.topic(1).await;
        let producer = kafka.producer([("acks", acks)]);
        for index in 0..10 {
            let delivery =
                send(&producer, FutureRecord::<(), _>::to(&topic).payload(&index.to_string()))
                    .await
                    .unwrap();
            if acks != "0" {
                assert_eq!(delivery, (0, index), "acks={acks}");
            }
        }
        let messages = kafka.read(&topic, 1, 10).await;
        assert_eq!(messages.iter().map(value).collect::<String>(), "0123456789", "acks={acks}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotent_producer_keeps_order_without_gaps() {
    let kafka = Kafka::start().await;
    let topic = kafka.topic(1).await;
    let producer = kafka.producer([
        ("enable.idempotence", "true"),
        ("max.in.flight", "5"),
        ("batch.num.messages", "7"),
        ("linger.ms", "1"),
    ]);
    let payloads: Vec<_> = (0..500).map(|index| index.to_string()).collect();
    let records = payloads.iter().map(|payload| FutureRecord::to(&topic).payload(payload));
    assert_eq!(send_together(&producer, records).await, (0..500).collect::<Vec<_>>());
    let messages = kafka.read(&topic, 1, 500).await;
    assert_eq!(messages.iter().map(value).collect::<Vec<_>>(), payloads);
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_timestamps_nulls_and_empty_values_survive() {
    let kafka = Kafka::start().await;
    let topic = kafka.topic(1).await;
    let producer = kafka.producer([]);
    let headers = OwnedHeaders::new()
        .insert(Header { key: "trace", value: Some("1") })
        .insert(Header { key: "trace", value: Some("2") })
        .insert(Header { key: "none", value: None::<&str> });
    let record = FutureRecord::to(&topic)
        .key("k")
        .payload("v")
        .headers(headers.clone())
        .timestamp(1_234_567);
    send(&producer, record).await.unwrap();
    send(&producer, FutureRecord::<(), ()>::to(&topic)).await.unwrap();
    send(&producer, FutureRecord::to(&topic).key("").payload("")).await.unwrap();
    send(&producer, FutureRecord::<_, ()>::to(&topic).key("tombstone")).await.unwrap();

    let messages = kafka.read(&topic, 1, 4).await;
    assert_eq!((messages[0].key(), messages[0].payload()), (Some(&b"k"[..]), Some(&b"v"[..])));
    assert_eq!(messages[0].timestamp().to_millis(), Some(1_234_567));
    let found: Vec<_> =
        messages[0].headers().unwrap().iter().map(|header| (header.key, header.value)).collect();
    assert_eq!(found, [("trace", Some(&b"1"[..])), ("trace", Some(&b"2"[..])), ("none", None)]);
    assert_eq!((messages[1].key(), messages[1].payload()), (None, None));
    assert_eq!((messages[2].key(), messages[2].payload()), (Some(&b""[..]), Some(&b""[..])));
    assert_eq!((messages[3].key(), messages[3].payload()), (Some(&b"tombstone"[..]), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_may_be_as_large_as_the_topic_allows() {
    let kafka = Kafka::start().await;
    let producer = kafka.producer([("message.max.bytes", "5000000")]);

    // A megabyte, less a little, is the default limit.
    let topic = kafka.topic(1).await;
    let large = "x".repeat(1_000_000);
    assert_eq!(
        send(&producer, FutureRecord::<(), _>::to(&topic).payload(&large)).await,
        Ok((0, 0))
    );
    let too_large = "x".repeat(1_100_000);
    let refused = send(&producer, FutureRecord::<(), _>::to(&topic).payload(&too_large)).await;
    assert_eq!(refused, Err(KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge)));
    assert_eq!(value(&kafka.read(&topic, 1, 1).await[0]), large);

    // A topic may have its own.
    let small = kafka.topic_with(1, &[("max.message.bytes", "1000")]).await;
    let refused = send(&producer, FutureRecord::<(), _>::to(&small).payload(&large[..2000])).await;
    assert_eq!(refused, Err(KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge)));
    assert_eq!(
        send(&producer, FutureRecord::<(), _>::to(&small).payload(&large[..900])).await,
        Ok((0, 0))
    );
    let roomy = kafka.topic_with(1, &[("max.message.bytes", "3000000")]).await;
    assert_eq!(
        send(&producer, FutureRecord::<(), _>::to(&roomy).payload(&large.repeat(2))).await,
        Ok((0, 0))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_made_when_it_is_first_used() {
    let kafka = Kafka::start().await;
    let topic = unique("made-on-use");
    let producer = kafka.producer([]);
    assert_eq!(send(&producer, FutureRecord::to(&topic).key("k").payload("v")).await.unwrap().1, 0);
    assert_eq!(kafka.partition_count(&topic), 3, "num.partitions");
    assert_eq!(kafka.read(&topic, 3, 1).await.iter().map(value).collect::<Vec<_>>(), ["v"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_does_not_exist_is_refused() {
    let kafka = Kafka::start().await;
    let topic = kafka.topic(2).await;
    let record = FutureRecord::<(), _>::to(&topic).partition(2).payload("x");
    let refused = send(&kafka.producer([]), record).await;
    assert_eq!(refused, Err(KafkaError::MessageProduction(RDKafkaErrorCode::UnknownPartition)));
}

// ---------------------------------------------------------------------------------------------------------------
// Reading
// ---------------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_may_start_in_the_middle_of_a_batch() {
    let kafka = Kafka::start().await;
    let topic = kafka.topic(1).await;
    for codec in ["none", "gzip"] {
        // One batch of ten records.
        let producer = kafka.producer([
            ("linger.ms", "200"),
            ("batch.num.messages", "10"),
            ("compression.type", codec),
        ]);
        let payloads: Vec<_> = (0..10).map(|index| index.to_string()).collect();
        let records = payloads.iter().map(|payload| FutureRecord::to(&topic).payload(payload));
        let first = send_together(&producer, records).await[0];

        let consumer = kafka.consumer(&unique("g"), []);
        consumer.assign(&at(&topic, 0, Offset::Offset(first + 4))).unwrap();
        let messages = take(&consumer, 6).await;
        assert_eq!(messages.iter().map(value).collect::<String>(), "456789", "{codec}");
        assert_eq!(
            messages.iter().map(Message::offset).collect::<Vec<_>>(),
            (first + 4..first + 10).collect::<Vec<_>>()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn seek_goes_back_and_forth() {
    let kafka = Kafka::start().await;
    let topic = kafka.topic(1).await;
    kafka.fill(&topic, 0, 10).await;
    let consumer = kafka.consumer(&unique("g"), []);
    consumer.assign(&at(&topic, 0, Offset::Beginning)).unwrap();
    assert_eq!(take(&consumer, 10).await[9].offset(), 9);
    consumer.seek(&topic, 0, Offset::Offset(3), PATIENCE).unwrap();
    assert_eq!(take(&consumer, 2).await.iter().map(value).collect::<String>(), "34");
    consumer.seek(&topic, 0, Offset::Offset(8), PATIENCE).unwrap();
    assert_eq!(take(&consumer, 2).await.iter().map(value).collect::<String>(), "89");
    consumer.seek(&topic, 0, Offset::Beginning, PATIENCE).unwrap();
    assert_eq!(take(&consumer, 1).await.iter().map(value).collect::<String>(), "0");
    consumer.seek(&topic, 0, Offset::OffsetTail(1), PATIENCE).unwrap();
    assert_eq!(take(&consumer, 1).await.iter().map(value).collect::<String>(), "9");
}

#[tokio::test(flavor = "multi_thread")]
async fn watermarks_are_the_first_and_the_next_offset() {
    let kafka = Kafka::start().await;
    let topic = kafka.topic(2).await;
    let consumer = kafka.consumer(&unique("g"), []);
    assert_eq!(consumer.fetch_watermarks(&topic, 0, PATIENCE).unwrap(), (0, 0));
    kafka.fill(&topic, 0, 7).await;
    assert_eq!(consumer.fetch_watermarks(&topic, 0, PATIENCE).unwrap(), (0, 7));
    assert_eq!(consumer.fetch_watermarks(&topic, 1, PATIENCE).unwrap(), (0, 0));
    let unknown = consumer.fetch_watermarks(&topic, 5, PATIENCE).unwrap_err();
    assert_eq!(unknown.rdkafka_error_code(), Some(RDKafkaErrorCode::UnknownPartition));
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_are_found_by_time() {
    let kafka = Kafka::start().await;
    let topic = kafka.topic(2).await;
    // All in one batch, so that the answer lies inside it.
    let producer = kafka.producer([("linger.ms", "200"), ("batch.num.messages", "5")]);
    let times = [1000, 2000, 3000, 4000, 5000];
    let payload = "x".to_owned();
    let records = times
        .iter()
        .map(|time| FutureRecord::to(&topic).partition(0).payload(&payload).timestamp(*time));
    send_together(&producer, records).await;
    let consumer = kafka.consumer(&unique("g"), []);
    for (time, offset) in [
        (0, Offset::Offset(0)),
        (1000, Offset::Offset(0)),
        (1001, Offset::Offset(1)),
        (3000, Offset::Offset(2)),
        (5000, Offset::Offset(4)),
        (5001, Offset::End),
    ] {
        let found =
            consumer.offsets_for_times(at(&topic, 0, Offset::Offset(time)), PATIENCE).unwrap();
        assert_eq!(found.find_partition(&topic, 0).unwrap().offset(), offset, "time {time}");
    }
    let empty = consumer.offsets_for_times(at(&topic, 1, Offset::Offset(0)), PATIENCE).unwrap();
    assert_eq!(empty.find_partition(&topic, 1).unwrap().offset(), Offset::End);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_poll_is_answered_by_the_append() {
    let kafka = Kafka::start().await;
    let topic = kafka.topic(1).await;
    let wait = Duration::from_secs(20);
    let consumer = kafka
        .consumer(&unique("g"), [("fetch.wait.max.ms", "20000"), ("socket.timeout.ms", "60000")]);
    consumer.assign(&at(&topic, 0, Offset::Beginning)).unwrap();
    let producer = kafka.producer([]);
    send(&producer, FutureRecord::<(), _>::to(&topic).payload("first")).await.unwrap();
    assert_eq!(value(&take(&consumer, 1).await[0]), "first");

    // From here on the consumer has an empty fetch waiting at the broker.
    for _ in 0..10 {
        let start = Instant::now();
        send(&producer, FutureRecord::<(), _>::to(&topic).payload("next")).await.unwrap();
        let acked = start.elapsed();
        assert_eq!(value(&take(&consumer, 1).await[0]), "next");
        let took = start.elapsed();
        assert!(
            took < wait / 4,
            "the record came after {took:?}, its ack after {acked:?}, and the poll waits {wait:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn auto_offset_reset_decides_where_a_reader_without_offsets_starts() {
    let kafka = Kafka::start().await;
    let topic = kafka.topic(1).await;
    kafka.fill(&topic, 0, 5).await;

    let earliest = kafka.consumer(&unique("g"), [("auto.offset.reset", "earliest")]);
    earliest.subscribe(&[&topic]).unwrap();
    assert_eq!(take(&earliest, 5).await.iter().map(value).collect::<String>(), "01234");

    // `latest` begins with what comes after it has its place; wait until it has one.
    let latest = kafka.consumer(&unique("g"), [("auto.offset.reset", "latest")]);
    latest.assign(&at(&topic, 0, Offset::Offset(99))).unwrap();
    let producer = kafka.producer([]);
    let deadline = Instant::now() + PATIENCE;
    let first = loop {
        send(&producer, FutureRecord::<(), _>::to(&topic).payload("new")).await.unwrap();
        if let Ok(message) = tokio::time::timeout(Duration::from_millis(200), latest.recv()).await {
            break message.unwrap().detach();
        }
        assert!(Instant::now() < deadline, "nothing new came");
    };
    assert_eq!(value(&first), "new");
    assert!(first.offset() >= 5);

    let error = kafka.consumer(&unique("g"), [("auto.offset.reset", "error")]);
    error.assign(&at(&topic, 0, Offset::Offset(1_000_000))).unwrap();
    let refused = tokio::time::timeout(PATIENCE, error.recv()).await.unwrap().unwrap_err();
    assert_eq!(refused.rdkafka_error_code(), Some(RDKafkaErrorCode::AutoOffsetReset));
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_records_are_skipped() {
    let kafka = Kafka::start().await;
    let topic = kafka.topic(1).await;
    kafka.fill(&topic, 0, 10).await;
    let admin = &kafka.admin;
    let done = admin
        .delete_records(&at(&topic, 0, Offset::Offset(6)), &AdminOptions::new())
        .await
        .unwrap();
    assert_eq!(done.find_partition(&topic, 0).unwrap().offset(), Offset::Offset(6));
    let consumer = kafka.consumer(&unique("g"), [("auto.offset.reset", "earliest")]);
    assert_eq!(consumer.fetch_watermarks(&topic, 0, PATIENCE).unwrap(), (6, 10));

    // Offset 2 is gone; the reset policy leads to the first that is left.
    consumer.assign(&at(&topic, 0, Offset::Offset(2))).unwrap();
    assert_eq!(take(&consumer, 4).await.iter().map(value).collect::<String>(), "6789");

    // Beyond the end nothing can be deleted; `End` deletes everything.
    let beyond = admin
        .delete_records(&at(&topic, 0, Offset::Offset(11)), &AdminOptions::new())
        .await
        .unwrap();
    let error = beyond.find_partition(&topic, 0).unwrap().error().unwrap_err();
    assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::OffsetOutOfRange));
    let all =
        admin.delete_records(&at(&topic, 0, Offset::End), &AdminOptions::new()).await.unwrap();
    assert_eq!(all.find_partition(&topic, 0).unwrap().offset(), Offset::Offset(10));
    assert_eq!(consumer.fetch_watermarks(&topic, 0, PATIENCE).unwrap(), (10, 10));
}

// ---------------------------------------------------------------------------------------------------------------
// Groups and their offsets
// ---------------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn a_group_goes_on_where_it_committed() {
    let kafka = Kafka::start().await;
    let topic = kafka.topic(1).await;
    kafka.fill(&topic, 0, 10).await;
    let group = unique("g");

    let first = kafka.consumer(&group, [("auto.offset.reset", "earliest")]);
    first.subscribe(&[&topic]).unwrap();
    let messages = take(&first, 4).await;
    assert_eq!(messages.iter().map(value).collect::<String>(), "0123");
    first.commit(&at(&topic, 0, Offset::Offset(4)), CommitMode::Sync).unwrap();
    let committed = first.committed_offsets(at(&topic, 0, Offset::Invalid), PATIENCE).unwrap();
    assert_eq!(committed.find_partition(&topic, 0).unwrap().offset(), Offset::Offset(4));
    drop(first);

    let second = kafka.consumer(&group, [("auto.offset.reset", "earliest")]);
    second.subscribe(&[&topic]).unwrap();
    assert_eq!(take(&second, 6).await.iter().map(value).collect::<String>(), "456789");

    // Another group has its own offsets.
    let other = kafka.consumer(&unique("g"), [("auto.offset.reset", "earliest")]);
    let none = other.committed_offsets(at(&topic, 0, Offset::Invalid), PATIENCE).unwrap();
    assert_eq!(none.find_partition(&topic, 0).unwrap().offset(), Offset::Invalid);
    other.subscribe(&[&topic]).unwrap();
    assert_eq!(take(&other, 10).await.iter().map(value).collect::<String>(), "0123456789");
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_can_be_committed_without_joining() {
    let kafka = Kafka::start().await;
    let topic = kafka.topic(2).await;
    let group = unique("g");
    let consumer = kafka.consumer(&group, []);
    let mut offsets = at(&topic, 0, Offset::Offset(42));
    offsets.set_partition_offset(&topic, 0, Offset::Offset(42)).unwrap();
    offsets.find_partition(&topic, 0).unwrap().set_metadata("a note");
    consumer.commit(&offsets, CommitMode::Sync).unwrap();

    let mut ask = at(&topic, 0, Offset::Invalid);
    ask.add_partition(&topic, 1);
    let committed = kafka.consumer(&group, []).committed_offsets(ask, PATIENCE).unwrap();
    let found = committed.find_partition(&topic, 0).unwrap();
    assert_eq!((found.offset(), found.metadata()), (Offset::Offset(42), "a note"));
    assert_eq!(committed.find_partition(&topic, 1).unwrap().offset(), Offset::Invalid);

    let unknown = consumer.commit(&at(&topic, 9, Offset::Offset(1)), CommitMode::Sync).unwrap_err();
    assert_eq!(unknown.rdkafka_error_code(), Some(RDKafkaErrorCode::UnknownTopicOrPartition));
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_listed_and_described() {
    let kafka = Kafka::start().await;
    let topic = kafka.topic(1).await;
    kafka.fill(&topic, 0, 1).await;
    let group = unique("g");
    let consumer =
        kafka.consumer(&group, [("auto.offset.reset", "earliest"), ("client.id", "reader")]);
    consumer.subscribe(&[&topic]).unwrap();
    take(&consumer, 1).await;

    let observer = kafka.consumer(&unique("observer"), []);
    let all = observer.fetch_group_list(None, PATIENCE).unwrap();
    assert!(all.groups().iter().any(|found| found.name() == group));
    let one = observer.fetch_group_list(Some(&group), PATIENCE).unwrap();
    let [found] = one.groups() else { panic!("one group") };
    assert_eq!(
        (found.state(), found.protocol_type(), found.protocol()),
        ("Stable", "consumer", "range")
    );
    let [member] = found.members() else { panic!("one member") };
    assert_eq!(member.client_id(), "reader");
    assert!(member.id().starts_with("reader-"), "{}", member.id());
    assert!(member.client_host().contains("127.0.0.1") || member.client_host().contains("::1"));

    // A group with members is not deleted; an empty one is, once.
    let admin = &kafka.admin;
    let options = AdminOptions::new();
    assert_eq!(
        admin.delete_groups(&[&group], &options).await.unwrap(),
        [Err((group.clone(), RDKafkaErrorCode::NonEmptyGroup))]
    );
    consumer.unsubscribe();
    drop(consumer);
    let deadline = Instant::now() + PATIENCE;
    while admin.delete_groups(&[&group], &options).await.unwrap() != [Ok(group.clone())] {
        assert!(Instant::now() < deadline, "the member has left, so the group can go");
    }
    assert_eq!(
        admin.delete_groups(&[&group], &options).await.unwrap(),
        [Err((group.clone(), RDKafkaErrorCode::GroupIdNotFound))]
    );
}

// ---------------------------------------------------------------------------------------------------------------
// Topics and the cluster
// ---------------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_made_and_unmade() {
    let kafka = Kafka::start().await;
    let admin = &kafka.admin;
    let options = AdminOptions::new();
    let topic = unique("t");

    // What is only validated is not made.
    let new = NewTopic::new(&topic, 2, TopicReplication::Fixed(1));
    let dry = AdminOptions::new().validate_only(true);
    assert_eq!(admin.create_topics([&new], &dry).await.unwrap(), [Ok(topic.clone())]);
    assert_eq!(kafka.topic_error(&topic), Some(RDKafkaErrorCode::UnknownTopicOrPartition));

    assert_eq!(admin.create_topics([&new], &options).await.unwrap(), [Ok(topic.clone())]);
    kafka.wait_for(&topic, 2).await;
    assert_eq!(
        admin.create_topics([&new], &options).await.unwrap(),
        [Err((topic.clone(), RDKafkaErrorCode::TopicAlreadyExists))]
    );
    assert_eq!(admin.delete_topics(&[&topic], &options).await.unwrap(), [Ok(topic.clone())]);
    let deadline = Instant::now() + PATIENCE;
    while kafka.topic_error(&topic) != Some(RDKafkaErrorCode::UnknownTopicOrPartition) {
        assert!(Instant::now() < deadline, "{topic} is still there");
    }
    assert_eq!(
        admin.delete_topics(&[&topic], &options).await.unwrap(),
        [Err((topic.clone(), RDKafkaErrorCode::UnknownTopicOrPartition))]
    );

    // A new topic of the same name is empty.
    assert_eq!(admin.create_topics([&new], &options).await.unwrap(), [Ok(topic.clone())]);
    kafka.wait_for(&topic, 2).await;
    assert_eq!(
        kafka.consumer(&unique("g"), []).fetch_watermarks(&topic, 0, PATIENCE).unwrap(),
        (0, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn impossible_topics_are_refused() {
    let kafka = Kafka::start().await;
    let admin = &kafka.admin;
    let name = unique("never");
    let long = "a".repeat(250);
    let cases = [
        (NewTopic::new(&name, 0, TopicReplication::Fixed(1)), RDKafkaErrorCode::InvalidPartitions),
        (
            NewTopic::new(&name, 1, TopicReplication::Fixed(3)),
            RDKafkaErrorCode::InvalidReplicationFactor,
        ),
        (NewTopic::new("no spaces", 1, TopicReplication::Fixed(1)), RDKafkaErrorCode::InvalidTopic),
        (NewTopic::new("..", 1, TopicReplication::Fixed(1)), RDKafkaErrorCode::InvalidTopic),
        (NewTopic::new(&long, 1, TopicReplication::Fixed(1)), RDKafkaErrorCode::InvalidTopic),
        (
            NewTopic::new(&name, 1, TopicReplication::Fixed(1)).set("no.such.setting", "1"),
            RDKafkaErrorCode::InvalidConfig,
        ),
        (
            NewTopic::new(&name, 1, TopicReplication::Fixed(1)).set("retention.ms", "soon"),
            RDKafkaErrorCode::InvalidConfig,
        ),
    ];
    for (new, code) in cases {
        let refused = admin.create_topics([&new], &AdminOptions::new()).await.unwrap();
        assert_eq!(refused, [Err((new.name.to_owned(), code))], "{new:?}");
    }
    assert_eq!(kafka.topic_error(&name), Some(RDKafkaErrorCode::UnknownTopicOrPartition));
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_can_be_added_but_not_taken_away() {
    let kafka = Kafka::start().await;
    let topic = kafka.topic(2).await;
    let admin = &kafka.admin;
    let options = AdminOptions::new();
    for (count, code) in
        [(1, RDKafkaErrorCode::InvalidPartitions), (2, RDKafkaErrorCode::InvalidPartitions)]
    {
        let refused =
            admin.create_partitions([&NewPartitions::new(&topic, count)], &options).await.unwrap();
        assert_eq!(refused, [Err((topic.clone(), code))], "to {count}");
    }
    let unknown = unique("nobody");
    let refused =
        admin.create_partitions([&NewPartitions::new(&unknown, 3)], &options).await.unwrap();
    assert_eq!(refused, [Err((unknown.clone(), RDKafkaErrorCode::UnknownTopicOrPartition))]);

    let more = admin.create_partitions([&NewPartitions::new(&topic, 5)], &options).await.unwrap();
    assert_eq!(more, [Ok(topic.clone())]);
    kafka.wait_for(&topic, 5).await;
    kafka.fill(&topic, 4, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_described_with_their_source() {
    let kafka = Kafka::start().await;
    let topic =
        kafka.topic_with(1, &[("retention.ms", "60000"), ("cleanup.policy", "compact")]).await;
    let unknown = unique("nobody");
    let admin = &kafka.admin;
    let asked = [ResourceSpecifier::Topic(&topic), ResourceSpecifier::Topic(&unknown)];
    let described = admin.describe_configs(&asked, &AdminOptions::new()).await.unwrap();
    let found = described[0].as_ref().unwrap();
    let setting = |name: &str| {
        let entry = found.get(name).unwrap_or_else(|| panic!("{name} is a setting of a topic"));
        (entry.value.clone().unwrap(), &entry.source, entry.is_read_only)
    };
    assert_eq!(setting("retention.ms"), ("60000".into(), &ConfigSource::DynamicTopic, false));
    assert_eq!(setting("cleanup.policy"), ("compact".into(), &ConfigSource::DynamicTopic, false));
    assert_eq!(setting("max.message.bytes"), ("1048588".into(), &ConfigSource::Default, false));
    // The binding hides the error of a topic that does not exist; what is left is that it has no settings.
    assert_eq!(described[1].as_ref().unwrap().entries, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_names_leaders_and_replicas() {
    let kafka = Kafka::start().await;
    let topic = kafka.topic(3).await;
    let consumer = kafka.consumer(&unique("g"), []);
    let metadata = consumer.fetch_metadata(Some(&topic), PATIENCE).unwrap();
    let [broker] = metadata.brokers() else { panic!("one broker") };
    let [found] = metadata.topics() else { panic!("one topic") };
    assert_eq!(found.name(), topic);
    let partitions: BTreeMap<_, _> = found
        .partitions()
        .iter()
        .map(|it| (it.id(), (it.leader(), it.replicas(), it.isr())))
        .collect();
    let here = (broker.id(), &[broker.id()][..], &[broker.id()][..]);
    assert_eq!(partitions, BTreeMap::from([(0, here), (1, here), (2, here)]));

    let all = consumer.fetch_metadata(None, PATIENCE).unwrap();
    assert!(all.topics().iter().any(|found| found.name() == topic));
    assert_eq!(
        kafka.topic_error(&unique("nobody")),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition)
    );
}

// ---------------------------------------------------------------------------------------------------------------
// The broker and its clients
// ---------------------------------------------------------------------------------------------------------------

/// The broker under test, and how to reach it.
struct Kafka {
    subject: Subject,
    admin: AdminClient<DefaultClientContext>,
}

impl Kafka {
    async fn start() -> Self {
        let subject = Subject::start().await;
        let admin = ClientConfig::new()
            .set("bootstrap.servers", subject.bootstrap_servers())
            .create()
            .unwrap();
        Self { subject, admin }
    }

    fn config<const N: usize>(&self, settings: [(&str, &str); N]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.subject.bootstrap_servers());
        for (name, value) in settings {
            config.set(name, value);
        }
        config
    }

    /// A producer that sends each record at once, unless told otherwise.
    fn producer<const N: usize>(&self, settings: [(&str, &str); N]) -> FutureProducer {
        let mut config = self.config([("linger.ms", "0")]);
        for (name, value) in settings {
            config.set(name, value);
        }
        config.create().unwrap()
    }

    /// A consumer that commits only when told. It waits briefly, since closing it waits for its last fetch.
    fn consumer<const N: usize>(&self, group: &str, settings: [(&str, &str); N]) -> StreamConsumer {
        let mut config =
            self.config([("enable.auto.commit", "false"), ("enable.auto.offset.store", "false")]);
        config.set("group.id", group).set("fetch.wait.max.ms", "50");
        for (name, value) in settings {
            config.set(name, value);
        }
        config.create().unwrap()
    }

    /// A new topic that is ready for use.
    async fn topic(&self, partitions: i32) -> String {
        self.topic_with(partitions, &[]).await
    }

    async fn topic_with(&self, partitions: i32, settings: &[(&str, &str)]) -> String {
        let name = unique("t");
        let mut new = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
        for (setting, value) in settings {
            new = new.set(setting, value);
        }
        assert_eq!(
            self.admin.create_topics([&new], &AdminOptions::new()).await.unwrap(),
            [Ok(name.clone())]
        );
        self.wait_for(&name, usize::try_from(partitions).unwrap()).await;
        name
    }

    /// Waits until a topic can be used: Kafka answers CreateTopics before all of it knows the topic.
    async fn wait_for(&self, topic: &str, partitions: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.partition_count(topic) != partitions {
            assert!(Instant::now() < deadline, "{topic} does not have {partitions} partitions");
            tokio::task::yield_now().await;
        }
        for partition in 0..i32::try_from(partitions).unwrap() {
            while self.admin.inner().fetch_watermarks(topic, partition, PATIENCE).is_err() {
                assert!(Instant::now() < deadline, "{topic}/{partition} has no leader");
                tokio::task::yield_now().await;
            }
        }
    }

    fn partition_count(&self, topic: &str) -> usize {
        let metadata = self.admin.inner().fetch_metadata(Some(topic), PATIENCE).unwrap();
        metadata.topics()[0].partitions().len()
    }

    /// What Metadata says of a topic, without making it.
    fn topic_error(&self, topic: &str) -> Option<RDKafkaErrorCode> {
        let consumer = self.consumer("asking", [("allow.auto.create.topics", "false")]);
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).unwrap();
        metadata.topics()[0].error().map(RDKafkaErrorCode::from)
    }

    /// Writes the records "0", "1", … to a partition.
    async fn fill(&self, topic: &str, partition: i32, count: i64) {
        let producer = self.producer([]);
        for index in 0..count {
            let payload = index.to_string();
            let record = FutureRecord::<(), _>::to(topic).partition(partition).payload(&payload);
            send(&producer, record).await.unwrap();
        }
    }

    /// Reads a topic from its beginning until there are `count` records.
    async fn read(&self, topic: &str, partitions: i32, count: usize) -> Vec<OwnedMessage> {
        let consumer = self.consumer(&unique("g"), [("fetch.message.max.bytes", "5000000")]);
        let mut assignment = TopicPartitionList::new();
        for partition in 0..partitions {
            assignment.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&assignment).unwrap();
        take(&consumer, count).await
    }
}

/// Sends a record; gives the partition and offset where it came to lie.
async fn send<K, P>(
    producer: &FutureProducer,
    record: FutureRecord<'_, K, P>,
) -> Result<(i32, i64), KafkaError>
where
    K: rdkafka::message::ToBytes + ?Sized,
    P: rdkafka::message::ToBytes + ?Sized,
{
    let delivery = producer.send(record, PATIENCE).await;
    delivery.map(|delivery| (delivery.partition, delivery.offset)).map_err(|(error, _)| error)
}

/// Takes the next records.
async fn take(consumer: &StreamConsumer, count: usize) -> Vec<OwnedMessage> {
    let mut messages = Vec::new();
    let all = async {
        while messages.len() < count {
            messages.push(consumer.recv().await.unwrap().detach());
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, all).await;
    assert!(in_time.is_ok(), "{} of {count} records came within {PATIENCE:?}", messages.len());
    messages
}

/// Hands all records over before it waits for the first, so that they share batches. Gives their offsets.
async fn send_together<'a>(
    producer: &FutureProducer,
    records: impl Iterator<Item = FutureRecord<'a, str, String>>,
) -> Vec<i64> {
    let sent: Vec<_> = records.map(|record| producer.send_result(record).unwrap()).collect();
    let mut offsets = Vec::new();
    for delivery in sent {
        offsets.push(delivery.await.unwrap().unwrap().offset);
    }
    offsets
}

fn at(topic: &str, partition: i32, offset: Offset) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, offset).unwrap();
    list
}

fn unique(name: &str) -> String {
    format!("{name}-{}", &uuid::Uuid::new_v4().simple().to_string()[..12])
}

fn key(message: &OwnedMessage) -> &str {
    std::str::from_utf8(message.key().unwrap()).unwrap()
}

fn value(message: &OwnedMessage) -> &str {
    std::str::from_utf8(message.payload().unwrap()).unwrap()
}
