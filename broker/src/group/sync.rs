//! The sync phase: the leader's assignment reaches every member.

use std::collections::HashMap;

use bytes::Bytes;
use tracing::info;

use super::member::Waiting;
use super::state::{State, Unsynced};
use super::{Effect, Group, RequestId};
use crate::{error_code::ErrorCode, time::Moment};

/// A SyncGroup request.
#[derive(Clone, Debug)]
pub(crate) struct Sync {
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) generation: i32,
    /// What the member believes the group agreed on; not told before version 5.
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol_name: Option<String>,
    /// Member id and assignment; only the leader's count.
    pub(crate) assignments: Vec<(String, Bytes)>,
}

/// The answer to a SyncGroup request.
pub(crate) type SyncAnswer = Result<Synced, ErrorCode>;

/// What the member is to do in this generation.
#[derive(Debug, PartialEq)]
pub(crate) struct Synced {
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol_name: Option<String>,
    pub(crate) assignment: Bytes,
}

impl Group {
    /// Takes the leader's assignment, or parks a follower until it is there: nobody is told an assignment
    /// before the leader has made it. The answer comes as an effect.
    pub(crate) fn sync(&mut self, sync: Sync, request: RequestId, now: Moment) -> Vec<Effect> {
        if let Err(error) = self.try_sync(sync, request, now) {
            self.effects.push(Effect::Sync(request, Err(error)));
        }
        self.take_effects()
    }

    fn try_sync(&mut self, sync: Sync, request: RequestId, now: Moment) -> Result<(), ErrorCode> {
        if self.is_dead() {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        self.validate_member(&sync.member_id, sync.instance_id.as_deref())?;
        if sync.generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        let differs = |told: &Option<String>, own: &Option<String>| {
            told.is_some() && own.is_some() && told != own
        };
        if differs(&sync.protocol_type, &self.protocol_type)
            || differs(&sync.protocol_name, &self.protocol_name)
        {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        let position = self.position(&sync.member_id).ok_or(ErrorCode::UnknownMemberId)?;
        match &self.state {
            State::Empty | State::Dead => return Err(ErrorCode::UnknownMemberId),
            State::PreparingRebalance { .. } => return Err(ErrorCode::RebalanceInProgress),
            State::CompletingRebalance { .. } => {
                // An earlier sync that still waits comes from a connection the client has given up.
                self.refuse_waiting(position, ErrorCode::RebalanceInProgress, "");
                self.members[position].waiting = Waiting::Sync(request);
                self.state.no_sync_expected(&sync.member_id);
                if self.is_leader(&sync.member_id) {
                    self.assign(sync.assignments, now);
                }
            }
            State::Stable { .. } => {
                self.state.no_sync_expected(&sync.member_id);
                let synced = self.synced(self.members[position].assignment.clone());
                self.effects.push(Effect::Sync(request, Ok(synced)));
            }
        }
        Ok(())
    }

    /// The leader has spoken. Members it does not mention get nothing to do; strangers it mentions are ignored.
    fn assign(&mut self, assignments: Vec<(String, Bytes)>, now: Moment) {
        let mut assignments: HashMap<String, Bytes> = assignments.into_iter().collect();
        for position in 0..self.members.len() {
            let member = &mut self.members[position];
            member.assignment = assignments.remove(&member.id).unwrap_or_default();
            if let Waiting::Sync(request) = member.waiting {
                member.waiting = Waiting::Nothing;
                member.renew_session(now);
                let assignment = member.assignment.clone();
                let synced = self.synced(assignment);
                self.effects.push(Effect::Sync(request, Ok(synced)));
            }
        }
        if let State::CompletingRebalance { unsynced } = &mut self.state {
            let unsynced = Unsynced {
                members: std::mem::take(&mut unsynced.members),
                deadline: unsynced.deadline,
            };
            self.state = State::Stable { unsynced };
            info!(group = self.id, generation = self.generation, "stable: the leader has assigned");
        }
    }

    fn synced(&self, assignment: Bytes) -> Synced {
        Synced {
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            assignment,
        }
    }
}
