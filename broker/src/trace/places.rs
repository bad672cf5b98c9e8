//! Where everything stands in a frame, to the last byte: also what batches and records consist of.

use std::ops::Range;

use super::{
    Message, about,
    listing::{Label, Seen, Value},
    records::{self, Budget, Part, Rest},
    words::{self, Words},
};
use crate::log::batch::{Batch, CRC_FROM, HEADER_LEN};

/// One field, or one line on what cannot be shown as fields.
pub(super) struct Place {
    pub(super) depth: usize,
    pub(super) name: String,
    /// Empty for what has no bytes of its own, and `None` for what is packed.
    pub(super) at: Option<Range<usize>>,
    /// What stands there, in words.
    pub(super) said: String,
    /// What it is for.
    pub(super) about: Option<&'static str>,
    /// Something does not fit here.
    pub(super) is_flaw: bool,
}

/// Every place of a message, in the order of its bytes.
pub(super) fn of(words: Words, message: &Message) -> Vec<Place> {
    let mut places = Vec::new();
    if message.from > 0 {
        let length = i32::try_from(message.frame.len() - message.from).unwrap_or(i32::MAX);
        let length = message.frame.first_chunk().map_or(length, |bytes| i32::from_be_bytes(*bytes));
        let about = Some("how many bytes follow");
        places.push(Place::new(0, "length", 0..message.from, length.to_string(), about));
    }
    let mut budget = Budget::new(words.style.limit);
    for field in message.header.iter().chain(&message.body) {
        let (name, about) = match field.label {
            Label::Name(name) => (name.to_owned(), about::field(message.name, name)),
            Label::Index(index) => (format!("[{index}]"), None),
            Label::Tag(tag) => (format!("tag {tag}"), None),
        };
        let said = match &field.value {
            Seen::Struct => String::new(),
            Seen::Array(0) => "[]".to_owned(),
            Seen::Array(count) => count.to_string(),
            Seen::Value(_) => words.value(field),
        };
        places.push(Place::new(field.depth, name, field.at.clone(), said, about));
        if let Seen::Value(Value::Records(bytes)) = field.value {
            let mut batches = Batches {
                places: &mut places,
                depth: field.depth + 1,
                limit: words.style.limit,
                budget: &mut budget,
            };
            batches.all(bytes, field.at.end - bytes.len(), message.is_answer);
        }
    }
    places
}

impl Place {
    fn new(
        depth: usize,
        name: impl Into<String>,
        at: Range<usize>,
        said: String,
        about: Option<&'static str>,
    ) -> Self {
        Self { depth, name: name.into(), at: Some(at), said, about, is_flaw: false }
    }
}

/// Adds the places of batches.
struct Batches<'a> {
    places: &'a mut Vec<Place>,
    depth: usize,
    limit: usize,
    budget: &'a mut Budget,
}

impl Batches<'_> {
    fn all(&mut self, bytes: &[u8], mut at: usize, is_answer: bool) {
        for part in records::parts(bytes) {
            match part {
                Part::Batch(batch) => {
                    self.batch(&batch, at);
                    at += batch.bytes.len();
                }
                Part::CutOff(len) => {
                    let said = format!("{len} bytes of a batch that is cut off");
                    // A Fetch answer that is full may end so.
                    self.remark(at..at + len, said, !is_answer);
                }
                Part::NoBatch(len, code) => {
                    self.remark(
                        at..at + len,
                        format!("{len} bytes that are no record batch ({code})"),
                        true,
                    );
                }
            }
        }
    }

    fn batch(&mut self, batch: &Batch, at: usize) {
        self.place(0, "batch", at..at, words::batch(batch));
        let bytes = &batch.bytes;
        let length = number(bytes, 8..12);
        let date = |time| super::dates::date(time).map_or(String::new(), |date| format!(" {date}"));
        let crc = match batch.is_intact() {
            true => format!("{} right", batch.crc),
            false => {
                let right = crc32c::crc32c(&bytes[CRC_FROM..]);
                format!("{} WRONG: the bytes from attributes on give {right}", batch.crc)
            }
        };
        let (base, max) = (batch.base_timestamp, batch.max_timestamp);
        for (name, range, said) in [
            ("base_offset", 0..8, batch.base_offset.to_string()),
            ("batch_length", 8..12, length.to_string()),
            ("partition_leader_epoch", 12..16, number(bytes, 12..16).to_string()),
            ("magic", 16..17, number(bytes, 16..17).to_string()),
            ("crc", 17..21, crc),
            ("attributes", 21..23, format!("{} {}", batch.attributes, words::attributes(batch))),
            ("last_offset_delta", 23..27, batch.last_offset_delta.to_string()),
            ("base_timestamp", 27..35, format!("{base}{}", date(base))),
            ("max_timestamp", 35..43, format!("{max}{}", date(max))),
            ("producer_id", 43..51, batch.producer_id.to_string()),
            ("producer_epoch", 51..53, batch.producer_epoch.to_string()),
            ("base_sequence", 53..57, batch.base_sequence.to_string()),
            ("record_count", 57..61, batch.record_count.to_string()),
        ] {
            self.place(1, name, at + range.start..at + range.end, said);
        }
        if !batch.is_intact() {
            self.places
                .iter_mut()
                .rev()
                .find(|place| place.name == "crc")
                .expect("just added")
                .is_flaw = true;
        }
        let records = batch.records();
        let from = at + HEADER_LEN;
        if batch.attributes & 0b111 == 0 {
            let mut cursor = Cursor { bytes: &records, at: 0, from };
            self.plain_records(&mut cursor, batch);
            return;
        }
        let codec = words::codec(batch);
        self.place(
            1,
            "records",
            from..from + records.len(),
            format!("{} bytes, {codec}", records.len()),
        );
        let (shown, rest) = records::read(batch, self.budget);
        for record in shown {
            self.packed(
                2,
                format!("{}: {}", record.offset, words::record(&record, self.limit)),
                false,
            );
        }
        if let Some(rest) = rest {
            self.packed(2, rest.to_string(), rest.is_flaw());
        }
    }

    fn plain_records(&mut self, cursor: &mut Cursor, batch: &Batch) {
        let count = batch.record_count.max(0);
        for number in 0..count {
            if !self.budget.take_record() {
                let more = Rest::More(i64::from(count - number));
                self.packed(1, more.to_string(), false);
                return;
            }
            let start = cursor.position();
            if self.plain_record(cursor, batch, number).is_none() {
                let broken = Rest::Broken(number.into()).to_string();
                self.remark_at(1, start..cursor.end(), broken, true);
                return;
            }
        }
        let start = cursor.position();
        if start < cursor.end() {
            let left = cursor.end() - start;
            self.remark_at(
                1,
                start..cursor.end(),
                format!("{left} bytes behind the last record"),
                true,
            );
        }
    }

    fn plain_record(&mut self, cursor: &mut Cursor, batch: &Batch, number: i32) -> Option<()> {
        let start = cursor.position();
        self.place(1, &format!("record {number}"), start..start, String::new());
        let (length, at) = cursor.varint()?;
        self.place(2, "length", at, length.to_string());
        let end = cursor.position().checked_add(usize::try_from(length).ok()?)?;
        (end <= cursor.end()).then_some(())?;
        let (attributes, at) = cursor.take(1)?;
        let said = attributes[0].to_string();
        self.places.push(Place::new(self.depth + 2, "attributes", at, said, Some("not in use")));
        let (delta, at) = cursor.varint()?;
        let time = batch.base_timestamp.checked_add(delta).and_then(super::dates::date);
        self.place(
            2,
            "timestamp_delta",
            at,
            format!("{delta}{}", time.map_or(String::new(), |time| format!(" {time}"))),
        );
        let (delta, at) = cursor.varint()?;
        let offset = batch.base_offset.saturating_add(delta);
        self.place(2, "offset_delta", at, format!("{delta} (offset {offset})"));
        for name in ["key", "value"] {
            let (bytes, at) = cursor.blob()?;
            self.place(2, name, at, words::blob(bytes, self.limit));
        }
        let (count, at) = cursor.varint()?;
        self.place(2, "headers", at, count.to_string());
        for _ in 0..count {
            let (name, at) = cursor.blob()?;
            self.place(3, "name", at, words::blob(Some(name?), self.limit));
            let (value, at) = cursor.blob()?;
            self.place(3, "value", at, words::blob(value, self.limit));
        }
        (cursor.position() == end).then_some(())
    }

    fn place(&mut self, depth: usize, name: &str, at: Range<usize>, said: String) {
        let about = about::field("RecordBatch", name);
        self.places.push(Place::new(self.depth + depth, name, at, said, about));
    }

    fn remark(&mut self, at: Range<usize>, said: String, is_flaw: bool) {
        self.remark_at(0, at, said, is_flaw);
    }

    fn remark_at(&mut self, depth: usize, at: Range<usize>, said: String, is_flaw: bool) {
        let place = Place::new(self.depth + depth, "", at, said, None);
        self.places.push(Place { is_flaw, ..place });
    }

    fn packed(&mut self, depth: usize, said: String, is_flaw: bool) {
        let place = Place::new(self.depth + depth, "", 0..0, said, None);
        self.places.push(Place { at: None, is_flaw, ..place });
    }
}

/// A number of at most eight bytes.
fn number(bytes: &[u8], range: Range<usize>) -> i64 {
    let sign = if bytes[range.start] & 0x80 == 0 { 0 } else { -1 };
    bytes[range].iter().fold(sign, |number, byte| number << 8 | i64::from(*byte))
}

/// Bytes that are read from the front, each with its place in the frame; `None` where they end too early.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the bytes begin in the frame.
    from: usize,
}

impl<'a> Cursor<'a> {
    fn position(&self) -> usize {
        self.from + self.at
    }

    fn end(&self) -> usize {
        self.from + self.bytes.len()
    }

    fn take(&mut self, len: usize) -> Option<(&'a [u8], Range<usize>)> {
        let start = self.position();
        let bytes = self.bytes.get(self.at..self.at.checked_add(len)?)?;
        self.at += len;
        Some((bytes, start..self.position()))
    }

    fn varint(&mut self) -> Option<(i64, Range<usize>)> {
        let start = self.position();
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.take(1)?.0[0];
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                let value = (value >> 1).cast_signed() ^ -(value & 1).cast_signed();
                return Some((value, start..self.position()));
            }
        }
        None
    }

    /// Null has a negative length.
    fn blob(&mut self) -> Option<(Option<&'a [u8]>, Range<usize>)> {
        let (len, at) = self.varint()?;
        let Ok(len) = usize::try_from(len) else { return Some((None, at)) };
        let (bytes, rest) = self.take(len)?;
        Some((Some(bytes), at.start..rest.end))
    }
}
