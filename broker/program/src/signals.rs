//! Ctrl-C and SIGTERM: the first one stops the broker, a second one ends the program at once.

use std::time::Duration;

use anyhow::Context;

/// How long the broker may take to stop.
const PATIENCE: Duration = Duration::from_secs(5);
/// The exit code of a program that did not end in good order.
const UNFINISHED: i32 = 1;

/// Signals, listened for from the beginning of this value.
#[cfg(unix)]
pub(crate) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    pub(crate) fn listen() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let interrupt = signal(SignalKind::interrupt()).context("Could not listen for Ctrl-C")?;
        let terminate = signal(SignalKind::terminate()).context("Could not listen for SIGTERM")?;
        Ok(Self { interrupt, terminate })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Ctrl-C.
#[cfg(not(unix))]
pub(crate) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(crate) fn listen() -> anyhow::Result<Self> {
        Ok(Self)
    }

    pub(crate) async fn next(&mut self) {
        tokio::signal::ctrl_c().await.unwrap_or_default();
    }
}

impl Signals {
    /// From now on a further signal ends the program, and so does a stop that takes too long.
    #[allow(clippy::disallowed_methods, reason = "whatever still runs, the program ends")]
    pub(crate) fn end_at_the_next_one(mut self) {
        tokio::spawn(async move {
            // Whether it came or not: this is the end.
            let _: Result<(), _> = tokio::time::timeout(PATIENCE, self.next()).await;
            std::process::exit(UNFINISHED);
        });
    }
}
