//! Sockets and tasks: who listens, one task for each connection, and an end that leaves nothing behind.

mod connection;
mod greeting;

use std::{io, net::SocketAddr, sync::Arc};

use tokio::{
    net::{TcpListener, TcpStream},
    time::Duration,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{cluster::Cluster, trace::Trace};

/// A broker that accepts connections.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) addresses: Vec<SocketAddr>,
    shared: Shared,
}

/// What every task of a server has.
#[derive(Clone, Debug)]
struct Shared {
    cluster: Arc<Cluster>,
    trace: Option<Trace>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    /// Accepts connections on every listener until it is stopped, and shows what they say to `trace`.
    pub(crate) fn start(
        listeners: Vec<TcpListener>,
        cluster: Cluster,
        trace: Option<Trace>,
    ) -> io::Result<Self> {
        let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<_>>()?;
        let (cluster, stop, tasks) =
            (Arc::new(cluster), CancellationToken::new(), TaskTracker::new());
        let shared = Shared { cluster, trace, stop, tasks };
        for listener in listeners {
            shared.tasks.spawn(accept(listener, shared.clone()));
        }
        Ok(Self { addresses, shared })
    }

    /// Tells every task to end and does not wait.
    pub(crate) fn stop(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
    }

    /// Waits until every task has ended.
    pub(crate) async fn stopped(&self) {
        self.shared.tasks.wait().await;
    }
}

async fn accept(listener: TcpListener, shared: Shared) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, remote)) => {
                shared.tasks.spawn(serve(stream, remote, shared.clone()));
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
    tokio::select! {
        ended = connection::serve(stream, remote, &shared.cluster, trace) => {
            if let Err(reason) = ended {
                tracing::warn!(%remote, "ended a connection: {reason}");
            }
            tracing::debug!(%remote, "a connection is closed");
        }
        () = shared.stop.cancelled() => (),
    }
}

/// Listens on `host` and `port`, or on both loopbacks if there is no host. Port 0 picks a free one, the same for
/// both.
pub(crate) async fn bind(host: Option<&str>, port: u16) -> io::Result<Vec<TcpListener>> {
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
