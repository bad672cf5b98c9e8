//! Does our broker answer as Apache Kafka does, byte by byte and field by field?
//!
//! Each script in `wire_conformance/scripts` sends hand-written requests, right and wrong ones, and holds the
//! answers of a **real Kafka**. Our broker must give the same.
//!
//! ```sh
//! cargo test --test wire_conformance                                           # our broker against the recording
//! KAFKA_BOOTSTRAP_SERVERS=localhost:9092 cargo test --test wire_conformance    # a Kafka against the recording
//! UPDATE_GOLDENFILES=1 KAFKA_BOOTSTRAP_SERVERS=localhost:9092 cargo test --test wire_conformance   # record anew
//! ```
//!
//! A recording is only ever made on a real Kafka; that Kafka wants `num.partitions=3` and
//! `group.initial.rebalance.delay.ms=0`.
//!
//! # How a script reads
//!
//!     produce orders/1 k1/a b acks=-1 crc=wrong v=3-12
//!
//! sends the records `a` (key `k1`) and `b` (no key) to partition 1, once in each version from 3 to 12, and prints
//! equal answers once.
//!
//! * A prefix (`c2: fetch …`) names a connection.
//! * `[later]` sends without waiting for the answer, which `receive` then reads.
//! * `until=TEXT` asks again until the answer has that text.
//! * `[refused]` shows only that there is an error, where Kafka's own choice of it is an accident.
//!
//! Topics and groups get a suffix of their own in every run. What differs from run to run is printed as `…`, what is
//! unset is left out (see `answer.rs`). The commands and what they take stand in `requests.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test stops where it fails"
)]

#[path = "wire_conformance/answer.rs"]
mod answer;
#[path = "wire_conformance/batch.rs"]
mod batch;
#[path = "wire_conformance/connection.rs"]
mod connection;
#[path = "wire_conformance/requests.rs"]
mod requests;
#[path = "conformance/subject.rs"]
mod subject;

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use test_each_file::test_each_path;

use crate::answer::Aliases;
use crate::connection::Connection;
use crate::requests::Args;
use crate::subject::Subject;

/// How long a broker may ask clients to come again.
const LOADING: Duration = Duration::from_secs(20);

/// A Kafka that has just started, or made `__consumer_offsets`, asks to come again. Every client does.
const ASK_AGAIN: [&str; 3] =
    ["COORDINATOR_LOAD_IN_PROGRESS", "COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR"];

test_each_path! { in "./broker/tests/wire_conformance/scripts" as scripts => run_script }

fn run_script(path: &Path) {
    let recording = std::env::var("UPDATE_GOLDENFILES").is_ok_and(|update| update != "0");
    assert!(
        !recording || std::env::var("KAFKA_BOOTSTRAP_SERVERS").is_ok(),
        "What these scripts hold is recorded on a real Kafka. Name one in KAFKA_BOOTSTRAP_SERVERS."
    );
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let subject = runtime.block_on(Subject::start());
    let mut session = Session {
        address: subject.bootstrap_servers().to_owned(),
        suffix: format!("-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]),
        connections: HashMap::new(),
        aliases: Aliases::default(),
    };
    goldenscript::run(&mut session, path).unwrap();
}

/// One run of one script.
struct Session {
    address: String,
    /// What makes this run's topics and groups its own.
    suffix: String,
    connections: HashMap<String, Connection>,
    aliases: Aliases,
}

impl goldenscript::Runner for Session {
    type Command = goldenscript::Command;

    fn run(
        &mut self,
        command: &goldenscript::Command,
        context: &goldenscript::Context,
    ) -> Result<String, Box<dyn std::error::Error>> {
        let mut args = Args::new(command);
        let versions = args.versions()?;
        let until = args.text("until");
        let prefix = context.prefix.clone().unwrap_or_default();
        let later = context.tags.contains("later");

        let mut answers: Vec<(i16, i16, String)> = Vec::new(); // first version, last version, answer
        for version in versions {
            println!("line {command}, version {version:?}"); // shown if the test fails
            let deadline = Instant::now() + LOADING;
            let answer = loop {
                let answer =
                    self.step(&prefix, &context.tags, &command.name, args.clone(), version)?;
                let done = match &until {
                    Some(wanted) => answer.contains(wanted.as_str()),
                    None => !ASK_AGAIN.iter().any(|code| answer.contains(code)),
                };
                if done || later || Instant::now() > deadline {
                    break answer;
                }
            };
            match answers.last_mut() {
                Some((_, last, same)) if *same == answer => *last += 1,
                _ => answers.push((version.unwrap_or(0), version.unwrap_or(0), answer)),
            }
        }

        let lines = if let [(_, _, answer)] = answers.as_slice() {
            answer.clone()
        } else {
            let labelled = answers.iter().map(|(first, last, answer)| {
                let label =
                    if first == last { format!("v{first}") } else { format!("v{first}–v{last}") };
                format!("{label}: {}", answer.replace('\n', "\n  "))
            });
            labelled.collect::<Vec<_>>().join("\n")
        };
        Ok(lines.replace(&self.suffix, "").replace(&"a".repeat(250), "a*250"))
    }
}
