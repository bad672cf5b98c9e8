//! The notification service: tells the owner of a feed what others do with it.
//!
//! It learns of feeds from `created`, and keeps what it needs in its own database. It never looks into the web service's
//! database.

use crate::handling::{Failure, Handler};
use crate::kafka::{FeedEvent, FeedEventType, parse_feed_event};
use rusqlite::{OptionalExtension, Transaction, params};
use std::collections::BTreeMap;
use uuid::Uuid;

pub const TABLES: &str = "
    CREATE TABLE feeds (
        feed_id  INTEGER PRIMARY KEY,
        user_id  INTEGER NOT NULL
    );
    CREATE TABLE notifications (
        notification_id INTEGER PRIMARY KEY AUTOINCREMENT,
        user_id         INTEGER NOT NULL,
        text            TEXT NOT NULL
    );
    CREATE INDEX notifications_of_user ON notifications (user_id);
    CREATE TABLE effects (
        event_type TEXT PRIMARY KEY,
        times      INTEGER NOT NULL
    ) WITHOUT ROWID;
";

#[derive(Debug, Clone, Copy)]
pub struct Notifications;

impl Handler for Notifications {
    type Event = (FeedEventType, FeedEvent);

    fn parse(&self, payload: &str) -> serde_json::Result<Self::Event> {
        parse_feed_event(payload)
    }

    fn event_id(&self, (_, event): &Self::Event) -> Uuid {
        event.event_id()
    }

    fn handle(
        &self,
        tx: &Transaction<'_>,
        (event_type, event): &Self::Event,
    ) -> Result<Option<String>, Failure> {
        let told = match event {
            FeedEvent::Created(created) => {
                let sql = "INSERT INTO feeds (feed_id, user_id) VALUES (?, ?)
                           ON CONFLICT (feed_id) DO UPDATE SET user_id = excluded.user_id";
                tx.prepare_cached(sql)?.execute([created.feed_id, created.user_id])?;
                None
            }
            FeedEvent::Liked(liked) => {
                let text = format!("User {} likes your feed {}.", liked.user_id, liked.feed_id);
                Some(notify(tx, owner(tx, liked.feed_id)?, &text)?)
            }
            FeedEvent::Commented(commented) => {
                let (user, feed) = (commented.user_id, commented.feed_id);
                let text = format!("User {user} comments on your feed {feed}: {}", commented.text);
                Some(notify(tx, owner(tx, feed)?, &text)?)
            }
            // Nobody wants a notification for every view. It is only counted.
            FeedEvent::Viewed(_) => None,
        };
        count(tx, event_type.name())?;
        Ok(told)
    }
}

/// Temporary: the `created` of this feed may still come, or be among the dead letters.
fn owner(tx: &Transaction<'_>, feed_id: i64) -> Result<i64, Failure> {
    let mut select = tx.prepare_cached("SELECT user_id FROM feeds WHERE feed_id = ?")?;
    let owner = select.query_row([feed_id], |row| row.get(0)).optional()?;
    owner.ok_or_else(|| Failure::Temporary(format!("feed {feed_id} is not known yet")))
}

fn notify(tx: &Transaction<'_>, user_id: i64, text: &str) -> Result<String, Failure> {
    let sql = "INSERT INTO notifications (user_id, text) VALUES (?, ?)";
    tx.prepare_cached(sql)?.execute(params![user_id, text])?;
    Ok(format!("To user {user_id}: {text}"))
}

/// Counts an effect without looking at ids. So an event with two effects shows here.
pub(crate) fn count(tx: &Transaction<'_>, event_type: &str) -> Result<(), Failure> {
    let sql = "INSERT INTO effects (event_type, times) VALUES (?, 1)
               ON CONFLICT (event_type) DO UPDATE SET times = times + 1";
    tx.prepare_cached(sql)?.execute([event_type])?;
    Ok(())
}

/// How many effects the events of each type had.
pub fn effects(tx: &Transaction<'_>) -> rusqlite::Result<BTreeMap<String, u64>> {
    let mut select = tx.prepare_cached("SELECT event_type, times FROM effects")?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok((row.get(0)?, u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0)))
    };
    select.query_map([], read)?.collect()
}

/// The notifications of a user, in order.
pub fn of_user(tx: &Transaction<'_>, user_id: i64) -> rusqlite::Result<Vec<String>> {
    let mut select = tx.prepare_cached(
        "SELECT text FROM notifications WHERE user_id = ? ORDER BY notification_id",
    )?;
    select.query_map([user_id], |row| row.get(0))?.collect()
}
