//! Starting and stopping, as a library and as the program `mini-kafka`.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
};

use mini_kafka::{Broker, Error};

fn address(broker: &Broker) -> SocketAddr {
    broker.bootstrap_servers().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_brokers_run_in_one_process() {
    let mut brokers = Vec::new();
    for _ in 0..100 {
        brokers.push(Broker::start().await.unwrap());
    }
    let mut addresses: Vec<_> = brokers.iter().map(address).collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 100);
}

/// Closing a consumer blocks until the broker has answered; a broker on the runtime of the test would wait for it.
#[tokio::test]
async fn a_client_that_blocks_the_only_thread_of_the_test_is_served() {
    let broker = Broker::start().await.unwrap();
    let mut client = TcpStream::connect(broker.bootstrap_servers()).unwrap();
    client.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff]).unwrap();
    let mut answer = [0; 8];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(answer[4..], [0, 0, 0, 7]);
}

#[test]
fn a_test_without_a_runtime_can_have_a_broker() {
    let broker = Broker::builder().start_blocking().unwrap();
    TcpStream::connect(broker.bootstrap_servers()).unwrap();
}

#[test]
fn a_dropped_broker_has_freed_its_port() {
    let broker = Broker::builder().start_blocking().unwrap();
    let address = address(&broker);
    drop(broker);
    TcpListener::bind(address).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn both_loopbacks_are_served_on_one_port() {
    let broker = Broker::start().await.unwrap();
    let port = address(&broker).port();
    TcpStream::connect(("127.0.0.1", port)).unwrap();
    if TcpListener::bind(("::1", 0)).is_ok() {
        TcpStream::connect(("::1", port)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_on_every_address_tells_one_that_can_be_connected_to() {
    let broker = Broker::builder().host("0.0.0.0").start().await.unwrap();
    assert!(address(&broker).ip().is_loopback());
    TcpStream::connect(address(&broker)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_frees_the_port_and_closes_connections() {
    let broker = Broker::start().await.unwrap();
    let address = address(&broker);
    let mut client = TcpStream::connect(address).unwrap();
    broker.shutdown().await;
    // An end or, if the broker had not taken the connection up yet, a reset.
    assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)));
    TcpListener::bind(address).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_an_error_that_names_the_way_out() {
    let first = Broker::start().await.unwrap();
    let port = address(&first).port();
    let error = Broker::builder().port(port).start().await.unwrap_err();
    assert!(matches!(error, Error::Listen { .. }));
    assert_eq!(
        error.to_string(),
        format!(
            "Could not listen on 127.0.0.1 and ::1:{port}: something else has this port already. \
             Stop it, or choose another port (0 picks a free one)."
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_setting_or_topic_is_an_error() {
    let says = async |builder: mini_kafka::Builder| builder.start().await.unwrap_err().to_string();
    assert_eq!(
        says(Broker::builder().config("num.partition", "1")).await,
        r#"Unknown broker setting "num.partition". Did you mean num.partitions?"#
    );
    assert!(
        says(Broker::builder().topic("a b", 1)).await.starts_with("Topic name is invalid: 'a b'")
    );
    assert!(says(Broker::builder().topic("a", 0)).await.starts_with("Number of partitions"));
}

/// The program, killed at the end if it still runs.
struct Program(Child);

impl Program {
    fn start(args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mini-kafka"));
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.env_remove("RUST_LOG").env_remove("LOG_FORMAT").spawn().unwrap())
    }

    fn first_line(&mut self) -> String {
        let mut line = String::new();
        BufReader::new(self.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        line
    }

    /// Exit code and what was written to stderr.
    fn end(mut self) -> (Option<i32>, String) {
        let mut stderr = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (self.0.wait().unwrap().code(), stderr)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}

#[test]
fn the_program_tells_its_address_and_serves() {
    let mut program = Program::start(&["--port", "0", "--topic", "orders:2"]);
    let line = program.first_line();
    let address = line.trim().strip_prefix("BOOTSTRAP_SERVERS=").expect("the one stable line");
    TcpStream::connect(address).unwrap();
}

#[cfg(unix)]
#[test]
fn ctrl_c_and_sigterm_stop_the_program_with_code_0() {
    for signal in ["-INT", "-TERM"] {
        let mut program = Program::start(&["--port", "0"]);
        let line = program.first_line();
        // A client that is connected does not keep it from stopping.
        let _client =
            TcpStream::connect(line.trim().trim_start_matches("BOOTSTRAP_SERVERS=")).unwrap();
        assert!(
            Command::new("kill")
                .args([signal, &program.0.id().to_string()])
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(program.end().0, Some(0), "{signal}");
    }
}

#[test]
fn a_mistake_on_the_command_line_is_one_sentence() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (args, code, says) in [
        (&["--port", &port][..], 1, "something else has this port already"),
        (
            &["--port", "0", "--override", "num.partitions=none"],
            1,
            "Invalid value \"none\" for num.partitions.",
        ),
        (&["--port", "0", "--host", "192.0.2.1"], 1, "this machine has no such address"),
        (&["--port", "0", "--topic", "a b:1"], 1, "Topic name is invalid"),
        (&["--override", "num.partitions"], 2, "write it as KEY=VALUE"),
        (&["--topic", "orders"], 2, "write it as NAME:PARTITIONS"),
        (&["--prot", "0"], 2, "--port"),
    ] {
        let (ended, stderr) = Program::start(args).end();
        assert_eq!(ended, Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(says), "{args:?}: {stderr}");
    }
}

#[test]
fn logs_can_be_json() {
    let mut program = Program::start(&["--port", "0", "--log-format", "json"]);
    let address = program.first_line().trim().trim_start_matches("BOOTSTRAP_SERVERS=").to_owned();
    TcpStream::connect(address).unwrap().write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let stderr = BufReader::new(program.0.stderr.take().unwrap());
    let explained = stderr.lines().map(Result::unwrap).find(|line| line.contains("HTTP")).unwrap();
    assert!(explained.starts_with('{') && explained.ends_with('}'), "{explained}");
}
