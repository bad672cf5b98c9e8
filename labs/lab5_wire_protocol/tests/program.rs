//! What a shell sees: exit codes, sentences, what goes to stdout.

#![allow(clippy::unwrap_used, reason = "a test fails there, as it should")]

use shared::testing::TestBroker;
use shared::testing::screen::Screen;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

/// The program, without what this test's surroundings say about a broker.
fn lab5(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab5"));
    for name in
        ["KAFKA_BOOTSTRAP_SERVERS", "KAFKA_BROKER", "KAFKA_HOST_IP", "LAB_CONFIG", "RUST_LOG"]
    {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A port where nobody answers: it was free a moment ago.
fn dead_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// `lab5.toml` with another address, as if nobody answered at its own.
fn config_at(address: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    let lab = include_str!("../lab5.toml").replace("127.0.0.1:9092", address);
    std::fs::write(file.path(), lab).unwrap();
    file
}

fn run(arguments: &[&str]) -> Output {
    lab5(arguments).output().unwrap()
}

#[test]
fn without_a_broker_it_starts_one() {
    let config = config_at(&dead_address());
    let output = run(&["check", "3", "--config", config.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(
        text(&output.stdout),
        "stage 3  passed  3 checks   produce: a record batch by hand\n"
    );
    assert!(
        text(&output.stderr).contains("started a broker in memory"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn a_broker_that_was_named_must_answer() {
    let address = dead_address();
    for arguments in [
        &["check", "-b", &address][..],
        &["stage", "1", "-b", &address],
        &["predict", "1", "-b", &address],
        &["reset", "-b", &address],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
        assert!(
            text(&output.stderr).contains("Start one with `make up`"),
            "{}",
            text(&output.stderr)
        );
        assert_eq!(text(&output.stdout), "");
    }
}

#[test]
fn what_is_not_an_address_is_said() {
    let output = run(&["check", "-b", "foo bar"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stderr),
        "`foo bar` is not an address. Write host:port, as in 127.0.0.1:9092.\n"
    );
}

#[test]
fn a_stage_that_does_not_exist_is_wrong_usage() {
    for stage in ["0", "9", "one", "-1"] {
        let output = run(&["stage", stage]);
        assert_eq!(output.status.code(), Some(2), "{stage}");
    }
    assert!(text(&run(&["stage", "9"]).stderr).contains("the stages are 1 to 8"));
}

/// Ten records to a batch, and stage 6 wants a hundred in one.
#[test]
fn a_stage_that_does_not_pass_has_a_code_of_its_own() {
    let config = config_at(&dead_address());
    for command in ["check", "stage"] {
        let more = ["-X", "batch.num.messages=10", "--config", config.path().to_str().unwrap()];
        let output = run(&[&[command, "6"][..], &more].concat());
        assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
        assert!(
            text(&output.stdout).contains("record_count is 10, not 100"),
            "{}",
            text(&output.stdout)
        );
    }
}

#[test]
fn a_question_without_an_answer_is_shown() {
    let config = config_at(&dead_address());
    let output = run(&["predict", "2", "--config", config.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).ends_with("  c  00 04\n"), "{}", text(&output.stdout));
}

/// stdout holds the frames and nothing else, so that they can be piped.
#[test]
fn hex_is_hex_alone() {
    let config = config_at(&dead_address());
    let output = run(&["stage", "1", "--hex", "--config", config.path().to_str().unwrap()]);
    let lines: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0], "00 00 00 0e 00 12 00 00 00 00 00 01 00 04 6c 61 62 35");
    let bytes: Result<Vec<u8>, _> =
        lines[1].split(' ').map(|byte| u8::from_str_radix(byte, 16)).collect();
    assert!(mini_kafka::decode(&bytes.unwrap(), Some(("ApiVersions", 0))).is_ok());
}

const README: &str = include_str!("../README.md");

/// On a terminal, with the broker of this test.
fn on_a_screen(broker: &TestBroker, arguments: &[&str]) -> Screen {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab5"));
    command.args(arguments).env("KAFKA_BOOTSTRAP_SERVERS", broker.bootstrap_servers());
    Screen::start(command, 160, 40)
}

#[tokio::test]
async fn a_terminal_shows_the_readmes_question_and_answer() {
    let broker = TestBroker::embedded(0).await.unwrap();
    let mut screen = on_a_screen(&broker, &["predict", "1"]);
    screen.wait_for("\n> ");
    screen.type_line("c");
    screen.wait_for_block(README, "make lab5-predict STAGE=1");
    assert_eq!(screen.ended(), Some(0));
}

#[tokio::test]
async fn ctrl_d_and_ctrl_c_end_the_questions() {
    let broker = TestBroker::embedded(0).await.unwrap();
    let mut screen = on_a_screen(&broker, &["predict", "8"]);
    screen.wait_for("\n> ");
    screen.type_line("2");
    screen.wait_for("A batch whose batch_length is one too large?\n> ");
    screen.press_ctrl('d');
    screen.wait_for_block(README, "make lab5-predict STAGE=8");
    assert_eq!(screen.ended(), Some(0));

    let mut screen = on_a_screen(&broker, &["predict", "1"]);
    screen.wait_for("\n> ");
    screen.type_line("d");
    screen.wait_for("Type a, b or c.\n> ");
    screen.press_ctrl('d');
    screen.wait_for("\n>\u{20}\nNo answer. `make lab5-stage STAGE=1` shows what happens.");
    assert_eq!(screen.ended(), Some(0));

    let mut screen = on_a_screen(&broker, &["predict", "1"]);
    screen.wait_for("\n> ");
    screen.press_ctrl('c');
    screen.wait_for("\n> ^C\nStopped.");
    assert_eq!(screen.ended(), Some(0));
}

#[tokio::test]
async fn a_window_that_is_closed_ends_the_questions() {
    let broker = TestBroker::embedded(0).await.unwrap();
    let mut screen = on_a_screen(&broker, &["predict", "1"]);
    screen.wait_for("\n> ");
    screen.close();
    assert_eq!(screen.ended(), Some(0));
}
