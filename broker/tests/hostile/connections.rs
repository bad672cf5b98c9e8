//! Very many connections, and connections that do nothing.

use std::io::Read;

use mini_kafka::Broker;

use crate::{
    client::{API_VERSIONS, Client, frame},
    innocent,
};

#[test]
fn connections_over_the_limit_wait_until_one_ends() {
    let builder = Broker::builder().config("max.connections", "10");
    innocent::beside(&builder, |address| {
        let mut clients: Vec<Client> = (0..30).map(|_| Client::connect(address)).collect();
        for client in &mut clients {
            client.send(API_VERSIONS);
        }
        // Each that goes makes room for one that waits.
        for mut client in clients {
            client.receive().expect("an answer");
        }
    });
}

#[test]
fn connections_of_an_address_over_its_limit_are_closed() {
    let builder = Broker::builder().config("max.connections.per.ip", "10");
    innocent::beside(&builder, |address| {
        // One of the ten is the innocent client's.
        let mut clients: Vec<Client> = (0..9).map(|_| Client::connect(address)).collect();
        clients.iter_mut().for_each(Client::is_served);
        let mut refused = Client::connect(address);
        assert!(matches!(refused.0.read(&mut [0]), Ok(0) | Err(_)));
        // The broker learns of a client that left when it leaves; then there is room again.
        drop(clients);
        let is_served = |_: &i32| {
            let mut client = Client::connect(address);
            client.send(API_VERSIONS);
            client.receive().is_some()
        };
        assert!((0..1_000).any(|n| is_served(&n)));
    });
}

#[test]
fn a_connection_that_asks_nothing_is_closed_and_one_that_waits_for_its_answer_is_not() {
    let builder = Broker::builder().config("connections.max.idle.ms", "500");
    let broker = builder.topic(innocent::TOPIC, 1).start_blocking().unwrap();
    let mut waiting = Client::connect(broker.bootstrap_servers());
    waiting.send(&frame(12, &innocent::fetch(0).with_max_wait_ms(1_000)));
    let mut idle = Client::connect(broker.bootstrap_servers());
    assert_eq!(idle.0.read(&mut [0]).unwrap(), 0);
    waiting.receive().expect("an answer");
}
