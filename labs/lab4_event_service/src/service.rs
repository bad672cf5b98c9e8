//! What the web service does: users, feeds, likes, comments, views. Every change and its event are one transaction.

use crate::database::Database;
use crate::kafka::events::Event;
use crate::kafka::{
    FeedCommentedEvent, FeedCreatedEvent, FeedLikedEvent, FeedViewedEvent, KafkaProducer,
    UserCreatedEvent,
};
use crate::metrics::ServiceMetrics;
use crate::outbox::{self, Outgoing};
use crate::{Config, Send};
use anyhow::Result;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde::Serialize;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS users (
        user_id INTEGER PRIMARY KEY AUTOINCREMENT,
        name    TEXT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS feeds (
        feed_id INTEGER PRIMARY KEY AUTOINCREMENT,
        user_id INTEGER NOT NULL REFERENCES users,
        content TEXT NOT NULL,
        views   INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE IF NOT EXISTS likes (
        feed_id INTEGER NOT NULL REFERENCES feeds,
        user_id INTEGER NOT NULL REFERENCES users,
        PRIMARY KEY (feed_id, user_id)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS comments (
        comment_id INTEGER PRIMARY KEY AUTOINCREMENT,
        feed_id    INTEGER NOT NULL REFERENCES feeds,
        user_id    INTEGER NOT NULL REFERENCES users,
        text       TEXT NOT NULL
    );
    CREATE INDEX IF NOT EXISTS comments_of_feed ON comments (feed_id);
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
    /// The seed's way: in the background, after the transaction. Between the two the process may end, and the send may
    /// fail: then the row is there, and the event is not.
    Direct { producer: KafkaProducer, running: TaskTracker },
}

/// Why something was not done. As text, a sentence for the caller.
#[derive(Debug)]
pub enum Refusal {
    /// What the caller sent breaks the event's schema.
    Invalid(String),
    /// The caller names something that is not there.
    NotFound(String),
    /// The caller can do nothing about it.
    Broken(rusqlite::Error),
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::Broken(error)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct User {
    pub user_id: i64,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Feed {
    pub feed_id: i64,
    pub user_id: i64,
    pub content: String,
    pub likes: i64,
    pub comments: i64,
    pub views: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comment {
    pub comment_id: i64,
    pub feed_id: i64,
    pub user_id: i64,
    pub text: String,
}

/// What was written, and the event that tells of it; none when nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Written<T> {
    #[serde(flatten)]
    pub row: T,
    pub event_id: Option<Uuid>,
}

impl Service {
    pub fn new(config: &Config, database: Database, metrics: ServiceMetrics) -> Result<Self> {
        let sending = match config.lab.send {
            Send::Outbox => Sending::Outbox { wake: Arc::new(Notify::new()) },
            Send::Direct => Sending::Direct {
                producer: KafkaProducer::new(config)?,
                running: TaskTracker::new(),
            },
        };
        Ok(Self { config: Arc::new(config.clone()), database, metrics, sending })
    }

    pub async fn create_user(&self, name: String) -> Result<Written<User>, Refusal> {
        self.write(move |tx| {
            tx.prepare_cached("INSERT INTO users (name) VALUES (?)")?.execute([&name])?;
            let user_id = tx.last_insert_rowid();
            let event = UserCreatedEvent::new(user_id, name.clone());
            Ok((User { user_id, name }, Some(event)))
        })
        .await
    }

    pub async fn create_feed(
        &self,
        user_id: i64,
        content: String,
    ) -> Result<Written<Feed>, Refusal> {
        self.write(move |tx| {
            user_exists(tx, user_id)?;
            let sql = "INSERT INTO feeds (user_id, content) VALUES (?, ?)";
            tx.prepare_cached(sql)?.execute(params![user_id, content])?;
            let feed_id = tx.last_insert_rowid();
            let event = FeedCreatedEvent::new(feed_id, user_id, content);
            Ok((find_feed(tx, feed_id)?, Some(event)))
        })
        .await
    }

    /// A second like of the same user changes nothing, and no event tells of it.
    pub async fn like(&self, feed_id: i64, user_id: i64) -> Result<Written<Feed>, Refusal> {
        self.write(move |tx| {
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
        feed_id: i64,
        user_id: i64,
        text: String,
    ) -> Result<Written<Comment>, Refusal> {
        self.write(move |tx| {
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

    pub async fn view(&self, feed_id: i64, user_id: i64) -> Result<Written<Feed>, Refusal> {
        self.write(move |tx| {
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
        self.database.transaction(user).await
    }

    pub async fn feed(&self, feed_id: i64) -> Result<Feed, Refusal> {
        self.database.transaction(move |tx| find_feed(tx, feed_id)).await
    }

    /// The newest feeds, at most 20.
    pub async fn feeds(&self) -> Result<Vec<Feed>, Refusal> {
        let sql = format!("{FEED} ORDER BY feed_id DESC LIMIT 20");
        self.database
            .transaction(move |tx| {
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
        self.database.transaction(comments).await
    }

    /// How many accepted events are not in Kafka yet: in the outbox, or being sent.
    pub async fn pending(&self) -> Result<u64, Refusal> {
        match &self.sending {
            Sending::Outbox { .. } => Ok(outbox::count(&self.database).await?.0),
            Sending::Direct { running, .. } => Ok(running.len() as u64),
        }
    }

    /// Row and event in one transaction, and off with the event.
    async fn write<T, E>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<(T, Option<E>), Refusal>
        + std::marker::Send
        + 'static,
    ) -> Result<Written<T>, Refusal>
    where
        T: std::marker::Send + 'static,
        E: Event,
    {
        let config = self.config.clone();
        let through_outbox = matches!(self.sending, Sending::Outbox { .. });
        let transaction = move |tx: &Transaction<'_>| -> Result<(T, Option<Outgoing>), Refusal> {
            let (row, event) = change(tx)?;
            let Some(event) = event else { return Ok((row, None)) };
            let outgoing =
                Outgoing::new(&config, &event).map_err(|problems| invalid::<E>(&problems))?;
            if through_outbox {
                outbox::put(tx, &outgoing)?;
            }
            Ok((row, Some(outgoing)))
        };
        let (row, outgoing) = self.database.transaction(transaction).await?;
        let event_id = outgoing.as_ref().map(|event| event.event_id);
        if let Some(event) = outgoing {
            self.metrics.accepted(event.event_type);
            self.send(event);
        }
        Ok(Written { row, event_id })
    }

    fn send(&self, event: Outgoing) {
        match &self.sending {
            Sending::Outbox { wake } => wake.notify_one(),
            Sending::Direct { producer, running } => {
                let (producer, metrics) = (producer.clone(), self.metrics.clone());
                running.spawn(async move {
                    // The caller has had its answer; a failure has been logged, and that is all that is left of it.
                    match producer.send_message(&event.topic, &event.key, &event.payload).await {
                        Ok(()) => metrics.published(event.event_type),
                        Err(_logged) => metrics.lost(event.event_type),
                    }
                });
            }
        }
    }
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
        "This would break the schema of the event {event}, so nothing was stored: {}.",
        problems.join("; ")
    ))
}
