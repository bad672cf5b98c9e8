//! How long a connection may send nothing: `connections.max.idle.ms`.

use std::{pin::Pin, time::Duration};

use tokio::time::{Instant, Sleep, sleep};

use crate::cluster::Clock;

/// One timer for the whole connection, which is put off only when it rings. A timer for each request would make a small
/// request cost a twentieth more.
#[derive(Debug)]
pub(super) struct Idle {
    pub(super) max: Duration,
    since: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Idle {
    pub(super) fn new(max: Duration) -> Self {
        Self { max, since: Clock::real_now(), timer: Box::pin(sleep(max)) }
    }

    /// It counts from now.
    pub(super) fn begin(&mut self) {
        self.since = Clock::real_now();
    }

    /// Returns when it has been idle for too long.
    pub(super) async fn too_long(&mut self) {
        loop {
            self.timer.as_mut().await;
            match self.since.checked_add(self.max) {
                Some(end) if end > Clock::real_now() => self.timer.as_mut().reset(end),
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_counts_from_the_last_beginning() {
        let started = Clock::real_now();
        let mut idle = Idle::new(Duration::from_secs(10));
        sleep(Duration::from_secs(6)).await;
        idle.begin();
        idle.too_long().await;
        assert_eq!(started.elapsed().as_secs(), 16);
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_time_does_not_overflow() {
        let mut idle = Idle::new(Duration::MAX);
        let waited = tokio::time::timeout(Duration::from_secs(3_600), idle.too_long()).await;
        assert!(waited.is_err());
    }
}
