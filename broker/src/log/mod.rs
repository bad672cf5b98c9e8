//! One partition's history, PURE: no I/O, no clock, no locks.
//!
//! A log keeps batches as the producer sent them, finds them by offset or by time, and knows its idempotent
//! producers. Reading goes by batches: whoever asks for an offset in the middle of one gets the whole batch
//! and skips, as Kafka's consumers do.
//!
//! Looking into the records of a batch can take long. So a log never does it: it gives the batch out, and
//! [`Rules`] and [`first_at_or_after`] look at it without the log.

pub(crate) mod batch;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "transaction markers and compaction write batches")
)]
pub(crate) mod encode;
mod producers;
pub(crate) mod records;
pub(crate) mod rules;
mod segment;

use std::{collections::VecDeque, ops::ControlFlow};

use bytes::Bytes;

pub(crate) use self::rules::Rules;
use self::{
    batch::{Batch, LOG_APPEND_TIME_FLAG, at},
    producers::{Producers, Verdict},
    records::Flaw,
    segment::Segment,
};
use crate::{error_code::ErrorCode, time::Timestamp};

/// One partition's record batches.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// In order of offset. None is empty.
    segments: VecDeque<Segment>,
    producers: Producers,
    start_offset: i64,
    end_offset: i64,
    /// Of all segments.
    size: usize,
}

/// Who sets the time of a record: the topic's `message.timestamp.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimestampType {
    /// The producer.
    CreateTime,
    /// The broker, at the append.
    LogAppendTime,
}

/// The outcome of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Appended {
    /// Offset of the first record.
    pub(crate) base_offset: i64,
    /// Set if the broker sets the timestamps, and for a retry.
    pub(crate) log_append_time: Option<Timestamp>,
    /// False for a retry of a batch that the log has already.
    pub(crate) is_new: bool,
    /// The start of the log, so that whoever appended need not ask again.
    pub(crate) log_start_offset: i64,
}

/// A record found by its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) offset: i64,
    pub(crate) timestamp: Timestamp,
}

impl Log {
    /// The first offset that can be read: 0 until records are deleted.
    pub(crate) fn start_offset(&self) -> i64 {
        self.start_offset
    }

    /// The offset that the next record will get.
    pub(crate) fn end_offset(&self) -> i64 {
        self.end_offset
    }

    /// The bytes it keeps, and what it notes of each batch and of each producer.
    pub(crate) fn size(&self) -> usize {
        self.size + self.producers.size()
    }

    /// Adds a batch that keeps to the [`Rules`], giving it the next offsets.
    ///
    /// # Errors
    ///
    /// The errors of an idempotent producer: see [`Producers::judge`].
    pub(crate) fn append(
        &mut self,
        batch: &Batch,
        leader_epoch: i32,
        timestamps: TimestampType,
        now: Timestamp,
    ) -> Result<Appended, ErrorCode> {
        let log_append_time = (timestamps == TimestampType::LogAppendTime).then_some(now);
        if batch.has_producer_id()
            && let Verdict::Duplicate { base_offset, max_timestamp } =
                self.producers.judge(batch)?
        {
            // Kafka tells a retry the time of the first try, whoever set it.
            let log_append_time = Some(max_timestamp);
            let log_start_offset = self.start_offset;
            return Ok(Appended { base_offset, log_append_time, is_new: false, log_start_offset });
        }

        let base_offset = self.end_offset;
        let last_offset = base_offset + i64::from(batch.last_offset_delta);
        let (attributes, max_timestamp) = match log_append_time {
            Some(now) => (batch.attributes | LOG_APPEND_TIME_FLAG, now),
            None => (batch.attributes & !LOG_APPEND_TIME_FLAG, batch.max_timestamp),
        };
        let segment = self.with_room_for(batch.bytes.len());
        let before = segment.size();
        let stored = segment.append((base_offset, last_offset), max_timestamp, &batch.bytes);
        put(stored, at::BASE_OFFSET, base_offset.to_be_bytes());
        put(stored, at::LEADER_EPOCH, leader_epoch.to_be_bytes());
        if attributes != batch.attributes
            || stored[at::MAX_TIMESTAMP..][..8] != max_timestamp.to_be_bytes()
        {
            put(stored, at::ATTRIBUTES, attributes.to_be_bytes());
            put(stored, at::MAX_TIMESTAMP, max_timestamp.to_be_bytes());
            let crc = crc32c::crc32c(&stored[batch::CRC_FROM..]);
            put(stored, at::CRC, crc.to_be_bytes());
        }

        self.size += segment.size() - before;
        self.end_offset = last_offset + 1;
        if batch.has_producer_id() {
            self.producers.remember(batch, base_offset, max_timestamp);
        }
        let log_start_offset = self.start_offset;
        Ok(Appended { base_offset, log_append_time, is_new: true, log_start_offset })
    }

    /// The batches from the one that holds `offset`, up to `max_bytes`. If the first batch alone is longer, it
    /// is returned all the same when `at_least_one` is set (KIP-74), so that a consumer always gets on.
    ///
    /// # Errors
    ///
    /// `OFFSET_OUT_OF_RANGE` for an offset before the start or behind the end of the log.
    pub(crate) fn read(
        &mut self,
        offset: i64,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Vec<Bytes>, ErrorCode> {
        self.check(offset)?;
        let (mut slices, mut left) = (Vec::new(), max_bytes);
        let first = self.segment_of(offset);
        for segment in self.segments.range_mut(first..) {
            let index = segment.index_of(offset);
            let from = segment.position(index);
            let mut to = segment.end_within(index, left);
            if to == from && at_least_one && slices.is_empty() {
                to = segment.position(index + 1);
            }
            if to == from {
                break;
            }
            segment.read(from, to, &mut slices);
            left = left.saturating_sub(to - from);
            if to < segment.len() {
                break;
            }
        }
        Ok(slices)
    }

    /// How many bytes there are from the batch that holds `offset` on, counted no farther than to `most`.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub(crate) fn available(&self, offset: i64, most: usize) -> Result<usize, ErrorCode> {
        self.check(offset)?;
        let mut available = 0;
        for segment in self.segments.range(self.segment_of(offset)..) {
            available += segment.len() - segment.position(segment.index_of(offset));
            if available >= most {
                return Ok(most);
            }
        }
        Ok(available)
    }

    /// The first batch from `offset` on whose greatest timestamp is at least this.
    pub(crate) fn first_batch(&mut self, offset: i64, timestamp: Timestamp) -> Option<Batch> {
        let first = self.segment_of(offset);
        let mut later = self.segments.range_mut(first..).filter(|s| s.latest() >= timestamp);
        let mut bytes = later.find_map(|segment| {
            let index = segment.index_of_time(segment.index_of(offset), timestamp)?;
            Some(segment.batch(index))
        })?;
        Batch::take(&mut bytes).ok()?
    }

    /// The greatest timestamp of all records.
    pub(crate) fn latest(&self) -> Option<Timestamp> {
        let first = self.segments.front()?;
        // Of the first segment, some batches may lie before the start of the log.
        let live = &first.entries()[first.index_of(self.start_offset)..];
        let of_first = live.iter().map(|entry| entry.max_timestamp).max();
        self.segments.range(1..).map(Segment::latest).chain(of_first).max()
    }

    /// Moves the start of the log to `offset` and lets go of the batches before it. A batch that holds the
    /// offset stays whole, as in Kafka.
    ///
    /// # Errors
    ///
    /// `OFFSET_OUT_OF_RANGE` for an offset behind the end of the log.
    pub(crate) fn delete_before(&mut self, offset: i64) -> Result<(), ErrorCode> {
        if offset < 0 || offset > self.end_offset {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        let start = self.start_offset.max(offset);
        self.start_offset = start;
        let gone = self.segment_of(start);
        self.segments.drain(..gone);
        if let Some(first) = self.segments.front_mut() {
            // Copying what is left must pay: it is less than what is let go.
            let dead = first.position(first.index_of(start));
            if dead > first.len() / 2 {
                first.retain(|entry| entry.last_offset >= start);
            }
        }
        self.size = self.segments.iter().map(Segment::size).sum();
        Ok(())
    }

    fn check(&self, offset: i64) -> Result<(), ErrorCode> {
        let is_inside = (self.start_offset..=self.end_offset).contains(&offset);
        if is_inside { Ok(()) } else { Err(ErrorCode::OffsetOutOfRange) }
    }

    /// The number of the first segment that ends at `offset` or behind it.
    fn segment_of(&self, offset: i64) -> usize {
        let ends_before =
            |s: &Segment| s.entries().last().is_none_or(|last| last.last_offset < offset);
        self.segments.partition_point(ends_before)
    }

    fn with_room_for(&mut self, len: usize) -> &mut Segment {
        if !self.segments.back().is_some_and(|segment| segment.has_room(len)) {
            let last = self.segments.back().map_or(0, Segment::capacity);
            self.segments.push_back(Segment::new(last, len));
        }
        self.segments.back_mut().expect("there is one now")
    }
}

/// The first record of a batch at or after a time, from `offset` on. The broker's own timestamp stands for all
/// records.
///
/// # Errors
///
/// Records that make no sense: they were compressed and so not looked at when they came.
pub(crate) fn first_at_or_after(
    batch: &Batch,
    offset: i64,
    timestamp: Timestamp,
) -> Result<Option<Found>, Flaw> {
    let set_by_broker = batch.attributes & LOG_APPEND_TIME_FLAG != 0;
    let mut found = None;
    records::scan(batch, |record| {
        let here = Found {
            offset: batch.base_offset.saturating_add(record.offset_delta.into()),
            timestamp: if set_by_broker { batch.max_timestamp } else { record.timestamp },
        };
        if here.offset < offset || here.timestamp < timestamp {
            return ControlFlow::Continue(());
        }
        found = Some(here);
        ControlFlow::Break(())
    })?;
    Ok(found)
}

fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&value);
}

#[cfg(test)]
mod tests;
