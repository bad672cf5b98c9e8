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

/// How long an answer may take before it counts as missing.
const PATIENCE: Duration = Duration::from_secs(10);

/// The program, killed at the end if it still runs.
struct Program(Child);

impl Program {
    fn start(args: &[&str]) -> Self {
        Self::spawn(Command::new(env!("CARGO_BIN_EXE_mini-kafka")).args(args))
    }

    fn spawn(command: &mut Command) -> Self {
        Self::spawn_as_it_is(command.env_remove("RUST_LOG").env_remove("LOG_FORMAT"))
    }

    fn spawn_as_it_is(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    fn first_line(&mut self) -> String {
        let mut line = String::new();
        BufReader::new(self.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        line
    }

    fn address(&mut self) -> String {
        let line = self.first_line();
        line.trim().strip_prefix("BOOTSTRAP_SERVERS=").expect("the one stable line").to_owned()
    }

    #[cfg(unix)]
    fn signal(&self, signal: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
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
    TcpStream::connect(program.address()).unwrap();
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

/// SIGHUP comes when somebody closes the terminal.
#[cfg(unix)]
#[test]
fn ctrl_c_sigterm_and_a_closed_terminal_stop_the_program_with_code_0() {
    for signal in ["-INT", "-TERM", "-HUP"] {
        let mut program = Program::start(&["--port", "0"]);
        // A client that is connected does not keep it from stopping.
        let _client = TcpStream::connect(program.address()).unwrap();
        program.signal(signal);
        assert_eq!(program.end().0, Some(0), "{signal}");
    }
}

/// `nohup mini-kafka &` shall outlive its terminal.
#[cfg(target_os = "linux")]
#[test]
fn under_nohup_a_closed_terminal_stops_nothing() {
    let mut command = Command::new("nohup");
    command.arg(env!("CARGO_BIN_EXE_mini-kafka")).args(["--port", "0"]);
    let mut program = Program::spawn(&mut command);
    let address = program.address();
    program.signal("-HUP");
    for _ in 0..3 {
        ask_for_versions(&mut TcpStream::connect(&address).unwrap());
    }
    program.signal("-INT");
    assert_eq!(program.end().0, Some(0));
}

/// Logs that nobody reads fill their pipe: that must not hold up a client, nor the end.
#[cfg(unix)]
#[test]
fn a_stderr_that_nobody_reads_holds_up_nobody() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mini-kafka"));
    command.args(["--port", "0"]).env("RUST_LOG", "trace");
    let mut program = Program::spawn_as_it_is(&mut command);
    let mut client = TcpStream::connect(program.address()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    // Each request logs two lines or more, and a pipe takes 64 KiB.
    for _ in 0..2_000 {
        ask_for_versions(&mut client);
    }
    program.signal("-INT");
    assert_eq!(program.0.wait().unwrap().code(), Some(0));
    // Whoever reads at last learns that lines are missing, or finds all of them.
    let mut read = String::new();
    program.0.stderr.take().unwrap().read_to_string(&mut read).unwrap();
    assert!(read.starts_with("20"), "the log begins with a date: {read:.80}");
}

/// `mini-kafka 2>&1 >/dev/null | true`, and the same with stdout: nobody is there to read.
#[cfg(unix)]
#[test]
fn closed_outputs_stop_nothing() {
    for format in ["text", "json"] {
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_mini-kafka"));
        command.args(["--port", &port.to_string(), "--trace", "--log-format", format]);
        let mut program = Program::spawn_as_it_is(command.env("RUST_LOG", "debug"));
        drop((program.0.stdout.take(), program.0.stderr.take()));
        let mut client = loop {
            match TcpStream::connect(("127.0.0.1", port)) {
                Ok(client) => break client,
                Err(_) => assert!(program.0.try_wait().unwrap().is_none(), "the program ended"),
            }
        };
        for _ in 0..10 {
            ask_for_versions(&mut client);
        }
        program.signal("-TERM");
        assert_eq!(program.0.wait().unwrap().code(), Some(0), "{format}");
    }
}

#[cfg(unix)]
#[test]
fn a_mistake_is_told_to_nobody_without_a_panic() {
    for arguments in ["--port 99999", "--host 192.0.2.1 --port 0", "decode 00", "--help"] {
        let script = format!("exec \"$0\" {arguments} 2>&1 | true");
        let mut command = Command::new("bash");
        command.args(["-c", &format!("{script}; exit ${{PIPESTATUS[0]}}")]);
        command.arg(env!("CARGO_BIN_EXE_mini-kafka"));
        let code = Program::spawn(&mut command).end().0;
        assert!(matches!(code, Some(0..=2)), "{arguments}: {code:?}");
    }
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
    let mut client = TcpStream::connect(program.address()).unwrap();
    client.write_all(&long_request()).unwrap();
    // The handler runs meanwhile.
    client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(client.read(&mut [0]).is_err());
    program.signal("-TERM");
    assert_eq!(program.end().0, Some(0));
    assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)), "nobody waited for the answer");
}

/// The reader of the trace stands still, so at the end the program waits for it a little; a second signal does not.
#[cfg(unix)]
#[test]
fn a_second_signal_ends_the_program_at_once() {
    let mut program = Program::start(&["--port", "0", "--trace"]);
    let mut client = TcpStream::connect(program.address()).unwrap();
    for _ in 0..200 {
        ask_for_versions(&mut client);
    }
    program.signal("-TERM");
    assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)), "the broker has stopped");
    program.signal("-TERM");
    assert_eq!(program.0.wait().unwrap().code(), Some(1));
}

#[test]
fn a_mistake_on_the_command_line_is_one_sentence() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (args, code, says) in [
        (&["--port", &port][..], 1, "another program uses this port already"),
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
    program.signal("-TERM");
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
    let line = program.first_line();
    let line: serde_json::Value = serde_json::from_str(&line).expect("the ready line is JSON too");
    let address = line["bootstrap_servers"].as_str().unwrap();
    TcpStream::connect(address).unwrap().write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let stderr = BufReader::new(program.0.stderr.take().unwrap());
    let lines =
        stderr.lines().map(|line| serde_json::from_str::<serde_json::Value>(&line.unwrap()));
    let mut messages = lines.map(|line| line.expect("JSON")["message"].to_string());
    assert!(messages.any(|message| message.contains("HTTP")));
}

/// So `mini-kafka 2>&1 | jq` does not fail when the broker does not start.
#[test]
fn with_json_a_mistake_is_json_too() {
    let arguments = ["--log-format", "json", "--port", "0", "--override", "num.partitions=none"];
    let (code, stderr) = Program::start(&arguments).end();
    let line: serde_json::Value = serde_json::from_str(&stderr).expect("JSON and nothing else");
    assert!(line["message"].as_str().unwrap().starts_with("Invalid value"), "{line}");
    assert_eq!((code, line["level"].as_str()), (Some(1), Some("ERROR")));
}

#[test]
fn trace_logs_more_than_debug() {
    let logged = |level: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mini-kafka"));
        let mut program = Program::spawn_as_it_is(
            command.args(["--port", "0"]).env("RUST_LOG", level).env_remove("LOG_FORMAT"),
        );
        ask_for_versions(&mut TcpStream::connect(program.address()).unwrap());
        program.signal("-INT");
        program.end().1
    };
    let [debug, trace] = ["debug", "trace"].map(logged);
    assert!(debug.contains("ApiVersions") && !debug.contains("TRACE"), "{debug}");
    assert!(trace.contains("TRACE") && trace.contains("ApiVersions v0"), "{trace}");
}

/// `mini-kafka --trace | less`: a pager reads a page and stops.
#[test]
fn a_reader_of_the_trace_that_stands_still_holds_up_no_client() {
    let mut program = Program::start(&["--port", "0", "--trace"]);
    let mut client = TcpStream::connect(program.address()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
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
    let address = lines.find_map(|line| Some(line.strip_prefix("BOOTSTRAP_SERVERS=")?.to_owned()));
    let mut client = TcpStream::connect(address.unwrap()).unwrap();
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

/// What `decode` makes of its standard input.
fn decode(arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mini-kafka"));
    command.arg("decode").args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn decode_tells_by_its_exit_code_whether_everything_fits() {
    let request = "0000000a 0012 0000 00000007 ffff";
    let (code, stdout, _) = decode(&[], &format!("{request}\n{request}\n"));
    assert_eq!((code, stdout.matches("ApiVersionsRequest").count()), (Some(0), 2), "{stdout}");
    for (arguments, input, says) in [
        (&[][..], "0000000b 0012 0000 00000007 ffff", "the length says 11"),
        (&[], "0012 0000 00000007 ffff 00", "1 bytes follow that mean nothing"),
        (
            &["--answer-to", "ApiVersions:0"],
            "00000007 0000 00000001 0012 0000",
            "1 elements take at least 6 bytes",
        ),
    ] {
        let (code, stdout, stderr) = decode(arguments, input);
        assert!(stdout.contains(says), "{input}: {stdout}");
        assert_eq!(code, Some(1), "{input}");
        assert!(stderr.contains("The lines that begin with `!` say where."), "{stderr}");
    }
}

/// What the usual tools print of a frame is read, or refused by name.
#[test]
fn decode_reads_what_the_usual_tools_print() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join("frame-for-dumps");
    std::fs::write(&file, b"\x00\x00\x00\x17\x00\x12\x00\x00\x00\x00\x00\x07\x00\x0da|b  cd  ef|g")
        .unwrap();
    let expected = "client_id: \"a|b  cd  ef|g\"";
    for dump in
        ["xxd", "xxd -p", "xxd -c 8", "hexdump -C", "od -A x -t x1", "od -A x -t x1z", "od -t x1"]
    {
        let mut words = dump.split(' ');
        let Ok(printed) = Command::new(words.next().unwrap()).args(words).arg(&file).output()
        else {
            continue; // There is no such tool on this machine.
        };
        let printed = String::from_utf8(printed.stdout).unwrap();
        let (code, stdout, stderr) = decode(&[], &printed);
        assert!(code == Some(0) && stdout.contains(expected), "{dump}: {printed}{stdout}{stderr}");
    }
    for dump in ["hexdump", "od"] {
        let Ok(printed) = Command::new(dump).arg(&file).output() else { continue };
        let (code, _, stderr) = decode(&[], &String::from_utf8(printed.stdout).unwrap());
        assert!(code == Some(1) && stderr.contains("default format of hexdump or od"), "{stderr}");
    }
}
