//! Ctrl-C, SIGTERM, and SIGHUP, which comes when a terminal is closed: the first one stops the broker, a second one ends
//! the program at once.

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
    /// `None` under `nohup`: the program shall outlive its terminal then.
    hang_up: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    pub(crate) fn listen() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let interrupt = signal(SignalKind::interrupt()).context("Could not listen for Ctrl-C")?;
        let terminate = signal(SignalKind::terminate()).context("Could not listen for SIGTERM")?;
        let hang_up = (!ignores_hang_up()).then(|| signal(SignalKind::hangup())).transpose();
        let hang_up = hang_up.context("Could not listen for SIGHUP")?;
        Ok(Self { interrupt, terminate, hang_up })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        let hang_up = async {
            match &mut self.hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hang_up => {}
        }
    }
}

/// Was the program told to ignore SIGHUP when it was started? Systems without `/proc` do not say. The signal is left
/// alone then, and ends the program unless it is ignored.
#[cfg(unix)]
fn ignores_hang_up() -> bool {
    let ignored = || {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    };
    // SIGHUP is signal 1, and so bit 0.
    ignored().is_none_or(|mask| mask & 1 == 1)
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
