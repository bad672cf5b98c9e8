//! The threads that brokers run on, which are never their caller's.
//!
//! In a test, its client's calls may block the test's own runtime (closing a consumer waits for the broker's answer, for
//! example): the broker answers all the same.

use std::{
    convert::Infallible,
    io,
    sync::{Arc, OnceLock},
    thread,
};

use parking_lot::Mutex;
use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::oneshot,
    task::JoinSet,
};

/// Threads that serve sockets, and threads for long work.
#[derive(Clone, Debug)]
pub(crate) struct Threads(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sockets: Handle,
    /// Nothing is ever sent over it: dropping it ends the threads of the sockets.
    _until: oneshot::Sender<Infallible>,
    /// Started when there is the first long work.
    aside: OnceLock<Option<Runtime>>,
}

/// What all brokers of the process share: one thread for sockets, started with the first broker.
static SHARED: Mutex<Option<Threads>> = Mutex::new(None);

impl Threads {
    /// The threads that brokers share.
    pub(crate) fn shared() -> io::Result<Self> {
        let mut shared = SHARED.lock();
        if shared.is_none() {
            *shared = Some(Self::own(1)?);
        }
        Ok(shared.clone().expect("set above"))
    }

    /// Threads for one broker, as many as that for its sockets.
    pub(crate) fn own(threads: usize) -> io::Result<Self> {
        // A runtime of one thread looks for no other thread's work: a small request costs a twentieth less.
        let mut builder = match threads {
            0 | 1 => Builder::new_current_thread(),
            _ => Builder::new_multi_thread(),
        };
        let runtime =
            builder.worker_threads(threads.max(1)).thread_name(NAME).enable_all().build()?;
        let sockets = runtime.handle().clone();
        let (until, ended) = oneshot::channel();
        thread::Builder::new().name(NAME.to_owned()).spawn(move || runtime.block_on(ended))?;
        Ok(Self(Arc::new(Inner { sockets, _until: until, aside: OnceLock::new() })))
    }

    /// Where everything is spawned.
    pub(crate) fn handle(&self) -> &Handle {
        &self.0.sockets
    }

    /// Does long work on other threads, so that no client waits for it but the one that asked. Dropping the future
    /// ends the work at its next await.
    pub(crate) async fn aside<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let Some(aside) = self.0.aside.get_or_init(|| aside().ok()) else {
            return work.await; // No thread is left: better slow than not at all.
        };
        let mut one = JoinSet::new();
        one.spawn_on(work, aside.handle());
        match one.join_next().await.expect("one was spawned") {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

const NAME: &str = "mini-kafka";

fn aside() -> io::Result<Runtime> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("mini-kafka-aside")
        .enable_time()
        .build()
}

impl Drop for Inner {
    /// Waits for nothing, so that it may happen anywhere: a broker has ended its tasks before.
    fn drop(&mut self) {
        if let Some(aside) = self.aside.take().flatten() {
            aside.shutdown_background();
        }
    }
}
