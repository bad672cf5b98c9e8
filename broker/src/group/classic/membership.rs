//! Staying and going: heartbeats, LeaveGroup, and what happens when time runs out.

use super::{
    Classic,
    members::{Parked, Place},
    state::State,
};
use crate::{
    error_code::ErrorCode,
    event::{Gone, GroupChange, Reason},
    time::Moment,
};

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
    Session(Place),
    /// A member id was given out and never used.
    Pending(String),
}

impl Classic {
    /// Keeps a member's session alive.
    ///
    /// # Errors
    /// `REBALANCE_IN_PROGRESS` tells the member to join again; `UNKNOWN_MEMBER_ID`, `FENCED_INSTANCE_ID` and
    /// `ILLEGAL_GENERATION` that it has lost its place.
    pub(in crate::group) fn heartbeat(
        &mut self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        now: Moment,
    ) -> Result<(), ErrorCode> {
        let place = self.validate_member(member_id, instance_id)?;
        if generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        self.members.renew_session(place, now);
        match self.state {
            State::PreparingRebalance { .. } => Err(ErrorCode::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    /// Takes members out at their own wish or an operator's (KIP-345), and rebalances once for all of them.
    pub(in crate::group) fn leave(&mut self, leaving: Vec<Leaving>, now: Moment) -> Vec<Left> {
        let mut left = Vec::with_capacity(leaving.len());
        for Leaving { member_id, instance_id } in leaving {
            let result = self.leave_one(&member_id, instance_id.as_deref());
            left.push(Left { member_id, instance_id, result });
        }
        if left.iter().any(|left| left.result.is_ok()) && self.state != State::Empty {
            self.rebalance_or_complete_join(Reason::MembersLeft, now);
        }
        left
    }

    fn leave_one(&mut self, member_id: &str, instance_id: Option<&str>) -> Result<(), ErrorCode> {
        let place = if member_id.is_empty() {
            let place = instance_id.and_then(|instance_id| self.members.find_static(instance_id));
            place.ok_or(ErrorCode::UnknownMemberId)?
        } else if self.pending.contains(member_id) {
            self.pending.remove(member_id);
            return Ok(());
        } else {
            self.validate_member(member_id, instance_id)?
        };
        self.gone(place, Gone::Left);
        Ok(())
    }

    /// Removes a member, and says why.
    pub(super) fn gone(&mut self, place: Place, why: Gone) {
        let member = self.members.get(place).id().to_owned();
        self.happened(GroupChange::MemberGone { member, why });
        self.remove(place);
    }

    /// When [`Classic::tick`] has something to do; `None` while nothing runs.
    pub(in crate::group) fn next_deadline(&self) -> Option<Moment> {
        self.next_timer().map(|(at, _)| at)
    }

    /// Lets everything happen whose time has come by `now`, in order.
    pub(in crate::group) fn tick(&mut self, now: Moment) {
        // Each round ends a timer or moves it past `now`, so this comes to an end.
        while let Some((_, timer)) = self.next_timer().filter(|(at, _)| *at <= now) {
            match timer {
                Timer::Join => self.join_deadline_passed(now),
                Timer::Sync => self.sync_deadline_passed(now),
                Timer::Session(place) => self.session_ended(place, now),
                Timer::Pending(member) => {
                    self.pending.remove(&member);
                    self.happened(GroupChange::MemberIdUnused { member });
                    self.complete_join_if_that_was_the_last(now);
                }
            }
        }
    }

    fn next_timer(&self) -> Option<(Moment, Timer)> {
        let join = match self.state {
            State::PreparingRebalance { deadline, .. } => Some((deadline, Timer::Join)),
            _ => None,
        };
        let unsynced = self.state.unsynced().filter(|unsynced| !unsynced.members.is_empty());
        let sync = unsynced.map(|unsynced| (unsynced.deadline, Timer::Sync));
        let session = self.members.next_session().map(|(at, place)| (at, Timer::Session(place)));
        let pending = self.pending.next().map(|(at, id)| (at, Timer::Pending(id.to_owned())));
        [join, sync, session, pending].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    fn session_ended(&mut self, place: Place, now: Moment) {
        self.members.expect_until(place, None);
        let member = self.members.get(place);
        // Who waits for the group cannot send heartbeats; the session starts over with the answer.
        // A new member is the exception: its time-out is the one for its first join.
        if member.parked() != Parked::Nothing && !member.is_new {
            return;
        }
        let reason = Reason::FellSilent(member.id().to_owned());
        self.gone(place, Gone::FellSilent);
        match &self.state {
            State::CompletingRebalance { .. } | State::Stable { .. } => {
                self.prepare_rebalance(reason, now);
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
        for place in std::mem::take(&mut unsynced.members) {
            self.gone(place, Gone::DidNotSync);
        }
        self.prepare_rebalance(Reason::DidNotSync, now);
    }
}
