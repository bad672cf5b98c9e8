//! The four states of a group's members, each with what only it needs.

use std::collections::BTreeSet;

use super::members::Place;
use crate::time::{Millis, Moment};

#[derive(Debug, PartialEq)]
pub(super) enum State {
    /// No members; there may be offsets.
    Empty,
    /// Waiting for the members to join the next generation, at most until `deadline`.
    PreparingRebalance { deadline: Moment, initial: Option<InitialDelay> },
    /// All have joined; waiting for the leader's assignment.
    CompletingRebalance { unsynced: Unsynced },
    /// The assignment is known. Followers may still have to fetch it.
    Stable { unsynced: Unsynced },
}

/// The first rebalance of an empty group waits for more members, and longer while they keep coming.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct InitialDelay {
    /// The length of the wait under way.
    pub(super) delay: Millis,
    /// What is left of the rebalance time-out, the limit of all extensions.
    pub(super) remaining: Millis,
    /// Somebody has joined since the wait began.
    pub(super) extend: bool,
}

/// Members that know the generation but have not sent SyncGroup. Those who never do are removed.
#[derive(Debug, PartialEq)]
pub(super) struct Unsynced {
    pub(super) members: BTreeSet<Place>,
    pub(super) deadline: Moment,
}

impl State {
    /// Kafka's name for the state.
    pub(super) fn name(&self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::PreparingRebalance { .. } => "PreparingRebalance",
            State::CompletingRebalance { .. } => "CompletingRebalance",
            State::Stable { .. } => "Stable",
        }
    }

    pub(super) fn unsynced(&self) -> Option<&Unsynced> {
        match self {
            State::CompletingRebalance { unsynced } | State::Stable { unsynced } => Some(unsynced),
            State::Empty | State::PreparingRebalance { .. } => None,
        }
    }

    pub(super) fn unsynced_mut(&mut self) -> Option<&mut Unsynced> {
        match self {
            State::CompletingRebalance { unsynced } | State::Stable { unsynced } => Some(unsynced),
            State::Empty | State::PreparingRebalance { .. } => None,
        }
    }

    /// The member has synced, or is no member any more.
    pub(super) fn no_sync_expected(&mut self, place: Place) {
        if let Some(unsynced) = self.unsynced_mut() {
            unsynced.members.remove(&place);
        }
    }
}
