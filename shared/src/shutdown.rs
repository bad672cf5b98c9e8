//! Ctrl-C, SIGTERM and SIGHUP, the same for every lab: the first asks for an orderly end, the second ends at once.
//!
//! SIGHUP comes when the terminal window is closed. Without it a consumer would be killed there, and its group would
//! wait for the end of its session.

use std::fmt;
use std::future::Future;
use std::io::{IsTerminal, Write};
use std::sync::OnceLock;
use tokio::sync::watch;

/// Tells whether somebody wants the program to end. Clones share the answer.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<bool>);

/// Asks for the end, as Ctrl-C does.
#[derive(Debug)]
pub struct Trigger(watch::Sender<bool>);

/// The shutdown of a program that listens to signals.
static OF_THIS_PROGRAM: OnceLock<Shutdown> = OnceLock::new();

impl Shutdown {
    /// Listens to Ctrl-C, SIGTERM and SIGHUP from now on. The second one ends the process with code 130.
    pub fn on_signals() -> Self {
        let (trigger, shutdown) = Self::by_hand();
        let _only_the_first_counts = OF_THIS_PROGRAM.set(shutdown.clone());
        // Before anything can arrive.
        let mut signals = Signals::listen();
        tokio::spawn(async move {
            signals.next().await;
            if std::io::stderr().is_terminal() {
                // The terminal has shown `^C` and stays on that line.
                note("");
            }
            trigger.pull();
            signals.next().await;
            note("Stopped at once.");
            #[expect(
                clippy::disallowed_methods,
                reason = "the orderly end takes too long for the person who waits"
            )]
            std::process::exit(130);
        });
        shutdown
    }

    /// One that a program or a test asks for itself.
    pub fn by_hand() -> (Trigger, Self) {
        let (sender, receiver) = watch::channel(false);
        (Trigger(sender), Self(receiver))
    }

    /// Was it asked for?
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is asked for.
    pub fn requested(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut receiver = self.0.clone();
        async move {
            if receiver.wait_for(|requested| *requested).await.is_err() {
                // Nobody is left to ask for it.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Trigger {
    /// Asks for the end.
    pub fn pull(&self) {
        self.0.send_replace(true);
    }
}

/// Ctrl-C came before the program had begun its work. Ends a program with code 130.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stopped before it had begun.")
    }
}

impl std::error::Error for Interrupted {}

/// Waits for `work`, or until Ctrl-C in a program that listens to signals. For what has no orderly end: the search for
/// a broker, for example.
pub(crate) async fn unless_interrupted<T>(
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let Some(shutdown) = OF_THIS_PROGRAM.get() else { return work.await };
    tokio::select! {
        result = work => result,
        () = shutdown.requested() => Err(Interrupted.into()),
    }
}

/// A line to stderr. The terminal may be gone, and `eprintln!` would panic there.
fn note(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(unix)]
struct Signals(Vec<tokio::signal::unix::Signal>);

#[cfg(unix)]
impl Signals {
    fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};

        let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate()];
        if !ignores_hangup() {
            kinds.push(SignalKind::hangup());
        }
        let listen = |kind: SignalKind| {
            signal(kind)
                .inspect_err(|error| {
                    tracing::warn!("Signal {} cannot be caught: {error}", kind.as_raw_value());
                })
                .ok()
        };
        Self(kinds.into_iter().filter_map(listen).collect())
    }

    async fn next(&mut self) {
        let signals = &mut self.0;
        std::future::poll_fn(|context| {
            if signals.iter_mut().any(|signal| signal.poll_recv(context).is_ready()) {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
    }
}

/// `nohup` asks a program to outlive its terminal. Linux tells; elsewhere SIGHUP counts.
#[cfg(unix)]
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 == 1)
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> Self {
        Self
    }

    async fn next(&mut self) {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::warn!("Ctrl-C cannot be caught: {error}");
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_hears_of_it_also_afterwards() {
        let (trigger, shutdown) = Shutdown::by_hand();
        let waiting = tokio::spawn(shutdown.requested());
        assert!(!shutdown.is_requested());
        trigger.pull();
        waiting.await.unwrap();
        shutdown.requested().await;
        assert!(shutdown.is_requested());
    }
}
