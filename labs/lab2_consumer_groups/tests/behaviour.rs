//! The program as others meet it: processes, signals, groups. On the embedded broker, or on `KAFKA_BOOTSTRAP_SERVERS`.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use lab2_consumer_groups::audit::{self, Audit, Ledger};
use lab2_consumer_groups::batch::Rule;
use lab2_consumer_groups::consumer::{Batch, Committed, Event, Reader};
use lab2_consumer_groups::producer::{self, Sent};
use lab2_consumer_groups::settings::{Lab, Name, PROGRAM};
use lab2_consumer_groups::transaction::Source;
use shared::client::{self, Cluster, Rebalance};
use shared::config::{Config, Flags};
use shared::testing::{TestBroker, unique};
use shared::topic;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Lines, Seek as _};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const OWN_GROUPS: &str = "config_own_groups.toml";
const ONE_GROUP: &str = "config_one_group.toml";

/// `lab2` with these words, on this broker and topic.
fn lab2(broker: &TestBroker, topic: &str, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab2"));
    command
        .args(words)
        .args(["--bootstrap-server", broker.bootstrap_servers(), "--topic", topic])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .stdout(Stdio::piped());
    command
}

/// A program that runs, and its lines one by one.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Reads on until a line has this in it.
    fn until(&mut self, text: &str) -> String {
        self.lines
            .by_ref()
            .map(Result::unwrap)
            .find(|line| line.contains(text))
            .unwrap_or_else(|| panic!("it ended without a line with {text:?}"))
    }

    fn signal(&self, signal: &str) {
        kill(signal, &self.child.id().to_string());
    }

    /// Its remaining lines and its exit code.
    fn ended(mut self) -> (Vec<String>, Option<i32>) {
        let lines = self.lines.by_ref().map(Result::unwrap).collect();
        (lines, self.child.wait().unwrap().code())
    }
}

fn kill(signal: &str, pid: &str) {
    assert!(Command::new("kill").args([signal, pid]).status().unwrap().success());
}

/// The processes that this one started.
fn children(of: u32) -> BTreeMap<String, String> {
    let listed = Command::new("ps").args(["-eo", "pid=,ppid=,args="]).output().unwrap();
    String::from_utf8_lossy(&listed.stdout)
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (pid, parent) = (words.next()?, words.next()?);
            (parent == of.to_string())
                .then(|| (words.collect::<Vec<_>>().join(" "), pid.to_owned()))
        })
        .collect()
}

fn configured(
    broker: &TestBroker,
    topic: &str,
    file: &str,
    more: &[(&str, &str)],
) -> (Config<Lab>, Flags) {
    let flags = Flags {
        bootstrap_server: Some(broker.bootstrap_servers().to_owned()),
        topic: Some(topic.to_owned()),
        properties: more
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        ..Flags::default()
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    (Config::load_file(&PROGRAM, &flags, &path).unwrap(), flags)
}

async fn send(config: &Config<Lab>, count: usize) {
    let producer = client::producer(config).unwrap();
    let mut source = Source::new(1, None);
    for _ in 0..count {
        let transaction = source.next(SystemTime::now());
        let sent = producer::send(&producer, &config.topic.name, &transaction).await.unwrap();
        assert!(matches!(sent, Sent::Delivered { .. }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn play_stops_everything_in_order_and_leaves_nothing_behind() {
    let broker = TestBroker::start().await.unwrap();
    let topic = unique("lab2-play");
    let group = format!("group.id={topic}");
    let words = ["play", "--interval", "20ms", "--batch-wait", "50ms", "-X", &group];
    let mut notes = tempfile::tempfile().unwrap();
    let mut command = lab2(&broker, &topic, &words);
    command.stderr(notes.try_clone().unwrap());
    let mut play = Running::start(command);
    play.until("Starting producer and consumer. Ctrl+C to stop both.");
    play.until("✅ Sent transaction: ");
    play.until("Received batch of ");
    let children = children(play.child.id());
    assert_eq!(children.len(), 3, "{children:?}");
    play.signal("-INT");
    let (rest, code) = play.ended();
    assert_eq!(code, Some(0));
    assert!(rest.iter().any(|line| line == "🛑 Stopping producer and consumer…"), "{rest:?}");
    for pid in children.values() {
        let found = Command::new("ps").args(["-p", pid]).output().unwrap();
        assert!(!found.status.success(), "{pid} still runs");
    }
    // The producer's last word came before the consumers'.
    notes.rewind().unwrap();
    let notes = std::io::read_to_string(notes).unwrap();
    let last_words: Vec<&str> = notes
        .lines()
        .filter(|line| line.contains("] Sent ") || line.contains("] Processed "))
        .collect();
    assert_eq!(last_words.len(), 3, "{notes}");
    assert!(last_words[0].starts_with("[producer] Sent "), "{notes}");
}

#[tokio::test(flavor = "multi_thread")]
async fn play_ends_with_a_consumer_that_was_killed() {
    let broker = TestBroker::start().await.unwrap();
    let topic = unique("lab2-killed");
    let group = format!("group.id={topic}");
    let mut play =
        Running::start(lab2(&broker, &topic, &["play", "--interval", "20ms", "-X", &group]));
    play.until("✅ Sent transaction: ");
    let children = children(play.child.id());
    let bravo =
        children.iter().find(|(arguments, _)| arguments.contains("--client bravo")).unwrap();
    kill("-9", bravo.1);
    let (_, code) = play.ended();
    assert_eq!(code, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn play_goes_on_when_the_broker_comes_back_empty() {
    let broker = TestBroker::embedded(0).await.unwrap();
    let port = broker.bootstrap_servers().rsplit(':').next().unwrap().parse().unwrap();
    let words = ["play", "--interval", "200ms", "--batch-wait", "500ms"];
    let mut command = lab2(&broker, "lab2", &words);
    command.stderr(Stdio::piped());
    let mut play = Running::start(command);
    let mut notes = BufReader::new(play.child.stderr.take().unwrap()).lines().map(Result::unwrap);
    play.until("[client 🟣 BRAVO] Received batch of ");
    broker.stop().await;
    let _another = TestBroker::embedded(port).await.unwrap();

    let mut left: BTreeSet<&str> = [
        "[client 🟣 BRAVO] The group forgot this member, ",
        "[client 🔵 ZULU] The group forgot this member, ",
        "[producer] The topic lab2 ",
        "[client 🟣 BRAVO] Records come again.",
        "[client 🔵 ZULU] Records come again.",
    ]
    .into();
    while !left.is_empty() {
        let note = notes.next().unwrap_or_else(|| panic!("it ended without {left:?}"));
        left.retain(|start| !note.starts_with(start));
    }
    play.signal("-INT");
    let (_, code) = play.ended();
    assert_eq!(code, Some(0));
}

/// Both read to the end, one after the other, each with a ledger of its own.
fn read_by_both(broker: &TestBroker, topic: &str, group: Option<&str>) -> [Vec<uuid::Uuid>; 2] {
    let folder = tempfile::tempdir().unwrap();
    let property = group.map(|group| format!("group.id={group}"));
    ["bravo", "zulu"].map(|client| {
        let ledger = folder.path().join(client);
        let file = ledger.to_str().unwrap();
        let mut words = vec!["start-consumer", "--client", client, "--exit-at-end"];
        words.extend(["--pipeline", "book", "--ledger", file]);
        if let Some(property) = &property {
            words.extend(["-X", property]);
        }
        let (_, code) = Running::start(lab2(broker, topic, &words)).ended();
        assert_eq!(code, Some(0));
        Ledger::read(&ledger).unwrap()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn own_groups_repeat_the_work_and_one_group_does_it_once() {
    let broker = TestBroker::start().await.unwrap();
    let topic = unique("lab2-groups");
    let words = ["start-producer", "--count", "10", "--interval", "0s"];
    let (sent, code) = Running::start(lab2(&broker, &topic, &words)).ended();
    assert_eq!((sent.len(), code), (11, Some(0)));
    let own = read_by_both(&broker, &topic, None);
    assert_eq!(own.each_ref().map(Vec::len), [10, 10]);
    let one = read_by_both(&broker, &topic, Some(&topic));
    assert_eq!(one.each_ref().map(Vec::len), [10, 0]);
}

/// Waits for the next event of a kind; others pass.
async fn next_event<T>(reader: &mut Reader, wanted: impl Fn(Event) -> Option<T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            if let Some(found) = wanted(reader.next().await.unwrap()) {
                return found;
            }
        }
    })
    .await
    .unwrap()
}

fn assigned(event: Event) -> Option<Vec<i32>> {
    let Event::Rebalanced(Rebalance::Assigned(partitions), _) = event else { return None };
    Some(partitions.into_iter().map(|(_, partition)| partition).collect())
}

fn batch(event: Event) -> Option<Batch> {
    let Event::Batch(batch) = event else { return None };
    Some(batch)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_rebalance_takes_out_of_the_buffer_is_read_by_its_new_owner_alone() {
    let broker = TestBroker::start().await.unwrap();
    let topic = unique("lab2-buffer");
    let more = [("group.id", topic.as_str()), ("heartbeat.interval.ms", "200")];
    let (mut config, flags) = configured(&broker, &topic, ONE_GROUP, &more);
    // A batch of everything: until then it lies in the buffer.
    config.lab.batch_size = NonZeroUsize::new(12).unwrap();
    config.lab.batch_wait = Duration::from_secs(3600);
    let cluster = Cluster::connect(&config).await.unwrap();
    topic::ensure(&cluster, &config.topic).await.unwrap();
    let mut zulu =
        Reader::join(&Name::Zulu.configure(&config, &flags).unwrap(), &cluster, false).unwrap();
    assert_eq!(next_event(&mut zulu, assigned).await, [0, 1, 2]);
    send(&config, 11).await;
    // Reads all eleven, and gives no batch.
    while zulu.buffered() < 11 {
        let reading = tokio::time::timeout(Duration::from_millis(50), zulu.next());
        assert!(reading.await.is_err(), "nothing is due");
    }

    let bravo_config = Name::Bravo.configure(&config, &flags).unwrap();
    let mut bravo = Reader::join(&bravo_config, &cluster, false).unwrap();
    let (dropped, shares) = {
        let bravos = next_event(&mut bravo, assigned);
        let zulus = async {
            let dropped = next_event(&mut zulu, |event| match event {
                Event::Rebalanced(Rebalance::Revoked(_), dropped) => Some(dropped),
                _ => None,
            })
            .await;
            (dropped, next_event(&mut zulu, assigned).await)
        };
        let (bravos, (dropped, zulus)) = tokio::join!(bravos, zulus);
        (dropped, (zulus, bravos))
    };
    assert_eq!(shares, (vec![0, 2], vec![1]));
    assert_eq!(dropped, 11);

    // The twelfth and the rest of the work, in batches of one: every place once.
    let mut seen = BTreeSet::new();
    for reader in [&mut zulu, &mut bravo] {
        reader.rule = Rule { size: 1, wait: Duration::from_secs(1) };
    }
    while seen.len() < 11 {
        let batch = tokio::select! {
            batch = next_event(&mut zulu, batch) => batch,
            batch = next_event(&mut bravo, batch) => batch,
        };
        for record in batch.records {
            assert!(seen.insert((record.partition, record.offset)), "{record:?} came twice");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_is_what_the_audit_sees() {
    let broker = TestBroker::start().await.unwrap();
    let topic = unique("lab2-audit");
    let (mut config, flags) =
        configured(&broker, &topic, OWN_GROUPS, &[("group.id", topic.as_str())]);
    config.lab.batch_size = NonZeroUsize::new(1).unwrap();
    let cluster = Cluster::connect(&config).await.unwrap();
    topic::ensure(&cluster, &config.topic).await.unwrap();
    send(&config, 1).await;
    let config = Name::Bravo.configure(&config, &flags).unwrap();
    let mut reader = Reader::join(&config, &cluster, false).unwrap();
    let batch = next_event(&mut reader, batch).await;
    let place = (batch.records[0].partition, batch.records[0].offset);

    let (sent, committed) = audit::read(&config, config.topic.partitions).await.unwrap();
    assert_eq!(sent[&place], Source::new(1, None).next(UNIX_EPOCH).id);
    let found = audit::audit(&sent, &committed, &[]);
    assert_eq!(found, Audit { sent: 1, waiting: vec![place], ..Audit::default() });

    assert_eq!(reader.commit(&batch).unwrap(), Committed::Yes);
    let (sent, committed) = audit::read(&config, config.topic.partitions).await.unwrap();
    let found = audit::audit(&sent, &committed, &[]);
    assert_eq!(found, Audit { sent: 1, lost: vec![place], ..Audit::default() });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_whose_place_was_taken_can_neither_commit_nor_go_on() {
    let broker = TestBroker::start().await.unwrap();
    let topic = unique("lab2-fenced");
    let more = [("group.id", topic.as_str()), ("heartbeat.interval.ms", "200")];
    let (mut config, flags) = configured(&broker, &topic, ONE_GROUP, &more);
    config.lab.batch_size = NonZeroUsize::new(1).unwrap();
    let cluster = Cluster::connect(&config).await.unwrap();
    topic::ensure(&cluster, &config.topic).await.unwrap();
    send(&config, 1).await;
    let config = Name::Bravo.configure(&config, &flags).unwrap();
    let mut first = Reader::join(&config, &cluster, false).unwrap();
    let read = next_event(&mut first, batch).await;
    let mut second = Reader::join(&config, &cluster, false).unwrap();
    next_event(&mut second, assigned).await;

    assert!(matches!(first.commit(&read).unwrap(), Committed::Refused(_)));
    let end = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            if let Err(error) = first.next().await {
                return error.to_string();
            }
        }
    });
    assert!(end.await.unwrap().contains("the same group.instance.id"));
    // It was not committed, so the second has it.
    assert_eq!(next_event(&mut second, batch).await.records, read.records);
}
