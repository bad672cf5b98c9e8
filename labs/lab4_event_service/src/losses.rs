//! Direct sends that failed. During an outage there are hundreds, so the terminal shows the first one and a count. All of
//! them are in a file. A few may have arrived all the same: a send that timed out may have reached the broker.

use crate::outbox::Outgoing;
use crate::{in_workspace, say};
use shared::report;
use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The failed sends. A clone is the same list.
#[derive(Debug, Clone)]
pub struct Losses {
    path: Arc<PathBuf>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    file: Option<File>,
    /// Failed since the last summary.
    in_a_row: u64,
    last: Option<Instant>,
}

/// When a broker is back, some sends succeed while older ones still time out. They all belong to one row.
const CALM: Duration = Duration::from_secs(1);

impl Losses {
    pub fn new(path: &Path) -> Self {
        Self { path: Arc::new(in_workspace(path)), state: Arc::default() }
    }

    /// A send has failed. The first one of a row is told, each is written down.
    pub fn lost(&self, event: &Outgoing, error: &impl Display) {
        let mut state = self.state();
        state.in_a_row += 1;
        state.last = Some(Instant::now());
        let line = say::escaped(format!("{} {}: {error}", event.topic, event.payload));
        if state.in_a_row == 1 {
            tracing::warn!(
                topic = event.topic,
                key = event.key,
                payload = event.payload,
                "An event is lost: {error}. If there are more, {} has them",
                self.path.display()
            );
        }
        if let Err(error) = state.write(&self.path, &line) {
            tracing::warn!("{} cannot be written: {error}. {line}", self.path.display());
        }
    }

    /// An event was sent. If none has failed for a while, the row has ended.
    pub fn sent(&self) {
        let calm = self.state().last.is_some_and(|last| last.elapsed() > CALM);
        if calm {
            self.tell();
        }
    }

    /// Says how many failed in a row.
    pub fn tell(&self) {
        let lost = std::mem::take(&mut self.state().in_a_row);
        if lost > 1 {
            let sends = report::count(lost, "send");
            report::note(format!("{sends} failed; {} has each event.", self.path.display()));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A counter and a file are whole after any panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write(&mut self, path: &Path, line: &str) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                if let Some(folder) = path.parent() {
                    std::fs::create_dir_all(folder)?;
                }
                self.file.insert(OpenOptions::new().create(true).append(true).open(path)?)
            }
        };
        writeln!(file, "{line}")
    }
}
