//! The record batch, version 2 (KIP-98): what a producer builds, a broker stores, and a consumer takes apart.
//!
//! ```text
//!  0  base_offset             i64   the broker writes the real one over it
//!  8  batch_length            i32   of everything after it
//! 12  partition_leader_epoch  i32   the broker's too
//! 16  magic                   i8    2
//! 17  crc                     u32   CRC-32C of everything after it
//! 21  attributes              i16   codec (3 bits), kind of timestamp, transactional, control
//! 23  last_offset_delta       i32   offset of the last record − base_offset
//! 27  base_timestamp          i64
//! 35  max_timestamp           i64
//! 43  producer_id             i64   −1: not idempotent
//! 51  producer_epoch          i16
//! 53  base_sequence           i32
//! 57  record_count            i32
//! 61  records                       compressed together, if a codec is set
//! ```
//!
//! The broker changes only bytes before the checksum, so it does not compute the checksum again.

use crate::crc::{self, CASTAGNOLI};
use crate::exercise::Exercise;
use crate::wire::{Decoder, Encoder, Frame, count, uvarint, zigzag};
use anyhow::bail;
use std::ops::Range;

/// Where the header ends.
pub const HEADER: usize = 61;
/// Where a batch's length is, its magic, its checksum, and its counts.
pub const LENGTH: Range<usize> = 8..12;
pub const MAGIC: usize = 16;
pub const CRC: Range<usize> = 17..21;
pub const PRODUCER_ID: Range<usize> = 43..51;
pub const PRODUCER_EPOCH: Range<usize> = 51..53;
pub const BASE_SEQUENCE: Range<usize> = 53..57;
pub const RECORD_COUNT: Range<usize> = 57..61;

/// Builds the batch of the exercise.
pub fn build(exercise: &Exercise) -> Frame {
    let records = exercise.records;
    let last = records.len().saturating_sub(1);
    let latest = records.iter().map(|record| record.timestamp_delta).max().unwrap_or(0);

    let mut to = Encoder::part("record batch");
    to.i64("base_offset", 0, "the broker writes the real one over it");
    to.i32("batch_length", 0, "of everything after it");
    to.i32("partition_leader_epoch", -1, "the broker's too");
    to.i8("magic", exercise.magic, "the version of the format");
    to.u32("crc", 0, "CRC-32C of everything after it");
    to.i16("attributes", 0, "no codec, the producer's timestamps");
    to.i32("last_offset_delta", count(last), "the last record's offset - base_offset");
    to.i64("base_timestamp", exercise.base_timestamp, "ms since 1970");
    to.i64("max_timestamp", exercise.base_timestamp + latest, "the latest of the records");
    to.i64("producer_id", -1, "none: not idempotent");
    to.i16("producer_epoch", -1, "");
    to.i32("base_sequence", -1, "");
    to.i32("record_count", count(records.len()), "");
    for n in 0..records.len() {
        record(&mut to, exercise, n);
    }

    let mut batch = to.done();
    let length = count(batch.bytes.len()) - count(exercise.length_from);
    write(&mut batch, "batch_length", LENGTH, &length.to_be_bytes(), length.to_string());
    let from = exercise.crc_from.min(batch.bytes.len());
    let crc = crc::crc(exercise.crc_polynomial, &batch.bytes[from..]);
    write(&mut batch, "crc", CRC, &crc.to_be_bytes(), format!("{crc:#010x}"));
    batch
}

fn record(to: &mut Encoder, exercise: &Exercise, n: usize) {
    let record = exercise.records[n];
    let varint = |n: i64| uvarint((exercise.zigzag)(n));
    let delta = i64::from(count(n));
    let length = |text: &str| i64::from(count(text.len()));

    // The record's length stands before it, so the rest is made first.
    let mut rest = Encoder::part("record");
    rest.i8("attributes", 0, "of the record: none exist");
    rest.raw(
        "timestamp_delta",
        &varint(record.timestamp_delta),
        record.timestamp_delta,
        "+ base_timestamp",
    );
    rest.raw("offset_delta", &varint(delta), delta, "+ base_offset");
    rest.raw("key_length", &varint(length(record.key)), record.key.len(), "-1 would be no key");
    rest.raw("key", record.key.as_bytes(), format!("{:?}", record.key), "");
    rest.raw(
        "value_length",
        &varint(length(record.value)),
        record.value.len(),
        "-1 would be a tombstone",
    );
    rest.raw("value", record.value.as_bytes(), format!("{:?}", record.value), "");
    rest.raw("headers", &varint(0), 0, "none");
    let rest = rest.done();

    let size = i64::from(count(rest.bytes.len()));
    to.raw("record length", &varint(size), size, "a varint: zigzag, 7 bits a byte");
    to.append(&rest);
}

fn write(batch: &mut Frame, name: &str, at: Range<usize>, bytes: &[u8], value: String) {
    batch.bytes[at].copy_from_slice(bytes);
    if let Some(field) = batch.fields.iter_mut().find(|field| field.name == name) {
        field.value = value;
    }
}

/// Puts `bytes` at `at`, and the checksum right again.
pub fn patch(batch: &mut [u8], at: Range<usize>, bytes: &[u8]) {
    batch[at].copy_from_slice(bytes);
    let crc = crc::crc(CASTAGNOLI, &batch[CRC.end..]);
    batch[CRC].copy_from_slice(&crc.to_be_bytes());
}

// --------------------------------------------------------------------------------------------------- taking it apart

/// What a batch says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub base_offset: i64,
    pub leader_epoch: i32,
    pub crc: u32,
    /// 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
    pub codec: i16,
    pub last_offset_delta: i32,
    pub record_count: i32,
    /// The bytes behind the header.
    pub body: Vec<u8>,
    /// Empty when they are compressed.
    pub records: Vec<Taken>,
}

/// A record with the deltas added up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub offset: i64,
    pub timestamp: i64,
    pub key: Option<String>,
    pub value: Option<String>,
}

/// Reads one batch.
///
/// # Errors
/// A sentence with the byte where it stops to make sense.
pub fn take_apart(from: &mut Decoder) -> anyhow::Result<Batch> {
    let base_offset = from.i64("base_offset", "the broker's: it was 0 when it was sent")?;
    let length = from.i32("batch_length", "of everything after it")?;
    let leader_epoch = from.i32("partition_leader_epoch", "the broker's")?;
    let magic = from.i8("magic", "")?;
    if magic != 2 {
        bail!("A batch with magic {magic} has another layout; Kafka 4 has only 2 (KIP-724).");
    }
    let crc = from.u32("crc", "")?;
    let attributes = from.i16("attributes", "")?;
    let last_offset_delta = from.i32("last_offset_delta", "")?;
    let base_timestamp = from.i64("base_timestamp", "")?;
    from.i64("max_timestamp", "")?;
    from.i64("producer_id", "")?;
    from.i16("producer_epoch", "")?;
    from.i32("base_sequence", "")?;
    let record_count = from.i32("record_count", "readable without decompressing")?;
    let left = usize::try_from(length)?.saturating_sub(HEADER - LENGTH.end);

    let codec = attributes & 0b111;
    if codec != 0 {
        let body = from.take("records", left, "compressed, all together")?;
        let records = Vec::new();
        return Ok(Batch {
            base_offset,
            leader_epoch,
            crc,
            codec,
            last_offset_delta,
            record_count,
            body,
            records,
        });
    }
    let before = from.at();
    let mut records = Vec::new();
    for n in 0..record_count {
        from.enter(format!("record {n}"));
        records.push(take_record(from, base_offset, base_timestamp)?);
        from.leave();
    }
    let body = from.between(before);
    Ok(Batch {
        base_offset,
        leader_epoch,
        crc,
        codec,
        last_offset_delta,
        record_count,
        body,
        records,
    })
}

fn take_record(from: &mut Decoder, base_offset: i64, base_timestamp: i64) -> anyhow::Result<Taken> {
    let length = from.varint("length", "")?;
    let start = from.at();
    from.i8("attributes", "")?;
    let timestamp = base_timestamp.saturating_add(from.varint("timestamp_delta", "")?);
    let offset = base_offset.saturating_add(from.varint("offset_delta", "")?);
    let key = text(from, "key")?;
    let value = text(from, "value")?;
    let headers = from.varint("headers", "")?;
    for _ in 0..headers {
        text(from, "header key")?;
        text(from, "header value")?;
    }
    let taken = from.at() - start;
    if usize::try_from(length) != Ok(taken) {
        bail!(
            "The record at byte {start:#x} says it has {length} bytes, and its fields have {taken}."
        );
    }
    Ok(Taken { offset, timestamp, key, value })
}

/// A varint length, then so many bytes; −1 is null.
fn text(from: &mut Decoder, name: &str) -> anyhow::Result<Option<String>> {
    let before = from.fields();
    let length = from.varint("length", "")?;
    let Ok(length) = usize::try_from(length) else {
        from.merge(before, name, "null", "", false);
        return Ok(None);
    };
    let text = shared::report::text(&from.take(name, length, "")?);
    from.merge(before, name, format!("{text:?}"), "", false);
    Ok(Some(text))
}

// ------------------------------------------------------------------------------------------------------- judging it

/// What is wrong with a batch, byte by byte, by rules of its own: the exercise's values are not asked.
pub fn faults(batch: &[u8]) -> Vec<String> {
    let mut faults = Vec::new();
    if batch.len() < HEADER {
        faults.push(format!("The batch has {} bytes; its header alone has {HEADER}.", batch.len()));
        return faults;
    }
    let length = i32::from_be_bytes(at(batch, LENGTH));
    let follow = batch.len() - LENGTH.end;
    if usize::try_from(length) != Ok(follow) {
        faults.push(format!(
            "bytes 8 to 11, batch_length: {} says {length}, but {follow} bytes follow. It counts from byte 12, behind itself, to the end.",
            hex(&batch[LENGTH])
        ));
    }
    let magic = batch[MAGIC];
    if magic != 2 {
        faults.push(format!(
            "byte 16, magic: {magic:02x}. The format with deltas and a CRC-32C is 02."
        ));
    }
    let written = u32::from_be_bytes(at(batch, CRC));
    let right = crc::crc(CASTAGNOLI, &batch[CRC.end..]);
    if written != right {
        faults.push(format!(
            "bytes 17 to 20, crc: {} but the CRC-32C of bytes 21 to {} is {}.{}",
            hex(&batch[CRC]),
            batch.len() - 1,
            hex(&right.to_be_bytes()),
            guess(batch, written)
        ));
    }
    records(batch, &mut faults);
    faults
}

fn records(batch: &[u8], faults: &mut Vec<String>) {
    // The decoder stops at a length, a magic or a codec that it does not know; those were judged.
    let mut tidy = batch.to_vec();
    tidy[LENGTH].copy_from_slice(&count(batch.len() - LENGTH.end).to_be_bytes());
    tidy[MAGIC] = 2;
    let mut from = Decoder::new("record batch", tidy);
    let taken = match take_apart(&mut from).and_then(|taken| from.end().map(|()| taken)) {
        Ok(taken) => taken,
        Err(error) => {
            let hint = if fits_without_zigzag(batch) {
                " Read as plain varints the records fit: zigzag is missing. 1 is written as 02, -1 as 01."
            } else {
                ""
            };
            faults.push(format!("{error}{hint}"));
            return;
        }
    };
    if taken.last_offset_delta.checked_add(1) != Some(taken.record_count) {
        faults.push(format!(
            "bytes 23 to 26, last_offset_delta: {} does not go with record_count {}; it is one less.",
            taken.last_offset_delta, taken.record_count
        ));
    }
    for (n, record) in taken.records.iter().enumerate() {
        let delta = record.offset - taken.base_offset;
        if i64::try_from(n) != Ok(delta) {
            faults.push(format!("record {n}, offset_delta: {delta}. Deltas count 0, 1, 2 …"));
        }
    }
}

/// Do the records end where the batch ends, if their lengths are varints without zigzag?
fn fits_without_zigzag(batch: &[u8]) -> bool {
    let mut from = Decoder::new("records", batch[HEADER..].to_vec());
    let walk = (|| {
        for _ in 0..u32::from_be_bytes(at(batch, RECORD_COUNT)) {
            let plain = zigzag(from.varint("length", "")?);
            from.take("record", usize::try_from(plain)?, "")?;
        }
        from.end()
    })();
    walk.is_ok()
}

/// What may have happened to a wrong checksum.
fn guess(batch: &[u8], written: u32) -> String {
    const ZIP: u32 = 0xedb8_8320;
    // A checksum is computed before it is written: its own four bytes were 0 then.
    let mut blank = batch.to_vec();
    blank[CRC].fill(0);
    let from = (0..batch.len()).find(|from| crc::crc(CASTAGNOLI, &blank[*from..]) == written);
    if let Some(from) = from {
        return format!(" Yours covers bytes {from} to {}.", batch.len() - 1);
    }
    if crc::crc(ZIP, &batch[CRC.end..]) == written {
        return " Yours is the CRC-32 of zip files, with another polynomial.".to_owned();
    }
    String::new()
}

fn at<const N: usize>(bytes: &[u8], range: Range<usize>) -> [u8; N] {
    bytes[range].try_into().expect("the ranges above are as long as their types")
}

/// `00 0e`.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exercise::EXERCISE;
    use proptest::prelude::*;

    #[test]
    fn the_exercise_as_it_is_has_no_fault() {
        let batch = build(&EXERCISE);
        assert_eq!(faults(&batch.bytes), Vec::<String>::new());
        let mut from = Decoder::new("", batch.bytes.clone());
        let taken = take_apart(&mut from).unwrap();
        let values: Vec<_> = taken.records.iter().map(|record| record.value.as_deref()).collect();
        assert_eq!(
            values,
            EXERCISE.records.iter().map(|record| Some(record.value)).collect::<Vec<_>>()
        );
        // Every byte has a name.
        let named: usize = batch.fields.iter().map(|field| field.range.len()).sum();
        assert_eq!(named, batch.bytes.len());
    }

    #[test]
    fn a_mistake_is_named_by_its_byte() {
        let cases: [(Exercise, &str); 6] = [
            (
                Exercise { length_from: 8, ..EXERCISE },
                "bytes 8 to 11, batch_length: [..] It counts from byte 12",
            ),
            (Exercise { magic: 1, ..EXERCISE }, "byte 16, magic: 01."),
            (Exercise { crc_from: 17, ..EXERCISE }, "Yours covers bytes 17 to"),
            (Exercise { crc_from: 0, ..EXERCISE }, "Yours covers bytes 0 to"),
            (Exercise { crc_polynomial: 0xedb8_8320, ..EXERCISE }, "the CRC-32 of zip files"),
            (Exercise { zigzag: i64::cast_unsigned, ..EXERCISE }, "zigzag is missing"),
        ];
        for (exercise, sentence) in cases {
            let faults = faults(&build(&exercise).bytes).join("\n");
            for piece in sentence.split("[..]") {
                assert!(faults.contains(piece), "{sentence}: {faults}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_judged(bytes: Vec<u8>) {
            faults(&bytes);
        }

        #[test]
        fn a_flipped_byte_is_found(at in 8_usize..101, bit in 0..8) {
            let mut batch = build(&EXERCISE).bytes;
            // The broker writes the leader's epoch, so it is not protected.
            prop_assume!(at < batch.len() && !(12..16).contains(&at));
            batch[at] ^= 1_u8 << bit;
            prop_assert!(!faults(&batch).is_empty());
        }
    }
}
