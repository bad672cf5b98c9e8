//! The exercise adds a field to the schema. Then the events must still compile, although nobody has set the new field.
//!
//! So `generate.rs` is compiled once more here, with the types of the next schema, which has one more field.

mod event {
    pub(crate) use lab3_zstd_protobuf::event::next::{EventType, UserEvent, UserEventData};
}

#[allow(dead_code, unreachable_pub, reason = "only the events are used here")]
#[path = "../src/generate.rs"]
mod generate;

#[test]
fn a_new_field_has_its_default_value() {
    let event = generate::events(1, 0).another();
    assert!(!event.user_id.is_empty());
    assert_eq!(event.tenant, "");
}
