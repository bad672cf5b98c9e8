//! The outbox: accepted events that are not in Kafka yet, and the relay that brings them there.
//!
//! An event leaves the table after the broker has acknowledged it. After a crash in between it is sent again. So it comes
//! at least once, and the consumers ignore the copies.
//!
//! An event that the broker refuses for good stays in the table, with the reason. The events behind it go on. Somebody
//! must look at it: it is counted (`lab4_events_refused`), listed, and can be sent again.

use crate::database::{self, Database};
use crate::kafka::KafkaProducer;
use crate::kafka::events::Event;
use crate::kafka::producer::is_refused;
use crate::metrics::ServiceMetrics;
use crate::{Config, FAREWELL, schema};
use anyhow::{Context as _, Result};
use rdkafka::error::KafkaError;
use rdkafka::producer::{DeliveryFuture, FutureRecord};
use rusqlite::{Transaction, params};
use serde::Serialize;
use shared::report;
use shared::shutdown::Shutdown;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use uuid::Uuid;

pub const TABLE: &str = "
    CREATE TABLE outbox (
        id         INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order of events
        topic      TEXT NOT NULL,
        key        TEXT NOT NULL,
        event_type TEXT NOT NULL,
        payload    TEXT NOT NULL,
        refused    TEXT                                -- why the broker will never take it
    );
    CREATE INDEX outbox_refused ON outbox (id) WHERE refused IS NOT NULL;
";

/// An event on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    pub event_id: Uuid,
    pub event_type: &'static str,
    pub topic: String,
    pub key: String,
    pub payload: String,
}

impl Outgoing {
    /// The event as it will be sent. An event that breaks its schema gives the problems.
    pub fn new<E: Event>(config: &Config, event: &E) -> Result<Self, Vec<String>> {
        let json = serde_json::to_value(event).map_err(|error| vec![error.to_string()])?;
        let problems = schema::problems(E::EVENT_TYPE, &json);
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            event_id: event.event_id(),
            event_type: E::EVENT_TYPE,
            topic: E::STREAM.topic(config).to_owned(),
            key: event.key().to_string(),
            // Not of `json`: this keeps the order of the fields.
            payload: serde_json::to_string(event).map_err(|error| vec![error.to_string()])?,
        })
    }

    /// The message for Kafka.
    pub fn record(&self) -> FutureRecord<'_, [u8], [u8]> {
        FutureRecord::to(&self.topic).key(self.key.as_bytes()).payload(self.payload.as_bytes())
    }
}

/// Stores the event, in the transaction of its row.
pub fn put(transaction: &Transaction<'_>, event: &Outgoing) -> rusqlite::Result<()> {
    let sql = "INSERT INTO outbox (topic, key, event_type, payload) VALUES (?, ?, ?, ?)";
    transaction.prepare_cached(sql)?.execute(params![
        event.topic,
        event.key,
        event.event_type,
        event.payload
    ])?;
    Ok(())
}

/// How many events wait, and how many the broker has refused for good.
pub async fn count(database: &Database) -> rusqlite::Result<(u64, u64)> {
    let sql = "SELECT count(*) - count(refused), count(refused) FROM outbox";
    let count =
        database.read(move |tx| tx.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))));
    let (waiting, refused): (i64, i64) = count.await?;
    Ok((u64::try_from(waiting).unwrap_or(0), u64::try_from(refused).unwrap_or(0)))
}

/// An event that the broker has refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    pub id: i64,
    pub topic: String,
    pub key: String,
    pub event_type: String,
    pub reason: String,
    pub payload: String,
}

/// The oldest refused events, at most 100.
pub async fn refused(database: &Database) -> rusqlite::Result<Vec<Refused>> {
    let sql = "SELECT id, topic, key, event_type, refused, payload FROM outbox
               WHERE refused IS NOT NULL ORDER BY id LIMIT 100";
    let rows = database.read(move |tx| {
        let mut select = tx.prepare_cached(sql)?;
        let rows = select.query_map([], |row| {
            let (id, topic, key) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let (event_type, reason, payload) = (row.get(3)?, row.get(4)?, row.get(5)?);
            Ok(Refused { id, topic, key, event_type, reason, payload })
        })?;
        rows.collect()
    });
    rows.await
}

/// Makes the refused events wait again, and tells how many there were. The relay must be woken.
pub async fn send_again(database: &Database) -> rusqlite::Result<usize> {
    let sql = "UPDATE outbox SET refused = NULL WHERE refused IS NOT NULL";
    database.write(move |tx| tx.execute(sql, [])).await
}

/// After so long without an answer, somebody should know.
const SILENCE: Duration = Duration::from_secs(3);
const AFTER_FAILURE: Duration = Duration::from_millis(500);

/// Publishes the events of the outbox in order, and new ones when `wake` tells. After `shutdown` it has [`FAREWELL`] for
/// the rest. What is left then is published after the next start.
pub async fn relay(
    config: &Config,
    database: &Database,
    wake: &Notify,
    metrics: &ServiceMetrics,
    shutdown: &Shutdown,
) -> Result<()> {
    let too_late = async {
        shutdown.requested().await;
        tokio::time::sleep(FAREWELL).await;
    };
    let relay = Relay { config, database, metrics };
    tokio::select! {
        result = relay.publish_all(wake, shutdown) => result?,
        () = too_late => {}
    }
    tell_rest(database).await;
    Ok(())
}

/// Says what is left for the next time.
pub async fn tell_rest(database: &Database) {
    match count(database).await {
        Ok((0, _)) => {}
        Ok((waiting, _)) => report::note(format!(
            "{} in the outbox, to be published after the next start.",
            report::count(waiting, "event")
        )),
        Err(error) => report::note(format!(
            "The outbox cannot be counted ({error}). Its events are published after the next start."
        )),
    }
}

struct Relay<'a> {
    config: &'a Config,
    database: &'a Database,
    metrics: &'a ServiceMetrics,
}

/// What became of some rows.
#[derive(Debug, Default)]
struct Published {
    delivered: Vec<i64>,
    refused: Vec<(i64, String)>,
    /// The batch was refused, but perhaps only one of its events is to blame.
    unclear: bool,
    failure: Option<String>,
}

impl Relay<'_> {
    async fn publish_all(&self, wake: &Notify, shutdown: &Shutdown) -> Result<()> {
        let mut producer = KafkaProducer::patient(self.config)?;
        // So many of the next rows are sent one by one.
        let mut one_by_one = 0;
        loop {
            let limit = if one_by_one > 0 { 1 } else { self.config.lab.relay_batch };
            let rows =
                self.patiently("The outbox cannot be read", || next(self.database, limit)).await?;
            if rows.is_empty() {
                one_by_one = 0;
                if shutdown.is_requested() {
                    return Ok(());
                }
                tokio::select! {
                    () = wake.notified() => {}
                    () = shutdown.requested() => {}
                }
                continue;
            }
            let sent = rows.len();
            let published = Arc::new(self.publish(&producer, rows).await);
            // Not sent again while this fails: the broker has them.
            self.patiently("Published events cannot leave the outbox", || {
                settle(self.database, published.clone())
            })
            .await?;
            if published.unclear {
                one_by_one = sent;
                continue;
            }
            one_by_one = one_by_one.saturating_sub(sent);
            let Some(failure) = &published.failure else { continue };
            tracing::warn!("The outbox's events could not be published: {failure}; trying again.");
            if let Some(reason) = producer.fatal() {
                tracing::warn!("The producer has given up ({reason}); taking a new one.");
                producer = KafkaProducer::patient(self.config)?;
            }
            tokio::time::sleep(AFTER_FAILURE).await;
        }
    }

    async fn patiently<T, F: Future<Output = rusqlite::Result<T>>>(
        &self,
        what: &str,
        work: impl FnMut() -> F,
    ) -> Result<T> {
        let failures = self.metrics.database_failures();
        let result = database::patiently(failures, database::may_pass, what, work).await;
        result.with_context(|| what.to_owned())
    }

    /// Sends the rows together, and waits for the broker's answers.
    async fn publish(&self, producer: &KafkaProducer, rows: Vec<Row>) -> Published {
        let enqueue = |row: &Row| producer.enqueue(&row.topic, &row.key, &row.payload);
        let reports: Vec<Result<DeliveryFuture, KafkaError>> = rows.iter().map(enqueue).collect();

        let alone = rows.len() == 1;
        let mut published = Published::default();
        let mut held_up = HashSet::new();
        let mut silent = false;
        for (row, report) in rows.into_iter().zip(reports) {
            let result = match report {
                Ok(report) => self.wait(report, &mut silent).await,
                Err(error) => Err(error),
            };
            match result {
                // An earlier event of this key has failed. This one is sent once more, after it: a copy is harmless, a
                // wrong order is not.
                Ok(()) if held_up.contains(&row.key) => {}
                Ok(()) => {
                    self.metrics.published(&row.event_type);
                    published.delivered.push(row.id);
                }
                Err(error) if is_refused(&error) && alone => {
                    tracing::error!(key = row.key, "The broker refuses an event for good: {error}");
                    published.refused.push((row.id, error.to_string()));
                }
                Err(error) if is_refused(&error) => {
                    held_up.insert(row.key);
                    published.unclear = true;
                }
                Err(error) => {
                    held_up.insert(row.key);
                    published.failure.get_or_insert_with(|| error.to_string());
                }
            }
        }
        if silent && published.failure.is_none() {
            report::note("The broker answers again.");
        }
        published
    }

    /// Waits for a delivery report, and speaks up once when it takes long.
    async fn wait(&self, report: DeliveryFuture, silent: &mut bool) -> Result<(), KafkaError> {
        let mut report = std::pin::pin!(report);
        let answer = loop {
            match tokio::time::timeout(SILENCE, &mut report).await {
                Ok(answer) => break answer,
                Err(_elapsed) if *silent => {}
                Err(_elapsed) => {
                    *silent = true;
                    let waiting = count(self.database).await.map_or(0, |(waiting, _)| waiting);
                    let events = report::count(waiting, "event");
                    report::note(format!("The broker does not answer; {events} in the outbox."));
                }
            }
        };
        match answer {
            Ok(Ok(_delivery)) => Ok(()),
            Ok(Err((error, _message))) => Err(error),
            Err(_canceled) => Err(KafkaError::Canceled),
        }
    }
}

#[derive(Debug)]
struct Row {
    id: i64,
    topic: String,
    key: String,
    event_type: String,
    payload: String,
}

async fn next(database: &Database, limit: u32) -> rusqlite::Result<Vec<Row>> {
    let sql = "SELECT id, topic, key, event_type, payload FROM outbox WHERE refused IS NULL ORDER BY id LIMIT ?";
    let rows = database.read(move |tx| {
        let mut select = tx.prepare_cached(sql)?;
        let rows = select.query_map([limit], |row| {
            let (id, topic, key) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(Row { id, topic, key, event_type: row.get(3)?, payload: row.get(4)? })
        })?;
        rows.collect()
    });
    rows.await
}

/// Takes the delivered rows off the table, and marks the refused ones.
async fn settle(database: &Database, published: Arc<Published>) -> rusqlite::Result<()> {
    let settle = database.write(move |tx| -> rusqlite::Result<()> {
        for id in &published.delivered {
            tx.prepare_cached("DELETE FROM outbox WHERE id = ?")?.execute([id])?;
        }
        for (id, reason) in &published.refused {
            tx.prepare_cached("UPDATE outbox SET refused = ? WHERE id = ?")?
                .execute(params![reason, id])?;
        }
        Ok(())
    });
    settle.await
}
