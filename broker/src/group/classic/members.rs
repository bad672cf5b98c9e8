//! The members of a group, with the indexes that find one without looking at all of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;

use super::{Protocol, join::JoinRequest};
use crate::{
    group::MemberDescription,
    machine::RequestId,
    time::{Millis, Moment},
};

/// A member's number in the order of joining; never used twice in one group.
pub(super) type Place = u64;

/// One member. What an index holds can only be changed through [`Members`].
#[derive(Debug)]
pub(super) struct Member {
    id: String,
    instance_id: Option<String>,
    client_id: String,
    client_host: String,
    protocols: Protocols,
    parked: Parked,
    session_ends: Option<Moment>,
    pub(super) session_timeout: Millis,
    pub(super) rebalance_timeout: Millis,
    pub(super) assignment: Bytes,
    /// Has not been answered since it joined, so it does not know its id and cannot send heartbeats.
    pub(super) is_new: bool,
}

/// The request of a member that waits until the group moves on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Parked {
    Nothing,
    Join(RequestId),
    Sync(RequestId),
}

impl Member {
    pub(super) fn new(join: JoinRequest, request: RequestId) -> Self {
        Member {
            id: join.member_id,
            instance_id: join.instance_id,
            client_id: join.client_id,
            client_host: join.client_host,
            protocols: join.protocols.into(),
            parked: Parked::Join(request),
            session_ends: None,
            session_timeout: join.session_timeout,
            rebalance_timeout: join.rebalance_timeout,
            assignment: Bytes::new(),
            is_new: true,
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Set for static members (KIP-345): the name that outlives a restart.
    pub(super) fn instance_id(&self) -> Option<&str> {
        self.instance_id.as_deref()
    }

    pub(super) fn protocols(&self) -> &Protocols {
        &self.protocols
    }

    pub(super) fn parked(&self) -> Parked {
        self.parked
    }

    pub(super) fn awaits_join(&self) -> bool {
        matches!(self.parked, Parked::Join(_))
    }

    pub(super) fn describe(&self, protocol: Option<&str>) -> MemberDescription<'_> {
        MemberDescription {
            id: &self.id,
            instance_id: self.instance_id.as_deref(),
            client_id: &self.client_id,
            client_host: &self.client_host,
            metadata: protocol.map(|name| self.protocols.metadata(name)).unwrap_or_default(),
            assignment: self.assignment.clone(),
        }
    }
}

/// The assignors that a member can use, in the order of its preference.
#[derive(Debug)]
pub(super) struct Protocols {
    listed: Vec<Protocol>,
    /// Where each name is listed first.
    by_name: HashMap<String, usize>,
}

impl From<Vec<Protocol>> for Protocols {
    fn from(listed: Vec<Protocol>) -> Self {
        let mut by_name = HashMap::with_capacity(listed.len());
        for (at, protocol) in listed.iter().enumerate() {
            by_name.entry(protocol.name.clone()).or_insert(at);
        }
        Protocols { listed, by_name }
    }
}

impl Protocols {
    pub(super) fn listed(&self) -> &[Protocol] {
        &self.listed
    }

    /// How much the member likes this assignor: the smaller, the more.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// What the member tells this assignor; nothing if it does not have it.
    pub(super) fn metadata(&self, name: &str) -> Bytes {
        self.by_name.get(name).map(|at| self.listed[*at].metadata.clone()).unwrap_or_default()
    }
}

/// All members, in the order of joining, so that the choice of a leader can be predicted. Kafka's order is
/// arbitrary.
#[derive(Debug, Default)]
pub(super) struct Members {
    by_place: BTreeMap<Place, Member>,
    last_place: Place,
    by_id: HashMap<String, Place>,
    by_instance: HashMap<String, Place>,
    /// When silence ends a membership, soonest first.
    sessions: BTreeSet<(Moment, Place)>,
    /// How many wait for the answer to their join.
    joining: usize,
    /// How many members have each assignor.
    support: HashMap<String, usize>,
}

impl Members {
    pub(super) fn len(&self) -> usize {
        self.by_place.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_place.is_empty()
    }

    /// How many wait for the answer to their join.
    pub(super) fn joining(&self) -> usize {
        self.joining
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Place, &Member)> {
        self.by_place.iter().map(|(place, member)| (*place, member))
    }

    pub(super) fn places(&self) -> Vec<Place> {
        self.by_place.keys().copied().collect()
    }

    /// The member that joined before all others.
    pub(super) fn first(&self) -> Option<(Place, &Member)> {
        self.iter().next()
    }

    pub(super) fn find(&self, member_id: &str) -> Option<Place> {
        self.by_id.get(member_id).copied()
    }

    pub(super) fn find_static(&self, instance_id: &str) -> Option<Place> {
        self.by_instance.get(instance_id).copied()
    }

    pub(super) fn get(&self, place: Place) -> &Member {
        self.by_place.get(&place).expect("a place is taken as long as it is held")
    }

    pub(super) fn get_mut(&mut self, place: Place) -> &mut Member {
        self.by_place.get_mut(&place).expect("a place is taken as long as it is held")
    }

    /// Whether every member has this assignor.
    pub(super) fn all_have(&self, protocol: &str) -> bool {
        self.support.get(protocol).copied().unwrap_or(0) == self.len()
    }

    /// Whose session ends first, and when.
    pub(super) fn next_session(&self) -> Option<(Moment, Place)> {
        self.sessions.first().copied()
    }

    pub(super) fn insert(&mut self, member: Member) -> Place {
        self.last_place += 1;
        let place = self.last_place;
        self.by_id.insert(member.id.clone(), place);
        if let Some(instance_id) = &member.instance_id {
            self.by_instance.insert(instance_id.clone(), place);
        }
        self.sessions.extend(member.session_ends.map(|at| (at, place)));
        self.joining += usize::from(member.awaits_join());
        count(&mut self.support, &member.protocols);
        self.by_place.insert(place, member);
        place
    }

    pub(super) fn remove(&mut self, place: Place) {
        self.expect_until(place, None);
        self.park(place, Parked::Nothing);
        let Some(member) = self.by_place.remove(&place) else { return };
        self.by_id.remove(&member.id);
        if let Some(instance_id) = &member.instance_id {
            self.by_instance.remove(instance_id);
        }
        uncount(&mut self.support, &member.protocols);
    }

    /// Gives a member another id, and returns the old one.
    pub(super) fn rename(&mut self, place: Place, id: String) -> String {
        self.by_id.insert(id.clone(), place);
        let old = std::mem::replace(&mut self.get_mut(place).id, id);
        self.by_id.remove(&old);
        old
    }

    pub(super) fn set_protocols(&mut self, place: Place, protocols: Vec<Protocol>) {
        let protocols = Protocols::from(protocols);
        count(&mut self.support, &protocols);
        let old = std::mem::replace(&mut self.get_mut(place).protocols, protocols);
        uncount(&mut self.support, &old);
    }

    /// Parks a request of the member, and returns the one that was parked before.
    pub(super) fn park(&mut self, place: Place, parked: Parked) -> Parked {
        let member = self.get_mut(place);
        let before = std::mem::replace(&mut member.parked, parked);
        self.joining += usize::from(matches!(parked, Parked::Join(_)));
        self.joining -= usize::from(matches!(before, Parked::Join(_)));
        before
    }

    /// Sets when silence ends the membership. `None`: the member waits for the group, not the group for it.
    pub(super) fn expect_until(&mut self, place: Place, at: Option<Moment>) {
        let member = self.get_mut(place);
        let before = std::mem::replace(&mut member.session_ends, at);
        if let Some(before) = before {
            self.sessions.remove(&(before, place));
        }
        self.sessions.extend(at.map(|at| (at, place)));
    }

    /// A sign of life: the session starts over.
    pub(super) fn renew_session(&mut self, place: Place, now: Moment) {
        let ends = now + self.get(place).session_timeout;
        self.expect_until(place, Some(ends));
    }
}

fn count(support: &mut HashMap<String, usize>, protocols: &Protocols) {
    for name in protocols.by_name.keys() {
        match support.get_mut(name) {
            Some(members) => *members += 1,
            None => drop(support.insert(name.clone(), 1)),
        }
    }
}

fn uncount(support: &mut HashMap<String, usize>, protocols: &Protocols) {
    for name in protocols.by_name.keys() {
        let members = support.get_mut(name).expect("what a member has was counted");
        *members -= 1;
        if *members == 0 {
            support.remove(name);
        }
    }
}

#[cfg(test)]
impl Members {
    /// The indexes hold what the members say, and nothing else.
    pub(super) fn assert_indexed(&self) {
        let all = || self.by_place.iter();
        assert_eq!(self.by_id, all().map(|(place, m)| (m.id.clone(), *place)).collect());
        assert_eq!(
            self.by_instance,
            all().filter_map(|(place, m)| Some((m.instance_id.clone()?, *place))).collect()
        );
        assert_eq!(
            self.sessions,
            all().filter_map(|(place, m)| Some((m.session_ends?, *place))).collect()
        );
        assert_eq!(self.joining, all().filter(|(_, m)| m.awaits_join()).count());
        let mut support = HashMap::new();
        all().for_each(|(_, m)| count(&mut support, &m.protocols));
        assert_eq!(self.support, support);
    }
}
