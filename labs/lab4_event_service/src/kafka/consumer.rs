//! The consumer: `new`, `subscribe` and `start_consuming` as in the seed.
//!
//! Corrected inside:
//!
//! * No `Arc<Mutex<StreamConsumer>>`. The lock would be held while `recv()` waits, which is nearly always: nobody else
//!   could commit, ask or stop. The methods take `&self`, so an `Arc` is enough.
//! * An offset is stored after the handler, not when librdkafka hands the message out (`enable.auto.offset.store`):
//!   auto-commit would otherwise commit what was never handled, and a crash would lose it.
//! * No pause of a second after an error. Errors wait in the same queue as messages and rebalances, and while a broker is
//!   away there are many in a second: at one a second the consumer would still be reading errors minutes after the broker
//!   is back. There is no busy loop either: `recv()` waits until there is something.
//! * A [`Message`] keeps what Kafka has: a key may be missing or no text. The seed's handler, with its `String` key, is
//!   an adapter over it.

use crate::{Config, FAREWELL};
use anyhow::{Context as _, Result};
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message as _};
use shared::client::ConsumerStream;
use shared::shutdown::Shutdown;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Reads messages as a member of a group.
pub struct KafkaConsumer {
    consumer: Arc<ConsumerStream>,
    topics: Vec<String>,
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
        // What happens at a rebalance is not this lab's subject.
        let (consumer, _rebalances) = shared::client::consumer(config, None)?;
        Ok(Self { consumer: Arc::new(consumer), topics })
    }

    /// Asks for a share of the topics' partitions. It comes with the first messages.
    #[expect(clippy::unused_async, reason = "the seed's signature")]
    pub async fn subscribe(&self) -> Result<()> {
        let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        self.consumer
            .subscribe(&topics)
            .with_context(|| format!("{} cannot be subscribed to", topics.join(", ")))
    }

    /// The seed's loop: hands every message to `handler`, in a task of its own, until the process ends or the task is
    /// aborted. A missing key is an empty one here, and bytes that are no UTF-8 are replaced.
    #[expect(clippy::unused_async, reason = "the seed's signature")]
    pub async fn start_consuming<F>(&self, handler: F) -> Result<JoinHandle<()>>
    where
        F: Fn(String, String, Vec<u8>) + Send + Sync + 'static,
    {
        let consumer = self.consumer.clone();
        let handler = move |message: Message| {
            let key =
                String::from_utf8_lossy(message.key.as_deref().unwrap_or_default()).into_owned();
            handler(message.topic, key, message.payload.unwrap_or_default());
            std::future::ready(())
        };
        let (_trigger, never) = Shutdown::by_hand();
        Ok(tokio::spawn(async move { each(&consumer, &never, handler).await }))
    }

    /// Hands every message to `handler`, one after the other, until `shutdown`; then commits and leaves the group.
    ///
    /// The message at hand is finished first, unless that takes longer than [`FAREWELL`]: then it will be read again.
    /// One at a time is a simplification: partitions could be handled side by side, and many messages in one
    /// transaction.
    pub async fn run<H, F>(self, shutdown: &Shutdown, handler: H)
    where
        H: Fn(Message) -> F,
        F: Future<Output = ()>,
    {
        each(&self.consumer, shutdown, handler).await;
        // Both calls block their thread, and need the broker.
        let farewell = tokio::task::spawn_blocking(move || {
            let committed = self.consumer.commit_consumer_state(CommitMode::Sync);
            drop(self);
            committed
        });
        let trouble = match tokio::time::timeout(FAREWELL, farewell).await {
            Ok(Ok(Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)))) => return,
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_elapsed) => "no broker answered".to_owned(),
        };
        tracing::warn!(
            "The last offsets are not committed ({trouble}); their messages will be read again."
        );
    }
}

async fn each<H, F>(consumer: &ConsumerStream, shutdown: &Shutdown, handler: H)
where
    H: Fn(Message) -> F,
    F: Future<Output = ()>,
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
            () = shutdown.requested() => return,
            received = consumer.recv() => received,
        };
        match received {
            Ok(message) => {
                last = None;
                tokio::select! {
                    () = handler(Message::from(&message)) => {}
                    () = &mut too_late => return,
                }
                match consumer.store_offset_from_message(&message) {
                    // State: the partition has gone to another member meanwhile, which will read the message again.
                    Ok(()) | Err(KafkaError::StoreOffset(RDKafkaErrorCode::State)) => {}
                    Err(error) => tracing::warn!("The offset could not be stored: {error}"),
                }
            }
            Err(KafkaError::MessageConsumptionFatal(code)) => {
                tracing::error!("The consumer has ended for good: {code}.");
                return;
            }
            Err(error) => {
                // librdkafka goes on trying, and says the same with each attempt; once will do.
                let reason = reason(&error);
                if last.as_ref() != Some(&reason) {
                    tracing::warn!("Nothing can be received at the moment: {reason}.");
                    last = Some(reason);
                }
            }
        }
    }
}

fn reason(error: &KafkaError) -> String {
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::Resolve,
        ) => "the broker does not answer".to_owned(),
        Some(code) => code.to_string(),
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

    /// `feed_events[2]@17`.
    pub fn place(&self) -> String {
        format!("{}[{}]@{}", self.topic, self.partition, self.offset)
    }
}
