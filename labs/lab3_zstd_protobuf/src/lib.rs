//! Lab 3: what makes an event small?
//!
//! * Protocol Buffers leave out the names: a record carries field numbers, and both sides know them from one schema.
//! * ZSTD finds what repeats within a batch, never across batches. So a batch needs many records.
//! * A batch fills while its records wait. It ends when it reaches the first of three limits: time (`linger.ms`), count, bytes.
//!
//! Case that breaks it: batches of one record. Almost nothing repeats in them, and all five codecs look alike.
//!
//! [`event`] is the schema's types, [`generate`] makes events, [`send`](mod@send) and [`receive`](mod@receive) carry
//! them, [`stored`](mod@stored) looks at what the broker keeps, [`measure`](mod@measure) compares, [`picture`] draws.
#![allow(
    missing_docs,
    reason = "a lab is read from top to bottom; its README is the documentation"
)]

pub mod event;
pub mod generate;
pub mod measure;
pub mod picture;
pub mod receive;
pub mod send;
pub mod stored;

use serde::{Deserialize, Serialize};
use shared::config::{Client, Program};

/// `[lab]` in this lab's file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lab {
    pub when_full: send::WhenFull,
}

/// The lab's own file, found from any folder.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/lab3.toml");

pub const PRODUCER: Program<'_> =
    Program { name: "lab3-producer", file: FILE, clients: &[Client::Producer], defaults: &[] };

pub const CONSUMER: Program<'_> = Program {
    name: "lab3-consumer",
    file: FILE,
    clients: &[Client::Consumer],
    // An event counts as read when it was printed, not when librdkafka fetched it.
    defaults: &[(Client::Consumer, "enable.auto.offset.store", "false")],
};

pub const BATCHES: Program<'_> =
    Program { name: "lab3-batches", file: FILE, clients: &[], defaults: &[] };

pub const MEASURE: Program<'_> =
    Program { name: "lab3-measure", file: FILE, clients: &[Client::Producer], defaults: &[] };
