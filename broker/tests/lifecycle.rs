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

/// A hundred brokers have their sockets and share the rest.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn brokers_share_a_thread() {
    let threads = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let names = tasks
            .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok());
        names.filter(|name| name.starts_with("mini-kafka")).count()
    };
    let _first = Broker::start().await.unwrap();
    let before = threads();
    let mut brokers = Vec::new();
    for _ in 0..100 {
        brokers.push(Broker::start().await.unwrap());
    }
    // Other tests start some with threads of their own meanwhile.
    assert!(threads() < before + 20, "{before} threads became {}", threads());
}

#[test]
fn a_broker_may_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Broker>();
}

#[test]
fn a_broker_outlives_the_runtime_that_started_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let broker = runtime.block_on(Broker::start()).unwrap();
    drop(runtime);
    is_served(&broker);
    join(&broker);
}

#[tokio::test]
async fn a_broker_may_be_dropped_on_the_only_thread_of_a_runtime() {
    for builder in
        [Broker::builder(), Broker::builder().own_runtime(), Broker::builder().threads(3)]
    {
        let broker = builder.start().await.unwrap();
        is_served(&broker);
        let _waiting = join(&broker);
        let address = address(&broker);
        drop(broker);
        TcpListener::bind(address).unwrap();
    }
}

#[tokio::test]
async fn what_one_broker_suffers_ends_no_other() {
    struct Broken;
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            panic!("a trace that cannot be written")
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let trace = mini_kafka::Trace::to(Broken);
    let broken = Broker::builder().trace(trace).start().await.unwrap();
    let sound = Broker::start().await.unwrap();
    let mut client = connect_and_ask(&broken);
    assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)), "its own connection ends");
    is_served(&sound);
    broken.shutdown().await;
}

#[tokio::test]
async fn localhost_is_both_loopbacks() {
    let broker = Broker::builder().host("localhost").start().await.unwrap();
    let port = address(&broker).port();
    TcpStream::connect(("127.0.0.1", port)).unwrap();
    if TcpListener::bind(("::1", 0)).is_ok() {
        TcpStream::connect(("::1", port)).unwrap();
    }
}

/// Closing a consumer blocks until the broker has answered; a broker on the runtime of the test would wait for it.
#[tokio::test]
async fn a_client_that_blocks_the_only_thread_of_the_test_is_served() {
    let broker = Broker::start().await.unwrap();
    is_served(&broker);
}

fn is_served(broker: &Broker) {
    let mut answer = [0; 8];
    connect_and_ask(broker).read_exact(&mut answer).unwrap();
    assert_eq!(answer[4..], [0, 0, 0, 7]);
}

/// Sends ApiVersions, version 0, with the correlation id 7.
fn connect_and_ask(broker: &Broker) -> TcpStream {
    let mut client = TcpStream::connect(broker.bootstrap_servers()).unwrap();
    client.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff]).unwrap();
    client
}

/// Becomes a member of the group `g`, so that the broker has a session to watch: JoinGroup, version 0.
fn join(broker: &Broker) -> TcpStream {
    let mut body = vec![0, 11, 0, 0, 0, 0, 0, 7, 0xff, 0xff];
    body.extend([0, 1, b'g', 0, 0, 0x75, 0x30, 0, 0, 0, 1, b'c', 0, 0, 0, 1, 0, 1, b'r']);
    body.extend([0, 0, 0, 0]);
    let mut client = TcpStream::connect(broker.bootstrap_servers()).unwrap();
    client.write_all(&u32::try_from(body.len()).unwrap().to_be_bytes()).unwrap();
    client.write_all(&body).unwrap();
    let mut answer = [0; 10];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(answer[4..], [0, 0, 0, 7, 0, 0], "correlation id and error code");
    client
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
            "Could not listen on port {port} of 127.0.0.1 and ::1: another program uses this port already. \
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
