//! The one clock of a broker.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::Millis;

/// Wall time at the start plus what has passed since, so that a time-out never sees time jump.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    started_at: Millis,
    started: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        let since_epoch =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { started_at: millis(since_epoch), started: Instant::now() }
    }
}

impl Clock {
    /// Milliseconds since the Unix epoch.
    pub(crate) fn now(&self) -> Millis {
        self.started_at + millis(self.started.elapsed())
    }

    /// The instant to sleep until for a point in time; one that has passed is now.
    pub(crate) fn instant(&self, at: Millis) -> Instant {
        self.started + Duration::from_millis(u64::try_from(at - self.started_at).unwrap_or(0))
    }
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}
