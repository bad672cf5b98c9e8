//! The state that all connections share: topics, partitions, producer ids, groups. Here lie the locks, and
//! here waiting happens; the decisions are made in the pure rooms (`log`, `group`).

mod clock;
mod groups;
mod partition;
mod topics;

use std::sync::atomic::{AtomicI64, Ordering};

use uuid::Uuid;

pub(crate) use self::{
    clock::Clock,
    groups::Groups,
    partition::{Partition, Waiter},
    topics::{NewTopic, Partitions, Refusal, Topic, Topics, check_name},
};
use crate::{settings::Settings, threads::Threads};

/// One broker's state. Kafka spreads it over many nodes; here one node leads and coordinates everything.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) id: String,
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) topics: Topics,
    pub(crate) groups: Groups,
    pub(crate) threads: Threads,
    next_producer_id: AtomicI64,
}

impl Cluster {
    /// What the cluster spawns runs on `threads`, whoever calls it.
    pub(crate) fn new(settings: Settings, clock: Clock, threads: Threads) -> Self {
        Self {
            id: Uuid::new_v4().simple().to_string()[..22].to_owned(),
            topics: Topics::new(settings.topic_defaults()),
            groups: Groups::new(&settings, clock.clone(), threads.handle().clone()),
            clock,
            threads,
            settings,
            next_producer_id: AtomicI64::new(0),
        }
    }

    /// A producer id that was never given out before (KIP-98).
    pub(crate) fn next_producer_id(&self) -> i64 {
        self.next_producer_id.fetch_add(1, Ordering::Relaxed)
    }
}
