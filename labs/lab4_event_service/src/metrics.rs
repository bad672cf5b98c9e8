//! Counters for `/metrics`, in Prometheus' text format. Throughput is the rate of a counter:
//! `rate(lab4_events_published_total[1m])`.

use crate::kafka::lag::Lag;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::Arc;

type Labels<const N: usize> = [(&'static str, String); N];
type Counters<const N: usize> = Family<Labels<N>, Counter>;

/// What the web service counts.
#[derive(Debug, Clone)]
pub struct ServiceMetrics {
    registry: Arc<Registry>,
    accepted: Counters<1>,
    published: Counters<1>,
    lost: Counters<1>,
    pending: Gauge,
    lag: Family<Labels<3>, Gauge>,
}

impl Default for ServiceMetrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let mut counter = |name, help| {
            let counters = Counters::default();
            registry.register(name, help, counters.clone());
            counters
        };
        let accepted = counter("lab4_events_accepted", "Events that a caller was told of");
        let published = counter("lab4_events_published", "Events that the broker has acknowledged");
        let lost = counter("lab4_events_lost", "Events whose direct send failed");
        let (pending, lag) = (Gauge::default(), Family::default());
        registry.register(
            "lab4_events_pending",
            "Accepted events that are not in Kafka yet",
            pending.clone(),
        );
        registry.register(
            "lab4_consumer_lag",
            "Messages that a group has not committed yet",
            Family::clone(&lag),
        );
        Self { registry: Arc::new(registry), accepted, published, lost, pending, lag }
    }
}

impl ServiceMetrics {
    pub fn accepted(&self, event_type: &str) {
        count(&self.accepted, &[("event_type", event_type.to_owned())]);
    }

    pub fn published(&self, event_type: &str) {
        count(&self.published, &[("event_type", event_type.to_owned())]);
    }

    pub fn lost(&self, event_type: &str) {
        count(&self.lost, &[("event_type", event_type.to_owned())]);
    }

    pub fn set_pending(&self, pending: u64) {
        self.pending.set(i64::try_from(pending).unwrap_or(i64::MAX));
    }

    pub fn set_lag(&self, lags: &[Lag]) {
        for lag in lags {
            let labels = [
                ("group", lag.group.clone()),
                ("topic", lag.topic.clone()),
                ("partition", lag.partition.to_string()),
            ];
            self.lag.get_or_create(&labels).set(lag.lag());
        }
    }

    pub fn text(&self) -> String {
        text(&self.registry)
    }
}

/// What a consumer counts.
#[derive(Debug, Clone)]
pub struct ConsumerMetrics {
    registry: Arc<Registry>,
    handled: Counters<2>,
    retries: Counters<1>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Handled,
    /// Its event was handled before.
    Duplicate,
    /// It is a dead letter now.
    Dead,
}

impl Default for ConsumerMetrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let (handled, retries) = (Counters::default(), Counters::default());
        registry.register(
            "lab4_messages",
            "Messages that a group is done with, by outcome",
            handled.clone(),
        );
        registry.register("lab4_retries", "Attempts after the first", retries.clone());
        Self { registry: Arc::new(registry), handled, retries }
    }
}

impl ConsumerMetrics {
    pub fn done(&self, group: &str, outcome: Outcome) {
        let word = match outcome {
            Outcome::Handled => "handled",
            Outcome::Duplicate => "duplicate",
            Outcome::Dead => "dead_letter",
        };
        count(&self.handled, &[("group", group.to_owned()), ("outcome", word.to_owned())]);
    }

    pub fn retry(&self, group: &str) {
        count(&self.retries, &[("group", group.to_owned())]);
    }

    pub fn text(&self) -> String {
        text(&self.registry)
    }
}

fn count<const N: usize>(counters: &Counters<N>, labels: &Labels<N>) {
    counters.get_or_create(labels).inc();
}

fn text(registry: &Registry) -> String {
    let mut text = String::new();
    encode(&mut text, registry).expect("a String takes everything");
    text
}
