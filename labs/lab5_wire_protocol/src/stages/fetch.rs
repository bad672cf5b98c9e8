//! Stage 5: the batch comes back as it was sent, except for twelve bytes.

use crate::Lab;
use crate::batch::{self, Batch, hex};
use crate::connection::{Connection, Header, LIMIT};
use crate::errors;
use crate::wire::{Decoder, Encoder, Frame};
use anyhow::Context as _;

pub const KEY: i16 = 1;

/// What the broker says about one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fetched {
    pub error: i16,
    pub high_watermark: i64,
    /// The first batch, and its bytes.
    pub batch: Option<(Batch, Vec<u8>)>,
}

pub async fn run(lab: &mut Lab) -> anyhow::Result<()> {
    let (mut to, epoch) = lab.leader().await?;
    let (sent, base_offset) = lab.produced(&mut to).await?;
    let from = base_offset + i64::try_from(lab.exercise.fetch_from)?;
    lab.story.say(format!(
        "Your batch was stored at offset {base_offset}. You fetch from offset {from}."
    ));

    let fetched = lab.fetch(&mut to, from, epoch).await?;
    lab.story.check(
        fetched.error == 0,
        "error_code is 0",
        format!("the broker answers {}", errors::named(fetched.error)),
    );
    let (batch, bytes) = fetched.batch.context("The answer holds no batch")?;
    let first = batch.records.first().map(|record| record.offset);
    lab.story.observed = Some(if first == Some(from) && from != base_offset { 'a' } else { 'b' });

    lab.story.check(
        batch.base_offset == base_offset && bytes.len() == sent.bytes.len(),
        format!("the whole batch came, from offset {base_offset} on: a client skips the records before its offset"),
        format!("a batch of {} bytes came, from offset {} on", bytes.len(), batch.base_offset),
    );
    let changed: Vec<usize> = sent
        .bytes
        .iter()
        .zip(&bytes)
        .enumerate()
        .filter(|(_, (sent, got))| sent != got)
        .map(|(at, _)| at)
        .collect();
    lab.story.check(
        changed.iter().all(|at| !(8..12).contains(at) && *at < 16),
        "nothing changed but base_offset (bytes 0 to 7) and partition_leader_epoch (12 to 15)",
        format!("bytes {changed:?} have changed"),
    );
    let crc = batch::CRC;
    lab.story.check(
        sent.bytes.get(crc.clone()) == bytes.get(crc.clone()),
        format!("the checksum is the one that you computed: {}", hex(&bytes[crc])),
        "the checksum is another than yours",
    );
    let values: Vec<_> =
        batch.records.iter().map(|record| record.value.clone().unwrap_or_default()).collect();
    let wanted: Vec<_> =
        lab.exercise.records.iter().map(|record| record.value.to_owned()).collect();
    lab.story.check(
        values == wanted,
        format!("taken apart, it holds {values:?}"),
        format!("taken apart, it holds {values:?}, and you sent {wanted:?}"),
    );
    Ok(())
}

impl Lab {
    /// Fetches from partition 0 of the lab's topic.
    ///
    /// # Errors
    /// When there is no answer, or one that does not fit.
    pub async fn fetch(
        &mut self,
        to: &mut Connection,
        offset: i64,
        leader_epoch: i32,
    ) -> anyhow::Result<Fetched> {
        let request = request(self.next_id(), &self.topic(), offset, leader_epoch);
        self.ask(to, request, Header::Classic, LIMIT, parse).await
    }
}

/// The request in version 10, for partition 0.
pub fn request(id: i32, topic: &str, offset: i64, leader_epoch: i32) -> Frame {
    let mut to = Encoder::request("Fetch version 10", KEY, 10, id, "lab5");
    to.i32("replica_id", -1, "a consumer, not a follower");
    to.i32("max_wait_ms", 500, "the broker answers after this time at the latest, …");
    to.i32("min_bytes", 1, "… or as soon as it has so many bytes (long polling)");
    to.i32("max_bytes", 1 << 20, "of all partitions together");
    to.i8("isolation_level", 0, "read_uncommitted");
    to.i32("session_id", 0, "fetch sessions (KIP-227) are for many partitions:");
    to.i32("session_epoch", -1, "none");
    to.i32("topics", 1, "an array with 1 element");
    to.string("topic", topic, "");
    to.i32("partitions", 1, "an array with 1 element");
    to.i32("partition", 0, "");
    to.i32("current_leader_epoch", leader_epoch, "from Metadata; -1 would be: any (KIP-320)");
    to.i64("fetch_offset", offset, "from here on");
    to.i64("log_start_offset", -1, "for followers");
    to.i32("partition_max_bytes", 1 << 20, "");
    to.i32("forgotten_topics_data", 0, "of a session");
    to.finish()
}

/// The answer in version 10.
pub fn parse(from: &mut Decoder) -> anyhow::Result<Fetched> {
    let mut fetched = Fetched::default();
    from.i32("throttle_time_ms", "")?;
    fetched.error = from.error()?;
    from.i32("session_id", "none")?;
    for _ in 0..from.array("responses", "")? {
        from.string("topic", "")?;
        for _ in 0..from.array("partitions", "")? {
            from.i32("partition_index", "")?;
            fetched.error = from.error()?;
            fetched.high_watermark =
                from.i64("high_watermark", "the next offset that all replicas will have")?;
            from.i64("last_stable_offset", "where read_committed ends")?;
            from.i64("log_start_offset", "the oldest")?;
            for _ in 0..from.array("aborted_transactions", "-1: null")? {
                from.i64("producer_id", "")?;
                from.i64("first_offset", "")?;
            }
            let length = from.i32("records", "bytes: whole batches, as they were stored")?;
            let end = from.at() + usize::try_from(length.max(0))?;
            if length > 0 {
                from.enter("batch");
                let start = from.at();
                let batch = batch::take_apart(from)?;
                fetched.batch = Some((batch, from.between(start)));
                from.leave();
            }
            // The last batch may be cut off at max_bytes.
            from.take("further batches", end.saturating_sub(from.at()), "")?;
        }
    }
    Ok(fetched)
}
