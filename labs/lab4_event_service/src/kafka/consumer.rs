//! The consumer: `new`, `subscribe` and `start_consuming`.
//!
//! Four habits from examples are not here:
//!
//! * No `Arc<Mutex<StreamConsumer>>`. The lock would be held while `recv()` waits, which is nearly always. Nobody else
//!   could commit, ask or stop. The methods take `&self`, so an `Arc` is enough.
//! * No offset is stored before the handler has ended (`enable.auto.offset.store`). Otherwise auto-commit commits messages
//!   that were never handled, and a crash loses them.
//! * No pause of a second after an error. Errors wait in the same queue as messages and rebalances, and there are many in
//!   a second while a broker is away. At one a second, the consumer would still read errors minutes after the broker is
//!   back. This is no busy loop: `recv()` waits until there is something.
//! * No loss on the way to the handler. A [`Message`] keeps everything: a key may be missing or no text. The handler with
//!   a `String` key is an adapter.

use crate::{Commit, Config, FAREWELL};
use anyhow::{Context as _, Result, bail};
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message as _};
use shared::client::{ConsumerStream, Rebalance, words};
use shared::report;
use shared::shutdown::Shutdown;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Reads messages as a member of a group.
pub struct KafkaConsumer {
    consumer: Arc<ConsumerStream>,
    topics: Vec<String>,
    commit: Commit,
    rebalances: mpsc::UnboundedReceiver<Rebalance>,
}

/// A message as it is in Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub payload: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl KafkaConsumer {
    pub fn new(config: &Config, topics: Vec<String>) -> Result<Self> {
        let (consumer, rebalances) = shared::client::consumer(config, None)?;
        Ok(Self { consumer: Arc::new(consumer), topics, commit: config.lab.commit, rebalances })
    }

    /// Asks for a share of the topics' partitions. It comes with the first messages.
    #[expect(clippy::unused_async, reason = "the signature that the lab is given")]
    pub async fn subscribe(&self) -> Result<()> {
        let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        self.consumer
            .subscribe(&topics)
            .with_context(|| format!("{} cannot be subscribed to", topics.join(", ")))
    }

    /// Hands every message to `handler`, in a task of its own, until the process ends or the task is aborted. A missing
    /// key is an empty one here, and bytes that are no UTF-8 are replaced.
    #[expect(clippy::unused_async, reason = "the signature that the lab is given")]
    pub async fn start_consuming<F>(&self, handler: F) -> Result<JoinHandle<()>>
    where
        F: Fn(String, String, Vec<u8>) + Send + Sync + 'static,
    {
        let consumer = self.consumer.clone();
        let handler = move |message: Message| {
            let key =
                String::from_utf8_lossy(message.key.as_deref().unwrap_or_default()).into_owned();
            handler(message.topic, key, message.payload.unwrap_or_default());
            std::future::ready(Ok(()))
        };
        let (_trigger, never) = Shutdown::by_hand();
        let commit = self.commit;
        Ok(tokio::spawn(async move {
            if let Err(error) = each(&consumer, commit, &never, handler).await {
                tracing::error!("The consumer has ended: {error:#}.");
            }
        }))
    }

    /// Hands every message to `handler`, one after the other, until `shutdown`. Then it commits and leaves the group.
    ///
    /// The message at hand is finished first. If that takes longer than [`FAREWELL`], it will be read again.
    /// One at a time is a simplification: partitions could be handled side by side, and many messages in one
    /// transaction.
    pub async fn run<H, F>(mut self, announce: bool, shutdown: &Shutdown, handler: H) -> Result<()>
    where
        H: Fn(Message) -> F,
        F: Future<Output = Result<()>>,
    {
        let result = tokio::select! {
            result = each(&self.consumer, self.commit, shutdown, handler) => result,
            () = tell_losses(&mut self.rebalances, announce, &self.topics) => Ok(()),
        };
        // Both calls block their thread, and need the broker.
        let farewell = tokio::task::spawn_blocking(move || {
            let committed = self.consumer.commit_consumer_state(CommitMode::Sync);
            drop(self);
            committed
        });
        let trouble = match tokio::time::timeout(FAREWELL, farewell).await {
            Ok(Ok(Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)))) => {
                return result;
            }
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_elapsed) => "no broker answered".to_owned(),
        };
        tracing::warn!(
            "The last offsets are not committed ({trouble}); their messages will be read again."
        );
        result
    }
}

/// Rebalances are not this lab's subject, but a person should know when the group was forgotten.
async fn tell_losses(
    rebalances: &mut mpsc::UnboundedReceiver<Rebalance>,
    announce: bool,
    topics: &[String],
) {
    while let Some(rebalance) = rebalances.recv().await {
        if announce && let Rebalance::Lost(_) = rebalance {
            report::note(format!(
                "The group forgot the consumer of {}: its session ended, or the broker forgot everything. It joins again.",
                topics.join(", ")
            ));
        }
    }
    std::future::pending::<()>().await;
}

async fn each<H, F>(
    consumer: &ConsumerStream,
    commit: Commit,
    shutdown: &Shutdown,
    handler: H,
) -> Result<()>
where
    H: Fn(Message) -> F,
    F: Future<Output = Result<()>>,
{
    let too_late = async {
        shutdown.requested().await;
        tokio::time::sleep(FAREWELL).await;
    };
    let mut too_late = std::pin::pin!(too_late);
    let mut last = None;
    loop {
        let received = tokio::select! {
            biased;
            () = shutdown.requested() => return Ok(()),
            received = consumer.recv() => received,
        };
        match received {
            Ok(message) => {
                last = None;
                if commit == Commit::First {
                    store(consumer, &message);
                    if let Err(error) = consumer.commit_message(&message, CommitMode::Async) {
                        tracing::warn!("The offset could not be committed: {error}");
                    }
                }
                tokio::select! {
                    result = handler(Message::from(&message)) => result?,
                    () = &mut too_late => return Ok(()),
                }
                if commit == Commit::After {
                    // Auto-commit commits what is stored.
                    store(consumer, &message);
                }
            }
            Err(KafkaError::MessageConsumptionFatal(code)) => {
                bail!("librdkafka has given up for good: {}", words(code));
            }
            Err(error) => {
                // librdkafka goes on trying, and says the same with each attempt. Once is enough.
                let reason = reason(&error);
                if last.as_ref() != Some(&reason) {
                    report::note(format!(
                        "Nothing can be received now: {reason}. Trying until it works."
                    ));
                    last = Some(reason);
                }
            }
        }
    }
}

fn store(consumer: &ConsumerStream, message: &BorrowedMessage<'_>) {
    match consumer.store_offset_from_message(message) {
        // State: the partition belongs to another member by now, which will read the message again.
        Ok(()) | Err(KafkaError::StoreOffset(RDKafkaErrorCode::State)) => {}
        Err(error) => tracing::warn!("The offset could not be stored: {error}"),
    }
}

fn reason(error: &KafkaError) -> String {
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::Resolve,
        ) => "the broker does not answer".to_owned(),
        Some(code) => words(code),
        None => error.to_string(),
    }
}

impl From<&BorrowedMessage<'_>> for Message {
    fn from(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().map(|headers| {
            headers
                .iter()
                .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_owned)))
                .collect()
        });
        Self {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_owned),
            payload: message.payload().map(<[u8]>::to_owned),
            headers: headers.unwrap_or_default(),
        }
    }
}

impl Message {
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(key, _)| key == name)?;
        std::str::from_utf8(value.as_deref()?).ok()
    }

    /// The bytes of key, payload and headers.
    pub fn size(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers = self.headers.iter().map(|(key, value)| key.len() + length(value));
        length(&self.key) + length(&self.payload) + headers.sum::<usize>()
    }

    /// `feed_events[2]@17`.
    pub fn place(&self) -> String {
        format!("{}[{}]@{}", self.topic, self.partition, self.offset)
    }
}
