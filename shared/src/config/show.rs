//! `--dump-config` and `--diff-config`: what was understood, as text.

use super::{Config, Lab, Origin, Section, Setting, property};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

impl<L: Lab> Config<L> {
    /// Every value with its origin, and librdkafka's own value where it differs.
    pub fn dump(&self) -> String {
        let mut text = String::new();
        let mut last = "";
        for ((section, name), setting) in &self.shown() {
            if *section != last {
                let _ = writeln!(text, "{}[{section}]", if last.is_empty() { "" } else { "\n" });
                last = section;
            }
            let default = match property::default_of(name) {
                _ if OWN.contains(section) => String::new(),
                _ if property::is_default(name, &setting.value) => {
                    ", librdkafka's default".to_owned()
                }
                Some(default) if !default.is_empty() => format!(", default {default}"),
                _ => String::new(),
            };
            let line = format!("{name} = {}", setting.value);
            let _ = writeln!(text, "{line:<36}  # {}{default}", setting.origin);
        }
        text
    }

    /// What differs from `other`, as a table; an empty one says so.
    pub fn diff(&self, name: &str, other: &Self, other_name: &str) -> String {
        let (ours, theirs) = (self.shown(), other.shown());
        let keys: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
        let value = |side: &BTreeMap<_, Setting>, key| {
            side.get(key).map_or("-".to_owned(), |setting| setting.value.clone())
        };
        let mut rows = vec![[String::new(), name.to_owned(), other_name.to_owned()]];
        for key in keys {
            let (left, right) = (value(&ours, key), value(&theirs, key));
            if left != right {
                rows.push([format!("{}.{}", key.0, key.1), left, right]);
            }
        }
        if rows.len() == 1 {
            return format!("{name} and {other_name} say the same.\n");
        }
        crate::report::columns(&rows)
    }

    /// Everything by section and name, in the order of printing.
    fn shown(&self) -> BTreeMap<(&'static str, String), Setting> {
        let mut shown = BTreeMap::new();
        for (section, properties) in &self.properties {
            let section = match section {
                Section::Kafka => "kafka",
                Section::Of(super::Client::Producer) => "producer",
                Section::Of(super::Client::Consumer) => "consumer",
            };
            for (name, setting) in properties {
                let value = property::shown(name, setting).to_owned();
                shown.insert(
                    (section, name.clone()),
                    Setting { value, origin: setting.origin.clone() },
                );
            }
        }
        let mut own = |section, name: &str, value: String, origin: Origin| {
            shown.insert((section, name.to_owned()), Setting { value, origin });
        };
        own("topic", "name", self.topic.name.clone(), self.topic.name_origin.clone());
        own(
            "topic",
            "partitions",
            self.topic.partitions.to_string(),
            self.topic.partitions_origin.clone(),
        );
        // A value that TOML cannot write (a None) has nothing to show.
        if let Ok(lab) = toml::Table::try_from(&self.lab) {
            for (name, value) in lab {
                let origin = self.lab_origins.get(&name).cloned().unwrap_or(Origin::Default);
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                own("lab", &name, value, origin);
            }
        }
        shown
    }
}

/// The sections that are ours, which librdkafka has no defaults for.
const OWN: [&str; 2] = ["topic", "lab"];
