//! Lab 5: what does a Kafka client say?
//!
//! * A connection carries only frames: a length, then a request or an answer. Answers come in the order of the requests.
//! * A request names its API and version. The version decides the layout of every byte after it.
//! * The producer makes the record batch, with its checksum. The broker stores it unchanged, and consumers get it unchanged.
//!
//! Case that breaks it: one byte too few. Nothing marks where a frame begins, so the connection is lost.
//!
//! [`exercise`] is yours to change. [`wire`] writes and reads fields, [`batch`] builds and judges batches with
//! [`crc`]; [`connection`] is the socket, [`ready`] waits for a broker that has just started,
//! [`stages`] are the eight steps, [`story`] is what they tell, [`show`]
//! prints it, [`predict`] asks first.
#![allow(
    missing_docs,
    reason = "a lab is read from top to bottom; its README is the documentation"
)]
#![allow(
    clippy::cast_possible_truncation,
    reason = "varints and checksums take numbers apart into bytes, and the lower ones are meant"
)]

pub mod batch;
pub mod connection;
pub mod crc;
pub mod errors;
pub mod exercise;
pub mod predict;
pub mod ready;
pub mod show;
pub mod stages;
pub mod story;
pub mod wire;

use crate::exercise::Exercise;
use crate::story::Story;
use shared::config::{Client, Config, NoLab, Origin, Program};

pub const PROGRAM: Program<'_> = Program {
    name: "lab5",
    file: concat!(env!("CARGO_MANIFEST_DIR"), "/lab5.toml"),
    clients: &[Client::Producer, Client::Consumer],
    // The lab commits no offsets: each stage reads from an offset that it knows.
    defaults: &[(Client::Consumer, "enable.auto.commit", "false")],
};

/// What a stage works with.
#[derive(Debug)]
pub struct Lab {
    pub config: Config<NoLab>,
    pub exercise: Exercise,
    pub story: Story,
    last_id: i32,
}

impl Lab {
    pub fn new(config: Config<NoLab>, exercise: Exercise, story: Story) -> Self {
        Self { config, exercise, story, last_id: 0 }
    }

    pub fn topic(&self) -> String {
        self.config.topic.name.clone()
    }

    /// The correlation id of the next request: 1, 2, 3 …, and 0 for requests that are not shown.
    pub fn next_id(&mut self) -> i32 {
        if self.story.hushed {
            return 0;
        }
        self.last_id += 1;
        self.last_id
    }
}

/// Was the broker named by a flag or a variable? The address in the file is only the first one to try.
pub fn names_a_broker(config: &Config<NoLab>) -> bool {
    config
        .property(Client::Producer, "bootstrap.servers")
        .is_some_and(|setting| !matches!(setting.origin, Origin::Default | Origin::File { .. }))
}
