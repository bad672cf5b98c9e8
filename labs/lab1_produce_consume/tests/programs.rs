//! What a shell sees of the programs: exit codes, streams, signals.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use shared::testing::{TestBroker, unique};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const PRODUCER: &str = env!("CARGO_BIN_EXE_lab1-producer");
const CONSUMER: &str = env!("CARGO_BIN_EXE_lab1-consumer");
const TOPICS: &str = env!("CARGO_BIN_EXE_lab1-topics");
const DEMO: &str = env!("CARGO_BIN_EXE_lab1-demo");

/// A broker and a topic of the test's own.
struct Place {
    runtime: tokio::runtime::Runtime,
    broker: Option<TestBroker>,
    address: String,
    topic: String,
}

impl Place {
    fn new() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let broker = runtime.block_on(TestBroker::start()).unwrap();
        let address = broker.bootstrap_servers().to_owned();
        Self { runtime, broker: Some(broker), address, topic: unique("programs") }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_remove("LAB_CONFIG").env_remove("RUST_LOG").env("NO_COLOR", "1");
        command.args(["--bootstrap-server", &self.address, "--topic", &self.topic]);
        command
    }

    fn run(&self, program: &str, arguments: &[&str], input: &str) -> Output {
        let mut child = piped(self.command(program).args(arguments));
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // On a Kafka that others use nothing stays behind.
        let _deleted = self.runtime.block_on(async {
            let cluster = shared::client::Cluster::at(&self.address).await?;
            shared::topic::delete(&cluster, &self.topic).await
        });
    }
}

fn piped(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(kind: &str, to: &Child) {
    assert!(Command::new("kill").args([kind, &to.id().to_string()]).status().unwrap().success());
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn data_goes_to_stdout_and_the_rest_to_stderr() {
    let place = Place::new();
    let sent = place.run(PRODUCER, &[], "u1 click 10\n\nu2 purchase 99\nu1 view 1");
    let topic = &place.topic;
    assert_eq!(
        text(&sent.stdout),
        format!(
            "u1 click 10 → {topic}[2]@0  key=u1 crc32 % 3 = 2\n\
             u2 purchase 99 → {topic}[0]@0  key=u2 crc32 % 3 = 0\n\
             u1 view 1 → {topic}[2]@1  key=u1 crc32 % 3 = 2\n"
        )
    );
    assert!(text(&sent.stderr).contains("Delivered 3 messages."));
    assert_eq!(sent.status.code(), Some(0));

    let group = unique("group");
    let read = place.run(CONSUMER, &["-g", &group, "-n", "3", "-O", "json"], "");
    let objects: Vec<serde_json::Value> =
        text(&read.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let view = objects.iter().find(|object| object["value"] == "u1 view 1").unwrap();
    assert_eq!(
        (&view["partition"], &view["offset"], &view["key"]),
        (&2.into(), &1.into(), &"u1".into())
    );
    assert_eq!(view["headers"]["chosen-by"], "crc32 % 3 = 2");

    let again = place.run(CONSUMER, &["-g", &group, "--exit-at-end"], "");
    assert_eq!(text(&again.stdout), "");
    let from_the_start = place.run(CONSUMER, &["-g", &group, "-e", "--from-beginning"], "");
    assert_eq!(text(&from_the_start.stdout).lines().count(), 3);
    let one_partition =
        place.run(CONSUMER, &["-g", &group, "-e", "--from-beginning", "-p", "2"], "");
    assert_eq!(text(&one_partition.stdout).lines().count(), 2);
}

#[test]
fn plain_is_ascii() {
    let place = Place::new();
    let sent = place.run(PRODUCER, &["--plain"], "u1 x\n");
    assert!(sent.stdout.is_ascii() && sent.stderr.is_ascii(), "{}", text(&sent.stdout));
}

#[test]
fn a_missing_broker_is_exit_code_4_and_one_sentence() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let began = Instant::now();
    let start = |program: &str| {
        let address = format!("127.0.0.1:{port}");
        piped(Command::new(program).args(["--bootstrap-server", &address]).env_remove("LAB_CONFIG"))
    };
    for child in [PRODUCER, CONSUMER, TOPICS, DEMO].map(start) {
        let output = child.wait_with_output().unwrap();
        let sentence = text(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{sentence}");
        assert_eq!(sentence.lines().count(), 1, "{sentence}");
        assert!(sentence.contains("(Connection refused). Start one with `make up`"), "{sentence}");
    }
    // Nothing is waited for: on this machine a refusal is certain.
    assert!(began.elapsed() < shared::client::FIRST_ANSWER, "{:?}", began.elapsed());
}

#[test]
fn a_wrong_configuration_is_exit_code_2() {
    let place = Place::new();
    for wrong in [&["-X", "lingr.ms=5"][..], &["--config", "there-is-none.toml"], &["--frob"]] {
        let output = place.run(PRODUCER, wrong, "");
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {}", text(&output.stderr));
    }
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_program_quietly() {
    let place = Place::new();
    place.run(PRODUCER, &[], "u1 a\nu1 b\nu1 c\n");
    let mut consumer = piped(place.command(CONSUMER).args(["-g", &unique("group"), "-n", "3"]));
    drop(consumer.stdout.take());
    let output = consumer.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains("panicked"), "{}", text(&output.stderr));
}

#[test]
fn sigterm_and_sighup_are_an_orderly_end() {
    for kind in ["-TERM", "-HUP"] {
        ends_in_good_order_at(kind);
    }
}

fn ends_in_good_order_at(kind: &str) {
    let place = Place::new();
    place.run(PRODUCER, &[], "u1 a\n");
    let group = unique("group");
    let mut consumer = piped(place.command(CONSUMER).args(["-g", &group]));
    let mut lines = BufReader::new(consumer.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("u1 a"));
    signal(kind, &consumer);
    let output = consumer.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stderr).contains("Read 1 message."), "{}", text(&output.stderr));

    // It has committed what it read, and the group does not wait for it.
    let again = place.run(CONSUMER, &["-g", &group, "-e"], "");
    assert_eq!(text(&again.stdout), "");
    assert!(!text(&again.stderr).contains("No partitions yet"), "{}", text(&again.stderr));
}

#[test]
fn a_broker_that_goes_away_fails_the_message_and_hangs_nobody() {
    let mut place = Place::new();
    if !place.broker.as_ref().is_some_and(TestBroker::is_embedded) {
        return; // It is not ours to stop.
    }
    let mut producer = piped(place.command(PRODUCER).args(["-X", "message.timeout.ms=1000"]));
    let mut consumer = piped(place.command(CONSUMER).args(["-g", &unique("group")]));
    let mut input = producer.stdin.take().unwrap();
    let mut reports = BufReader::new(producer.stdout.take().unwrap()).lines();
    let mut messages = BufReader::new(consumer.stdout.take().unwrap()).lines();
    input.write_all(b"u1 before\n").unwrap();
    assert!(reports.next().unwrap().unwrap().contains("[2]@0"));
    assert!(messages.next().unwrap().unwrap().contains("u1 before"));

    let broker = place.broker.take().unwrap();
    place.runtime.block_on(broker.stop());
    input.write_all(b"u1 after\n").unwrap();
    assert_eq!(
        reports.next().unwrap().unwrap(),
        "u1 after → not delivered: no broker acknowledged it within 1000 ms (message.timeout.ms)"
    );
    drop(input);
    let output = producer.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("Delivered 1 message.")
            && text(&output.stderr).contains("Failed 1 message.")
    );

    signal("-INT", &consumer);
    let output = consumer.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

/// The exit code, and the sentence on stderr.
fn refused(place: &Place, program: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let output = place.run(program, arguments, "u1 x\n");
    (output.status.code(), text(&output.stderr))
}

#[test]
fn wrong_values_are_answered_by_a_sentence() {
    let place = Place::new();
    let topic = &place.topic;
    let no_partition =
        format!("There is no {topic}[7]: the partitions are {topic}[0] to {topic}[2].\n");
    assert_eq!(refused(&place, CONSUMER, &["--partition", "7"]), (Some(1), no_partition.clone()));
    assert_eq!(refused(&place, PRODUCER, &["--partition", "7"]), (Some(1), no_partition));
    for (arguments, sentence) in [
        (["--group", ""], "--group: group.id is empty; give a value, as in lab1-keyed.\n"),
        (["-X", "group=1"], "-X group: librdkafka has no property group; did you mean group.id?\n"),
    ] {
        assert_eq!(refused(&place, CONSUMER, &arguments), (Some(2), sentence.to_owned()));
    }
    let no_address = Command::new(CONSUMER)
        .env_remove("LAB_CONFIG")
        .args(["--bootstrap-server", ""])
        .output()
        .unwrap();
    assert_eq!(
        text(&no_address.stderr),
        "--bootstrap-server: bootstrap.servers is empty; give a value, as in 127.0.0.1:9092.\n"
    );
}

#[test]
fn no_byte_of_a_message_reaches_the_terminal_unescaped() {
    let place = Place::new();
    let sent = place.run(PRODUCER, &[], "u1\u{1b}[2J\u{9b}31m\n");
    let group = unique("group");
    let shown = place.run(CONSUMER, &["-g", &group, "-n", "1"], "");
    let object =
        place.run(CONSUMER, &["-g", &group, "-n", "1", "--from-beginning", "-O", "json"], "");
    for output in [&sent, &shown, &object] {
        let printed = text(&output.stdout);
        assert!(printed.contains("u1"), "{printed}");
        assert!(!printed.trim_end().contains(char::is_control), "{printed:?}");
    }
    let object: serde_json::Value = serde_json::from_str(&text(&object.stdout)).unwrap();
    assert_eq!(object["value"], "u1\u{1b}[2J\u{9b}31m");
}

#[test]
fn what_the_broker_refuses_is_told_with_the_reason() {
    let place = Place::new();
    let large = "x".repeat(1_100_000);
    let output = place.run(PRODUCER, &["-X", "message.max.bytes=3000000"], &large);
    assert_eq!(output.status.code(), Some(1));
    let printed = text(&output.stdout);
    assert!(
        printed.trim_end().ends_with(
            "not delivered: the broker refused it: it is larger than the topic allows (max.message.bytes)"
        ),
        "{printed}"
    );
}

#[test]
fn a_broker_that_comes_back_empty_is_told_and_work_goes_on() {
    let mut place = Place::new();
    if !place.broker.as_ref().is_some_and(TestBroker::is_embedded) {
        return; // It is not ours to stop.
    }
    let mut producer = piped(&mut place.command(PRODUCER));
    let mut consumer = piped(place.command(CONSUMER).args(["-g", &unique("group")]));
    let mut input = producer.stdin.take().unwrap();
    let mut reports = BufReader::new(producer.stdout.take().unwrap()).lines();
    let mut messages = BufReader::new(consumer.stdout.take().unwrap()).lines();
    let mut notes = BufReader::new(consumer.stderr.take().unwrap()).lines();
    input.write_all(b"u1 before\n").unwrap();
    assert!(reports.next().unwrap().unwrap().contains("[2]@0"));
    assert!(messages.next().unwrap().unwrap().contains("u1 before"));

    let port = place.address.rsplit(':').next().unwrap().parse().unwrap();
    place.runtime.block_on(place.broker.take().unwrap().stop());
    place.broker = Some(place.runtime.block_on(TestBroker::embedded(port)).unwrap());
    let back = Instant::now();
    let mut until = |end: &str| loop {
        let line = notes.next().unwrap().unwrap();
        if line.contains(end) {
            break line;
        }
    };
    let topic = &place.topic;
    let forgotten = until("the broker forgot everything");
    assert!(forgotten.starts_with(&format!("The topic {topic} ")), "{forgotten}");
    input.write_all(b"u1 after\n").unwrap();
    let again = reports.next().unwrap().unwrap();
    assert!(again.starts_with(&format!("u1 after → {topic}[2]@0")), "{again}");
    let read = messages.next().unwrap().unwrap();
    assert!(read.starts_with(&format!("{topic}[2]@0 → u1 after")), "{read}");
    // librdkafka by itself looks for the topic again after five minutes.
    assert!(back.elapsed() < Duration::from_secs(20), "{:?}", back.elapsed());
    drop(input);
    assert_eq!(producer.wait_with_output().unwrap().status.code(), Some(0));
    signal("-INT", &consumer);
    assert_eq!(consumer.wait().unwrap().code(), Some(0));
}

#[test]
fn a_new_consumer_says_that_it_waits_for_one_that_was_killed() {
    let place = Place::new();
    place.run(PRODUCER, &[], "u1 a\n");
    let group = unique("group");
    let mut killed = piped(place.command(CONSUMER).args(["-g", &group, "-X", "client.id=killed"]));
    let mut lines = BufReader::new(killed.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("u1 a"));
    killed.kill().unwrap();
    killed.wait().unwrap();

    let mut next = piped(place.command(CONSUMER).args(["-g", &group, "-X", "client.id=next"]));
    let mut notes = BufReader::new(next.stderr.take().unwrap()).lines().map(Result::unwrap);
    let waits = notes.by_ref().find(|line| line.starts_with("No partitions yet")).unwrap();
    assert!(
        waits.contains(&format!("group {group} waits for one of its 2 members ("))
            && waits.contains("killed at ")
            && waits.ends_with("in 4 s at the latest (session.timeout.ms = 6000)."),
        "{waits}"
    );
    assert!(notes.any(|line| line.starts_with("assigned ")));
    signal("-INT", &next);
    assert_eq!(next.wait().unwrap().code(), Some(0));
}

#[test]
fn ctrl_c_ends_the_search_for_a_broker_at_once() {
    // A listener that never answers: nothing is refused.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let consumer = piped(
        Command::new(CONSUMER).env_remove("LAB_CONFIG").args(["--bootstrap-server", &address]),
    );
    let _connection = silent.accept().unwrap();
    signal("-INT", &consumer);
    let output = consumer.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn more_partitions_can_be_had_and_never_fewer() {
    let place = Place::new();
    let topic = &place.topic;
    let grow = |to| place.run(TOPICS, &["--partitions", to], "");
    assert_eq!(place.run(TOPICS, &[], "").status.code(), Some(0));
    assert_eq!(
        text(&grow("6").stdout),
        format!("Topic {topic} has 6 partitions now, instead of 3.\n")
    );
    let fewer = grow("3");
    assert_eq!(fewer.status.code(), Some(1));
    assert_eq!(
        text(&fewer.stderr),
        format!("Topic {topic} has 6 partitions already, and can only get more.\n")
    );
}

#[test]
fn another_number_of_partitions_is_told() {
    let place = Place::new();
    assert_eq!(place.run(TOPICS, &[], "").status.code(), Some(0));

    let folder = tempfile::tempdir().unwrap();
    let five = folder.path().join("five.toml");
    std::fs::write(&five, "[topic]\nname = \"x\"\npartitions = 5\n").unwrap();
    let output = place.run(TOPICS, &["--config", five.to_str().unwrap()], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("has 3 partitions, not 5 as configured"));
}
