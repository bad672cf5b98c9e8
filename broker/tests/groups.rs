//! Members come and go: real consumers of librdkafka share a topic, on Apache Kafka and on our broker.
//!
//! ```sh
//! cargo test --test groups                                           # our broker, one per test
//! KAFKA_BOOTSTRAP_SERVERS=localhost:9092 cargo test --test groups    # that Kafka
//! ```
//!
//! Nothing here waits for a fixed time: a test goes on as soon as the members hold what they should hold.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

#[path = "conformance/subject.rs"]
mod subject;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use parking_lot::{Mutex, MutexGuard};
use rdkafka::{
    ClientContext, Message, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    config::ClientConfig,
    consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance, StreamConsumer},
    producer::{FutureProducer, FutureRecord},
    topic_partition_list::TopicPartitionListElem,
};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use crate::subject::Subject;

/// How long anything may take before it counts as missing.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_shared_out_anew_as_members_come_and_go() {
    let kafka = Kafka::start(6).await;
    let first = kafka.member([]);
    kafka.share(&[&first], &[6]).await;
    let second = kafka.member([]);
    kafka.share(&[&first, &second], &[3, 3]).await;
    let third = kafka.member([]);
    kafka.share(&[&first, &second, &third], &[2, 2, 2]).await;
    // The first one leads the group. The others inherit what it held without waiting for its session to end.
    first.leave().await;
    kafka.share(&[&second, &third], &[3, 3]).await;
    third.leave().await;
    kafka.share(&[&second], &[6]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_without_a_partition_takes_over_when_one_is_free() {
    let kafka = Kafka::start(1).await;
    let (first, second) = (kafka.member([]), kafka.member([]));
    // Which of the two works is for the assignor to say.
    kafka.share(&[&first, &second], &[0, 1]).await;
    let (works, idles) = if second.held().is_empty() { (first, second) } else { (second, first) };
    works.leave().await;
    kafka.share(&[&idles], &[1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cooperative_members_keep_what_they_may_keep() {
    let kafka = Kafka::start(4).await;
    let cooperative = [("partition.assignment.strategy", "cooperative-sticky")];
    let first = kafka.member(cooperative);
    kafka.share(&[&first], &[4]).await;
    let second = kafka.member(cooperative);
    kafka.share(&[&first, &second], &[2, 2]).await;
    // The first one gave two up, and went on reading the other two all the while.
    let history: Vec<usize> = first.seen().held.iter().map(BTreeSet::len).collect();
    let least = history.iter().skip_while(|held| **held < 4).min();
    assert_eq!(least, Some(&2), "{history:?}");

    let before = second.held();
    first.leave().await;
    kafka.share(&[&second], &[4]).await;
    assert!(before.is_subset(&second.held()));
    assert_eq!(second.seen().revocations, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_static_member_restarts_without_a_rebalance() {
    let kafka = Kafka::start(4).await;
    let stays = kafka.member([("group.instance.id", "stays")]);
    let restarts = kafka.member([("group.instance.id", "restarts")]);
    kafka.share(&[&stays, &restarts], &[2, 2]).await;
    let (held, rebalances) = (restarts.held(), stays.seen().held.len());

    // A static consumer does not say goodbye; its place is kept for it.
    restarts.leave().await;
    let restarted = kafka.member([("group.instance.id", "restarts")]);
    kafka.share(&[&stays, &restarted], &[2, 2]).await;
    assert_eq!(restarted.held(), held);
    assert_eq!(stays.seen().held.len(), rebalances, "nobody else has noticed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_falls_silent_is_replaced_when_its_session_ends() {
    let kafka = Kafka::start(2).await;
    let stays = kafka.member([]);
    // As far as the broker can see, a static member that closes is one that was killed: it just falls silent.
    let killed = kafka.member([("group.instance.id", "killed")]);
    kafka.share(&[&stays, &killed], &[1, 1]).await;
    killed.leave().await;
    kafka.share(&[&stays], &[2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_record_is_read_by_one_member_and_nothing_is_lost_on_the_way() {
    let kafka = Kafka::start(3).await;
    let from_the_start = [("auto.offset.reset", "earliest")];
    let values: Vec<String> = (0..90).map(|n| format!("{n:02}")).collect();

    let first = kafka.member(from_the_start);
    kafka.produce(&values[..30]).await;
    kafka.read(&[&first], 30).await;
    let second = kafka.member(from_the_start);
    kafka.share(&[&first, &second], &[1, 2]).await;
    kafka.produce(&values[30..60]).await;
    kafka.read(&[&first, &second], 60).await;
    let mut all = first.leave().await;
    kafka.share(&[&second], &[3]).await;
    kafka.produce(&values[60..]).await;
    kafka.read(&[&second], 90 - all.len()).await;

    // A consumer commits before it gives partitions up, so nothing is read twice either.
    all.extend(second.leave().await);
    all.sort();
    assert_eq!(all, values);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_group_is_described_as_it_is() {
    let kafka = Kafka::start(2).await;
    let member = kafka.member([("client.id", "reader"), ("group.instance.id", "r1")]);
    kafka.share(&[&member], &[2]).await;
    let observer: BaseConsumer = kafka.config([("group.id", "observer")]).create().unwrap();
    let groups = observer.fetch_group_list(Some(&kafka.group), PATIENCE).unwrap();
    let [found] = groups.groups() else { panic!("one group") };
    assert_eq!((found.state(), found.protocol_type()), ("Stable", "consumer"));
    let [described] = found.members() else { panic!("one member") };
    assert_eq!(described.client_id(), "reader");
    assert!(described.id().starts_with("r1-"), "{}", described.id());
    // Java writes an address with a slash in front.
    assert!(described.client_host().starts_with('/'), "{}", described.client_host());
    assert!(described.assignment().is_some_and(|assignment| !assignment.is_empty()));
}

// ---------------------------------------------------------------------------------------------------------------
// The broker, the members, and what they hold
// ---------------------------------------------------------------------------------------------------------------

/// The broker under test with a topic and a group of this test's own.
struct Kafka {
    subject: Subject,
    topic: String,
    group: String,
    /// Marks every change of what a member holds or has read.
    changed: watch::Sender<()>,
}

impl Kafka {
    async fn start(partitions: i32) -> Self {
        let suffix = uuid::Uuid::new_v4().simple().to_string();
        let kafka = Self {
            subject: Subject::start().await,
            topic: format!("t-{suffix}"),
            group: format!("g-{suffix}"),
            changed: watch::channel(()).0,
        };
        let admin: AdminClient<DefaultClientContext> = kafka.config([]).create().unwrap();
        let new = NewTopic::new(&kafka.topic, partitions, TopicReplication::Fixed(1));
        let made = admin.create_topics([&new], &AdminOptions::new()).await.unwrap();
        assert_eq!(made, [Ok(kafka.topic.clone())]);
        kafka
    }

    fn config<const N: usize>(&self, settings: [(&str, &str); N]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.subject.bootstrap_servers());
        config.extend(settings.map(|(name, value)| (name.to_owned(), value.to_owned())));
        config
    }

    /// A consumer that reads the topic as a member of the group.
    fn member<const N: usize>(&self, settings: [(&str, &str); N]) -> Member {
        let mut config = self.config([
            ("group.id", &self.group),
            // The shortest that Kafka accepts by default.
            ("session.timeout.ms", "6000"),
            // Learn of a rebalance soon.
            ("heartbeat.interval.ms", "100"),
            // A Kafka that has just made the topic may not have told its leaders yet.
            ("topic.metadata.refresh.interval.ms", "500"),
        ]);
        config.extend(settings.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let journal = Journal { seen: Arc::default(), changed: self.changed.clone() };
        let seen = Arc::clone(&journal.seen);
        let consumer: StreamConsumer<Journal> = config.create_with_context(journal).unwrap();
        consumer.subscribe(&[&self.topic]).unwrap();
        Member { seen, reader: Some(tokio::spawn(read_on(consumer))) }
    }

    /// Spreads records over three partitions.
    async fn produce(&self, values: &[String]) {
        let producer: FutureProducer = self.config([("linger.ms", "0")]).create().unwrap();
        for (partition, value) in (0..3).cycle().zip(values) {
            let record = FutureRecord::<(), _>::to(&self.topic).payload(value).partition(partition);
            producer.send(record, PATIENCE).await.unwrap();
        }
    }

    /// Waits until the members hold so many partitions each, in any order, and none is held twice.
    async fn share(&self, members: &[&Member], counts: &[usize]) {
        let mut counts = counts.to_vec();
        counts.sort_unstable();
        self.until(members, |members| {
            let held: Vec<_> = members.iter().map(|member| member.held()).collect();
            let mut found: Vec<usize> = held.iter().map(BTreeSet::len).collect();
            found.sort_unstable();
            let distinct: BTreeSet<i32> = held.into_iter().flatten().collect();
            found == counts && distinct.len() == counts.iter().sum::<usize>()
        })
        .await;
    }

    /// Waits until the members together have read so many records.
    async fn read(&self, members: &[&Member], count: usize) {
        let records = |members: &[&Member]| {
            members.iter().map(|member| member.seen().records.len()).sum::<usize>()
        };
        self.until(members, |members| records(members) >= count).await;
    }

    async fn until(&self, members: &[&Member], is_so: impl Fn(&[&Member]) -> bool) {
        let mut changed = self.changed.subscribe();
        let so = async {
            while !is_so(members) {
                changed.changed().await.expect("the sender is kept");
            }
        };
        let in_time = timeout(PATIENCE, so).await;
        let seen: Vec<_> = members.iter().map(|member| member.seen()).collect();
        assert!(in_time.is_ok(), "{PATIENCE:?} later it still is {seen:#?}");
    }
}

/// One member, which reads until it leaves.
struct Member {
    seen: Arc<Mutex<Seen>>,
    /// `None` once it has left.
    reader: Option<JoinHandle<()>>,
}

/// What a member has been through.
#[derive(Debug, Default)]
struct Seen {
    /// The partitions that it held after each rebalance.
    held: Vec<BTreeSet<i32>>,
    /// How often it had to give partitions up.
    revocations: usize,
    records: Vec<String>,
}

impl Member {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock()
    }

    /// The partitions that it holds now.
    fn held(&self) -> BTreeSet<i32> {
        self.seen().held.last().cloned().unwrap_or_default()
    }

    /// Closes the consumer, as a program that ends in good order, and gives what it has read.
    async fn leave(mut self) -> Vec<String> {
        let reader = self.reader.take().expect("a member leaves once");
        reader.abort();
        // The consumer belongs to the reader, and closes when that ends.
        assert!(reader.await.unwrap_err().is_cancelled());
        std::mem::take(&mut self.seen.lock().records)
    }
}

impl Drop for Member {
    /// A consumer must be closed while there is a broker: librdkafka waits for an answer to its LeaveGroup.
    fn drop(&mut self) {
        let Some(reader) = self.reader.take() else { return };
        reader.abort();
        let ended =
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(reader));
        assert!(std::thread::panicking() || ended.is_err_and(|error| error.is_cancelled()));
    }
}

async fn read_on(consumer: StreamConsumer<Journal>) {
    loop {
        // An error, say that no broker is up yet, passes or becomes a missing record.
        let Ok(message) = consumer.recv().await else { continue };
        let value = String::from_utf8(message.payload().unwrap().to_vec()).unwrap();
        consumer.context().note(|seen| seen.records.push(value));
    }
}

/// Writes down what happens to a member.
struct Journal {
    seen: Arc<Mutex<Seen>>,
    changed: watch::Sender<()>,
}

impl Journal {
    fn note(&self, note: impl FnOnce(&mut Seen)) {
        note(&mut self.seen.lock());
        self.changed.send_replace(());
    }
}

impl ClientContext for Journal {}

impl ConsumerContext for Journal {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if matches!(rebalance, Rebalance::Revoke(partitions) if partitions.count() > 0) {
            self.note(|seen| seen.revocations += 1);
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        // Told by the rebalance itself: to ask a consumer that is being closed may wait for ever.
        let partitions = |list: &TopicPartitionList| -> BTreeSet<i32> {
            list.elements().iter().map(TopicPartitionListElem::partition).collect()
        };
        self.note(|seen| {
            let held = seen.held.last().cloned().unwrap_or_default();
            seen.held.push(match rebalance {
                Rebalance::Assign(list) => &held | &partitions(list),
                Rebalance::Revoke(list) => &held - &partitions(list),
                Rebalance::Error(_) => held,
            });
        });
    }
}
