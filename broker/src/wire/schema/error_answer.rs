//! An error code as the answer to any request, in any version of any API.
//!
//! The table tells where error codes stand in a response. Where they stand in an array, there is one element for each of
//! the request's, with its name or index: `topics` of the request are `topics` of the answer, and so on down. All else
//! is what Kafka's definitions have as the default.

use std::ops::Range;

use bytes::{BufMut, BytesMut};
use uuid::Uuid;

use super::api;
use super::definition::{Field, Kind, Message};
use super::malformed::{Flaw, Malformed};
use super::walk::{Group, Label, Value, Visitor, walk_start};

/// Writes the response's body.
///
/// # Errors
///
/// A request that cannot be read.
pub(crate) fn write_error(
    out: &mut BytesMut,
    api_key: i16,
    version: i16,
    request: &[u8],
    code: i16,
) -> Result<(), Malformed> {
    let Some(api) = api(api_key) else { return Err(Flaw::UnknownApi(api_key).at(0)) };
    let request = read(&api.request, version, request)?;
    let flexible = api.response.is_flexible(version);
    Writing { out, version, flexible, code, depth: 0 }.fields(api.response.fields, Some(&request));
    Ok(())
}

/// The value of a number at the top of a request; `None` if there is no such field.
pub(crate) fn number_in(api_key: i16, version: i16, request: &[u8], name: &str) -> Option<i64> {
    let request = read(&api(api_key)?.request, version, request).ok()?;
    match request.field(name)? {
        Part::Value(Value::Int(value)) => Some(*value),
        _ => None,
    }
}

/// A part of a request.
#[derive(Debug)]
enum Part<'a> {
    Value(Value<'a>),
    Struct(Vec<(&'static str, Part<'a>)>),
    Array(Vec<Part<'a>>),
}

impl<'a> Part<'a> {
    fn field(&self, name: &str) -> Option<&Part<'a>> {
        let Part::Struct(fields) = self else { return None };
        fields.iter().find(|(own, _)| *own == name).map(|(_, part)| part)
    }

    /// The elements of the first array.
    fn elements(&self) -> &[Part<'a>] {
        let Part::Struct(fields) = self else { return &[] };
        let arrays = fields.iter().filter_map(|(_, part)| match part {
            Part::Array(elements) => Some(elements),
            _ => None,
        });
        arrays.into_iter().next().map_or(&[], Vec::as_slice)
    }

    /// What the field of a response repeats of this element of a request. Elements that are values are names or indexes.
    fn repeated(&self, name: &str) -> Option<Value<'a>> {
        const SAME: [&[&str]; 2] = [
            &["name", "topic", "topic_name", "group_id", "key"],
            &["partition_index", "partition", "index"],
        ];
        let names = SAME.into_iter().find(|names| names.contains(&name));
        match self {
            Part::Value(value @ Value::String(_)) if names == Some(SAME[0]) => Some(*value),
            Part::Value(value @ Value::Int(_)) if names == Some(SAME[1]) => Some(*value),
            _ => {
                let same = names.into_iter().flatten().find_map(|same| self.field(same));
                match self.field(name).or(same)? {
                    Part::Value(value) => Some(*value),
                    _ => None,
                }
            }
        }
    }
}

fn read<'a>(message: &Message, version: i16, bytes: &'a [u8]) -> Result<Part<'a>, Malformed> {
    let mut reading = Reading { open: vec![("", Part::Struct(Vec::new()))] };
    walk_start(message, version, bytes, &mut reading)?;
    Ok(reading.open.pop().expect("the message itself is never closed").1)
}

/// Makes parts of what a walk reports.
struct Reading<'a> {
    open: Vec<(&'static str, Part<'a>)>,
}

impl<'a> Reading<'a> {
    fn add(&mut self, name: &'static str, part: Part<'a>) {
        match self.open.last_mut() {
            Some((_, Part::Struct(fields))) => fields.push((name, part)),
            Some((_, Part::Array(elements))) => elements.push(part),
            _ => {}
        }
    }
}

impl<'a> Visitor<'a> for Reading<'a> {
    fn value(&mut self, label: Label, _at: Range<usize>, value: Value<'a>) {
        self.add(name(label), Part::Value(value));
    }

    fn open(&mut self, label: Label, _at: Range<usize>, group: Group) {
        let part = match group {
            Group::Struct => Part::Struct(Vec::new()),
            Group::Array(_) => Part::Array(Vec::new()),
        };
        self.open.push((name(label), part));
    }

    fn close(&mut self) {
        if let Some((name, part)) = self.open.pop() {
            self.add(name, part);
        }
    }
}

fn name(label: Label) -> &'static str {
    match label {
        Label::Name(name) => name,
        Label::Index(_) | Label::Tag(_) => "",
    }
}

struct Writing<'o> {
    out: &'o mut BytesMut,
    version: i16,
    flexible: bool,
    code: i16,
    /// How many arrays this is in. Only their elements repeat something of the request.
    depth: usize,
}

impl Writing<'_> {
    /// The fields of a struct that answers `of`. Tagged fields are left out, which means their defaults.
    fn fields(&mut self, fields: &[Field], of: Option<&Part<'_>>) {
        let version = self.version;
        for field in fields.iter().filter(|f| f.tag.is_none() && f.exists_in(version)) {
            self.field(field, of);
        }
        if self.flexible {
            self.out.put_u8(0);
        }
    }

    fn field(&mut self, field: &Field, of: Option<&Part<'_>>) {
        if field.name == "error_code" {
            return self.out.put_i16(self.code);
        }
        let is_nullable = field.is_nullable_in(self.version);
        match field.kind {
            Kind::Structs(inner) if self.tells_errors(inner) => {
                let elements = of.map_or(&[][..], Part::elements);
                self.length(4, Some(elements.len()));
                self.depth += 1;
                for element in elements {
                    self.fields(inner, Some(element));
                }
                self.depth -= 1;
            }
            Kind::Struct(_) if is_nullable => self.out.put_i8(-1),
            Kind::Struct(inner) => self.fields(inner, of),
            kind => match of.filter(|_| self.depth > 0).and_then(|of| of.repeated(field.name)) {
                Some(value) => self.value(kind, value),
                None if is_nullable && !matches!(kind, Kind::Records) => {
                    self.value(kind, Value::Null);
                }
                None => self.value(kind, default(field.name)),
            },
        }
    }

    fn tells_errors(&self, fields: &[Field]) -> bool {
        fields.iter().filter(|field| field.exists_in(self.version)).any(|field| {
            field.name == "error_code"
                || matches!(field.kind, Kind::Structs(inner) if self.tells_errors(inner))
        })
    }

    /// Writes a value, or what is empty or 0 if it is of another kind.
    fn value(&mut self, kind: Kind, value: Value<'_>) {
        let int = if let Value::Int(int) = value { int } else { 0 };
        match kind {
            Kind::Bool => self.out.put_u8(0),
            // The values come from fields of the same kind, or are small.
            Kind::Int8 => self.out.put_i8(i8::try_from(int).unwrap_or(0)),
            Kind::Int16 => self.out.put_i16(i16::try_from(int).unwrap_or(0)),
            Kind::Uint16 => self.out.put_u16(u16::try_from(int).unwrap_or(0)),
            Kind::Int32 => self.out.put_i32(i32::try_from(int).unwrap_or(0)),
            Kind::Int64 => self.out.put_i64(int),
            Kind::Float64 => self.out.put_f64(0.0),
            Kind::Uuid => {
                let id = if let Value::Uuid(id) = value { id } else { Uuid::nil() };
                self.out.put_slice(id.as_bytes());
            }
            Kind::String | Kind::ClassicString => {
                let text = match value {
                    Value::Null => None,
                    Value::String(text) => Some(text),
                    _ => Some(""),
                };
                self.length(2, text.map(str::len));
                self.out.put_slice(text.unwrap_or_default().as_bytes());
            }
            Kind::Bytes | Kind::Records | Kind::Array(_) | Kind::Structs(_) => {
                self.length(4, (!matches!(value, Value::Null)).then_some(0));
            }
            Kind::Struct(inner) => self.fields(inner, None),
        }
    }

    /// A length of that many bytes in classic versions; `None` is null.
    fn length(&mut self, width: usize, length: Option<usize>) {
        if !self.flexible {
            let length = length.map_or(-1, |length| i32::try_from(length).unwrap_or(i32::MAX));
            return self.out.put_slice(&length.to_be_bytes()[4 - width..]);
        }
        let mut left = length.map_or(0, |length| length + 1);
        while left >= 0x80 {
            self.out.put_u8(u8::try_from(left & 0x7f).expect("seven bits") | 0x80);
            left >>= 7;
        }
        self.out.put_u8(u8::try_from(left).expect("less than 0x80"));
    }
}

/// What Kafka says where there is nothing to say.
fn default(name: &str) -> Value<'static> {
    const UNKNOWN: [&str; 21] = [
        "base_offset",
        "committed_leader_epoch",
        "committed_offset",
        "controller_id",
        "end_offset",
        "generation_id",
        "high_watermark",
        "last_stable_offset",
        "leader_epoch",
        "leader_id",
        "log_append_time_ms",
        "log_start_offset",
        "low_watermark",
        "node_id",
        "num_partitions",
        "offset",
        "port",
        "preferred_read_replica",
        "producer_epoch",
        "producer_id",
        "timestamp",
    ];
    match name {
        "cluster_authorized_operations"
        | "topic_authorized_operations"
        | "authorized_operations" => Value::Int(i32::MIN.into()),
        _ if UNKNOWN.contains(&name) => Value::Int(-1),
        _ => Value::Int(0),
    }
}
