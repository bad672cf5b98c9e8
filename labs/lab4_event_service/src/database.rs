//! SQLite: one file, one connection, one transaction at a time.
//!
//! Why SQLite: the outbox is a pattern of SQL databases, and its one file is here after the process was killed. Both
//! programs have their own: the service and its consumers share nothing but Kafka.

use anyhow::{Context as _, Result};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// A database. A clone is the same one.
#[derive(Debug, Clone)]
pub struct Database(Arc<Mutex<Connection>>);

impl Database {
    /// Opens the file, which is made when missing, with these tables.
    pub fn open(path: &Path, tables: &str) -> Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("{} cannot be made", folder.display()))?;
        }
        let open = || -> rusqlite::Result<Connection> {
            let connection = Connection::open(path)?;
            // FULL: a transaction that was answered survives a power cut. Offsets are committed on the strength of it.
            connection.execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;",
            )?;
            connection.execute_batch(tables)?;
            Ok(connection)
        };
        let connection =
            open().with_context(|| format!("The database {} cannot be opened", path.display()))?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// Runs `work` in a transaction: all of it is kept when it succeeds, nothing when it fails.
    pub async fn transaction<T, E>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<rusqlite::Error> + Send + 'static,
    {
        let connection = self.0.clone();
        // Writing waits for the disk, which must not hold up the other tasks of this thread.
        let task = tokio::task::spawn_blocking(move || {
            // A panic in `work` has rolled its transaction back, so the connection is whole.
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            // Immediate: take the right to write now, so that nothing that was read changes before the commit.
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = work(&transaction)?;
            transaction.commit()?;
            Ok(result)
        });
        match task.await {
            Ok(result) => result,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }
}
