//! Values as people and tools read them: error codes with their names, topic ids with their topics, record
//! batches with their records.

use std::collections::HashMap;

use bytes::Bytes;
use uuid::Uuid;

use super::{
    Style,
    listing::{Field, Seen, Value},
};
use crate::{
    error_code::ErrorCode,
    log::{
        batch::Batch,
        records::{self, Record},
    },
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
        match self.meaning(field) {
            Some(meaning) => format!("{said} {meaning}"),
            None => said,
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

    /// The batches of a records field, a line each, with their records below.
    pub(super) fn batches(self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for part in parts(bytes) {
            match part {
                Part::Batch(batch) => {
                    lines.push(describe(&batch));
                    lines.extend(records::read(&batch).map(|record| {
                        let offset = batch.base_offset + record.offset_delta;
                        format!("  {offset}: {}", describe_record(&record, self.style.limit))
                    }));
                }
                Part::CutOff(len) => lines.push(format!("{len} bytes of a batch that is cut off")),
                Part::NoBatch(len, code) => {
                    lines.push(format!("{len} bytes that are no record batch ({code})"));
                }
            }
        }
        lines
    }
}

/// What a records field consists of.
#[derive(Debug)]
pub(super) enum Part {
    Batch(Box<Batch>),
    /// The beginning of a batch, of this many bytes, that the answer had no room for.
    CutOff(usize),
    /// So many bytes that are none.
    NoBatch(usize, ErrorCode),
}

/// The parts of a records field.
pub(super) fn parts(bytes: &[u8]) -> Vec<Part> {
    let mut bytes = Bytes::copy_from_slice(bytes);
    let mut parts = Vec::new();
    loop {
        match Batch::take(&mut bytes) {
            Ok(Some(batch)) => parts.push(Part::Batch(Box::new(batch))),
            Ok(None) if bytes.is_empty() => return parts,
            Ok(None) => {
                parts.push(Part::CutOff(bytes.len()));
                return parts;
            }
            Err(code) => {
                parts.push(Part::NoBatch(bytes.len(), code));
                return parts;
            }
        }
    }
}

/// The name of a batch's codec.
pub(super) fn codec(batch: &Batch) -> String {
    batch
        .compression()
        .map_or("unknown codec".to_owned(), |codec| format!("{codec:?}").to_lowercase())
}

fn describe(batch: &Batch) -> String {
    let first = batch.base_offset;
    let last = first + i64::from(batch.last_offset_delta);
    let codec = codec(batch);
    let crc = if batch.is_intact() { "crc right" } else { "crc WRONG" };
    let mut said = format!(
        "batch {first}..={last}: {} record{}, {} bytes, compression {codec}, {crc}",
        batch.record_count,
        if batch.record_count == 1 { "" } else { "s" },
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

fn describe_record(record: &Record, limit: usize) -> String {
    let or_null = |bytes: &Option<Bytes>| {
        bytes.as_ref().map_or("null".to_owned(), |bytes| text(bytes, limit))
    };
    let mut said = format!(
        "key {} value {} time {}",
        or_null(&record.key),
        or_null(&record.value),
        record.timestamp
    );
    for (name, value) in &record.headers {
        said += &format!(" header {}={}", text(name, limit), or_null(value));
    }
    said
}

/// Bytes as a quoted string if they are one, otherwise in hexadecimal.
pub(super) fn text(bytes: &[u8], limit: usize) -> String {
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

fn quote(string: &str, limit: usize) -> String {
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
