//! What a group has read: one committed offset for each partition. It knows no members.

use std::{collections::BTreeMap, sync::Arc};

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
    pub(crate) topic: Arc<str>,
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

impl Offsets {
    /// Keeps an offset.
    ///
    /// # Errors
    /// `OFFSET_METADATA_TOO_LARGE` if the note that comes with it is longer than `limit`.
    pub(super) fn commit(
        &mut self,
        new: NewOffset,
        limit: usize,
        now: Moment,
    ) -> Result<(), ErrorCode> {
        // Kafka counts UTF-16 units, whatever the setting's name says.
        if new.metadata.encode_utf16().count() > limit {
            return Err(ErrorCode::OffsetMetadataTooLarge);
        }
        let NewOffset { topic, partition, offset, leader_epoch, metadata } = new;
        let committed = CommittedOffset { offset, leader_epoch, metadata, commit_time: now };
        match self.0.get_mut(&*topic) {
            Some(partitions) => drop(partitions.insert(partition, committed)),
            None => drop(self.0.insert(topic.to_string(), [(partition, committed)].into())),
        }
        Ok(())
    }

    pub(super) fn committed(&self, topic: &str, partition: i32) -> Option<&CommittedOffset> {
        self.0.get(topic)?.get(&partition)
    }

    pub(super) fn all_committed(
        &self,
    ) -> impl Iterator<Item = (&str, &BTreeMap<i32, CommittedOffset>)> {
        self.0.iter().map(|(topic, partitions)| (topic.as_str(), partitions))
    }

    pub(super) fn delete(&mut self, topic: &str, partition: i32) {
        if let Some(partitions) = self.0.get_mut(topic) {
            partitions.remove(&partition);
            if partitions.is_empty() {
                self.0.remove(topic);
            }
        }
    }

    pub(super) fn forget_topic(&mut self, topic: &str) {
        self.0.remove(topic);
    }
}
