//! How much memory the logs take, and how much they may.
//!
//! Counted is what they keep: the batches, and what is noted of each and of its producer. Nothing is ever dropped to make room. At the
//! limit a producer gets an error that every client tries again; deleting records or a topic lets it go on.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::error_code::ErrorCode;

#[derive(Debug, Default)]
pub(crate) struct Memory {
    limit: Option<usize>,
    used: AtomicUsize,
    /// So that the log tells it once, not for each of a thousand tries.
    is_told: AtomicBool,
}

impl Memory {
    pub(crate) fn new(limit: Option<usize>) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Is there room for so many bytes?
    ///
    /// # Errors
    ///
    /// `KAFKA_STORAGE_ERROR`: what Kafka answers when its disk is full, and what all clients try again.
    pub(super) fn check(&self, bytes: usize) -> Result<(), ErrorCode> {
        let Some(limit) = self.limit else { return Ok(()) };
        let used = self.used.load(Ordering::Relaxed);
        if used.saturating_add(bytes) <= limit {
            return Ok(());
        }
        if !self.is_told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                limit,
                used,
                "The memory limit is reached, and producers wait. Delete records or a topic, or start the broker with a higher --memory-limit."
            );
        }
        Err(ErrorCode::KafkaStorageError)
    }

    pub(super) fn add(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn remove(&self, bytes: usize) {
        let used = self.used.fetch_sub(bytes, Ordering::Relaxed) - bytes;
        // An eighth is free again: the next time is news.
        if self.limit.is_some_and(|limit| used <= limit - limit / 8) {
            self.is_told.store(false, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_comes_back() {
        let memory = Memory::new(Some(100));
        assert!(memory.check(100).is_ok());
        memory.add(90);
        assert_eq!(memory.check(11), Err(ErrorCode::KafkaStorageError));
        assert!(memory.is_told.load(Ordering::Relaxed));
        memory.remove(1);
        assert!(memory.is_told.load(Ordering::Relaxed));
        memory.remove(50);
        assert!(!memory.is_told.load(Ordering::Relaxed));
        assert!(memory.check(11).is_ok());
        assert!(Memory::default().check(usize::MAX).is_ok());
    }
}
