//! The README is the test: every transcript in it is played.

use shared::testing::transcript::{Lesson, play};

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
