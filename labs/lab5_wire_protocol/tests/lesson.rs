//! The README is the test: every transcript in it is played, and what it quotes is what is said.

use shared::testing::transcript::{Lesson, play};

const README: &str = include_str!("../README.md");

#[test]
fn the_readme_says_what_happens() {
    play(&Lesson {
        readme: "README.md",
        programs: &[("lab5", env!("CARGO_BIN_EXE_lab5"))],
        files: &["labs/lab5_wire_protocol/lab5.toml"],
        names: "lab5",
    });
}

/// `mini-kafka decode` prints what the library explains.
#[test]
fn the_pasted_frame_is_explained_as_written() {
    let (_, command) = README.split_once("mini-kafka -- decode ").unwrap();
    let hex = command.lines().next().unwrap().split(' ');
    let frame: Vec<u8> = hex.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    let (_, block) = README.split_once("<!-- decoded -->\n```text\n").unwrap();
    let (written, _) = block.split_once("```").unwrap();
    assert_eq!(written, mini_kafka::decode(&frame, None).unwrap().to_string());
}
