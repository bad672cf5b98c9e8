//! An in-memory, Kafka-compatible broker for tests and for learning.
//!
//! A test needs only [`Broker`] and [`Builder`]. Inside, a request goes this way, and its answer comes back:
//!
//! ```text
//! socket → server/connection → wire (frame, header, body) → api table → api/<family>/<api> → cluster → log | group
//! socket ←       server      ←           wire             ←  typed response, error codes  ←────────────┘
//! ```

/// The Rust in the documentation, compiled and run.
#[cfg(doctest)]
mod docs {
    #[doc = include_str!("../docs/examples.md")]
    struct Examples;
    #[doc = include_str!("../docs/getting-started.md")]
    struct GettingStarted;
    #[doc = include_str!("../docs/kafka-internals.md")]
    struct KafkaInternals;
    #[doc = include_str!("../docs/protocol.md")]
    struct Protocol;
}

mod api;
mod cluster;
mod error;
mod error_code;
mod event;
mod group;
mod log;
mod machine;
mod server;
mod settings;
#[cfg(test)]
mod tests;
mod threads;
mod time;
mod trace;
mod wire;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use crate::{
    cluster::{Clock, Cluster, NewTopic},
    server::{Plan, Server},
    settings::Settings,
    threads::Threads,
};
pub use crate::{
    error::Error,
    trace::{Decoded, Format, Trace, decode},
};

/// An API that the broker serves, with its oldest and its newest version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Api {
    /// Kafka's name for it, such as `Produce`.
    pub name: &'static str,
    /// Its number in a request.
    pub key: i16,
    /// The oldest version that is answered.
    pub min_version: i16,
    /// The newest version that is answered.
    pub max_version: i16,
}

/// Every API that the broker serves, in the order of the keys.
pub fn apis() -> Vec<Api> {
    let mut apis: Vec<Api> = api::APIS
        .iter()
        .map(|api| Api {
            name: api.name,
            key: api.key as i16,
            min_version: api.min,
            max_version: api.max,
        })
        .collect();
    apis.sort_by_key(|api| api.key);
    apis
}

/// A running broker. If you drop it, it stops, and its port is free.
///
/// It runs on threads of its own. So a call that blocks your test or your runtime does not block the broker. All
/// brokers of a process share one thread, unless you call [`Builder::own_runtime`] or [`Builder::threads`].
#[derive(Debug)]
#[must_use = "a broker stops when it is dropped: keep it in a variable"]
pub struct Broker {
    server: Server,
    cluster: Arc<Cluster>,
    bootstrap_servers: String,
}

impl Broker {
    /// Starts a broker with the defaults: a free port on 127.0.0.1 and ::1. A topic that does not exist is created when a
    /// client asks for it, with three partitions.
    ///
    /// # Errors
    ///
    /// Only if the machine has no free port or cannot start a thread.
    pub async fn start() -> Result<Self, Error> {
        Self::builder().start().await
    }

    /// Configures a broker before it starts.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The address for a client's `bootstrap.servers`, such as `127.0.0.1:49213`.
    pub fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }

    /// The id of the cluster, as Kafka's Admin clients show it. The cluster has this one broker.
    pub fn cluster_id(&self) -> &str {
        &self.cluster.id
    }

    /// Stops the broker, and waits until its port is free and every connection is closed. A drop does the same, but blocks
    /// its thread.
    pub async fn shutdown(self) {
        self.server.stop().await;
    }
}

/// Configures a broker before it starts.
#[derive(Clone, Debug, Default)]
#[must_use = "call start()"]
pub struct Builder {
    host: Option<String>,
    port: u16,
    settings: Vec<(String, String)>,
    topics: Vec<(String, i32)>,
    trace: Option<Trace>,
    threads: Option<usize>,
    clock: Option<Clock>,
    memory_limit: Option<usize>,
}

impl Builder {
    /// The port to listen on; 0, the default, picks a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The address to listen on. Without it, the broker listens on 127.0.0.1 and ::1.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// A broker setting under Kafka's name, such as `num.partitions` or `message.max.bytes`. If a
    /// setting is set twice, the last value wins.
    pub fn config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Creates a topic when the broker starts.
    pub fn topic(mut self, name: impl Into<String>, partitions: i32) -> Self {
        self.topics.push((name.into(), partitions));
        self
    }

    /// Shows requests and answers. The trace says which ones, and where.
    pub fn trace(mut self, trace: Trace) -> Self {
        self.trace = Some(trace);
        self
    }

    /// Gives the broker so many threads of its own. Without it, the broker shares one thread with the other brokers of the
    /// process. This is enough for a test.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads.max(1));
        self
    }

    /// Gives the broker one thread of its own. So it does not share a thread with other brokers of the process.
    pub fn own_runtime(mut self) -> Self {
        self.threads = self.threads.or(Some(1));
        self
    }

    /// How many bytes of records the broker keeps at most. Without it, there is no limit.
    ///
    /// At the limit a producer gets `KAFKA_STORAGE_ERROR`, and clients try again. Nothing that was stored is deleted. To
    /// make room, delete records or a topic.
    pub fn memory_limit(mut self, bytes: usize) -> Self {
        self.memory_limit = Some(bytes);
        self
    }

    /// A clock that a test moves, instead of one that runs.
    #[cfg(test)]
    pub(crate) fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Starts the broker; it accepts connections when this returns.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for a setting or topic that Kafka would refuse. [`Error::Listen`] for an address on which the
    /// broker cannot listen. [`Error::Threads`] if the system starts no more threads.
    pub async fn start(self) -> Result<Broker, Error> {
        let (host, port) = (self.host.clone(), self.port);
        let plan = self.plan()?;
        let cluster = Arc::clone(&plan.cluster);
        let server = Server::start(plan).finish().await;
        running(server, cluster, host.as_deref(), port)
    }

    /// As [`start`](Self::start), for a test or a program without an async runtime. Do not call it inside a runtime.
    ///
    /// ```
    /// let broker = mini_kafka::Broker::builder().start_blocking()?;
    /// println!("{}", broker.bootstrap_servers());
    /// # Ok::<(), mini_kafka::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_blocking(self) -> Result<Broker, Error> {
        let (host, port) = (self.host.clone(), self.port);
        let plan = self.plan()?;
        let cluster = Arc::clone(&plan.cluster);
        let server = Server::start(plan).finish_blocking();
        running(server, cluster, host.as_deref(), port)
    }

    fn plan(self) -> Result<Plan, Error> {
        let mut settings = Settings::default();
        for (name, value) in &self.settings {
            settings.set(name, value).map_err(|bad| Error::Setting(bad.to_string()))?;
        }
        let threads = match self.threads {
            None => Threads::shared(),
            Some(threads) => Threads::own(threads),
        };
        let threads = threads.map_err(|source| Error::Threads { source })?;
        let clock = self.clock.unwrap_or_default();
        let cluster = Cluster::new(settings, clock, threads, self.memory_limit);
        for (name, partitions) in self.topics {
            let new = NewTopic { name, partitions, overrides: [].into() };
            cluster.topics.create(new, false).map_err(|refusal| Error::Setting(refusal.message))?;
        }
        let Self { host, port, trace, .. } = self;
        Ok(Plan { host, port, cluster: Arc::new(cluster), trace })
    }
}

fn running(
    server: io::Result<Server>,
    cluster: Arc<Cluster>,
    host: Option<&str>,
    port: u16,
) -> Result<Broker, Error> {
    let server = server.map_err(|source| Error::listen(host, port, source))?;
    let bootstrap_servers = reachable(server.addresses[0]).to_string();
    Ok(Broker { server, cluster, bootstrap_servers })
}

/// The address to connect to for one that is listened on: every address of the machine includes its loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}
