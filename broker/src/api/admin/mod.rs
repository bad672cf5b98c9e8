//! Making, changing and describing what is there.

pub(crate) mod create_partitions;
pub(crate) mod create_topics;
pub(crate) mod delete_topics;
pub(crate) mod describe_configs;

use crate::wire::StrBytes;

fn text(message: String) -> Option<StrBytes> {
    Some(StrBytes::from_string(message))
}
