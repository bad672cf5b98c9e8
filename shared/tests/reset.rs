//! What a lab made is deleted when nobody uses it, and not before.

#![allow(clippy::unwrap_used, reason = "a test")]

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use shared::client::Cluster;
use shared::config::Topic;
use shared::reset::{InUse, Made};
use shared::testing::{TestBroker, unique};
use shared::topic;
use std::time::Duration;

#[tokio::test]
async fn a_consumer_that_runs_keeps_what_it_reads() {
    let broker = TestBroker::start().await.unwrap();
    let cluster = Cluster::at(broker.bootstrap_servers()).await.unwrap();
    let (read, other) = (unique("read"), unique("other"));
    for name in [&read, &other] {
        topic::ensure(&cluster, &Topic::new(name, 1)).await.unwrap();
    }
    let group = unique("group");
    let consumer = consumer(broker.bootstrap_servers(), &group, &read).await;

    // By the group's name, and by the topic alone: `--group` may have named another group than the file.
    for (topics, groups) in
        [(vec![other.clone()], vec![group.clone()]), (vec![other.clone(), read.clone()], vec![])]
    {
        let error = Made { topics, groups }.delete(&cluster).await.unwrap_err();
        assert!(error.is::<InUse>(), "{error}");
        let said = error.to_string();
        assert!(
            said.starts_with(&format!(
                "Group {group} still has 1 member: reader.\nNothing was deleted."
            )),
            "{said}"
        );
        assert_eq!(cluster.partitions(&other).await.unwrap(), Some(1), "nothing was deleted");
    }
    // Who uses something else is in nobody's way.
    Made { topics: vec![other.clone()], groups: vec![unique("nobody")] }
        .delete(&cluster)
        .await
        .unwrap();
    assert_eq!(cluster.partitions(&other).await.unwrap(), None);

    drop(consumer); // It leaves its group.
    Made { topics: vec![read.clone()], groups: vec![group] }.delete(&cluster).await.unwrap();
    assert_eq!(cluster.partitions(&read).await.unwrap(), None);
}

/// A member of the group that has got its partition.
async fn consumer(address: &str, group: &str, topic: &str) -> BaseConsumer {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("group.id", group)
        .set("client.id", "reader")
        .create()
        .unwrap();
    consumer.subscribe(&[topic]).unwrap();
    tokio::task::spawn_blocking(move || {
        while consumer.assignment().unwrap().count() == 0 {
            // Nothing is there to read: this waits for the assignment.
            assert!(consumer.poll(Duration::from_millis(50)).is_none_or(|message| message.is_ok()));
        }
        consumer
    })
    .await
    .unwrap()
}
