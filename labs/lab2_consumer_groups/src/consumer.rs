//! A consumer that reads in batches and commits by hand.
//!
//! Three things here are easy to get wrong:
//!
//! * **A rebalance in the middle of a batch.** The buffered records of a partition that now belongs to another member are
//!   dropped. They are not committed, so their new owner reads them. Processing them here too would do the work twice.
//! * **Which offset to commit.** The one of the *next* record, per partition.
//! * **A commit that the group refuses.** The records belong to another member by now. With `commit = "before"` they must
//!   not be processed here, with `"after"` they have been, and come again elsewhere.

use crate::batch::{Ended, Rule};
use crate::record::Record;
use crate::settings::Lab;
use crate::transaction::Transaction;
use anyhow::{Context as _, bail};
use rdkafka::Message as _;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Offset, TopicPartitionList};
use shared::client::{self, Cluster, ConsumerStream, Rebalance, words};
use shared::config::Config;
use shared::consume::is_about_a_missing_topic;
use shared::keeper::Keeper;
use shared::waiting::Waiting;
use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

/// Records that are processed, and committed, together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// In the order of their arrival; 1 or more.
    pub records: Vec<Record>,
    /// Why there are not more.
    pub ended: Ended,
}

impl Batch {
    /// What to commit: for each partition the offset after the last record of this batch.
    pub fn offsets(&self) -> BTreeMap<(&str, i32), i64> {
        let mut offsets = BTreeMap::new();
        for record in &self.records {
            let next = offsets.entry((record.topic.as_str(), record.partition)).or_insert(0);
            *next = (*next).max(record.offset + 1);
        }
        offsets
    }
}

/// What a reader has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Work.
    Batch(Batch),
    /// The share of the partitions changed; so many buffered records were dropped, for their new owner to read.
    Rebalanced(Rebalance, usize),
    /// Something is wrong that may pass: the client keeps trying by itself. Told once.
    Trouble(String),
    /// It has passed: records come again.
    Recovered,
    /// A sentence about the topic or the group.
    News(String),
    /// Everything was read, and the reader was told to stop there.
    End,
}

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// The broker has it.
    Yes,
    /// The group has had a rebalance: the batch belongs to another member now.
    Refused(RDKafkaErrorCode),
    /// The broker has forgotten the group, or the topic with its records: there is nothing left to commit to.
    Forgotten,
    /// No broker could be asked. It may be tried again.
    NotYet,
}

/// A consumer with its unfinished batch.
pub struct Reader {
    consumer: ConsumerStream,
    rebalances: mpsc::UnboundedReceiver<Rebalance>,
    /// May be changed between two batches.
    pub rule: Rule,
    /// The unfinished batch, and since when.
    buffer: Vec<Record>,
    since: Instant,
    /// The partitions that are ours, and whether they were read to the end.
    assigned: BTreeMap<(String, i32), bool>,
    stop_at_end: bool,
    trouble: Option<String>,
    waiting: Waiting,
    keeper: Keeper,
    topic_is_missing: bool,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("assigned", &self.assigned)
            .field("buffered", &self.buffer.len())
            .finish_non_exhaustive()
    }
}

/// What `recv()` or a rebalance brings.
enum Arrival {
    Rebalance(Rebalance),
    News(String),
    Record(Result<Record, KafkaError>),
    Nothing,
}

impl Reader {
    /// Joins the group. With `stop_at_end` the reader's last event is [`Event::End`]; it needs
    /// `enable.partition.eof = true` among the consumer's properties.
    ///
    /// # Errors
    /// When librdkafka does not take the properties.
    pub fn join(
        config: &Config<Lab>,
        cluster: &Cluster,
        stop_at_end: bool,
    ) -> anyhow::Result<Self> {
        let (consumer, rebalances) = client::consumer(config, None)?;
        let topic = &config.topic.name;
        consumer
            .subscribe(&[topic])
            .with_context(|| format!("Topic {topic} cannot be subscribed to"))?;
        Ok(Self {
            consumer,
            rebalances,
            rule: Rule::from(&config.lab),
            buffer: Vec::new(),
            since: Instant::now(),
            assigned: BTreeMap::new(),
            stop_at_end,
            trouble: None,
            waiting: Waiting::start(cluster, config),
            keeper: Keeper::start(cluster, std::slice::from_ref(&config.topic)),
            topic_is_missing: false,
        })
    }

    /// `get_batch()`, as the figure of the lesson has it: waits until a batch is full or old. Rebalances and trouble are
    /// told in between; an empty batch is not. Dropping the future loses nothing: the buffer stays here.
    ///
    /// # Errors
    /// When the consumer cannot go on.
    pub async fn next(&mut self) -> anyhow::Result<Event> {
        loop {
            if let Some(ended) = self.rule.ended(self.buffer.len(), self.since.elapsed()) {
                self.since = Instant::now();
                if !self.buffer.is_empty() {
                    return Ok(self.batch(ended));
                }
            }
            if self.stop_at_end && self.at_end() {
                return Ok(match self.buffer.is_empty() {
                    true => Event::End,
                    false => self.batch(Ended::AtEnd),
                });
            }
            match self.arrival().await {
                Arrival::Nothing => {}
                Arrival::News(sentence) => return Ok(Event::News(sentence)),
                // There is nothing to assign, and the keeper tells why.
                Arrival::Rebalance(Rebalance::Assigned(none))
                    if none.is_empty() && self.topic_is_missing =>
                {
                    self.rebalanced(Rebalance::Assigned(none));
                }
                Arrival::Rebalance(rebalance) => return Ok(self.rebalanced(rebalance)),
                Arrival::Record(Ok(record)) => {
                    self.buffer.push(record);
                    if self.trouble.take().is_some() {
                        return Ok(Event::Recovered);
                    }
                }
                Arrival::Record(Err(KafkaError::PartitionEOF(partition))) => {
                    for ((_, assigned), ended) in &mut self.assigned {
                        *ended |= *assigned == partition;
                    }
                }
                Arrival::Record(Err(error)) if is_about_a_missing_topic(&error) => {
                    self.topic_is_missing = true;
                    self.keeper.look();
                }
                Arrival::Record(Err(error)) => {
                    let reason = trouble(error)?;
                    if self.trouble.replace(reason.clone()).as_ref() != Some(&reason) {
                        return Ok(Event::Trouble(reason));
                    }
                }
            }
        }
    }

    /// Tells the broker that the group is done with this batch, and waits for its answer.
    ///
    /// # Errors
    /// When the broker refuses for another reason than a rebalance.
    pub fn commit(&self, batch: &Batch) -> anyhow::Result<Committed> {
        let mut list = TopicPartitionList::new();
        for ((topic, partition), offset) in batch.offsets() {
            list.add_partition_offset(topic, partition, Offset::Offset(offset))
                .context("An offset cannot be committed")?;
        }
        // The call waits for the broker: other tasks of this thread move elsewhere meanwhile.
        let result = tokio::task::block_in_place(|| self.consumer.commit(&list, CommitMode::Sync));
        match result {
            Ok(()) => Ok(Committed::Yes),
            Err(KafkaError::ConsumerCommit(code)) if has_moved_on(code) => {
                Ok(Committed::Refused(code))
            }
            Err(KafkaError::ConsumerCommit(code)) if is_outage(code) => Ok(Committed::NotYet),
            Err(KafkaError::ConsumerCommit(code)) if is_forgotten(code) => {
                self.keeper.look();
                Ok(Committed::Forgotten)
            }
            Err(KafkaError::ConsumerCommit(code)) => {
                bail!("The batch could not be committed: {}.", words(code))
            }
            Err(error) => Err(error).context("The batch could not be committed"),
        }
    }

    /// How many records wait in the unfinished batch.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Leaves the group (a static member stays in it until its session ends) and closes the connections.
    pub fn leave(self) {
        tokio::task::block_in_place(|| drop(self.consumer));
    }

    async fn arrival(&mut self) -> Arrival {
        let left = self.rule.wait.saturating_sub(self.since.elapsed());
        tokio::select! {
            // A rebalance first: it may take back what is in the buffer.
            biased;
            Some(rebalance) = self.rebalances.recv() => Arrival::Rebalance(rebalance),
            sentence = self.keeper.news() => Arrival::News(sentence),
            sentence = self.waiting.news() => Arrival::News(sentence),
            // Rebalances happen inside of recv().
            received = timeout(left, self.consumer.recv()) => match received {
                Ok(received) => Arrival::Record(received.map(|message| record(&message))),
                Err(_elapsed) => Arrival::Nothing,
            }
        }
    }

    fn batch(&mut self, ended: Ended) -> Event {
        self.since = Instant::now();
        Event::Batch(Batch { records: mem::take(&mut self.buffer), ended })
    }

    fn rebalanced(&mut self, rebalance: Rebalance) -> Event {
        let before = self.buffer.len();
        self.waiting.rebalanced(&rebalance);
        match &rebalance {
            Rebalance::Assigned(partitions) => {
                self.topic_is_missing &= partitions.is_empty();
                self.assigned.extend(partitions.iter().map(|partition| (partition.clone(), false)));
                if self.buffer.is_empty() {
                    // What came before was waiting for the group, not for a batch.
                    self.since = Instant::now();
                }
            }
            Rebalance::Revoked(partitions) | Rebalance::Lost(partitions) => {
                self.assigned.retain(|partition, _| !partitions.contains(partition));
                self.buffer.retain(|record| {
                    !partitions.iter().any(|(topic, partition)| {
                        (topic, partition) == (&record.topic, &record.partition)
                    })
                });
            }
            Rebalance::Failed(_) => {}
        }
        Event::Rebalanced(rebalance, before - self.buffer.len())
    }

    fn at_end(&self) -> bool {
        !self.assigned.is_empty() && self.assigned.values().all(|ended| *ended)
    }
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    Record {
        topic: message.topic().to_owned(),
        partition: message.partition(),
        offset: message.offset(),
        transaction: Transaction::parse(message.payload().unwrap_or_default()),
    }
}

/// An error of the consumer that may pass, as text.
///
/// # Errors
/// When it will not pass.
fn trouble(error: KafkaError) -> anyhow::Result<String> {
    match error {
        KafkaError::MessageConsumption(code) if is_outage(code) => {
            Ok("no broker can be reached".to_owned())
        }
        KafkaError::MessageConsumption(code) => Ok(words(code)),
        KafkaError::MessageConsumptionFatal(RDKafkaErrorCode::FencedInstanceId) => bail!(
            "Another consumer came with the same group.instance.id, and the group goes on with that one. \
             Give each its own: -X group.instance.id=NAME."
        ),
        error => Err(error).context("The consumer cannot go on"),
    }
}

/// The group has had a rebalance that this member does not know of yet.
fn has_moved_on(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::IllegalGeneration
            | RDKafkaErrorCode::UnknownMemberId
            | RDKafkaErrorCode::RebalanceInProgress
            | RDKafkaErrorCode::FencedInstanceId
            | RDKafkaErrorCode::AssignmentLost
            // Fenced, and librdkafka knows already: the next look at the consumer says so.
            | RDKafkaErrorCode::Fatal
    )
}

/// What was to be committed is gone.
fn is_forgotten(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::GroupIdNotFound
            | RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownPartition
    )
}

fn is_outage(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::Resolve
            | RDKafkaErrorCode::WaitingForCoordinator
            | RDKafkaErrorCode::OperationTimedOut
            | RDKafkaErrorCode::MessageTimedOut
            | RDKafkaErrorCode::RequestTimedOut
            | RDKafkaErrorCode::CoordinatorNotAvailable
            | RDKafkaErrorCode::CoordinatorLoadInProgress
            | RDKafkaErrorCode::NotCoordinator
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_offset_is_the_next_one_of_each_partition() {
        let record = |partition, offset| Record {
            topic: "lab2".to_owned(),
            partition,
            offset,
            transaction: Err(String::new()),
        };
        let records = vec![record(0, 4), record(2, 9), record(0, 5)];
        let batch = Batch { records, ended: Ended::BySize };
        assert_eq!(batch.offsets(), BTreeMap::from([(("lab2", 0), 6), (("lab2", 2), 10)]));
    }
}
