//! Counts what was lost and what came twice: the topic says what there was, the ledger what was processed, the group's
//! committed offsets what will never be read again.

use crate::record::Record;
use crate::settings::Lab;
use crate::transaction::Transaction;
use anyhow::{Context as _, bail};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use shared::client;
use shared::config::{Client, Config};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::time::Duration;
use uuid::Uuid;

/// How long the broker may take to hand over a part of the topic.
const LIMIT: Duration = Duration::from_secs(10);

/// A place in the topic: partition and offset.
pub type Place = (i32, i64);

/// What was processed, one line each: partition, offset, transaction. What is written survives the end of the process,
/// of whatever kind: the operating system has it. (A power failure is another matter: there is no fsync.)
#[derive(Debug)]
pub struct Ledger(File);

impl Ledger {
    /// Opens the file for appending, and makes it when it is missing.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path);
        Ok(Self(file.with_context(|| format!("The ledger {} cannot be opened", path.display()))?))
    }

    /// Writes that this transaction was processed.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn book(&mut self, record: &Record, id: Uuid) -> io::Result<()> {
        // In one write, so that a kill never leaves half a line.
        self.0.write_all(format!("{} {} {id}\n", record.partition, record.offset).as_bytes())
    }

    /// The transactions in the file, in the order of their processing.
    ///
    /// # Errors
    /// When there is no such file, or when it is no ledger.
    pub fn read(path: &Path) -> anyhow::Result<Vec<Uuid>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(
                "There is no ledger {}. The pipeline's step book writes one: `lab2 start-consumer --ledger FILE`.",
                path.display()
            ),
            Err(error) => bail!("The ledger {} cannot be opened: {error}.", path.display()),
        };
        let mut ids = Vec::new();
        for (number, line) in BufReader::new(file).lines().enumerate() {
            let line = line.with_context(|| format!("{} cannot be read", path.display()))?;
            let id = line.rsplit(' ').next().and_then(|id| id.parse().ok());
            let Some(id) = id else {
                bail!("{}:{} is no line of a ledger: {line}", path.display(), number + 1)
            };
            ids.push(id);
        }
        Ok(ids)
    }
}

/// What the comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audit {
    /// Transactions in the topic.
    pub sent: usize,
    /// Lines of the ledger about them: each time that one was processed.
    pub processed: usize,
    /// Committed, and never processed: nobody will read these again.
    pub lost: Vec<Place>,
    /// Processed more than once.
    pub twice: Vec<Place>,
    /// Neither committed nor processed: they come at the next start.
    pub waiting: Vec<Place>,
}

/// Compares what is in the topic with what is in the ledger. `committed` is the group's next offset by partition.
pub fn audit(
    topic: &BTreeMap<Place, Uuid>,
    committed: &BTreeMap<i32, i64>,
    ledger: &[Uuid],
) -> Audit {
    let mut times: BTreeMap<Uuid, usize> = BTreeMap::new();
    for id in ledger {
        *times.entry(*id).or_default() += 1;
    }
    let mut audit = Audit { sent: topic.len(), ..Audit::default() };
    for ((partition, offset), id) in topic {
        let place = (*partition, *offset);
        let times = times.get(id).copied().unwrap_or(0);
        audit.processed += times;
        let is_committed = committed.get(partition).is_some_and(|next| offset < next);
        match times {
            0 if is_committed => audit.lost.push(place),
            0 => audit.waiting.push(place),
            1 => {}
            _ => audit.twice.push(place),
        }
    }
    audit
}

/// Everything that the topic holds now, and the offsets that the group has committed. Joins no group, so it may be
/// called while consumers run.
///
/// # Errors
/// When the broker does not answer.
pub async fn read(
    config: &Config<Lab>,
    partitions: i32,
) -> anyhow::Result<(BTreeMap<Place, Uuid>, BTreeMap<i32, i64>)> {
    let mut config = config.clone();
    for (name, value) in [("enable.partition.eof", "true"), ("auto.offset.reset", "earliest")] {
        config.set(Client::Consumer, name, value, "the audit")?;
    }
    let (consumer, _rebalances) = client::consumer(&config, None)?;
    let topic = config.topic.name.clone();
    let mut from_the_beginning = TopicPartitionList::new();
    for partition in 0..partitions {
        from_the_beginning.add_partition_offset(&topic, partition, Offset::Beginning)?;
    }
    let committed = tokio::task::block_in_place(|| {
        consumer.committed_offsets(from_the_beginning.clone(), LIMIT)
    })
    .context("The group's offsets could not be read")?;
    let committed = committed
        .elements()
        .iter()
        .filter_map(|element| match element.offset() {
            Offset::Offset(next) => Some((element.partition(), next)),
            _ => None,
        })
        .collect();

    consumer.assign(&from_the_beginning).context("The topic cannot be read")?;
    let mut transactions = BTreeMap::new();
    let mut unfinished = partitions;
    while unfinished > 0 {
        let received = tokio::time::timeout(LIMIT, consumer.recv()).await;
        match received.context("The broker does not hand over the topic")? {
            Ok(message) => {
                // What is no transaction was not sent by this lab.
                if let Ok(transaction) = Transaction::parse(message.payload().unwrap_or_default()) {
                    transactions.insert((message.partition(), message.offset()), transaction.id);
                }
            }
            Err(KafkaError::PartitionEOF(_)) => unfinished -= 1,
            Err(error) => return Err(error).context("The topic cannot be read"),
        }
    }
    Ok((transactions, committed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    #[test]
    fn lost_is_what_was_committed_and_not_processed() {
        let topic = (0..6_u8).map(|n| ((0, i64::from(n)), id(u128::from(n)))).collect();
        let ledger = [id(0), id(1), id(1), id(3)];
        let found = audit(&topic, &BTreeMap::from([(0, 4)]), &ledger);
        let expected = Audit {
            sent: 6,
            processed: 4,
            lost: vec![(0, 2)],
            twice: vec![(0, 1)],
            waiting: vec![(0, 4), (0, 5)],
        };
        assert_eq!(found, expected);
        // Nothing committed, nothing lost.
        assert!(audit(&topic, &BTreeMap::new(), &[]).lost.is_empty());
    }

    #[test]
    fn a_ledger_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        assert!(Ledger::read(&path).unwrap_err().to_string().starts_with("There is no ledger "));
        let record = Record {
            topic: "t".to_owned(),
            partition: 0,
            offset: 1,
            transaction: Err(String::new()),
        };
        for n in [1, 2] {
            // Opened anew each time, as after a crash.
            Ledger::open(&path).unwrap().book(&record, id(n)).unwrap();
        }
        assert_eq!(Ledger::read(&path).unwrap(), [id(1), id(2)]);
        std::fs::write(&path, "hello\n").unwrap();
        assert!(
            Ledger::read(&path)
                .unwrap_err()
                .to_string()
                .ends_with(":1 is no line of a ledger: hello")
        );
    }
}
