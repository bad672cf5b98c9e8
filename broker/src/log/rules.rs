//! What a topic asks of a batch before its log takes it: Kafka's checks, in Kafka's order.
//!
//! Three things differ, since each record would cost much more than 20 % more instructions:
//!
//! * Of records that are not compressed, sizes and times are looked at. Kafka looks at all parts.
//! * Compressed records are kept as they are. Kafka unpacks them.
//! * Where a setting asks about every record, all are looked at as Kafka does: `cleanup.policy=compact` asks for a key,
//!   `message.timestamp.before.max.ms` for a time that is not too old.

use std::ops::ControlFlow;

use super::{
    TimestampType,
    batch::{Batch, LOG_APPEND_TIME_FLAG},
    records::{self, Flaw},
};
use crate::{
    error_code::ErrorCode,
    time::{Millis, Timestamp},
};

/// The topic's settings that decide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// `max.message.bytes`
    pub(crate) max_bytes: usize,
    /// `message.timestamp.type`
    pub(crate) timestamps: TimestampType,
    /// `message.timestamp.before.max.ms`
    pub(crate) before_max: Millis,
    /// `message.timestamp.after.max.ms`
    pub(crate) after_max: Millis,
    /// `cleanup.policy` contains `compact`
    pub(crate) is_compacted: bool,
}

/// Why a batch is not taken: a code and, where it says too little, a sentence.
#[derive(Clone, Debug)]
pub(crate) struct Rejection {
    pub(crate) code: ErrorCode,
    pub(crate) message: Option<String>,
    /// The records that are to blame, at most [`MOST_NAMED`].
    pub(crate) records: Vec<BadRecord>,
}

/// A record that is to blame.
#[derive(Clone, Debug)]
pub(crate) struct BadRecord {
    /// Its number in the batch.
    pub(crate) index: i32,
    pub(crate) message: String,
}

/// How many bad records an answer names. Kafka names all, however many they are.
const MOST_NAMED: usize = 1_000;

/// A record or a batch whose producer set no time.
const NO_TIMESTAMP: Timestamp = -1;

impl From<ErrorCode> for Rejection {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None, records: Vec::new() }
    }
}

/// A rejection with a sentence.
pub(crate) fn reject(code: ErrorCode, message: impl Into<String>) -> Rejection {
    Rejection { message: Some(message.into()), ..code.into() }
}

impl Rules {
    /// Checks what stands in front of the records, and the checksum.
    ///
    /// # Errors
    ///
    /// `INVALID_RECORD`, `MESSAGE_TOO_LARGE`, `CORRUPT_MESSAGE`, `UNKNOWN_SERVER_ERROR` for a codec that does not
    /// exist.
    pub(crate) fn check_header(&self, batch: &Batch) -> Result<(), Rejection> {
        let invalid = |message: &str| Err(reject(ErrorCode::InvalidRecord, message));
        if batch.base_offset != 0 {
            return invalid(
                "The offsets of a batch must begin at 0: the broker gives out the real ones.",
            );
        }
        if batch.bytes.len() > self.max_bytes {
            let message = format!(
                "The record batch has {} bytes, and max.message.bytes is {}.",
                batch.bytes.len(),
                self.max_bytes
            );
            return Err(reject(ErrorCode::MessageTooLarge, message));
        }
        if !batch.is_intact() {
            return Err(ErrorCode::CorruptMessage.into());
        }
        if batch.compression().is_none() {
            return Err(ErrorCode::UnknownServerError.into());
        }
        if batch.last_offset_delta < 0
            || i64::from(batch.record_count) != i64::from(batch.last_offset_delta) + 1
        {
            return invalid(
                "The record count of the batch does not agree with its last offset delta.",
            );
        }
        if batch.is_control() {
            return invalid("Clients are not allowed to write control records.");
        }
        if batch.has_producer_id() && batch.base_sequence < 0 {
            return invalid(
                "A batch with a producer id needs a sequence number that is not negative.",
            );
        }
        Ok(())
    }

    /// Checks the records and finds their greatest timestamp, which the header may have wrong.
    ///
    /// # Errors
    ///
    /// `INVALID_RECORD` for records that make no sense or lack the key that compaction needs, `INVALID_TIMESTAMP`.
    pub(crate) fn check_records(
        &self,
        batch: &Batch,
        now: Timestamp,
    ) -> Result<Timestamp, Rejection> {
        if self.needs_all_parts() || batch.is_compressed() && self.looks_at_records(batch, now) {
            return self.scan(batch, now);
        }
        if batch.is_compressed() {
            return Ok(batch.max_timestamp);
        }
        let mut latest = NO_TIMESTAMP;
        records::skim(batch, |timestamp| latest = latest.max(timestamp)).map_err(bad_batch)?;
        // A closer look finds which ones they are.
        if self.rejects_time(batch, latest, now) { self.scan(batch, now) } else { Ok(latest) }
    }

    /// Looks at the records in all their parts.
    fn scan(&self, batch: &Batch, now: Timestamp) -> Result<Timestamp, Rejection> {
        let set_by_broker = batch.attributes & LOG_APPEND_TIME_FLAG != 0;
        let (mut index, mut bad) = (0, Bad::default());
        let mut latest = NO_TIMESTAMP;
        let looked = records::scan(batch, |record| {
            let timestamp = if set_by_broker { batch.max_timestamp } else { record.timestamp };
            latest = latest.max(timestamp);
            if self.is_compacted && !record.has_key {
                bad.add(index, ErrorCode::InvalidRecord, || {
                    "A compacted topic takes no record without a key.".to_owned()
                });
            } else if self.rejects_time(batch, timestamp, now) {
                bad.add(index, ErrorCode::InvalidTimestamp, || self.bad_time(timestamp, now));
            }
            index += 1;
            ControlFlow::Continue(())
        });
        match (looked, bad.first) {
            (Err(flaw), _) => Err(bad_batch(flaw)),
            (Ok(()), None) => Ok(latest),
            (Ok(()), Some(ErrorCode::InvalidTimestamp)) => {
                let message = "One or more records have a timestamp that the topic does not take.";
                Err(Rejection {
                    records: bad.named,
                    ..reject(ErrorCode::InvalidTimestamp, message)
                })
            }
            (Ok(()), Some(code)) => {
                let message = format!("{} records of the batch are not valid.", bad.count);
                Err(Rejection { records: bad.named, ..reject(code, message) })
            }
        }
    }

    /// Are the records looked at? If not, the header is all that there is to check. A bad time in the header of a
    /// compressed batch is looked into, to name its records.
    pub(crate) fn looks_at_records(&self, batch: &Batch, now: Timestamp) -> bool {
        !batch.is_compressed()
            || self.needs_all_parts()
            || self.rejects_time(batch, batch.max_timestamp, now)
    }

    /// Does a setting ask about every record?
    fn needs_all_parts(&self) -> bool {
        self.is_compacted || self.before_max < Millis::MAX
    }

    fn rejects_time(&self, batch: &Batch, timestamp: Timestamp, now: Timestamp) -> bool {
        match self.timestamps {
            TimestampType::LogAppendTime => batch.attributes & LOG_APPEND_TIME_FLAG != 0,
            TimestampType::CreateTime => {
                let (earliest, latest) = self.window(now);
                timestamp != NO_TIMESTAMP && !(earliest..=latest).contains(&timestamp)
            }
        }
    }

    fn bad_time(&self, timestamp: Timestamp, now: Timestamp) -> String {
        match self.timestamps {
            TimestampType::LogAppendTime => {
                "The topic's timestamps are set by the broker, not by the producer.".to_owned()
            }
            TimestampType::CreateTime => {
                let (earliest, latest) = self.window(now);
                format!("Timestamp {timestamp} does not lie between {earliest} and {latest}.")
            }
        }
    }

    fn window(&self, now: Timestamp) -> (Timestamp, Timestamp) {
        (now.saturating_sub(self.before_max), now.saturating_add(self.after_max))
    }
}

/// The bad records of a batch. Nothing is allocated until there is one.
#[derive(Default)]
struct Bad {
    /// The code of the first one, which is that of the whole batch.
    first: Option<ErrorCode>,
    count: usize,
    named: Vec<BadRecord>,
}

impl Bad {
    #[cold]
    fn add(&mut self, index: i32, code: ErrorCode, message: impl FnOnce() -> String) {
        self.first.get_or_insert(code);
        self.count += 1;
        if self.named.len() < MOST_NAMED {
            self.named.push(BadRecord { index, message: message() });
        }
    }
}

fn bad_batch(flaw: Flaw) -> Rejection {
    match flaw {
        // Kafka has no error of its own for what its decoder throws.
        Flaw::Packed => ErrorCode::UnknownServerError.into(),
        _ => reject(ErrorCode::InvalidRecord, flaw.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::batch::build::Spec, *};

    const RULES: Rules = Rules {
        max_bytes: 1_000_000,
        timestamps: TimestampType::CreateTime,
        before_max: Millis::MAX,
        after_max: 1_000,
        is_compacted: false,
    };

    fn spec(times: &[Timestamp]) -> Spec {
        let values = vec!["v"; times.len()];
        Spec { timestamps: times.to_vec(), ..Spec::of(&values) }
    }

    fn outcome(rules: &Rules, batch: &Batch) -> Result<Timestamp, (ErrorCode, Vec<i32>)> {
        rules
            .check_header(batch)
            .and_then(|()| rules.check_records(batch, 5_000))
            .map_err(|no| (no.code, no.records.iter().map(|bad| bad.index).collect()))
    }

    #[test]
    fn the_greatest_timestamp_is_found_whatever_the_header_says() {
        let mut batch = spec(&[10, 30, 20]).batch();
        batch.max_timestamp = 99;
        assert_eq!(outcome(&RULES, &batch), Ok(30));
        assert_eq!(outcome(&RULES, &spec(&[-1]).batch()), Ok(-1));
    }

    #[test]
    fn each_bad_record_is_named() {
        let batch = spec(&[6_001, 6_000, 9_999]).batch();
        let bad = Err((ErrorCode::InvalidTimestamp, vec![0, 2]));
        assert_eq!(outcome(&RULES, &batch), bad);
        let rules = Rules { before_max: 1_000, ..RULES };
        let bad = Err((ErrorCode::InvalidTimestamp, vec![1]));
        assert_eq!(outcome(&rules, &spec(&[4_000, 3_999, -1]).batch()), bad);
        let rules = Rules { is_compacted: true, ..RULES };
        let bad = Err((ErrorCode::InvalidRecord, vec![0, 1]));
        assert_eq!(outcome(&rules, &spec(&[1, 2]).batch()), bad);
    }

    #[test]
    fn the_brokers_own_time_cannot_be_wrong_but_cannot_be_claimed() {
        let rules = Rules { timestamps: TimestampType::LogAppendTime, ..RULES };
        assert_eq!(outcome(&rules, &spec(&[1_000_000]).batch()), Ok(1_000_000));
        let claimed = Spec { attributes: LOG_APPEND_TIME_FLAG, ..spec(&[1]) }.batch();
        assert_eq!(outcome(&rules, &claimed), Err((ErrorCode::InvalidTimestamp, vec![0])));
        assert_eq!(outcome(&RULES, &claimed), Ok(1));
    }

    #[test]
    fn counts_must_agree_with_the_records() {
        let claims = |count: i32| {
            let mut bytes = spec(&[1]).bytes().to_vec();
            bytes[23..27].copy_from_slice(&count.wrapping_sub(1).to_be_bytes());
            bytes[57..61].copy_from_slice(&count.to_be_bytes());
            let crc = crc32c::crc32c(&bytes[21..]).to_be_bytes();
            bytes[17..21].copy_from_slice(&crc);
            Batch::take(&mut bytes.into()).unwrap().unwrap()
        };
        assert_eq!(outcome(&RULES, &claims(1)), Ok(1));
        for count in [i32::MIN, -1, 0, 2, i32::MAX] {
            let bad = Err((ErrorCode::InvalidRecord, vec![]));
            assert_eq!(outcome(&RULES, &claims(count)), bad, "{count} records");
        }
    }
}
