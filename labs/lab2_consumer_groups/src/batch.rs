//! When is a batch a batch? The one decision of this lab that needs no Kafka.

use crate::settings::Lab;
use std::time::Duration;

/// A batch ends by size or by time, whichever comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// So many transactions, 1 or more.
    pub size: usize,
    /// So long after the batch before it.
    pub wait: Duration,
}

/// Why a batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was full.
    BySize,
    /// It was old.
    ByTime,
    /// There is no more: the consumer was told to stop at the end of the topic.
    AtEnd,
}

impl Rule {
    /// Is a batch of `len` transactions, begun `elapsed` ago, complete?
    pub fn ended(self, len: usize, elapsed: Duration) -> Option<Ended> {
        if len >= self.size {
            Some(Ended::BySize)
        } else if elapsed >= self.wait {
            Some(Ended::ByTime)
        } else {
            None
        }
    }
}

impl From<&Lab> for Rule {
    fn from(lab: &Lab) -> Self {
        Self { size: lab.batch_size.get(), wait: lab.batch_wait }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whichever_comes_first() {
        let rule = Rule { size: 3, wait: Duration::from_secs(5) };
        let seconds = Duration::from_secs;
        assert_eq!(rule.ended(2, seconds(4)), None);
        assert_eq!(rule.ended(3, seconds(0)), Some(Ended::BySize));
        assert_eq!(rule.ended(1, seconds(5)), Some(Ended::ByTime));
        // Both at once: it is full.
        assert_eq!(rule.ended(3, seconds(5)), Some(Ended::BySize));
        // Nothing came: an empty batch ends too, and the clock starts anew.
        assert_eq!(rule.ended(0, seconds(5)), Some(Ended::ByTime));
    }
}
