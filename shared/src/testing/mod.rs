//! A broker for a test, READMEs that are tests, and programs on a terminal.
//!
//! No feature switches it on: the tests and the programs then share one build of everything.
//!
//! ```no_run
//! # async fn test() -> anyhow::Result<()> {
//! use shared::testing::{TestBroker, unique};
//!
//! let broker = TestBroker::start().await?;
//! let topic = unique("orders"); // on a Kafka that others use too, names must be one's own
//! println!("{topic} on {}", broker.bootstrap_servers());
//! # Ok(())
//! # }
//! ```
//!
//! Which broker it is, the surroundings say:
//!
//! * `KAFKA_BOOTSTRAP_SERVERS` names one: that one, and it is left running.
//! * With the feature `docker-tests`: Apache Kafka in a container, which ends with the value.
//! * Else an embedded `mini_kafka::Broker`, which starts in milliseconds.

#[cfg(unix)]
pub mod screen;
#[cfg(unix)] // It presses Ctrl-C by a signal.
pub mod transcript;

use mini_kafka::Broker;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a program may take to print what is expected: more than `message.timeout.ms` and any rebalance.
const LIMIT: Duration = Duration::from_secs(30);

/// A broker for the length of a test. Dropping it stops what it started.
#[derive(Debug)]
pub struct TestBroker(Kind);

#[derive(Debug)]
enum Kind {
    Embedded(Box<Broker>),
    External(String),
    #[cfg(feature = "docker-tests")]
    Container(Box<container::Container>),
}

impl TestBroker {
    /// Starts one, or takes the one that `KAFKA_BOOTSTRAP_SERVERS` names.
    ///
    /// # Errors
    /// When there is no free port, or no Docker engine for a container.
    pub async fn start() -> anyhow::Result<Self> {
        if let Some(address) = external() {
            return Ok(Self(Kind::External(address)));
        }
        #[cfg(feature = "docker-tests")]
        return Ok(Self(Kind::Container(Box::new(container::Container::start().await?))));
        #[cfg(not(feature = "docker-tests"))]
        Self::embedded(0).await
    }

    /// An embedded one, whatever the surroundings say; port 0 is a free one.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn embedded(port: u16) -> anyhow::Result<Self> {
        Ok(Self(Kind::Embedded(Box::new(Broker::builder().port(port).start().await?))))
    }

    /// The address for `bootstrap.servers`.
    pub fn bootstrap_servers(&self) -> &str {
        match &self.0 {
            Kind::Embedded(broker) => broker.bootstrap_servers(),
            Kind::External(address) => address,
            #[cfg(feature = "docker-tests")]
            Kind::Container(container) => container.address(),
        }
    }

    /// Is it our own, so that a test may stop it?
    pub fn is_embedded(&self) -> bool {
        matches!(self.0, Kind::Embedded(_))
    }

    /// Stops it and waits until its port is free. One that was running before stays.
    pub async fn stop(self) {
        if let Kind::Embedded(broker) = self.0 {
            broker.shutdown().await;
        }
    }
}

/// The Kafka that the environment names for tests.
pub fn external() -> Option<String> {
    std::env::var("KAFKA_BOOTSTRAP_SERVERS").ok().filter(|address| !address.is_empty())
}

/// Takes away what the reader's shell may have set for labs, unless the command sets it itself.
fn without_surroundings(command: &mut Command) {
    let set: Vec<_> = command.get_envs().map(|(name, _)| name.to_owned()).collect();
    for name in [
        "LAB_CONFIG",
        "LOG_FORMAT",
        "RUST_LOG",
        "KAFKA_BOOTSTRAP_SERVERS",
        "KAFKA_BROKER",
        "KAFKA_HOST_IP",
        "KAFKA_LAUNCHER",
        "NO_COLOR",
        "CLICOLOR_FORCE",
    ] {
        if !set.iter().any(|set| set == name) {
            command.env_remove(name);
        }
    }
}

/// `name` with an ending that no other test has, in this process or another: for topics and groups.
pub fn unique(name: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    format!("{name}-{}-{now}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(feature = "docker-tests")]
mod container {
    use anyhow::Context;
    use testcontainers_modules::kafka::apache::{KAFKA_PORT, Kafka};
    use testcontainers_modules::testcontainers::runners::AsyncRunner;
    use testcontainers_modules::testcontainers::{ContainerAsync, ImageExt};

    /// The version that `docker-compose.yml` starts.
    const VERSION: &str = "4.3.1";

    #[derive(Debug)]
    pub(super) struct Container {
        _running: ContainerAsync<Kafka>,
        address: String,
    }

    impl Container {
        pub(super) async fn start() -> anyhow::Result<Self> {
            // The native image lacks parts of zstd, and the module's own settings leave transactions and the first
            // rebalance as they are in a cluster of three.
            let running = Kafka::default()
                .with_jvm_image()
                .with_tag(VERSION)
                .with_env_var("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1")
                .with_env_var("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1")
                .with_env_var("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0")
                .start()
                .await
                .context(
                    "Kafka could not be started in a container; is a Docker engine running?",
                )?;
            let port = running
                .get_host_port_ipv4(KAFKA_PORT)
                .await
                .context("The container has no port")?;
            Ok(Self { _running: running, address: format!("127.0.0.1:{port}") })
        }

        pub(super) fn address(&self) -> &str {
            &self.address
        }
    }
}
