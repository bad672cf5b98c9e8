//! An in-memory, Kafka-compatible broker.

mod error_code;
#[cfg_attr(not(test), expect(dead_code, reason = "the cluster does not use groups yet"))]
mod group;

pub use error_code::ErrorCode;

/// A point in time, or a span, in milliseconds. Points count from the Unix epoch, as Kafka's timestamps do.
pub(crate) type Millis = i64;
