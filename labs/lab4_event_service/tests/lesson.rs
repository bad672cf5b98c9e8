//! The README is the test: every transcript in it is played.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use shared::testing::external;
use shared::testing::transcript::{Lesson, alias, play_with};
use std::net::TcpListener;

#[test]
fn the_readme_says_what_happens() {
    common::build_mini_kafka();
    // Both at once, so that they are two.
    let ports = [free(), free()];
    let mut stand_ins: Vec<(&str, String)> = ["127.0.0.1:8090", "127.0.0.1:8091"]
        .into_iter()
        .zip(&ports)
        .map(|(written, free)| (written, free.local_addr().unwrap().to_string()))
        .collect();
    if external().is_some() {
        stand_ins.extend(["feed_events", "user_events"].map(|topic| (topic, alias(topic.len()))));
    }
    drop(ports);
    let lesson = Lesson {
        readme: "README.md",
        programs: &[("lab4", env!("CARGO_BIN_EXE_lab4"))],
        files: &["labs/lab4_event_service/lab4.toml"],
        names: "lab4",
    };
    play_with(&lesson, &stand_ins);
}

fn free() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}
