//! The state that all connections share: topics, partitions, producer ids, groups. Here lie the locks, and
//! here waiting happens; the decisions are made in the pure rooms (`log`, `group`).

mod clock;
mod events;
mod fetch;
mod groups;
mod memory;
mod owner;
mod partition;
mod scans;
mod topics;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use uuid::Uuid;

use self::memory::Memory;
pub(crate) use self::{
    clock::Clock,
    events::Events,
    fetch::{Fetch, Wanted},
    groups::Groups,
    owner::Surroundings,
    partition::{Partition, Read},
    scans::Scans,
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
    pub(crate) scans: Scans,
    pub(crate) threads: Threads,
    events: Arc<Events>,
    next_producer_id: AtomicI64,
}

impl Cluster {
    /// A cluster whose logs take at most so many bytes. What it spawns runs on `threads`, whoever calls it.
    pub(crate) fn new(
        settings: Settings,
        clock: Clock,
        threads: Threads,
        memory_limit: Option<usize>,
    ) -> Self {
        let events = Arc::default();
        let surroundings = Surroundings {
            clock: clock.clone(),
            events: Arc::clone(&events),
            runtime: threads.handle().clone(),
        };
        let memory = Arc::new(Memory::new(memory_limit));
        Self {
            id: Uuid::new_v4().simple().to_string()[..22].to_owned(),
            topics: Topics::new(settings.topic_defaults(), settings.broker_id, memory),
            groups: Groups::new(&settings, surroundings),
            scans: Scans::new(threads.clone()),
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
