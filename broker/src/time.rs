//! Kinds of time, kept apart by their types: a deadline is never compared with a record's time.

use std::{fmt, ops::Add};

/// A span, in milliseconds.
pub(crate) type Millis = i64;

/// A point on the wall clock: milliseconds since the Unix epoch, as in a record. The wall can jump.
pub(crate) type Timestamp = i64;

/// A point on the broker's own clock, which only moves forward: deadlines are set on it. In milliseconds since the
/// broker was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(pub(crate) Millis);

impl Add<Millis> for Moment {
    type Output = Self;

    fn add(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
