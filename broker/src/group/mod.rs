//! One consumer group, as a state machine: the classic protocol of Kafka 4.x (JoinGroup, SyncGroup,
//! Heartbeat, LeaveGroup, OffsetCommit, OffsetFetch).
//!
//! Nothing here waits, reads a clock or knows the wire. A method takes the request and the time, decides
//! at once, and returns what is to be done. A join or a sync that must wait is parked with its
//! [`RequestId`]; a later step gives its answer back as an [`Effect`]. Whoever owns the group carries the
//! effects out and calls [`Group::tick`] at [`Group::next_deadline`].
//!
//! One turn of a group:
//!
//! ```text
//!            first join              everybody has joined,          the leader's sync
//!                                    or the rebalance time-out      brings the assignment
//!   Empty ───────────────▶ PreparingRebalance ───────────▶ CompletingRebalance ───────────▶ Stable
//!     ▲                         │    ▲                             │                          │
//!     └──── nobody is left ─────┘    └── a member joins, leaves, ──┴──────────────────────────┘
//!                                        falls silent or changes
//! ```
//!
//! * `join`: from the first JoinGroup to the answer that names generation and leader.
//! * `sync`: the leader's plan, handed to each member.
//! * `membership`: heartbeats, leaving, and what happens when time runs out.
//! * `offsets`: what the group has read; it outlives its members.
//!
//! Kafka writes each group to `__consumer_offsets` before it answers; here memory is the only copy, so an
//! answer never waits for a write and the failures of that write do not exist.
//!
//! Left out: offset retention. Kafka forgets the offsets of a group that has been empty for
//! `offsets.retention.minutes` (a week), and a group without members and offsets some minutes after; here
//! both stay until the group or the topic is deleted. Left out too: KIP-848 groups, and the way up to
//! them from a classic group.

mod join;
mod member;
mod membership;
mod offsets;
mod state;
mod subscription;
mod sync;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod script;

use std::collections::BTreeMap;

#[cfg(test)]
use join::Joined;
pub(crate) use join::{Join, JoinAnswer, Refused};
pub(crate) use member::{Described, Protocol};
pub(crate) use membership::{Leaving, Left};
pub(crate) use offsets::{CommittedOffset, Committer, NewOffset};
pub(crate) use sync::{Sync, SyncAnswer};

use self::member::{Member, Waiting};
use self::offsets::Offsets;
use self::state::State;
use crate::{
    error_code::ErrorCode,
    time::{Millis, Moment},
};

/// The protocol type of consumers; other types (Kafka Connect, schema registries) use the same groups.
const CONSUMER: &str = "consumer";

/// A waiting request, numbered by the group's owner; never used twice in one group.
pub(crate) type RequestId = u64;

/// What the owner must do after a step.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// Answer a JoinGroup request.
    Join(RequestId, JoinAnswer),
    /// Answer a SyncGroup request.
    Sync(RequestId, SyncAnswer),
}

/// The broker's settings that groups obey. Each comment names the setting in Kafka.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// `group.initial.rebalance.delay.ms`: how long the first member waits for company.
    pub(crate) initial_rebalance_delay: Millis,
    /// `group.min.session.timeout.ms`
    pub(crate) min_session_timeout: Millis,
    /// `group.max.session.timeout.ms`
    pub(crate) max_session_timeout: Millis,
    /// `group.max.size`
    pub(crate) max_size: usize,
    /// `offset.metadata.max.bytes`
    pub(crate) offset_metadata_max: usize,
}

impl Default for Settings {
    /// Kafka's defaults, but for the initial delay: nobody wants to wait 3 s in a test.
    fn default() -> Self {
        Settings {
            initial_rebalance_delay: 0,
            min_session_timeout: 6_000,
            max_session_timeout: 1_800_000,
            max_size: usize::MAX,
            offset_metadata_max: 4_096,
        }
    }
}

/// One group: who is in it, which turn it is, and what it has read.
#[derive(Debug)]
pub(crate) struct Group {
    id: String,
    settings: Settings,
    state: State,
    /// Counts the turns. It never falls, so that a straggler of an earlier turn is recognised.
    generation: i32,
    /// Set by the first member and kept while the group is empty. `None`: a group that only stores offsets.
    protocol_type: Option<String>,
    /// The assignor that this generation agreed on.
    protocol_name: Option<String>,
    /// The member that makes the assignment; there is one whenever there are members.
    leader: Option<String>,
    /// In the order of joining, so that the choice of a leader can be predicted. Kafka's order is arbitrary.
    members: Vec<Member>,
    /// Member ids that were given out and not used yet (KIP-394), with the time at which they lapse.
    pending: BTreeMap<String, Moment>,
    offsets: Offsets,
    /// What the step under way has decided.
    effects: Vec<Effect>,
}

impl Group {
    /// A group without members and offsets.
    pub(crate) fn new(id: &str, settings: Settings) -> Self {
        Group {
            id: id.to_owned(),
            settings,
            state: State::Empty,
            generation: 0,
            protocol_type: None,
            protocol_name: None,
            leader: None,
            members: Vec::new(),
            pending: BTreeMap::new(),
            offsets: Offsets::default(),
            effects: Vec::new(),
        }
    }

    /// The state as Kafka's tools print it: `Empty`, `PreparingRebalance`, `CompletingRebalance`, `Stable`, `Dead`.
    pub(crate) fn state_name(&self) -> &'static str {
        self.state.name()
    }

    /// `consumer`, `connect`, …; empty for a group that only stores offsets.
    pub(crate) fn protocol_type(&self) -> &str {
        self.protocol_type.as_deref().unwrap_or_default()
    }

    /// The group was deleted; whoever still holds it must look it up again.
    pub(crate) fn is_dead(&self) -> bool {
        matches!(self.state, State::Dead)
    }

    /// The group with its members. Assignor and subscriptions are only told while it is stable, as in Kafka.
    pub(crate) fn describe(&self) -> Described<'_> {
        let protocol = match &self.state {
            State::Stable { .. } => self.protocol_name.as_deref(),
            _ => None,
        };
        Described {
            state: self.state_name(),
            protocol_type: self.protocol_type(),
            protocol: protocol.unwrap_or_default(),
            members: self.members.iter().map(|member| member.describe(protocol)).collect(),
        }
    }

    /// Ends the group with its offsets.
    ///
    /// # Errors
    /// `NON_EMPTY_GROUP` while it has members, `GROUP_ID_NOT_FOUND` if it is gone already.
    pub(crate) fn delete(&mut self) -> Result<(), ErrorCode> {
        match self.state {
            State::Dead => Err(ErrorCode::GroupIdNotFound),
            State::Empty => {
                self.state = State::Dead;
                self.pending.clear();
                self.offsets = Offsets::default();
                Ok(())
            }
            _ => Err(ErrorCode::NonEmptyGroup),
        }
    }

    fn position(&self, member_id: &str) -> Option<usize> {
        self.members.iter().position(|member| member.id == member_id)
    }

    fn member_mut(&mut self, member_id: &str) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.id == member_id)
    }

    fn static_member(&self, instance_id: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.instance_id.as_deref() == Some(instance_id))
    }

    fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    /// Checks that a request comes from a member, and for a static one from its latest incarnation (KIP-345).
    fn validate_member(&self, member_id: &str, instance_id: Option<&str>) -> Result<(), ErrorCode> {
        if let Some(instance_id) = instance_id {
            let Some(member) = self.static_member(instance_id) else {
                return Err(ErrorCode::UnknownMemberId);
            };
            if member.id != member_id {
                return Err(ErrorCode::FencedInstanceId);
            }
        }
        self.position(member_id).map(|_| ()).ok_or(ErrorCode::UnknownMemberId)
    }

    /// Ends what a member's waiting request waits for, with an error.
    fn refuse_waiting(&mut self, position: usize, error: ErrorCode, member_id: &str) {
        match std::mem::replace(&mut self.members[position].waiting, Waiting::Nothing) {
            Waiting::Nothing => {}
            Waiting::Join(request) => {
                let refused = Refused { error, member_id: member_id.to_owned() };
                self.effects.push(Effect::Join(request, Err(refused)));
            }
            Waiting::Sync(request) => self.effects.push(Effect::Sync(request, Err(error))),
        }
    }

    /// Takes a member out, pending or not. Its waiting request is told UNKNOWN_MEMBER_ID, so that a client
    /// that is still alive joins anew. The group's state is for the caller to settle.
    fn remove(&mut self, member_id: &str) {
        self.pending.remove(member_id);
        self.state.no_sync_expected(member_id);
        let Some(position) = self.position(member_id) else { return };
        self.refuse_waiting(position, ErrorCode::UnknownMemberId, "");
        self.members.remove(position);
        if self.is_leader(member_id) {
            self.leader = self.members.first().map(|member| member.id.clone());
        }
    }

    fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }
}
