//! SQLite: one file, one connection that writes, some that read.
//!
//! Why SQLite: the outbox is a pattern of SQL databases, and the file survives a killed process. The service and its
//! consumers have a file each: they share only Kafka.
//!
//! In WAL mode a reader sees the last commit and waits for nobody. So reads have connections of their own, and only
//! writes wait for the one lock.

use anyhow::{Context as _, Result, bail, ensure};
use prometheus_client::metrics::counter::Counter;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use shared::report;
use std::ffi::OsString;
use std::fmt::Display;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;

/// A database. A clone is the same one.
#[derive(Debug, Clone)]
pub struct Database {
    writer: Arc<Mutex<Connection>>,
    readers: Arc<[Arc<Mutex<Connection>>]>,
    next_reader: Arc<AtomicUsize>,
}

const READERS: usize = 4;
/// How long SQLite waits while another process has the lock.
const BUSY: Duration = Duration::from_secs(2);
/// The pause before a failed transaction is tried again.
const AFTER_FAILURE: Duration = Duration::from_millis(500);
/// Changes with the tables, so that an old file is noticed.
const VERSION: i64 = 2;

impl Database {
    /// Opens the file. A missing one is made, with these tables.
    pub fn open(path: &Path, tables: &str) -> Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("The folder {} cannot be made", folder.display()))?;
        }
        let context = || format!("The database {} cannot be opened", path.display());
        let (writer, version) = writer(path, tables).with_context(context)?;
        ensure!(
            version == VERSION,
            "The database {} was made by another version of this lab. `make lab4-reset` deletes it.",
            path.display()
        );
        let readers: rusqlite::Result<Vec<_>> = (0..READERS).map(|_| reader(path)).collect();
        let readers = readers.with_context(context)?;
        Ok(Self {
            writer: Arc::new(Mutex::new(writer)),
            readers: readers.into_iter().map(|reader| Arc::new(Mutex::new(reader))).collect(),
            next_reader: Arc::default(),
        })
    }

    /// Runs `work` in a transaction. If it succeeds, all of it is kept; if it fails, nothing.
    ///
    /// A caller that gives up while it waits for the lock has changed nothing.
    pub async fn write<T, E>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<rusqlite::Error> + Send + 'static,
    {
        let mut connection = self.writer.clone().lock_owned().await;
        blocking(move || {
            // Immediate: take the lock now, so that nothing that was read changes before the commit.
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = work(&transaction)?;
            transaction.commit()?;
            Ok(result)
        })
        .await
    }

    /// Reads. It never waits for a write.
    pub async fn read<T, E>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<rusqlite::Error> + Send + 'static,
    {
        let n = self.next_reader.fetch_add(1, Ordering::Relaxed) % self.readers.len();
        let mut connection = self.readers[n].clone().lock_owned().await;
        blocking(move || work(&connection.transaction()?)).await
    }

    /// Can somebody write within this time? If not, a sentence says why.
    pub async fn check(&self, limit: Duration) -> Result<(), String> {
        // It changes nothing, but it needs a page of the disk.
        let same = |tx: &Transaction<'_>| tx.pragma_update(None, "user_version", VERSION);
        match tokio::time::timeout(limit, self.write(same)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(format!("The database fails: {error}.")),
            Err(_elapsed) => Err(format!("The database took no write within {limit:?}.")),
        }
    }

    /// Deletes the rows of a table whose `at` (in seconds since 1970) is older than `age`. It takes some at a time, so
    /// that nobody waits long for the lock.
    pub async fn forget(&self, table: &'static str, age: Duration) -> rusqlite::Result<usize> {
        let age = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        let old = format!("SELECT rowid FROM {table} WHERE at <= unixepoch() - ? LIMIT 1000");
        let sql = format!("DELETE FROM {table} WHERE rowid IN ({old})");
        let mut all = 0;
        loop {
            let sql = sql.clone();
            let some = self.write(move |tx| tx.prepare_cached(&sql)?.execute([age])).await?;
            all += some;
            if some == 0 {
                return Ok(all);
            }
        }
    }
}

fn writer(path: &Path, tables: &str) -> rusqlite::Result<(Connection, i64)> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    // FULL: a transaction that was answered survives a power cut. The commit of an offset relies on it.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;",
    )?;
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    if number("SELECT count(*) FROM sqlite_schema")? == 0 {
        connection.execute_batch(tables)?;
        connection.pragma_update(None, "user_version", VERSION)?;
    }
    let version = number("PRAGMA user_version")?;
    Ok((connection, version))
}

fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}

/// The disk makes its thread wait, which must not hold up the other tasks of a thread.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        // A panic in `work` has rolled its transaction back, so the connection can be used again.
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

/// Can the same transaction succeed later, without anybody changing it? A lock goes away, and a disk gets room.
pub fn may_pass(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::OutOfMemory
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::SchemaChanged
                | ErrorCode::OperationInterrupted
        )
    )
}

/// Does the data break a rule of the tables? Then only other data helps.
pub fn is_fault_of_data(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig)
    )
}

/// Repeats the work while the database fails with something that [passes](may_pass). The first failure and the end of
/// the trouble are told; each failure is counted.
pub async fn patiently<T, E: Display, F: Future<Output = Result<T, E>>>(
    failures: &Counter,
    passes: impl Fn(&E) -> bool,
    what: &str,
    mut work: impl FnMut() -> F,
) -> Result<T, E> {
    let mut told = false;
    loop {
        let result = work().await;
        match &result {
            Err(error) if passes(error) => {
                failures.inc();
                if !told {
                    told = true;
                    report::note(format!("{what}: {error}. Trying until it works."));
                }
                tokio::time::sleep(AFTER_FAILURE).await;
            }
            _ => {
                if told {
                    report::note("The database works again.");
                }
                return result;
            }
        }
    }
}

/// The right to use a database file. It ends with this value, or with the process.
#[derive(Debug)]
pub struct Claim {
    _file: File,
}

/// Claims a database for this process. Two services with one outbox would publish each event twice; and a reset must not
/// delete the database of a running program.
pub fn claim(database: &Path) -> Result<Claim> {
    if let Some(folder) = database.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("The folder {} cannot be made", folder.display()))?;
    }
    let path = beside(database, ".lock");
    let context = || format!("{} cannot be opened", path.display());
    // Not the database itself: closing a second handle of it would end SQLite's own locks.
    let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = file.with_context(context)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {
            file.set_len(0).with_context(context)?;
            write!(file, "{}", std::process::id()).with_context(context)?;
            Ok(Claim { _file: file })
        }
        Err(Errno::WOULDBLOCK) => {
            let mut process = String::new();
            // Only for the sentence.
            let _ = file.rewind().and_then(|()| file.read_to_string(&mut process));
            bail!(
                "The database {} is used by process {}. Stop that program first.",
                database.display(),
                report::text(process.trim().as_bytes())
            )
        }
        Err(error) => Err(error).with_context(|| format!("{} cannot be locked", path.display())),
    }
}

/// The files of a database: the file itself, and the two that SQLite puts beside it.
pub fn files(database: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| beside(database, suffix))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "CREATE TABLE things (name TEXT UNIQUE, at INTEGER NOT NULL)";

    fn put(name: &'static str, age: i64) -> impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()> {
        move |tx| {
            let sql = "INSERT INTO things VALUES (?, unixepoch() - ?)";
            tx.execute(sql, rusqlite::params![name, age]).map(drop)
        }
    }

    fn count(tx: &Transaction<'_>) -> rusqlite::Result<i64> {
        tx.query_row("SELECT count(*) FROM things", [], |row| row.get(0))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_read_does_not_wait_for_a_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.db");
        let database = Database::open(&path, TABLE).unwrap();
        database.write(put("a", 0)).await.unwrap();
        // Another process keeps the lock.
        let other = Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE; INSERT INTO things VALUES ('b', 0)").unwrap();
        // And a writer of our own waits for it.
        let writing = tokio::spawn({
            let database = database.clone();
            async move { database.write(put("c", 0)).await }
        });
        for _ in 0..READERS * 2 {
            assert_eq!(database.read(count).await, Ok(1));
        }
        assert!(!writing.is_finished());
        other.execute_batch("COMMIT").unwrap();
        writing.await.unwrap().unwrap();
        assert_eq!(database.read(count).await, Ok(3));
    }

    #[tokio::test]
    async fn a_lock_passes_and_a_broken_rule_is_the_datas_fault() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.db");
        let database = Database::open(&path, TABLE).unwrap();
        database.write(put("a", 0)).await.unwrap();
        let twice = database.write(put("a", 0)).await.unwrap_err();
        assert!(is_fault_of_data(&twice) && !may_pass(&twice), "{twice}");
        let other = Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let busy = database.write(put("b", 0)).await.unwrap_err();
        assert!(may_pass(&busy) && !is_fault_of_data(&busy), "{busy}");
        let reason = database.check(Duration::from_millis(10)).await.unwrap_err();
        assert_eq!(reason, "The database took no write within 10ms.");
    }

    #[tokio::test]
    async fn old_rows_are_forgotten_and_young_ones_kept() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("some.db"), TABLE).unwrap();
        for (name, age) in [("old", 100), ("older", 1000), ("young", 1)] {
            database.write(put(name, age)).await.unwrap();
        }
        assert_eq!(database.forget("things", Duration::from_secs(60)).await, Ok(2));
        assert_eq!(database.read(count).await, Ok(1));
    }

    #[test]
    fn one_program_has_one_database() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.db");
        let claim = super::claim(&path).unwrap();
        let said = super::claim(&path).unwrap_err().to_string();
        let process = format!("is used by process {}. Stop that program", std::process::id());
        assert!(said.contains(&process), "{said}");
        drop(claim);
        super::claim(&path).unwrap();
    }

    #[test]
    fn the_file_of_an_older_lab_is_refused_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.db");
        Connection::open(&path).unwrap().execute_batch(TABLE).unwrap();
        let said = Database::open(&path, TABLE).unwrap_err().to_string();
        assert!(said.ends_with("`make lab4-reset` deletes it."), "{said}");
    }
}
