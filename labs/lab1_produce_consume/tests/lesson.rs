//! The README is the test: every transcript in it is played.

#![cfg(unix)]

use shared::testing::transcript::{Lesson, play};

#[test]
fn the_readme_says_what_happens() {
    play(&Lesson {
        readme: "README.md",
        programs: &[
            ("lab1-producer", env!("CARGO_BIN_EXE_lab1-producer")),
            ("lab1-consumer", env!("CARGO_BIN_EXE_lab1-consumer")),
            ("lab1-topics", env!("CARGO_BIN_EXE_lab1-topics")),
            ("lab1-demo", env!("CARGO_BIN_EXE_lab1-demo")),
        ],
        files: &["config_keyed.toml", "config_roundrobin.toml"],
        names: "lab1",
    });
}
