//! The sync phase: the leader's assignment reaches every member.

use std::collections::HashMap;

use bytes::Bytes;

use super::{
    Classic,
    members::{Parked, Place},
    state::{State, Unsynced},
};
use crate::{
    error_code::ErrorCode,
    event::{GroupChange, Reason},
    group::{Answer, Effect},
    machine::RequestId,
    time::Moment,
};

/// A SyncGroup request.
#[derive(Clone, Debug)]
pub(crate) struct SyncRequest {
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

impl Classic {
    /// Takes the leader's assignment, or parks a follower until it is there: nobody is told an assignment
    /// before the leader has made it. The answer comes as an effect.
    pub(in crate::group) fn sync(&mut self, sync: SyncRequest, request: RequestId, now: Moment) {
        if let Err(error) = self.try_sync(sync, request, now) {
            self.effects.push(Effect::Answer(request, Answer::Sync(Err(error))));
        }
    }

    fn try_sync(
        &mut self,
        sync: SyncRequest,
        request: RequestId,
        now: Moment,
    ) -> Result<(), ErrorCode> {
        let place = self.validate_member(&sync.member_id, sync.instance_id.as_deref())?;
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
        match &self.state {
            State::Empty => return Err(ErrorCode::UnknownMemberId),
            State::PreparingRebalance { .. } => return Err(ErrorCode::RebalanceInProgress),
            State::CompletingRebalance { .. } => {
                // An earlier sync that is still parked comes from a connection the client has given up.
                self.refuse_parked(place, ErrorCode::RebalanceInProgress, "");
                self.members.park(place, Parked::Sync(request));
                self.state.no_sync_expected(place);
                if self.leader == Some(place) {
                    self.assign(sync.assignments, now);
                }
            }
            State::Stable { .. } => {
                self.state.no_sync_expected(place);
                let synced = self.synced(place);
                self.effects.push(Effect::Answer(request, Answer::Sync(Ok(synced))));
            }
        }
        Ok(())
    }

    /// The leader has spoken. Members it does not mention get nothing to do; strangers it mentions are ignored.
    fn assign(&mut self, assignments: Vec<(String, Bytes)>, now: Moment) {
        let mut assignments: HashMap<String, Bytes> = assignments.into_iter().collect();
        for place in self.members.places() {
            let member = self.members.get_mut(place);
            member.assignment = assignments.remove(member.id()).unwrap_or_default();
        }
        if self.record_size() > self.settings.max_record_size {
            // The record that Kafka could not write to `__consumer_offsets`.
            self.refuse_syncs(ErrorCode::UnknownServerError, now);
            self.prepare_rebalance(Reason::AssignmentTooLarge, now);
            return;
        }
        for place in self.members.places() {
            if let Parked::Sync(request) = self.members.get(place).parked() {
                self.members.park(place, Parked::Nothing);
                self.members.renew_session(place, now);
                let synced = self.synced(place);
                self.effects.push(Effect::Answer(request, Answer::Sync(Ok(synced))));
            }
        }
        if let State::CompletingRebalance { unsynced } = &mut self.state {
            let unsynced = Unsynced {
                members: std::mem::take(&mut unsynced.members),
                deadline: unsynced.deadline,
            };
            self.state = State::Stable { unsynced };
            self.happened(GroupChange::Stable);
        }
    }

    /// No assignment comes in this turn: every parked sync is told so.
    pub(super) fn refuse_syncs(&mut self, error: ErrorCode, now: Moment) {
        for place in self.members.places() {
            self.members.get_mut(place).assignment = Bytes::new();
            if let Parked::Sync(_) = self.members.get(place).parked() {
                self.members.renew_session(place, now);
                self.refuse_parked(place, error, "");
            }
        }
    }

    /// What the group takes in memory: what each member told the assignor and what it was assigned.
    fn record_size(&self) -> usize {
        let protocol = self.protocol_name.as_deref().unwrap_or_default();
        let members = self.members.iter().map(|(_, member)| {
            member.id().len()
                + member.protocols().metadata(protocol).len()
                + member.assignment.len()
        });
        members.sum()
    }

    fn synced(&self, place: Place) -> Synced {
        Synced {
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            assignment: self.members.get(place).assignment.clone(),
        }
    }
}
