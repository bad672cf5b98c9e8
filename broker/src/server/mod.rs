//! Sockets and tasks: who listens, one task for each connection, and an end that leaves nothing behind.

mod connection;
mod connections;
mod greeting;
mod idle;
mod queued;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, mpsc},
    task::Poll,
};

use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    time::Duration,
};

use self::{connection::Ended, connections::Connections, queued::Queued};
use crate::{cluster::Cluster, threads::Threads, trace::Trace};

/// A broker that accepts connections. Dropping it ends every task, closes every socket and waits for that.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) addresses: Vec<SocketAddr>,
    task: Task,
}

/// A server that is about to listen.
#[derive(Debug)]
pub(crate) struct Starting {
    listening: oneshot::Receiver<io::Result<Vec<SocketAddr>>>,
    task: Task,
}

/// The task of a server, which owns its listeners and the tasks of its connections.
#[derive(Debug)]
struct Task {
    /// Dropping it is the signal to stop.
    stop: Option<oneshot::Sender<()>>,
    /// Both tell the end, for one who may not block and for one who must.
    stopped: Option<oneshot::Receiver<()>>,
    stopped_blocking: Mutex<mpsc::Receiver<()>>,
    /// Kept until the end, for they may be this broker's own.
    _threads: Threads,
}

/// What a server is to listen on, and what it serves.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Both loopbacks, if `None`.
    pub(crate) host: Option<String>,
    pub(crate) port: u16,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) trace: Option<Trace>,
}

/// What every connection of a server has.
#[derive(Clone, Debug)]
struct Shared {
    cluster: Arc<Cluster>,
    trace: Option<Trace>,
    queued: Arc<Queued>,
}

impl Server {
    /// Starts the task.
    pub(crate) fn start(plan: Plan) -> Starting {
        let threads = plan.cluster.threads.clone();
        let (tell, listening) = oneshot::channel();
        let (stop, stopping) = oneshot::channel();
        // Nothing is ever sent over them: they tell the end by going away.
        let (ended, stopped) = oneshot::channel();
        let (ended_blocking, stopped_blocking) = mpsc::channel();
        threads.handle().spawn(async move {
            run(plan, tell, stopping).await;
            drop((ended, ended_blocking));
        });
        let stop = Some(stop);
        let (stopped, stopped_blocking) = (Some(stopped), Mutex::new(stopped_blocking));
        let task = Task { stop, stopped, stopped_blocking, _threads: threads };
        Starting { listening, task }
    }

    /// Stops the server and waits without blocking until every task has ended.
    pub(crate) async fn stop(mut self) {
        self.task.stop = None;
        if let Some(stopped) = self.task.stopped.take() {
            let _: Result<(), _> = stopped.await;
        }
    }
}

impl Starting {
    /// The server once it accepts connections, or why it cannot.
    pub(crate) async fn finish(self) -> io::Result<Server> {
        let addresses = self.listening.await.expect(TELLS)?;
        Ok(Server { addresses, task: self.task })
    }

    /// The same outside a runtime.
    pub(crate) fn finish_blocking(self) -> io::Result<Server> {
        let addresses = self.listening.blocking_recv().expect(TELLS)?;
        Ok(Server { addresses, task: self.task })
    }
}

const TELLS: &str = "the task tells how it started";

impl Drop for Task {
    fn drop(&mut self) {
        self.stop = None;
        // The tasks run on other threads, so this ends also where the caller's runtime is blocked by it.
        let _: Result<(), _> = self.stopped_blocking.get_mut().recv();
    }
}

/// Listens and serves until the signal comes. All connections have ended when this returns.
async fn run(
    plan: Plan,
    tell: oneshot::Sender<io::Result<Vec<SocketAddr>>>,
    stopping: oneshot::Receiver<()>,
) {
    let (listeners, addresses) = match listen(plan.host.as_deref(), plan.port).await {
        Ok(listening) => listening,
        Err(error) => return drop(tell.send(Err(error))),
    };
    if tell.send(Ok(addresses)).is_err() {
        return; // Nobody waits for the broker any more.
    }
    let Plan { cluster, trace, .. } = plan;
    // Kafka takes a negative value for no limit.
    let limit = usize::try_from(cluster.settings.queued_max_request_bytes).unwrap_or(usize::MAX);
    let shared = Shared { cluster, trace, queued: Queued::new(limit) };
    let mut connections = Connections::new(&shared.cluster.settings);
    tokio::select! {
        _ = stopping => {}
        () = accept(&listeners, &shared, &mut connections) => {}
    }
    drop(listeners);
    connections.end().await;
}

async fn accept(listeners: &[TcpListener], shared: &Shared, connections: &mut Connections) {
    loop {
        tokio::select! {
            accepted = next(listeners), if connections.has_room() => match accepted {
                Ok((stream, remote)) if connections.has_room_for(remote) => {
                    connections.spawn(remote, serve(stream, remote, shared.clone()));
                }
                Ok((_, remote)) => tracing::warn!(
                    %remote,
                    "refused a connection: its address already has max.connections.per.ip connections"
                ),
                // Mostly too many open files: they come back when connections end.
                Err(error) => {
                    tracing::error!(%error, "could not accept a connection; trying again in 100 ms");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            () = connections.one_ended() => {}
        }
    }
}

/// The next connection to any of the listeners.
async fn next(listeners: &[TcpListener]) -> io::Result<(TcpStream, SocketAddr)> {
    std::future::poll_fn(|cx| {
        let accepted = listeners.iter().map(|listener| listener.poll_accept(cx));
        accepted.into_iter().find(Poll::is_ready).unwrap_or(Poll::Pending)
    })
    .await
}

async fn serve(stream: TcpStream, remote: SocketAddr, shared: Shared) {
    tracing::debug!(%remote, "a client connected");
    let trace = shared.trace.as_ref().map(|trace| trace.connection(remote));
    match connection::serve(stream, remote, &shared, trace).await {
        Ok(()) => tracing::debug!(%remote, "a client left"),
        Err(how @ (Ended::ByClient(_) | Ended::Idle(_))) => {
            tracing::debug!(%remote, "a client left: {how}");
        }
        Err(reason) => tracing::warn!(%remote, "ended a connection: {reason}"),
    }
}

/// Listens on `host` and `port`, or on both loopbacks if there is no host or it is `localhost`. Port 0 picks a free
/// one, the same for both.
async fn listen(host: Option<&str>, port: u16) -> io::Result<(Vec<TcpListener>, Vec<SocketAddr>)> {
    let listeners = match host {
        Some(host) if !host.eq_ignore_ascii_case("localhost") => {
            vec![TcpListener::bind((host, port)).await?]
        }
        _ => bind_loopbacks(port).await?,
    };
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<_>>()?;
    Ok((listeners, addresses))
}

async fn bind_loopbacks(port: u16) -> io::Result<Vec<TcpListener>> {
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
