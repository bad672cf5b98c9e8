//! The README is the test: every transcript in it is played.

use shared::testing::transcript::{Lesson, play};

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
