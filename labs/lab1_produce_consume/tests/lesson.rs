//! The README is the test: every transcript in it is played, and one scene on a terminal too.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use shared::testing::TestBroker;
use shared::testing::screen::Screen;
use shared::testing::transcript::{Lesson, play};
use std::process::Command;

const README: &str = include_str!("../README.md");
const PRODUCER: &str = env!("CARGO_BIN_EXE_lab1-producer");
const CONSUMER: &str = env!("CARGO_BIN_EXE_lab1-consumer");
const TOPICS: &str = env!("CARGO_BIN_EXE_lab1-topics");

#[test]
fn the_readme_says_what_happens() {
    play(&Lesson {
        readme: "README.md",
        programs: &[
            ("lab1-producer", PRODUCER),
            ("lab1-consumer", CONSUMER),
            ("lab1-topics", TOPICS),
            ("lab1-demo", env!("CARGO_BIN_EXE_lab1-demo")),
        ],
        files: &["config_keyed.toml", "config_roundrobin.toml"],
        names: "lab1",
    });
}

fn command(program: &str, broker: &TestBroker) -> Command {
    let mut command = Command::new(program);
    command
        .args(["--config", concat!(env!("CARGO_MANIFEST_DIR"), "/../../config_keyed.toml")])
        .env("KAFKA_BOOTSTRAP_SERVERS", broker.bootstrap_servers());
    command
}

fn screen(program: &str, broker: &TestBroker) -> Screen {
    Screen::start(command(program, broker), 120, 40)
}

fn wait_for_the_prompt(screen: &Screen) {
    screen.wait_until("the prompt", |shown| shown.trim_end().ends_with("\n>"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_shows_what_the_readme_shows() {
    let broker = TestBroker::embedded(0).await.unwrap();
    assert!(command(TOPICS, &broker).output().unwrap().status.success());

    let mut consumer = screen(CONSUMER, &broker);
    consumer.wait_for_block(README, "make consumer-keyed");
    let mut producer = screen(PRODUCER, &broker);
    for (line, place) in
        [("u1 click 10", "lab1[2]@0"), ("u2 purchase 99", "lab1[0]@0"), ("u1 view 1", "lab1[2]@1")]
    {
        wait_for_the_prompt(&producer);
        producer.type_line(line);
        producer.wait_for(&format!("\n{line} → {place}"));
    }
    wait_for_the_prompt(&producer);
    producer.press_ctrl('d');
    producer.wait_for_block(README, "make producer-keyed");
    assert_eq!(producer.ended(), Some(0));

    consumer.wait_for("lab1[2]@1 → u1 view 1  key=u1 crc32 % 3 = 2");
    consumer.wait_for("lab1[0]@0 → u2 purchase 99");
    consumer.press_ctrl('c');
    consumer.wait_for("\n^C\nRead 3 messages.\n");
    assert_eq!(consumer.ended(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_are_pasted_together_all_arrive() {
    let broker = TestBroker::embedded(0).await.unwrap();
    let mut producer = screen(PRODUCER, &broker);
    wait_for_the_prompt(&producer);
    producer.type_text("u1 a\ru2 b\ru7 c\r");
    producer.wait_for("\nu7 c → lab1[1]@0  key=u7 crc32 % 3 = 1\n");
    wait_for_the_prompt(&producer);
    producer.press_ctrl('d');
    producer.wait_for("\nDelivered 3 messages.\n");
    assert_eq!(producer.ended(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_arrives_while_somebody_types_loses_nothing() {
    let broker = TestBroker::embedded(0).await.unwrap();
    let mut command = command(PRODUCER, &broker);
    command.args(["-X", "message.timeout.ms=1000"]);
    let mut producer = Screen::start(command, 120, 40);
    wait_for_the_prompt(&producer);
    broker.stop().await;
    producer.type_line("u1 first");
    producer.type_text("u1 sec");
    producer.wait_for("u1 first → not delivered: no broker acknowledged it within 1000 ms");
    producer.type_text("ond\r");
    producer.wait_for("\nu1 second → not delivered: ");
    producer.press_ctrl('d');
    producer.wait_for("\nFailed 2 messages.");
    assert_eq!(producer.ended(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_window_is_an_orderly_end() {
    let broker = TestBroker::embedded(0).await.unwrap();
    let mut consumer = screen(CONSUMER, &broker);
    consumer.wait_for("\nassigned lab1[0] lab1[1] lab1[2]");
    consumer.close();
    assert_eq!(consumer.ended(), Some(0));
    // The group does not wait for a member that has left.
    let next = command(CONSUMER, &broker).arg("--exit-at-end").output().unwrap();
    let notes = String::from_utf8(next.stderr).unwrap();
    assert!(notes.contains("\nassigned lab1[0] lab1[1] lab1[2]\n"), "{notes}");
    assert!(!notes.contains("No partitions yet"), "{notes}");
}

#[tokio::test(flavor = "multi_thread")]
async fn news_of_the_broker_has_a_line_of_its_own_and_the_prompt_comes_back() {
    let broker = TestBroker::embedded(0).await.unwrap();
    let port = broker.bootstrap_servers().rsplit(':').next().unwrap().parse().unwrap();
    let mut producer = screen(PRODUCER, &broker);
    wait_for_the_prompt(&producer);
    broker.stop().await;
    let _another = TestBroker::embedded(port).await.unwrap();
    producer.wait_for(
        "\nThe topic lab1 is gone: the broker forgot everything. Made it anew, with 3 partitions.\n",
    );
    wait_for_the_prompt(&producer);
    producer.type_line("u1 x");
    producer.wait_for("\n> u1 x\nu1 x → lab1[2]@0");
    wait_for_the_prompt(&producer);
    producer.press_ctrl('d');
    assert_eq!(producer.ended(), Some(0));
}
