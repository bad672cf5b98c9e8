//! Bytes that no client should send. Whatever comes, only its own connection may end: after each of them, a
//! client that was connected before is served as if nothing had happened.

use std::{cell::RefCell, io::Write, time::Duration};

use mini_kafka::Broker;
use proptest::{prelude::*, test_runner::TestRunner};

use crate::client::{API_VERSIONS, Client, header};

#[tokio::test(flavor = "multi_thread")]
async fn hostile_frames_end_their_own_connection_only() {
    let broker = Broker::start().await.unwrap();
    let mut bystander = Client::connect(broker.bootstrap_servers());
    bystander.is_served();

    let cases: &[(&str, Vec<u8>)] = &[
        ("nothing", vec![]),
        ("half a header", vec![0, 3, 0]),
        ("an unknown API", header(200, 0, false)),
        ("a version that is not served", header(3, 99, true)),
        ("a client id that is longer than the frame", vec![0, 3, 0, 1, 0, 0, 0, 1, 0x7f, 0xff]),
        // `Vec::with_capacity(2³¹−1)` aborted the process of a naive server.
        (
            "Metadata v1 with 2147483647 topics",
            [header(3, 1, false), vec![0x7f, 0xff, 0xff, 0xff]].concat(),
        ),
        (
            "Metadata v9 with a varint of 4294967295 topics",
            [header(3, 9, true), vec![0xff, 0xff, 0xff, 0xff, 0x0f]].concat(),
        ),
        (
            "Metadata v9 with a varint that does not end",
            [header(3, 9, true), vec![0xff; 12]].concat(),
        ),
        (
            "Produce v3 with −2 topics",
            [header(0, 3, false), vec![0xff, 0xff, 0, 1, 0, 0, 0, 9, 0xff, 0xff, 0xff, 0xfe]]
                .concat(),
        ),
        ("Fetch v4, cut off", [header(1, 4, false), vec![0; 9]].concat()),
        (
            "a topic name that is not UTF-8",
            [header(3, 1, false), vec![0, 0, 0, 1, 0, 2, 0xc3, 0x28]].concat(),
        ),
    ];
    for (name, frame) in cases {
        let mut client = Client::connect(broker.bootstrap_servers());
        client.send(frame);
        assert_eq!(client.receive(), None, "{name}: the connection ends");
        bystander.is_served();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_length_is_refused_before_memory_is_reserved() {
    let broker = Broker::start().await.unwrap();
    let mut bystander = Client::connect(broker.bootstrap_servers());
    for first in [*b"GET ", [0x16, 3, 1, 2], [0xff; 4], [0x7f, 0xff, 0xff, 0xff]] {
        let mut client = Client::connect(broker.bootstrap_servers());
        client.0.write_all(&first).unwrap();
        assert_eq!(client.receive(), None, "{first:?}");
        bystander.is_served();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_in_the_middle_of_a_frame_disturbs_nobody() {
    let broker = Broker::start().await.unwrap();
    let mut bystander = Client::connect(broker.bootstrap_servers());
    for cut in 0..API_VERSIONS.len() + 4 {
        let mut client = Client::connect(broker.bootstrap_servers());
        let frame = [&[0, 0, 0, 10], API_VERSIONS].concat();
        client.0.write_all(&frame[..cut]).unwrap();
        drop(client);
        bystander.is_served();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn api_versions_of_the_future_are_answered_in_version_0() {
    let broker = Broker::start().await.unwrap();
    let mut client = Client::connect(broker.bootstrap_servers());
    client.send(&[0, 18, 0, 127, 0, 0, 0, 7, 0xff, 0xff, 0]);
    let answer = client.receive().unwrap();
    assert_eq!(
        answer,
        [
            0, 0, 0, 7, // correlation id
            0, 35, // UNSUPPORTED_VERSION
            0, 0, 0, 1, // one API
            0, 18, 0, 0, 0, 4, // ApiVersions 0–4
        ]
    );
    client.is_served();
}

/// Random bodies behind a sound header, for every API and version: an answer or an end, never a panic, which
/// would end the connection of a bystander if it took a lock or the process with it.
#[test]
fn random_bodies_disturb_nobody() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let broker = runtime.block_on(Broker::start()).unwrap();
    let bystander = RefCell::new(Client::connect(broker.bootstrap_servers()));
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let requests = (0u8..=92, 0u8..=18, any::<bool>(), prop::collection::vec(any::<u8>(), 0..64));
    runner
        .run(&requests, |(key, version, is_flexible, body)| {
            let mut client = Client::connect(broker.bootstrap_servers());
            client.0.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            client.send(&[header(key, version, is_flexible), body].concat());
            client.receive();
            bystander.borrow_mut().is_served();
            Ok(())
        })
        .unwrap();
}
