//! Ctrl-C and SIGTERM, the same for every lab: the first asks for an orderly end, the second ends at once.

use std::future::Future;
use std::io::IsTerminal;
use tokio::sync::watch;

/// Tells whether somebody wants the program to end. Clones share the answer.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<bool>);

/// Asks for the end, as Ctrl-C does.
#[derive(Debug)]
pub struct Trigger(watch::Sender<bool>);

impl Shutdown {
    /// Listens to Ctrl-C and SIGTERM from now on. The second one ends the process with code 130.
    pub fn on_signals() -> Self {
        let (trigger, shutdown) = Self::by_hand();
        tokio::spawn(async move {
            signal().await;
            if std::io::stderr().is_terminal() {
                // The terminal has shown `^C` and stays on that line.
                eprintln!();
            }
            trigger.pull();
            signal().await;
            eprintln!("Stopped at once.");
            #[expect(
                clippy::disallowed_methods,
                reason = "the orderly end takes too long for whoever waits"
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

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};

    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return interrupt().await;
    };
    tokio::select! {
        () = interrupt() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(not(unix))]
async fn signal() {
    interrupt().await;
}

async fn interrupt() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        tracing::warn!("Ctrl-C cannot be caught: {error}");
        std::future::pending::<()>().await;
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
