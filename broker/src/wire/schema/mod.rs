//! What every message of the protocol looks like, and one walker that reads any of them by it.
//!
//! * [`check_request`] is the guard in front of the codec. `kafka-protocol` calls `Vec::with_capacity(n)` with an n
//!   from the wire, so a Metadata v1 body of the four bytes `7f ff ff ff` would abort the whole process. What the guard
//!   lets through, the codec decodes.
//! * [`parse_header`] reads the header in front of a request.
//! * [`walk`] reports each field with its name, bytes and value to a [`Visitor`].
//!
//! The table's facts come from Kafka's own message definitions: see `broker/tools/schema.py`.
//!
//! Stricter than Kafka, so that codec and table cannot read the same bytes differently: a tagged field must fill its
//! size, a nullable struct starts with 1 or -1, a varint ends within 32 bits, and a string is UTF-8. Kafka ignores a known
//! tag's size, takes any negative byte for null and any other for a struct, drops a varint's upper bits, and replaces what
//! is not UTF-8.

mod definition;
mod error_answer;
mod header;
mod malformed;
mod table;
#[cfg(test)]
pub(crate) mod tests;
mod walk;

pub(crate) use definition::{ApiSchema, Message};
pub(crate) use error_answer::{number_in, write_error};
pub(crate) use header::{parse_header, request_header_version, response_header_version};
pub(crate) use malformed::Malformed;
pub(crate) use table::{
    CONSUMER_PROTOCOL_ASSIGNMENT, CONSUMER_PROTOCOL_SUBSCRIPTION, REQUEST_HEADER, RESPONSE_HEADER,
};
#[cfg(test)]
use walk::walk;
pub(crate) use walk::{Group, Label, Value, Visitor, walk_start};
use walk::{MOST_ELEMENTS, walk_at_most};

use malformed::Flaw;

/// Checks that `body` begins with a request of this API and version, at no cost for the bytes of its records.
///
/// Bytes behind it are ignored, as Kafka does: librdkafka 2.12 sends three with a Metadata request for all topics.
pub(crate) fn check_request(api_key: i16, version: i16, body: &[u8]) -> Result<(), Malformed> {
    check_request_within(MOST_ELEMENTS, api_key, version, body)
}

/// The same, but the look ends when the arrays have more elements than `most`: see [`Malformed::is_too_many`].
pub(crate) fn check_request_within(
    most: usize,
    api_key: i16,
    version: i16,
    body: &[u8],
) -> Result<(), Malformed> {
    let Some(api) = api(api_key) else { return Err(Flaw::UnknownApi(api_key).at(0)) };
    walk_at_most(&api.request, version, body, most, &mut ()).map(drop)
}

/// The API with this key, if a broker's listener serves it and the codec knows it.
pub(crate) fn api(key: i16) -> Option<&'static ApiSchema> {
    let index = table::APIS.binary_search_by_key(&key, |api| api.key).ok()?;
    Some(&table::APIS[index])
}

/// The key of the API with this name, in any case.
pub(crate) fn key_named(name: &str) -> Option<i16> {
    let is_named = |api: &&ApiSchema| {
        api.request.name.strip_suffix("Request").is_some_and(|own| own.eq_ignore_ascii_case(name))
    };
    table::APIS.iter().find(is_named).map(|api| api.key)
}
