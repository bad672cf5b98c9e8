//! What a group has read: one committed offset for each partition.

use std::collections::BTreeMap;

use super::state::State;
use super::{CONSUMER, Group, subscription};
use crate::{error_code::ErrorCode, time::Moment};

/// The offset a group goes on from in one partition.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CommittedOffset {
    /// The offset of the next record to read.
    pub(crate) offset: i64,
    /// The leader epoch of the last record read; -1 if the client did not say.
    pub(crate) leader_epoch: i32,
    /// Whatever the client wanted to keep with it.
    pub(crate) metadata: String,
    pub(crate) commit_time: Moment,
}

/// One entry of an OffsetCommit request.
#[derive(Clone, Debug)]
pub(crate) struct NewOffset {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: String,
}

/// Who commits: a member of a generation, or a simple consumer (`generation` -1, no member id) that uses the
/// group as a place to keep offsets.
#[derive(Clone, Debug)]
pub(crate) struct Committer {
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) generation: i32,
}

/// Offsets by topic and partition.
#[derive(Debug, Default)]
pub(super) struct Offsets(BTreeMap<String, BTreeMap<i32, CommittedOffset>>);

impl Group {
    /// Stores offsets; the results are in the order of `offsets`. A member's commit is a sign of life.
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
        self.validate_committer(committer)?;
        if let State::Stable { .. } | State::PreparingRebalance { .. } = self.state {
            self.renew_session(&committer.member_id, now);
        }
        Ok(offsets.into_iter().map(|offset| self.commit_one(offset, now)).collect())
    }

    fn validate_committer(&self, committer: &Committer) -> Result<(), ErrorCode> {
        let Committer { member_id, instance_id, generation } = committer;
        match self.state {
            State::Dead => return Err(ErrorCode::CoordinatorNotAvailable),
            State::Empty if *generation < 0 => return Ok(()),
            _ => {}
        }
        if *generation < 0 && member_id.is_empty() && instance_id.is_none() {
            // A simple consumer must not interfere with members.
            return Err(ErrorCode::UnknownMemberId);
        }
        self.validate_member(member_id, instance_id.as_deref())?;
        if *generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        match self.state {
            State::CompletingRebalance { .. } => Err(ErrorCode::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    fn commit_one(&mut self, new: NewOffset, now: Moment) -> Result<(), ErrorCode> {
        // Kafka counts UTF-16 units, whatever the setting's name says.
        if new.metadata.encode_utf16().count() > self.settings.offset_metadata_max {
            return Err(ErrorCode::OffsetMetadataTooLarge);
        }
        let NewOffset { topic, partition, offset, leader_epoch, metadata } = new;
        let committed = CommittedOffset { offset, leader_epoch, metadata, commit_time: now };
        self.offsets.0.entry(topic).or_default().insert(partition, committed);
        Ok(())
    }

    /// The committed offset of one partition.
    pub(crate) fn committed(&self, topic: &str, partition: i32) -> Option<&CommittedOffset> {
        self.offsets.0.get(topic)?.get(&partition)
    }

    /// All committed offsets, by topic and partition.
    pub(crate) fn all_committed(
        &self,
    ) -> impl Iterator<Item = (&str, &BTreeMap<i32, CommittedOffset>)> {
        self.offsets.0.iter().map(|(topic, partitions)| (topic.as_str(), partitions))
    }

    /// The topic was deleted; should another one of its name come, it begins anew.
    pub(crate) fn forget_topic(&mut self, topic: &str) {
        self.offsets.0.remove(topic);
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
        partitions: &[(String, i32)],
    ) -> Result<Vec<Result<(), ErrorCode>>, ErrorCode> {
        match self.state {
            State::Dead => return Err(ErrorCode::GroupIdNotFound),
            State::Empty => {}
            _ if self.protocol_type() == CONSUMER => {}
            _ => return Err(ErrorCode::NonEmptyGroup),
        }
        Ok(partitions.iter().map(|(topic, index)| self.delete_offset(topic, *index)).collect())
    }

    fn delete_offset(&mut self, topic: &str, partition: i32) -> Result<(), ErrorCode> {
        if self.is_subscribed_to(topic) {
            return Err(ErrorCode::GroupSubscribedToTopic);
        }
        if let Some(partitions) = self.offsets.0.get_mut(topic) {
            partitions.remove(&partition);
            if partitions.is_empty() {
                self.offsets.0.remove(topic);
            }
        }
        Ok(())
    }

    /// When a subscription cannot be read it might hold any topic, so the answer is yes.
    fn is_subscribed_to(&self, topic: &str) -> bool {
        if self.members.is_empty() || self.protocol_type() != CONSUMER {
            return false;
        }
        let Some(protocol) = &self.protocol_name else { return true };
        self.members.iter().any(|member| match subscription::topics(&member.metadata(protocol)) {
            Some(topics) => topics.iter().any(|subscribed| subscribed == topic),
            None => true,
        })
    }
}
