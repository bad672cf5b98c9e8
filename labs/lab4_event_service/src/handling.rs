//! One message, from Kafka to its effect: dedupe → handler → retry → dead letter.

use crate::database::Database;
use crate::kafka::{KafkaProducer, Message, dead_letters};
use crate::metrics::{ConsumerMetrics, Outcome};
use crate::{Config, Lab};
use anyhow::Result;
use backon::{ExponentialBuilder, Retryable};
use rusqlite::Transaction;
use shared::report;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use uuid::Uuid;

pub const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS handled (
        consumer TEXT NOT NULL,
        event_id TEXT NOT NULL,
        PRIMARY KEY (consumer, event_id)
    ) WITHOUT ROWID;
";

/// Why a message could not be handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It may work later: a database is busy, something that the message needs is not there yet.
    Temporary(String),
    /// It never will: the message is no event.
    Permanent(String),
}

impl Failure {
    pub fn reason(&self) -> &str {
        let (Self::Temporary(reason) | Self::Permanent(reason)) = self;
        reason
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Temporary(error.to_string())
    }
}

/// What reads an event and has an effect. The effect is part of the transaction, and so is the mark that it was had.
pub trait Handler: Clone + Send + Sync + 'static {
    type Event: Send + 'static;

    fn parse(&self, payload: &str) -> serde_json::Result<Self::Event>;
    fn event_id(&self, event: &Self::Event) -> Uuid;

    /// Has the effect, and says in a line what it was, if it is worth a line.
    fn handle(
        &self,
        transaction: &Transaction<'_>,
        event: &Self::Event,
    ) -> Result<Option<String>, Failure>;
}

/// Handles the messages of one group.
#[derive(Clone)]
pub struct Handling<H> {
    group: Arc<str>,
    handler: H,
    database: Database,
    backoff: ExponentialBuilder,
    dead_letters: KafkaProducer,
    config: Arc<Config>,
    metrics: ConsumerMetrics,
    /// Prints what is done.
    announce: bool,
}

impl<H: Handler> Handling<H> {
    pub fn new(
        config: &Config,
        group: &str,
        handler: H,
        database: &Database,
        metrics: &ConsumerMetrics,
        announce: bool,
    ) -> Result<Self> {
        Ok(Self {
            group: group.into(),
            handler,
            database: database.clone(),
            backoff: backoff(&config.lab),
            dead_letters: KafkaProducer::patient(config)?,
            config: Arc::new(config.clone()),
            metrics: metrics.clone(),
            announce,
        })
    }

    /// Does with the message whatever it takes to be done with it.
    ///
    /// The messages behind it in its partition wait for its retries, so the order stays; with long pauses one would
    /// send it to a retry topic instead, and give the order up.
    pub async fn message(&self, message: &Message) -> Outcome {
        let attempts = AtomicUsize::new(0);
        let attempt = || {
            attempts.fetch_add(1, Ordering::Relaxed);
            self.once(message)
        };
        let result = attempt
            .retry(self.backoff)
            .when(|failure| matches!(failure, Failure::Temporary(_)))
            .notify(|failure, pause| {
                self.metrics.retry(&self.group);
                tracing::info!(
                    "{}: {}; next attempt in {pause:?}",
                    message.place(),
                    failure.reason()
                );
            })
            .await;
        let outcome = match result {
            Ok(Done::Now(effect)) => {
                if let (Some(effect), true) = (effect, self.announce) {
                    // Nobody needs to read it for the work to go on.
                    let _ = report::data(effect);
                }
                Outcome::Handled
            }
            Ok(Done::Before) => {
                if self.announce {
                    report::note(format!(
                        "{} is a copy; its event was handled before.",
                        message.place()
                    ));
                }
                Outcome::Duplicate
            }
            Err(failure) => {
                let attempts = attempts.into_inner();
                dead_letters::bury(
                    &self.config,
                    &self.dead_letters,
                    &self.group,
                    message,
                    &failure,
                    attempts,
                )
                .await;
                report::note(format!(
                    "{} is a dead letter after {}: {}.",
                    message.place(),
                    report::count(attempts as u64, "attempt"),
                    failure.reason()
                ));
                Outcome::Dead
            }
        };
        self.metrics.done(&self.group, outcome);
        outcome
    }

    /// One attempt: unless the event was handled before, its effect and the mark, in one transaction.
    async fn once(&self, message: &Message) -> Result<Done, Failure> {
        let event = self.parse(message)?;
        let (handler, group) = (self.handler.clone(), self.group.clone());
        self.database
            .transaction(move |transaction| {
                let event_id = handler.event_id(&event).to_string();
                let sql =
                    "INSERT INTO handled (consumer, event_id) VALUES (?, ?) ON CONFLICT DO NOTHING";
                let first = transaction.prepare_cached(sql)?.execute([&*group, &event_id])? > 0;
                if !first {
                    return Ok(Done::Before);
                }
                handler.handle(transaction, &event).map(Done::Now)
            })
            .await
    }

    fn parse(&self, message: &Message) -> Result<H::Event, Failure> {
        let Some(payload) = &message.payload else {
            return Err(Failure::Permanent("it is empty".to_owned()));
        };
        let payload = std::str::from_utf8(payload)
            .map_err(|_| Failure::Permanent("it is no UTF-8 text".to_owned()))?;
        self.handler
            .parse(payload)
            .map_err(|error| Failure::Permanent(format!("it is no event: {error}")))
    }
}

/// When an event had its effect.
enum Done {
    /// Now: this one.
    Now(Option<String>),
    Before,
}

/// Pauses that double, from the first to the longest, each stretched at random by up to its own length: consumers that
/// failed together should not come back together.
fn backoff(lab: &Lab) -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(lab.first_pause_ms))
        .with_max_delay(Duration::from_millis(lab.longest_pause_ms))
        .with_factor(2.0)
        .with_jitter()
        .with_max_times(lab.retries)
}
