//! Clients made from a [`Config`], and the first word with the broker.
//!
//! librdkafka never gives up: without a broker it retries in silence, and its log lines are the only sign. So a lab
//! asks for the metadata first, with a limit of [`FIRST_ANSWER`], and says in a sentence what is wrong.

use crate::config::{Client, Config};
use crate::shutdown;
use anyhow::Context as _;
use rdkafka::admin::AdminClient;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::base_consumer::BaseConsumer;
use rdkafka::consumer::{Consumer, ConsumerContext, RebalanceProtocol, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::{Metadata, MetadataBroker};
use rdkafka::producer::{FutureProducer, Producer as _};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::{Notify, mpsc};

/// How long a broker may take for its first answer.
pub const FIRST_ANSWER: Duration = Duration::from_secs(3);

/// A producer as the labs use it: its delivery reports are futures, it can be cloned, and every thread may send.
pub type Producer = FutureProducer<Context>;

/// A consumer as the labs use it.
pub type ConsumerStream = StreamConsumer<Context>;

/// Makes a producer.
///
/// # Errors
/// When librdkafka does not take the combination of properties.
pub fn producer<L>(config: &Config<L>) -> anyhow::Result<Producer> {
    config
        .client(Client::Producer)
        .create_with_context(Context::default())
        .context("librdkafka refuses to make a producer of these properties")
}

/// Makes a consumer that tells about its rebalances, and reads each partition from `start` on when it gets it for the
/// first time (`None`: from the group's committed offset, else by `auto.offset.reset`).
///
/// # Errors
/// When librdkafka does not take the combination of properties.
pub fn consumer<L>(
    config: &Config<L>,
    start: Option<Offset>,
) -> anyhow::Result<(ConsumerStream, mpsc::UnboundedReceiver<Rebalance>)> {
    let (sender, rebalances) = mpsc::unbounded_channel();
    let context = Context { rebalances: Some(sender), start, ..Context::default() };
    let consumer = config
        .client(Client::Consumer)
        .create_with_context(context)
        .context("librdkafka refuses to make a consumer of these properties")?;
    Ok((consumer, rebalances))
}

/// A cluster that has answered.
#[derive(Clone)]
pub struct Cluster {
    admin: Arc<AdminClient<Context>>,
    /// Asks for metadata. rdkafka never hands over the log lines of an admin client, and they hold the reason why there
    /// is no answer.
    asker: Producer,
    /// What happens to the asker's connections.
    failure: Arc<Failure>,
    /// What [`Self::id`] said when it answered first.
    pub(crate) first_id: Option<String>,
    /// The addresses that the brokers say they have.
    pub brokers: Vec<String>,
}

impl Cluster {
    /// Asks the configured brokers who they are.
    ///
    /// # Errors
    /// [`NoBroker`] when none answers within [`FIRST_ANSWER`], or at once when nothing listens on this machine.
    pub async fn connect<L>(config: &Config<L>) -> anyhow::Result<Self> {
        Self::ask(&config.admin(), config.bootstrap_servers()).await
    }

    /// Asks the brokers at this address, without a configuration.
    ///
    /// # Errors
    /// [`NoBroker`] when none answers within [`FIRST_ANSWER`].
    pub async fn at(bootstrap_servers: &str) -> anyhow::Result<Self> {
        Self::ask(
            ClientConfig::new().set("bootstrap.servers", bootstrap_servers),
            bootstrap_servers,
        )
        .await
    }

    async fn ask(config: &ClientConfig, address: &str) -> anyhow::Result<Self> {
        let refused = "librdkafka refuses to make a client of these properties";
        let context = Context::default();
        let failure = context.failure.clone();
        let asker = config.create_with_context(context).context(refused)?;
        let admin: AdminClient<Context> =
            config.create_with_context(Context::default()).context(refused)?;
        let admin = Arc::new(admin);
        let mut cluster = Self { admin, asker, failure, first_id: None, brokers: Vec::new() };
        let no_broker = |reason| NoBroker { address: address.to_owned(), reason };
        let asking = async {
            tokio::select! {
                answer = cluster.metadata() => answer.map_err(|error| {
                    tracing::debug!("{error}");
                    let silence = || format!("no answer within {} s", FIRST_ANSWER.as_secs());
                    no_broker(cluster.failure.reason().unwrap_or_else(silence))
                }),
                () = cluster.failure.nobody_listens(address) => Err(no_broker(REFUSED.to_owned())),
            }
            .map_err(anyhow::Error::from)
        };
        let metadata = shutdown::unless_interrupted(asking).await?;
        // It stood in the answer, so this waits for nothing.
        cluster.first_id = cluster.asker.client().fetch_cluster_id(Duration::ZERO);
        let address = |broker: &MetadataBroker| format!("{}:{}", broker.host(), broker.port());
        cluster.brokers = metadata.brokers().iter().map(address).collect();
        Ok(cluster)
    }

    /// The cluster's name for itself. A broker that keeps everything in memory has a new one after each start.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn id(&self) -> anyhow::Result<Option<String>> {
        // librdkafka remembers the id of the last answer, so there must be a new one first.
        self.metadata().await.context("The broker did not tell its name")?;
        let asker = self.asker.clone();
        let id = tokio::task::spawn_blocking(move || asker.client().fetch_cluster_id(FIRST_ANSWER));
        Ok(id.await.unwrap_or_default())
    }

    /// Waits until a connection is lost: whatever answers next may be another broker.
    pub(crate) async fn lost_connection(&self) {
        self.failure.noticed.notified().await;
    }

    /// What the coordinator says of a group; `None` when there is no such group.
    ///
    /// # Errors
    /// When the coordinator does not answer.
    pub async fn group(&self, group: &str) -> anyhow::Result<Option<GroupState>> {
        let (asker, name) = (self.asker.clone(), group.to_owned());
        let described = tokio::task::spawn_blocking(move || {
            let groups = asker.client().fetch_group_list(Some(&name), FIRST_ANSWER)?;
            let found = groups.groups().iter().find(|group| group.name() == name);
            Ok(found.map(|group| GroupState {
                state: group.state().to_owned(),
                members: group
                    .members()
                    .iter()
                    .map(|member| {
                        // Java's way to write an address: `/127.0.0.1`.
                        let host = member.client_host().trim_start_matches('/');
                        format!("{} at {host}", member.client_id())
                    })
                    .collect(),
            }))
        });
        let described: Result<_, KafkaError> = described.await.unwrap_or(Err(KafkaError::Canceled));
        described.with_context(|| format!("The broker did not tell about group {group}"))
    }

    /// The names of all topics.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn topics(&self) -> anyhow::Result<Vec<String>> {
        let metadata = self.metadata().await.context("The broker did not tell its topics")?;
        Ok(metadata.topics().iter().map(|topic| topic.name().to_owned()).collect())
    }

    /// How many partitions the topic has; `None` when there is no such topic.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn partitions(&self, topic: &str) -> anyhow::Result<Option<i32>> {
        // All topics are asked for: a request that names one would create it on some brokers.
        let metadata = self.metadata().await.context("The broker did not tell its topics")?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
            return Ok(None);
        };
        // Right after its creation a topic may be known without its partitions, or these without a leader.
        let ready = found.error().is_none()
            && found.partitions().iter().all(|partition| partition.leader() >= 0);
        let count = i32::try_from(found.partitions().len()).unwrap_or(i32::MAX);
        Ok((ready && count > 0).then_some(count))
    }

    /// The client that asks.
    pub(crate) fn asker(&self) -> &Producer {
        &self.asker
    }

    /// The client for creating and deleting things.
    pub fn admin(&self) -> &AdminClient<Context> {
        &self.admin
    }

    async fn metadata(&self) -> Result<Metadata, KafkaError> {
        let asker = self.asker.clone();
        // librdkafka's call blocks its thread.
        tokio::task::spawn_blocking(move || asker.client().fetch_metadata(None, FIRST_ANSWER))
            .await
            .unwrap_or(Err(KafkaError::Canceled))
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("brokers", &self.brokers).finish_non_exhaustive()
    }
}

/// A group, as DescribeGroups tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupState {
    /// `Stable`, `PreparingRebalance`, `CompletingRebalance`, `Empty` or `Dead`.
    pub state: String,
    /// `client.id at host` of each member.
    pub members: Vec<String>,
}

/// No broker answered. Ends a program with code 4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoBroker {
    /// Where one was looked for.
    pub address: String,
    /// What librdkafka said about it last.
    pub reason: String,
}

impl fmt::Display for NoBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Could not reach a broker at {} ({}). ", self.address, self.reason)?;
        f.write_str(if self.is_about_the_name() {
            "This machine finds no address for that name. Check the spelling and the network; \
             a broker on this machine is at 127.0.0.1:9092."
        } else {
            "Start one with `make up`, or `make up BROKER=docker` for Apache Kafka."
        })
    }
}

impl NoBroker {
    /// Did the resolver fail? Then a broker may well run, so "start one" is the wrong advice.
    fn is_about_the_name(&self) -> bool {
        // The words of librdkafka, and of Rust's standard library.
        self.reason.starts_with(RESOLVER) || self.reason.contains("lookup address information")
    }
}

const RESOLVER: &str = "Failed to resolve";

impl std::error::Error for NoBroker {}

/// What happened to a consumer's share of the partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rebalance {
    /// It got these; none when there are more members than partitions.
    Assigned(Vec<(String, i32)>),
    /// It gave these up, as part of a rebalance.
    Revoked(Vec<(String, i32)>),
    /// The group does not know this member any more, and these may belong to somebody else already. Either the group has
    /// not heard from it for `session.timeout.ms`, or the broker has forgotten the group. The member joins again.
    Lost(Vec<(String, i32)>),
    /// It could not take part.
    Failed(String),
}

impl fmt::Display for Rebalance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |partitions: &[(String, i32)]| {
            let names: Vec<String> = partitions
                .iter()
                .map(|(topic, partition)| format!("{topic}[{partition}]"))
                .collect();
            names.join(" ")
        };
        match self {
            Self::Assigned(none) if none.is_empty() => f.write_str(
                "assigned nothing: the group has more members than the topic has partitions",
            ),
            Self::Assigned(partitions) => write!(f, "assigned {}", list(partitions)),
            Self::Revoked(partitions) => write!(f, "revoked {}", list(partitions)),
            Self::Lost(partitions) if partitions.is_empty() => {
                f.write_str("The group forgot this member. It joins again.")
            }
            Self::Lost(partitions) => write!(
                f,
                "The group forgot this member, which loses {}. It joins again.",
                list(partitions)
            ),
            Self::Failed(reason) => write!(f, "The group could not be joined: {reason}."),
        }
    }
}

/// The callbacks of the labs' clients: librdkafka's log lines go to `tracing` at `debug`, rebalances into a channel.
#[derive(Debug, Default)]
pub struct Context {
    rebalances: Option<mpsc::UnboundedSender<Rebalance>>,
    start: Option<Offset>,
    /// The partitions that were set to `start` already.
    started: Mutex<BTreeSet<(String, i32)>>,
    failure: Arc<Failure>,
}

/// What went wrong with the connections of a client.
#[derive(Debug, Default)]
struct Failure {
    /// The last reason why one failed.
    reason: Mutex<Option<String>>,
    /// One has failed just now.
    noticed: Notify,
}

const REFUSED: &str = "Connection refused";

impl Failure {
    fn happened(&self, reason: String) {
        *lock(&self.reason) = Some(reason);
        self.noticed.notify_one();
    }

    fn reason(&self) -> Option<String> {
        lock(&self.reason).clone()
    }

    /// Waits until it is certain that nothing listens at these addresses: all of them are on this machine, and each one
    /// refuses. Elsewhere a broker may be on its way up, so there the client goes on trying.
    async fn nobody_listens(&self, addresses: &str) {
        loop {
            self.noticed.notified().await;
            if self.reason().as_deref() == Some(REFUSED) && all_refuse(addresses).await {
                return;
            }
        }
    }
}

async fn all_refuse(addresses: &str) -> bool {
    for address in addresses.split(',') {
        let address = address.trim();
        let address = address.split_once("://").map_or(address, |(_protocol, rest)| rest);
        let Ok(found) = lookup_host(address).await else { return false };
        for address in found {
            let is_refused =
                |error: std::io::Error| error.kind() == std::io::ErrorKind::ConnectionRefused;
            if !address.ip().is_loopback()
                || !TcpStream::connect(address).await.is_err_and(is_refused)
            {
                return false;
            }
        }
    }
    true
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", ?level, "{facility} {message}");
        if matches!(facility, "FAIL" | "ERROR") {
            self.failure.happened(reason(message));
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", "{error}: {reason}");
        // Also a connection that was closed, which is no line at the usual level.
        self.failure.noticed.notify_one();
    }
}

impl ConsumerContext for Context {
    /// What rdkafka does by itself, and the start offset between its two steps.
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        let (event, result) = match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                self.set_start(partitions);
                let assign = if cooperative {
                    consumer.incremental_assign(partitions)
                } else {
                    consumer.assign(partitions)
                };
                (Rebalance::Assigned(names(partitions)), assign)
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => {
                // Asked before they are given up: afterwards nothing is left that could be lost.
                let is_lost = consumer.assignment_lost();
                let revoke = if cooperative {
                    consumer.incremental_unassign(partitions)
                } else {
                    consumer.unassign()
                };
                let event = if is_lost { Rebalance::Lost } else { Rebalance::Revoked };
                (event(names(partitions)), revoke)
            }
            error => {
                (Rebalance::Failed(RDKafkaErrorCode::from(error).to_string()), consumer.unassign())
            }
        };
        if let Err(error) = result {
            tracing::warn!("The new assignment could not be taken: {error}");
        }
        if let Some(rebalances) = &self.rebalances {
            // Nobody listens any more when the consumer is being closed.
            let _ = rebalances.send(event);
        }
    }
}

impl Context {
    fn set_start(&self, partitions: &mut TopicPartitionList) {
        let Some(start) = self.start else { return };
        let mut started = lock(&self.started);
        for (topic, partition) in names(partitions) {
            if started.insert((topic.clone(), partition))
                && let Err(error) = partitions.set_partition_offset(&topic, partition, start)
            {
                tracing::warn!("{topic}[{partition}] cannot be read from {start:?}: {error}");
            }
        }
    }
}

fn names(partitions: &TopicPartitionList) -> Vec<(String, i32)> {
    partitions
        .elements()
        .iter()
        .map(|element| (element.topic().to_owned(), element.partition()))
        .collect()
}

/// librdkafka's words for a code, as a part of a sentence: `unknown topic or partition`.
pub fn words(code: RDKafkaErrorCode) -> String {
    let text = code.to_string();
    // `UnknownTopicOrPartition (Broker: Unknown topic or partition)`
    let words = text.split_once(": ").map_or(text.as_str(), |(_, words)| words);
    let words = words.strip_suffix(')').unwrap_or(words);
    let mut characters = words.chars();
    characters
        .next()
        .map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}

/// `[thrd:…]: kafka:9092/bootstrap: Connect to ipv4#10.0.0.9:9092 failed: Connection refused (after 0ms in state
/// CONNECT)` → `Connection refused`. What the resolver says keeps the name.
fn reason(message: &str) -> String {
    let message = message.split(" (after ").next().unwrap_or(message);
    match message.find(RESOLVER) {
        Some(start) => message[start..].to_owned(),
        None => message.rsplit(": ").next().unwrap_or(message).to_owned(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What it guards is whole after any panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_end_of_librdkafkas_line() {
        let line = "[thrd:localhost:1/bootstrap]: localhost:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: \
                    Connection refused (after 0ms in state CONNECT, 2 identical error(s) suppressed)";
        assert_eq!(reason(line), "Connection refused");
    }

    #[test]
    fn a_name_without_an_address_is_no_reason_to_start_a_broker() {
        let line = "[thrd:nosuch:9092/bootstrap]: nosuch:9092/bootstrap: Failed to resolve 'nosuch:9092': \
                    Name or service not known (after 3ms in state CONNECT)";
        let standard = "failed to lookup address information: Name or service not known".to_owned();
        for reason in [reason(line), standard] {
            let sentence = NoBroker { address: "nosuch:9092".to_owned(), reason }.to_string();
            assert!(
                sentence.contains("Name or service not known). This machine finds"),
                "{sentence}"
            );
            assert!(!sentence.contains("make up"), "{sentence}");
        }
    }

    #[test]
    fn a_code_has_words_that_fit_into_a_sentence() {
        assert_eq!(words(RDKafkaErrorCode::UnknownTopicOrPartition), "unknown topic or partition");
        assert_eq!(words(RDKafkaErrorCode::MessageTimedOut), "message timed out");
    }

    #[tokio::test]
    async fn only_this_machine_can_say_for_certain_that_nothing_listens() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(!all_refuse(&format!("127.0.0.1:{port}")).await);
        drop(listener);
        assert!(all_refuse(&format!("PLAINTEXT://127.0.0.1:{port}")).await);
        // An address of the documentation: it may not be asked, let alone believed.
        assert!(!all_refuse(&format!("127.0.0.1:{port},192.0.2.1:{port}")).await);
    }
}
