//! An exchange as one JSON object on one line.

use std::net::SocketAddr;

use bytes::Bytes;
use serde_json::{Map, Value as Json, json};

use super::{
    Message, Shown, about,
    listing::{Field, Label, Seen, Value},
    words::{self, Part},
};
use crate::log::records::{self, Record};

/// The request and its answer.
pub(super) fn exchange(shown: &Shown) -> String {
    let Shown { request, answer, .. } = shown;
    let mut line = json!({
        "connection": shown.connection,
        "remote": shown.remote.to_string(),
        "client_id": request.string("client_id"),
        "software": shown.software.map(|(name, version)| format!("{name} {version}")),
        "api": request.api,
        "version": request.version,
        "correlation_id": request.int("correlation_id"),
        "request_bytes": request.frame.len(),
        "request": body(shown, request),
        "answer_bytes": answer.map(|answer| answer.frame.len()),
        "answer": answer.map(|answer| body(shown, answer)),
        "ended": shown.ended,
        "micros": u64::try_from(shown.took.as_micros()).unwrap_or(u64::MAX),
    });
    if shown.words.style.bytes {
        line["request_fields"] = places(shown, request);
        line["answer_fields"] = answer.map_or(Json::Null, |answer| places(shown, answer));
    }
    format!("{line}\n")
}

/// Bytes that are no request of an API that is served.
pub(super) fn unreadable(
    connection: u64,
    remote: SocketAddr,
    bytes: usize,
    reason: &str,
) -> String {
    let remote = remote.to_string();
    let line = json!({"connection": connection, "remote": remote, "api": null, "request_bytes": bytes, "ended": reason});
    format!("{line}\n")
}

/// The message as nested objects and arrays.
fn body(shown: &Shown, message: &Message) -> Json {
    let mut fields = message.body.as_slice();
    let mut object = structure(shown, &mut fields, 0);
    if let Some(flaw) = &message.flaw {
        object.insert("flaw".to_owned(), json!(flaw));
    }
    Json::Object(object)
}

/// Takes the fields of one struct off the front: those at `depth`, with all that is deeper.
fn structure(shown: &Shown, fields: &mut &[Field], depth: usize) -> Map<String, Json> {
    let mut object = Map::new();
    while let Some(field) = take(fields, depth) {
        let value = element(shown, field, fields);
        match field.label {
            Label::Name("tagged_fields") => {}
            Label::Name(name) => {
                object.insert(name.to_owned(), value);
                if let Some(meaning) = shown.words.meaning(field) {
                    object.insert(format!("{name}_name"), json!(meaning));
                }
            }
            // A tag whose meaning is known is followed by its field; bytes are one that is not.
            Label::Tag(tag) if matches!(field.value, Seen::Value(Value::Bytes(_))) => {
                object.insert(format!("tag_{tag}"), value);
            }
            Label::Tag(_) | Label::Index(_) => {}
        }
    }
    object
}

fn element(shown: &Shown, field: &Field, rest: &mut &[Field]) -> Json {
    match &field.value {
        Seen::Struct => Json::Object(structure(shown, rest, field.depth + 1)),
        Seen::Array(_) => {
            let mut elements = Vec::new();
            while let Some(next) = take(rest, field.depth + 1) {
                elements.push(element(shown, next, rest));
            }
            Json::Array(elements)
        }
        Seen::Value(value) => plain(shown, value),
    }
}

fn take<'f, 'a>(fields: &mut &'f [Field<'a>], depth: usize) -> Option<&'f Field<'a>> {
    let (first, rest) = fields.split_first().filter(|(first, _)| first.depth == depth)?;
    *fields = rest;
    Some(first)
}

fn plain(shown: &Shown, value: &Value) -> Json {
    let limit = shown.words.style.limit;
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => json!(value),
        Value::Int(value) => json!(value),
        Value::Float(value) => json!(value),
        Value::Uuid(id) => json!(id.to_string()),
        Value::String(string) => json!(words::cut(string, limit)),
        Value::Bytes(bytes) => json!({"bytes": bytes.len(), "start": words::plain(bytes, limit)}),
        Value::Records(records) => {
            let batches: Vec<Json> =
                words::parts(records).iter().map(|part| batch(part, limit)).collect();
            json!({"bytes": records.len(), "batches": batches})
        }
        Value::Tags(count) | Value::Tag(count) => json!(count),
    }
}

/// A batch with its records, or what stands there instead.
fn batch(part: &Part, limit: usize) -> Json {
    let batch = match part {
        Part::Batch(batch) => batch,
        Part::CutOff(bytes) => return json!({"bytes": bytes, "flaw": "cut off"}),
        Part::NoBatch(bytes, code) => {
            return json!({"bytes": bytes, "flaw": format!("no record batch ({code})")});
        }
    };
    let text = |bytes: &Bytes| words::plain(bytes, limit);
    let record = |record: Record| {
        let headers = record
            .headers
            .iter()
            .map(|(name, value)| json!([text(name), value.as_ref().map(text)]));
        json!({
            "offset": batch.base_offset + record.offset_delta,
            "timestamp": record.timestamp,
            "key": record.key.as_ref().map(text),
            "value": record.value.as_ref().map(text),
            "headers": headers.collect::<Vec<_>>(),
        })
    };
    json!({
        "bytes": batch.bytes.len(),
        "base_offset": batch.base_offset,
        "last_offset_delta": batch.last_offset_delta,
        "compression": words::codec(batch),
        "is_intact": batch.is_intact(),
        "producer_id": batch.producer_id,
        "producer_epoch": batch.producer_epoch,
        "base_sequence": batch.base_sequence,
        "record_count": batch.record_count,
        "records": records::read(batch).map(record).collect::<Vec<_>>(),
    })
}

/// Every field with its place in the frame and what it is for.
fn places(shown: &Shown, message: &Message) -> Json {
    let place = |field: &Field| {
        let (name, about) = match field.label {
            Label::Name(name) => (name.to_owned(), about::field(message.name, name)),
            Label::Index(index) => (format!("[{index}]"), None),
            Label::Tag(tag) => (format!("tag {tag}"), None),
        };
        let hex: String = message.frame[field.at.clone()]
            .iter()
            .take(shown.words.style.limit / 2)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        json!({"depth": field.depth, "name": name, "start": field.at.start, "end": field.at.end, "hex": hex, "about": about})
    };
    message.header.iter().chain(&message.body).map(place).collect()
}
