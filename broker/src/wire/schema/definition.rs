//! The words that the table is written in.

/// One of Kafka's APIs. Request and response have the same versions.
#[derive(Debug)]
pub(crate) struct ApiSchema {
    pub(crate) key: i16,
    pub(crate) request: Message,
    pub(crate) response: Message,
}

/// A request, a response, or another message that has versions of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message {
    pub(crate) name: &'static str,
    pub(crate) first: i16,
    pub(crate) last: i16,
    /// The first version with compact lengths and tagged fields (KIP-482).
    flexible_since: i16,
    pub(super) fields: &'static [Field],
}

impl Message {
    pub(crate) fn has(&self, version: i16) -> bool {
        self.first <= version && version <= self.last
    }

    /// Calls `see` with the name of every field of any version.
    #[cfg(test)]
    pub(crate) fn each_field(&self, see: &mut impl FnMut(&'static str)) {
        fn each(fields: &'static [Field], see: &mut impl FnMut(&'static str)) {
            for field in fields {
                see(field.name);
                if let Kind::Struct(inner) | Kind::Structs(inner) = field.kind {
                    each(inner, see);
                }
            }
        }
        each(self.fields, see);
    }

    pub(crate) fn is_flexible(&self, version: i16) -> bool {
        version >= self.flexible_since
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    since: i16,
    until: i16,
    nullable_since: i16,
    /// A tagged field stands at the end of its struct, behind this number, and may be left out.
    pub(super) tag: Option<u32>,
}

impl Field {
    pub(super) fn exists_in(&self, version: i16) -> bool {
        self.since <= version && version <= self.until
    }

    pub(super) fn is_nullable_in(&self, version: i16) -> bool {
        version >= self.nullable_since
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Bool,
    Int8,
    Int16,
    Uint16,
    Int32,
    Int64,
    Float64,
    Uuid,
    String,
    /// A string that keeps its two-byte length in flexible versions: the client id, which a broker must be able to
    /// read in the header of an ApiVersions request from the future.
    ClassicString,
    Bytes,
    /// Bytes that hold record batches.
    Records,
    Array(&'static Kind),
    Struct(&'static [Field]),
    /// An array of structs.
    Structs(&'static [Field]),
}

impl Kind {
    /// How many bytes the shortest value takes.
    pub(super) fn least(self, version: i16, flexible: bool) -> usize {
        match self {
            Kind::Bool | Kind::Int8 => 1,
            Kind::Int16 | Kind::Uint16 | Kind::ClassicString => 2,
            Kind::Int32 => 4,
            Kind::Int64 | Kind::Float64 => 8,
            Kind::Uuid => 16,
            Kind::String if !flexible => 2,
            Kind::Bytes | Kind::Records | Kind::Array(_) | Kind::Structs(_) if !flexible => 4,
            Kind::String | Kind::Bytes | Kind::Records | Kind::Array(_) | Kind::Structs(_) => 1,
            Kind::Struct(fields) => {
                let mut least = usize::from(flexible);
                for field in fields.iter().filter(|f| f.tag.is_none() && f.exists_in(version)) {
                    least += match field.kind {
                        Kind::Struct(_) if field.is_nullable_in(version) => 1,
                        kind => kind.least(version, flexible),
                    };
                }
                least
            }
        }
    }
}

const NEVER: i16 = i16::MAX;

pub(super) const fn api(key: i16, request: Message, response: Message) -> ApiSchema {
    ApiSchema { key, request, response }
}

pub(super) const fn message(name: &'static str, first: i16, last: i16) -> Message {
    Message { name, first, last, flexible_since: NEVER, fields: &[] }
}

impl Message {
    pub(super) const fn flexible_since(self, version: i16) -> Message {
        Message { flexible_since: version, ..self }
    }

    pub(super) const fn fields(self, fields: &'static [Field]) -> Message {
        Message { fields, ..self }
    }
}

pub(super) const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, since: 0, until: i16::MAX, nullable_since: NEVER, tag: None }
}

pub(super) const fn struct_(name: &'static str) -> Field {
    field(name, Kind::Struct(&[]))
}

pub(super) const fn structs(name: &'static str) -> Field {
    field(name, Kind::Structs(&[]))
}

impl Field {
    pub(super) const fn since(self, version: i16) -> Field {
        Field { since: version, ..self }
    }

    pub(super) const fn until(self, version: i16) -> Field {
        Field { until: version, ..self }
    }

    pub(super) const fn nullable(self) -> Field {
        self.nullable_since(0)
    }

    pub(super) const fn nullable_since(self, version: i16) -> Field {
        Field { nullable_since: version, ..self }
    }

    pub(super) const fn tag(self, tag: u32) -> Field {
        Field { tag: Some(tag), ..self }
    }

    /// The fields of a struct, or of each struct in an array.
    pub(super) const fn of(self, fields: &'static [Field]) -> Field {
        let kind = match self.kind {
            Kind::Structs(_) => Kind::Structs(fields),
            _ => Kind::Struct(fields),
        };
        Field { kind, ..self }
    }
}
