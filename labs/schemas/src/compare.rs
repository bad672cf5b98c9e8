//! What a change of the schema means for programs that know the old one.
//!
//! A record carries numbers, not names: for each field its number, its kind and its bytes. So a reader with another
//! version of the schema can read it, as long as no number changes its meaning. These rules follow:
//!
//! * A field or an enum value may be added. Old readers skip the field, and see the value as a number.
//! * A field or an enum value may be deleted, if its number stays `reserved`. Otherwise somebody may use the number again, and
//!   old readers would read the new field as the old one.
//! * A number keeps its type and whether it repeats. (Protobuf allows some changes, such as `int32` to `int64`. This tool
//!   allows none.)
//! * A name may change, because it is not in the bytes. It is in JSON and in code, so the tool reports the change.
//!
//! The full name of a message is part of its identity, so a new `package` line makes new messages.
//! Services and options are not compared, because records have neither.

use protox::prost_reflect::{
    Cardinality, DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor,
    OneofDescriptor,
};
use std::collections::BTreeSet;
use std::fmt;

/// One difference between two versions of a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub verdict: Verdict,
    /// `UserEvent.user_id`.
    pub place: String,
    /// The rest of the sentence.
    pub what: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Some readers misread records, or lose parts of them.
    Breaking,
    /// Old and new understand each other.
    Compatible,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.place, self.what)
    }
}

/// All differences, in the order of the old schema, then what is new.
pub fn compare(old: &DescriptorPool, new: &DescriptorPool) -> Vec<Change> {
    let mut changes = Changes::default();
    for message in old.all_messages() {
        match new.get_message_by_name(message.full_name()) {
            Some(now) => changes.message(&message, &now),
            // The entry type of a map goes with its field.
            None if message.is_map_entry() => {}
            None => changes.breaking(message.full_name(), "is gone: nobody can read its records"),
        }
    }
    for before in old.all_enums() {
        match new.get_enum_by_name(before.full_name()) {
            Some(now) => changes.values(&before, &now),
            None => changes.breaking(before.full_name(), "is gone: its numbers mean nothing now"),
        }
    }
    let told = |message: &MessageDescriptor| {
        // google/protobuf/timestamp.proto and its like are nobody's news.
        !message.is_map_entry() && message.parent_file().package_name() != "google.protobuf"
    };
    for message in new.all_messages().filter(told) {
        if old.get_message_by_name(message.full_name()).is_none() {
            changes.compatible(message.full_name(), "is new");
        }
    }
    for now in new.all_enums() {
        if old.get_enum_by_name(now.full_name()).is_none() {
            changes.compatible(now.full_name(), "is new");
        }
    }
    changes.0
}

#[derive(Default)]
struct Changes(Vec<Change>);

impl Changes {
    fn breaking(&mut self, place: &str, what: impl Into<String>) {
        self.0.push(Change {
            verdict: Verdict::Breaking,
            place: place.to_owned(),
            what: what.into(),
        });
    }

    fn compatible(&mut self, place: &str, what: impl Into<String>) {
        self.0.push(Change {
            verdict: Verdict::Compatible,
            place: place.to_owned(),
            what: what.into(),
        });
    }

    fn message(&mut self, old: &MessageDescriptor, new: &MessageDescriptor) {
        for field in old.fields() {
            let (number, name) = (field.number(), field.name());
            let place = format!("{}.{name}", old.full_name());
            let moved = new.get_field_by_name(name).filter(|now| now.number() != number);
            if let Some(moved) = moved {
                let to = moved.number();
                self.breaking(
                    &place,
                    format!(
                        "moved from number {number} to {to}: old records keep it under {number}"
                    ),
                );
            } else if let Some(now) = new.get_field(number) {
                self.field(&place, &field, &now);
            } else if new.reserved_ranges().any(|range| range.contains(&number)) {
                self.compatible(&place, format!("is gone, its number {number} is reserved"));
            } else {
                self.breaking(&place, not_reserved(number));
            }
        }
        for range in old.reserved_ranges() {
            if let Some(freed) = first_freed(range, &new.reserved_ranges().collect::<Vec<_>>()) {
                let what =
                    format!("no longer reserves number {freed}: old records may still use it");
                self.breaking(old.full_name(), what);
            }
        }
        for field in new.fields().filter(|field| old.get_field(field.number()).is_none()) {
            if old.get_field_by_name(field.name()).is_some() {
                continue; // It moved, and that was told.
            }
            if field.cardinality() == Cardinality::Required {
                self.breaking(field.full_name(), "is new and required: old records have none");
            } else {
                self.compatible(
                    field.full_name(),
                    format!("is new, with number {}", field.number()),
                );
            }
        }
    }

    /// Two fields with the same number.
    fn field(&mut self, place: &str, old: &FieldDescriptor, new: &FieldDescriptor) {
        let number = old.number();
        if shape(old) != shape(new) {
            let what = format!(
                "was {} and number {number} is now {}: old records would be misread",
                shape(old),
                shape(new)
            );
            return self.breaking(place, what);
        }
        if choice(old) != choice(new) {
            return self
                .breaking(place, "joined or left a oneof: setting one field clears the others");
        }
        if (old.cardinality() == Cardinality::Required)
            != (new.cardinality() == Cardinality::Required)
        {
            return self.breaking(place, "became required, or is no longer");
        }
        if old.name() != new.name() {
            let what = format!(
                "is called {} now: the bytes stay, JSON and code change (number {number} must still mean the same)",
                new.name()
            );
            self.compatible(place, what);
        }
        if old.supports_presence() != new.supports_presence() {
            self.compatible(
                place,
                "became optional, or is no longer: a default value and none look different",
            );
        }
    }

    fn values(&mut self, old: &EnumDescriptor, new: &EnumDescriptor) {
        for value in old.values() {
            let number = value.number();
            let place = format!("{}.{}", old.full_name(), value.name());
            let names: BTreeSet<_> = new
                .values()
                .filter(|now| now.number() == number)
                .map(|now| now.name().to_owned())
                .collect();
            if names.contains(value.name()) {
                continue;
            }
            if let Some(moved) = new.get_value_by_name(value.name()) {
                let to = moved.number();
                self.breaking(
                    &place,
                    format!("moved from number {number} to {to}: old records keep {number}"),
                );
            } else if let Some(name) = names.first() {
                self.compatible(
                    &place,
                    format!("is called {name} now: the bytes stay, JSON and code change"),
                );
            } else if new.reserved_ranges().any(|range| range.contains(&number)) {
                self.compatible(&place, format!("is gone, its number {number} is reserved"));
            } else {
                self.breaking(&place, not_reserved(number));
            }
        }
        for range in old.reserved_ranges() {
            // Enum ranges include their end. The largest end is also the largest number: `saturating` loses nothing.
            let half_open = |range: std::ops::RangeInclusive<i32>| {
                i64::from(*range.start())..i64::from(*range.end()).saturating_add(1)
            };
            let now: Vec<_> = new.reserved_ranges().map(half_open).collect();
            if let Some(freed) = first_freed(half_open(range), &now) {
                let what =
                    format!("no longer reserves number {freed}: old records may still use it");
                self.breaking(old.full_name(), what);
            }
        }
        for value in new.values() {
            let known = old.get_value(value.number()).is_some()
                || old.get_value_by_name(value.name()).is_some();
            if !known {
                let place = format!("{}.{}", new.full_name(), value.name());
                let what = format!("is new: readers with the old schema see {}", value.number());
                self.compatible(&place, what);
            }
        }
    }
}

fn not_reserved(number: impl fmt::Display) -> String {
    format!(
        "is gone, and its number {number} is free for another meaning. Keep it: `reserved {number};`"
    )
}

/// A field's type as it is written in the schema.
fn shape(field: &FieldDescriptor) -> String {
    let kind = match field.kind() {
        Kind::Message(message) if field.is_map() => {
            let value = message.map_entry_value_field();
            return format!(
                "map<{}, {}>",
                name(&message.map_entry_key_field().kind()),
                name(&value.kind())
            );
        }
        kind => name(&kind),
    };
    if field.is_list() { format!("repeated {kind}") } else { kind }
}

fn name(kind: &Kind) -> String {
    match kind {
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(values) => values.full_name().to_owned(),
        Kind::Double => "double".to_owned(),
        Kind::Float => "float".to_owned(),
        Kind::Int32 => "int32".to_owned(),
        Kind::Int64 => "int64".to_owned(),
        Kind::Uint32 => "uint32".to_owned(),
        Kind::Uint64 => "uint64".to_owned(),
        Kind::Sint32 => "sint32".to_owned(),
        Kind::Sint64 => "sint64".to_owned(),
        Kind::Fixed32 => "fixed32".to_owned(),
        Kind::Fixed64 => "fixed64".to_owned(),
        Kind::Sfixed32 => "sfixed32".to_owned(),
        Kind::Sfixed64 => "sfixed64".to_owned(),
        Kind::Bool => "bool".to_owned(),
        Kind::String => "string".to_owned(),
        Kind::Bytes => "bytes".to_owned(),
    }
}

/// The oneof that a field belongs to. `optional` is one too, in the compiler's eyes only.
fn choice(field: &FieldDescriptor) -> Option<String> {
    let real = |oneof: &OneofDescriptor| !oneof.is_synthetic();
    field.containing_oneof().filter(real).map(|oneof| oneof.name().to_owned())
}

/// The first number of `range` that none of `ranges` contains.
fn first_freed<T: Ord + Copy>(
    range: std::ops::Range<T>,
    ranges: &[std::ops::Range<T>],
) -> Option<T> {
    let mut at = range.start;
    // Each step moves `at` behind a range that contains it, so there are no more steps than ranges.
    while at < range.end {
        match ranges.iter().find(|range| range.contains(&at)) {
            Some(covering) => at = covering.end,
            None => return Some(at),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{Schemas, compile};

    fn pool(text: &str) -> DescriptorPool {
        let text = format!("syntax = \"proto3\";\n{text}");
        compile(&Schemas::from([("test.proto".to_owned(), text)])).unwrap()
    }

    /// `-` before what breaks, `+` before what does not.
    fn changes(old: &str, new: &str) -> Vec<String> {
        compare(&pool(old), &pool(new))
            .iter()
            .map(|change| match change.verdict {
                Verdict::Breaking => format!("- {change}"),
                Verdict::Compatible => format!("+ {change}"),
            })
            .collect()
    }

    fn fields(old: &str, new: &str) -> Vec<String> {
        changes(&format!("message M {{ {old} }}"), &format!("message M {{ {new} }}"))
    }

    #[test]
    fn nothing_changed() {
        let schema = "message M { string a = 1; map<string, int32> b = 2; optional E c = 3; } enum E { X = 0; }";
        assert!(changes(schema, schema).is_empty());
    }

    #[test]
    fn a_field_may_come() {
        assert_eq!(
            fields("string a = 1;", "string a = 1; E e = 2; enum E { X = 0; }"),
            ["+ M.e is new, with number 2", "+ M.E is new",]
        );
    }

    #[test]
    fn a_field_may_go_if_its_number_stays_reserved() {
        assert_eq!(
            fields("string a = 1; string b = 2;", "string a = 1; reserved 2;"),
            ["+ M.b is gone, its number 2 is reserved",]
        );
        assert_eq!(
            fields("string a = 1; string b = 2;", "string a = 1;"),
            ["- M.b is gone, and its number 2 is free for another meaning. Keep it: `reserved 2;`",]
        );
    }

    #[test]
    fn a_reserved_number_stays_reserved() {
        assert_eq!(fields("reserved 2 to 5;", "reserved 2; reserved 3 to 5, 9;"), [""; 0]);
        assert_eq!(
            fields("reserved 2 to 5;", "reserved 2, 3, 5;"),
            ["- M no longer reserves number 4: old records may still use it",]
        );
        assert_eq!(
            changes("enum E { X = 0; reserved 4 to max; }", "enum E { X = 0; reserved 5 to max; }"),
            ["- E no longer reserves number 4: old records may still use it"]
        );
    }

    #[test]
    fn a_number_keeps_its_meaning() {
        assert_eq!(
            fields("string a = 1;", "string a = 4; reserved 1;"),
            ["- M.a moved from number 1 to 4: old records keep it under 1",]
        );
        for (old, new, was, is) in [
            ("int64 a = 1;", "string a = 1;", "int64", "string"),
            ("string a = 1;", "repeated string a = 1;", "string", "repeated string"),
            (
                "map<string, int32> a = 1;",
                "map<string, int64> a = 1;",
                "map<string, int32>",
                "map<string, int64>",
            ),
            ("map<string, string> a = 1;", "string a = 1;", "map<string, string>", "string"),
        ] {
            let told =
                format!("- M.a was {was} and number 1 is now {is}: old records would be misread");
            assert!(fields(old, new).contains(&told), "{:?}", fields(old, new));
        }
        assert_eq!(
            fields("string a = 1;", "oneof o { string a = 1; }"),
            ["- M.a joined or left a oneof: setting one field clears the others",]
        );
    }

    #[test]
    fn two_fields_that_swap_their_numbers_are_misread() {
        for kind in ["string", "int64"] {
            let changes = fields(
                &format!("string a = 1; {kind} b = 2;"),
                &format!("string a = 2; {kind} b = 1;"),
            );
            assert_eq!(
                changes,
                [
                    "- M.a moved from number 1 to 2: old records keep it under 1",
                    "- M.b moved from number 2 to 1: old records keep it under 2",
                ]
            );
        }
    }

    #[test]
    fn names_are_not_in_the_bytes() {
        assert_eq!(
            fields("string a = 1;", "string b = 1;"),
            [
                "+ M.a is called b now: the bytes stay, JSON and code change (number 1 must still mean the same)",
            ]
        );
        assert_eq!(
            changes("enum E { X = 0; }", "enum E { Y = 0; }"),
            ["+ E.X is called Y now: the bytes stay, JSON and code change",]
        );
    }

    #[test]
    fn what_a_record_needs_does_not_go() {
        assert_eq!(
            changes("message M {} enum E { X = 0; }", "message N {}"),
            [
                "- M is gone: nobody can read its records",
                "- E is gone: its numbers mean nothing now",
                "+ N is new",
            ]
        );
    }

    #[test]
    fn enum_values_follow_the_same_rules() {
        assert_eq!(
            changes(
                "enum E { X = 0; A = 1; B = 2; C = 3; }",
                "enum E { X = 0; A = 5; reserved 2; D = 4; }"
            ),
            [
                "- E.A moved from number 1 to 5: old records keep 1",
                "+ E.B is gone, its number 2 is reserved",
                "- E.C is gone, and its number 3 is free for another meaning. Keep it: `reserved 3;`",
                "+ E.D is new: readers with the old schema see 4",
            ]
        );
    }
}
