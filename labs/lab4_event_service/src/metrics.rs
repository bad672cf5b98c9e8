//! Numbers for `/metrics`, in Prometheus' text format. Throughput is the rate of a counter:
//! `rate(lab4_events_published_total[1m])`.
//!
//! Every number that an alert may use is there from the start, at 0. A rule over a number that does not exist yet never
//! fires.

use crate::kafka::events::EVENT_TYPES;
use crate::kafka::lag::Lag;
use crate::{Config, Stream};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::time::Duration;

type Labels<const N: usize> = [(&'static str, String); N];
type Counters<const N: usize> = Family<Labels<N>, Counter>;

/// What the web service counts.
#[derive(Debug, Clone)]
pub struct ServiceMetrics {
    registry: Arc<Registry>,
    pub requests: Requests,
    accepted: Counters<1>,
    published: Counters<1>,
    lost: Counters<1>,
    pending: Gauge,
    refused: Gauge,
    lag: Family<Labels<3>, Gauge>,
    database_failures: Counter,
}

impl ServiceMetrics {
    pub fn new(config: &Config) -> Self {
        let mut registry = Registry::default();
        let mut counter = |name, help| {
            let counters = Counters::default();
            registry.register(name, help, counters.clone());
            for event_type in EVENT_TYPES {
                let _at_zero = counters.get_or_create(&of_type(event_type));
            }
            counters
        };
        let accepted = counter("lab4_events_accepted", "Events that a caller was told of");
        let published = counter("lab4_events_published", "Events that the broker has acknowledged");
        let lost = counter("lab4_events_lost", "Events whose direct send failed");
        let (pending, refused) = (Gauge::default(), Gauge::default());
        let help = "Accepted events that are not in Kafka yet";
        registry.register("lab4_events_pending", help, pending.clone());
        let help = "Events in the outbox that the broker has refused for good";
        registry.register("lab4_events_refused", help, refused.clone());
        let lag = Family::<Labels<3>, Gauge>::default();
        let help = "Messages that a group has not committed yet";
        registry.register("lab4_consumer_lag", help, lag.clone());
        for stream in Stream::ALL {
            for partition in 0..config.topic.partitions {
                let labels = place(stream.group(config), stream.topic(config), partition);
                let _at_zero = lag.get_or_create(&labels);
            }
        }
        let requests = Requests::new(&mut registry);
        let database_failures = database_failures(&mut registry);
        Self {
            registry: Arc::new(registry),
            requests,
            accepted,
            published,
            lost,
            pending,
            refused,
            lag,
            database_failures,
        }
    }

    pub fn accepted(&self, event_type: &str) {
        self.accepted.get_or_create(&of_type(event_type)).inc();
    }

    pub fn published(&self, event_type: &str) {
        self.published.get_or_create(&of_type(event_type)).inc();
    }

    pub fn lost(&self, event_type: &str) {
        self.lost.get_or_create(&of_type(event_type)).inc();
    }

    pub fn set_pending(&self, pending: u64, refused: u64) {
        self.pending.set(i64::try_from(pending).unwrap_or(i64::MAX));
        self.refused.set(i64::try_from(refused).unwrap_or(i64::MAX));
    }

    pub fn set_lag(&self, lags: &[Lag]) {
        for lag in lags {
            let labels = place(&lag.group, &lag.topic, lag.partition);
            self.lag.get_or_create(&labels).set(lag.lag());
        }
    }

    /// Transactions that failed and are tried again.
    pub fn database_failures(&self) -> &Counter {
        &self.database_failures
    }

    pub fn text(&self) -> String {
        text(&self.registry)
    }
}

/// What the consumers count.
#[derive(Debug, Clone)]
pub struct ConsumerMetrics {
    registry: Arc<Registry>,
    pub requests: Requests,
    messages: Counters<2>,
    retries: Counters<1>,
    database_failures: Counter,
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

impl Outcome {
    const ALL: [Self; 3] = [Self::Handled, Self::Duplicate, Self::Dead];

    fn name(self) -> &'static str {
        match self {
            Self::Handled => "handled",
            Self::Duplicate => "duplicate",
            Self::Dead => "dead_letter",
        }
    }
}

impl ConsumerMetrics {
    pub fn new(config: &Config) -> Self {
        let mut registry = Registry::default();
        let (messages, retries) = (Counters::<2>::default(), Counters::<1>::default());
        let help = "Messages that a group is done with, by outcome";
        registry.register("lab4_messages", help, messages.clone());
        registry.register("lab4_retries", "Attempts after the first", retries.clone());
        for group in Stream::ALL.map(|stream| stream.group(config)) {
            let _at_zero = retries.get_or_create(&of_group(group));
            for outcome in Outcome::ALL {
                let _at_zero = messages.get_or_create(&outcome_of(group, outcome));
            }
        }
        let requests = Requests::new(&mut registry);
        let database_failures = database_failures(&mut registry);
        Self { registry: Arc::new(registry), requests, messages, retries, database_failures }
    }

    pub fn done(&self, group: &str, outcome: Outcome) {
        self.messages.get_or_create(&outcome_of(group, outcome)).inc();
    }

    pub fn retry(&self, group: &str) {
        self.retries.get_or_create(&of_group(group)).inc();
    }

    /// Transactions that failed and are tried again.
    pub fn database_failures(&self) -> &Counter {
        &self.database_failures
    }

    pub fn text(&self) -> String {
        text(&self.registry)
    }
}

/// How long the answers to HTTP requests took.
#[derive(Debug, Clone)]
pub struct Requests(Family<Labels<3>, Histogram, fn() -> Histogram>);

impl Requests {
    fn new(registry: &mut Registry) -> Self {
        // From 1 ms to 8 s.
        let family = Family::new_with_constructor(
            (|| Histogram::new(exponential_buckets(0.001, 2.0, 14))) as fn() -> Histogram,
        );
        let help = "How long an answer took";
        registry.register("lab4_http_request_seconds", help, family.clone());
        Self(family)
    }

    pub fn took(&self, method: &str, route: &str, status: u16, time: Duration) {
        let labels = [
            ("method", method.to_owned()),
            ("route", route.to_owned()),
            ("status", status.to_string()),
        ];
        self.0.get_or_create(&labels).observe(time.as_secs_f64());
    }
}

fn database_failures(registry: &mut Registry) -> Counter {
    let failures = Counter::default();
    let help = "Transactions that failed and are tried again";
    registry.register("lab4_database_failures", help, failures.clone());
    failures
}

fn of_type(event_type: &str) -> Labels<1> {
    [("event_type", event_type.to_owned())]
}

fn of_group(group: &str) -> Labels<1> {
    [("group", group.to_owned())]
}

fn outcome_of(group: &str, outcome: Outcome) -> Labels<2> {
    [("group", group.to_owned()), ("outcome", outcome.name().to_owned())]
}

fn place(group: &str, topic: &str, partition: i32) -> Labels<3> {
    [("group", group.to_owned()), ("topic", topic.to_owned()), ("partition", partition.to_string())]
}

fn text(registry: &Registry) -> String {
    let mut text = String::new();
    encode(&mut text, registry).expect("a String takes everything");
    text
}
