//! The event, as `labs/schemas/proto/user_event.proto` describes it, and its two encodings.

use prost::Message as _;
use serde::Serializer;
use std::fmt;

mod generated {
    // The schema names no package, so prost calls its file `_`.
    include!(concat!(env!("OUT_DIR"), "/_.rs"));
}

/// The types of the next version of the schema, `next/user_event.proto`.
pub mod next {
    include!(concat!(env!("OUT_DIR"), "/next/_.rs"));
}

pub use generated::{EventType, UserEvent, UserEventData};
pub use prost::DecodeError;

/// What a record's value is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    Json,
    Protobuf,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "JSON",
            Self::Protobuf => "protobuf",
        })
    }
}

impl Format {
    pub fn encode(self, event: &UserEvent) -> Vec<u8> {
        match self {
            Self::Protobuf => event.encode_to_vec(),
            Self::Json => serde_json::to_vec(event).expect("strings and numbers have a JSON form"),
        }
    }
}

/// The event as a program with the next schema sends it: it belongs to a tenant. `deletes` makes it an event of the new
/// type. Also returns the name of its type.
pub fn from_next_writer(event: &UserEvent, deletes: bool) -> (&'static str, Vec<u8>) {
    // `..`: the exercise adds fields to the schema.
    let UserEvent { event_id, timestamp, user_id, event_type, data, .. } = event.clone();
    let data = data.map(|UserEventData { email, username, metadata, .. }| next::UserEventData {
        email,
        username,
        metadata,
    });
    let event_type = if deletes { next::EventType::UserDeleted.into() } else { event_type };
    let tenant = "acme".to_owned();
    let event = next::UserEvent { event_id, timestamp, user_id, event_type, data, tenant };
    (event.event_type().as_str_name(), event.encode_to_vec())
}

/// Reads a record's value. Other bytes are usually an error. Sometimes they give an event full of nonsense, because
/// nothing in a record says what it is.
pub fn decode(value: &[u8]) -> Result<UserEvent, DecodeError> {
    UserEvent::decode(value)
}

/// The type's name in the schema. A newer schema may have more types: this program shows them as a number.
pub fn name_of(event_type: i32) -> String {
    match EventType::try_from(event_type) {
        Ok(known) => known.as_str_name().to_owned(),
        Err(_unknown) => format!("EventType({event_type})"),
    }
}

/// For JSON, in place of the number.
fn type_name<S: Serializer>(event_type: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&name_of(*event_type))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn event() -> UserEvent {
        UserEvent {
            event_id: "e1".to_owned(),
            timestamp: 1_700_000_000_000,
            user_id: "u1".to_owned(),
            event_type: EventType::UserLogin.into(),
            data: Some(UserEventData {
                email: None,
                username: Some("anna".to_owned()),
                metadata: BTreeMap::from([("ip".to_owned(), "::1".to_owned())]),
            }),
        }
    }

    #[test]
    fn the_schemas_numbers_are_in_the_bytes() {
        let bytes = Format::Protobuf.encode(&event());
        // Field 1, a string of 2 bytes; field 2, a varint; field 3; field 4; field 5, a message with 2 and 3 in it.
        assert_eq!(bytes[..4], [0x0a, 2, b'e', b'1']);
        assert_eq!(bytes[4], 0x10);
        assert_eq!(bytes[11..17], [0x1a, 2, b'u', b'1', 0x20, 2]);
        assert_eq!(bytes[17..21], [0x2a, 17, 0x12, 4]);
        assert_eq!(decode(&bytes).unwrap(), event());
    }

    #[test]
    fn json_carries_every_name() {
        let text = String::from_utf8(Format::Json.encode(&event())).unwrap();
        assert_eq!(
            text,
            r#"{"event_id":"e1","timestamp":1700000000000,"user_id":"u1","event_type":"USER_LOGIN","data":{"username":"anna","metadata":{"ip":"::1"}}}"#
        );
    }

    #[test]
    fn an_old_reader_reads_what_a_newer_program_writes() {
        let (name, bytes) = from_next_writer(&event(), true);
        assert_eq!(name, "USER_DELETED");
        let read = decode(&bytes).unwrap();
        assert_eq!(read, UserEvent { event_type: 4, ..event() });
        assert_eq!(name_of(read.event_type), "EventType(4)");
        // It does not know the tenant, so it loses it if it writes the event again.
        assert_eq!(next::UserEvent::decode(&bytes[..]).unwrap().tenant, "acme");
        let again = Format::Protobuf.encode(&read);
        assert_eq!(next::UserEvent::decode(&again[..]).unwrap().tenant, "");
    }

    #[test]
    fn a_new_reader_reads_what_an_old_program_writes() {
        let read = next::UserEvent::decode(&Format::Protobuf.encode(&event())[..]).unwrap();
        assert_eq!((read.user_id.as_str(), read.tenant.as_str()), ("u1", ""));
    }

    /// The README of the schemas makes the same two changes, and its tool calls them compatible.
    #[test]
    fn the_next_schema_is_the_shared_one_with_two_additions() {
        let next = include_str!("../../schemas/proto/user_event.proto")
            .replace("data = 5;", "data = 5;\n  string tenant = 6;")
            .replace("USER_LOGOUT = 3;", "USER_LOGOUT = 3;\n  USER_DELETED = 4;");
        assert_eq!(include_str!("../next/user_event.proto"), next);
        let readme = include_str!("../../schemas/README.md");
        assert!(readme.contains("s/data = 5;/data = 5; string tenant = 6;/; s/USER_LOGOUT = 3;/USER_LOGOUT = 3; USER_DELETED = 4;/"));
    }

    #[test]
    fn other_bytes_are_refused() {
        assert!(decode(b"{\"event_id\":1}").is_err());
        assert!(decode(&[0x0a, 200]).is_err());
    }
}
