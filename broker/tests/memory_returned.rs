//! Memory of a deleted topic goes back to the system. A test file of its own, since it weighs its own process.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "a test stops where it fails, and shares its client"
)]

#[path = "hostile/client.rs"]
mod client;
#[path = "memory_limit/full.rs"]
mod full;

use mini_kafka::Broker;

use crate::{client::Client, full::send};

const MEGABYTE: usize = 1_000_000;
const FILLED: usize = 200;

#[test]
fn memory_of_a_deleted_topic_goes_back_to_the_system() {
    let broker = Broker::builder().topic("large", 3).start_blocking().unwrap();
    let mut client = Client::connect(broker.bootstrap_servers());
    let before = resident();
    // Many small batches and many large ones, in turns, as a topic gets them.
    for _ in 0..FILLED {
        for len in [900_000, 50_000, 5_000, 5_000, 5_000, 5_000, 5_000, 5_000, 5_000] {
            for partition in 0..3 {
                send(&mut client, "large", partition, len / 3);
            }
        }
    }
    let full = resident();
    assert!(full - before > FILLED * MEGABYTE / 2, "{before} bytes, then {full}");
    full::delete(&mut client, "large");
    let left = resident().saturating_sub(before);
    assert!(left < full / 5, "{left} bytes stay of {}", full - before);
}

/// How much memory this process has, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}
