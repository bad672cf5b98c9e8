//! What a trace shows of requests that are written by hand.
//!
//! A script in `trace/scripts` starts a broker with a trace and sends requests, in the language of
//! `wire_conformance.rs`; printed is what the trace shows of them.
//!
//! ```sh
//! UPDATE_GOLDENFILES=1 cargo test -p mini-kafka --test trace    # record anew
//! ```

#![allow(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    reason = "batches are written by hand, and a test stops where it fails"
)]

#[path = "wire_conformance/answer.rs"]
mod answer;
#[path = "wire_conformance/batch.rs"]
mod batch;
#[path = "wire_conformance/connection.rs"]
mod connection;
#[path = "wire_conformance/requests.rs"]
mod requests;

use std::{
    collections::HashMap,
    io::{self, Write},
    path::Path,
    sync::{Arc, Mutex},
};

use mini_kafka::{Broker, Format, Trace};
use test_each_file::test_each_path;

use crate::{answer::Aliases, connection::Connection, requests::Args};

test_each_path! { in "./broker/tests/trace/scripts" as scripts => run_script }

fn run_script(path: &Path) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut session = Session {
        runtime,
        broker: None,
        shown: Shown::default(),
        address: String::new(),
        suffix: String::new(),
        connections: HashMap::new(),
        aliases: Aliases::default(),
    };
    goldenscript::run(&mut session, path).unwrap();
}

/// One run of one script.
struct Session {
    runtime: tokio::runtime::Runtime,
    broker: Option<Broker>,
    shown: Shown,
    // What `requests.rs` wants to find:
    address: String,
    suffix: String,
    connections: HashMap<String, Connection>,
    aliases: Aliases,
}

/// Where a trace is written to.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<u8>>>);

impl Shown {
    /// What was written since the last call.
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

impl Write for Shown {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl goldenscript::Runner for Session {
    type Command = goldenscript::Command;

    fn run(
        &mut self,
        command: &goldenscript::Command,
        context: &goldenscript::Context,
    ) -> Result<String, Box<dyn std::error::Error>> {
        let mut args = Args::new(command);
        if command.name == "broker" {
            self.start(&mut args)?;
            args.reject_rest()?;
            return Ok(String::new());
        }
        let version = args.versions()?[0];
        let prefix = context.prefix.clone().unwrap_or_default();
        self.step(&prefix, &context.tags, &command.name, args, version)?;
        if context.tags.contains("later") {
            return Ok(String::new());
        }
        Ok(without_accidents(&self.shown.take()))
    }
}

impl Session {
    /// `broker [format=text] [api=NAME] [client=ID] [topic=NAME] [limit=120] [bytes=false] [topics=NAME]`
    fn start(&mut self, args: &mut Args) -> Result<(), Box<dyn std::error::Error>> {
        self.shown = Shown::default();
        let mut trace = Trace::to(self.shown.clone()).bytes(args.flag("bytes", false)?);
        trace = trace.format(match args.text("format").as_deref() {
            Some("json") => Format::Json,
            Some("short") => Format::Short,
            _ => Format::Text,
        });
        for api in args.text("api").iter().flat_map(|apis| apis.split(',')) {
            trace = match api.strip_prefix('!') {
                Some(hidden) => trace.except_api(hidden),
                None => trace.api(api),
            };
        }
        if let Some(client) = args.text("client") {
            trace = trace.client(client);
        }
        if let Some(topic) = args.text("topic") {
            trace = trace.topic(topic);
        }
        if let Some(limit) = args.text("limit") {
            trace = trace.limit(limit.parse()?);
        }
        let mut builder = Broker::builder().trace(trace);
        for topic in args.words() {
            builder = builder.topic(topic, 1);
        }
        self.connections.clear();
        self.broker = None;
        let broker = self.runtime.block_on(builder.start())?;
        self.address = broker.bootstrap_servers().to_owned();
        self.broker = Some(broker);
        Ok(())
    }
}

/// The trace without times, ports and random ids.
fn without_accidents(shown: &str) -> String {
    let mut shown = shown.to_owned();
    for start in [
        " after ",
        "from 127.0.0.1:",
        "\"remote\":\"127.0.0.1:",
        "\"micros\":",
        "port: ",
        "\"port\":",
    ] {
        let mut done = 0;
        while let Some(at) = shown[done..].find(start) {
            done += at + start.len();
            let is_number = |c: char| c.is_ascii_digit() || c == '.';
            let length = shown[done..].find(|c| !is_number(c)).unwrap_or(0);
            shown.replace_range(done..done + length, "…");
        }
    }
    let mut at = 0;
    while let Some(id) = shown.get(at..) {
        let Some(step) = id.find(|c: char| c.is_ascii_hexdigit()) else { break };
        at += step;
        if shown
            .get(at..at + 36)
            .is_some_and(|id| uuid::Uuid::parse_str(id).is_ok_and(|id| !id.is_nil()))
        {
            shown.replace_range(at..at + 36, "<id>");
        }
        at += 1;
    }
    shown.trim_end().to_owned()
}

/// Lines for tools are JSON, each of them, whatever was sent.
#[test]
fn every_line_of_json_is_an_object() {
    let shown = Shown::default();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let trace = Trace::to(shown.clone()).format(Format::Json).bytes(true);
    let broker =
        runtime.block_on(Broker::builder().topic("orders", 1).trace(trace).start()).unwrap();
    let mut connection = Connection::open(broker.bootstrap_servers());
    connection.send_header(18, 0, 1);
    connection.receive();
    connection.send_header(18, 99, 2); // a version that does not exist is answered
    connection.receive();
    // A client id that needs escapes, and a body that is cut off: the connection ends.
    connection.send_frame(b"\x00\x03\x00\x01\x00\x00\x00\x07\x00\x04\"\n\\\x1b\x7f\xff\xff\xff");
    assert!(matches!(connection.receive(), connection::Frame::Closed));

    let shown = shown.take();
    let lines: Vec<serde_json::Value> =
        shown.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert_eq!(lines.len(), 3, "{shown}");
    for line in &lines {
        assert!(line["api"].is_string() && line["request"].is_object(), "{line}");
        assert!(line["micros"].is_u64() && line["request_fields"].is_array(), "{line}");
    }
    assert_eq!(lines[1]["answer"]["error_code_name"], "UNSUPPORTED_VERSION");
    assert_eq!(lines[2]["client_id"], "\"\n\\\u{1b}");
    assert!(lines[2]["ended"].is_string() && lines[2]["answer"].is_null(), "{}", lines[2]);
}

/// Whoever reads the trace may leave: the broker goes on.
#[test]
fn a_trace_that_cannot_be_written_stops_nothing() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let broker = runtime.block_on(Broker::builder().trace(Trace::to(Gone)).start()).unwrap();
    let mut connection = Connection::open(broker.bootstrap_servers());
    for _ in 0..3 {
        connection.send_header(18, 0, 1);
        assert!(matches!(connection.receive(), connection::Frame::Answer(_)));
    }
}
