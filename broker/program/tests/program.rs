//! Starting and stopping, as the program `mini-kafka`.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

#[allow(dead_code, reason = "the attackers need more of it")]
#[path = "../../tests/hostile/client.rs"]
mod client;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "../../tests/memory_limit/full.rs"]
mod full;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

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

/// A line for each of a thousand tries would hide it.
#[cfg(unix)]
#[test]
fn the_memory_limit_is_told_once_with_its_remedy() {
    let mut program =
        Program::start(&["--port", "0", "--topic", "orders:1", "--memory-limit", "100K"]);
    let line = program.first_line();
    let mut client = client::Client::connect(line.trim().trim_start_matches("BOOTSTRAP_SERVERS="));
    assert_eq!(full::send(&mut client, "orders", 0, 60_000), 0);
    for _ in 0..100 {
        assert_ne!(full::send(&mut client, "orders", 0, 60_000), 0);
    }
    Command::new("kill").args(["-TERM", &program.0.id().to_string()]).status().unwrap();
    let (_, stderr) = program.end();
    assert_eq!(stderr.matches("--memory-limit").count(), 1, "{stderr}");
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

#[cfg(unix)]
fn signal(program: &Program, signal: &str) {
    let pid = program.0.id().to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
}

/// OffsetFetch, version 5, for 800,000 partitions of a topic.
#[cfg(unix)]
fn long_request() -> Vec<u8> {
    const PARTITIONS: u32 = 800_000;
    let mut request = vec![0, 9, 0, 5, 0, 0, 0, 7, 0xff, 0xff, 0, 1, b'g', 0, 0, 0, 1, 0, 1, b't'];
    request.extend(PARTITIONS.to_be_bytes());
    request.extend((0..PARTITIONS).flat_map(u32::to_be_bytes));
    [&u32::try_from(request.len()).unwrap().to_be_bytes(), &request[..]].concat()
}

#[cfg(unix)]
#[test]
fn the_program_stops_without_waiting_for_a_long_handler() {
    let mut program = Program::start(&["--port", "0"]);
    let address = program.first_line().trim().trim_start_matches("BOOTSTRAP_SERVERS=").to_owned();
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(&long_request()).unwrap();
    // The handler runs meanwhile.
    client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(client.read(&mut [0]).is_err());
    signal(&program, "-TERM");
    assert_eq!(program.end().0, Some(0));
    assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)), "nobody waited for the answer");
}

/// The reader of the trace stands still, so at the end the program waits for it a little; a second signal does not.
#[cfg(unix)]
#[test]
fn a_second_signal_ends_the_program_at_once() {
    let mut program = Program::start(&["--port", "0", "--trace"]);
    let address = program.first_line().trim().trim_start_matches("BOOTSTRAP_SERVERS=").to_owned();
    let mut client = TcpStream::connect(address).unwrap();
    for _ in 0..200 {
        client.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff]).unwrap();
        let mut length = [0; 4];
        client.read_exact(&mut length).unwrap();
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        client.read_exact(&mut answer).unwrap();
    }
    signal(&program, "-TERM");
    assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)), "the broker has stopped");
    signal(&program, "-TERM");
    assert_eq!(program.0.wait().unwrap().code(), Some(1));
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

/// JoinGroup, version 0: the client id becomes part of the member id, which the log tells.
#[cfg(unix)]
#[test]
fn a_newline_in_a_client_id_forges_no_line_of_the_log_or_the_trace() {
    let mut program = Program::start(&["--port", "0", "--trace"]);
    let address = program.first_line().trim().trim_start_matches("BOOTSTRAP_SERVERS=").to_owned();
    let mut request = vec![0, 11, 0, 0, 0, 0, 0, 7, 0, 8];
    request.extend(b"x\nFORGED");
    request.extend([0, 1, b'g', 0, 0, 0x75, 0x30, 0, 0, 0, 1, b'c', 0, 0, 0, 1, 0, 1, b'r']);
    request.extend([0, 0, 0, 0]);
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(&u32::try_from(request.len()).unwrap().to_be_bytes()).unwrap();
    client.write_all(&request).unwrap();
    client.read_exact(&mut [0; 10]).unwrap();
    signal(&program, "-TERM");
    let mut stdout = String::new();
    program.0.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    let (_, stderr) = program.end();
    for text in [stdout, stderr] {
        assert!(text.contains("FORGED"), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("FORGED")), "{text}");
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

/// `mini-kafka --trace | less`: a pager reads a page and stops.
#[test]
fn a_reader_of_the_trace_that_stands_still_holds_up_no_client() {
    let mut program = Program::start(&["--port", "0", "--trace"]);
    let address = program.first_line().trim().trim_start_matches("BOOTSTRAP_SERVERS=").to_owned();
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // Each answer is some kilobytes of trace, so a pipe of 64 KiB is full long before the end.
    for _ in 0..200 {
        ask_for_versions(&mut client);
    }
}

/// With JSON, stdout is for tools alone; when they leave, the broker stays.
#[test]
fn a_trace_in_json_is_nothing_but_json_and_survives_a_closed_pipe() {
    let mut program = Program::start(&["--port", "0", "--trace-format", "json"]);
    let mut lines = BufReader::new(program.0.stderr.take().unwrap()).lines().map(Result::unwrap);
    let address =
        lines.find_map(|line| Some(line.split_once("BOOTSTRAP_SERVERS=")?.1.to_owned())).unwrap();
    // The log goes on being read.
    std::thread::spawn(move || lines.for_each(drop));
    let mut client = TcpStream::connect(address).unwrap();
    let mut stdout = BufReader::new(program.0.stdout.take().unwrap());
    for _ in 0..2 {
        ask_for_versions(&mut client);
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let line: serde_json::Value = serde_json::from_str(&line).expect("JSON and nothing else");
        assert_eq!(line["api"], "ApiVersions");
    }
    drop(stdout);
    for _ in 0..3 {
        ask_for_versions(&mut client);
    }
    assert!(program.0.try_wait().unwrap().is_none(), "the broker still runs");
}

/// Sends an ApiVersions request of version 0, and reads the answer.
fn ask_for_versions(client: &mut TcpStream) {
    client.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff]).unwrap();
    let mut length = [0; 4];
    client.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    client.read_exact(&mut answer).unwrap();
}
