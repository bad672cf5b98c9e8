//! A client that sends requests and reads no answer: the broker stops to read from it, and from nobody else.

use std::{io::Write, time::Duration};

use mini_kafka::Broker;

use crate::{
    client::{API_VERSIONS, Client},
    innocent,
};

#[test]
fn a_client_that_reads_nothing_is_read_from_no_more() {
    innocent::beside(&Broker::builder(), |address| {
        let mut client = Client::connect(address);
        client.0.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
        let request = [&[0, 0, 0, 10], API_VERSIONS].concat();
        // Far more than what the sockets hold for both sides: at some point nothing more is taken.
        let sent = (0..1_000).map(|_| client.0.write_all(&request.repeat(1_000)));
        assert!(sent.into_iter().any(|sent| sent.is_err()));
    });
}
