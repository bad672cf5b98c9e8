//! Users, feeds, likes, comments, views. Every change and its event are one transaction.
//!
//! A caller who got no answer does not know whether the change was made. An `Idempotency-Key` makes it safe to ask again:
//! the answer is stored in the same transaction, and a second request with the same key gets it without a second change.

use crate::database::{self, Database};
use crate::kafka::events::Event;
use crate::kafka::{
    FeedCommentedEvent, FeedCreatedEvent, FeedLikedEvent, FeedViewedEvent, KafkaProducer,
    UserCreatedEvent,
};
use crate::losses::Losses;
use crate::metrics::ServiceMetrics;
use crate::outbox::{self, Outgoing};
use crate::{Config, SendMode};
use anyhow::Result;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub const TABLES: &str = "
    CREATE TABLE users (
        user_id INTEGER PRIMARY KEY AUTOINCREMENT,
        name    TEXT NOT NULL
    );
    CREATE TABLE feeds (
        feed_id INTEGER PRIMARY KEY AUTOINCREMENT,
        user_id INTEGER NOT NULL REFERENCES users,
        content TEXT NOT NULL,
        views   INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE likes (
        feed_id INTEGER NOT NULL REFERENCES feeds,
        user_id INTEGER NOT NULL REFERENCES users,
        PRIMARY KEY (feed_id, user_id)
    ) WITHOUT ROWID;
    CREATE TABLE comments (
        comment_id INTEGER PRIMARY KEY AUTOINCREMENT,
        feed_id    INTEGER NOT NULL REFERENCES feeds,
        user_id    INTEGER NOT NULL REFERENCES users,
        text       TEXT NOT NULL
    );
    CREATE INDEX comments_of_feed ON comments (feed_id);
    CREATE TABLE requests (
        key     TEXT NOT NULL UNIQUE,
        request TEXT NOT NULL,
        answer  TEXT NOT NULL,
        at      INTEGER NOT NULL  -- in seconds since 1970
    );
    CREATE INDEX requests_at ON requests (at);
";

/// The web service's state. A clone is the same one.
#[derive(Clone)]
pub struct Service {
    config: Arc<Config>,
    pub database: Database,
    pub metrics: ServiceMetrics,
    pub sending: Sending,
}

/// How events leave.
#[derive(Clone)]
pub enum Sending {
    /// Into the outbox; the relay is woken.
    Outbox { wake: Arc<Notify> },
    /// In the background, after the transaction. If the process ends in between, or the send fails, the row is there and
    /// the event is not.
    Direct { producer: KafkaProducer, running: TaskTracker, losses: Losses },
}

/// Why something was not done.
#[derive(Debug)]
pub enum Refusal {
    /// The caller's data breaks the event's schema, or a rule of the request.
    Invalid(String),
    /// The caller names something that is not there.
    NotFound(String),
    /// The database cannot do it now. A later request may succeed.
    Busy(rusqlite::Error),
    /// The caller can do nothing about it.
    Broken(rusqlite::Error),
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        if database::may_pass(&error) { Self::Busy(error) } else { Self::Broken(error) }
    }
}

/// A request that must be carried out once, however often it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// The caller's `Idempotency-Key`.
    pub key: String,
    /// The request. The same key with another request is a mistake of the caller.
    pub request: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub user_id: i64,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feed {
    pub feed_id: i64,
    pub user_id: i64,
    pub content: String,
    pub likes: i64,
    pub comments: i64,
    pub views: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    pub comment_id: i64,
    pub feed_id: i64,
    pub user_id: i64,
    pub text: String,
}

/// What was written, and the id of its event. Without a change there is no event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written<T> {
    #[serde(flatten)]
    pub row: T,
    pub event_id: Option<Uuid>,
}

impl Service {
    pub fn new(config: &Config, database: Database, metrics: ServiceMetrics) -> Result<Self> {
        let sending = match config.lab.send {
            SendMode::Outbox => Sending::Outbox { wake: Arc::new(Notify::new()) },
            SendMode::Direct => Sending::Direct {
                producer: KafkaProducer::new(config)?,
                running: TaskTracker::new(),
                losses: Losses::new(&config.lab.lost_events),
            },
        };
        Ok(Self { config: Arc::new(config.clone()), database, metrics, sending })
    }

    pub async fn create_user(
        &self,
        once: Option<Once>,
        name: String,
    ) -> Result<Written<User>, Refusal> {
        self.write(once, move |tx| {
            tx.prepare_cached("INSERT INTO users (name) VALUES (?)")?.execute([&name])?;
            let user_id = tx.last_insert_rowid();
            let event = UserCreatedEvent::new(user_id, name.clone());
            Ok((User { user_id, name }, Some(event)))
        })
        .await
    }

    pub async fn create_feed(
        &self,
        once: Option<Once>,
        user_id: i64,
        content: String,
    ) -> Result<Written<Feed>, Refusal> {
        self.write(once, move |tx| {
            user_exists(tx, user_id)?;
            let sql = "INSERT INTO feeds (user_id, content) VALUES (?, ?)";
            tx.prepare_cached(sql)?.execute(params![user_id, content])?;
            let feed_id = tx.last_insert_rowid();
            let event = FeedCreatedEvent::new(feed_id, user_id, content);
            Ok((find_feed(tx, feed_id)?, Some(event)))
        })
        .await
    }

    /// A second like of the same user changes nothing, so it has no event.
    pub async fn like(
        &self,
        once: Option<Once>,
        feed_id: i64,
        user_id: i64,
    ) -> Result<Written<Feed>, Refusal> {
        self.write(once, move |tx| {
            find_feed(tx, feed_id)?;
            user_exists(tx, user_id)?;
            let sql = "INSERT INTO likes (feed_id, user_id) VALUES (?, ?) ON CONFLICT DO NOTHING";
            let new = tx.prepare_cached(sql)?.execute([feed_id, user_id])? > 0;
            Ok((find_feed(tx, feed_id)?, new.then(|| FeedLikedEvent::new(feed_id, user_id))))
        })
        .await
    }

    pub async fn comment(
        &self,
        once: Option<Once>,
        feed_id: i64,
        user_id: i64,
        text: String,
    ) -> Result<Written<Comment>, Refusal> {
        self.write(once, move |tx| {
            find_feed(tx, feed_id)?;
            user_exists(tx, user_id)?;
            let sql = "INSERT INTO comments (feed_id, user_id, text) VALUES (?, ?, ?)";
            tx.prepare_cached(sql)?.execute(params![feed_id, user_id, text])?;
            let comment_id = tx.last_insert_rowid();
            let event = FeedCommentedEvent::new(feed_id, user_id, comment_id, text.clone());
            Ok((Comment { comment_id, feed_id, user_id, text }, Some(event)))
        })
        .await
    }

    pub async fn view(
        &self,
        once: Option<Once>,
        feed_id: i64,
        user_id: i64,
    ) -> Result<Written<Feed>, Refusal> {
        self.write(once, move |tx| {
            find_feed(tx, feed_id)?;
            user_exists(tx, user_id)?;
            tx.prepare_cached("UPDATE feeds SET views = views + 1 WHERE feed_id = ?")?
                .execute([feed_id])?;
            Ok((find_feed(tx, feed_id)?, Some(FeedViewedEvent::new(feed_id, user_id))))
        })
        .await
    }

    pub async fn user(&self, user_id: i64) -> Result<User, Refusal> {
        let user = move |tx: &Transaction<'_>| {
            let sql = "SELECT user_id, name FROM users WHERE user_id = ?";
            let read = |row: &Row<'_>| Ok(User { user_id: row.get(0)?, name: row.get(1)? });
            tx.query_row(sql, [user_id], read).optional()?.ok_or_else(|| no_user(user_id))
        };
        self.database.read(user).await
    }

    pub async fn feed(&self, feed_id: i64) -> Result<Feed, Refusal> {
        self.database.read(move |tx| find_feed(tx, feed_id)).await
    }

    /// The newest feeds, at most 20.
    pub async fn feeds(&self) -> Result<Vec<Feed>, Refusal> {
        let sql = format!("{FEED} ORDER BY feed_id DESC LIMIT 20");
        self.database
            .read(move |tx| {
                Ok(tx.prepare_cached(&sql)?.query_map([], read_feed)?.collect::<Result<_, _>>()?)
            })
            .await
    }

    pub async fn comments(&self, feed_id: i64) -> Result<Vec<Comment>, Refusal> {
        let comments = move |tx: &Transaction<'_>| {
            find_feed(tx, feed_id)?;
            let sql = "SELECT comment_id, feed_id, user_id, text FROM comments WHERE feed_id = ? ORDER BY comment_id";
            let read = |row: &Row<'_>| {
                let (comment_id, feed_id) = (row.get(0)?, row.get(1)?);
                Ok(Comment { comment_id, feed_id, user_id: row.get(2)?, text: row.get(3)? })
            };
            Ok(tx.prepare_cached(sql)?.query_map([feed_id], read)?.collect::<Result<_, _>>()?)
        };
        self.database.read(comments).await
    }

    /// How many accepted events are not in Kafka yet (they are in the outbox, or being sent), and how many the broker has
    /// refused.
    pub async fn pending(&self) -> Result<(u64, u64), Refusal> {
        match &self.sending {
            Sending::Outbox { .. } => Ok(outbox::count(&self.database).await?),
            Sending::Direct { running, .. } => Ok((running.len() as u64, 0)),
        }
    }

    /// Sends the refused events again; tells how many they are.
    pub async fn send_again(&self) -> Result<usize, Refusal> {
        let events = outbox::send_again(&self.database).await?;
        if let Sending::Outbox { wake } = &self.sending {
            wake.notify_one();
        }
        Ok(events)
    }

    /// Stores row, event and answer in one transaction. Then the event is sent.
    async fn write<T, E>(
        &self,
        once: Option<Once>,
        change: impl FnOnce(&Transaction<'_>) -> Result<(T, Option<E>), Refusal> + Send + 'static,
    ) -> Result<Written<T>, Refusal>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
        E: Event,
    {
        let config = self.config.clone();
        let through_outbox = matches!(self.sending, Sending::Outbox { .. });
        let transaction = move |tx: &Transaction<'_>| -> Result<_, Refusal> {
            if let Some(once) = &once
                && let Some(answer) = answered_before(tx, once)?
            {
                return Ok((answer, None));
            }
            let (row, event) = change(tx)?;
            let outgoing = match event {
                Some(event) => Some(
                    Outgoing::new(&config, &event).map_err(|problems| invalid::<E>(&problems))?,
                ),
                None => None,
            };
            if through_outbox && let Some(event) = &outgoing {
                outbox::put(tx, event)?;
            }
            let event_id = outgoing.as_ref().map(|event| event.event_id);
            let written = Written { row, event_id };
            if let Some(once) = &once {
                remember(tx, once, &written)?;
            }
            Ok((written, outgoing))
        };
        let (written, outgoing) = self.database.write(transaction).await?;
        if let Some(event) = outgoing {
            self.metrics.accepted(event.event_type);
            self.send(event);
        }
        Ok(written)
    }

    fn send(&self, event: Outgoing) {
        match &self.sending {
            Sending::Outbox { wake } => wake.notify_one(),
            Sending::Direct { producer, running, losses } => {
                let (producer, losses) = (producer.clone(), losses.clone());
                let metrics = self.metrics.clone();
                running.spawn(async move {
                    // The caller has had its answer, so nobody hears of a failure but the log.
                    match producer.send(event.record()).await {
                        Ok(()) => {
                            metrics.published(event.event_type);
                            losses.sent();
                        }
                        Err(error) => {
                            metrics.lost(event.event_type);
                            losses.lost(&event, &error);
                        }
                    }
                });
            }
        }
    }
}

/// The answer to an earlier request with this key.
fn answered_before<T: DeserializeOwned>(
    tx: &Transaction<'_>,
    once: &Once,
) -> Result<Option<Written<T>>, Refusal> {
    let sql = "SELECT request, answer FROM requests WHERE key = ?";
    let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
    let found = tx.prepare_cached(sql)?.query_row([&once.key], read).optional()?;
    let Some((request, answer)) = found else { return Ok(None) };
    if request != once.request {
        return Err(Refusal::Invalid(
            "This Idempotency-Key belongs to another request. A new request needs a new key."
                .to_owned(),
        ));
    }
    let answer = serde_json::from_str(&answer).map_err(unreadable)?;
    Ok(Some(answer))
}

fn remember<T: Serialize>(tx: &Transaction<'_>, once: &Once, answer: &T) -> Result<(), Refusal> {
    let answer = serde_json::to_string(answer).map_err(unreadable)?;
    let sql = "INSERT INTO requests (key, request, answer, at) VALUES (?, ?, ?, unixepoch())";
    tx.prepare_cached(sql)?.execute([&once.key, &once.request, &answer])?;
    Ok(())
}

fn unreadable(error: serde_json::Error) -> Refusal {
    Refusal::Broken(rusqlite::Error::ToSqlConversionFailure(error.into()))
}

const FEED: &str = "
    SELECT feed_id, user_id, content, views,
        (SELECT count(*) FROM likes WHERE likes.feed_id = feeds.feed_id),
        (SELECT count(*) FROM comments WHERE comments.feed_id = feeds.feed_id)
    FROM feeds";

fn find_feed(tx: &Transaction<'_>, feed_id: i64) -> Result<Feed, Refusal> {
    let mut select = tx.prepare_cached(&format!("{FEED} WHERE feed_id = ?"))?;
    let feed = select.query_row([feed_id], read_feed).optional()?;
    feed.ok_or_else(|| {
        Refusal::NotFound(format!("There is no feed {feed_id}. GET /feeds lists the newest."))
    })
}

fn read_feed(row: &Row<'_>) -> rusqlite::Result<Feed> {
    let (feed_id, user_id, content, views) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
    Ok(Feed { feed_id, user_id, content, views, likes: row.get(4)?, comments: row.get(5)? })
}

fn user_exists(tx: &Transaction<'_>, user_id: i64) -> Result<(), Refusal> {
    let mut select = tx.prepare_cached("SELECT 1 FROM users WHERE user_id = ?")?;
    if select.exists([user_id])? { Ok(()) } else { Err(no_user(user_id)) }
}

fn no_user(user_id: i64) -> Refusal {
    Refusal::NotFound(format!("There is no user {user_id}. POST /users makes one."))
}

fn invalid<E: Event>(problems: &[String]) -> Refusal {
    let event = E::EVENT_TYPE;
    Refusal::Invalid(format!(
        "This breaks the schema of the event {event}, so nothing was stored: {}.",
        problems.join("; ")
    ))
}
