//! What a person sees when something goes wrong: sentences, exit codes, and a consumer that goes on.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use shared::testing::TestBroker;
use shared::testing::screen::Screen;
use std::io::Read;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

const PRODUCER: &str = env!("CARGO_BIN_EXE_lab3-producer");
const CONSUMER: &str = env!("CARGO_BIN_EXE_lab3-consumer");
const BATCHES: &str = env!("CARGO_BIN_EXE_lab3-batches");

fn program(name: &str, broker: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(name);
    command
        .args(arguments)
        .args(["--config", concat!(env!("CARGO_MANIFEST_DIR"), "/lab3.toml")])
        .env("KAFKA_BOOTSTRAP_SERVERS", broker)
        .stdin(Stdio::null());
    command
}

#[test]
fn without_a_broker_each_program_says_how_to_start_one() {
    // The port was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for (name, arguments) in
        [(PRODUCER, &[][..]), (PRODUCER, &["--reset"]), (CONSUMER, &[]), (BATCHES, &[])]
    {
        let output = program(name, &address, arguments).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(4), "{text}");
        assert!(text.contains("Start one with `make up`"), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}

#[tokio::test]
async fn the_batches_of_a_topic_that_does_not_exist() {
    let broker = TestBroker::embedded(0).await.unwrap();
    let output = program(BATCHES, broker.bootstrap_servers(), &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "There is no topic lab3 yet. `make lab3-producer` makes it and sends something.\n"
    );
}

/// As `lab3-producer | head -1` does it.
#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_error() {
    let broker = TestBroker::embedded(0).await.unwrap();
    for (name, arguments) in [(PRODUCER, &[][..]), (CONSUMER, &["--exit-at-end"]), (BATCHES, &[])] {
        let mut child = program(name, broker.bootstrap_servers(), arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut text = String::new();
        child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        assert!(child.wait().unwrap().success(), "{name}: {text}");
        assert!(!text.contains("panicked") && !text.contains("os error"), "{name}: {text}");
    }
}

/// As after `kill -9` of the embedded broker and `make up`: the topic, the group and the offsets are gone.
#[tokio::test(flavor = "multi_thread")]
async fn the_consumer_goes_on_when_the_broker_has_forgotten_everything() {
    let broker = TestBroker::embedded(0).await.unwrap();
    let address = broker.bootstrap_servers().to_owned();
    let port = address.rsplit(':').next().unwrap().parse().unwrap();
    let send = |seed| {
        let sent = program(PRODUCER, &address, &["-n", "2", "--seed", seed]).output().unwrap();
        assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    };

    send("1");
    let mut screen = Screen::start(program(CONSUMER, &address, &[]), 120, 40);
    screen.wait_for("user-001537");
    broker.stop().await;
    screen.wait_for("The broker does not answer. Trying again.");

    let broker = TestBroker::embedded(port).await.unwrap();
    screen.wait_for("The topic lab3 is gone: the broker forgot everything. Made it anew, with 3 ");
    send("7");
    screen.wait_for("user-000068");
    screen.press_ctrl('c');
    screen.wait_for("\nRead 4 events of ");
    assert_eq!(screen.ended(), Some(0));
    broker.stop().await;
}

/// The consumer commits and leaves the group, so the next one neither waits for it nor reads anything again.
#[tokio::test]
async fn a_closed_window_is_an_end_in_good_order() {
    let broker = TestBroker::embedded(0).await.unwrap();
    let address = broker.bootstrap_servers();
    assert!(program(PRODUCER, address, &[]).output().unwrap().status.success());
    let mut screen = Screen::start(program(CONSUMER, address, &[]), 120, 40);
    screen.wait_for("lab3[0]@5");
    screen.wait_for("lab3[1]@3");
    screen.close();
    assert_eq!(screen.ended(), Some(0));

    let mut screen = Screen::start(program(CONSUMER, address, &["--exit-at-end"]), 120, 40);
    screen.wait_for("Read 0 events of 0 bytes.");
    assert_eq!(screen.ended(), Some(0));
}

/// What "Check yourself" says about JSON in the topic, and about the highest level of ZSTD.
#[tokio::test]
async fn the_answers_of_check_yourself() {
    const README: &str = include_str!("../README.md");
    let broker = TestBroker::embedded(0).await.unwrap();
    let address = broker.bootstrap_servers();
    assert!(program(PRODUCER, address, &["-n", "0"]).output().unwrap().status.success());
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", address).create().unwrap();
    let typed = FutureRecord::to("lab3").key("u1").payload("u1 click 10");
    producer.send(typed, Duration::from_secs(10)).await.unwrap();
    let output = program(CONSUMER, address, &["--exit-at-end"]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("its 11 bytes are skipped.\n"), "{text}");
    assert!(README.contains("its 11 bytes are skipped.`"));
    assert!(
        text.ends_with("Read 0 events of 11 bytes. Skipped 1 record without an event.\n"),
        "{text}"
    );

    let (_, rest) = README.split_once("`-X compression.level=").unwrap();
    let (level, _) = rest.split_once('`').unwrap();
    let level = format!("compression.level={level}");
    let output = program(PRODUCER, address, &["-X", &level]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_is_named() {
    let broker = TestBroker::embedded(0).await.unwrap();
    let full = std::fs::File::create("/dev/full").unwrap();
    let output = program(PRODUCER, broker.bootstrap_servers(), &[]).stdout(full).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.ends_with("The output cannot be written: No space left on device.\n"), "{text}");
}
