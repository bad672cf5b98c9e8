//! Bytes to typed requests and back.

pub(crate) mod schema;
