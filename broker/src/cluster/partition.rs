//! A partition as the connections share it: who leads it, its log behind a lock, and the fetches that wait for its
//! next batch.
//!
//! Everything that is asked of a partition passes here, and each question finds out whether the topic was deleted
//! meanwhile. With one node the leader never changes and every record is committed at once; that both are values
//! of the partition lets the rest of the broker not know it.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::{Memory, Scans, fetch::Patience};
use crate::{
    error_code::ErrorCode,
    log::{self, Appended, Found, Log, TimestampType, batch::Batch},
    time::Timestamp,
};

#[derive(Debug)]
pub(crate) struct Partition {
    leader: Leader,
    memory: Arc<Memory>,
    state: Mutex<State>,
}

/// The node that leads a partition, and the number of its election.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leader {
    pub(crate) node: i32,
    pub(crate) epoch: i32,
}

#[derive(Debug)]
struct State {
    /// `None` once the topic is deleted.
    log: Option<Log>,
    waiting: Vec<Waiting>,
}

/// A fetch that waits, and how much more it counts here.
#[derive(Debug)]
struct Waiting {
    patience: Arc<Patience>,
    most: usize,
}

/// Where the log of a partition begins and how far it can be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offsets {
    pub(crate) log_start: i64,
    /// The end of what all replicas have.
    pub(crate) high_watermark: i64,
    /// The end of what no open transaction can take back.
    pub(crate) last_stable: i64,
}

/// What a fetch reads of a partition.
#[derive(Debug)]
pub(crate) struct Read {
    /// Whole batches, as the log keeps them.
    pub(crate) records: Vec<Bytes>,
    pub(crate) offsets: Offsets,
}

/// How many batches are looked through for one time. In each but the last one the header promised more than the
/// records hold, so a usual search looks through one or two.
const MOST_BATCHES: usize = 32;

impl Partition {
    /// An empty partition, led by this node since the first election.
    pub(crate) fn new(node: i32, memory: Arc<Memory>) -> Self {
        let state = State { log: Some(Log::default()), waiting: Vec::new() };
        Self { leader: Leader { node, epoch: 0 }, memory, state: Mutex::new(state) }
    }

    pub(crate) fn leader(&self) -> Leader {
        self.leader
    }

    /// Appends a batch that keeps to the topic's rules, and tells the fetches that wait for it.
    ///
    /// # Errors
    ///
    /// Those of [`Log::append`], `KAFKA_STORAGE_ERROR` if the memory limit is reached, and
    /// `UNKNOWN_TOPIC_OR_PARTITION` if the topic was deleted meanwhile.
    pub(crate) fn append(
        &self,
        batch: &Batch,
        timestamps: TimestampType,
        now: Timestamp,
    ) -> Result<Appended, ErrorCode> {
        self.memory.check(batch.bytes.len())?;
        let mut state = self.state.lock();
        let log = state.log()?;
        let before = log.size();
        let appended = log.append(batch, self.leader.epoch, timestamps, now)?;
        if appended.is_new {
            self.memory.add(log.size() - before);
            state.tell(batch.bytes.len());
        }
        Ok(appended)
    }

    /// Reads from `offset` on: see [`Log::read`].
    ///
    /// # Errors
    ///
    /// Those of [`Log::read`] and of [`Leader::check`], and `UNKNOWN_TOPIC_OR_PARTITION` after a deletion.
    pub(crate) fn read(
        &self,
        known_epoch: i32,
        offset: i64,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Read, ErrorCode> {
        let mut state = self.state.lock();
        let log = state.log()?;
        self.leader.check(known_epoch)?;
        let records = log.read(offset, max_bytes, at_least_one)?;
        Ok(Read { records, offsets: Offsets::of(log) })
    }

    /// Where its log begins and ends.
    ///
    /// # Errors
    ///
    /// Those of [`Leader::check`], and `UNKNOWN_TOPIC_OR_PARTITION` after a deletion.
    pub(crate) fn offsets(&self, known_epoch: i32) -> Result<Offsets, ErrorCode> {
        let mut state = self.state.lock();
        let log = state.log()?;
        self.leader.check(known_epoch)?;
        Ok(Offsets::of(log))
    }

    /// The first record at or after `timestamp`, by the order of offsets. The records are looked at without the lock.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_TOPIC_OR_PARTITION` after a deletion, `UNKNOWN_SERVER_ERROR` for records that cannot be read or are
    /// too many.
    pub(crate) async fn look_up(
        &self,
        timestamp: Timestamp,
        scans: &Scans,
    ) -> Result<Option<Found>, ErrorCode> {
        let start = self.state.lock().log()?.start_offset();
        let mut from = start;
        for _ in 0..MOST_BATCHES {
            let batch = self.state.lock().log()?.first_batch(from, timestamp);
            let Some(batch) = batch else { return Ok(None) };
            from = batch.base_offset + i64::from(batch.last_offset_delta) + 1;
            let found =
                scans.run(&batch, move |b| log::first_at_or_after(b, start, timestamp)).await;
            if let Some(found) = found.map_err(|_| ErrorCode::UnknownServerError)? {
                return Ok(Some(found));
            }
        }
        Err(ErrorCode::UnknownServerError)
    }

    /// The record with the greatest timestamp, the earliest of several (KIP-734).
    ///
    /// # Errors
    ///
    /// As [`look_up`](Self::look_up).
    pub(crate) async fn look_up_latest(&self, scans: &Scans) -> Result<Option<Found>, ErrorCode> {
        let latest = self.state.lock().log()?.latest();
        match latest {
            None => Ok(None),
            Some(timestamp) => self.look_up(timestamp, scans).await,
        }
    }

    /// Deletes the records before `offset`, `None` for all, and tells where the log begins now.
    ///
    /// # Errors
    ///
    /// Those of [`Log::delete_before`], and `UNKNOWN_TOPIC_OR_PARTITION` after a deletion.
    pub(crate) fn delete_before(&self, offset: Option<i64>) -> Result<i64, ErrorCode> {
        let mut state = self.state.lock();
        let log = state.log()?;
        let before = log.size();
        log.delete_before(offset.unwrap_or(Offsets::of(log).high_watermark))?;
        self.memory.remove(before - log.size());
        Ok(log.start_offset())
    }

    /// Counts for a fetch what there is from `offset` on, and what comes, up to `most` bytes, until the returned
    /// guard is dropped. An error or a deletion ends the fetch's waiting.
    pub(super) fn watch(
        self: &Arc<Self>,
        patience: &Arc<Patience>,
        offset: i64,
        most: usize,
    ) -> Watch {
        let mut state = self.state.lock();
        match state.log().and_then(|log| log.available(offset, most)) {
            Err(_) => patience.end(),
            Ok(available) => {
                patience.count(available);
                let patience = Arc::clone(patience);
                state.waiting.push(Waiting { patience, most: most - available });
            }
        }
        Watch { partition: Arc::clone(self), patience: Arc::clone(patience) }
    }

    /// Lets go of the log, so that nothing is appended to it and nobody waits for it.
    pub(crate) fn delete(&self) {
        let (log, waiting) = {
            let mut state = self.state.lock();
            (state.log.take(), std::mem::take(&mut state.waiting))
        };
        self.memory.remove(log.map_or(0, |log| log.size()));
        for waiting in waiting {
            waiting.patience.end();
        }
    }
}

impl Leader {
    /// Is the leader epoch that a client knows this one? −1 stands for none.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_LEADER_EPOCH` for a newer one, `FENCED_LEADER_EPOCH` for an older one.
    fn check(self, known: i32) -> Result<(), ErrorCode> {
        match known {
            ..0 => Ok(()),
            _ if known > self.epoch => Err(ErrorCode::UnknownLeaderEpoch),
            _ if known < self.epoch => Err(ErrorCode::FencedLeaderEpoch),
            _ => Ok(()),
        }
    }
}

impl Offsets {
    /// With one replica and no transactions all ends are the end of the log.
    fn of(log: &Log) -> Self {
        let end = log.end_offset();
        Self { log_start: log.start_offset(), high_watermark: end, last_stable: end }
    }
}

impl State {
    fn log(&mut self) -> Result<&mut Log, ErrorCode> {
        self.log.as_mut().ok_or(ErrorCode::UnknownTopicOrPartition)
    }

    fn tell(&mut self, bytes: usize) {
        for waiting in &mut self.waiting {
            let counted = bytes.min(waiting.most);
            waiting.most -= counted;
            waiting.patience.count(counted);
        }
    }
}

/// A fetch that is waiting on a partition; dropping it ends the waiting.
#[derive(Debug)]
pub(super) struct Watch {
    partition: Arc<Partition>,
    patience: Arc<Patience>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut state = self.partition.state.lock();
        state.waiting.retain(|other| !Arc::ptr_eq(&other.patience, &self.patience));
    }
}
