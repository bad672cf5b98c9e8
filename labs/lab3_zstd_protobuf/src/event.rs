//! The event, as `labs/schemas/proto/user_event.proto` describes it, and its two encodings.

use prost::Message as _;
use serde::Serializer;
use std::fmt;

mod generated {
    // The schema names no package, so prost calls its file `_`.
    include!(concat!(env!("OUT_DIR"), "/_.rs"));
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

/// Reads a record's value. Bytes of another kind are an error, or, if one is unlucky, an event full of nonsense:
/// nothing in them says what they are.
pub fn decode(value: &[u8]) -> Result<UserEvent, DecodeError> {
    UserEvent::decode(value)
}

/// The type's name in the schema. A newer schema may have more types than ours: then it is a number.
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
    fn a_type_from_a_newer_schema_is_a_number() {
        let bytes = Format::Protobuf.encode(&UserEvent { event_type: 9, ..event() });
        assert_eq!(name_of(decode(&bytes).unwrap().event_type), "EventType(9)");
    }

    #[test]
    fn other_bytes_are_refused() {
        assert!(decode(b"{\"event_id\":1}").is_err());
        assert!(decode(&[0x0a, 200]).is_err());
    }
}
