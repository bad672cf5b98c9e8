//! The configuration of a lab: a TOML file chosen at run time, and what may override it.
//!
//! ```toml
//! [kafka]                       # properties of every client
//! bootstrap.servers = "127.0.0.1:9092"
//! [topic]                       # ours
//! name = "lab1"
//! partitions = 3
//! [lab]                         # ours; the lab's own struct
//! mode = "keyed"
//! [producer]                    # librdkafka's properties, as its CONFIGURATION.md names them;
//! linger.ms = 5                 # "linger.ms" = 5 is the same
//! [consumer]
//! group.id = "lab1-keyed"
//! ```
//!
//! If a value is set in several places, the last of these wins: built-in defaults, the file, `.env`, the environment,
//! flags. The environment is read for the broker's address only (`KAFKA_BOOTSTRAP_SERVERS`, else `KAFKA_BROKER`, else
//! `KAFKA_HOST_IP` with port 9092). Dots and underscores cannot be told apart in the name of a variable, so any other
//! property is given by `-X name=value`.
//!
//! Every value knows where it came from ([`Setting::origin`]), a name that nobody knows is refused, and librdkafka
//! itself is asked about each value before a client is made.

mod document;
mod fields;
mod flags;
pub(crate) mod property;
mod show;

pub use flags::Flags;

use document::Document;
use rdkafka::ClientConfig;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

/// The broker's address when nobody names one.
pub const DEFAULT_BOOTSTRAP_SERVERS: &str = "127.0.0.1:9092";

/// Everything a lab's program was told.
#[derive(Debug, Clone)]
pub struct Config<L> {
    /// The file, by its name alone.
    file: String,
    /// `[topic]`.
    pub topic: Topic,
    /// `[lab]`: what this lab alone understands.
    pub lab: L,
    lab_origins: BTreeMap<String, Origin>,
    properties: BTreeMap<Section, Properties>,
}

/// `[topic]`: the topic a lab works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name, and where that was written.
    pub name: String,
    /// How many partitions it is created with, 1 or more.
    pub partitions: i32,
    /// Settings it is created with, under Kafka's names.
    pub settings: Vec<(String, String)>,
    name_origin: Origin,
    partitions_origin: Origin,
}

impl Topic {
    /// A topic named by the program itself.
    pub fn new(name: &str, partitions: i32) -> Self {
        Self {
            name: name.to_owned(),
            partitions,
            settings: Vec::new(),
            name_origin: Origin::Default,
            partitions_origin: Origin::Default,
        }
    }

    /// The same topic, created with this setting.
    pub fn with_setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// What a lab's `[lab]` section must be able to do. A struct with `#[derive(Default, Serialize, Deserialize)]` and
/// `#[serde(default)]` has it all; its fields are the section's keys.
pub trait Lab: Default + Serialize + DeserializeOwned {}
impl<T: Default + Serialize + DeserializeOwned> Lab for T {}

/// `[lab]` of a lab without keys of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct NoLab {}

/// Who is asking: the program's name and what it is made of.
#[derive(Debug, Clone, Copy)]
pub struct Program<'a> {
    /// Its name, which becomes its `client.id`.
    pub name: &'a str,
    /// The file read without `--config`.
    pub file: &'a str,
    /// The clients it builds. `-X` with a property of another kind of client is refused.
    pub clients: &'a [Client],
    /// Built-in values that the file may override.
    pub defaults: &'a [(Client, &'a str, &'a str)],
}

/// A kind of client, which owns some of librdkafka's properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Client {
    /// Sends records.
    Producer,
    /// Receives records.
    Consumer,
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        })
    }
}

/// A section of librdkafka's properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Section {
    Kafka,
    Of(Client),
}

impl Section {
    fn named(name: &str) -> Option<Self> {
        match name {
            "kafka" => Some(Self::Kafka),
            "producer" => Some(Self::Of(Client::Producer)),
            "consumer" => Some(Self::Of(Client::Consumer)),
            _ => None,
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kafka => f.write_str("kafka"),
            Self::Of(client) => client.fmt(f),
        }
    }
}

/// Properties by their dotted names.
pub type Properties = BTreeMap<String, Setting>;

/// A property's value, and who set it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// As librdkafka gets it.
    pub value: String,
    /// Where it was written.
    pub origin: Origin,
}

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In the program.
    Default,
    /// In a TOML file.
    File {
        /// Which one.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// In `.env`, under this name.
    DotEnv(String),
    /// In the environment, under this name.
    Environment(String),
    /// On the command line, by this flag.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("built in"),
            // The folders above are the same for everything a reader sees here.
            Self::File { path, line } => {
                write!(
                    f,
                    "{}:{line}",
                    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy()
                )
            }
            Self::DotEnv(name) => write!(f, ".env, {name}"),
            Self::Environment(name) => write!(f, "environment, {name}"),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// The configuration is wrong; the text is a sentence that says where and what to do. Ends a program with code 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(String);

impl ConfigError {
    fn at(origin: &Origin, sentence: &str) -> Self {
        let stop = if sentence.ends_with('?') { "" } else { "." };
        Self(format!("{origin}: {sentence}{stop}"))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// Where the layers between the file and the flags come from; a parameter, so that tests need no real environment.
struct Surroundings {
    dot_env: Vec<(String, String)>,
    environment: Vec<(String, String)>,
}

impl<L: Lab> Config<L> {
    /// Reads the file that the flags or the program name, `.env`, the environment and the flags.
    ///
    /// # Errors
    /// A sentence that says where something is wrong.
    pub fn load(program: &Program<'_>, flags: &Flags) -> Result<Self, ConfigError> {
        let path = flags.config.as_deref().unwrap_or(Path::new(program.file));
        Self::load_file(program, flags, path)
    }

    /// Like [`load`](Self::load), from this file whatever the flags say.
    ///
    /// # Errors
    /// A sentence that says where something is wrong.
    pub fn load_file(
        program: &Program<'_>,
        flags: &Flags,
        path: &Path,
    ) -> Result<Self, ConfigError> {
        let here = std::env::current_dir()
            .map_err(|error| ConfigError(format!("The current folder cannot be read: {error}.")))?;
        let found = find_upwards(&here, path).ok_or_else(|| {
            ConfigError(format!(
                "There is no {} in {} or above it.",
                path.display(),
                here.display()
            ))
        })?;
        let text = std::fs::read_to_string(&found).map_err(|error| {
            ConfigError(format!("{} cannot be read: {error}.", found.display()))
        })?;
        let surroundings =
            Surroundings { dot_env: read_dot_env(&here)?, environment: std::env::vars().collect() };
        Self::resolve(program, flags, &found, &text, &surroundings)
    }

    /// The layering itself.
    fn resolve(
        program: &Program<'_>,
        flags: &Flags,
        path: &Path,
        text: &str,
        surroundings: &Surroundings,
    ) -> Result<Self, ConfigError> {
        let file = Document::<L>::parse(path, text)?;
        let name = path.file_name().unwrap_or(path.as_os_str());
        let mut config = Self {
            file: name.to_string_lossy().into_owned(),
            topic: Topic::new("", 3),
            lab: file.lab,
            lab_origins: file.lab_origins,
            properties: [
                Section::Kafka,
                Section::Of(Client::Producer),
                Section::Of(Client::Consumer),
            ]
            .into_iter()
            .map(|section| (section, Properties::new()))
            .collect(),
        };

        // Built in.
        config.put(
            Section::Kafka,
            "bootstrap.servers",
            DEFAULT_BOOTSTRAP_SERVERS,
            Origin::Default,
        )?;
        config.put(Section::Kafka, "client.id", program.name, Origin::Default)?;
        // While librdkafka waits before it tries to connect again, by default up to 10 s, it does not look at
        // message.timeout.ms either: a message to a stopped broker would fail only after twice that time.
        config.put(Section::Kafka, "reconnect.backoff.max.ms", "1000", Origin::Default)?;
        // A consumer whose topic is missing gets no partitions, and looks for the topic again only with the next refresh
        // of its metadata. librdkafka's own interval is five minutes.
        config.put(
            Section::Kafka,
            "topic.metadata.refresh.interval.ms",
            "2000",
            Origin::Default,
        )?;
        for (client, name, value) in program.defaults {
            config.put(Section::Of(*client), name, value, Origin::Default)?;
        }

        // The file.
        for (section, properties) in file.properties {
            for (name, setting) in properties {
                config.put(section, &name, &setting.value, setting.origin)?;
            }
        }
        if let Some(name) = file.topic_name {
            config.topic.name = name.value;
            config.topic.name_origin = name.origin;
        }
        if let Some((partitions, origin)) = file.topic_partitions {
            if partitions < 1 {
                return Err(ConfigError::at(&origin, "a topic has 1 partition or more"));
            }
            config.topic.partitions = partitions;
            config.topic.partitions_origin = origin;
        }

        // .env, the environment, the flags.
        if let Some((name, address)) = address_in(&surroundings.dot_env) {
            config.put(Section::Kafka, "bootstrap.servers", &address, Origin::DotEnv(name))?;
        }
        if let Some((name, address)) = address_in(&surroundings.environment) {
            config.put(Section::Kafka, "bootstrap.servers", &address, Origin::Environment(name))?;
        }
        config.apply(program, flags)?;

        if config.topic.name.is_empty() {
            return Err(ConfigError(format!(
                "{}: no topic. Give it a name in [topic], or --topic NAME.",
                path.display()
            )));
        }
        Ok(config)
    }

    fn apply(&mut self, program: &Program<'_>, flags: &Flags) -> Result<(), ConfigError> {
        if let Some(address) = &flags.bootstrap_server {
            self.put(
                Section::Kafka,
                "bootstrap.servers",
                address,
                Origin::Flag("--bootstrap-server".to_owned()),
            )?;
        }
        if let Some(topic) = &flags.topic {
            self.topic.name.clone_from(topic);
            self.topic.name_origin = Origin::Flag("--topic".to_owned());
        }
        for (name, value) in &flags.properties {
            let origin = Origin::Flag(format!("-X {name}"));
            let owner =
                property::owner(name).map_err(|sentence| ConfigError::at(&origin, &sentence))?;
            let clients: Vec<Client> = program
                .clients
                .iter()
                .copied()
                .filter(|client| owner.is_none_or(|owner| owner == *client))
                .collect();
            if let Some(owner) = owner
                && clients.is_empty()
            {
                let sentence =
                    format!("{name} is a {owner}'s property, and {} has no {owner}", program.name);
                return Err(ConfigError::at(&origin, &sentence));
            }
            // A property of every client may also stand in a narrower section; the flag wins there too.
            if owner.is_none() {
                self.put(Section::Kafka, name, value, origin.clone())?;
            }
            for client in clients {
                self.put(Section::Of(client), name, value, origin.clone())?;
            }
        }
        Ok(())
    }
}

impl<L> Config<L> {
    /// The text that `--dump-config` or `--diff-config` asks for; a program prints it and ends.
    ///
    /// # Errors
    /// When the other file is wrong.
    pub fn asked(&self, program: &Program<'_>, flags: &Flags) -> Result<Option<String>, ConfigError>
    where
        L: Lab,
    {
        if flags.dump_config {
            return Ok(Some(self.dump()));
        }
        let Some(other_path) = &flags.diff_config else { return Ok(None) };
        let other = Self::load_file(program, flags, other_path)?;
        let path = flags.config.as_deref().unwrap_or(Path::new(program.file));
        Ok(Some(self.diff(&path.display().to_string(), &other, &other_path.display().to_string())))
    }

    /// Overrides a property by a flag of the program's own, `--group` for example.
    ///
    /// # Errors
    /// A sentence when librdkafka does not take it.
    pub fn set(
        &mut self,
        client: Client,
        name: &str,
        value: &str,
        flag: &str,
    ) -> Result<(), ConfigError> {
        self.put(Section::Of(client), name, value, Origin::Flag(flag.to_owned()))
    }

    /// The file, and the properties that flags have set: `config_keyed.toml, -X acks=1`.
    pub(crate) fn source(&self) -> String {
        let by_flags = self.properties.values().flatten().filter_map(|(name, setting)| {
            let flag = format!("-X {name}");
            let shown = property::shown(name, setting);
            (setting.origin == Origin::Flag(flag.clone())).then(|| format!("{flag}={shown}"))
        });
        // One of every client stands in each section.
        let by_flags: BTreeSet<String> = by_flags.collect();
        [self.file.clone()].into_iter().chain(by_flags).collect::<Vec<_>>().join(", ")
    }

    /// The address of the broker, as it was given.
    pub fn bootstrap_servers(&self) -> &str {
        self.properties[&Section::Kafka]
            .get("bootstrap.servers")
            .map_or("", |setting| &setting.value)
    }

    /// A property as this kind of client gets it.
    pub fn property(&self, client: Client, name: &str) -> Option<&Setting> {
        self.properties[&Section::Of(client)]
            .get(name)
            .or_else(|| self.properties[&Section::Kafka].get(name))
    }

    /// All properties as this kind of client gets them: `[kafka]`, then its own section over it.
    pub fn properties(&self, client: Client) -> Properties {
        let mut all = self.properties[&Section::Kafka].clone();
        all.extend(self.properties[&Section::Of(client)].clone());
        all
    }

    /// rdkafka's configuration for this kind of client.
    pub fn client(&self, client: Client) -> ClientConfig {
        self.properties(client).into_iter().map(|(name, setting)| (name, setting.value)).collect()
    }

    /// rdkafka's configuration for an admin client: `[kafka]` alone.
    pub fn admin(&self) -> ClientConfig {
        self.properties[&Section::Kafka]
            .iter()
            .map(|(name, setting)| (name.clone(), setting.value.clone()))
            .collect()
    }

    fn put(
        &mut self,
        section: Section,
        name: &str,
        value: &str,
        origin: Origin,
    ) -> Result<(), ConfigError> {
        let owner =
            property::owner(name).map_err(|sentence| ConfigError::at(&origin, &sentence))?;
        match (section, owner) {
            (Section::Of(client), Some(owner)) if client != owner => {
                return Err(ConfigError::at(
                    &origin,
                    &format!("{name} is a {owner}'s property: put it in [{owner}]"),
                ));
            }
            (Section::Kafka, Some(owner)) => {
                let sentence = format!("{name} is for the {owner} alone: put it in [{owner}]");
                return Err(ConfigError::at(&origin, &sentence));
            }
            _ => {}
        }
        if value.trim().is_empty()
            && let Some(example) = property::needs_a_value(name)
        {
            let sentence = format!("{name} is empty; give a value, as in {example}");
            return Err(ConfigError::at(&origin, &sentence));
        }
        property::check(name, value).map_err(|sentence| ConfigError::at(&origin, &sentence))?;
        let setting = Setting { value: value.to_owned(), origin };
        self.properties.entry(section).or_default().insert(name.to_owned(), setting);
        Ok(())
    }
}

/// The broker's address among these variables, and the name that gave it. An empty one counts as not set.
fn address_in(variables: &[(String, String)]) -> Option<(String, String)> {
    let get = |wanted: &str| {
        variables
            .iter()
            .find(|(name, value)| name == wanted && !value.is_empty())
            .map(|(_, value)| value.clone())
    };
    for name in ["KAFKA_BOOTSTRAP_SERVERS", "KAFKA_BROKER"] {
        if let Some(address) = get(name) {
            return Some((name.to_owned(), address));
        }
    }
    let host = get("KAFKA_HOST_IP")?;
    // An IPv6 address needs its brackets beside a port.
    let host =
        if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host };
    Some(("KAFKA_HOST_IP".to_owned(), format!("{host}:9092")))
}

/// Looks for `path` here, then in the folders above up to the workspace's root, so that a program runs in any of them.
fn find_upwards(here: &Path, path: &Path) -> Option<PathBuf> {
    if path.is_absolute() {
        return path.is_file().then(|| path.to_owned());
    }
    for folder in here.ancestors() {
        let candidate = folder.join(path);
        if candidate.is_file() {
            return Some(candidate);
        }
        if folder.join("Cargo.lock").is_file() {
            break;
        }
    }
    None
}

fn read_dot_env(here: &Path) -> Result<Vec<(String, String)>, ConfigError> {
    let Some(path) = find_upwards(here, Path::new(".env")) else { return Ok(Vec::new()) };
    let wrong = |error: dotenvy::Error| ConfigError(format!("{}: {error}.", path.display()));
    dotenvy::from_path_iter(&path).map_err(wrong)?.collect::<Result<_, _>>().map_err(wrong)
}

#[cfg(test)]
mod tests;
