//! The settings of the broker and of a topic, under Kafka's own names.
//!
//! One table each: it makes the struct, reads `--override key=value` and answers DescribeConfigs, so that a
//! setting that is accepted is also typed, described and reported. A setting is listed once the broker acts
//! on it, or, for topics, once Kafka's tools send it as a matter of course; the note says which.

use std::fmt;

/// What DescribeConfigs and `--help` tell of one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) is_default: bool,
    pub(crate) kind: Kind,
    pub(crate) about: &'static str,
}

/// Kafka's types of a setting, as far as they are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Boolean,
    String,
    Int,
    Long,
    Double,
    List,
}

/// Why a setting was refused: a sentence for whoever typed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadSetting(String);

impl fmt::Display for BadSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Writes a struct of settings with its defaults, its parser and its description from one table. A setting that has
/// two names in Kafka has both here.
macro_rules! settings {
    (
        $(#[$meta:meta])*
        $struct:ident ($what:literal)
        $($($name:literal)|+ $field:ident: $type:ty = $default:expr, $check:expr, $about:literal;)*
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) struct $struct {
            $(#[doc = $about] pub(crate) $field: $type,)*
        }

        impl Default for $struct {
            fn default() -> Self {
                Self { $($field: $default.into(),)* }
            }
        }

        impl $struct {
            /// Sets one setting from its text, as it stands on a command line or in a request.
            ///
            /// # Errors
            ///
            /// A sentence: no such setting (and the nearest one), or what its value must be.
            pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), BadSetting> {
                match name {
                    $($($name)|+ => {
                        let parsed = <$type as SettingType>::parse(value).filter($check);
                        self.$field = parsed.ok_or_else(|| bad_value(name, value, $about))?;
                    })*
                    _ => return Err(unknown_setting($what, name, &[$($($name,)+)*])),
                }
                Ok(())
            }

            /// Every setting with its value.
            pub(crate) fn describe(&self) -> Vec<Described> {
                let default = Self::default();
                vec![$($(Described {
                    name: $name,
                    value: SettingType::print(&self.$field),
                    is_default: self.$field == default.$field,
                    kind: <$type as SettingType>::KIND,
                    about: $about,
                },)+)*]
            }
        }
    };
}

settings! {
    /// The broker's settings: `server.properties` in Kafka.
    Settings ("broker setting")
    "advertised.listeners" advertised_listeners: String = "", |v| v.is_empty() || parse_listener(v).is_some(),
        "HOST:PORT, or PLAINTEXT://HOST:PORT, that Metadata tells clients to connect to. Empty: the address that each client used.";
    "auto.create.topics.enable" auto_create_topics_enable: bool = true, any,
        "true or false: whether asking for a topic's metadata creates it.";
    "broker.id" | "node.id" broker_id: i32 = 1, |v| *v >= 0,
        "The id of this node: 0 or more.";
    "connections.max.idle.ms" connections_max_idle_ms: i64 = 600_000, any,
        "How long, in ms, a connection may have no request before it ends. Negative: no limit.";
    "default.replication.factor" default_replication_factor: i32 = 1, |v| *v == 1,
        "Replicas of a topic. There is one node, so it is 1.";
    "fetch.max.bytes" fetch_max_bytes: i32 = 57_671_680, |v| *v >= 1024,
        "The most bytes of one Fetch answer, 1024 or more. A first batch that is longer is sent too.";
    "group.initial.rebalance.delay.ms" group_initial_rebalance_delay_ms: i32 = 65, |v| *v >= 0,
        "How long, in ms, a new group waits for more members before its first rebalance. Kafka's own default is 3000.";
    "group.max.session.timeout.ms" group_max_session_timeout_ms: i32 = 1_800_000, |v| *v > 0,
        "The longest session.timeout.ms that a consumer may ask for.";
    "group.max.size" group_max_size: i32 = i32::MAX, |v| *v > 0,
        "The most members of a group: 1 or more.";
    "group.min.session.timeout.ms" group_min_session_timeout_ms: i32 = 6_000, |v| *v > 0,
        "The shortest session.timeout.ms that a consumer may ask for.";
    "log.message.timestamp.after.max.ms" log_message_timestamp_after_max_ms: i64 = 3_600_000, |v| *v >= 0,
        "How far, in ms, a record's timestamp may lie in the broker's future: 0 or more.";
    "log.message.timestamp.before.max.ms" log_message_timestamp_before_max_ms: i64 = i64::MAX, |v| *v >= 0,
        "How far, in ms, a record's timestamp may lie in the broker's past: 0 or more.";
    "log.message.timestamp.type" log_message_timestamp_type: String = "CreateTime", is_timestamp_type,
        "CreateTime or LogAppendTime: who sets the timestamp of a record.";
    "max.connections" max_connections: i32 = i32::MAX, |v| *v >= 0,
        "The most connections. Further ones wait until one ends.";
    "max.connections.per.ip" max_connections_per_ip: i32 = i32::MAX, |v| *v >= 0,
        "The most connections from one address. Further ones are closed at once.";
    "message.max.bytes" message_max_bytes: i32 = 1_048_588, |v| *v >= 0,
        "The largest record batch, in bytes as it travels: 0 or more.";
    "num.partitions" num_partitions: i32 = 3, |v| (1..=MAX_PARTITIONS).contains(v),
        "Partitions of a topic that is created without a count: 1 to 10000. Kafka's own default is 1.";
    "offset.metadata.max.bytes" offset_metadata_max_bytes: i32 = 4_096, |v| *v >= 0,
        "The longest text (metadata) that a consumer may commit with an offset.";
    "queued.max.request.bytes" queued_max_request_bytes: i64 = 536_870_912, any,
        "The most bytes of requests that have no answer yet, of all connections together. Above it, the connection with the most of them ends. Negative: no limit, which is Kafka's own default.";
    "socket.request.max.bytes" socket_request_max_bytes: i32 = 104_857_600, |v| *v >= 1024,
        "The longest request, 1024 or more; a longer one ends its connection.";
}

settings! {
    /// A topic's settings. Those that this broker only keeps and reports say so.
    TopicSettings ("topic setting")
    "cleanup.policy" cleanup_policy: List = "delete", is_cleanup_policy,
        "delete, compact or both. This broker neither deletes nor compacts; with compact, every record needs a key.";
    "compression.gzip.level" compression_gzip_level: i32 = -1, |v| *v == -1 || (1..=9).contains(v),
        "1 to 9, or -1 for gzip's own default. Kept and reported; batches stay as the producer made them.";
    "compression.lz4.level" compression_lz4_level: i32 = 9, |v| (1..=17).contains(v),
        "1 to 17. Kept and reported; batches stay as the producer made them.";
    "compression.type" compression_type: String = "producer", |v| COMPRESSION_TYPES.contains(&v.as_str()),
        "producer, uncompressed, gzip, snappy, lz4 or zstd. Kept and reported; batches stay as the producer made them.";
    "compression.zstd.level" compression_zstd_level: i32 = 3, |v| (-131_072..=22).contains(v),
        "-131072 to 22. Kept and reported; batches stay as the producer made them.";
    "delete.retention.ms" delete_retention_ms: i64 = 86_400_000, |v| *v >= 0,
        "0 or more. Kept and reported; this broker does not compact.";
    "file.delete.delay.ms" file_delete_delay_ms: i64 = 60_000, |v| *v >= 0,
        "0 or more. Kept and reported; this broker has no files.";
    "flush.messages" flush_messages: i64 = i64::MAX, |v| *v >= 1,
        "1 or more. Kept and reported; this broker has no files.";
    "flush.ms" flush_ms: i64 = i64::MAX, |v| *v >= 0,
        "0 or more. Kept and reported; this broker has no files.";
    "follower.replication.throttled.replicas" follower_replication_throttled_replicas: List = "", are_replicas,
        "*, or PARTITION:BROKER pairs with commas between them. Kept and reported; there are no followers.";
    "index.interval.bytes" index_interval_bytes: i32 = 4_096, |v| *v >= 0,
        "0 or more. Kept and reported; every batch is in the index.";
    "leader.replication.throttled.replicas" leader_replication_throttled_replicas: List = "", are_replicas,
        "*, or PARTITION:BROKER pairs with commas between them. Kept and reported; there are no followers.";
    "local.retention.bytes" local_retention_bytes: i64 = -2, |v| *v >= -2,
        "-2 or more. Kept and reported; there is no remote storage.";
    "local.retention.ms" local_retention_ms: i64 = -2, |v| *v >= -2,
        "-2 or more. Kept and reported; there is no remote storage.";
    "max.compaction.lag.ms" max_compaction_lag_ms: i64 = i64::MAX, |v| *v >= 1,
        "1 or more, and not below min.compaction.lag.ms. Kept and reported; this broker does not compact.";
    "max.message.bytes" max_message_bytes: i32 = 1_048_588, |v| *v >= 0,
        "The largest record batch, in bytes as it travels: 0 or more.";
    "message.timestamp.after.max.ms" message_timestamp_after_max_ms: i64 = 3_600_000, |v| *v >= 0,
        "How far, in ms, a record's timestamp may lie in the broker's future: 0 or more.";
    "message.timestamp.before.max.ms" message_timestamp_before_max_ms: i64 = i64::MAX, |v| *v >= 0,
        "How far, in ms, a record's timestamp may lie in the broker's past: 0 or more.";
    "message.timestamp.type" message_timestamp_type: String = "CreateTime", is_timestamp_type,
        "CreateTime or LogAppendTime: who sets the timestamp of a record.";
    "min.cleanable.dirty.ratio" min_cleanable_dirty_ratio: f64 = 0.5, |v| (0.0..=1.0).contains(v),
        "0 to 1. Kept and reported; this broker does not compact.";
    "min.compaction.lag.ms" min_compaction_lag_ms: i64 = 0, |v| *v >= 0,
        "0 or more, and not above max.compaction.lag.ms. Kept and reported; this broker does not compact.";
    "min.insync.replicas" min_insync_replicas: i32 = 1, |v| *v >= 1,
        "1 or more. Kept and reported; the one replica is always in sync.";
    "preallocate" preallocate: bool = false, any,
        "true or false. Kept and reported; this broker has no files.";
    "remote.log.copy.disable" remote_log_copy_disable: bool = false, any,
        "true or false. Kept and reported; there is no remote storage.";
    "remote.log.delete.on.disable" remote_log_delete_on_disable: bool = false, any,
        "true or false. Kept and reported; there is no remote storage.";
    "remote.storage.enable" remote_storage_enable: bool = false, |v| !*v,
        "false: there is no remote storage.";
    "retention.bytes" retention_bytes: i64 = -1, |v| *v >= -1,
        "Kept and reported; this broker deletes records only when asked to (DeleteRecords).";
    "retention.ms" retention_ms: i64 = 604_800_000, |v| *v >= -1,
        "Kept and reported; this broker deletes records only when asked to (DeleteRecords).";
    "segment.bytes" segment_bytes: i32 = 1_073_741_824, |v| *v >= 1_048_576,
        "Kept and reported; this broker has no segment files.";
    "segment.index.bytes" segment_index_bytes: i32 = 10_485_760, |v| *v >= 4,
        "4 or more. Kept and reported; this broker has no segment files.";
    "segment.jitter.ms" segment_jitter_ms: i64 = 0, |v| *v >= 0,
        "0 or more. Kept and reported; this broker has no segment files.";
    "segment.ms" segment_ms: i64 = 604_800_000, |v| *v >= 1,
        "Kept and reported; this broker has no segment files.";
    "unclean.leader.election.enable" unclean_leader_election_enable: bool = false, any,
        "true or false. Kept and reported; there is one replica.";
}

impl TopicSettings {
    /// Checks what one setting alone cannot tell.
    ///
    /// # Errors
    ///
    /// A sentence that names the settings which contradict each other.
    pub(crate) fn check(&self) -> Result<(), BadSetting> {
        let (min, max) = (self.min_compaction_lag_ms, self.max_compaction_lag_ms);
        if min > max {
            return Err(BadSetting(format!(
                "min.compaction.lag.ms is {min} and max.compaction.lag.ms is {max}. Give the second at least the value of the first."
            )));
        }
        Ok(())
    }
}

/// The most partitions of one topic. Kafka sets the same bound to one request.
pub(crate) const MAX_PARTITIONS: i32 = 10_000;
/// The most partitions of all topics together, so that many small requests do not fill the memory. Kafka names no
/// limit.
pub(crate) const MAX_PARTITIONS_IN_ALL: usize = 200_000;

const COMPRESSION_TYPES: [&str; 6] = ["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"];

impl Settings {
    /// What a new topic starts from: the broker's settings that a topic inherits.
    pub(crate) fn topic_defaults(&self) -> TopicSettings {
        TopicSettings {
            max_message_bytes: self.message_max_bytes,
            message_timestamp_after_max_ms: self.log_message_timestamp_after_max_ms,
            message_timestamp_before_max_ms: self.log_message_timestamp_before_max_ms,
            message_timestamp_type: self.log_message_timestamp_type.clone(),
            ..TopicSettings::default()
        }
    }

    /// Host and port of `advertised.listeners`, if set.
    pub(crate) fn advertised(&self) -> Option<(String, u16)> {
        parse_listener(&self.advertised_listeners)
    }
}

/// `HOST:PORT` with or without `PLAINTEXT://`; an IPv6 host stands in brackets.
fn parse_listener(text: &str) -> Option<(String, u16)> {
    let address = text.strip_prefix("PLAINTEXT://").unwrap_or(text);
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    (!host.is_empty() && !host.contains('/')).then_some(())?;
    Some((host.to_owned(), port.parse().ok().filter(|port| *port > 0)?))
}

/// A type that a setting can have.
trait SettingType: Sized {
    const KIND: Kind;
    fn parse(text: &str) -> Option<Self>;
    fn print(&self) -> String;
}

macro_rules! value {
    ($type:ty, $kind:ident) => {
        impl SettingType for $type {
            const KIND: Kind = Kind::$kind;
            fn parse(text: &str) -> Option<Self> {
                text.trim().parse().ok()
            }
            fn print(&self) -> String {
                self.to_string()
            }
        }
    };
}

value!(bool, Boolean);
value!(i32, Int);
value!(i64, Long);
value!(f64, Double);
value!(String, String);

/// Words with commas between them, kept as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct List(String);

impl List {
    /// Is this one of its words?
    pub(crate) fn contains(&self, word: &str) -> bool {
        self.0.split(',').any(|other| other.trim() == word)
    }
}

impl From<&str> for List {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl SettingType for List {
    const KIND: Kind = Kind::List;
    fn parse(text: &str) -> Option<Self> {
        Some(text.into())
    }
    fn print(&self) -> String {
        self.0.clone()
    }
}

fn any<T>(_: &T) -> bool {
    true
}

#[allow(clippy::ptr_arg, reason = "the table's checks take what the field holds")]
fn is_timestamp_type(value: &String) -> bool {
    ["CreateTime", "LogAppendTime"].contains(&value.as_str())
}

fn is_cleanup_policy(value: &List) -> bool {
    // Kafka takes an empty list too, and then keeps everything.
    value.0.is_empty()
        || value.0.split(',').all(|policy| ["delete", "compact"].contains(&policy.trim()))
}

/// Kafka's list of throttled replicas: `*`, or `PARTITION:BROKER` pairs.
fn are_replicas(value: &List) -> bool {
    let is_number = |text: &str| text.trim().parse::<u32>().is_ok();
    let is_pair =
        |pair: &str| pair.split_once(':').is_some_and(|(p, b)| is_number(p) && is_number(b));
    ["", "*"].contains(&value.0.trim()) || value.0.split(',').all(is_pair)
}

fn bad_value(name: &str, value: &str, about: &str) -> BadSetting {
    BadSetting(format!("Invalid value {value:?} for {name}. {about}"))
}

fn unknown_setting(what: &str, name: &str, names: &[&str]) -> BadSetting {
    let nearest = names.iter().min_by_key(|known| strsim::levenshtein(name, known));
    let hint = match nearest.filter(|known| strsim::levenshtein(name, known) <= known.len() / 3) {
        Some(known) => format!("Did you mean {known}?"),
        None => format!("Known are: {}.", names.join(", ")),
    };
    BadSetting(format!("Unknown {what} {name:?}. {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_read_from_text() {
        let mut settings = Settings::default();
        settings.set("num.partitions", "7").unwrap();
        assert_eq!(settings.num_partitions, 7);
        let described = settings.describe();
        let described = described.iter().find(|d| d.name == "num.partitions").unwrap();
        assert_eq!((described.value.as_str(), described.is_default), ("7", false));
    }

    #[test]
    fn a_setting_with_two_names_has_one_value() {
        let mut settings = Settings::default();
        settings.set("node.id", "7").unwrap();
        assert_eq!(settings.broker_id, 7);
        let described = settings.describe();
        let ids = described.iter().filter(|d| ["broker.id", "node.id"].contains(&d.name));
        assert_eq!(ids.map(|d| d.value.as_str()).collect::<Vec<_>>(), ["7", "7"]);
    }

    #[test]
    fn a_refusal_names_the_next_step() {
        let mut settings = Settings::default();
        let says = |result: Result<(), BadSetting>| result.unwrap_err().to_string();
        assert_eq!(
            says(settings.set("num.partition", "7")),
            r#"Unknown broker setting "num.partition". Did you mean num.partitions?"#
        );
        assert!(says(settings.set("x", "7")).contains("Known are: advertised.listeners, "));
        assert_eq!(
            says(settings.set("num.partitions", "none")),
            "Invalid value \"none\" for num.partitions. Partitions of a topic that is created without a count: 1 to 10000. Kafka's own default is 1."
        );
    }

    #[test]
    fn every_default_passes_its_own_check() {
        let (mut settings, mut topic) = (Settings::default(), TopicSettings::default());
        for d in settings.clone().describe() {
            settings.set(d.name, &d.value).unwrap();
        }
        for d in topic.clone().describe() {
            topic.set(d.name, &d.value).unwrap();
        }
        assert_eq!((settings, topic), (Settings::default(), TopicSettings::default()));
    }

    #[test]
    fn an_advertised_listener_is_a_host_and_a_port() {
        let parsed = |text| parse_listener(text).map(|(host, port)| format!("{host} {port}"));
        assert_eq!(parsed("PLAINTEXT://kafka:9092").as_deref(), Some("kafka 9092"));
        assert_eq!(parsed("[::1]:9092").as_deref(), Some("::1 9092"));
        assert_eq!(parsed("SSL://kafka:9092"), None);
        assert_eq!(parsed("kafka"), None);
    }
}
