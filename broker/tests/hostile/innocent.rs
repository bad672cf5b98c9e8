//! The innocent client: it produces a record, fetches it, and measures how long each answer takes.

use std::{
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use kafka_protocol::{
    messages::{
        FetchRequest, ProduceRequest, TopicName,
        fetch_request::{FetchPartition, FetchTopic},
        produce_request::{PartitionProduceData, TopicProduceData},
    },
    protocol::StrBytes,
    records::RecordBatchDecoder,
};
use mini_kafka::{Broker, Builder};

use crate::client::{Client, batch_of_one};

pub(crate) const TOPIC: &str = "innocent";
/// Rounds of a produce and a fetch beside the attack, at least.
const ROUNDS: usize = 100;
const TRIES: usize = 3;
/// A try on a machine that is busy with something else says nothing about the broker, so it is repeated; not for ever.
const BUSY: Duration = Duration::from_millis(10);
const BUSY_TRIES: usize = 10;
const FACTOR: u32 = 10;
const AT_MOST: Duration = Duration::from_millis(100);
/// A busy machine lets a thread wait that long whatever the broker does, so a faster answer counts as this.
const NOISE: Duration = Duration::from_millis(2);

/// Runs an attack on a new broker, beside an innocent client. The attack gets the broker's address and ends by itself.
///
/// # Panics
///
/// If in each of three tries the slowest answer beside the attack takes more than ten times the slowest without it,
/// or more than 100 ms; or if a record of the innocent client is missing.
pub(crate) fn beside(builder: &Builder, attack: impl Fn(&str) + Sync) {
    // One attack at a time: two would slow each other's innocent client.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut tries: Vec<Slowest> = Vec::new();
    let is_busy = |slowest: &&Slowest| slowest.calm > BUSY;
    while tries.len() - tries.iter().filter(is_busy).count() < TRIES && tries.len() < BUSY_TRIES {
        let measured = one_try(builder, &attack);
        if measured.is_good() {
            return;
        }
        tries.push(measured);
    }
    panic!("the innocent client was slowed down: {tries:#?}");
}

/// The slowest answer without the attack, and beside it.
#[derive(Debug)]
struct Slowest {
    calm: Duration,
    attacked: Duration,
}

impl Slowest {
    fn is_good(&self) -> bool {
        let at_most = AT_MOST.min(self.calm.max(NOISE) * FACTOR);
        // A machine that stands still for longer by itself tells nothing.
        self.attacked <= at_most.max(self.calm * 2)
    }
}

fn one_try(builder: &Builder, attack: &(impl Fn(&str) + Sync)) -> Slowest {
    let builder = builder.clone().topic(TOPIC, 1);
    let broker = builder.clone().start_blocking().unwrap();
    let start = Instant::now();
    let attacked = Innocent::measured(&broker, |innocent| {
        thread::scope(|scope| {
            let attack = scope.spawn(|| attack(broker.bootstrap_servers()));
            innocent.slowest(|rounds| rounds < ROUNDS || !attack.is_finished())
        })
    });
    let took = start.elapsed();
    drop(broker);
    // The longer one measures, the slower is the slowest: so for as long again, on a broker that was never attacked.
    let broker = builder.own_runtime().start_blocking().unwrap();
    let start = Instant::now();
    let calm = Innocent::measured(&broker, |innocent| innocent.slowest(|_| start.elapsed() < took));
    Slowest { calm, attacked }
}

struct Innocent {
    client: Client,
    sent: i64,
}

impl Innocent {
    /// Measures with a client that is connected, and looks for its records in the end.
    fn measured(broker: &Broker, measure: impl FnOnce(&mut Self) -> Duration) -> Duration {
        let mut innocent = Self { client: Client::connect(broker.bootstrap_servers()), sent: 0 };
        innocent.round(); // the first one warms up
        let slowest = measure(&mut innocent);
        innocent.has_all_its_records();
        slowest
    }

    /// Produces one record and fetches it; tells how long the slower of the two took.
    fn round(&mut self) -> Duration {
        let start = Instant::now();
        let produced = self.client.ask(9, &produce(self.sent)).expect("an answer to Produce");
        let half = start.elapsed();
        let produced = &produced.responses[0].partition_responses[0];
        assert_eq!((produced.error_code, produced.base_offset), (0, self.sent));
        let offsets = self.fetch(self.sent);
        assert_eq!(offsets, [self.sent]);
        self.sent += 1;
        half.max(start.elapsed() - half)
    }

    /// The slowest answer of as many rounds as wanted.
    fn slowest(&mut self, goes_on: impl Fn(usize) -> bool) -> Duration {
        let rounds = (0..).take_while(|rounds| goes_on(*rounds));
        rounds.map(|_| self.round()).max().unwrap_or_default()
    }

    /// The numbers in the records from `offset` on, as many as one answer holds.
    fn fetch(&mut self, offset: i64) -> Vec<i64> {
        let fetched = self.client.ask(12, &fetch(offset)).expect("an answer to Fetch");
        let fetched = &fetched.responses[0].partitions[0];
        assert_eq!(fetched.error_code, 0);
        let mut records = fetched.records.clone().unwrap();
        let batches = RecordBatchDecoder::decode_all(&mut records).unwrap();
        let records = batches.into_iter().flat_map(|batch| batch.records);
        let number = |value: Bytes| str::from_utf8(&value).unwrap().parse().unwrap();
        records.map(|record| number(record.value.unwrap())).collect()
    }

    fn has_all_its_records(&mut self) {
        let mut next = 0;
        while next < self.sent {
            let numbers = self.fetch(next);
            assert!(numbers.iter().copied().eq(next..next + i64::try_from(numbers.len()).unwrap()));
            assert!(!numbers.is_empty(), "{} records were sent, and {next} are there", self.sent);
            next += i64::try_from(numbers.len()).unwrap();
        }
    }
}

fn topic() -> TopicName {
    TopicName(StrBytes::from_static_str(TOPIC))
}

fn produce(number: i64) -> ProduceRequest {
    let batch = batch_of_one(0, number.to_string());
    let data = PartitionProduceData::default().with_records(Some(batch));
    let data = TopicProduceData::default().with_name(topic()).with_partition_data(vec![data]);
    ProduceRequest::default().with_acks(-1).with_timeout_ms(1_000).with_topic_data(vec![data])
}

/// A fetch from `offset` on, which waits up to a second for a record.
pub(crate) fn fetch(offset: i64) -> FetchRequest {
    let partition =
        FetchPartition::default().with_fetch_offset(offset).with_partition_max_bytes(1_048_576);
    let topic = FetchTopic::default().with_topic(topic()).with_partitions(vec![partition]);
    FetchRequest::default()
        .with_max_wait_ms(1_000)
        .with_min_bytes(1)
        .with_max_bytes(1_048_576)
        .with_topics(vec![topic])
}
