//! Reading from many partitions at once, and waiting until they have enough.
//!
//! A fetch that waits reads nothing meanwhile: each append to one of its partitions counts its bytes, and the one
//! that makes them enough wakes it. So consumers that wait cost a producer a subtraction each.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::timeout_at};

use super::{Clock, Partition, partition::Read};
use crate::error_code::ErrorCode;

/// A fetch with its partitions looked up.
#[derive(Debug)]
pub(crate) struct Fetch {
    /// How long to wait for enough.
    pub(crate) wait: Duration,
    pub(crate) min_bytes: usize,
    pub(crate) max_bytes: usize,
    /// Each partition once.
    pub(crate) wanted: Vec<Wanted>,
}

/// What is wanted of one partition.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// The error is for a partition that there is not.
    pub(crate) partition: Result<Arc<Partition>, ErrorCode>,
    /// The leader epoch that the client knows, −1 for none.
    pub(crate) known_epoch: i32,
    pub(crate) offset: i64,
    pub(crate) max_bytes: usize,
}

impl Fetch {
    /// What there is, for each wanted partition: when the time is over, or it is enough, or there is an error.
    pub(crate) async fn answer(&self) -> Vec<Result<Read, ErrorCode>> {
        // More than the answer may hold would never be there.
        let enough = self.min_bytes.min(self.max_bytes);
        let answer = self.read();
        // Kafka does not wait for nothing either.
        if answer.is_empty() || is_enough(&answer, enough) || self.wait.is_zero() {
            return answer;
        }
        drop(answer);
        let deadline = Clock::real_now() + self.wait;

        let patience = Arc::new(Patience::new(enough));
        let _watches: Vec<_> = self
            .wanted
            .iter()
            .filter_map(|wanted| {
                let partition = wanted.partition.as_ref().ok()?;
                Some(partition.watch(&patience, wanted.offset, wanted.max_bytes))
            })
            .collect();
        // Whether it is enough or too late, what is there is the answer.
        let _: Result<(), _> = timeout_at(deadline, patience.ended.notified()).await;
        self.read()
    }

    /// What there is now, in the order of the partitions, until `max_bytes` are used up.
    fn read(&self) -> Vec<Result<Read, ErrorCode>> {
        let mut left = self.max_bytes;
        let mut is_empty = true;
        let read = |wanted: &Wanted| {
            let partition = wanted.partition.as_ref().map_err(|error| *error)?;
            let max_bytes = wanted.max_bytes.min(left);
            let read = partition.read(wanted.known_epoch, wanted.offset, max_bytes, is_empty)?;
            left = left.saturating_sub(read.size());
            is_empty &= read.records.is_empty();
            Ok(read)
        };
        self.wanted.iter().map(read).collect()
    }
}

fn is_enough(answer: &[Result<Read, ErrorCode>], enough: usize) -> bool {
    let sizes = answer.iter().map(|read| read.as_ref().map(Read::size));
    sizes.sum::<Result<usize, _>>().map_or(true, |size| size >= enough)
}

impl Read {
    /// The bytes of its records.
    fn size(&self) -> usize {
        self.records.iter().map(bytes::Bytes::len).sum()
    }
}

/// How much a fetch still waits for.
#[derive(Debug)]
pub(super) struct Patience {
    missing: AtomicUsize,
    ended: Notify,
}

impl Patience {
    fn new(bytes: usize) -> Self {
        Self { missing: AtomicUsize::new(bytes), ended: Notify::new() }
    }

    /// So many bytes more are there.
    pub(super) fn count(&self, bytes: usize) {
        let before = self
            .missing
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |missing| {
                Some(missing.saturating_sub(bytes))
            })
            .unwrap_or_else(|missing| missing);
        if bytes > 0 && before <= bytes {
            self.end();
        }
    }

    /// There is nothing to wait for.
    pub(super) fn end(&self) {
        self.ended.notify_one();
    }
}
