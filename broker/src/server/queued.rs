//! The bytes of requests that have no answer yet, of all connections together: `queued.max.request.bytes`.
//!
//! When there are too many, the connection with the most of them ends. Kafka stops to read instead, from everybody: then
//! a few clients that send half a request each can shut out the rest.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Short requests are not counted: every connection has a buffer of that size anyway.
const SHORT: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Queued {
    limit: usize,
    all: Mutex<All>,
}

#[derive(Debug, Default)]
struct All {
    total: usize,
    last_id: u64,
    of: HashMap<u64, (usize, Arc<Notify>)>,
}

/// What one connection has of it.
#[derive(Debug)]
pub(super) struct Share {
    queued: Arc<Queued>,
    id: u64,
    bytes: usize,
    gives_way: Arc<Notify>,
}

impl Queued {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, all: Mutex::default() })
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    pub(super) fn share(self: &Arc<Self>) -> Share {
        let mut all = self.all.lock();
        all.last_id += 1;
        Share { queued: Arc::clone(self), id: all.last_id, bytes: 0, gives_way: Arc::default() }
    }
}

impl Share {
    /// Is notified when the connection must end for the others.
    pub(super) fn gives_way(&self) -> Arc<Notify> {
        Arc::clone(&self.gives_way)
    }

    /// The connection has as many bytes now.
    pub(super) fn set(&mut self, bytes: usize) {
        let bytes = if bytes <= SHORT { 0 } else { bytes };
        if bytes == self.bytes {
            return;
        }
        self.bytes = bytes;
        let mut all = self.queued.all.lock();
        all.remove(self.id);
        if bytes > 0 {
            all.total += bytes;
            all.of.insert(self.id, (bytes, Arc::clone(&self.gives_way)));
        }
        while all.total > self.queued.limit {
            let longest = all.of.iter().max_by_key(|(_, (bytes, _))| *bytes);
            let id = *longest.expect("the total is of those that are there").0;
            all.remove(id).expect("it was just found").notify_one();
        }
    }
}

impl All {
    fn remove(&mut self, id: u64) -> Option<Arc<Notify>> {
        let (bytes, gives_way) = self.of.remove(&id)?;
        self.total -= bytes;
        Some(gives_way)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_longest_gives_way() {
        let queued = Queued::new(1_000_000);
        let [mut short, mut medium, mut long] = [(); 3].map(|()| queued.share());
        short.set(SHORT);
        long.set(600_000);
        medium.set(400_000);
        assert_eq!(queued.all.lock().total, 1_000_000);
        medium.set(400_001);
        long.gives_way().notified().await;
        drop(medium);
        assert_eq!(queued.all.lock().total, 0);
    }
}
