//! The README is the test: every transcript in it is played, and one scene on a terminal too.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use shared::testing::TestBroker;
use shared::testing::screen::Screen;
use shared::testing::transcript::{Lesson, play};
use std::process::Command;

#[test]
fn the_readme_says_what_happens() {
    play(&Lesson {
        readme: "README.md",
        programs: &[
            ("lab3-producer", env!("CARGO_BIN_EXE_lab3-producer")),
            ("lab3-consumer", env!("CARGO_BIN_EXE_lab3-consumer")),
            ("lab3-batches", env!("CARGO_BIN_EXE_lab3-batches")),
        ],
        files: &["labs/lab3_zstd_protobuf/lab3.toml"],
        names: "lab3",
    });
}

#[tokio::test]
async fn a_terminal_shows_what_the_readme_shows() {
    const README: &str = include_str!("../README.md");
    let broker = TestBroker::embedded(0).await.unwrap();
    let start = |program: &str, arguments: &[&str], columns| {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .args(["--config", concat!(env!("CARGO_MANIFEST_DIR"), "/lab3.toml")])
            .env("KAFKA_BOOTSTRAP_SERVERS", broker.bootstrap_servers());
        Screen::start(command, columns, 40)
    };

    let producer = env!("CARGO_BIN_EXE_lab3-producer");
    let mut screen = start(producer, &[], 80);
    screen.wait_for_block(README, "make lab3-producer");
    assert_eq!(screen.ended(), Some(0));

    let consumer = env!("CARGO_BIN_EXE_lab3-consumer");
    let mut screen = start(consumer, &["--exit-at-end"], 200);
    screen.wait_for_block(README, "make lab3-consumer ARGS=--exit-at-end");
    assert_eq!(screen.ended(), Some(0));

    let mut screen = start(consumer, &["--group", "another"], 200);
    screen.wait_for("lab3[0]@5");
    screen.wait_for("lab3[1]@3");
    screen.press_ctrl('c');
    screen.wait_for("\n^C\nRead 10 events of 2275 bytes.");
    assert_eq!(screen.ended(), Some(0));

    // The progress bar is gone at the end.
    let mut screen = start(producer, &["-n", "30000"], 80);
    screen.wait_for("\n30000 of 30000 events delivered.");
    assert_eq!(screen.ended(), Some(0));
    assert!(!screen.shown().contains('█'), "{screen:?}");
}
