//! The broker under test: the Kafka that `KAFKA_BOOTSTRAP_SERVERS` names, or else one of ours in this process.

/// A broker to test. Ours stops when this is dropped.
pub(crate) struct Subject {
    bootstrap_servers: String,
    _ours: Option<mini_kafka::Broker>,
}

impl Subject {
    pub(crate) async fn start() -> Self {
        if let Ok(bootstrap_servers) = std::env::var("KAFKA_BOOTSTRAP_SERVERS") {
            return Self { bootstrap_servers, _ours: None };
        }
        // As on the Kafka to compare with, a new group does not wait for more members.
        let ours = mini_kafka::Broker::builder().config("group.initial.rebalance.delay.ms", "0");
        let ours = ours.start().await.expect("a broker on a free port");
        Self { bootstrap_servers: ours.bootstrap_servers().to_owned(), _ours: Some(ours) }
    }

    pub(crate) fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }
}
