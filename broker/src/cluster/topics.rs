//! The topics of the cluster, by name and by id.
//!
//! A topic never changes: more partitions make a new `Topic` that shares the old partitions. A handler
//! that holds one needs no lock, and one that deletes or replaces it disturbs nobody.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use parking_lot::RwLock;
use uuid::Uuid;

use super::{Memory, Partition};
use crate::{
    error_code::ErrorCode,
    log::{Rules, TimestampType},
    settings::{MAX_PARTITIONS, MAX_PARTITIONS_IN_ALL, TopicSettings},
};

/// A named list of partitions.
#[derive(Clone, Debug)]
pub(crate) struct Topic {
    pub(crate) name: String,
    /// Tells a topic from one of the same name that was deleted (KIP-516).
    pub(crate) id: Uuid,
    pub(crate) partitions: Vec<Arc<Partition>>,
    pub(crate) settings: TopicSettings,
    /// The settings that were given when the topic was made.
    pub(crate) overrides: BTreeMap<String, String>,
    /// What the settings ask of a batch.
    pub(crate) rules: Rules,
}

impl Topic {
    /// The partition with this index, if the topic has it.
    pub(crate) fn partition(&self, index: i32) -> Option<&Arc<Partition>> {
        self.partitions.get(usize::try_from(index).ok()?)
    }

    /// How many partitions the topic has.
    pub(crate) fn partition_count(&self) -> i32 {
        i32::try_from(self.partitions.len()).expect("MAX_PARTITIONS fits")
    }
}

fn rules(settings: &TopicSettings) -> Rules {
    Rules {
        max_bytes: usize::try_from(settings.max_message_bytes).unwrap_or(0),
        timestamps: match settings.message_timestamp_type.as_str() {
            "LogAppendTime" => TimestampType::LogAppendTime,
            _ => TimestampType::CreateTime,
        },
        before_max: settings.message_timestamp_before_max_ms,
        after_max: settings.message_timestamp_after_max_ms,
        is_compacted: settings.cleanup_policy.contains("compact"),
    }
}

/// A topic that somebody wants to have.
#[derive(Clone, Debug)]
pub(crate) struct NewTopic {
    pub(crate) name: String,
    pub(crate) partitions: i32,
    pub(crate) overrides: BTreeMap<String, String>,
}

/// Topics that Kafka makes for itself. Here their content is kept elsewhere in memory, and a client that made one of
/// them would find it empty for ever.
const INTERNAL: [&str; 2] = ["__consumer_offsets", "__transaction_state"];

/// How many partitions a topic shall have in the end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Partitions(pub(crate) i32);

/// Why a change of topics was refused: the code for programs, the sentence for people.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
}

#[derive(Debug)]
pub(crate) struct Topics {
    defaults: TopicSettings,
    /// The node that leads every partition.
    node: i32,
    memory: Arc<Memory>,
    all: RwLock<All>,
}

#[derive(Debug, Default)]
struct All {
    by_name: BTreeMap<String, Arc<Topic>>,
    names: HashMap<Uuid, String>,
    /// Names as Kafka's metrics write them, with the topics' own.
    by_metric: HashMap<String, String>,
    /// Of all topics.
    partitions: usize,
}

impl All {
    fn add(&mut self, topic: &Arc<Topic>) {
        self.names.insert(topic.id, topic.name.clone());
        self.by_metric.insert(as_metric(&topic.name), topic.name.clone());
        self.partitions += topic.partitions.len();
        self.by_name.insert(topic.name.clone(), Arc::clone(topic));
    }

    fn remove(&mut self, name: &str) -> Option<Arc<Topic>> {
        let topic = self.by_name.remove(name)?;
        self.names.remove(&topic.id);
        self.by_metric.remove(&as_metric(name));
        self.partitions -= topic.partitions.len();
        Some(topic)
    }

    /// Is there room for so many more partitions?
    fn check_room(&self, more: i32) -> Result<(), Refusal> {
        let in_all = self.partitions.saturating_add(usize::try_from(more).unwrap_or(0));
        if in_all <= MAX_PARTITIONS_IN_ALL {
            return Ok(());
        }
        let message = format!(
            "{in_all} partitions in all are more than this broker's {MAX_PARTITIONS_IN_ALL}. Delete topics, or make fewer partitions."
        );
        Err(refuse(ErrorCode::PolicyViolation, message))
    }
}

/// Kafka's metrics write '.' as '_', so two names that differ only there would be mixed up.
fn as_metric(name: &str) -> String {
    name.replace('.', "_")
}

impl Topics {
    pub(crate) fn new(defaults: TopicSettings, node: i32, memory: Arc<Memory>) -> Self {
        Self { defaults, node, memory, all: RwLock::default() }
    }

    /// The topic of this name.
    pub(crate) fn named(&self, name: &str) -> Option<Arc<Topic>> {
        self.all.read().by_name.get(name).cloned()
    }

    /// The topic with this id.
    pub(crate) fn with_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        let all = self.all.read();
        all.by_name.get(all.names.get(&id)?).cloned()
    }

    /// All topics, by name.
    pub(crate) fn list(&self) -> Vec<Arc<Topic>> {
        self.all.read().by_name.values().cloned().collect()
    }

    /// Makes a topic, or only says whether it could be made.
    ///
    /// # Errors
    ///
    /// `INVALID_TOPIC_EXCEPTION`, `TOPIC_ALREADY_EXISTS`, `INVALID_PARTITIONS`, `INVALID_CONFIG`.
    pub(crate) fn create(&self, new: NewTopic, only_validate: bool) -> Result<Arc<Topic>, Refusal> {
        let NewTopic { name, partitions, overrides } = new;
        check_name(&name)?;
        if is_internal(&name) {
            let message = format!("Topic '{name}' is internal: no client can create it.");
            return Err(refuse(ErrorCode::InvalidTopicException, message));
        }
        check_count(partitions)?;
        let mut settings = self.defaults.clone();
        for (key, value) in &overrides {
            settings
                .set(key, value)
                .map_err(|bad| refuse(ErrorCode::InvalidConfig, bad.to_string()))?;
        }
        settings.check().map_err(|bad| refuse(ErrorCode::InvalidConfig, bad.to_string()))?;

        let mut all = self.all.write();
        if all.by_name.contains_key(&name) {
            return Err(refuse(
                ErrorCode::TopicAlreadyExists,
                format!("Topic '{name}' already exists."),
            ));
        }
        if let Some(other) = all.by_metric.get(&as_metric(&name)) {
            let message = format!("Topic '{name}' collides with existing topic: {other}");
            return Err(refuse(ErrorCode::InvalidTopicException, message));
        }
        all.check_room(partitions)?;
        let id = Uuid::new_v4();
        let partitions = (0..partitions).map(|_| self.new_partition()).collect();
        let rules = rules(&settings);
        let topic = Arc::new(Topic { name, id, partitions, settings, overrides, rules });
        if !only_validate {
            all.add(&topic);
        }
        Ok(topic)
    }

    /// Gives a topic more partitions; those it has stay as they are, and so does every key's *old* record.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_TOPIC_OR_PARTITION`, and `INVALID_PARTITIONS` unless the number grows.
    pub(crate) fn grow(
        &self,
        name: &str,
        Partitions(count): Partitions,
        only_validate: bool,
    ) -> Result<(), Refusal> {
        let mut all = self.all.write();
        let Some(topic) = all.by_name.get(name) else { return Err(unknown_topic()) };
        let has = topic.partition_count();
        if count <= has {
            let message = if count == has {
                format!("Topic already has {count} partition(s).")
            } else {
                format!(
                    "The topic {name} currently has {has} partition(s); {count} would not be an increase."
                )
            };
            return Err(refuse(ErrorCode::InvalidPartitions, message));
        }
        check_count(count)?;
        all.check_room(count - has)?;
        if !only_validate {
            let mut grown = Topic::clone(topic);
            grown.partitions.extend((has..count).map(|_| self.new_partition()));
            all.remove(name);
            all.add(&Arc::new(grown));
        }
        Ok(())
    }

    fn new_partition(&self) -> Arc<Partition> {
        Arc::new(Partition::new(self.node, Arc::clone(&self.memory)))
    }

    /// Deletes a topic with its records and wakes whoever waits for them.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_TOPIC_OR_PARTITION`.
    pub(crate) fn delete(&self, name: &str) -> Result<Arc<Topic>, Refusal> {
        let topic = self.all.write().remove(name).ok_or_else(unknown_topic)?;
        for partition in &topic.partitions {
            partition.delete();
        }
        Ok(topic)
    }
}

/// Kafka's rule for names: 1 to 249 of the characters `a–z A–Z 0–9 . _ -`, and neither `.` nor `..`.
pub(crate) fn check_name(name: &str) -> Result<(), Refusal> {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || ['.', '_', '-'].contains(&c);
    let problem = match name {
        "" => "the empty string is not allowed".to_owned(),
        "." | ".." => format!("'{name}' is not allowed"),
        _ if name.len() > 249 => {
            format!("the length of '{name}' is longer than the max allowed length 249")
        }
        _ if !name.chars().all(is_legal) => {
            format!(
                "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
            )
        }
        _ => return Ok(()),
    };
    Err(refuse(ErrorCode::InvalidTopicException, format!("Topic name is invalid: {problem}")))
}

/// Whether only the broker may make a topic of this name.
pub(crate) fn is_internal(name: &str) -> bool {
    INTERNAL.contains(&name)
}

fn check_count(partitions: i32) -> Result<(), Refusal> {
    let message = match partitions {
        ..=0 => "Number of partitions was set to an invalid non-positive value.".to_owned(),
        1..=MAX_PARTITIONS => return Ok(()),
        _ => format!(
            "{partitions} partitions are more than this broker's {MAX_PARTITIONS} for one topic."
        ),
    };
    Err(refuse(ErrorCode::InvalidPartitions, message))
}

fn unknown_topic() -> Refusal {
    refuse(
        ErrorCode::UnknownTopicOrPartition,
        "This server does not host this topic-partition.".to_owned(),
    )
}

fn refuse(code: ErrorCode, message: String) -> Refusal {
    Refusal { code, message }
}
