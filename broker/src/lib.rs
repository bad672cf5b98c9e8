//! An in-memory, Kafka-compatible broker.

mod error_code;
mod wire;

pub use error_code::ErrorCode;

/// A point in time, or a span, in milliseconds. Points count from the Unix epoch, as Kafka's timestamps do.
pub(crate) type Millis = i64;
