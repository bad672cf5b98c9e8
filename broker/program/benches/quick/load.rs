//! The client: librdkafka with the same settings for every broker.

use std::{
    sync::OnceLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, bail};
use rdkafka::{
    ClientConfig, ClientContext, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::{Client, DefaultClientContext},
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    metadata::{MetadataPartition, MetadataTopic},
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext},
};

const PARTITIONS: i32 = 3;
/// Far more than anything here takes on a machine that works.
const PATIENCE: Duration = Duration::from_secs(60);

/// Records of one size that are sent to a topic and read back.
pub(crate) struct Load {
    topic: Topic,
    size: usize,
    records: usize,
}

impl Load {
    pub(crate) fn new(address: &str, size: usize, records: usize) -> anyhow::Result<Self> {
        Ok(Self { topic: Topic::create(address, PARTITIONS)?, size, records })
    }

    /// Sends all records and waits until they are acknowledged.
    pub(crate) fn produce(&self) -> anyhow::Result<Duration> {
        let producer = producer(&self.topic.address, &[("linger.ms", "5")])?;
        connect(producer.client(), &self.topic.name)?;
        let value = vec![b'x'; self.size];
        let started = Instant::now();
        for _ in 0..self.records {
            let mut record = BaseRecord::<(), _>::to(&self.topic.name).payload(&value);
            while let Err((error, rejected)) = producer.send(record) {
                if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                    return Err(error).context("Could not produce");
                }
                if started.elapsed() > PATIENCE {
                    bail!("Records are not acknowledged");
                }
                producer.poll(Duration::from_millis(1));
                record = rejected;
            }
        }
        flush(&producer)?;
        Ok(started.elapsed())
    }

    /// Reads all records from the beginning.
    pub(crate) fn consume(&self) -> anyhow::Result<Duration> {
        let consumer = consumer(&self.topic)?;
        let started = Instant::now();
        consumer.assign(&self.topic.beginning()?)?;
        let mut bytes = 0;
        for _ in 0..self.records {
            let record = consumer.poll(PATIENCE).context("Records are missing")??;
            bytes += record.payload().map_or(0, <[u8]>::len);
        }
        let time = started.elapsed();
        if bytes != self.records * self.size {
            bail!("{} records have {bytes} bytes", self.records);
        }
        Ok(time)
    }
}

/// How long records take from `send` to the consumer, sent one by one at 1,000 a second.
pub(crate) fn latencies(address: &str, time: Duration) -> anyhow::Result<Vec<Duration>> {
    const INTERVAL: Duration = Duration::from_millis(1);
    // Connections, the first fetches: not what is asked for.
    const WARM_UP: Duration = Duration::from_millis(500);

    let topic = Topic::create(address, 1)?;
    let producer = producer(address, &[("linger.ms", "0")])?;
    connect(producer.client(), &topic.name)?;
    let consumer = consumer(&topic)?;
    consumer.assign(&topic.beginning()?)?;

    let started = Instant::now();
    let count = u32::try_from((WARM_UP + time).as_millis() / INTERVAL.as_millis())?;
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            for i in 0..count {
                let due = INTERVAL * i;
                while let Some(early) = due.checked_sub(started.elapsed()).filter(|t| !t.is_zero())
                {
                    std::thread::park_timeout(early);
                }
                let now = started.elapsed().as_nanos().to_be_bytes();
                let record = BaseRecord::<(), _>::to(&topic.name).payload(&now);
                producer.send(record).map_err(|(error, _)| error)?;
            }
            flush(&producer)
        });
        let mut latencies = Vec::new();
        for _ in 0..count {
            let record = consumer.poll(PATIENCE).context("Records are missing")??;
            let received = started.elapsed();
            let sent = record.payload().and_then(|payload| payload.first_chunk());
            let sent = u128::from_be_bytes(*sent.context("A record came back in pieces")?);
            let sent = Duration::from_nanos(u64::try_from(sent)?);
            if sent >= WARM_UP {
                latencies.push(received - sent);
            }
        }
        sending.join().expect("the sender does not panic")?;
        Ok(latencies)
    })
}

/// Sends a record to a broker that was started just now, and waits until it is acknowledged. The topic is made
/// on demand, and goes with the broker.
pub(crate) fn first_record(address: &str) -> anyhow::Result<()> {
    // A broker that is not quite ready is asked again soon.
    let soon =
        ["retry.backoff.ms", "reconnect.backoff.ms", "topic.metadata.refresh.fast.interval.ms"];
    let mut settings = vec![("linger.ms", "0")];
    settings.extend(soon.map(|setting| (setting, "10")));
    let producer = producer(address, &settings)?;
    producer.send(BaseRecord::<(), _>::to("first").payload("first")).map_err(|(error, _)| error)?;
    flush(&producer)
}

/// A topic of its own for each measurement, deleted afterwards.
struct Topic {
    address: String,
    name: String,
    partitions: i32,
}

impl Topic {
    fn create(address: &str, partitions: i32) -> anyhow::Result<Self> {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let name = format!("bench-quick-{}", since_epoch.as_nanos());
        let topic = Self { address: address.to_owned(), name, partitions };
        let new = NewTopic::new(&topic.name, partitions, TopicReplication::Fixed(1));
        let created =
            topic.admin(async |admin, options| admin.create_topics([&new], options).await)?;
        for result in created {
            result.map_err(|(_, code)| KafkaError::AdminOp(code))?;
        }
        Ok(topic)
    }

    fn beginning(&self) -> anyhow::Result<TopicPartitionList> {
        let mut assignment = TopicPartitionList::new();
        for partition in 0..self.partitions {
            assignment.add_partition_offset(&self.name, partition, Offset::Offset(0))?;
        }
        Ok(assignment)
    }

    fn admin<T>(
        &self,
        ask: impl AsyncFnOnce(&AdminClient<DefaultClientContext>, &AdminOptions) -> KafkaResult<T>,
    ) -> anyhow::Result<T> {
        let admin = client(&self.address).create()?;
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        Ok(runtime.block_on(ask(&admin, &options))?)
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        let deleted =
            self.admin(async |admin, options| admin.delete_topics(&[&self.name], options).await);
        if let Err(error) = deleted {
            eprintln!("could not delete the topic {}: {error:#}", self.name);
        }
    }
}

/// What all clients have in common; everything else is librdkafka's default.
fn client(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address);
    config
}

fn producer(address: &str, settings: &[(&str, &str)]) -> anyhow::Result<BaseProducer<Deliveries>> {
    let mut config = client(address);
    // Only failures are worth a call-back: `flush` sees when everything is acknowledged.
    config.set("acks", "all").set("delivery.report.only.error", "true");
    config.extend(settings.iter().map(|(name, value)| (name.to_string(), value.to_string())));
    Ok(config.create_with_context(Deliveries::default())?)
}

fn consumer(topic: &Topic) -> anyhow::Result<BaseConsumer> {
    let mut config = client(&topic.address);
    // Partitions are assigned by hand; librdkafka asks for a group id all the same.
    config.set("group.id", &topic.name).set("enable.auto.commit", "false");
    // Full queues: by default librdkafka then takes a second off, which would be all there is to measure.
    config.set("fetch.queue.backoff.ms", "1");
    let consumer: BaseConsumer = config.create()?;
    connect(consumer.client(), &topic.name)?;
    Ok(consumer)
}

/// Waits until the client knows the leaders of the topic, so that connecting is not measured.
fn connect<C: ClientContext>(client: &Client<C>, topic: &str) -> anyhow::Result<()> {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        let metadata = client.fetch_metadata(Some(topic), PATIENCE)?;
        let partitions = metadata.topics().iter().flat_map(MetadataTopic::partitions);
        if partitions.map(MetadataPartition::leader).min().is_some_and(|leader| leader >= 0) {
            return Ok(());
        }
    }
    bail!("The topic {topic} has no leaders")
}

/// Waits until every record is acknowledged. (`Producer::flush` looks only every 100 ms.)
fn flush(producer: &BaseProducer<Deliveries>) -> anyhow::Result<()> {
    let started = Instant::now();
    while producer.in_flight_count() > 0 {
        if started.elapsed() > PATIENCE {
            bail!("Records are not acknowledged");
        }
        producer.poll(Duration::from_millis(1));
    }
    match producer.context().failed.get() {
        Some(error) => Err(error.clone()).context("A record was refused"),
        None => Ok(()),
    }
}

/// Keeps the first failure.
#[derive(Default)]
struct Deliveries {
    failed: OnceLock<KafkaError>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.failed.get_or_init(|| error.clone());
        }
    }
}
