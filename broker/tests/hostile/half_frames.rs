//! Clients that send half of a long request and no more.

use std::io::Write;

use mini_kafka::Broker;

use crate::{client::Client, innocent};

const LENGTH: usize = 5_000_000;

#[test]
fn half_requests_have_a_ceiling_together() {
    let builder = Broker::builder().config("queued.max.request.bytes", "20000000");
    innocent::beside(&builder, |address| {
        let mut clients: Vec<Client> = (0..20).map(|_| Client::connect(address)).collect();
        let half =
            [&u32::try_from(LENGTH).unwrap().to_be_bytes(), &vec![0; LENGTH / 2][..]].concat();
        for client in &mut clients {
            // One that was ended may refuse the rest.
            let _ = client.0.write_all(&half);
        }
        let ended = clients.iter_mut().filter_map(|client| {
            client.0.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
            let read = std::io::Read::read(&mut client.0, &mut [0]);
            matches!(
                read.map_err(|error| error.kind()),
                Ok(0) | Err(std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe)
            )
            .then_some(())
        });
        assert!(ended.count() >= 12, "20 × 2.5 MB were sent, and 20 MB may be there");
    });
}
