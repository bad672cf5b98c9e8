use std::fmt;

use thiserror::Error;

use super::Label;

/// Why bytes are not the message they claim to be: which field, at which byte, and what is wrong there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Malformed(Box<Details>);

#[derive(Debug, Clone, PartialEq)]
struct Details {
    /// Name and version; set last, by the walk's outermost step.
    message: Option<(&'static str, i16)>,
    /// From the innermost field outwards, as an error travels.
    path: Vec<Label>,
    at: usize,
    flaw: Flaw,
}

#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub(super) enum Flaw {
    #[error("API key {0} is not one that this broker knows")]
    UnknownApi(i16),
    #[error("there is no such version, only {first} to {last}")]
    UnknownVersion { first: i16, last: i16 },
    #[error("the bytes run out, {needed} needed and {remaining} left")]
    Truncated { needed: usize, remaining: usize },
    #[error("this would be more than {0} elements in one message")]
    TooMany(usize),
    #[error("{count} elements take at least {least} bytes, but {remaining} are left")]
    Count { count: usize, least: usize, remaining: usize },
    #[error("the length is negative ({0})")]
    NegativeLength(i32),
    #[error("a string of {0} bytes is longer than 32767")]
    LongString(usize),
    #[error("the string is not UTF-8")]
    NotUtf8,
    #[error("the varint does not end within 32 bits")]
    LongVarint,
    #[error("null is not allowed in this version")]
    Null,
    #[error("a nullable struct starts with 1, or with -1 for null, but not with {0}")]
    Presence(i8),
    #[error("this version does not have the tagged field {0}")]
    Tag(u32),
    #[error("the tagged field leaves {0} of its bytes unread")]
    TagSize(usize),
    #[cfg(test)]
    #[error("the message ends here, but not the bytes: {0} more")]
    LeftOver(usize),
}

impl Flaw {
    #[cold]
    pub(super) fn at(self, at: usize) -> Malformed {
        Malformed(Box::new(Details { message: None, path: Vec::new(), at, flaw: self }))
    }
}

impl Malformed {
    #[cold]
    pub(super) fn inside(mut self, label: Label) -> Malformed {
        self.0.path.push(label);
        self
    }

    #[cold]
    pub(super) fn of(mut self, message: &'static str, version: i16) -> Malformed {
        self.0.message = Some((message, version));
        self
    }

    /// The same for a message that begins at byte `start` of its frame: positions then count from the frame.
    #[cold]
    pub(crate) fn counted_from(mut self, start: usize) -> Malformed {
        self.0.at += start;
        self
    }
}

impl Malformed {
    /// Did the look end at the most elements that it was to see?
    pub(crate) fn is_too_many(&self) -> bool {
        matches!(self.0.flaw, Flaw::TooMany(_))
    }

    #[cfg(test)]
    pub(super) fn flaw(&self) -> Flaw {
        self.0.flaw
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Details { message, path, at, flaw } = &*self.0;
        let Some((message, version)) = message else { return write!(f, "{flaw}") };
        write!(f, "{message} version {version}: ")?;
        if matches!(flaw, Flaw::UnknownVersion { .. }) {
            return write!(f, "{flaw}");
        }
        for (depth, label) in path.iter().rev().enumerate() {
            match label {
                Label::Name(name) if depth > 0 => write!(f, ".{name}")?,
                Label::Name(name) => write!(f, "{name}")?,
                Label::Index(index) => write!(f, "[{index}]")?,
                Label::Tag(tag) if depth > 0 => write!(f, ".tag {tag}")?,
                Label::Tag(tag) => write!(f, "tag {tag}")?,
            }
        }
        if !path.is_empty() {
            write!(f, " ")?;
        }
        write!(f, "at byte {at}: {flaw}")
    }
}

impl std::error::Error for Malformed {}
