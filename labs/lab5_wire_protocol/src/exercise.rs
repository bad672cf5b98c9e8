//! **The file that you change.** Each value is right as it is. Change one and run its stage: the lab's check names the
//! wrong byte, and the broker answers as it answers every client.
//!
//! `git checkout labs/lab5_wire_protocol/src/exercise.rs` puts everything back.

use crate::crc;

/// What the stages send.
pub const EXERCISE: Exercise = Exercise {
    // ---- Stage 1: a whole request, by hand --------------------------------------------------------------------
    api_versions: &[
        0x00, 0x00, 0x00, 0x0e, // length: 14 bytes follow, these four not counted
        0x00, 0x12, // api_key: 18 is ApiVersions
        0x00, 0x00, // api_version: 0, its oldest and simplest layout
        0x00, 0x00, 0x00, 0x01, // correlation_id: 1; the answer repeats it
        0x00, 0x04, // client_id: a string, 4 bytes long …
        0x6c, 0x61, 0x62, 0x35, // … "lab5"
    ],

    // ---- Stage 2: the flexible style --------------------------------------------------------------------------
    // What is written before a compact string or array of this length. 0 means null, so a length of 0 is written as 1.
    compact: |length| length + 1,

    // ---- Stage 3: a record batch ------------------------------------------------------------------------------
    records: &[
        Record { timestamp_delta: 0, key: "alice", value: "hello" },
        Record { timestamp_delta: 250, key: "bob", value: "made by hand" },
    ],
    // 2024-01-01 00:00:00 UTC in milliseconds. A fixed time, so that your checksum is the one in the README.
    base_timestamp: 1_704_067_200_000,
    magic: 2,
    // The length counts from here on: base_offset and the length itself are not in it.
    length_from: 12,
    // The checksum covers the bytes from here on.
    crc_from: 21,
    crc_polynomial: crc::CASTAGNOLI,
    // How a number that may be negative becomes one that is not.
    zigzag: |n| ((n << 1) ^ (n >> 63)).cast_unsigned(),

    // ---- Stage 5: fetch ---------------------------------------------------------------------------------------
    // Begin at this record of the batch. 0 is its first.
    fetch_from: 1,

    // ---- Stage 7: you are the leader of a group ---------------------------------------------------------------
    // The partitions that you keep for yourself when a second member comes. It gets the others.
    keep: &[0],
};

/// See [`EXERCISE`].
#[derive(Debug, Clone)]
pub struct Exercise {
    pub api_versions: &'static [u8],
    pub compact: fn(u64) -> u64,
    pub records: &'static [Record],
    pub base_timestamp: i64,
    pub magic: i8,
    pub length_from: usize,
    pub crc_from: usize,
    pub crc_polynomial: u32,
    pub zigzag: fn(i64) -> u64,
    pub fetch_from: usize,
    pub keep: &'static [i32],
}

/// A record of the batch.
#[derive(Debug, Clone, Copy)]
pub struct Record {
    /// Milliseconds after the batch's base timestamp.
    pub timestamp_delta: i64,
    pub key: &'static str,
    pub value: &'static str,
}
