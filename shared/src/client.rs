//! Clients made from a [`Config`], and the first word with the broker.
//!
//! librdkafka never gives up: without a broker it retries in silence, and its log lines are the only sign. So a lab
//! asks for the metadata first, with a limit of [`FIRST_ANSWER`], and says in a sentence what is wrong.

use crate::config::{Client, Config};
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
use tokio::sync::mpsc;

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
    /// The addresses that the brokers say they have.
    pub brokers: Vec<String>,
}

impl Cluster {
    /// Asks the configured brokers who they are.
    ///
    /// # Errors
    /// [`NoBroker`] when none answers within [`FIRST_ANSWER`].
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
        let mut cluster = Self { admin: Arc::new(admin), asker, brokers: Vec::new() };
        match cluster.metadata().await {
            Ok(metadata) => {
                let address =
                    |broker: &MetadataBroker| format!("{}:{}", broker.host(), broker.port());
                cluster.brokers = metadata.brokers().iter().map(address).collect();
                Ok(cluster)
            }
            Err(error) => {
                let reason = lock(&failure).take().unwrap_or_else(|| error.to_string());
                Err(NoBroker { address: address.to_owned(), reason }.into())
            }
        }
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
    /// It gave these up.
    Revoked(Vec<(String, i32)>),
    /// It could not take part.
    Failed(String),
}

/// The callbacks of the labs' clients: librdkafka's log lines go to `tracing` at `debug`, rebalances into a channel.
#[derive(Debug, Default)]
pub struct Context {
    rebalances: Option<mpsc::UnboundedSender<Rebalance>>,
    start: Option<Offset>,
    /// The partitions that were set to `start` already.
    started: Mutex<BTreeSet<(String, i32)>>,
    /// The last reason why a connection failed.
    failure: Arc<Mutex<Option<String>>>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", ?level, "{facility} {message}");
        if matches!(facility, "FAIL" | "ERROR") {
            *lock(&self.failure) = Some(reason(message));
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", "{error}: {reason}");
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
                let revoke = if cooperative {
                    consumer.incremental_unassign(partitions)
                } else {
                    consumer.unassign()
                };
                (Rebalance::Revoked(names(partitions)), revoke)
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
}
