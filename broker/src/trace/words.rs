//! Values as people and tools read them: error codes with their names, topic ids with their topics, times with their
//! dates, batches and records in a line.

use std::collections::HashMap;

use uuid::Uuid;

use super::{
    Style,
    dates::date,
    listing::{Field, Seen, Value},
    records::{Blob, Record},
};
use crate::{
    error_code::ErrorCode,
    log::batch::{Batch, LOG_APPEND_TIME_FLAG},
    wire::schema,
};

/// How values are said.
#[derive(Clone, Copy)]
pub(super) struct Words<'a> {
    /// Names of topics by id.
    pub(super) topics: &'a HashMap<Uuid, String>,
    pub(super) style: Style,
}

impl<'a> Words<'a> {
    /// A value in one line.
    pub(super) fn value(self, field: &Field) -> String {
        let Seen::Value(value) = &field.value else { return String::new() };
        let said = match value {
            Value::Null => "null".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => value.to_string(),
            Value::Uuid(id) => id.to_string(),
            Value::String(string) => quote(string, self.style.limit),
            Value::Bytes(bytes) => {
                format!("{} bytes {}", bytes.len(), text(bytes, self.style.limit))
            }
            Value::Records(records) => format!("{} bytes", records.len()),
            Value::Tags(count) => count.to_string(),
            Value::Tag(size) => format!("{size} bytes"),
        };
        match (self.meaning(field), time(field)) {
            (Some(meaning), _) => format!("{said} {meaning}"),
            (None, Some(time)) => format!("{said} {time}"),
            (None, None) => said,
        }
    }

    /// The name that goes with a number or an id.
    pub(super) fn meaning(self, field: &Field) -> Option<&'a str> {
        match field.value {
            Seen::Value(Value::Uuid(id)) => self.topics.get(&id).map(String::as_str),
            Seen::Value(Value::Int(code))
                if field.is("error_code") || field.is("topic_config_error_code") =>
            {
                ErrorCode::from_code(i16::try_from(code).ok()?).map(ErrorCode::name)
            }
            Seen::Value(Value::Int(key)) if field.is("api_key") || field.is("request_api_key") => {
                schema::api(i16::try_from(key).ok()?).map(super::api_name)
            }
            _ => None,
        }
    }
}

/// The date of a field that holds a time.
fn time(field: &Field) -> Option<String> {
    let Seen::Value(Value::Int(time)) = field.value else { return None };
    let is_time = ["timestamp", "log_append_time_ms"];
    // Negative numbers have meanings of their own, such as "the end".
    (time >= 0 && is_time.iter().any(|name| field.is(name))).then(|| date(time))?
}

/// The name of a batch's codec.
pub(super) fn codec(batch: &Batch) -> String {
    batch
        .compression()
        .map_or("unknown codec".to_owned(), |codec| format!("{codec:?}").to_lowercase())
}

/// A batch in a line.
pub(super) fn batch(batch: &Batch) -> String {
    let first = batch.base_offset;
    let last = first.saturating_add(batch.last_offset_delta.into());
    let codec = codec(batch);
    let crc = if batch.is_intact() { "crc right" } else { "crc WRONG" };
    let mut said = format!(
        "{first}..={last}: {}, {} bytes, compression {codec}, {crc}",
        count(batch.record_count.into(), "record"),
        batch.bytes.len()
    );
    if batch.has_producer_id() {
        said += &format!(
            ", producer {} epoch {} sequence {}",
            batch.producer_id, batch.producer_epoch, batch.base_sequence
        );
    }
    said
}

/// The meaning of a batch's attributes.
pub(super) fn attributes(batch: &Batch) -> String {
    let is_append_time = batch.attributes & LOG_APPEND_TIME_FLAG != 0;
    let mut said = format!(
        "compression {}, {}",
        codec(batch),
        if is_append_time { "LogAppendTime" } else { "CreateTime" }
    );
    for (is_set, name) in
        [(batch.is_transactional(), ", transactional"), (batch.is_control(), ", control batch")]
    {
        said += if is_set { name } else { "" };
    }
    said
}

/// A record in a line.
pub(super) fn record(record: &Record, limit: usize) -> String {
    let or_null = |blob: &Option<Blob>| {
        blob.as_ref().map_or("null".to_owned(), |blob| shown(&blob.start, blob.len, limit))
    };
    let time = date(record.timestamp).unwrap_or_else(|| record.timestamp.to_string());
    let mut said =
        format!("key {} value {} time {time}", or_null(&record.key), or_null(&record.value));
    for (name, value) in &record.headers {
        said += &format!(" header {}={}", shown(&name.start, name.len, limit), or_null(value));
    }
    if record.more_headers > 0 {
        said += &format!(" and {}", count(record.more_headers, "more header"));
    }
    said
}

/// Bytes or null.
pub(super) fn blob(bytes: Option<&[u8]>, limit: usize) -> String {
    bytes.map_or("null".to_owned(), |bytes| text(bytes, limit))
}

/// `1 record`, `2 records`.
pub(super) fn count(count: i64, of: &str) -> String {
    format!("{count} {of}{}", if count == 1 { "" } else { "s" })
}

/// The beginning of bytes of which there are `len`.
fn shown(start: &[u8], len: u64, limit: usize) -> String {
    if start.len() as u64 == len {
        return text(start, limit);
    }
    // The beginning may end within a character.
    let whole = match std::str::from_utf8(start) {
        Err(error) if error.error_len().is_none() => &start[..error.valid_up_to()],
        _ => start,
    };
    match string(whole) {
        Some(string) => format!("{:?}… ({len} bytes)", cut(string, limit)),
        None => hexadecimal(start, limit),
    }
}

/// Bytes as a quoted string if they are one, otherwise in hexadecimal.
fn text(bytes: &[u8], limit: usize) -> String {
    string(bytes).map_or_else(|| hexadecimal(bytes, limit), |string| quote(string, limit))
}

/// The same without quotes, for tools.
pub(super) fn plain(bytes: &[u8], limit: usize) -> String {
    string(bytes).map_or_else(|| hexadecimal(bytes, limit), |string| cut(string, limit).to_owned())
}

/// Bytes as a string that can be shown.
fn string(bytes: &[u8]) -> Option<&str> {
    let is_shown = |c: char| !c.is_control() || c.is_ascii_whitespace();
    std::str::from_utf8(bytes).ok().filter(|string| string.chars().all(is_shown))
}

fn hexadecimal(bytes: &[u8], limit: usize) -> String {
    let shown = bytes.iter().take(limit / 2).map(|byte| format!("{byte:02x}"));
    let more = if bytes.len() > limit / 2 { "…" } else { "" };
    format!("0x{}{more}", shown.collect::<String>())
}

pub(super) fn quote(string: &str, limit: usize) -> String {
    let cut = cut(string, limit);
    if cut.len() == string.len() {
        return format!("{string:?}");
    }
    format!("{cut:?}… ({} characters)", string.chars().count())
}

/// The first characters of a string.
pub(super) fn cut(string: &str, limit: usize) -> &str {
    string.char_indices().nth(limit).map_or(string, |(end, _)| &string[..end])
}
