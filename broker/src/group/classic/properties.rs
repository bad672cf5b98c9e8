//! Whatever clients do, and in whatever order, these hold.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{members::Parked, state::State, *};
use crate::{
    group::{Group, Kind, NewOffset},
    machine::{Machine, RequestId},
    time::Millis,
};

impl Classic {
    pub(in crate::group) fn generation(&self) -> i32 {
        self.generation
    }

    pub(in crate::group) fn leader(&self) -> Option<&str> {
        self.leader.map(|leader| self.members.get(leader).id())
    }
}

/// What is true of a group between any two steps.
pub(in crate::group) fn assert_invariants(group: &Group, now: Moment) {
    let Kind::Classic(classic) = &group.kind;
    let Classic { members, pending, state, .. } = classic;
    members.assert_indexed();
    let ids: BTreeSet<&str> = members.iter().map(|(_, member)| member.id()).collect();
    assert_eq!(ids.len(), members.len(), "a member id is there once");
    let instances: Vec<_> = members.iter().filter_map(|(_, member)| member.instance_id()).collect();
    assert_eq!(
        instances.iter().collect::<BTreeSet<_>>().len(),
        instances.len(),
        "an instance id is there once"
    );
    assert!(
        pending.ids().all(|id| !ids.contains(id.as_str())),
        "a pending member is no member yet"
    );
    assert!(classic.effects.is_empty(), "no answer is held back");

    let places: BTreeSet<Place> = members.iter().map(|(place, _)| place).collect();
    match classic.leader {
        Some(leader) => assert!(places.contains(&leader), "the leader is a member"),
        None => assert!(ids.is_empty(), "members have a leader"),
    }
    if let Some(unsynced) = state.unsynced() {
        assert!(unsynced.members.is_subset(&places), "only members are expected to sync");
        assert!(!ids.is_empty(), "an empty group is Empty or preparing to be");
        let protocol = classic.protocol_name.as_deref().expect("a generation has a protocol");
        assert!(members.all_have(protocol), "everybody has the protocol");
    }
    for (place, member) in members.iter() {
        let fits = match (member.parked(), state) {
            (Parked::Nothing, _) => true,
            (Parked::Join(_), State::PreparingRebalance { .. }) => true,
            (Parked::Sync(_), State::CompletingRebalance { unsynced }) => {
                !unsynced.members.contains(&place)
            }
            _ => false,
        };
        assert!(fits, "{:?} fits {state:?}", member.parked());
    }
    match state {
        State::Empty => assert!(ids.is_empty(), "no members when {}", group.state_name()),
        State::PreparingRebalance { initial: None, .. } => {
            assert!(!classic.all_joined(), "a rebalance does not wait for nobody");
        }
        State::CompletingRebalance { unsynced } => {
            let leader = classic.leader.expect("checked above");
            assert!(unsynced.members.contains(&leader), "the assignment is still to come");
        }
        _ => {}
    }
    if !parked(group).is_empty() {
        assert!(
            group.next_deadline().is_some_and(|at| at > now),
            "who waits does so until a deadline to come"
        );
    }
}

/// The requests that have no answer yet.
pub(in crate::group) fn parked(group: &Group) -> BTreeSet<RequestId> {
    let Kind::Classic(classic) = &group.kind;
    let request = |parked: Parked| match parked {
        Parked::Nothing => None,
        Parked::Join(request) | Parked::Sync(request) => Some(request),
    };
    classic.members.iter().filter_map(|(_, member)| request(member.parked())).collect()
}

/// What one of a few clients does next. What it says may be right, stale or invented.
#[derive(Clone, Debug)]
enum Event {
    Join {
        client: usize,
        fresh: bool,
        is_static: bool,
        version: i16,
        protocols: usize,
        rebalance: Millis,
    },
    Sync {
        client: usize,
        assigns: Vec<usize>,
        generation: i32,
    },
    Heartbeat {
        client: usize,
        generation: i32,
    },
    Leave {
        clients: Vec<usize>,
    },
    LeaveInstance {
        client: usize,
    },
    Commit {
        client: usize,
        simple: bool,
        generation: i32,
    },
    Pass(Millis),
    Delete,
}

const CLIENTS: usize = 4;

/// What these bytes say.
fn event([what, client, a, b, c, d]: [u8; 6]) -> Event {
    let client = usize::from(client) % CLIENTS;
    // Added to the generation the client knows: nearly always none.
    let generation = match d % 16 {
        0 => -1,
        1 => 1,
        _ => 0,
    };
    match what % 29 {
        0..8 => Event::Join {
            client,
            fresh: a & 3 == 3,
            is_static: a & 1 == 1,
            version: [3, 4, 9][usize::from(b % 3)],
            protocols: usize::from(c % 3),
            rebalance: [-1, 0, 80 * Millis::from(d)][usize::from(a / 4 % 3)],
        },
        8..16 => {
            let assigns = (0..=CLIENTS).filter(|client| a >> client & 1 == 1).collect();
            Event::Sync { client, assigns, generation }
        }
        16..19 => Event::Heartbeat { client, generation },
        19 => Event::Leave { clients: vec![client] },
        20 => Event::Leave { clients: vec![client, usize::from(a) % CLIENTS] },
        21 => Event::LeaveInstance { client },
        22..24 => Event::Commit { client, simple: a & 1 == 1, generation },
        24..26 => Event::Pass(1 + Millis::from(a)),
        26..28 => Event::Pass(1_000 + 270 * Millis::from(a)),
        _ => Event::Delete,
    }
}

/// The clients, and the requests that the group owes an answer.
struct World {
    group: Group,
    now: Moment,
    clients: Vec<(String, i32)>,
    open: BTreeMap<RequestId, usize>,
    last_request: RequestId,
    generation: i32,
}

impl World {
    fn new(delay: Millis, max_size: usize) -> Self {
        let settings =
            GroupSettings { initial_rebalance_delay: delay, max_size, ..GroupSettings::default() };
        World {
            group: Group::new("g", settings),
            now: Moment(0),
            clients: vec![(String::new(), -1); CLIENTS],
            open: BTreeMap::new(),
            last_request: 0,
            generation: 0,
        }
    }

    fn request(&mut self, client: usize) -> RequestId {
        self.last_request += 1;
        self.open.insert(self.last_request, client);
        self.last_request
    }

    fn run(&mut self, event: Event) {
        let was_dead = self.group.is_deleted;
        match event {
            Event::Join { client, fresh, is_static, version, protocols, rebalance } => {
                let request = self.request(client);
                let member_id = if fresh { String::new() } else { self.clients[client].0.clone() };
                let protocols =
                    [&["range"][..], &["range", "rr"], &["rr", "range", "sticky"]][protocols];
                let join = JoinRequest {
                    member_id,
                    instance_id: is_static.then(|| format!("i{client}")),
                    client_id: format!("c{client}"),
                    client_host: String::new(),
                    session_timeout: 6_000,
                    rebalance_timeout: rebalance,
                    protocol_type: "consumer".to_owned(),
                    protocols: protocols
                        .iter()
                        .map(|name| Protocol { name: (*name).to_owned(), metadata: Bytes::new() })
                        .collect(),
                    needs_member_id: version >= 4,
                    can_skip_assignment: version >= 9,
                    uuid: request.to_string(),
                };
                self.group.join(join, request, self.now);
                self.hear();
            }
            Event::Sync { client, assigns, generation } => {
                let request = self.request(client);
                let (member_id, known) = self.clients[client].clone();
                let mut assignments = Vec::new();
                for assigned in assigns {
                    // One beyond the clients is a stranger: it must get nothing, and do no harm.
                    let id = self.clients.get(assigned).map_or("stranger", |(id, _)| id).to_owned();
                    assignments.push((id, Bytes::from(format!("for client {assigned}"))));
                }
                let sync = SyncRequest {
                    member_id,
                    instance_id: None,
                    generation: known.wrapping_add(generation),
                    protocol_type: None,
                    protocol_name: None,
                    assignments,
                };
                self.group.sync(sync, request, self.now);
                self.hear();
            }
            Event::Heartbeat { client, generation } => {
                let (member_id, known) = self.clients[client].clone();
                let _ = self.group.heartbeat(
                    &member_id,
                    None,
                    known.wrapping_add(generation),
                    self.now,
                );
            }
            Event::Leave { clients } => {
                let leaving = |client: usize| Leaving {
                    member_id: self.clients[client].0.clone(),
                    instance_id: None,
                };
                self.leave(clients.into_iter().map(leaving).collect());
            }
            Event::LeaveInstance { client } => {
                self.leave(vec![Leaving {
                    member_id: String::new(),
                    instance_id: Some(format!("i{client}")),
                }]);
            }
            Event::Commit { client, simple, generation } => {
                let (member_id, known) = match simple {
                    true => (String::new(), -1),
                    false => self.clients[client].clone(),
                };
                let committer = Committer {
                    member_id,
                    instance_id: None,
                    generation: known.wrapping_add(generation),
                };
                let new = NewOffset {
                    topic: "orders".into(),
                    partition: 0,
                    offset: 1,
                    leader_epoch: 0,
                    metadata: String::new(),
                };
                let _ = self.group.commit(&committer, vec![new], self.now);
            }
            Event::Pass(time) => {
                // As an owner does it: tick at each deadline, not only at the end.
                let end = self.now + time;
                while let Some(at) = self.group.next_deadline().filter(|at| *at <= end) {
                    self.now = self.now.max(at);
                    self.group.tick(self.now);
                    self.hear();
                    self.check(was_dead);
                }
                self.now = end;
            }
            Event::Delete => {
                if self.group.delete().is_ok() {
                    // What the owner does with a dead group: the next request finds a new one.
                    assert!(self.open.is_empty(), "nobody waits in a group that can be deleted");
                    self.group = Group::new("g", self.group.settings);
                    self.generation = 0;
                }
            }
        }
        // An owner ticks after each step, should a deadline lie at its very time.
        self.group.tick(self.now);
        self.hear();
        self.check(was_dead);
    }

    fn leave(&mut self, leaving: Vec<Leaving>) {
        let _ = self.group.leave(leaving, self.now);
        self.hear();
    }

    fn classic(&self) -> &Classic {
        let Kind::Classic(classic) = &self.group.kind;
        classic
    }

    fn hear(&mut self) {
        for effect in self.group.take_effects() {
            let Effect::Answer(request, answer) = effect else { continue };
            let client = self.open.remove(&request).expect("each request gets one answer");
            match answer {
                Answer::Join(Ok(joined)) => {
                    assert!(
                        joined.generation <= self.classic().generation,
                        "an answer is of a generation that has begun"
                    );
                    assert!(
                        joined.members.is_empty() || joined.leader == joined.member_id,
                        "only a leader has a list"
                    );
                    self.clients[client] = (joined.member_id, joined.generation);
                }
                Answer::Join(Err(refused)) => {
                    assert_ne!(refused.error, ErrorCode::None);
                    self.clients[client] = (refused.member_id, -1);
                }
                Answer::Sync(Ok(synced)) => {
                    assert!(
                        matches!(self.classic().state, State::Stable { .. }),
                        "no assignment before the leader's"
                    );
                    let own = format!("for client {client}");
                    assert!(
                        synced.assignment.is_empty() || synced.assignment == own.as_bytes(),
                        "an assignment reaches the client it was made for"
                    );
                }
                Answer::Sync(Err(error)) => assert_ne!(error, ErrorCode::None),
            }
        }
    }

    fn check(&mut self, was_dead: bool) {
        assert_invariants(&self.group, self.now);
        assert!(
            was_dead || self.classic().generation >= self.generation,
            "the generation never falls"
        );
        self.generation = self.classic().generation;
        assert_eq!(
            parked(&self.group),
            self.open.keys().copied().collect(),
            "no request is forgotten"
        );
    }
}

/// `make fuzz` does this for longer.
#[test]
fn any_order_of_events_keeps_the_invariants() {
    bolero::check!().with_type::<(bool, bool, Vec<[u8; 6]>)>().for_each(
        |(has_delay, is_small, events)| {
            let delay = if *has_delay { 3_000 } else { 0 };
            let max_size = if *is_small { 2 } else { usize::MAX };
            let mut world = World::new(delay, max_size);
            for bytes in events {
                world.run(event(*bytes));
            }
            // In the end everybody falls silent, and everything comes to rest.
            for _ in 0..20 {
                world.run(Event::Pass(400_000));
            }
            assert!(world.open.is_empty(), "every waiting request was answered");
            assert_eq!(world.group.state_name(), "Empty");
            assert_eq!(world.group.next_deadline(), None);
        },
    );
}
