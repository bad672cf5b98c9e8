//! The field names of a struct, asked from its `Deserialize`.
//!
//! serde hands a struct's field names to the deserializer before it reads anything. This one keeps the names and stops,
//! so that a lab writes its `[lab]` section once, as a struct, and a misspelt key can still be answered with
//! "did you mean".

use serde::de::{DeserializeOwned, Deserializer, Error, Visitor, value};
use serde::forward_to_deserialize_any;

/// The names that `T` reads from a table; none when `T` is no struct.
pub(super) fn names<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    // The error is how the names come back early; it says nothing.
    let _stopped = T::deserialize(Names(&mut names));
    names
}

struct Names<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Names<'_> {
    type Error = value::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        Err(Self::Error::custom("names only"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Self::Error> {
        Err(Self::Error::custom("no struct"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only the names are looked at")]
    struct Section {
        mode: String,
        #[serde(rename = "max-wait")]
        max_wait: u32,
    }

    #[test]
    fn a_struct_tells_its_names_as_they_are_written_in_the_file() {
        assert_eq!(super::names::<Section>(), ["mode", "max-wait"]);
        assert!(super::names::<String>().is_empty());
    }
}
