//! A client that sends requests and reads no answer: the broker stops to read from it, and ends it in the end.

use std::{
    io::{ErrorKind, Write},
    time::Duration,
};

use mini_kafka::Broker;

use crate::{
    client::{API_VERSIONS, Client},
    innocent,
};

#[test]
fn a_client_that_reads_nothing_is_read_from_no_more_and_then_ended() {
    let builder = Broker::builder().config("connections.max.idle.ms", "1000");
    innocent::beside(&builder, |address| {
        let mut client = Client::connect(address);
        client.0.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
        let requests = [&[0, 0, 0, 10], API_VERSIONS].concat().repeat(1_000);
        // At some point the sockets hold as much as they can, and nothing more is taken.
        let mut is_full = false;
        let ended = loop {
            match client.0.write_all(&requests).map_err(|error| error.kind()) {
                Ok(()) => {}
                Err(ErrorKind::WouldBlock | ErrorKind::TimedOut) => is_full = true,
                Err(kind) => break kind,
            }
        };
        assert!(is_full);
        assert!(matches!(ended, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{ended}");
    });
}
