//! Member ids that were given out and not used yet (KIP-394).

use std::collections::{BTreeSet, HashMap};

use crate::time::Moment;

/// The ids, with the time at which each lapses.
#[derive(Debug, Default)]
pub(super) struct Pending {
    ends: HashMap<String, Moment>,
    soonest: BTreeSet<(Moment, String)>,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(super) fn contains(&self, member_id: &str) -> bool {
        self.ends.contains_key(member_id)
    }

    pub(super) fn insert(&mut self, member_id: String, ends: Moment) {
        self.remove(&member_id);
        self.soonest.insert((ends, member_id.clone()));
        self.ends.insert(member_id, ends);
    }

    pub(super) fn remove(&mut self, member_id: &str) {
        if let Some((member_id, ends)) = self.ends.remove_entry(member_id) {
            self.soonest.remove(&(ends, member_id));
        }
    }

    /// The id that lapses next, and when.
    pub(super) fn next(&self) -> Option<(Moment, &str)> {
        self.soonest.first().map(|(at, member_id)| (*at, member_id.as_str()))
    }
}

#[cfg(test)]
impl Pending {
    pub(super) fn ids(&self) -> impl Iterator<Item = &String> {
        self.ends.keys()
    }
}
