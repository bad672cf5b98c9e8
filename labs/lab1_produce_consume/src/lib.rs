//! Lab 1: who decides on the partition?
//!
//! * With a key, its hash decides: the same key, the same partition, so the messages of one key keep their order.
//!   Case that breaks it: another number of partitions, or a client with another hash.
//! * Without a key there is no promise: librdkafka and Java pick at random and stay for a batch ("sticky").
//!   librdkafka has no round robin, so here the producer names the partition itself.
//!
//! [`produce`](mod@produce) sends lines, [`consume`](mod@consume) reads them, [`demo`] runs both without a terminal. The functions return
//! values; the programs in `src/bin` print them.
#![allow(
    missing_docs,
    reason = "a lab is read from top to bottom; its README is the documentation"
)]

pub mod consume;
pub mod demo;
pub mod produce;

use serde::{Deserialize, Serialize};
use shared::config::{Client, Program};
use std::fmt;

/// `[lab]` in this lab's files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lab {
    pub mode: Mode,
}

/// How the producer gets a line to a partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The first word is the key; its hash decides.
    #[default]
    Keyed,
    /// No key; one partition after the other.
    RoundRobin,
    /// No key; librdkafka picks.
    Sticky,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keyed => "keyed",
            Self::RoundRobin => "roundrobin",
            Self::Sticky => "sticky",
        })
    }
}

/// The header in which a producer says how it chose the partition.
pub const CHOSEN_BY: &str = "chosen-by";

pub const PRODUCER: Program<'_> = Program {
    name: "lab1-producer",
    file: "config_keyed.toml",
    clients: &[Client::Producer],
    defaults: &[(Client::Producer, "message.timeout.ms", "5000")],
};

pub const CONSUMER: Program<'_> = Program {
    name: "lab1-consumer",
    file: "config_keyed.toml",
    clients: &[Client::Consumer],
    // A message counts as read when it was printed, not when librdkafka has fetched it.
    defaults: &[(Client::Consumer, "enable.auto.offset.store", "false")],
};

pub const TOPICS: Program<'_> =
    Program { name: "lab1-topics", file: "config_keyed.toml", clients: &[], defaults: &[] };

pub const DEMO: Program<'_> = Program {
    name: "lab1-demo",
    file: "config_keyed.toml",
    clients: &[Client::Producer, Client::Consumer],
    defaults: &[
        (Client::Producer, "message.timeout.ms", "5000"),
        (Client::Consumer, "enable.auto.offset.store", "false"),
    ],
};
