use std::ops::Range;

use uuid::Uuid;

use super::definition::{Field, Kind, Message};
use super::malformed::{Flaw, Malformed};

/// Sees each part of a message in the order of its bytes. The ranges count from the message's first byte; together
/// they cover every byte, and none twice.
pub(crate) trait Visitor<'a> {
    /// A field or an element that holds no others; its range includes the length in front of it.
    fn value(&mut self, _label: Label, _at: Range<usize>, _value: Value<'a>) {}

    /// A struct or an array begins; `at` is its count, or the byte that says that it is not null, or empty.
    fn open(&mut self, _label: Label, _at: Range<usize>, _group: Group) {}

    /// The group that was opened last ends.
    fn close(&mut self) {}
}

/// Looks at nothing: walking with it is the guard.
impl Visitor<'_> for () {}

/// What a value is called where it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Label {
    /// A field, in the words of Kafka's protocol guide.
    Name(&'static str),
    /// An element of an array, from 0.
    Index(usize),
    /// A tagged field: what introduces it, or all of it if its meaning is unknown.
    Tag(u32),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Uuid(Uuid),
    String(&'a str),
    Bytes(&'a [u8]),
    Records(&'a [u8]),
    /// How many tagged fields follow; their name is `tagged_fields`.
    Tags(usize),
    /// The size of the tagged field that follows.
    Tag(usize),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Group {
    Struct,
    Array(usize),
}

/// Reads `bytes` as one whole message of that version.
#[cfg(test)]
pub(crate) fn walk<'a>(
    message: &Message,
    version: i16,
    bytes: &'a [u8],
    visitor: &mut impl Visitor<'a>,
) -> Result<(), Malformed> {
    let end = walk_start(message, version, bytes, visitor)?;
    if end < bytes.len() {
        return Err(Flaw::LeftOver(bytes.len() - end).at(end).of(message.name, version));
    }
    Ok(())
}

/// Reads a message from the start of `bytes` and tells where it ends.
pub(crate) fn walk_start<'a>(
    message: &Message,
    version: i16,
    bytes: &'a [u8],
    visitor: &mut impl Visitor<'a>,
) -> Result<usize, Malformed> {
    walk_at_most(message, version, bytes, MOST_ELEMENTS, visitor)
}

/// The same with a bound of its own for the elements of all arrays.
pub(super) fn walk_at_most<'a>(
    message: &Message,
    version: i16,
    bytes: &'a [u8],
    most_elements: usize,
    visitor: &mut impl Visitor<'a>,
) -> Result<usize, Malformed> {
    if !message.has(version) {
        let flaw = Flaw::UnknownVersion { first: message.first, last: message.last };
        return Err(flaw.at(0).of(message.name, version));
    }
    let flexible = message.is_flexible(version);
    let mut walk = Walk {
        bytes,
        at: 0,
        version,
        flexible,
        elements_left: most_elements,
        most_elements,
        visitor,
    };
    walk.fields(message.fields).map_err(|malformed| malformed.of(message.name, version))?;
    Ok(walk.at)
}

/// A walk under way. Its calls nest as deep as the table does, whatever the bytes are.
struct Walk<'a, 'v, V> {
    /// Ends early while a tagged field is read, which must stay within its size.
    bytes: &'a [u8],
    at: usize,
    version: i16,
    flexible: bool,
    elements_left: usize,
    most_elements: usize,
    visitor: &'v mut V,
}

impl<'a, V: Visitor<'a>> Walk<'a, '_, V> {
    fn fields(&mut self, fields: &[Field]) -> Result<(), Malformed> {
        for field in fields {
            if field.tag.is_none() && field.exists_in(self.version) {
                self.field(field)?;
            }
        }
        if self.flexible {
            self.tagged_fields(fields)?;
        }
        Ok(())
    }

    fn field(&mut self, field: &Field) -> Result<(), Malformed> {
        let label = Label::Name(field.name);
        let nullable = field.is_nullable_in(self.version);
        self.value(label, field.kind, nullable).map_err(|malformed| malformed.inside(label))
    }

    fn value(&mut self, label: Label, kind: Kind, nullable: bool) -> Result<(), Malformed> {
        let start = self.at;
        let value = match kind {
            Kind::Bool => Value::Bool(self.array()? != [0]),
            Kind::Int8 => Value::Int(i8::from_be_bytes(self.array()?).into()),
            Kind::Int16 => Value::Int(i16::from_be_bytes(self.array()?).into()),
            Kind::Uint16 => Value::Int(u16::from_be_bytes(self.array()?).into()),
            Kind::Int32 => Value::Int(i32::from_be_bytes(self.array()?).into()),
            Kind::Int64 => Value::Int(i64::from_be_bytes(self.array()?)),
            Kind::Float64 => Value::Float(f64::from_be_bytes(self.array()?)),
            Kind::Uuid => Value::Uuid(Uuid::from_bytes(self.array()?)),
            Kind::String => self.string(self.flexible)?.map_or(Value::Null, Value::String),
            Kind::ClassicString => self.string(false)?.map_or(Value::Null, Value::String),
            Kind::Bytes => self.blob()?.map_or(Value::Null, Value::Bytes),
            Kind::Records => self.blob()?.map_or(Value::Null, Value::Records),
            Kind::Array(element) => match self.count(*element)? {
                Some(count) => return self.elements(label, start, count, *element),
                None => Value::Null,
            },
            Kind::Structs(fields) => match self.count(Kind::Struct(fields))? {
                Some(count) => return self.elements(label, start, count, Kind::Struct(fields)),
                None => Value::Null,
            },
            Kind::Struct(_) if nullable && !self.is_present()? => Value::Null,
            Kind::Struct(fields) => {
                self.visitor.open(label, start..self.at, Group::Struct);
                self.fields(fields)?;
                self.visitor.close();
                return Ok(());
            }
        };
        if matches!(value, Value::Null) && !nullable {
            return Err(Flaw::Null.at(start));
        }
        self.visitor.value(label, start..self.at, value);
        Ok(())
    }

    fn elements(
        &mut self,
        label: Label,
        start: usize,
        count: usize,
        element: Kind,
    ) -> Result<(), Malformed> {
        self.visitor.open(label, start..self.at, Group::Array(count));
        for index in 0..count {
            let label = Label::Index(index);
            self.value(label, element, false).map_err(|malformed| malformed.inside(label))?;
        }
        self.visitor.close();
        Ok(())
    }

    fn tagged_fields(&mut self, fields: &[Field]) -> Result<(), Malformed> {
        let label = Label::Name("tagged_fields");
        let start = self.at;
        let count = self.tagged_field_count().map_err(|malformed| malformed.inside(label))?;
        self.visitor.value(label, start..self.at, Value::Tags(count));
        // As in Kafka, tags may come in any order and again: the last one counts.
        for _ in 0..count {
            let start = self.at;
            let tag = self.varint().map_err(|malformed| malformed.inside(label))?;
            let label = Label::Tag(tag);
            let size = self.tagged_field_size().map_err(|malformed| malformed.inside(label))?;
            self.visitor.value(label, start..self.at, Value::Tag(size));
            match fields.iter().find(|field| field.tag == Some(tag)) {
                Some(field) if field.exists_in(self.version) => self.tagged_field(field, size)?,
                Some(_) => return Err(Flaw::Tag(tag).at(start)),
                None => {
                    let start = self.at;
                    let bytes = self.take(size)?;
                    self.visitor.value(label, start..self.at, Value::Bytes(bytes));
                }
            }
        }
        Ok(())
    }

    fn tagged_field_count(&mut self) -> Result<usize, Malformed> {
        let start = self.at;
        let count = self.varint_length()?;
        // Each takes a byte for its tag and one for its size.
        self.check_count(start, count, 2)?;
        Ok(count)
    }

    fn tagged_field_size(&mut self) -> Result<usize, Malformed> {
        let size = self.varint_length()?;
        let remaining = self.remaining();
        if size > remaining {
            return Err(Flaw::Truncated { needed: size, remaining }.at(self.at));
        }
        Ok(size)
    }

    /// The codec skips the size, so a field that took more or less than it would make the two disagree.
    fn tagged_field(&mut self, field: &Field, size: usize) -> Result<(), Malformed> {
        let whole = self.bytes;
        self.bytes = &whole[..self.at + size];
        self.field(field)?;
        if self.remaining() > 0 {
            let flaw = Flaw::TagSize(self.remaining());
            return Err(flaw.at(self.at).inside(Label::Name(field.name)));
        }
        self.bytes = whole;
        Ok(())
    }

    /// Reads the byte in front of a nullable struct. The codec takes whatever is not 1 for null.
    fn is_present(&mut self) -> Result<bool, Malformed> {
        let start = self.at;
        match i8::from_be_bytes(self.array()?) {
            1 => Ok(true),
            -1 => Ok(false),
            other => Err(Flaw::Presence(other).at(start)),
        }
    }

    fn count(&mut self, element: Kind) -> Result<Option<usize>, Malformed> {
        let start = self.at;
        let Some(count) = self.length()? else { return Ok(None) };
        self.check_count(start, count, element.least(self.version, self.flexible))?;
        Ok(Some(count))
    }

    /// The codec reserves memory for a count before it reads the first element.
    fn check_count(&mut self, start: usize, count: usize, least: usize) -> Result<(), Malformed> {
        let remaining = self.remaining();
        let least = count.saturating_mul(least.max(1));
        if least > remaining {
            return Err(Flaw::Count { count, least, remaining }.at(start));
        }
        let Some(left) = self.elements_left.checked_sub(count) else {
            return Err(Flaw::TooMany(self.most_elements).at(start));
        };
        self.elements_left = left;
        Ok(())
    }

    fn string(&mut self, compact: bool) -> Result<Option<&'a str>, Malformed> {
        let start = self.at;
        let length = if compact {
            self.compact_length()?
        } else {
            let length = i16::from_be_bytes(self.array()?);
            classic_length(length.into(), start)?
        };
        let Some(length) = length else { return Ok(None) };
        if length > LONGEST_STRING {
            return Err(Flaw::LongString(length).at(start));
        }
        let start = self.at;
        match str::from_utf8(self.take(length)?) {
            Ok(string) => Ok(Some(string)),
            Err(error) => Err(Flaw::NotUtf8.at(start + error.valid_up_to())),
        }
    }

    fn blob(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        let Some(length) = self.length()? else { return Ok(None) };
        self.take(length).map(Some)
    }

    /// The length of bytes or an array.
    fn length(&mut self) -> Result<Option<usize>, Malformed> {
        if self.flexible {
            return self.compact_length();
        }
        let start = self.at;
        classic_length(i32::from_be_bytes(self.array()?), start)
    }

    /// Compact lengths are one more than they say, and 0 is null.
    fn compact_length(&mut self) -> Result<Option<usize>, Malformed> {
        Ok(self.varint_length()?.checked_sub(1))
    }

    fn varint_length(&mut self) -> Result<usize, Malformed> {
        // Where it does not fit, no bytes do either.
        Ok(usize::try_from(self.varint()?).unwrap_or(usize::MAX))
    }

    fn varint(&mut self) -> Result<u32, Malformed> {
        let start = self.at;
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            if shift == 28 && byte > 0x0f {
                break;
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Flaw::LongVarint.at(start))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        match self.bytes[self.at..].first_chunk() {
            Some(bytes) => {
                self.at += N;
                Ok(*bytes)
            }
            None => Err(self.truncated(N)),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        match self.bytes[self.at..].get(..length) {
            Some(bytes) => {
                self.at += length;
                Ok(bytes)
            }
            None => Err(self.truncated(length)),
        }
    }

    fn truncated(&self, needed: usize) -> Malformed {
        Flaw::Truncated { needed, remaining: self.remaining() }.at(self.at)
    }

    fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }
}

/// The most elements of all arrays of a message, and of its tagged fields. An element can take two bytes in a frame and a
/// hundred in memory, so a frame within `socket.request.max.bytes` could otherwise become gigabytes.
pub(super) const MOST_ELEMENTS: usize = 1_000_000;

/// Kafka's limit, also where a compact length could say more.
const LONGEST_STRING: usize = i16::MAX as usize;

fn classic_length(length: i32, at: usize) -> Result<Option<usize>, Malformed> {
    match length {
        -1 => Ok(None),
        _ => usize::try_from(length).map(Some).map_err(|_| Flaw::NegativeLength(length).at(at)),
    }
}
