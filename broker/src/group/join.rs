//! The join phase: from JoinGroup to a new generation.

use bytes::Bytes;
use tracing::info;

use super::member::{Member, Protocol, Waiting};
use super::state::{InitialDelay, State, Unsynced};
use super::{Effect, Group, RequestId, Settings};
use crate::{
    error_code::ErrorCode,
    time::{Millis, Moment},
};

/// How long a member may wait for the answer to its first join. It does not know its id yet and cannot send
/// heartbeats, so this takes the place of its session time-out. Fixed in Kafka, too.
const NEW_MEMBER_JOIN_TIMEOUT: Millis = 5 * 60 * 1_000;

/// A JoinGroup request.
#[derive(Clone, Debug)]
pub(crate) struct Join {
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

impl Join {
    /// Checks what can be told without the group; a request that fails does not even create it.
    pub(crate) fn check(&self, settings: &Settings) -> Result<(), Refused> {
        if (settings.min_session_timeout..=settings.max_session_timeout)
            .contains(&self.session_timeout)
        {
            return Ok(());
        }
        Err(Refused { error: ErrorCode::InvalidSessionTimeout, member_id: self.member_id.clone() })
    }
}

/// The answer to a JoinGroup request.
pub(crate) type JoinAnswer = Result<Joined, Refused>;

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
pub(crate) struct Refused {
    pub(crate) error: ErrorCode,
    /// The id to go on with; empty: start anew without one.
    pub(crate) member_id: String,
}

impl Group {
    /// Takes a member in, or begins a rebalance for one that is in already. The answer comes as an effect:
    /// now, or when the generation begins.
    pub(crate) fn join(&mut self, join: Join, request: RequestId, now: Moment) -> Vec<Effect> {
        if let Err(refused) = self.try_join(join, request, now) {
            self.effects.push(Effect::Join(request, Err(refused)));
        }
        self.take_effects()
    }

    fn try_join(&mut self, join: Join, request: RequestId, now: Moment) -> Result<(), Refused> {
        let refuse =
            |error, member_id: &str| Err(Refused { error, member_id: member_id.to_owned() });
        if self.is_dead() {
            return refuse(ErrorCode::CoordinatorNotAvailable, &join.member_id);
        }
        if !self.has_room_for(&join.member_id) {
            // In Kafka the others wait the rebalance time-out out, even if the member was the last one missing.
            self.remove(&join.member_id);
            self.complete_join_if_all_joined(now);
            return refuse(ErrorCode::GroupMaxSizeReached, "");
        }
        if !self.agrees_with(&join) {
            return refuse(ErrorCode::InconsistentGroupProtocol, &join.member_id);
        }
        if join.member_id.is_empty() {
            return self.join_newcomer(join, request, now);
        }
        if self.pending.contains_key(&join.member_id) {
            if join.instance_id.is_some() {
                // Ids are only given out in advance to dynamic members. Kafka fails here, too.
                return refuse(ErrorCode::UnknownServerError, &join.member_id);
            }
            self.add_member(join, request, now);
            return Ok(());
        }
        if let Err(error) = self.validate_member(&join.member_id, join.instance_id.as_deref()) {
            return refuse(error, &join.member_id);
        }
        self.rejoin(join, request, now);
        Ok(())
    }

    fn join_newcomer(
        &mut self,
        mut join: Join,
        request: RequestId,
        now: Moment,
    ) -> Result<(), Refused> {
        let name = join.instance_id.as_ref().unwrap_or(&join.client_id);
        join.member_id = format!("{name}-{}", join.uuid);
        if let Some(instance_id) = &join.instance_id {
            match self
                .members
                .iter()
                .position(|member| member.instance_id.as_ref() == Some(instance_id))
            {
                Some(position) => self.replace_static_member(position, join, request, now),
                None => self.add_member(join, request, now),
            }
            return Ok(());
        }
        if join.needs_member_id {
            self.pending.insert(join.member_id.clone(), now + join.session_timeout);
            return Err(Refused { error: ErrorCode::MemberIdRequired, member_id: join.member_id });
        }
        self.add_member(join, request, now);
        Ok(())
    }

    fn add_member(&mut self, join: Join, request: RequestId, now: Moment) {
        if let State::PreparingRebalance { initial: Some(initial), .. } = &mut self.state {
            initial.extend = true;
        }
        if self.members.is_empty() {
            self.protocol_type = Some(join.protocol_type.clone());
        }
        self.pending.remove(&join.member_id);
        let mut member = Member::new(join, request);
        member.session_ends = Some(now + NEW_MEMBER_JOIN_TIMEOUT);
        let reason = format!("adding new member {}", member.id);
        self.leader.get_or_insert_with(|| member.id.clone());
        self.members.push(member);
        self.rebalance_or_complete_join(&reason, now);
    }

    /// A member that the group knows joins again. It may have lost the answer (then it gets the current
    /// generation), have something new to say, or be the leader, who asks for a rebalance by joining.
    fn rejoin(&mut self, join: Join, request: RequestId, now: Moment) {
        let is_leader = self.is_leader(&join.member_id);
        let unchanged = self
            .member_mut(&join.member_id)
            .is_some_and(|member| member.protocols == join.protocols);
        let reason = match &self.state {
            State::PreparingRebalance { .. } => "joining",
            State::Stable { .. } if is_leader => "the leader rejoined",
            State::CompletingRebalance { .. } | State::Stable { .. } if unchanged => {
                let joined = self.joined(&join.member_id);
                self.effects.push(Effect::Join(request, Ok(joined)));
                return;
            }
            _ => "changed metadata",
        };
        let reason = format!("member {}: {reason}", join.member_id);
        let position = self.position(&join.member_id).expect("a rejoining member was validated");
        self.update_member(position, join, request);
        self.rebalance_or_complete_join(&reason, now);
    }

    /// Takes over what the member says now and parks its join. A request of it that still waits comes from a
    /// connection that the client has given up. Kafka never answers that one; here it ends with an error.
    fn update_member(&mut self, position: usize, join: Join, request: RequestId) {
        self.refuse_waiting(position, ErrorCode::RebalanceInProgress, &join.member_id);
        let member = &mut self.members[position];
        member.protocols = join.protocols;
        member.rebalance_timeout = join.rebalance_timeout;
        member.session_timeout = join.session_timeout;
        member.waiting = Waiting::Join(request);
    }

    /// A static member came back without its member id: it was restarted (KIP-345). The new incarnation takes
    /// its place, and its assignment; the old one is fenced.
    fn replace_static_member(
        &mut self,
        position: usize,
        join: Join,
        request: RequestId,
        now: Moment,
    ) {
        let old_id = std::mem::replace(&mut self.members[position].id, join.member_id.clone());
        let new_id = join.member_id.clone();
        self.refuse_waiting(position, ErrorCode::FencedInstanceId, &old_id);
        let old_leader = self.leader.clone();
        if self.is_leader(&old_id) {
            self.leader = Some(new_id.clone());
        }
        // Kafka goes on to expect the sync of the old incarnation, and rebalances when it does not come.
        if let Some(unsynced) = self.state.unsynced_mut()
            && unsynced.members.remove(&old_id)
        {
            unsynced.members.insert(new_id.clone());
        }
        let can_skip_assignment = join.can_skip_assignment;
        self.update_member(position, join, request);
        self.members[position].is_new = false;
        self.members[position].renew_session(now);
        info!(group = self.id, "static member {new_id} takes the place of {old_id}");

        let keeps_protocol = self.select_protocol() == self.protocol_name;
        match &self.state {
            State::Stable { .. } if keeps_protocol => {
                // Nothing changes for the group, so nobody else is disturbed.
                self.members[position].waiting = Waiting::Nothing;
                let mut joined = self.joined(&new_id);
                joined.skip_assignment = can_skip_assignment && self.is_leader(&new_id);
                if !can_skip_assignment {
                    // An old client that heard it leads would assign anew. It is told of the former leader.
                    joined.leader = old_leader.unwrap_or_default();
                    joined.members.clear();
                }
                self.effects.push(Effect::Join(request, Ok(joined)));
            }
            // The leader may be assigning to the old id right now: begin anew, or the new one stays empty-handed.
            State::Stable { .. } | State::CompletingRebalance { .. } => {
                self.prepare_rebalance(&format!("static member {new_id} replaced {old_id}"), now);
            }
            _ => self.complete_join_if_all_joined(now),
        }
    }

    /// A group that is over its limit still accepts those it has; `group.max.size` may have shrunk.
    fn has_room_for(&self, member_id: &str) -> bool {
        let member = self.members.iter().find(|member| member.id == member_id);
        match &self.state {
            State::Empty | State::Dead => true,
            // Members not yet rejoined are not counted: the last ones to come are the ones to go.
            State::PreparingRebalance { .. } => {
                let joined = self.members.iter().filter(|member| member.awaits_join()).count();
                member.is_some_and(Member::awaits_join) || joined < self.settings.max_size
            }
            State::CompletingRebalance { .. } | State::Stable { .. } => {
                member.is_some() || self.members.len() < self.settings.max_size
            }
        }
    }

    /// Whether the member speaks the group's protocol type and has an assignor that all others have as well.
    fn agrees_with(&self, join: &Join) -> bool {
        if self.state == State::Empty {
            return !join.protocol_type.is_empty() && !join.protocols.is_empty();
        }
        let in_common =
            |protocol: &Protocol| self.members.iter().all(|member| member.supports(&protocol.name));
        self.protocol_type.as_ref() == Some(&join.protocol_type)
            && join.protocols.iter().any(in_common)
    }

    /// Each member votes for its favourite among the assignors that all of them have; most votes win, and on a
    /// tie the one the longest-serving member prefers. `None` without members.
    fn select_protocol(&self) -> Option<String> {
        let in_common = |protocol: &&Protocol| {
            self.members.iter().all(|member| member.supports(&protocol.name))
        };
        let candidates: Vec<&Protocol> =
            self.members.first()?.protocols.iter().filter(in_common).collect();
        let votes = |candidate: &str| {
            let votes_for = |member: &&Member| {
                let vote =
                    member.protocols.iter().find(|p| candidates.iter().any(|c| c.name == p.name));
                vote.is_some_and(|vote| vote.name == candidate)
            };
            self.members.iter().filter(votes_for).count()
        };
        // `max_by_key` takes the last of equals, hence the reversal.
        candidates
            .iter()
            .rev()
            .max_by_key(|candidate| votes(&candidate.name))
            .map(|winner| winner.name.clone())
    }

    /// The current generation, as this member is told of it.
    fn joined(&self, member_id: &str) -> Joined {
        let protocol = self.protocol_name.as_deref().unwrap_or_default();
        let members = if self.is_leader(member_id) { self.members.as_slice() } else { &[] };
        Joined {
            member_id: member_id.to_owned(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            members: members
                .iter()
                .map(|member| JoinedMember {
                    id: member.id.clone(),
                    instance_id: member.instance_id.clone(),
                    metadata: member.metadata(protocol),
                })
                .collect(),
        }
    }

    pub(super) fn rebalance_or_complete_join(&mut self, reason: &str, now: Moment) {
        match &self.state {
            State::Dead => {}
            State::PreparingRebalance { .. } => self.complete_join_if_all_joined(now),
            State::Empty | State::CompletingRebalance { .. } | State::Stable { .. } => {
                self.prepare_rebalance(reason, now);
            }
        }
    }

    /// Begins the next turn. Whoever waits for an assignment of this one is sent back to join.
    pub(super) fn prepare_rebalance(&mut self, reason: &str, now: Moment) {
        info!(group = self.id, generation = self.generation, "preparing to rebalance: {reason}");
        if let State::CompletingRebalance { .. } = self.state {
            for position in 0..self.members.len() {
                let member = &mut self.members[position];
                member.assignment = Bytes::new();
                if let Waiting::Sync(_) = member.waiting {
                    member.renew_session(now);
                    self.refuse_waiting(position, ErrorCode::RebalanceInProgress, "");
                }
            }
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
        self.members.iter().map(|member| member.rebalance_timeout).max().unwrap_or(0).max(0)
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
        self.pending.is_empty() && self.members.iter().all(Member::awaits_join)
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
        let is_missing = |member: &&Member| !member.awaits_join() && member.instance_id.is_none();
        let missing: Vec<String> =
            self.members.iter().filter(is_missing).map(|member| member.id.clone()).collect();
        for member_id in missing {
            info!(group = self.id, "member {member_id} did not rejoin in time and is removed");
            self.remove(&member_id);
        }
        if self.members.is_empty() {
            self.generation += 1;
            self.protocol_name = None;
            self.state = State::Empty;
            info!(group = self.id, generation = self.generation, "the group is empty");
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
        let members = self.members.iter().map(|member| member.id.clone()).collect();
        let unsynced = Unsynced { members, deadline: now + self.rebalance_timeout() };
        self.state = State::CompletingRebalance { unsynced };
        info!(
            group = self.id,
            generation = self.generation,
            members = self.members.len(),
            "all have joined"
        );
        for position in 0..self.members.len() {
            let joined = self.joined(&self.members[position].id);
            let member = &mut self.members[position];
            member.renew_session(now);
            member.is_new = false;
            if let Waiting::Join(request) = std::mem::replace(&mut member.waiting, Waiting::Nothing)
            {
                self.effects.push(Effect::Join(request, Ok(joined)));
            }
        }
    }

    /// Makes sure that the leader is one who hears of it. False if nobody has joined.
    fn elect_joined_leader(&mut self) -> bool {
        let joined = |member: &&Member| member.awaits_join();
        let keep = self.members.iter().filter(joined).find(|member| self.is_leader(&member.id));
        let Some(leader) = keep.or_else(|| self.members.iter().find(joined)) else { return false };
        self.leader = Some(leader.id.clone());
        true
    }
}
