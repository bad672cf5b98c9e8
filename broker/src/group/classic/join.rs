//! The join phase: from JoinGroup to a new generation.

use std::{cmp::Reverse, collections::HashMap};

use bytes::Bytes;

use super::{
    CONSUMER, Classic, Protocol,
    members::{Member, Parked, Place},
    state::{InitialDelay, State, Unsynced},
};
use crate::{
    error_code::ErrorCode,
    event::{Gone, GroupChange, Reason},
    group::{Answer, Effect, GroupSettings, subscription::Subscribed},
    machine::RequestId,
    time::{Millis, Moment},
};

/// How long a member may wait for the answer to its first join. It does not know its id yet and cannot send
/// heartbeats, so this takes the place of its session time-out. Fixed in Kafka, too.
const NEW_MEMBER_JOIN_TIMEOUT: Millis = 5 * 60 * 1_000;

/// A JoinGroup request.
#[derive(Clone, Debug)]
pub(crate) struct JoinRequest {
    /// Empty when the client has none yet.
    pub(crate) member_id: String,
    /// Set for a static member (KIP-345).
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    /// The address of the client, as Kafka prints it: `/127.0.0.1`.
    pub(crate) client_host: String,
    pub(crate) session_timeout: Millis,
    /// How long the group waits for this member in a rebalance.
    pub(crate) rebalance_timeout: Millis,
    pub(crate) protocol_type: String,
    /// In the order of preference.
    pub(crate) protocols: Vec<Protocol>,
    /// A newcomer is first given an id and must come back with it (KIP-394; version 4 and later).
    pub(crate) needs_member_id: bool,
    /// A leader can be told to keep the assignment it finds (KIP-814; version 9 and later).
    pub(crate) can_skip_assignment: bool,
    /// The random part of a newcomer's member id. Chance comes from the owner; there is none in here.
    pub(crate) uuid: String,
}

impl JoinRequest {
    /// Checks what can be told without the group; a request that fails does not even create it.
    pub(crate) fn check(&self, settings: &GroupSettings) -> Result<(), JoinError> {
        let sessions = settings.min_session_timeout..=settings.max_session_timeout;
        let size: usize = self.protocols.iter().map(|p| p.name.len() + p.metadata.len()).sum();
        let error = if !sessions.contains(&self.session_timeout) {
            ErrorCode::InvalidSessionTimeout
        } else if size > settings.max_record_size {
            // Kafka says so later, when the group cannot be written to `__consumer_offsets`.
            ErrorCode::UnknownServerError
        } else {
            return Ok(());
        };
        Err(JoinError { error, member_id: self.member_id.clone() })
    }
}

/// The answer to a JoinGroup request.
pub(crate) type JoinAnswer = Result<Joined, JoinError>;

/// The member is part of this generation.
#[derive(Debug, PartialEq)]
pub(crate) struct Joined {
    pub(crate) member_id: String,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol_name: Option<String>,
    pub(crate) leader: String,
    /// The leader need not assign: the group still has an assignment (KIP-814).
    pub(crate) skip_assignment: bool,
    /// Only the leader gets the list.
    pub(crate) members: Vec<JoinedMember>,
}

/// A member as the leader sees it.
#[derive(Debug, PartialEq)]
pub(crate) struct JoinedMember {
    pub(crate) id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) metadata: Bytes,
}

/// The member is not part of the group; `error` says what to do.
#[derive(Debug, PartialEq)]
pub(crate) struct JoinError {
    pub(crate) error: ErrorCode,
    /// The id to go on with; empty: start anew without one.
    pub(crate) member_id: String,
}

impl Classic {
    /// Takes a member in, or begins a rebalance for one that is in already. The answer comes as an effect:
    /// now, or when the generation begins.
    pub(in crate::group) fn join(&mut self, join: JoinRequest, request: RequestId, now: Moment) {
        if let Err(refused) = self.try_join(join, request, now) {
            self.effects.push(Effect::Answer(request, Answer::Join(Err(refused))));
        }
    }

    fn try_join(
        &mut self,
        join: JoinRequest,
        request: RequestId,
        now: Moment,
    ) -> Result<(), JoinError> {
        let refuse =
            |error, member_id: &str| Err(JoinError { error, member_id: member_id.to_owned() });
        if !self.has_room_for(&join.member_id) {
            // In Kafka the others wait the rebalance time-out out, even if the member was the last one missing.
            self.pending.remove(&join.member_id);
            if let Some(place) = self.members.find(&join.member_id) {
                self.remove(place);
            }
            self.complete_join_if_all_joined(now);
            return refuse(ErrorCode::GroupMaxSizeReached, "");
        }
        if !self.agrees_with(&join) {
            return refuse(ErrorCode::InconsistentGroupProtocol, &join.member_id);
        }
        if join.member_id.is_empty() {
            return self.join_newcomer(join, request, now);
        }
        if self.pending.contains(&join.member_id) {
            if join.instance_id.is_some() {
                // Ids are only given out in advance to dynamic members. Kafka fails here, too.
                return refuse(ErrorCode::UnknownServerError, &join.member_id);
            }
            self.add_member(join, request, now);
            return Ok(());
        }
        match self.validate_member(&join.member_id, join.instance_id.as_deref()) {
            Err(error) => return refuse(error, &join.member_id),
            Ok(place) => self.rejoin(place, join, request, now),
        }
        Ok(())
    }

    fn join_newcomer(
        &mut self,
        mut join: JoinRequest,
        request: RequestId,
        now: Moment,
    ) -> Result<(), JoinError> {
        let name = join.instance_id.as_ref().unwrap_or(&join.client_id);
        join.member_id = format!("{name}-{}", join.uuid);
        if let Some(instance_id) = &join.instance_id {
            match self.members.find_static(instance_id) {
                Some(place) => self.replace_static_member(place, join, request, now),
                None => self.add_member(join, request, now),
            }
            return Ok(());
        }
        if join.needs_member_id {
            self.pending.insert(join.member_id.clone(), now + join.session_timeout);
            let error = ErrorCode::MemberIdRequired;
            return Err(JoinError { error, member_id: join.member_id });
        }
        self.add_member(join, request, now);
        Ok(())
    }

    fn add_member(&mut self, join: JoinRequest, request: RequestId, now: Moment) {
        if let State::PreparingRebalance { initial: Some(initial), .. } = &mut self.state {
            initial.extend = true;
        }
        if self.members.is_empty() {
            self.protocol_type = Some(join.protocol_type.clone());
        }
        self.pending.remove(&join.member_id);
        let reason = Reason::NewMember(join.member_id.clone());
        let place = self.members.insert(Member::new(join, request));
        self.members.expect_until(place, Some(now + NEW_MEMBER_JOIN_TIMEOUT));
        self.leader.get_or_insert(place);
        self.rebalance_or_complete_join(reason, now);
    }

    /// A member that the group knows joins again. It may have lost the answer (then it gets the current
    /// generation), have something new to say, or be the leader, who asks for a rebalance by joining.
    fn rejoin(&mut self, place: Place, join: JoinRequest, request: RequestId, now: Moment) {
        let is_leader = self.leader == Some(place);
        let reason = match &self.state {
            State::Stable { .. } if is_leader => Reason::LeaderRejoined(join.member_id.clone()),
            State::CompletingRebalance { .. } | State::Stable { .. }
                if self.members.get(place).protocols().listed() == join.protocols =>
            {
                let joined = Answer::Join(Ok(self.joined(place)));
                return self.effects.push(Effect::Answer(request, joined));
            }
            _ => Reason::ChangedMetadata(join.member_id.clone()),
        };
        self.update_member(place, join, request);
        self.rebalance_or_complete_join(reason, now);
    }

    /// Takes over what the member says now and parks its join. A request of it that is still parked comes from a
    /// connection that the client has given up. Kafka never answers that one; here it ends with an error.
    pub(super) fn update_member(&mut self, place: Place, join: JoinRequest, request: RequestId) {
        self.refuse_parked(place, ErrorCode::RebalanceInProgress, &join.member_id);
        self.members.set_protocols(place, join.protocols);
        self.members.park(place, Parked::Join(request));
        let member = self.members.get_mut(place);
        member.rebalance_timeout = join.rebalance_timeout;
        member.session_timeout = join.session_timeout;
    }

    /// A group that is over its limit still accepts those it has; `group.max.size` may have shrunk.
    fn has_room_for(&self, member_id: &str) -> bool {
        let member = self.members.find(member_id).map(|place| self.members.get(place));
        match &self.state {
            State::Empty => true,
            // Members not yet rejoined are not counted: the last ones to come are the ones to go.
            State::PreparingRebalance { .. } => {
                member.is_some_and(Member::awaits_join)
                    || self.members.joining() < self.settings.max_size
            }
            State::CompletingRebalance { .. } | State::Stable { .. } => {
                member.is_some() || self.members.len() < self.settings.max_size
            }
        }
    }

    /// Whether the member speaks the group's protocol type and has an assignor that all others have as well.
    fn agrees_with(&self, join: &JoinRequest) -> bool {
        if self.state == State::Empty {
            return !join.protocol_type.is_empty() && !join.protocols.is_empty();
        }
        self.protocol_type.as_ref() == Some(&join.protocol_type)
            && join.protocols.iter().any(|protocol| self.members.all_have(&protocol.name))
    }

    /// Each member votes for its favourite among the assignors that all of them have; most votes win, and on a
    /// tie the one the longest-serving member prefers. `None` without members.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let in_common = |protocol: &&Protocol| self.members.all_have(&protocol.name);
        let mut votes: HashMap<&str, usize> = HashMap::new();
        for (_, member) in self.members.iter() {
            if let Some(favourite) = member.protocols().listed().iter().find(in_common) {
                *votes.entry(&favourite.name).or_default() += 1;
            }
        }
        let (_, first) = self.members.first()?;
        let rank = |name: &str| Reverse(first.protocols().position(name));
        let winner = votes.into_iter().max_by_key(|(name, votes)| (*votes, rank(name)));
        winner.map(|(name, _)| name.to_owned())
    }

    /// The current generation, as this member is told of it.
    pub(super) fn joined(&self, place: Place) -> Joined {
        let protocol = self.protocol_name.as_deref().unwrap_or_default();
        let listed = (self.leader == Some(place)).then(|| self.members.iter());
        let leader = self.leader.map(|leader| self.members.get(leader).id().to_owned());
        Joined {
            member_id: self.members.get(place).id().to_owned(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: leader.unwrap_or_default(),
            skip_assignment: false,
            members: listed
                .into_iter()
                .flatten()
                .map(|(_, member)| JoinedMember {
                    id: member.id().to_owned(),
                    instance_id: member.instance_id().map(str::to_owned),
                    metadata: member.protocols().metadata(protocol),
                })
                .collect(),
        }
    }

    pub(super) fn rebalance_or_complete_join(&mut self, reason: Reason, now: Moment) {
        match &self.state {
            State::PreparingRebalance { .. } => self.complete_join_if_all_joined(now),
            State::Empty | State::CompletingRebalance { .. } | State::Stable { .. } => {
                self.prepare_rebalance(reason, now);
            }
        }
    }

    /// Begins the next turn. Whoever waits for an assignment of this one is sent back to join.
    pub(super) fn prepare_rebalance(&mut self, reason: Reason, now: Moment) {
        self.happened(GroupChange::PreparingRebalance(reason));
        if let State::CompletingRebalance { .. } = self.state {
            self.refuse_syncs(ErrorCode::RebalanceInProgress, now);
        }
        let timeout = self.rebalance_timeout();
        if self.state != State::Empty {
            self.state = State::PreparingRebalance { deadline: now + timeout, initial: None };
            self.complete_join_if_all_joined(now);
            return;
        }
        let delay = self.settings.initial_rebalance_delay;
        let initial = InitialDelay { delay, remaining: (timeout - delay).max(0), extend: false };
        self.state = State::PreparingRebalance { deadline: now + delay, initial: Some(initial) };
        if delay == 0 {
            self.complete_join(now);
        }
    }

    /// The group waits for its slowest member.
    fn rebalance_timeout(&self) -> Millis {
        let timeouts = self.members.iter().map(|(_, member)| member.rebalance_timeout);
        timeouts.max().unwrap_or(0).max(0)
    }

    /// An initial rebalance waits its delay out, in the hope of more members.
    pub(super) fn complete_join_if_all_joined(&mut self, now: Moment) {
        if let State::PreparingRebalance { initial: None, .. } = self.state
            && self.all_joined()
        {
            self.complete_join(now);
        }
    }

    pub(super) fn all_joined(&self) -> bool {
        self.pending.is_empty() && self.members.joining() == self.members.len()
    }

    /// The time of the join phase is over.
    pub(super) fn join_deadline_passed(&mut self, now: Moment) {
        if let State::PreparingRebalance { deadline, initial: Some(initial) } = &mut self.state
            && initial.extend
            && initial.remaining > 0
        {
            let spent = initial.delay;
            initial.delay = self.settings.initial_rebalance_delay.min(initial.remaining);
            initial.remaining = (initial.remaining - spent).max(0);
            initial.extend = false;
            *deadline = now + initial.delay;
            return;
        }
        self.complete_join(now);
    }

    /// Begins the new generation with those who have joined. Static members stay although they have not: they
    /// may be restarting.
    pub(super) fn complete_join(&mut self, now: Moment) {
        let is_missing = |member: &Member| !member.awaits_join() && member.instance_id().is_none();
        let missing = self.members.iter().filter(|(_, member)| is_missing(member));
        let missing: Vec<Place> = missing.map(|(place, _)| place).collect();
        for place in missing {
            self.gone(place, Gone::DidNotRejoin);
        }
        if self.members.is_empty() {
            self.generation += 1;
            self.protocol_name = None;
            self.state = State::Empty;
            self.happened(GroupChange::Empty);
            return;
        }
        if !self.elect_joined_leader() {
            // Only absent static members: wait until they return or their sessions end.
            let deadline = now + self.rebalance_timeout().max(1);
            self.state = State::PreparingRebalance { deadline, initial: None };
            return;
        }
        self.generation += 1;
        self.protocol_name = self.select_protocol();
        self.subscribed.take();
        let members = self.members.places();
        let unsynced = Unsynced {
            members: members.iter().copied().collect(),
            deadline: now + self.rebalance_timeout(),
        };
        self.state = State::CompletingRebalance { unsynced };
        self.happened(GroupChange::AllJoined { members: members.len() });
        for place in members {
            let joined = self.joined(place);
            self.members.renew_session(place, now);
            self.members.get_mut(place).is_new = false;
            if let Parked::Join(request) = self.members.park(place, Parked::Nothing) {
                self.effects.push(Effect::Answer(request, Answer::Join(Ok(joined))));
            }
        }
    }

    /// Makes sure that the leader is one who hears of it. False if nobody has joined.
    fn elect_joined_leader(&mut self) -> bool {
        let keep = self.leader.filter(|leader| self.members.get(*leader).awaits_join());
        let mut joined = self.members.iter().filter(|(_, member)| member.awaits_join());
        let Some(leader) = keep.or_else(|| joined.next().map(|(place, _)| place)) else {
            return false;
        };
        self.leader = Some(leader);
        true
    }

    /// What the members read, as far as the broker can tell.
    pub(super) fn subscriptions(&self) -> Subscribed {
        match &self.protocol_name {
            Some(protocol) if self.protocol_type() == CONSUMER => {
                let members = self.members.iter();
                Subscribed::read(members.map(|(_, member)| member.protocols().metadata(protocol)))
            }
            _ => Subscribed::Anything,
        }
    }
}
