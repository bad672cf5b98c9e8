//! Bytes with names: what writes a request and what reads an answer, a field at a time.
//!
//! Kafka's protocol has few kinds of fields. Numbers are big-endian and of fixed size. Other fields begin with their
//! length, in one of two styles:
//!
//! | | classic | flexible (KIP-482) |
//! |---|---|---|
//! | string | `i16` length, −1 for null | unsigned varint: length + 1, 0 for null |
//! | bytes, array | `i32` length, −1 for null | unsigned varint: length + 1, 0 for null |
//! | end of a structure | nothing | tagged fields: an unsigned varint with their number, mostly 0 |
//!
//! A version of an API uses only one of the styles. Records also have *signed* varints.

use anyhow::{bail, ensure};
use std::fmt::Display;
use std::ops::Range;

/// A frame as it is sent, and what its bytes mean.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    /// `Metadata version 9`.
    pub title: String,
    pub bytes: Vec<u8>,
    pub fields: Vec<Field>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The bytes; empty for a heading.
    pub range: Range<usize>,
    pub name: String,
    pub value: String,
    /// What it is for; empty when the name says it.
    pub meaning: &'static str,
    /// How deep inside arrays.
    pub depth: usize,
    /// Left out unless everything is asked for.
    pub minor: bool,
}

impl Frame {
    /// The bytes of the first field of this name.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        let field = self.fields.iter().find(|field| field.name == name)?;
        Some(&self.bytes[field.range.clone()])
    }
}

/// An unsigned varint: seven bits a byte, the lowest first; a byte's highest bit says that another follows.
pub fn uvarint(mut n: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while n >= 0x80 {
        bytes.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    bytes.push(n as u8);
    bytes
}

/// Zigzag: 0, −1, 1, −2 … become 0, 1, 2, 3 …, so that small numbers are short whatever their sign.
pub fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)).cast_unsigned()
}

/// And back.
pub fn unzigzag(n: u64) -> i64 {
    (n >> 1).cast_signed() ^ -(n & 1).cast_signed()
}

// --------------------------------------------------------------------------------------------------------- writing

/// Writes fields one behind the other.
#[derive(Debug, Default)]
pub struct Encoder(Frame);

impl Encoder {
    /// The beginning of a request: room for its length, then header version 1.
    pub fn request(
        title: &str,
        api_key: i16,
        version: i16,
        correlation_id: i32,
        client: &str,
    ) -> Self {
        let mut to = Self(Frame { title: title.to_owned(), ..Frame::default() });
        to.i32("length", 0, "of everything after it");
        to.i16("api_key", api_key, "which API is called");
        to.i16("api_version", version, "in which layout");
        to.i32("correlation_id", correlation_id, "the answer repeats it");
        to.string("client_id", client, "for the broker's logs and quotas");
        to
    }

    /// A request of a flexible version: header version 2 is version 1 with tagged fields.
    pub fn flexible(
        title: &str,
        api_key: i16,
        version: i16,
        correlation_id: i32,
        client: &str,
    ) -> Self {
        let mut to = Self::request(title, api_key, version, correlation_id, client);
        to.no_tags();
        to
    }

    /// The request with its length.
    pub fn finish(mut self) -> Frame {
        let length = self.0.bytes.len() - 4;
        self.0.bytes[..4].copy_from_slice(&count(length).to_be_bytes());
        self.0.fields[0].value = length.to_string();
        self.0
    }

    /// Something that is no request, and has no length in front.
    pub fn part(title: &str) -> Self {
        Self(Frame { title: title.to_owned(), ..Frame::default() })
    }

    /// Such a part as it is.
    pub fn done(self) -> Frame {
        self.0
    }

    pub fn len(&self) -> usize {
        self.0.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.bytes.is_empty()
    }

    pub fn i8(&mut self, name: &str, value: i8, meaning: &'static str) {
        self.raw(name, &value.to_be_bytes(), value, meaning);
    }

    pub fn i16(&mut self, name: &str, value: i16, meaning: &'static str) {
        self.raw(name, &value.to_be_bytes(), value, meaning);
    }

    pub fn i32(&mut self, name: &str, value: i32, meaning: &'static str) {
        self.raw(name, &value.to_be_bytes(), value, meaning);
    }

    pub fn u32(&mut self, name: &str, value: u32, meaning: &'static str) {
        self.raw(name, &value.to_be_bytes(), format!("{value:#010x}"), meaning);
    }

    pub fn i64(&mut self, name: &str, value: i64, meaning: &'static str) {
        self.raw(name, &value.to_be_bytes(), value, meaning);
    }

    pub fn string(&mut self, name: &str, value: &str, meaning: &'static str) {
        let length = i16::try_from(value.len()).expect("this lab's names are short");
        let bytes = [&length.to_be_bytes(), value.as_bytes()].concat();
        self.raw(name, &bytes, format!("{value:?}"), meaning);
    }

    /// An `i32` length, then what `part` holds, field by field.
    pub fn bytes(&mut self, name: &str, part: &Frame, meaning: &'static str) {
        self.i32(name, count(part.bytes.len()), meaning);
        self.append(part);
    }

    /// What `part` holds, field by field.
    pub fn append(&mut self, part: &Frame) {
        let base = self.len();
        self.0.bytes.extend(&part.bytes);
        self.0.fields.extend(part.fields.iter().cloned().map(|mut field| {
            field.range = field.range.start + base..field.range.end + base;
            field.depth += 1;
            field
        }));
    }

    /// The same, but as one field: its parts were shown before.
    pub fn whole(&mut self, name: &str, bytes: &[u8], meaning: &'static str) {
        self.i32(name, count(bytes.len()), "bytes follow");
        self.raw("", bytes, "", meaning);
    }

    pub fn no_tags(&mut self) {
        self.raw("tagged_fields", &[0], 0, "none; every flexible structure ends with them");
    }

    /// Bytes that the caller has made.
    pub fn raw(&mut self, name: &str, bytes: &[u8], value: impl Display, meaning: &'static str) {
        let start = self.len();
        self.0.bytes.extend(bytes);
        self.0.fields.push(Field {
            range: start..self.len(),
            name: name.to_owned(),
            value: value.to_string(),
            meaning,
            depth: 0,
            minor: false,
        });
    }
}

/// Lengths and counts are `i32` on the wire.
pub fn count(n: usize) -> i32 {
    i32::try_from(n).expect("nothing in this lab has 2 GiB")
}

// --------------------------------------------------------------------------------------------------------- reading

/// Reads fields one behind the other, and notes what it read. Bytes from a peer may be anything: whatever they say,
/// it is an error and not a panic.
#[derive(Debug)]
pub struct Decoder {
    frame: Frame,
    at: usize,
    depth: usize,
}

impl Decoder {
    pub fn new(title: &str, bytes: Vec<u8>) -> Self {
        let frame = Frame { title: title.to_owned(), bytes, fields: Vec::new() };
        Self { frame, at: 0, depth: 0 }
    }

    /// What was read so far.
    pub fn into_frame(self) -> Frame {
        self.frame
    }

    pub fn at(&self) -> usize {
        self.at
    }

    /// The bytes from `before` up to here.
    pub fn between(&self, before: usize) -> Vec<u8> {
        self.frame.bytes[before..self.at].to_vec()
    }

    pub fn i8(&mut self, name: &str, meaning: &'static str) -> anyhow::Result<i8> {
        let value = i8::from_be_bytes(self.fixed(name)?);
        self.note(1, name, value, meaning);
        Ok(value)
    }

    pub fn i16(&mut self, name: &str, meaning: &'static str) -> anyhow::Result<i16> {
        let value = i16::from_be_bytes(self.fixed(name)?);
        self.note(2, name, value, meaning);
        Ok(value)
    }

    pub fn i32(&mut self, name: &str, meaning: &'static str) -> anyhow::Result<i32> {
        let value = i32::from_be_bytes(self.fixed(name)?);
        self.note(4, name, value, meaning);
        Ok(value)
    }

    pub fn u32(&mut self, name: &str, meaning: &'static str) -> anyhow::Result<u32> {
        let value = u32::from_be_bytes(self.fixed(name)?);
        self.note(4, name, format!("{value:#010x}"), meaning);
        Ok(value)
    }

    pub fn i64(&mut self, name: &str, meaning: &'static str) -> anyhow::Result<i64> {
        let value = i64::from_be_bytes(self.fixed(name)?);
        self.note(8, name, value, meaning);
        Ok(value)
    }

    /// A Kafka error code, 0 for none.
    pub fn error(&mut self) -> anyhow::Result<i16> {
        let code = i16::from_be_bytes(self.fixed("error_code")?);
        self.note(2, "error_code", crate::errors::named(code), "");
        Ok(code)
    }

    /// A string in the classic style; null reads as an empty one.
    pub fn string(&mut self, name: &str, meaning: &'static str) -> anyhow::Result<String> {
        let length = i16::from_be_bytes(self.fixed(name)?);
        self.text(name, 2, i64::from(length), meaning)
    }

    /// A string in the flexible style; null reads as an empty one.
    pub fn compact_string(&mut self, name: &str, meaning: &'static str) -> anyhow::Result<String> {
        let (length, taken) = self.peek_uvarint(name)?;
        self.text(name, taken, length.cast_signed() - 1, meaning)
    }

    /// Bytes with an `i32` length before them, as one field.
    pub fn bytes(&mut self, name: &str, meaning: &'static str) -> anyhow::Result<Vec<u8>> {
        let length = self.i32(name, meaning)?;
        self.take("", usize::try_from(length).unwrap_or(0), "")
    }

    /// So many bytes, as one field.
    pub fn take(&mut self, name: &str, n: usize, meaning: &'static str) -> anyhow::Result<Vec<u8>> {
        let bytes = self.peek(name, n)?.to_vec();
        if n > 0 {
            self.note(n, name, "", meaning);
        }
        Ok(bytes)
    }

    /// How many elements an array in the classic style has.
    pub fn array(&mut self, name: &str, meaning: &'static str) -> anyhow::Result<usize> {
        let n = self.i32(name, meaning)?;
        self.plausible(name, i64::from(n))
    }

    /// How many elements an array in the flexible style has.
    pub fn compact_array(&mut self, name: &str, meaning: &'static str) -> anyhow::Result<usize> {
        let (n, taken) = self.peek_uvarint(name)?;
        let n = self.plausible(name, n.cast_signed() - 1)?;
        self.note(taken, name, n, meaning);
        Ok(n)
    }

    /// An array of `i32`, as one field.
    pub fn numbers(&mut self, name: &str, compact: bool) -> anyhow::Result<Vec<i32>> {
        let before = self.frame.fields.len();
        let n = if compact { self.compact_array(name, "") } else { self.array(name, "") }?;
        let mut numbers = Vec::new();
        for _ in 0..n {
            numbers.push(self.i32("", "")?);
        }
        self.merge(before, name, format!("{numbers:?}"), "", false);
        Ok(numbers)
    }

    /// A signed varint, zigzag inside.
    pub fn varint(&mut self, name: &str, meaning: &'static str) -> anyhow::Result<i64> {
        let (value, taken) = self.peek_uvarint(name)?;
        let value = unzigzag(value);
        self.note(taken, name, value, meaning);
        Ok(value)
    }

    /// Tagged fields: `uvarint` how many; each a tag, a size, and bytes.
    pub fn tags(&mut self) -> anyhow::Result<()> {
        let before = self.frame.fields.len();
        let (n, taken) = self.peek_uvarint("tagged_fields")?;
        self.note(taken, "tagged_fields", n, "");
        for _ in 0..n {
            let (_, taken) = self.peek_uvarint("tag")?;
            self.note(taken, "tag", "", "");
            let (size, taken) = self.peek_uvarint("size")?;
            self.note(taken, "size", "", "");
            self.take("tagged_field", usize::try_from(size)?, "")?;
        }
        self.merge(before, "tagged_fields", n, "", false);
        Ok(())
    }

    /// A heading; what is read until [`leave`](Self::leave) belongs to it.
    pub fn enter(&mut self, name: impl Display) {
        self.note(0, &name.to_string(), "", "");
        self.depth += 1;
    }

    pub fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Shows all fields from number `before` on as one.
    pub fn merge(
        &mut self,
        before: usize,
        name: &str,
        value: impl Display,
        meaning: &'static str,
        minor: bool,
    ) {
        let Some(first) = self.frame.fields.get(before) else { return };
        let (start, depth) = (first.range.start, first.depth);
        self.frame.fields.truncate(before);
        self.frame.fields.push(Field {
            range: start..self.at,
            name: name.to_owned(),
            value: value.to_string(),
            meaning,
            depth,
            minor,
        });
    }

    /// The number of fields so far, for [`merge`](Self::merge).
    pub fn fields(&self) -> usize {
        self.frame.fields.len()
    }

    /// Nothing may be left.
    pub fn end(&self) -> anyhow::Result<()> {
        let left = self.frame.bytes.len() - self.at;
        ensure!(
            left == 0,
            "{}: everything is read at byte {:#x}, but {left} more bytes are there. The layout is not the one that was expected.",
            self.frame.title,
            self.at
        );
        Ok(())
    }

    fn text(
        &mut self,
        name: &str,
        taken: usize,
        length: i64,
        meaning: &'static str,
    ) -> anyhow::Result<String> {
        if length < 0 {
            self.note(taken, name, "null", meaning);
            return Ok(String::new());
        }
        let all = self.peek(name, taken.saturating_add(usize::try_from(length)?))?;
        let text = shared::report::text(&all[taken..]);
        let whole = all.len();
        self.note(whole, name, format!("{text:?}"), meaning);
        Ok(text)
    }

    /// More elements than bytes are a lie.
    fn plausible(&self, name: &str, n: i64) -> anyhow::Result<usize> {
        let left = self.frame.bytes.len() - self.at;
        match usize::try_from(n.max(0)) {
            Ok(n) if n <= left => Ok(n),
            _ => bail!(
                "{}: {name} would be {n} elements at byte {:#x}, and {left} bytes are left.",
                self.frame.title,
                self.at
            ),
        }
    }

    fn fixed<const N: usize>(&self, name: &str) -> anyhow::Result<[u8; N]> {
        Ok(self.peek(name, N)?.try_into().expect("peek returns as many as asked for"))
    }

    fn peek(&self, name: &str, n: usize) -> anyhow::Result<&[u8]> {
        let end = self.at.saturating_add(n);
        let Some(bytes) = self.frame.bytes.get(self.at..end) else {
            bail!(
                "{}: {name} at byte {:#x} would take {n} bytes, and {} are left.",
                self.frame.title,
                self.at,
                self.frame.bytes.len() - self.at
            );
        };
        Ok(bytes)
    }

    fn peek_uvarint(&self, name: &str) -> anyhow::Result<(u64, usize)> {
        let mut value = 0;
        for n in 0..10 {
            let byte = self.peek(name, n + 1)?[n];
            value |= u64::from(byte & 0x7f) << (7 * n);
            if byte & 0x80 == 0 {
                return Ok((value, n + 1));
            }
        }
        bail!("{}: {name} at byte {:#x} is a varint that never ends.", self.frame.title, self.at)
    }

    fn note(&mut self, n: usize, name: &str, value: impl Display, meaning: &'static str) {
        self.frame.fields.push(Field {
            range: self.at..self.at + n,
            name: name.to_owned(),
            value: value.to_string(),
            meaning,
            depth: self.depth,
            minor: false,
        });
        self.at += n;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn varints_as_the_record_format_writes_them() {
        for (n, bytes) in [
            (0, &[0x00][..]),
            (-1, &[0x01]),
            (1, &[0x02]),
            (63, &[0x7e]),
            (64, &[0x80, 0x01]),
            (250, &[0xf4, 0x03]),
        ] {
            assert_eq!(uvarint(zigzag(n)), bytes, "{n}");
        }
    }

    proptest! {
        #[test]
        fn a_varint_reads_as_it_was_written(n: i64) {
            let mut from = Decoder::new("a varint", uvarint(zigzag(n)));
            prop_assert_eq!(from.varint("n", "").unwrap(), n);
            from.end().unwrap();
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes: Vec<u8>, steps in prop::collection::vec(0..9, 0..20)) {
            let mut from = Decoder::new("anything", bytes);
            for step in steps {
                let read = match step {
                    0 => from.i64("", "").map(drop),
                    1 => from.string("", "").map(drop),
                    2 => from.compact_string("", "").map(drop),
                    3 => from.bytes("", "").map(drop),
                    4 => from.numbers("", true).map(drop),
                    5 => from.numbers("", false).map(drop),
                    6 => from.varint("", "").map(drop),
                    7 => from.tags(),
                    _ => from.i8("", "").map(drop),
                };
                if read.is_err() {
                    break;
                }
            }
        }
    }
}
