//! The README is the test: every transcript in it is played, and one scene on a terminal too.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use shared::testing::TestBroker;
use shared::testing::screen::Screen;
use shared::testing::transcript::{Lesson, play};
use std::process::Command;

#[test]
fn the_readme_says_what_happens() {
    play(&Lesson {
        readme: "README.md",
        programs: &[("lab2", env!("CARGO_BIN_EXE_lab2"))],
        files: &[
            "labs/lab2_consumer_groups/config_own_groups.toml",
            "labs/lab2_consumer_groups/config_one_group.toml",
            "labs/lab2_consumer_groups/config_crash.toml",
        ],
        names: "lab2",
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_shows_what_the_readme_shows() {
    const README: &str = include_str!("../README.md");
    let broker = TestBroker::embedded(0).await.unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab2"));
    command
        .args(["play", "--seed", "7", "--count", "3"])
        .env("KAFKA_BOOTSTRAP_SERVERS", broker.bootstrap_servers());
    let mut screen = Screen::start(command, 160, 40);
    screen.wait_for_block(README, "make play ARGS='--seed 7 --count 3'");
    screen.press_ctrl('c');
    screen.wait_for("\n^C\n🛑 Stopping producer and consumer…\n");
    assert_eq!(screen.ended(), Some(0));
    for label in ["[client 🟣 BRAVO]", "[client 🔵 ZULU]"] {
        assert!(screen.shown().contains(&format!("\n{label} Processed ")), "{screen:?}");
    }
}
