//! One TOML file, read without judging librdkafka's names: sections, dotted keys, and the line of each value.

use super::{ConfigError, Lab, Origin, Properties, Section, Setting, fields, property};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What a file says, with the line of everything it says.
#[derive(Debug)]
pub(super) struct Document<L> {
    pub(super) topic_name: Option<Setting>,
    pub(super) topic_partitions: Option<(i32, Origin)>,
    pub(super) lab: L,
    /// The keys that stand in `[lab]`, as text, for `--dump-config`.
    pub(super) lab_origins: BTreeMap<String, Origin>,
    pub(super) properties: BTreeMap<Section, Properties>,
}

/// `[topic]` and `[lab]` by their types; the rest of the file is walked by hand.
#[derive(Deserialize)]
#[serde(bound = "L: Lab")]
struct Own<L> {
    #[serde(default)]
    topic: TopicKeys,
    #[serde(default)]
    lab: L,
}

#[derive(Default, Deserialize)]
struct TopicKeys {
    name: Option<String>,
    partitions: Option<i32>,
}

impl<L: Lab> Document<L> {
    /// Reads `text`, which came from the file `path`.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let file = File { path, text };
        let root = DeTable::parse(text).map_err(|error| file.toml_error(&error))?;

        let mut properties = BTreeMap::new();
        let mut lab_origins = BTreeMap::new();
        let mut topic_origins = BTreeMap::new();
        for (name, value) in root.get_ref() {
            let known = ["kafka", "topic", "lab", "producer", "consumer"];
            let at = name.span();
            let DeValue::Table(table) = value.get_ref() else {
                return Err(
                    file.error(at, &format!("{} stands outside of a section", name.get_ref()))
                );
            };
            match name.get_ref().as_ref() {
                "topic" => {
                    let known = fields::names::<TopicKeys>();
                    topic_origins = file.own_keys("topic", table, known)?;
                }
                "lab" => {
                    lab_origins = file.own_keys("lab", table, fields::names::<L>())?;
                }
                other => match Section::named(other) {
                    Some(section) => {
                        properties.insert(section, file.properties(table)?);
                    }
                    None => {
                        return Err(file.unknown(at, &format!("section [{other}]"), other, &known));
                    }
                },
            }
        }

        let own: Own<L> = toml::from_str(text).map_err(|error| file.toml_error(&error))?;
        let origin = |key: &str| topic_origins.get(key).cloned();
        Ok(Self {
            topic_name: own
                .topic
                .name
                .zip(origin("name"))
                .map(|(value, origin)| Setting { value, origin }),
            topic_partitions: own.topic.partitions.zip(origin("partitions")),
            lab: own.lab,
            lab_origins,
            properties,
        })
    }
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

impl File<'_> {
    /// Refuses a key that the section does not have.
    fn own_keys(
        &self,
        section: &str,
        table: &DeTable<'_>,
        known: &[&str],
    ) -> Result<BTreeMap<String, Origin>, ConfigError> {
        let mut origins = BTreeMap::new();
        for key in table.keys() {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                return Err(self.unknown(
                    key.span(),
                    &format!("key {name} in [{section}]"),
                    name,
                    known,
                ));
            }
            origins.insert(name.to_owned(), self.origin(key.span()));
        }
        Ok(origins)
    }

    /// `linger.ms = 5` is a table in a table to TOML and one name to Kafka: nested tables become dotted names.
    fn properties(&self, table: &DeTable<'_>) -> Result<Properties, ConfigError> {
        let mut flat = Properties::new();
        self.flatten("", table, &mut flat)?;
        Ok(flat)
    }

    fn flatten(
        &self,
        prefix: &str,
        table: &DeTable<'_>,
        flat: &mut Properties,
    ) -> Result<(), ConfigError> {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            if let DeValue::Table(nested) = value.get_ref() {
                self.flatten(&format!("{name}."), nested, flat)?;
                continue;
            }
            let setting =
                Setting { value: self.scalar(&name, value)?, origin: self.origin(key.span()) };
            let origin = setting.origin.clone();
            if let Some(other) = flat.insert(name.clone(), setting) {
                return Err(ConfigError::at(
                    &origin,
                    &format!("{name} was given already, at {}", other.origin),
                ));
            }
        }
        Ok(())
    }

    fn scalar(&self, name: &str, value: &Spanned<DeValue<'_>>) -> Result<String, ConfigError> {
        match value.get_ref() {
            DeValue::String(text) => Ok(text.clone().into_owned()),
            DeValue::Boolean(truth) => Ok(truth.to_string()),
            // As written: librdkafka reads numbers itself, and 0.10 must not become 0.1. Only TOML's own spellings
            // (1_000, 0xff, +5) are translated.
            DeValue::Integer(number) => i64::from_str_radix(&number.as_str().replace('_', ""), number.radix())
                .map(|number| number.to_string())
                .map_err(|_| self.error(value.span(), &format!("{name} is too large a number"))),
            DeValue::Float(number) => Ok(number.as_str().replace('_', "")),
            DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => Err(self.error(
                value.span(),
                &format!("{name} must be a string, a number, true or false; a list is one string: \"a,b\""),
            )),
        }
    }

    fn unknown(&self, at: Range<usize>, what: &str, name: &str, known: &[&str]) -> ConfigError {
        match property::nearest(name, known.iter().copied()) {
            Some(near) => self.error(at, &format!("there is no {what}; did you mean {near}?")),
            None => self.error(at, &format!("there is no {what}; known: {}", known.join(", "))),
        }
    }

    fn toml_error(&self, error: &toml::de::Error) -> ConfigError {
        let message = error.message();
        let message = message.split('\n').next().unwrap_or(message);
        let Some(span) = error.span() else {
            return ConfigError(format!("{}: {message}", self.path.display()));
        };
        if let Some(expected) = expected(message) {
            let value = self.text.get(span.clone()).unwrap_or_default();
            let name = self.name_before(span.start);
            return self.error(span, &format!("{name} = {value}: the value must be {expected}"));
        }
        // TOML sees `a.b = 1` and `a.b.c = 2` as a value and a table of one name. Kafka has such names:
        // group.protocol and group.protocol.type.
        let both = if message.contains("extend") || message.contains("dotted key") {
            "; this name is a value here and the beginning of a longer name there: put the longer one in quotes"
        } else {
            ""
        };
        self.error(span, &format!("{message}{both}"))
    }

    /// `partitions` in the line `partitions = "three"`.
    fn name_before(&self, value: usize) -> &str {
        let before = self.text.get(..value).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        line.trim_end().trim_end_matches('=').trim()
    }

    fn error(&self, at: Range<usize>, sentence: &str) -> ConfigError {
        ConfigError::at(&self.origin(at), sentence)
    }

    fn origin(&self, at: Range<usize>) -> Origin {
        let before = self.text.get(..at.start).unwrap_or(self.text);
        Origin::File { path: self.path.to_owned(), line: before.matches('\n').count() + 1 }
    }
}

/// What serde wanted to see instead of a value, in words; `None` when the message is about something else.
fn expected(message: &str) -> Option<String> {
    if message.starts_with("unknown variant ") {
        let (_, names) = message.split_once(", expected ")?;
        return Some(names.replace('`', ""));
    }
    let is_about_a_value =
        ["invalid type: ", "invalid value: "].iter().any(|start| message.starts_with(start));
    let (_, wanted) = message.split_once(", expected ").filter(|_| is_about_a_value)?;
    Some(match wanted {
        "i8" | "i16" | "i32" | "i64" => "a whole number, as in 3".to_owned(),
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        wanted if wanted.contains("nonzero") => "a whole number, 1 or more".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a string" => "a text in quotes".to_owned(),
        "a duration" => "a time, as in \"2s\" or \"500ms\"".to_owned(),
        "a sequence" => "a list, as in [\"a\", \"b\"]".to_owned(),
        other => other.to_owned(),
    })
}
