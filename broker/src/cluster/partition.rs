//! A partition as the connections share it: a log behind a lock, and the fetches that wait for its next batch.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    error_code::ErrorCode,
    log::{Appended, Log, TimestampType, batch::Batch},
    time::Timestamp,
};

/// What a fetch waits with: one for all of its partitions.
pub(crate) type Waiter = Arc<Notify>;

#[derive(Debug, Default)]
pub(crate) struct Partition(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    log: Log,
    waiting: Vec<Waiter>,
    is_deleted: bool,
}

impl Partition {
    /// Appends a batch and wakes every fetch that waits for it.
    ///
    /// # Errors
    ///
    /// Those of [`Log::append`], and `UNKNOWN_TOPIC_OR_PARTITION` if the topic was deleted meanwhile.
    pub(crate) fn append(
        &self,
        batch: &Batch,
        timestamps: TimestampType,
        now: Timestamp,
    ) -> Result<Appended, ErrorCode> {
        let mut state = self.0.lock();
        if state.is_deleted {
            return Err(ErrorCode::UnknownTopicOrPartition);
        }
        let appended = state.log.append(batch, timestamps, now)?;
        if appended.is_new {
            state.wake();
        }
        Ok(appended)
    }

    /// Runs a question on the log.
    pub(crate) fn log<T>(&self, ask: impl FnOnce(&mut Log) -> T) -> T {
        ask(&mut self.0.lock().log)
    }

    /// Wakes `waiter` at the next append or at the deletion of the topic, until the returned guard is dropped.
    pub(crate) fn watch(self: &Arc<Self>, waiter: &Waiter) -> Watch {
        self.0.lock().waiting.push(Arc::clone(waiter));
        Watch { partition: Arc::clone(self), waiter: Arc::clone(waiter) }
    }

    /// Marks the partition as gone, so that nothing is appended to it and nobody waits for it.
    pub(crate) fn delete(&self) {
        let mut state = self.0.lock();
        state.is_deleted = true;
        state.wake();
    }
}

impl State {
    fn wake(&self) {
        for waiter in &self.waiting {
            waiter.notify_one();
        }
    }
}

/// A fetch that is waiting on a partition; dropping it ends the waiting.
#[derive(Debug)]
pub(crate) struct Watch {
    partition: Arc<Partition>,
    waiter: Waiter,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.partition.0.lock().waiting.retain(|other| !Arc::ptr_eq(other, &self.waiter));
    }
}
