//! What the state machines of the pure rooms have in common.
//!
//! A machine takes a request and the time, and decides at once. A request that must wait is parked with its
//! [`RequestId`]; a later step gives its answer back as an [`Effect`]. The owner of the machine
//! (`cluster::owner`) carries the effects out after each step, and calls [`Machine::tick`] at
//! [`Machine::next_deadline`].

use std::fmt;

use crate::{event::Event, time::Moment};

/// A parked request, numbered by the machine's owner; never used twice in one machine.
pub(crate) type RequestId = u64;

/// What the owner must do after a step.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect<Answer> {
    /// Answer the request that was parked under this number.
    Answer(RequestId, Answer),
    /// Tell everybody who listens.
    Happened(Event),
}

/// A state machine that decides and never waits.
pub(crate) trait Machine: fmt::Debug + Send + 'static {
    /// The answer to a request that was parked.
    type Answer: fmt::Debug + Send;

    /// When [`tick`](Self::tick) has something to do; `None` while nothing runs.
    fn next_deadline(&self) -> Option<Moment>;

    /// Lets everything happen whose time has come by `now`, in order.
    fn tick(&mut self, now: Moment);

    /// What the steps since the last call have decided, in order.
    fn take_effects(&mut self) -> Vec<Effect<Self::Answer>>;
}
