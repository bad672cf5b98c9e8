//! The arithmetic of `shared::partitioner` against what librdkafka really does.

use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use shared::client::Cluster;
use shared::config::Topic;
use shared::partitioner::Partitioner;
use shared::testing::{TestBroker, unique};
use shared::topic;
use std::time::Duration;

#[tokio::test]
async fn librdkafka_chooses_what_the_arithmetic_says() {
    let broker = TestBroker::start().await.unwrap();
    let cluster = Cluster::at(broker.bootstrap_servers()).await.unwrap();
    let users = (1..20).map(|n| format!("u{n}").into_bytes());
    let others = [&b"alice"[..], b"bob", b"21", b"\xff\x00\x80", b"a-little-bit-long-string"]
        .map(<[u8]>::to_vec);
    let keys: Vec<Vec<u8>> = users.chain(others).collect();

    for partitions in [1, 3, 7] {
        let topic = Topic::new(&unique("partitioner"), partitions);
        topic::ensure(&cluster, &topic).await.unwrap();
        for name in [
            "consistent_random",
            "consistent",
            "murmur2_random",
            "murmur2",
            "fnv1a_random",
            "fnv1a",
        ] {
            let producer: FutureProducer = ClientConfig::new()
                .set("bootstrap.servers", broker.bootstrap_servers())
                .set("partitioner", name)
                .create()
                .unwrap();
            let partitioner = Partitioner::named(name).unwrap();
            for key in &keys {
                let record = FutureRecord::to(&topic.name).key(key).payload("");
                let delivery = producer.send(record, Duration::from_secs(10)).await.unwrap();
                let choice = partitioner.choose(Some(key), partitions);
                assert_eq!(
                    choice.partition(),
                    Some(delivery.partition),
                    "{key:?} by {name} of {partitions}"
                );
            }
        }
        topic::delete(&cluster, &topic.name).await.unwrap();
    }
}
