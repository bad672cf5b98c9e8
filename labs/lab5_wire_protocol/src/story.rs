//! What happens in a stage, in order: sentences, frames, checks.

use crate::wire::Frame;
use std::fmt;

#[derive(Debug, Clone)]
pub enum Event {
    Say(String),
    /// Something that was built and is about to be sent inside a request.
    Built(Frame),
    Sent(Frame),
    Received(Frame),
    Checked(Check),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub passed: bool,
    /// What holds; or what is wrong, where, and why.
    pub sentence: String,
}

/// The events so far. Each is handed to `show` as it happens.
pub struct Story {
    pub events: Vec<Event>,
    /// The answer to the stage's question, as it was observed: a letter of [`predict`](crate::predict).
    pub observed: Option<char>,
    /// Frames are not told while this is set: they repeat an earlier stage.
    pub hushed: bool,
    show: Box<dyn FnMut(&Event) + Send>,
}

impl fmt::Debug for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Story").field("events", &self.events).finish_non_exhaustive()
    }
}

impl Story {
    pub fn new(show: impl FnMut(&Event) + Send + 'static) -> Self {
        Self { events: Vec::new(), observed: None, hushed: false, show: Box::new(show) }
    }

    /// Nobody listens.
    pub fn silent() -> Self {
        Self::new(|_| {})
    }

    pub fn say(&mut self, sentence: impl Into<String>) {
        self.tell(Event::Say(sentence.into()));
    }

    pub fn tell(&mut self, event: Event) {
        let frame = matches!(event, Event::Sent(_) | Event::Received(_) | Event::Built(_));
        if !(frame && self.hushed) {
            (self.show)(&event);
            self.events.push(event);
        }
    }

    /// `holds` is what is true if it passed, `otherwise` what is wrong if not.
    pub fn check(&mut self, passed: bool, holds: impl Into<String>, otherwise: impl Into<String>) {
        let sentence = if passed { holds.into() } else { otherwise.into() };
        self.tell(Event::Checked(Check { passed, sentence }));
    }

    /// One check for many possible faults: none, or all of them.
    pub fn check_faults(&mut self, faults: Vec<String>, holds: impl Into<String>) {
        if faults.is_empty() {
            self.check(true, holds, "");
        }
        for fault in faults {
            self.check(false, "", fault);
        }
    }

    pub fn checks(&self) -> impl Iterator<Item = &Check> {
        self.events.iter().filter_map(|event| match event {
            Event::Checked(check) => Some(check),
            _ => None,
        })
    }

    /// What did not pass.
    pub fn faults(&self) -> Vec<String> {
        self.checks().filter(|check| !check.passed).map(|check| check.sentence.clone()).collect()
    }
}
