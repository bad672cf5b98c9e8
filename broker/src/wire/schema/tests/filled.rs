//! Messages written from the table.

use super::super::definition::{Field, Kind, Message};

/// Answers `choose(n)` with a number below n; 0 stands for absent, null or empty.
pub(crate) type Choices<'a> = dyn FnMut(usize) -> usize + 'a;

/// Everything is there, and no two neighbours are alike.
pub(super) fn richly() -> impl FnMut(usize) -> usize {
    let mut last = 0;
    move |n| {
        last = last % 127 + 1;
        if n == 256 { last } else { n - 1 }
    }
}

/// What the bytes say, and then no more.
pub(crate) fn sparingly(choices: &[u8]) -> impl FnMut(usize) -> usize {
    let mut choices = choices.iter();
    move |n| choices.next().map_or(0, |&choice| usize::from(choice) % n)
}

pub(crate) fn fill(message: &Message, version: i16, choose: &mut Choices<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let flexible = message.is_flexible(version);
    Filling { version, flexible, choose }.fields(&mut out, message.fields);
    out
}

struct Filling<'c, 'a> {
    version: i16,
    flexible: bool,
    choose: &'c mut Choices<'a>,
}

impl Filling<'_, '_> {
    fn fields(&mut self, out: &mut Vec<u8>, fields: &[Field]) {
        let version = self.version;
        for field in fields.iter().filter(|f| f.tag.is_none() && f.exists_in(version)) {
            self.field(out, field);
        }
        if !self.flexible {
            return;
        }
        let mut tagged = Vec::new();
        for field in fields.iter().filter(|f| f.tag.is_some() && f.exists_in(version)) {
            if (self.choose)(2) > 0 {
                let mut value = Vec::new();
                self.field(&mut value, field);
                tagged.push((field.tag.unwrap(), value));
            }
        }
        tagged.sort();
        if (self.choose)(4) > 2 {
            tagged.push((300, vec![1, 2, 3]));
        }
        varint(out, tagged.len());
        for (tag, value) in tagged {
            varint(out, usize::try_from(tag).unwrap());
            varint(out, value.len());
            out.extend(value);
        }
    }

    fn field(&mut self, out: &mut Vec<u8>, field: &Field) {
        let null = field.is_nullable_in(self.version) && (self.choose)(2) == 0;
        match field.kind {
            Kind::Struct(_) if null => out.push(0xff),
            Kind::Struct(_) if field.is_nullable_in(self.version) => {
                out.push(1);
                self.value(out, field.kind);
            }
            Kind::String | Kind::ClassicString if null => self.length(out, 2, None),
            _ if null => self.length(out, 4, None),
            kind => self.value(out, kind),
        }
    }

    fn value(&mut self, out: &mut Vec<u8>, kind: Kind) {
        match kind {
            Kind::Bool => out.push(u8::try_from((self.choose)(2)).unwrap()),
            Kind::Int8 => self.bytes(out, 1),
            Kind::Int16 | Kind::Uint16 => self.bytes(out, 2),
            Kind::Int32 => self.bytes(out, 4),
            Kind::Int64 | Kind::Float64 => self.bytes(out, 8),
            Kind::Uuid => self.bytes(out, 16),
            Kind::String | Kind::ClassicString => {
                let text = ["", "a", "orders", "größe", "日本語"][(self.choose)(5)];
                self.length(out, 2, Some(text.len()));
                out.extend(text.as_bytes());
            }
            Kind::Bytes | Kind::Records => {
                let length = (self.choose)(9);
                self.length(out, 4, Some(length));
                self.bytes(out, length);
            }
            Kind::Array(element) => self.elements(out, *element),
            Kind::Structs(fields) => self.elements(out, Kind::Struct(fields)),
            Kind::Struct(fields) => self.fields(out, fields),
        }
    }

    fn elements(&mut self, out: &mut Vec<u8>, element: Kind) {
        let count = (self.choose)(3);
        self.length(out, 4, Some(count));
        for _ in 0..count {
            self.value(out, element);
        }
    }

    fn length(&mut self, out: &mut Vec<u8>, width: usize, length: Option<usize>) {
        if self.flexible {
            return varint(out, length.map_or(0, |length| length + 1));
        }
        let length = length.map_or(-1, |length| i32::try_from(length).unwrap());
        out.extend(&length.to_be_bytes()[4 - width..]);
    }

    /// A number of that many bytes, or bytes: one of the ends of the range, or anything.
    fn bytes(&mut self, out: &mut Vec<u8>, count: usize) {
        let (first, rest) = match (self.choose)(5) {
            0 => (0, 0),
            1 => (0x80, 0),
            2 => (0x7f, 0xff),
            3 => (0xff, 0xff),
            _ => {
                let any = (0..count).map(|_| u8::try_from((self.choose)(256)).unwrap());
                return out.extend(any);
            }
        };
        out.extend((0..count).map(|at| if at == 0 { first } else { rest }));
    }
}

fn varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(0x80 | u8::try_from(value & 0x7f).unwrap());
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap());
}
