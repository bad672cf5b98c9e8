//! The outbox: events that were accepted and are not in Kafka yet, and the relay that brings them there.
//!
//! An event leaves the table when the broker has acknowledged it. A crash in between means that it is sent again:
//! at least once, and the consumers sort the copies out.

use crate::database::Database;
use crate::kafka::KafkaProducer;
use crate::kafka::events::Event;
use crate::kafka::producer::is_refused;
use crate::metrics::ServiceMetrics;
use crate::{Config, FAREWELL, schema};
use anyhow::Result;
use rdkafka::error::KafkaError;
use rdkafka::producer::DeliveryFuture;
use rusqlite::{Transaction, params};
use shared::report;
use shared::shutdown::Shutdown;
use std::collections::HashSet;
use std::time::Duration;
use tokio::sync::Notify;
use uuid::Uuid;

pub const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS outbox (
        id         INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order of events
        topic      TEXT NOT NULL,
        key        TEXT NOT NULL,
        event_type TEXT NOT NULL,
        payload    TEXT NOT NULL,
        refused    TEXT                                -- why the broker will never take it
    );
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
    /// The event as it will be sent, or what its schema says against it.
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
}

/// Writes the event down, in the transaction of the row that it speaks of.
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
        database.transaction(move |tx| tx.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))));
    let (waiting, refused): (i64, i64) = count.await?;
    Ok((u64::try_from(waiting).unwrap_or(0), u64::try_from(refused).unwrap_or(0)))
}

/// After so long without an answer somebody should know.
const SILENCE: Duration = Duration::from_secs(3);
const AFTER_FAILURE: Duration = Duration::from_millis(500);

/// Publishes what is in the outbox, and what comes into it (`wake`), in order. After `shutdown` it takes up to
/// [`FAREWELL`] for the rest; what is left then is published after the next start.
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
    tokio::select! {
        result = publish_all(config, database, wake, metrics, shutdown) => result?,
        () = too_late => {}
    }
    tell_rest(database).await
}

/// Says what is left for the next time.
pub async fn tell_rest(database: &Database) -> Result<()> {
    let (waiting, _) = count(database).await?;
    if waiting > 0 {
        report::note(format!(
            "{} in the outbox, to be published after the next start.",
            report::count(waiting, "event")
        ));
    }
    Ok(())
}

async fn publish_all(
    config: &Config,
    database: &Database,
    wake: &Notify,
    metrics: &ServiceMetrics,
    shutdown: &Shutdown,
) -> Result<()> {
    let mut producer = KafkaProducer::patient(config)?;
    loop {
        let rows = next(database, config.lab.relay_batch).await?;
        if rows.is_empty() {
            if shutdown.is_requested() {
                return Ok(());
            }
            tokio::select! {
                () = wake.notified() => {}
                () = shutdown.requested() => {}
            }
            continue;
        }
        let failure = publish(&producer, database, metrics, rows).await?;
        let Some(failure) = failure else { continue };
        tracing::warn!("The outbox's events could not be published: {failure}; trying again.");
        if let Some(reason) = producer.fatal() {
            tracing::warn!("The producer has given up ({reason}); taking a new one.");
            producer = KafkaProducer::patient(config)?;
        }
        tokio::time::sleep(AFTER_FAILURE).await;
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
    let rows = database.transaction(move |tx| {
        let mut select = tx.prepare_cached(sql)?;
        let rows = select.query_map([limit], |row| {
            let (id, topic, key) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(Row { id, topic, key, event_type: row.get(3)?, payload: row.get(4)? })
        })?;
        rows.collect()
    });
    rows.await
}

/// Sends the rows as one batch and takes those off the table that have arrived. Says why some have not.
async fn publish(
    producer: &KafkaProducer,
    database: &Database,
    metrics: &ServiceMetrics,
    rows: Vec<Row>,
) -> rusqlite::Result<Option<String>> {
    let enqueue = |row: &Row| producer.enqueue(&row.topic, &row.key, &row.payload);
    let reports: Vec<Result<DeliveryFuture, KafkaError>> = rows.iter().map(enqueue).collect();

    let mut delivered = Vec::new();
    let mut refused = Vec::new();
    let mut held_up = HashSet::new();
    let mut failure = None;
    let mut silent = false;
    for (row, report) in rows.into_iter().zip(reports) {
        let result = match report {
            Ok(report) => wait(report, database, &mut silent).await,
            Err(error) => Err(error),
        };
        match result {
            // An earlier event of this key has failed. This one is sent once more, after it: order before economy.
            Ok(()) if held_up.contains(&row.key) => {}
            Ok(()) => {
                metrics.published(&row.event_type);
                delivered.push(row.id);
            }
            Err(error) if is_refused(&error) => {
                tracing::error!(key = row.key, "The broker refuses an event for good: {error}");
                refused.push((row.id, error.to_string()));
            }
            Err(error) => {
                held_up.insert(row.key);
                failure.get_or_insert_with(|| error.to_string());
            }
        }
    }
    if silent && failure.is_none() {
        report::note("The broker answers again.");
    }
    let settle = database.transaction(move |tx| -> rusqlite::Result<()> {
        for id in &delivered {
            tx.prepare_cached("DELETE FROM outbox WHERE id = ?")?.execute([id])?;
        }
        for (id, reason) in &refused {
            tx.prepare_cached("UPDATE outbox SET refused = ? WHERE id = ?")?
                .execute(params![reason, id])?;
        }
        Ok(())
    });
    settle.await?;
    Ok(failure)
}

/// Waits for a delivery report, and speaks up once when it takes long.
async fn wait(
    report: DeliveryFuture,
    database: &Database,
    silent: &mut bool,
) -> Result<(), KafkaError> {
    let mut report = std::pin::pin!(report);
    let answer = loop {
        match tokio::time::timeout(SILENCE, &mut report).await {
            Ok(answer) => break answer,
            Err(_elapsed) if *silent => {}
            Err(_elapsed) => {
                *silent = true;
                let waiting = count(database).await.map_or(0, |(waiting, _)| waiting);
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
