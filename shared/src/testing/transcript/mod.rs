//! A lab's README as its test: the scenes in its `console` blocks are played, and what is printed must be what is written.
//!
//! A lab has several terminals, so a comment that no reader sees says in which one a block plays:
//!
//! ````markdown
//! <!-- lab: term=A -->
//! ```console
//! $ make consumer-keyed
//! cargo run -q --bin lab1-consumer -- --config config_keyed.toml
//! assigned lab1[0] lab1[1] lab1[2]
//! ```
//! <!-- lab: term=B -->
//! ```console
//! $ make producer-keyed
//! > u1 click 10
//! u1 click 10 → lab1[2]@0  key=u1 crc32 % 3 = 2
//! ^D
//! ```
//! ````
//!
//! | line | meaning |
//! |---|---|
//! | `$ command` | Starts it. The command before it in this terminal must have ended. |
//! | `> text` | Types it: the prompt `> ` is what a person sees. |
//! | `^C`, `^D` | Presses it. The command must end, with code 0 unless `make` says otherwise. |
//! | `...` | Any lines, or none. |
//! | else | A line that is printed, stdout and stderr as they come. `[..]` stands for anything in it. |
//!
//! | word in the comment | meaning |
//! |---|---|
//! | `term=A` | The terminal. What runs there goes on after the block; without a name the command must end in the block. |
//! | `any-order` | The printed lines may come in any order: partitions are read independently. |
//! | `only=embedded` | Left out on a broker that is not ours: the scene stops it. |
//! | `stop-broker` | No block: stops the embedded broker here, as the `sh` block beside it tells the reader to. |
//!
//! Nothing sleeps: a step begins when the lines before it have been printed.
//!
//! `make TARGET` is what readers type, and `make -n` says what it does, so Makefile and README cannot drift apart. Each
//! line of the recipe is shown and played; only `cargo run -q --bin NAME --` is replaced by the program that was built
//! with the test. The programs run in a folder of
//! their own with copies of the configurations, on an embedded broker, or on the one that `KAFKA_BOOTSTRAP_SERVERS`
//! names; there the lab's names are replaced by names of the same length that nobody else has, in hex dumps too.
//!
//! `UPDATE=1 cargo test` writes what was printed into the README, at the steps where it differs.

pub(super) mod readme;
mod stage;
mod terminal;

use readme::{parse, rewritten};
use stage::Stage;
pub use stage::alias;
use std::fs;
use std::path::Path;

/// A README and what its commands need.
#[derive(Debug, Clone, Copy)]
pub struct Lesson<'a> {
    /// The README, from the package's folder.
    pub readme: &'a str,
    /// The programs by name, with the paths that cargo gives a test: `env!("CARGO_BIN_EXE_lab1-producer")`.
    pub programs: &'a [(&'a str, &'a str)],
    /// Files that the programs read, from the workspace's root.
    pub files: &'a [&'a str],
    /// The beginning of the lab's topics and groups, replaced on a Kafka that others use: `lab1`.
    pub names: &'a str,
}

/// Plays all scenes, in order, on one broker. Panics with what differs: call it from a test.
///
/// # Panics
/// When something was printed that is not written, or the other way round.
pub fn play(lesson: &Lesson<'_>) {
    play_with(lesson, &[]);
}

/// Like [`play`], and wherever the README or a file says the first of a pair, the second stands in for it: a port that
/// is free for one that is fixed, a name of one's own ([`alias`]) for one that others may have too.
///
/// # Panics
/// When something was printed that is not written, or the other way round.
pub fn play_with(lesson: &Lesson<'_>, stand_ins: &[(&str, String)]) {
    let readme = Path::new(lesson.readme);
    let text =
        fs::read_to_string(readme).unwrap_or_else(|error| panic!("{}: {error}", readme.display()));
    let scenes = parse(&text).unwrap_or_else(|error| panic!("{}: {error:#}", readme.display()));
    assert!(!scenes.is_empty(), "{}: no console block to play", readme.display());

    let record = std::env::var("UPDATE").is_ok_and(|update| update == "1");
    let mut stage =
        Stage::new(lesson, stand_ins, record).unwrap_or_else(|error| panic!("{error:#}"));
    let result = stage.play(&scenes);
    stage.clear();
    match result {
        Err(error) => panic!("{}:{error:#}", readme.display()),
        Ok(()) if record => {
            let text = rewritten(&text, &stage.printed);
            fs::write(readme, text).unwrap_or_else(|error| panic!("{}: {error}", readme.display()));
        }
        Ok(()) => {}
    }
}
