//! Sockets, tasks and a thread: who listens, one task for each connection, and an end that leaves nothing behind.
//!
//! A broker runs on a thread and a runtime of its own. In a test, its client's calls may block the test's own
//! runtime (closing a consumer waits for the broker's answer, for example): the broker answers all the same.

mod connection;
mod greeting;

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    thread::{self, JoinHandle},
};

use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{self, Runtime},
    sync::oneshot,
    time::Duration,
};

use self::connection::Ended;
use crate::{cluster::Cluster, trace::Trace};

/// A broker that accepts connections.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) addresses: Vec<SocketAddr>,
    thread: Thread,
}

/// A server whose thread is about to listen.
#[derive(Debug)]
pub(crate) struct Starting {
    listening: oneshot::Receiver<io::Result<Vec<SocketAddr>>>,
    thread: Thread,
}

/// The thread of a server. Dropping it ends every task, closes every socket and waits for that.
#[derive(Debug)]
struct Thread {
    /// Dropping it is the signal to stop.
    stop: Option<oneshot::Sender<()>>,
    stopped: Option<oneshot::Receiver<()>>,
    handle: Option<JoinHandle<()>>,
}

/// What a server is to listen on, and what it serves.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Both loopbacks, if `None`.
    pub(crate) host: Option<String>,
    pub(crate) port: u16,
    /// How many threads answer requests: 1 or more.
    pub(crate) threads: usize,
    pub(crate) cluster: Cluster,
    pub(crate) trace: Option<Trace>,
}

/// What every task of a server has.
#[derive(Clone, Debug)]
struct Shared {
    cluster: Arc<Cluster>,
    trace: Option<Trace>,
}

impl Server {
    /// Starts the thread.
    pub(crate) fn start(plan: Plan) -> io::Result<Starting> {
        let (tell, listening) = oneshot::channel();
        let (stop, stopping) = oneshot::channel();
        let (ended, stopped) = oneshot::channel();
        let body = move || {
            run(plan, tell, stopping);
            // Nobody may be waiting for it.
            let _: Result<(), ()> = ended.send(());
        };
        let handle = thread::Builder::new().name("mini-kafka".to_owned()).spawn(body)?;
        let thread = Thread { stop: Some(stop), stopped: Some(stopped), handle: Some(handle) };
        Ok(Starting { listening, thread })
    }

    /// Stops the server and waits without blocking until every task has ended.
    pub(crate) async fn stop(mut self) {
        self.thread.stop = None;
        if let Some(stopped) = self.thread.stopped.take() {
            let _: Result<(), _> = stopped.await;
        }
    }
}

impl Starting {
    /// The server once it accepts connections, or why it cannot.
    pub(crate) async fn finish(self) -> io::Result<Server> {
        let addresses = self.listening.await.expect(TELLS)?;
        Ok(Server { addresses, thread: self.thread })
    }

    /// The same outside a runtime.
    pub(crate) fn finish_blocking(self) -> io::Result<Server> {
        let addresses = self.listening.blocking_recv().expect(TELLS)?;
        Ok(Server { addresses, thread: self.thread })
    }
}

const TELLS: &str = "the thread tells how it started";

impl Drop for Thread {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(handle) = self.handle.take() {
            // A panic of the thread has been reported by itself.
            let _: thread::Result<()> = handle.join();
        }
    }
}

/// What the thread does: serve until the signal comes. The runtime takes all tasks with it when it goes.
fn run(
    plan: Plan,
    tell: oneshot::Sender<io::Result<Vec<SocketAddr>>>,
    stopping: oneshot::Receiver<()>,
) {
    let runtime = match runtime(plan.threads) {
        Ok(runtime) => runtime,
        Err(error) => return drop(tell.send(Err(error))),
    };
    runtime.block_on(async {
        let listening = listen(plan).await;
        let is_listening = listening.is_ok();
        if tell.send(listening).is_ok() && is_listening {
            let _: Result<(), _> = stopping.await;
        }
    });
}

fn runtime(threads: usize) -> io::Result<Runtime> {
    let mut builder = match threads {
        0 | 1 => runtime::Builder::new_current_thread(),
        _ => runtime::Builder::new_multi_thread(),
    };
    builder.worker_threads(threads.max(1)).thread_name("mini-kafka").enable_all().build()
}

/// Binds and starts to accept.
async fn listen(plan: Plan) -> io::Result<Vec<SocketAddr>> {
    let listeners = bind(plan.host.as_deref(), plan.port).await?;
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<_>>()?;
    let shared = Shared { cluster: Arc::new(plan.cluster), trace: plan.trace };
    for listener in listeners {
        tokio::spawn(accept(listener, shared.clone()));
    }
    Ok(addresses)
}

async fn accept(listener: TcpListener, shared: Shared) {
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                tokio::spawn(serve(stream, remote, shared.clone()));
            }
            // Mostly too many open files: they come back when connections end.
            Err(error) => {
                tracing::error!(%error, "could not accept a connection; trying again in 100 ms");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, remote: SocketAddr, shared: Shared) {
    tracing::debug!(%remote, "a client connected");
    let trace = shared.trace.as_ref().map(|trace| trace.connection(remote));
    match connection::serve(stream, remote, &shared.cluster, trace).await {
        Ok(()) => tracing::debug!(%remote, "a client left"),
        Err(Ended::ByClient(how)) => tracing::debug!(%remote, "a client left: {how}"),
        Err(reason) => tracing::warn!(%remote, "ended a connection: {reason}"),
    }
}

/// Listens on `host` and `port`, or on both loopbacks if there is no host. Port 0 picks a free one, the same for
/// both.
async fn bind(host: Option<&str>, port: u16) -> io::Result<Vec<TcpListener>> {
    if let Some(host) = host {
        return Ok(vec![TcpListener::bind((host, port)).await?]);
    }
    // A port that is free on one loopback may be taken on the other.
    const TRIES: usize = 32;
    let mut last = None;
    for _ in 0..TRIES {
        let v4 = TcpListener::bind(("127.0.0.1", port)).await?;
        let chosen = v4.local_addr()?.port();
        match TcpListener::bind(("::1", chosen)).await {
            Ok(v6) => return Ok(vec![v4, v6]),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && port == 0 => {
                last = Some(error);
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            // A machine without IPv6.
            Err(_) => return Ok(vec![v4]),
        }
    }
    Err(last.expect("every try failed"))
}
