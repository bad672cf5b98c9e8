//! One partition's history, PURE: no I/O, no clock, no locks.
//!
//! A log keeps batches as the producer sent them, finds them by offset or by time, and knows its idempotent
//! producers. Reading goes by batches: whoever asks for an offset in the middle of one gets the whole batch
//! and skips, as Kafka's consumers do.

pub(crate) mod batch;
mod producers;
pub(crate) mod records;
mod store;

use std::collections::VecDeque;

use bytes::Bytes;

use self::{
    batch::{Batch, LOG_APPEND_TIME_FLAG, at},
    producers::{Producers, Verdict},
    store::Store,
};
use crate::{error_code::ErrorCode, time::Timestamp};

/// The leader epoch of every partition: with one node the leader never changes.
pub(crate) const LEADER_EPOCH: i32 = 0;

/// One partition's record batches.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// One entry for each batch, in order of offset and of position.
    batches: VecDeque<Entry>,
    store: Store,
    producers: Producers,
    start_offset: i64,
    end_offset: i64,
}

/// Where a batch lies. It ends where the next one begins.
#[derive(Clone, Copy, Debug)]
struct Entry {
    base_offset: i64,
    position: u64,
    max_timestamp: Timestamp,
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

    /// The offset that the next record will get. With one replica it is also the high watermark.
    pub(crate) fn end_offset(&self) -> i64 {
        self.end_offset
    }

    /// Adds a batch that was found sound, giving it the next offsets.
    ///
    /// # Errors
    ///
    /// The errors of an idempotent producer: see [`Producers::judge`].
    pub(crate) fn append(
        &mut self,
        batch: &Batch,
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
        let position = self.store.end();
        let stored = self.store.append(&batch.bytes);
        put(stored, at::BASE_OFFSET, base_offset.to_be_bytes());
        put(stored, at::LEADER_EPOCH, LEADER_EPOCH.to_be_bytes());
        if let Some(now) = log_append_time {
            put(stored, at::ATTRIBUTES, (batch.attributes | LOG_APPEND_TIME_FLAG).to_be_bytes());
            put(stored, at::MAX_TIMESTAMP, now.to_be_bytes());
            let crc = crc32c::crc32c(&stored[batch::CRC_FROM..]);
            put(stored, at::CRC, crc.to_be_bytes());
        }

        let max_timestamp = log_append_time.unwrap_or(batch.max_timestamp);
        self.batches.push_back(Entry { base_offset, position, max_timestamp });
        self.end_offset += i64::from(batch.last_offset_delta) + 1;
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
        if offset < self.start_offset || offset > self.end_offset {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        if offset == self.end_offset {
            return Ok(Vec::new());
        }
        let first = self.index_of(offset);
        let from = self.batches[first].position;
        // The last end of a batch that still fits: ends are the positions of the batches behind.
        let limit = from.saturating_add(max_bytes as u64);
        let mut to = if self.store.end() <= limit {
            self.store.end()
        } else {
            let behind = self.batches.partition_point(|batch| batch.position <= limit);
            self.batches[behind - 1].position
        };
        if to == from && at_least_one {
            to = self.end_of(first);
        }
        Ok(self.store.read(from, to))
    }

    /// The first record at or after `timestamp`, by the order of offsets.
    pub(crate) fn first_at_or_after(&mut self, timestamp: Timestamp) -> Option<Found> {
        for index in 0..self.batches.len() {
            if self.batches[index].max_timestamp < timestamp {
                continue;
            }
            // Almost always the first such batch answers; one whose records lie before the start does not.
            let records = self.times(index);
            let found = records
                .into_iter()
                .find(|r| r.timestamp >= timestamp && r.offset >= self.start_offset);
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// The record with the greatest timestamp, the earliest of several (KIP-734).
    pub(crate) fn max_timestamp(&mut self) -> Option<Found> {
        let latest = self.batches.iter().map(|batch| batch.max_timestamp).max()?;
        let index = self.batches.iter().position(|batch| batch.max_timestamp == latest)?;
        self.times(index).into_iter().find(|record| record.timestamp == latest)
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
        self.start_offset = self.start_offset.max(offset);
        let gone = if self.start_offset == self.end_offset {
            self.batches.len()
        } else {
            self.index_of(self.start_offset)
        };
        self.batches.drain(..gone);
        let position = self.batches.front().map_or(self.store.end(), |batch| batch.position);
        self.store.forget_before(position);
        Ok(())
    }

    /// The batch that holds `offset`, which lies in the log.
    fn index_of(&self, offset: i64) -> usize {
        self.batches.partition_point(|batch| batch.base_offset <= offset) - 1
    }

    fn end_of(&self, index: usize) -> u64 {
        self.batches.get(index + 1).map_or(self.store.end(), |next| next.position)
    }

    /// Time and offset of the records of one batch. The broker's own timestamp stands for all of them.
    fn times(&mut self, index: usize) -> Vec<Found> {
        let Entry { position, max_timestamp, .. } = self.batches[index];
        let bytes = self.store.read(position, self.end_of(index)).concat();
        let Ok(Some(batch)) = Batch::take(&mut bytes.into()) else { return Vec::new() };
        let set_by_broker = batch.attributes & LOG_APPEND_TIME_FLAG != 0;
        records::read(&batch)
            .map(|record| Found {
                offset: batch.base_offset + record.offset_delta,
                timestamp: if set_by_broker { max_timestamp } else { record.timestamp },
            })
            .collect()
    }
}

fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&value);
}

#[cfg(test)]
mod tests;
