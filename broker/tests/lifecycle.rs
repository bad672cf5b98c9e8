//! Starting and stopping, as a library.
//!
//! Nothing here starts a process: between its fork and its exec it would hold every listener that is open here.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
};

use mini_kafka::{Broker, Error};

fn address(broker: &Broker) -> SocketAddr {
    broker.bootstrap_servers().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_brokers_run_in_one_process() {
    let mut brokers = Vec::new();
    for _ in 0..100 {
        brokers.push(Broker::start().await.unwrap());
    }
    let mut addresses: Vec<_> = brokers.iter().map(address).collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 100);
}

/// Closing a consumer blocks until the broker has answered; a broker on the runtime of the test would wait for it.
#[tokio::test]
async fn a_client_that_blocks_the_only_thread_of_the_test_is_served() {
    let broker = Broker::start().await.unwrap();
    let mut client = TcpStream::connect(broker.bootstrap_servers()).unwrap();
    client.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff]).unwrap();
    let mut answer = [0; 8];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(answer[4..], [0, 0, 0, 7]);
}

#[test]
fn a_test_without_a_runtime_can_have_a_broker() {
    let broker = Broker::builder().start_blocking().unwrap();
    TcpStream::connect(broker.bootstrap_servers()).unwrap();
}

#[test]
fn a_dropped_broker_has_freed_its_port() {
    let broker = Broker::builder().start_blocking().unwrap();
    let address = address(&broker);
    drop(broker);
    TcpListener::bind(address).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn both_loopbacks_are_served_on_one_port() {
    let broker = Broker::start().await.unwrap();
    let port = address(&broker).port();
    TcpStream::connect(("127.0.0.1", port)).unwrap();
    if TcpListener::bind(("::1", 0)).is_ok() {
        TcpStream::connect(("::1", port)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_on_every_address_tells_one_that_can_be_connected_to() {
    let broker = Broker::builder().host("0.0.0.0").start().await.unwrap();
    assert!(address(&broker).ip().is_loopback());
    TcpStream::connect(address(&broker)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_frees_the_port_and_closes_connections() {
    let broker = Broker::start().await.unwrap();
    let address = address(&broker);
    let mut client = TcpStream::connect(address).unwrap();
    broker.shutdown().await;
    // An end or, if the broker had not taken the connection up yet, a reset.
    assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)));
    TcpListener::bind(address).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_an_error_that_names_the_way_out() {
    let first = Broker::start().await.unwrap();
    let port = address(&first).port();
    let error = Broker::builder().port(port).start().await.unwrap_err();
    assert!(matches!(error, Error::Listen { .. }));
    assert_eq!(
        error.to_string(),
        format!(
            "Could not listen on 127.0.0.1 and ::1:{port}: something else has this port already. \
             Stop it, or choose another port (0 picks a free one)."
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_setting_or_topic_is_an_error() {
    let says = async |builder: mini_kafka::Builder| builder.start().await.unwrap_err().to_string();
    assert_eq!(
        says(Broker::builder().config("num.partition", "1")).await,
        r#"Unknown broker setting "num.partition". Did you mean num.partitions?"#
    );
    assert!(
        says(Broker::builder().topic("a b", 1)).await.starts_with("Topic name is invalid: 'a b'")
    );
    assert!(says(Broker::builder().topic("a", 0)).await.starts_with("Number of partitions"));
}
