//! Staying and going: heartbeats, LeaveGroup, and what happens when time runs out.

use tracing::info;

use super::member::Waiting;
use super::state::State;
use super::{Effect, Group};
use crate::{error_code::ErrorCode, time::Moment};

/// One entry of a LeaveGroup request.
#[derive(Clone, Debug)]
pub(crate) struct Leaving {
    /// Empty when an operator removes a static member by its instance id alone.
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
}

/// What became of one entry of a LeaveGroup request.
#[derive(Debug, PartialEq)]
pub(crate) struct Left {
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) result: Result<(), ErrorCode>,
}

/// Something that happens when its time comes.
#[derive(Debug)]
enum Timer {
    /// The join phase ends.
    Join,
    /// Those who have not synced are removed.
    Sync,
    /// A member has been silent for too long.
    Session(String),
    /// A member id was given out and never used.
    Pending(String),
}

impl Group {
    /// Keeps a member's session alive.
    ///
    /// # Errors
    /// `REBALANCE_IN_PROGRESS` tells the member to join again; `UNKNOWN_MEMBER_ID`, `FENCED_INSTANCE_ID` and
    /// `ILLEGAL_GENERATION` that it has lost its place.
    pub(crate) fn heartbeat(
        &mut self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        now: Moment,
    ) -> Result<(), ErrorCode> {
        if self.is_dead() {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        self.validate_member(member_id, instance_id)?;
        if generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        self.renew_session(member_id, now);
        match self.state {
            State::PreparingRebalance { .. } => Err(ErrorCode::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    pub(super) fn renew_session(&mut self, member_id: &str, now: Moment) {
        if let Some(member) = self.member_mut(member_id) {
            member.renew_session(now);
        }
    }

    /// Takes members out at their own wish or an operator's (KIP-345), and rebalances once for all of them.
    ///
    /// # Errors
    /// `COORDINATOR_NOT_AVAILABLE` if the group was deleted. All else is said of each member by itself.
    pub(crate) fn leave(
        &mut self,
        leaving: Vec<Leaving>,
        now: Moment,
    ) -> Result<(Vec<Left>, Vec<Effect>), ErrorCode> {
        if self.is_dead() {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        let mut left = Vec::with_capacity(leaving.len());
        for Leaving { member_id, instance_id } in leaving {
            let result = self.leave_one(&member_id, instance_id.as_deref());
            left.push(Left { member_id, instance_id, result });
        }
        if left.iter().any(|left| left.result.is_ok()) && self.state != State::Empty {
            self.rebalance_or_complete_join("members have left", now);
        }
        Ok((left, self.take_effects()))
    }

    fn leave_one(&mut self, member_id: &str, instance_id: Option<&str>) -> Result<(), ErrorCode> {
        let member_id = if member_id.is_empty() {
            let member = instance_id.and_then(|instance_id| self.static_member(instance_id));
            member.map(|member| member.id.clone()).ok_or(ErrorCode::UnknownMemberId)?
        } else {
            if !self.pending.contains_key(member_id) {
                self.validate_member(member_id, instance_id)?;
            }
            member_id.to_owned()
        };
        info!(group = self.id, "member {member_id} leaves");
        self.remove(&member_id);
        Ok(())
    }

    /// When [`Group::tick`] has something to do; `None` while nothing runs.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        self.next_timer().map(|(at, _)| at)
    }

    /// Lets everything happen whose time has come by `now`, in order.
    pub(crate) fn tick(&mut self, now: Moment) -> Vec<Effect> {
        // Each round ends a timer or moves it past `now`, so this comes to an end.
        while let Some((_, timer)) = self.next_timer().filter(|(at, _)| *at <= now) {
            match timer {
                Timer::Join => self.join_deadline_passed(now),
                Timer::Sync => self.sync_deadline_passed(now),
                Timer::Session(member_id) => self.session_ended(&member_id, now),
                Timer::Pending(member_id) => {
                    info!(group = self.id, "member id {member_id} was not used in time");
                    self.remove(&member_id);
                    self.complete_join_if_that_was_the_last(now);
                }
            }
        }
        self.take_effects()
    }

    fn next_timer(&self) -> Option<(Moment, Timer)> {
        let join = match self.state {
            State::PreparingRebalance { deadline, .. } => Some((deadline, Timer::Join)),
            _ => None,
        };
        let unsynced = self.state.unsynced().filter(|unsynced| !unsynced.members.is_empty());
        let sync = unsynced.map(|unsynced| (unsynced.deadline, Timer::Sync));
        let sessions =
            self.members.iter().filter_map(|member| Some((member.session_ends?, member)));
        let session = sessions
            .min_by_key(|(at, _)| *at)
            .map(|(at, member)| (at, Timer::Session(member.id.clone())));
        let pending = self.pending.iter().min_by_key(|(_, at)| **at);
        let pending = pending.map(|(member_id, at)| (*at, Timer::Pending(member_id.clone())));
        [join, sync, session, pending].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    fn session_ended(&mut self, member_id: &str, now: Moment) {
        let Some(member) = self.member_mut(member_id) else { return };
        member.session_ends = None;
        // Who waits for the group cannot send heartbeats; the session starts over with the answer.
        // A new member is the exception: its time-out is the one for its first join.
        if member.waiting != Waiting::Nothing && !member.is_new {
            return;
        }
        info!(group = self.id, "member {member_id} has fallen silent and is removed");
        self.remove(member_id);
        match &self.state {
            State::CompletingRebalance { .. } | State::Stable { .. } => {
                self.prepare_rebalance(&format!("member {member_id} fell silent"), now);
            }
            _ => self.complete_join_if_that_was_the_last(now),
        }
    }

    /// Unlike a member that joins or leaves, one that lapses may end an initial rebalance early, as in Kafka.
    fn complete_join_if_that_was_the_last(&mut self, now: Moment) {
        if let State::PreparingRebalance { .. } = self.state
            && self.all_joined()
        {
            self.complete_join(now);
        }
    }

    fn sync_deadline_passed(&mut self, now: Moment) {
        let Some(unsynced) = self.state.unsynced_mut() else { return };
        for member_id in std::mem::take(&mut unsynced.members) {
            info!(group = self.id, "member {member_id} did not sync in time and is removed");
            self.remove(&member_id);
        }
        self.prepare_rebalance("members did not sync in time", now);
    }
}
