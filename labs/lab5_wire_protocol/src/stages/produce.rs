//! Stage 3: a record batch, built byte by byte, and the request around it.

use crate::Lab;
use crate::connection::{Connection, Header, LIMIT};
use crate::story::Event;
use crate::wire::{Decoder, Encoder, Frame};
use crate::{batch, errors};
use anyhow::ensure;

pub const KEY: i16 = 0;

/// What the broker says about the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Produced {
    pub error: i16,
    /// Why, in words; empty when the broker gives none.
    pub message: String,
    pub base_offset: i64,
}

pub async fn run(lab: &mut Lab) -> anyhow::Result<()> {
    let batch = batch::build(&lab.exercise);
    lab.story.say(
        "First the batch alone. Its bytes are counted from 0, as in the description of the format.",
    );
    lab.story.tell(Event::Built(batch.clone()));
    lab.story.check_faults(
        batch::faults(&batch.bytes),
        "length, checksum, counts and deltas of your batch agree",
    );

    let (mut to, _) = lab.leader().await?;
    lab.story.say("Now the same bytes in a Produce request for partition 0.");
    let first = lab.produce(&mut to, &batch.bytes, 0, -1).await?;
    lab.story.check(
        first.error == 0,
        format!("the broker stored it: its first record has offset {}", first.base_offset),
        format!("the broker answers {}. {}", errors::named(first.error), first.message).trim_end(),
    );
    if first.error != 0 {
        return Ok(());
    }

    lab.story.say("Now the same request again, byte for byte, with base_offset 0.");
    lab.story.hushed = true;
    let second = lab.produce(&mut to, &batch.bytes, 0, -1).await?;
    let records = i64::try_from(lab.exercise.records.len())?;
    lab.story.observed = Some(match second.error {
        0 if second.base_offset >= first.base_offset + records => 'b',
        0 => 'c',
        _ => 'a',
    });
    lab.story.check(
        second.error == 0 && second.base_offset >= first.base_offset + records,
        format!("stored again, {records} offsets later: without a producer id the broker does not notice that it came twice"),
        format!("the broker answers {}, base_offset {}", errors::named(second.error), second.base_offset),
    );
    Ok(())
}

impl Lab {
    /// Sends a batch to a partition of the lab's topic.
    ///
    /// # Errors
    /// When there is no answer, or one that does not fit.
    pub async fn produce(
        &mut self,
        to: &mut Connection,
        batch: &[u8],
        partition: i32,
        acks: i16,
    ) -> anyhow::Result<Produced> {
        let request = request(self.next_id(), &self.topic(), partition, acks, batch);
        self.ask(to, request, Header::Classic, LIMIT, parse).await
    }

    /// Produces the exercise's batch once more, without a word, and gives its first offset.
    ///
    /// # Errors
    /// When the broker refuses it: stage 3 says why.
    pub async fn produced(&mut self, to: &mut Connection) -> anyhow::Result<(Frame, i64)> {
        let batch = batch::build(&self.exercise);
        let hushed = std::mem::replace(&mut self.story.hushed, true);
        let produced = self.produce(to, &batch.bytes, 0, -1).await;
        self.story.hushed = hushed;
        let produced = produced?;
        ensure!(
            produced.error == 0,
            "The broker refuses your batch: {}. `lab5 stage 3` says what is wrong with it.",
            errors::named(produced.error)
        );
        Ok((batch, produced.base_offset))
    }
}

/// The request in version 8.
pub fn request(id: i32, topic: &str, partition: i32, acks: i16, batch: &[u8]) -> Frame {
    let mut to = Encoder::request("Produce version 8", KEY, 8, id, "lab5");
    to.i16("transactional_id", -1, "a string of length -1: null");
    to.i16("acks", acks, "-1: when all in-sync replicas have it");
    to.i32("timeout_ms", 5000, "how long the broker may wait for them");
    to.i32("topic_data", 1, "an array with 1 element");
    to.string("name", topic, "");
    to.i32("partition_data", 1, "an array with 1 element");
    to.i32("index", partition, "the partition");
    to.whole("records", batch, "your batch");
    to.finish()
}

/// The answer in version 8.
pub fn parse(from: &mut Decoder) -> anyhow::Result<Produced> {
    let mut produced = Produced { error: -1, message: String::new(), base_offset: -1 };
    for _ in 0..from.array("responses", "")? {
        from.string("name", "")?;
        for _ in 0..from.array("partition_responses", "")? {
            from.i32("index", "")?;
            produced.error = from.error()?;
            produced.base_offset =
                from.i64("base_offset", "where the broker put the first record")?;
            from.i64("log_append_time_ms", "-1: the producer's timestamps are kept")?;
            from.i64("log_start_offset", "the oldest offset that is still there")?;
            for _ in 0..from.array("record_errors", "")? {
                from.i32("batch_index", "")?;
                produced.message = from.string("message", "")?;
            }
            let message = from.string("error_message", "")?;
            if !message.is_empty() {
                produced.message = message;
            }
        }
    }
    from.i32("throttle_time_ms", "")?;
    Ok(produced)
}
