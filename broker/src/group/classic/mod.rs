//! The classic protocol of Kafka 4.x: JoinGroup, SyncGroup, Heartbeat, LeaveGroup. The clients assign.
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
//! * `static_members`: a member that was restarted takes its old place (KIP-345).
//! * `sync`: the leader's plan, handed to each member.
//! * `membership`: heartbeats, leaving, and what happens when time runs out.
//! * `members`, `pending`: who is in the group, and which member ids wait to be used.

mod join;
mod members;
mod membership;
mod pending;
#[cfg(test)]
pub(super) mod properties;
mod state;
mod static_members;
mod sync;

use std::{cell::OnceCell, collections::BTreeSet};

use bytes::Bytes;

#[cfg(test)]
pub(super) use self::join::Joined;
pub(crate) use self::{
    join::{JoinAnswer, JoinError, JoinRequest},
    membership::{Leaving, Left},
    sync::{SyncAnswer, SyncRequest},
};
use self::{
    members::{Members, Parked, Place},
    pending::Pending,
    state::State,
};
use super::{Answer, Committer, Effect, GroupDescription, GroupSettings, subscription::Subscribed};
use crate::{
    error_code::ErrorCode,
    event::{Event, GroupChange, GroupEvent},
    time::Moment,
};

/// The protocol type of consumers; other types (Kafka Connect, schema registries) use the same groups.
const CONSUMER: &str = "consumer";

static NOTHING: Subscribed = Subscribed::Topics(BTreeSet::new());

/// An assignor that a member can use, with what it tells that assignor (for consumers: its subscription).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Protocol {
    pub(crate) name: String,
    pub(crate) metadata: Bytes,
}

/// The members of one group, and which turn it is.
#[derive(Debug)]
pub(crate) struct Classic {
    group_id: String,
    settings: GroupSettings,
    state: State,
    /// Counts the turns. It never falls, so that a straggler of an earlier turn is recognised.
    generation: i32,
    /// Set by the first member and kept while the group is empty. `None`: a group that only stores offsets.
    protocol_type: Option<String>,
    /// The assignor that this generation agreed on.
    protocol_name: Option<String>,
    /// The member that makes the assignment; there is one whenever there are members.
    leader: Option<Place>,
    members: Members,
    pending: Pending,
    /// What this generation's members read, once somebody has asked.
    subscribed: OnceCell<Subscribed>,
    /// What the steps under way have decided.
    effects: Vec<Effect>,
}

impl Classic {
    pub(super) fn new(group_id: &str, settings: GroupSettings) -> Self {
        Classic {
            group_id: group_id.to_owned(),
            settings,
            state: State::Empty,
            generation: 0,
            protocol_type: None,
            protocol_name: None,
            leader: None,
            members: Members::default(),
            pending: Pending::default(),
            subscribed: OnceCell::new(),
            effects: Vec::new(),
        }
    }

    /// The state as Kafka's tools print it.
    pub(super) fn state_name(&self) -> &'static str {
        self.state.name()
    }

    pub(super) fn protocol_type(&self) -> &str {
        self.protocol_type.as_deref().unwrap_or_default()
    }

    /// Assignor and subscriptions are only told while the group is stable, as in Kafka.
    pub(super) fn describe(&self) -> GroupDescription<'_> {
        let protocol = match &self.state {
            State::Stable { .. } => self.protocol_name.as_deref(),
            _ => None,
        };
        GroupDescription {
            state: self.state_name(),
            protocol_type: self.protocol_type(),
            protocol: protocol.unwrap_or_default(),
            members: self.members.iter().map(|(_, member)| member.describe(protocol)).collect(),
        }
    }

    /// Prepares for the end of the group.
    ///
    /// # Errors
    /// `NON_EMPTY_GROUP` while it has members.
    pub(super) fn end(&mut self) -> Result<(), ErrorCode> {
        if self.state != State::Empty {
            return Err(ErrorCode::NonEmptyGroup);
        }
        self.pending = Pending::default();
        self.happened(GroupChange::Deleted);
        Ok(())
    }

    /// Lets those commit who may: members of this generation, and, while there are no members, simple consumers.
    /// A member's commit is a sign of life.
    pub(super) fn admit_commit(
        &mut self,
        committer: &Committer,
        now: Moment,
    ) -> Result<(), ErrorCode> {
        let Committer { member_id, instance_id, generation } = committer;
        if *generation < 0 && self.state == State::Empty {
            return Ok(());
        }
        if *generation < 0 && member_id.is_empty() && instance_id.is_none() {
            // A simple consumer must not interfere with members.
            return Err(ErrorCode::UnknownMemberId);
        }
        let place = self.validate_member(member_id, instance_id.as_deref())?;
        if *generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        match self.state {
            State::CompletingRebalance { .. } => Err(ErrorCode::RebalanceInProgress),
            State::Stable { .. } | State::PreparingRebalance { .. } => {
                self.members.renew_session(place, now);
                Ok(())
            }
            State::Empty => Ok(()),
        }
    }

    /// What must not be deleted from the offsets, because members read it.
    ///
    /// # Errors
    /// `NON_EMPTY_GROUP` if there are members that are no consumers: only a consumer's subscription can be read.
    pub(super) fn reads(&self) -> Result<&Subscribed, ErrorCode> {
        match self.state {
            State::Empty => Ok(&NOTHING),
            _ if self.protocol_type() == CONSUMER => {
                Ok(self.subscribed.get_or_init(|| self.subscriptions()))
            }
            _ => Err(ErrorCode::NonEmptyGroup),
        }
    }

    /// What the steps since the last call have decided.
    pub(super) fn effects(&mut self) -> &mut Vec<Effect> {
        &mut self.effects
    }

    fn happened(&mut self, change: GroupChange) {
        let group = self.group_id.clone();
        let event = GroupEvent { group, generation: self.generation, change };
        self.effects.push(Effect::Happened(Event::Group(event)));
    }

    /// Checks that a request comes from a member, and for a static one from its latest incarnation (KIP-345).
    fn validate_member(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<Place, ErrorCode> {
        if let Some(instance_id) = instance_id {
            let place = self.members.find_static(instance_id).ok_or(ErrorCode::UnknownMemberId)?;
            if self.members.get(place).id() != member_id {
                return Err(ErrorCode::FencedInstanceId);
            }
        }
        self.members.find(member_id).ok_or(ErrorCode::UnknownMemberId)
    }

    /// Ends what a member's parked request waits for, with an error.
    fn refuse_parked(&mut self, place: Place, error: ErrorCode, member_id: &str) {
        let (request, answer) = match self.members.park(place, Parked::Nothing) {
            Parked::Nothing => return,
            Parked::Join(request) => {
                let refused = JoinError { error, member_id: member_id.to_owned() };
                (request, Answer::Join(Err(refused)))
            }
            Parked::Sync(request) => (request, Answer::Sync(Err(error))),
        };
        self.effects.push(Effect::Answer(request, answer));
    }

    /// Takes a member out. Its parked request is told UNKNOWN_MEMBER_ID, so that a client that is still alive
    /// joins anew. The group's state is for the caller to settle.
    fn remove(&mut self, place: Place) {
        self.state.no_sync_expected(place);
        self.refuse_parked(place, ErrorCode::UnknownMemberId, "");
        self.members.remove(place);
        if self.leader == Some(place) {
            self.leader = self.members.first().map(|(place, _)| place);
        }
    }
}
