//! `[lab]`: the keys of this lab's files, and the configuration of each of the two clients.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use shared::config::{Client, Config, ConfigError, Flags, Program};
use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

/// The program, whatever its subcommand: it has both kinds of clients.
pub const PROGRAM: Program<'static> = Program {
    name: "lab2",
    file: "labs/lab2_consumer_groups/config_own_groups.toml",
    clients: &[Client::Producer, Client::Consumer],
    defaults: &[(Client::Consumer, "enable.auto.commit", "false")],
};

/// `[lab]`. The defaults are those of `config_own_groups.toml`. With one transaction every 2 s, some batches are full
/// after 4 s, and others have only two transactions when their 5 s are over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lab {
    /// The producer's pause between two transactions.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// A batch is handed over when it has so many transactions …
    pub batch_size: NonZeroUsize,
    /// … or is so old, whichever comes first.
    #[serde(with = "humantime_serde")]
    pub batch_wait: Duration,
    /// When the batch's offsets are committed.
    pub commit: Commit,
    /// What is done with each transaction, in this order.
    pub pipeline: Vec<Step>,
    /// Say which partitions a consumer gets and gives up.
    pub assignments: bool,
    /// BRAVO's own properties.
    pub bravo: Own,
    /// ZULU's own properties.
    pub zulu: Own,
}

impl Default for Lab {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(2),
            batch_size: NonZeroUsize::new(3).expect("3 is not 0"),
            batch_wait: Duration::from_secs(5),
            commit: Commit::Before,
            pipeline: vec![Step::Validate, Step::Enrich, Step::Sum],
            assignments: false,
            bravo: Own::default(),
            zulu: Own::default(),
        }
    }
}

/// When a batch's offsets are committed, seen from its processing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Commit {
    /// Before: at most once. A consumer that dies loses what it had not processed yet.
    Before,
    /// After: at least once. When a consumer dies, what it had processed already comes again.
    After,
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Before => "before",
            Self::After => "after",
        })
    }
}

/// One step of the pipeline, by its name in `[lab] pipeline`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// Rejects a payment of nothing, or to oneself. A rejected payment takes no further step.
    Validate,
    /// Adds the amount in euros.
    Enrich,
    /// Counts payments and money by currency, for the last line.
    Sum,
    /// Prints a line for each payment.
    Log,
    /// Writes it into the ledger, the proof that it was processed.
    Book,
}

/// Consumer properties of one client alone, written as Kafka writes them: `bravo.group.id = "test_group_bravo"`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Own {
    /// `group.…`
    pub group: Group,
}

/// `group.id` and `group.instance.id`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Group {
    /// The group to join.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `group.instance.…`
    #[serde(skip_serializing_if = "is_default")]
    pub instance: Instance,
}

/// `group.instance.id`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Instance {
    /// The name under which a static member comes back (KIP-345).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// A key that is not set is not shown by `--dump-config`.
fn is_default(instance: &Instance) -> bool {
    instance.id.is_none()
}

/// One of the two consumers. Both are the same code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Name {
    /// 🟣
    Bravo,
    /// 🔵
    Zulu,
}

impl Name {
    /// Both, in the order in which `start-consumer` starts them.
    pub const BOTH: [Self; 2] = [Self::Bravo, Self::Zulu];

    /// Its `client.id`.
    pub fn id(self) -> &'static str {
        match self {
            Self::Bravo => "bravo",
            Self::Zulu => "zulu",
        }
    }

    /// What its lines begin with.
    pub fn label(self, plain: bool) -> &'static str {
        match (self, plain) {
            (Self::Bravo, false) => "[client 🟣 BRAVO]",
            (Self::Zulu, false) => "[client 🔵 ZULU]",
            (Self::Bravo, true) => "[client BRAVO]",
            (Self::Zulu, true) => "[client ZULU]",
        }
    }

    /// The configuration as this client gets it: its own properties over `[consumer]`, under what `-X` says.
    ///
    /// # Errors
    /// When librdkafka does not take a value, or when there is no group at all.
    pub fn configure(
        self,
        config: &Config<Lab>,
        flags: &Flags,
    ) -> Result<Config<Lab>, ConfigError> {
        let mut config = config.clone();
        let Group { id, instance } = match self {
            Self::Bravo => config.lab.bravo.group.clone(),
            Self::Zulu => config.lab.zulu.group.clone(),
        };
        let own = [
            ("client.id", Some(self.id().to_owned())),
            ("group.id", id),
            ("group.instance.id", instance.id),
        ];
        for (name, value) in own {
            let by_flag = flags.properties.iter().any(|(flag, _)| flag == name);
            if let (Some(value), false) = (value, by_flag) {
                config.set(Client::Consumer, name, &value, &format!("[lab] {}", self.id()))?;
            }
        }
        if config.property(Client::Consumer, "group.id").is_none() {
            // librdkafka's own answer comes late and names no file.
            config.set(Client::Consumer, "group.id", &format!("lab2-{}", self.id()), "built in")?;
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn load(file: &str, flags: &Flags) -> Config<Lab> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        Config::load_file(&PROGRAM, flags, &path).unwrap()
    }

    fn consumer(config: &Config<Lab>, name: &str) -> Option<String> {
        config.property(Client::Consumer, name).map(|setting| setting.value.clone())
    }

    #[test]
    fn the_default_file_says_what_the_program_would_do_without_it() {
        let flags = Flags::default();
        let mut lab = load("config_own_groups.toml", &flags).lab;
        assert_eq!(lab.bravo.group.id.take().as_deref(), Some("test_group_bravo"));
        assert_eq!(lab.zulu.group.id.take().as_deref(), Some("test_group_zulu"));
        assert_eq!(lab, Lab::default());
    }

    #[test]
    fn each_client_lays_its_own_properties_over_the_common_ones() {
        let flags = Flags::default();
        let own = load("config_own_groups.toml", &flags);
        let bravo = Name::Bravo.configure(&own, &flags).unwrap();
        assert_eq!(consumer(&bravo, "client.id").as_deref(), Some("bravo"));
        assert_eq!(consumer(&bravo, "group.id").as_deref(), Some("test_group_bravo"));
        assert_eq!(consumer(&bravo, "group.instance.id"), None);

        let one = load("config_one_group.toml", &flags);
        let zulu = Name::Zulu.configure(&one, &flags).unwrap();
        assert_eq!(consumer(&zulu, "group.id").as_deref(), Some("analytics"));
        assert_eq!(consumer(&zulu, "group.instance.id").as_deref(), Some("1-zulu"));
    }

    #[test]
    fn a_flag_wins_over_a_clients_own_property() {
        let properties = vec![("group.id".to_owned(), "audit".to_owned())];
        let flags = Flags { properties, ..Flags::default() };
        let own = load("config_own_groups.toml", &flags);
        let zulu = Name::Zulu.configure(&own, &flags).unwrap();
        assert_eq!(consumer(&zulu, "group.id").as_deref(), Some("audit"));
    }
}
