//! The job handler: makes a job for each new user.

use crate::handling::{Failure, Handler};
use crate::kafka::events::Event;
use crate::kafka::{UserCreatedEvent, UserEvent, parse_user_event};
use crate::notifications::count;
use rusqlite::{Transaction, params};
use uuid::Uuid;

pub const TABLE: &str = "
    CREATE TABLE jobs (
        job_id  INTEGER PRIMARY KEY AUTOINCREMENT,
        user_id INTEGER NOT NULL,
        job     TEXT NOT NULL
    );
";

#[derive(Debug, Clone, Copy)]
pub struct Jobs;

impl Handler for Jobs {
    type Event = UserEvent;

    fn parse(&self, payload: &str) -> serde_json::Result<UserEvent> {
        parse_user_event(payload)
    }

    fn event_id(&self, UserEvent::UserCreated(created): &UserEvent) -> Uuid {
        created.event_id
    }

    fn handle(
        &self,
        tx: &Transaction<'_>,
        UserEvent::UserCreated(created): &UserEvent,
    ) -> Result<Option<String>, Failure> {
        let job = format!("Write a welcome letter to {}.", created.name);
        tx.prepare_cached("INSERT INTO jobs (user_id, job) VALUES (?, ?)")?
            .execute(params![created.user_id, &job])?;
        count(tx, UserCreatedEvent::EVENT_TYPE)?;
        Ok(Some(format!("New job: {job}")))
    }
}

/// The newest jobs, at most 20.
pub fn newest(tx: &Transaction<'_>) -> rusqlite::Result<Vec<String>> {
    let mut select = tx.prepare_cached("SELECT job FROM jobs ORDER BY job_id DESC LIMIT 20")?;
    select.query_map([], |row| row.get(0))?.collect()
}
