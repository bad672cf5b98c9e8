//! Clients that shut down their sending side, and clients that go while their request waits.

use std::{io::Read, net::Shutdown};

use kafka_protocol::messages::FetchRequest;
use mini_kafka::Broker;

use crate::{
    client::{API_VERSIONS, Client, frame},
    innocent,
};

/// A fetch for the record after `sent` others, which waits that long.
fn waiting(sent: i64, max_wait_ms: i32) -> FetchRequest {
    innocent::fetch(sent).with_max_wait_ms(max_wait_ms)
}

#[test]
fn a_client_that_sends_no_more_gets_all_its_answers() {
    let broker = Broker::builder().topic(innocent::TOPIC, 1).start_blocking().unwrap();
    let mut client = Client::connect(broker.bootstrap_servers());
    client.send(API_VERSIONS);
    client.send(&frame(12, &waiting(0, 200)));
    client.send(API_VERSIONS);
    client.0.shutdown(Shutdown::Write).unwrap();
    for _ in 0..3 {
        client.receive().expect("an answer");
    }
    assert_eq!(client.0.read(&mut [0]).unwrap(), 0, "then the broker closes, too");
}

#[test]
fn a_client_that_sends_no_more_is_given_up_if_its_request_waits_on_and_on() {
    let broker = Broker::builder().topic(innocent::TOPIC, 1).start_blocking().unwrap();
    let mut client = Client::connect(broker.bootstrap_servers());
    client.send(&frame(12, &waiting(0, i32::MAX)));
    client.0.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.0.read(&mut [0]).unwrap(), 0);
}

#[test]
fn clients_that_have_gone_leave_no_waiting_request_behind() {
    let builder = Broker::builder().config("max.connections", "20");
    innocent::beside(&builder, |address| {
        // More than there may be at a time.
        for _ in 0..100 {
            let mut client = Client::connect(address);
            client.send(API_VERSIONS);
            client.send(API_VERSIONS);
            client.receive().unwrap();
            client.send(&frame(12, &waiting(1_000_000, i32::MAX)));
            // An answer that was not read: the system resets the connection.
        }
        Client::connect(address).is_served();
    });
}
