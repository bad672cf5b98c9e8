//! An exchange as one JSON object on one line.

use std::net::SocketAddr;

use serde::{Serialize, Serializer};
use serde_json::Value as Scalar;

use super::{
    Message, Shown,
    listing::{Field, Label, Seen, Value},
    places::{self, Place},
    records::{self, Blob, Budget, Part, Record},
    words::{self, Words},
};

/// The request and its answer.
pub(super) fn exchange(shown: &Shown) -> String {
    let Shown { request, answer, .. } = shown;
    let software = shown.software.map(|(name, version)| format!("{name} {version}"));
    let micros = u64::try_from(shown.took.as_micros()).unwrap_or(u64::MAX);
    let mut line = Object::new()
        .with("connection", shown.connection)
        .with("remote", shown.remote.to_string())
        .with("client_id", request.string("client_id"))
        .with("software", software)
        .with("api", request.api)
        .with("version", request.version)
        .with("correlation_id", request.int("correlation_id"))
        .with("request_bytes", request.frame.len())
        .with("request", body(shown, request))
        .with("answer_bytes", answer.map(|answer| answer.frame.len()))
        .with("answer", answer.map_or(Json::NULL, |answer| body(shown, answer)))
        .with("ended", shown.ended)
        .with("micros", micros);
    if shown.words.style.bytes {
        line = line
            .with("request_fields", places(shown, request))
            .with("answer_fields", answer.map_or(Json::NULL, |answer| places(shown, answer)));
    }
    line.line()
}

/// Bytes that are no request of an API that is served.
pub(super) fn unreadable(
    connection: u64,
    remote: SocketAddr,
    bytes: usize,
    reason: &str,
) -> String {
    Object::new()
        .with("connection", connection)
        .with("remote", remote.to_string())
        .with("api", Json::NULL)
        .with("request_bytes", bytes)
        .with("ended", reason)
        .line()
}

/// The message as nested objects and arrays.
fn body(shown: &Shown, message: &Message) -> Json {
    let words = shown.words;
    let mut body = Body { words, budget: Budget::new(words.style.limit) };
    let mut object = body.structure(&mut message.body.as_slice(), 0);
    if let Some(flaw) = &message.flaw {
        object = object.with("flaw", flaw.as_str());
    }
    object.into()
}

/// What the parts of one message have in common.
struct Body<'a> {
    words: Words<'a>,
    budget: Budget,
}

impl Body<'_> {
    /// Takes the fields of one struct off the front: those at `depth`, with all that is deeper.
    fn structure(&mut self, fields: &mut &[Field], depth: usize) -> Object {
        let mut object = Object::new();
        while let Some(field) = take(fields, depth) {
            let value = self.element(field, fields);
            match field.label {
                Label::Name("tagged_fields") => {}
                Label::Name(name) => {
                    object = object.with(name, value);
                    if let Some(meaning) = self.words.meaning(field) {
                        object = object.with(format!("{name}_name"), meaning);
                    }
                }
                // A tag whose meaning is known is followed by its field; bytes are one that is not.
                Label::Tag(tag) if matches!(field.value, Seen::Value(Value::Bytes(_))) => {
                    object = object.with(format!("tag_{tag}"), value);
                }
                Label::Tag(_) | Label::Index(_) => {}
            }
        }
        object
    }

    fn element(&mut self, field: &Field, rest: &mut &[Field]) -> Json {
        match &field.value {
            Seen::Struct => self.structure(rest, field.depth + 1).into(),
            Seen::Array(_) => {
                let mut elements = Vec::new();
                while let Some(next) = take(rest, field.depth + 1) {
                    elements.push(self.element(next, rest));
                }
                Json::Array(elements)
            }
            Seen::Value(value) => self.plain(value),
        }
    }

    fn plain(&mut self, value: &Value) -> Json {
        let limit = self.words.style.limit;
        match value {
            Value::Null => Json::NULL,
            Value::Bool(value) => (*value).into(),
            Value::Int(value) => (*value).into(),
            Value::Float(value) => (*value).into(),
            Value::Uuid(id) => id.to_string().into(),
            Value::String(string) => words::cut(string, limit).into(),
            Value::Bytes(bytes) => Object::new()
                .with("bytes", bytes.len())
                .with("start", words::plain(bytes, limit))
                .into(),
            Value::Records(records) => {
                let parts = records::parts(records);
                let batches = parts.iter().map(|part| self.batch(part)).collect();
                Object::new()
                    .with("bytes", records.len())
                    .with("batches", Json::Array(batches))
                    .into()
            }
            Value::Tags(count) | Value::Tag(count) => (*count).into(),
        }
    }

    /// A batch with its records, or what stands there instead.
    fn batch(&mut self, part: &Part) -> Json {
        let flawed = |bytes: usize, flaw: String| {
            Object::new().with("bytes", bytes).with("flaw", flaw).into()
        };
        let batch = match part {
            Part::Batch(batch) => batch,
            Part::CutOff(bytes) => return flawed(*bytes, "cut off".to_owned()),
            Part::NoBatch(bytes, code) => {
                return flawed(*bytes, format!("no record batch ({code})"));
            }
        };
        let (records, rest) = records::read(batch, &mut self.budget);
        let records = records.iter().map(|record| self.record(record)).collect();
        let mut object = Object::new()
            .with("bytes", batch.bytes.len())
            .with("base_offset", batch.base_offset)
            .with("last_offset_delta", batch.last_offset_delta)
            .with("compression", words::codec(batch))
            .with("is_intact", batch.is_intact())
            .with("producer_id", batch.producer_id)
            .with("producer_epoch", batch.producer_epoch)
            .with("base_sequence", batch.base_sequence)
            .with("record_count", batch.record_count)
            .with("records", Json::Array(records));
        if let Some(rest) = rest {
            object = object.with("rest", rest.to_string());
        }
        object.into()
    }

    fn record(&self, record: &Record) -> Json {
        let text = |blob: &Blob| words::plain(&blob.start, self.words.style.limit);
        let header = |(name, value): &(Blob, Option<Blob>)| {
            Json::Array(vec![text(name).into(), value.as_ref().map(text).into()])
        };
        Object::new()
            .with("offset", record.offset)
            .with("timestamp", record.timestamp)
            .with("key", record.key.as_ref().map(text))
            .with("value", record.value.as_ref().map(text))
            .with("headers", Json::Array(record.headers.iter().map(header).collect()))
            .into()
    }
}

fn take<'f, 'a>(fields: &mut &'f [Field<'a>], depth: usize) -> Option<&'f Field<'a>> {
    let (first, rest) = fields.split_first().filter(|(first, _)| first.depth == depth)?;
    *fields = rest;
    Some(first)
}

/// Every field with its place in the frame and what it is for.
fn places(shown: &Shown, message: &Message) -> Json {
    let place = |place: Place| {
        let at = place.at?;
        let hex: String = message.frame[at.clone()]
            .iter()
            .take(shown.words.style.limit / 2)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let object = Object::new()
            .with("depth", place.depth)
            .with("name", place.name)
            .with("start", at.start)
            .with("end", at.end)
            .with("hex", hex)
            .with("about", place.about);
        Some(object.into())
    };
    Json::Array(places::of(shown.words, message).into_iter().filter_map(place).collect())
}

/// JSON whose objects keep the order of their fields. serde_json's own map sorts them by name, unless a feature is on
/// that would change the JSON of the whole program around this library.
enum Json {
    Scalar(Scalar),
    Array(Vec<Json>),
    Object(Object),
}

#[derive(Default)]
struct Object(Vec<(String, Json)>);

impl Json {
    const NULL: Self = Self::Scalar(Scalar::Null);
}

impl<T: Into<Scalar>> From<T> for Json {
    fn from(scalar: T) -> Self {
        Self::Scalar(scalar.into())
    }
}

impl From<Object> for Json {
    fn from(object: Object) -> Self {
        Self::Object(object)
    }
}

impl Object {
    fn new() -> Self {
        Self::default()
    }

    fn with(mut self, name: impl Into<String>, value: impl Into<Json>) -> Self {
        self.0.push((name.into(), value.into()));
        self
    }

    fn line(self) -> String {
        let json = serde_json::to_string(&Json::Object(self));
        json.expect("names are strings and nothing is read") + "\n"
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Scalar(scalar) => scalar.serialize(serializer),
            Self::Array(elements) => serializer.collect_seq(elements),
            Self::Object(Object(fields)) => {
                serializer.collect_map(fields.iter().map(|(name, value)| (name, value)))
            }
        }
    }
}
