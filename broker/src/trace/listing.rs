//! A message as the list of its fields, in the order of its bytes.

use std::ops::Range;

use crate::wire::schema::{self, Group, Message, Visitor};
pub(super) use crate::wire::schema::{Label, Value};

/// One field, one element of an array, or the beginning of either.
#[derive(Clone, Debug)]
pub(super) struct Field<'a> {
    pub(super) depth: usize,
    pub(super) label: Label,
    /// Its bytes in the frame; for a group only those of its length.
    pub(super) at: Range<usize>,
    pub(super) value: Seen<'a>,
}

/// What stands there.
#[derive(Clone, Debug)]
pub(super) enum Seen<'a> {
    Value(Value<'a>),
    /// A struct; its fields follow, one level deeper.
    Struct,
    /// An array with this many elements, which follow one level deeper.
    Array(usize),
}

impl<'a> Field<'a> {
    pub(super) fn is(&self, name: &str) -> bool {
        matches!(self.label, Label::Name(own) if own == name)
    }

    pub(super) fn string(&self) -> Option<&'a str> {
        match self.value {
            Seen::Value(Value::String(string)) => Some(string),
            _ => None,
        }
    }
}

/// Collects the fields of a message.
#[derive(Debug)]
pub(super) struct Listing<'a> {
    fields: Vec<Field<'a>>,
    depth: usize,
    /// Where the message begins in its frame.
    from: usize,
}

impl<'a> Listing<'a> {
    /// The fields of the message that begins at `from`, as far as they make sense, and what is wrong then, or where it
    /// ends.
    pub(super) fn of(
        message: &Message,
        version: i16,
        frame: &'a [u8],
        from: usize,
    ) -> (Vec<Field<'a>>, Result<usize, String>) {
        let bytes = frame.get(from..).unwrap_or_default();
        let mut listing = Self { fields: Vec::new(), depth: 0, from };
        let end = schema::walk_start(message, version, bytes, &mut listing);
        let end =
            end.map(|end| from + end).map_err(|malformed| malformed.counted_from(from).to_string());
        (listing.fields, end)
    }

    fn push(&mut self, label: Label, at: Range<usize>, value: Seen<'a>) {
        let at = at.start + self.from..at.end + self.from;
        self.fields.push(Field { depth: self.depth, label, at, value });
    }

    /// Consumers put messages of their own into JoinGroup and SyncGroup: a version, and what it says they are.
    fn embedded(&mut self, label: Label, at: &Range<usize>, bytes: &'a [u8]) -> Option<()> {
        let Label::Name(name) = label else { return None };
        let message = match name {
            "metadata" | "member_metadata" => &schema::CONSUMER_PROTOCOL_SUBSCRIPTION,
            "assignment" | "member_assignment" => &schema::CONSUMER_PROTOCOL_ASSIGNMENT,
            _ => return None,
        };
        let (version, body) = bytes.split_first_chunk()?;
        let version = i16::from_be_bytes(*version);
        let mut inner = Self {
            fields: Vec::new(),
            depth: self.depth + 1,
            from: self.from + at.end - body.len(),
        };
        // Newer versions only add fields at the end, so an unknown one is read as the newest known.
        schema::walk_start(message, version.min(message.last), body, &mut inner).ok()?;
        self.push(label, at.clone(), Seen::Struct);
        self.fields.append(&mut inner.fields);
        Some(())
    }
}

impl<'a> Visitor<'a> for Listing<'a> {
    fn value(&mut self, label: Label, at: Range<usize>, value: Value<'a>) {
        if let Value::Bytes(bytes) = value
            && self.embedded(label, &at, bytes).is_some()
        {
            return;
        }
        self.push(label, at, Seen::Value(value));
    }

    fn open(&mut self, label: Label, at: Range<usize>, group: Group) {
        let value = match group {
            Group::Struct => Seen::Struct,
            Group::Array(count) => Seen::Array(count),
        };
        self.push(label, at, value);
        self.depth += 1;
    }

    fn close(&mut self) {
        self.depth -= 1;
    }
}
