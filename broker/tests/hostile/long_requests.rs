//! Requests with very many parts. Their handlers take long, and no other client may wait for them.

use std::time::Instant;

use kafka_protocol::{
    messages::{OffsetFetchRequest, TopicName, offset_fetch_request::OffsetFetchRequestTopic},
    protocol::StrBytes,
};
use mini_kafka::Broker;

use crate::{
    client::{Client, frame},
    innocent,
};

const PARTITIONS: usize = 500_000;

fn long_request() -> OffsetFetchRequest {
    let topic = OffsetFetchRequestTopic::default()
        .with_name(TopicName(StrBytes::from_static_str("t")))
        .with_partition_indexes((0..i32::try_from(PARTITIONS).unwrap()).collect());
    OffsetFetchRequest::default().with_topics(Some(vec![topic]))
}

fn attack(address: &str) {
    let answer = Client::connect(address).ask(5, &long_request()).expect("it is sound");
    assert_eq!(answer.topics[0].partitions.len(), PARTITIONS);
}

#[test]
fn a_long_handler_holds_up_nobody_on_the_shared_thread() {
    innocent::beside(&Broker::builder(), attack);
}

/// More threads alone do not help: the sleeping ones do not look at the sockets.
#[test]
fn a_long_handler_holds_up_nobody_on_threads_of_its_own() {
    innocent::beside(&Broker::builder().threads(2), attack);
}

#[test]
fn a_broker_stops_without_waiting_for_a_long_handler() {
    let broker = Broker::builder().start_blocking().unwrap();
    let mut client = Client::connect(broker.bootstrap_servers());
    let request = frame(5, &long_request());
    let asking = Instant::now();
    client.send(&request);
    client.receive().unwrap();
    let takes = asking.elapsed();

    client.send(&request);
    // The handler runs meanwhile.
    client.0.set_read_timeout(Some(takes / 4)).unwrap();
    assert_eq!(client.receive(), None);
    let stopping = Instant::now();
    drop(broker);
    assert!(stopping.elapsed() < takes / 2, "{takes:?} and {:?}", stopping.elapsed());
}
