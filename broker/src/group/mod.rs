//! One group, as a state machine: what it has read, and who its members are.
//!
//! Nothing here waits, reads a clock, logs or knows the wire. A method takes the request and the time, and
//! decides at once; [`machine`](crate::machine) tells how requests that must wait are parked and answered.
//!
//! * `offsets`: what the group has read; it outlives its members.
//! * The kind of the group is the protocol of its members: `classic` is the one there is. Who may commit is for
//!   the kind to say. Other kinds go beside it, with the same offsets.
//!
//! Kafka writes each group to `__consumer_offsets` before it answers; here memory is the only copy, so an
//! answer never waits for a write and the failures of that write do not exist.
//!
//! Left out: offset retention. Kafka forgets the offsets of a group that has been empty for
//! `offsets.retention.minutes` (a week), and a group without members and offsets some minutes after; here
//! both stay until the group or the topic is deleted. Left out too: KIP-848 groups, and the way up to
//! them from a classic group.

mod classic;
mod offsets;
mod subscription;

#[cfg(test)]
mod script;

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

#[cfg(test)]
use self::classic::Joined;
use self::{classic::Classic, offsets::Offsets};
pub(crate) use self::{
    classic::{
        JoinAnswer, JoinError, JoinRequest, Leaving, Left, Protocol, SyncAnswer, SyncRequest,
    },
    offsets::{CommittedOffset, Committer, NewOffset},
};
use crate::{
    error_code::ErrorCode,
    event::{TopicChange, TopicEvent},
    machine::{self, Machine, RequestId},
    time::{Millis, Moment},
};

/// The answer to a request that was parked.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    Join(JoinAnswer),
    Sync(SyncAnswer),
}

/// What the owner must do after a step.
pub(crate) type Effect = machine::Effect<Answer>;

/// The broker's settings that groups obey. Each comment names the setting in Kafka.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupSettings {
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
    /// `message.max.bytes`: Kafka keeps a group as one record of `__consumer_offsets`.
    pub(crate) max_record_size: usize,
}

impl Default for GroupSettings {
    /// Kafka's defaults, but for the initial delay: nobody wants to wait 3 s in a test.
    fn default() -> Self {
        GroupSettings {
            initial_rebalance_delay: 0,
            min_session_timeout: 6_000,
            max_session_timeout: 1_800_000,
            max_size: usize::MAX,
            offset_metadata_max: 4_096,
            max_record_size: 1_048_588,
        }
    }
}

/// One group.
#[derive(Debug)]
pub(crate) struct Group {
    id: String,
    settings: GroupSettings,
    offsets: Offsets,
    kind: Kind,
    is_deleted: bool,
}

/// The protocol that the members speak.
#[derive(Debug)]
enum Kind {
    Classic(Classic),
}

/// A group as DescribeGroups shows it.
#[derive(Debug)]
pub(crate) struct GroupDescription<'a> {
    pub(crate) state: &'static str,
    pub(crate) protocol_type: &'a str,
    /// The assignor; empty unless the group is stable.
    pub(crate) protocol: &'a str,
    pub(crate) members: Vec<MemberDescription<'a>>,
}

/// A member as DescribeGroups shows it.
#[derive(Debug)]
pub(crate) struct MemberDescription<'a> {
    pub(crate) id: &'a str,
    pub(crate) instance_id: Option<&'a str>,
    pub(crate) client_id: &'a str,
    pub(crate) client_host: &'a str,
    /// What it told the assignor; empty unless the group is stable.
    pub(crate) metadata: Bytes,
    pub(crate) assignment: Bytes,
}

impl Group {
    /// A group without members and offsets.
    pub(crate) fn new(id: &str, settings: GroupSettings) -> Self {
        Group {
            id: id.to_owned(),
            settings,
            offsets: Offsets::default(),
            kind: Kind::Classic(Classic::new(id, settings)),
            is_deleted: false,
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The state as Kafka's tools print it: `Empty`, `PreparingRebalance`, `CompletingRebalance`, `Stable`, `Dead`.
    pub(crate) fn state_name(&self) -> &'static str {
        let Kind::Classic(classic) = &self.kind;
        if self.is_deleted { "Dead" } else { classic.state_name() }
    }

    /// `consumer`, `connect`, …; empty for a group that only stores offsets.
    pub(crate) fn protocol_type(&self) -> &str {
        let Kind::Classic(classic) = &self.kind;
        classic.protocol_type()
    }

    /// The group with its members.
    pub(crate) fn describe(&self) -> GroupDescription<'_> {
        let Kind::Classic(classic) = &self.kind;
        GroupDescription { state: self.state_name(), ..classic.describe() }
    }

    /// Takes a member in. The answer comes as an effect: now, or when the generation begins.
    pub(crate) fn join(&mut self, join: JoinRequest, request: RequestId, now: Moment) {
        match self.classic() {
            Ok(classic) => classic.join(join, request, now),
            Err(error) => {
                let refused = JoinError { error, member_id: join.member_id };
                self.answer(request, Answer::Join(Err(refused)));
            }
        }
    }

    /// Hands out the assignment. The answer comes as an effect: now, or when the leader has made it.
    pub(crate) fn sync(&mut self, sync: SyncRequest, request: RequestId, now: Moment) {
        match self.classic() {
            Ok(classic) => classic.sync(sync, request, now),
            Err(error) => self.answer(request, Answer::Sync(Err(error))),
        }
    }

    /// See [`Classic::heartbeat`].
    pub(crate) fn heartbeat(
        &mut self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        now: Moment,
    ) -> Result<(), ErrorCode> {
        self.classic()?.heartbeat(member_id, instance_id, generation, now)
    }

    /// Takes members out; what becomes of each is said by itself.
    ///
    /// # Errors
    /// `COORDINATOR_NOT_AVAILABLE` if the group was deleted.
    pub(crate) fn leave(
        &mut self,
        leaving: Vec<Leaving>,
        now: Moment,
    ) -> Result<Vec<Left>, ErrorCode> {
        Ok(self.classic()?.leave(leaving, now))
    }

    /// Stores offsets; the results are in the order of `offsets`.
    ///
    /// # Errors
    /// For the whole request: `UNKNOWN_MEMBER_ID`, `FENCED_INSTANCE_ID`, `ILLEGAL_GENERATION`,
    /// `REBALANCE_IN_PROGRESS` (the member has joined but not synced), `COORDINATOR_NOT_AVAILABLE` (deleted).
    /// For one offset: `OFFSET_METADATA_TOO_LARGE`.
    pub(crate) fn commit(
        &mut self,
        committer: &Committer,
        offsets: Vec<NewOffset>,
        now: Moment,
    ) -> Result<Vec<Result<(), ErrorCode>>, ErrorCode> {
        self.classic()?.admit_commit(committer, now)?;
        let limit = self.settings.offset_metadata_max;
        let commit = |offset| self.offsets.commit(offset, limit, now);
        Ok(offsets.into_iter().map(commit).collect())
    }

    /// The committed offset of one partition.
    pub(crate) fn committed(&self, topic: &str, partition: i32) -> Option<&CommittedOffset> {
        self.offsets.committed(topic, partition)
    }

    /// All committed offsets, by topic and partition.
    pub(crate) fn all_committed(
        &self,
    ) -> impl Iterator<Item = (&str, &BTreeMap<i32, CommittedOffset>)> {
        self.offsets.all_committed()
    }

    /// Deletes committed offsets (OffsetDelete); the results are in the order of `partitions`. That nothing is
    /// committed for a partition is no error.
    ///
    /// # Errors
    /// For the whole request: `GROUP_ID_NOT_FOUND` if the group was deleted, `NON_EMPTY_GROUP` if it has members
    /// that are no consumers, since only a consumer's subscription can be read.
    /// For one partition: `GROUP_SUBSCRIBED_TO_TOPIC` while a member reads the topic.
    pub(crate) fn delete_offsets(
        &mut self,
        partitions: &[(Arc<str>, i32)],
    ) -> Result<Vec<Result<(), ErrorCode>>, ErrorCode> {
        if self.is_deleted {
            return Err(ErrorCode::GroupIdNotFound);
        }
        let Kind::Classic(classic) = &self.kind;
        let read = classic.reads()?;
        let delete = |(topic, index): &(Arc<str>, i32)| {
            if read.contains(topic) {
                return Err(ErrorCode::GroupSubscribedToTopic);
            }
            self.offsets.delete(topic, *index);
            Ok(())
        };
        Ok(partitions.iter().map(delete).collect())
    }

    /// Topics have changed. What was committed for a deleted one is void: should another one of its name come, it
    /// begins anew. Classic members see new topics and partitions themselves, in the metadata.
    pub(crate) fn topics_changed(&mut self, events: &[TopicEvent]) {
        let is_deleted = |event: &&TopicEvent| event.change == TopicChange::Deleted;
        for TopicEvent { topic, .. } in events.iter().filter(is_deleted) {
            self.offsets.forget_topic(topic);
        }
    }

    /// Ends the group with its offsets.
    ///
    /// # Errors
    /// `NON_EMPTY_GROUP` while it has members, `GROUP_ID_NOT_FOUND` if it is gone already.
    pub(crate) fn delete(&mut self) -> Result<(), ErrorCode> {
        if self.is_deleted {
            return Err(ErrorCode::GroupIdNotFound);
        }
        let Kind::Classic(classic) = &mut self.kind;
        classic.end()?;
        self.is_deleted = true;
        self.offsets = Offsets::default();
        Ok(())
    }

    /// The members, unless the group was deleted: a client that held it until now must look it up again.
    fn classic(&mut self) -> Result<&mut Classic, ErrorCode> {
        let Kind::Classic(classic) = &mut self.kind;
        if self.is_deleted { Err(ErrorCode::CoordinatorNotAvailable) } else { Ok(classic) }
    }

    fn answer(&mut self, request: RequestId, answer: Answer) {
        let Kind::Classic(classic) = &mut self.kind;
        classic.effects().push(Effect::Answer(request, answer));
    }
}

impl Machine for Group {
    type Answer = Answer;

    fn next_deadline(&self) -> Option<Moment> {
        let Kind::Classic(classic) = &self.kind;
        classic.next_deadline()
    }

    fn tick(&mut self, now: Moment) {
        let Kind::Classic(classic) = &mut self.kind;
        classic.tick(now);
    }

    fn take_effects(&mut self) -> Vec<Effect> {
        let Kind::Classic(classic) = &mut self.kind;
        std::mem::take(classic.effects())
    }
}
