//! One message, from Kafka to its effect: dedupe → handler → retry → dead letter.

use crate::database::{self, Database};
use crate::kafka::dead_letters::{Buried, Letter};
use crate::kafka::{KafkaProducer, Message};
use crate::metrics::{ConsumerMetrics, Outcome};
use crate::{Config, Lab, say};
use anyhow::{Context as _, Result};
use backon::{ExponentialBuilder, Retryable};
use rusqlite::Transaction;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// The ids of the events that had their effect.
pub const TABLE: &str = "
    CREATE TABLE handled (
        consumer TEXT NOT NULL,
        event_id TEXT NOT NULL,
        at       INTEGER NOT NULL,  -- in seconds since 1970
        UNIQUE (consumer, event_id)
    );
    CREATE INDEX handled_at ON handled (at);
";

/// Why a message could not be handled.
#[derive(Debug, PartialEq)]
pub enum Failure {
    /// Something that the message needs is not there yet. A later attempt may succeed.
    Temporary(String),
    /// The message is no event. Every attempt will fail.
    Permanent(String),
    /// Our own database fails. The message is innocent, so it must not become a dead letter.
    Database(rusqlite::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Temporary(reason) | Self::Permanent(reason) => f.write_str(reason),
            Self::Database(error) => error.fmt(f),
        }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        if database::is_fault_of_data(&error) {
            Self::Permanent(error.to_string())
        } else {
            Self::Database(error)
        }
    }
}

/// Reads an event and has an effect. The effect and the event's id are stored in the same transaction.
pub trait Handler: Clone + Send + Sync + 'static {
    type Event: Send + Sync + 'static;

    fn parse(&self, payload: &str) -> serde_json::Result<Self::Event>;
    fn event_id(&self, event: &Self::Event) -> Uuid;

    /// Has the effect. Gives a line about it if a person should see it.
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
            dead_letters: KafkaProducer::of_dead_letters(config)?,
            config: Arc::new(config.clone()),
            metrics: metrics.clone(),
            announce,
        })
    }

    /// Handles the message, or makes it a dead letter. An error means that this consumer cannot go on.
    ///
    /// The next messages of its partition wait for its retries, so the order stays. With long pauses one would send it to
    /// a retry topic instead, and lose the order.
    pub async fn message(&self, message: &Message) -> Result<Outcome> {
        let attempts = AtomicUsize::new(0);
        let attempt = || {
            attempts.fetch_add(1, Ordering::Relaxed);
            self.attempt(message)
        };
        let result = attempt
            .retry(self.backoff)
            .when(|failure| matches!(failure, Failure::Temporary(_)))
            .notify(|failure, pause| {
                self.metrics.retry(&self.group);
                let reason = say::escaped(failure);
                tracing::info!("{}: {reason}; next attempt in {pause:?}", message.place());
            })
            .await;
        let outcome = match result {
            Ok(Done::Now(effect)) => {
                if let (Some(effect), true) = (effect, self.announce) {
                    // The work goes on when nobody reads this.
                    let _ = say::data(effect);
                }
                Outcome::Handled
            }
            Ok(Done::Before) => {
                if self.announce {
                    say::note(format!(
                        "{} is a copy; its event was handled before.",
                        message.place()
                    ));
                }
                Outcome::Duplicate
            }
            Err(Failure::Database(error)) => {
                return Err(error).with_context(|| {
                    format!(
                        "The database fails, so {} cannot be handled; it is read again after the next start",
                        message.place()
                    )
                });
            }
            Err(failure) => {
                self.bury(message, &failure.to_string(), attempts.into_inner()).await;
                Outcome::Dead
            }
        };
        self.metrics.done(&self.group, outcome);
        Ok(outcome)
    }

    async fn bury(&self, message: &Message, reason: &str, attempts: usize) {
        let letter = Letter { message, group: &self.group, reason, attempts };
        let buried = letter.bury(&self.config, &self.dead_letters).await;
        let (place, attempts) =
            (message.place(), shared::report::count(attempts as u64, "attempt"));
        say::note(match buried {
            Buried::Whole => format!("{place} is a dead letter after {attempts}: {reason}."),
            Buried::WithoutPayload => format!(
                "{place} is a dead letter after {attempts}: {reason}. Its {} bytes were refused, so the letter has only its place.",
                message.size()
            ),
            Buried::Not(refusal) => format!(
                "{place} was given up after {attempts}: {reason}. The dead letter was refused ({refusal}). Only the original is left, as long as its topic keeps it."
            ),
        });
    }

    /// One attempt. While the database fails, it waits.
    async fn attempt(&self, message: &Message) -> Result<Done, Failure> {
        let event = Arc::new(self.parse(message)?);
        if self.config.lab.work_ms > 0 {
            tokio::time::sleep(Duration::from_millis(self.config.lab.work_ms)).await;
        }
        let passes =
            |failure: &Failure| matches!(failure, Failure::Database(e) if database::may_pass(e));
        let what = format!("{} waits, because the database fails", message.place());
        database::patiently(self.metrics.database_failures(), passes, &what, || {
            self.once(event.clone())
        })
        .await
    }

    /// If the event was not handled before: its effect and its id, in one transaction.
    async fn once(&self, event: Arc<H::Event>) -> Result<Done, Failure> {
        let (handler, group) = (self.handler.clone(), self.group.clone());
        let dedupe = self.config.lab.dedupe;
        self.database
            .write(move |transaction| {
                if dedupe {
                    let event_id = handler.event_id(&event).to_string();
                    let sql =
                        "INSERT INTO handled (consumer, event_id, at) VALUES (?, ?, unixepoch())
                               ON CONFLICT DO NOTHING";
                    let mut mark = transaction.prepare_cached(sql)?;
                    if mark.execute([&*group, &event_id])? == 0 {
                        return Ok(Done::Before);
                    }
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
    /// Now, in this attempt.
    Now(Option<String>),
    Before,
}

/// Pauses that double, from the first to the longest. Each is stretched at random by up to its own length, so that
/// consumers that failed together do not come back together.
fn backoff(lab: &Lab) -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(lab.first_pause_ms))
        .with_max_delay(Duration::from_millis(lab.longest_pause_ms))
        .with_factor(2.0)
        .with_jitter()
        .with_max_times(lab.retries)
}
