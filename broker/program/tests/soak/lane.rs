//! The lives of topics, one after the other: written to, read by a group that changes, checked and deleted.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, ClientContext, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    message::BorrowedMessage,
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext},
};

use super::{Time, figures::Counts};

const PARTITIONS: i32 = 3;
/// The first is idempotent, the second is not.
const PRODUCERS: usize = 2;
/// Members that come and go, besides one that stays.
const GUESTS: usize = 2;
const BETWEEN_RECORDS: Duration = Duration::from_millis(2);
/// Far more than anything here takes on a machine that works.
const PATIENCE: Duration = Duration::from_secs(30);
const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

pub(crate) fn run(number: usize, address: &str, counts: &Counts, time: &Time) {
    let admin = admin(address);
    for life in 0.. {
        if time.is_up() {
            return;
        }
        let name = format!("lane-{number}-{life}");
        let topic = Topic { address, name: &name, lane: number, life, counts, time };
        if let Err(sentence) = topic.live(&admin) {
            counts.fail(format!("{name}: {sentence}"));
        }
        counts.topics.fetch_add(1, Relaxed);
    }
}

/// A topic, from its creation to its end.
struct Topic<'a> {
    address: &'a str,
    name: &'a str,
    lane: usize,
    life: usize,
    counts: &'a Counts,
    time: &'a Time,
}

/// Where a record is.
type Place = (i32, i64);
/// A producer's number, and the number of its record.
type Sent = (usize, usize);

impl Topic<'_> {
    fn live(&self, admin: &AdminClient<DefaultClientContext>) -> Result<(), String> {
        let options = AdminOptions::new();
        let new = NewTopic::new(self.name, PARTITIONS, TopicReplication::Fixed(1));
        block_on(admin.create_topics([&new], &options))
            .map_err(|error| error.to_string())?
            .remove(0)
            .map_err(|(_, error)| format!("The topic was not made: {error}."))?;

        let acknowledged = self.produce_and_consume()?;
        self.counts.acknowledged.fetch_add(acknowledged.len() as u64, Relaxed);
        self.check(&acknowledged)?;

        block_on(admin.delete_topics(&[self.name], &options))
            .map_err(|error| error.to_string())?
            .remove(0)
            .map_err(|(_, error)| format!("The topic was not deleted: {error}."))?;
        Ok(())
    }

    /// What was acknowledged, after the group has read all of it.
    fn produce_and_consume(&self) -> Result<HashMap<Place, Sent>, String> {
        let end = Instant::now() + self.time.life();
        let seen = Mutex::new(HashSet::new());
        let is_read = AtomicBool::new(false);
        thread::scope(|scope| {
            let producers: Vec<_> = (0..PRODUCERS)
                .map(|number| scope.spawn(move || self.produce(number, end)))
                .collect();
            let mut members = Vec::new();
            let (seen, is_read) = (&seen, &is_read);
            members.push(scope.spawn(move || self.consume(seen, || is_read.load(Relaxed))));
            for guest in 0..GUESTS {
                members.push(scope.spawn(move || {
                    for visit in 1.. {
                        let stay =
                            Duration::from_millis(400 + 300 * (visit * (guest as u64 + 2) % 5));
                        let leaves = Instant::now() + stay;
                        if leaves >= end || self.time.is_up() {
                            break;
                        }
                        self.consume(seen, || Instant::now() >= leaves || self.time.is_up())?;
                    }
                    Ok(())
                }));
            }
            let mut acknowledged = HashMap::new();
            let mut failed = None;
            for (number, producer) in producers.into_iter().enumerate() {
                match producer.join().unwrap() {
                    Ok(places) => acknowledged
                        .extend(places.into_iter().map(|(place, sent)| (place, (number, sent)))),
                    Err(sentence) => failed = Some(sentence),
                }
            }
            let deadline = Instant::now() + PATIENCE;
            while failed.is_none() && seen.lock().unwrap().len() < acknowledged.len() {
                if Instant::now() > deadline {
                    let seen = seen.lock().unwrap().len();
                    failed =
                        Some(format!("The group read {seen} of {} records.", acknowledged.len()));
                }
                thread::park_timeout(Duration::from_millis(20));
            }
            is_read.store(true, Relaxed);
            for member in members {
                failed = failed.or(member.join().unwrap().err());
            }
            failed.map_or(Ok(acknowledged), Err)
        })
    }

    /// Sends until the end, and tells where each record went.
    fn produce(&self, number: usize, end: Instant) -> Result<Vec<(Place, usize)>, String> {
        let mut config = config(self.address);
        config
            .set("compression.type", CODECS[(self.life + number) % CODECS.len()])
            .set("linger.ms", "10")
            .set("acks", "all");
        match number {
            0 => config.set("enable.idempotence", "true"),
            // Otherwise a second try could come before the first.
            _ => config.set("max.in.flight.requests.per.connection", "1"),
        };
        let producer: BaseProducer<Deliveries> =
            config.create_with_context(Deliveries::default()).map_err(|error| error.to_string())?;
        let mut sent = 0;
        while Instant::now() < end && !self.time.is_up() {
            let (key, value) = (key(sent), value(number, sent));
            let record = BaseRecord::with_opaque_to(self.name, sent).key(&key).payload(&value);
            match producer.send(record) {
                Ok(()) => sent += 1,
                Err((error, _)) if sent == 0 => return Err(format!("Could not produce: {error}.")),
                // The queue is full: what waits in it goes first.
                Err(_) => {}
            }
            producer.poll(BETWEEN_RECORDS);
        }
        producer
            .flush(PATIENCE)
            .map_err(|error| format!("Records are not acknowledged: {error}."))?;
        let deliveries = producer.context();
        let failed = deliveries.failed.load(Relaxed);
        if failed > 0 {
            return Err(format!("{failed} of {sent} records were refused."));
        }
        Ok(std::mem::take(&mut deliveries.acknowledged.lock().unwrap()))
    }

    /// Reads as a member of the group, until it shall leave.
    fn consume(
        &self,
        seen: &Mutex<HashSet<Place>>,
        leaves: impl Fn() -> bool,
    ) -> Result<(), String> {
        let assignor = ["range", "roundrobin", "cooperative-sticky"][self.lane % 3];
        let consumer: BaseConsumer = config(self.address)
            .set("group.id", format!("lane-{}", self.lane))
            .set("partition.assignment.strategy", assignor)
            .set("auto.offset.reset", "earliest")
            // A consumer that is dropped polls once more, and what it gets then nobody has seen.
            .set("enable.auto.offset.store", "false")
            .set("auto.commit.interval.ms", "200")
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "200")
            .set("fetch.wait.max.ms", "100")
            .create()
            .map_err(|error| error.to_string())?;
        consumer.subscribe(&[self.name]).map_err(|error| error.to_string())?;
        while !leaves() {
            match consumer.poll(Duration::from_millis(50)) {
                None => {}
                Some(Ok(record)) => {
                    let is_new = seen.lock().unwrap().insert((record.partition(), record.offset()));
                    let count = match is_new {
                        true => &self.counts.read_by_groups,
                        false => &self.counts.read_again_by_groups,
                    };
                    count.fetch_add(1, Relaxed);
                    // A record of a partition that this member has no longer comes again elsewhere.
                    let _ = consumer.store_offset_from_message(&record);
                }
                Some(Err(error)) => {
                    return Err(format!("A member of the group could not read: {error}."));
                }
            }
        }
        self.counts.joined.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Reads everything from the beginning, and compares it with what was acknowledged.
    fn check(&self, acknowledged: &HashMap<Place, Sent>) -> Result<(), String> {
        let consumer: BaseConsumer = config(self.address)
            .set("group.id", "nobody")
            .set("enable.auto.commit", "false")
            .create()
            .map_err(|error| error.to_string())?;
        let mut beginning = TopicPartitionList::new();
        let mut stored = 0;
        for partition in 0..PARTITIONS {
            beginning
                .add_partition_offset(self.name, partition, Offset::Beginning)
                .map_err(|error| error.to_string())?;
            let (low, high) =
                consumer.fetch_watermarks(self.name, partition, PATIENCE).map_err(|error| {
                    format!("The end of partition {partition} is unknown: {error}.")
                })?;
            stored += usize::try_from(high - low).unwrap();
        }
        if stored != acknowledged.len() {
            let acknowledged = acknowledged.len();
            return Err(format!(
                "{acknowledged} records were acknowledged, and {stored} are stored."
            ));
        }
        consumer.assign(&beginning).map_err(|error| error.to_string())?;
        // The last record of each producer in each partition.
        let mut last = BTreeMap::new();
        let mut places = HashSet::new();
        for number in 0..stored {
            let record = consumer
                .poll(PATIENCE)
                .ok_or_else(|| {
                    format!("{number} of {stored} records were read, and no more come.")
                })?
                .map_err(|error| format!("Could not read from the beginning: {error}."))?;
            let place = (record.partition(), record.offset());
            let sent = acknowledged
                .get(&place)
                .ok_or_else(|| format!("The record at {place:?} was never acknowledged."))?;
            if !places.insert(place) || !is_as_sent(&record, *sent) {
                return Err(format!("The record at {place:?} is not what was sent there."));
            }
            let (producer, sent) = *sent;
            if last.insert((producer, place.0), sent).is_some_and(|before| before >= sent) {
                return Err(format!("The record at {place:?} is not in order."));
            }
            self.counts.read.fetch_add(1, Relaxed);
        }
        Ok(())
    }
}

fn key(sent: usize) -> String {
    format!("key-{}", sent % 17)
}

/// The two numbers and a filling whose length differs from record to record.
fn value(producer: usize, sent: usize) -> String {
    format!("{producer} {sent} {}", "filling ".repeat(sent % 80))
}

fn is_as_sent(record: &BorrowedMessage<'_>, (producer, sent): Sent) -> bool {
    record.key() == Some(key(sent).as_bytes())
        && record.payload() == Some(value(producer, sent).as_bytes())
}

/// What became of a producer's records.
#[derive(Default)]
struct Deliveries {
    acknowledged: Mutex<Vec<(Place, usize)>>,
    failed: AtomicUsize,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: usize) {
        match result {
            Ok(record) => {
                let place = (record.partition(), record.offset());
                self.acknowledged.lock().unwrap().push((place, sent));
            }
            Err(_) => {
                self.failed.fetch_add(1, Relaxed);
            }
        }
    }
}

fn config(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address);
    config
}

pub(crate) fn admin(address: &str) -> AdminClient<DefaultClientContext> {
    config(address).create().unwrap()
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}
