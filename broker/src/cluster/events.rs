//! What happens in the broker, told to those who want to know: the log, and listeners.
//!
//! A pure room returns an event as an effect; it is told here after the lock was released, so that a slow
//! reader of the log holds up no other client. Events of one group that two threads cause at the same time may
//! be told in either order.

use tokio::sync::broadcast;

use crate::event::{Event, GroupEvent, TopicEvent};

/// How many events a listener may lag behind. Then the oldest are lost for it, and it is told how many.
const BACKLOG: usize = 1024;

#[derive(Debug)]
pub(crate) struct Events(broadcast::Sender<Event>);

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }
}

impl Events {
    /// Hears everything that happens from now on.
    #[cfg(test)]
    fn listen(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }

    /// Tells what has happened.
    pub(crate) fn tell(&self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            match &event {
                Event::Topic(TopicEvent { topic, change }) => {
                    tracing::info!(topic, "{change}");
                }
                Event::Group(GroupEvent { group, generation, change }) => {
                    tracing::info!(group, generation, "{change}");
                }
            }
            if self.0.receiver_count() > 0 {
                // The last listener may have gone meanwhile.
                let _: Result<usize, _> = self.0.send(event);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::broadcast::error::TryRecvError;

    use super::*;
    use crate::event::TopicChange;

    fn grown(partitions: i32) -> Event {
        let change = TopicChange::Grown { partitions };
        Event::Topic(TopicEvent { topic: "orders".to_owned(), change })
    }

    #[test]
    fn a_listener_hears_what_happens_from_then_on() {
        let events = Events::default();
        events.tell([grown(1)]);
        let mut listener = events.listen();
        events.tell([grown(2), grown(3)]);
        assert_eq!(listener.try_recv(), Ok(grown(2)));
        assert_eq!(listener.try_recv(), Ok(grown(3)));
        assert_eq!(listener.try_recv(), Err(TryRecvError::Empty));
    }

    #[test]
    fn a_listener_that_does_not_listen_holds_nobody_up_and_learns_what_it_has_missed() {
        let events = Events::default();
        let mut listener = events.listen();
        events.tell((0..).map(grown).take(BACKLOG + 5));
        assert_eq!(listener.try_recv(), Err(TryRecvError::Lagged(5)));
        assert_eq!(listener.try_recv(), Ok(grown(5)));
    }
}
