//! The state that all connections share: topics, partitions, producer ids, groups. Here lie the locks, and
//! here waiting happens; the decisions are made in the pure rooms (`log`, `group`).

mod clock;
mod events;
mod groups;
mod owner;
mod partition;
mod topics;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use uuid::Uuid;

pub(crate) use self::{
    clock::Clock,
    events::Events,
    groups::Groups,
    owner::Surroundings,
    partition::{Partition, Waiter},
    topics::{NewTopic, Partitions, Refusal, Topic, Topics, check_name, is_internal},
};
use crate::{
    event::{Event, TopicEvent},
    settings::Settings,
    threads::Threads,
};

/// One broker's state. Kafka spreads it over many nodes; here one node leads and coordinates everything.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) id: String,
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) topics: Topics,
    pub(crate) groups: Groups,
    pub(crate) threads: Threads,
    events: Arc<Events>,
    next_producer_id: AtomicI64,
}

impl Cluster {
    /// What the cluster spawns runs on `threads`, whoever calls it.
    pub(crate) fn new(settings: Settings, clock: Clock, threads: Threads) -> Self {
        let events = Arc::default();
        let surroundings = Surroundings {
            clock: clock.clone(),
            events: Arc::clone(&events),
            runtime: threads.handle().clone(),
        };
        Self {
            id: Uuid::new_v4().simple().to_string()[..22].to_owned(),
            topics: Topics::new(settings.topic_defaults()),
            groups: Groups::new(&settings, surroundings),
            clock,
            threads,
            settings,
            events,
            next_producer_id: AtomicI64::new(0),
        }
    }

    /// Tells of topics that were made, grown or deleted: first the groups, which forget what they had committed for
    /// those that are gone.
    pub(crate) fn topics_changed(&self, changed: Vec<TopicEvent>) {
        if !changed.is_empty() {
            self.groups.topics_changed(&changed);
            self.events.tell(changed.into_iter().map(Event::Topic));
        }
    }

    /// A producer id that was never given out before (KIP-98).
    pub(crate) fn next_producer_id(&self) -> i64 {
        self.next_producer_id.fetch_add(1, Ordering::Relaxed)
    }
}
