//! How many instructions a request costs, counted by valgrind and so the same on a busy machine and on an idle one.
//!
//! ```sh
//! cargo bench -p mini-kafka --bench instructions                          # counts
//! cargo bench -p mini-kafka --bench instructions -- --save base.txt       # and keeps the figures
//! cargo bench -p mini-kafka --bench instructions -- --against base.txt    # fails if one grew by more than 3 %
//! ```
//!
//! A whole broker runs under valgrind and answers real frames over loopback. So a figure holds all that a request
//! passes: socket, wire, api, log and the way back. Each case runs twice, with few and with many requests; what
//! starting costs is the same in both and falls out of the difference. Compare figures of one toolchain only.

#![allow(clippy::unwrap_used, reason = "a bench stops where it fails")]

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Command, ExitCode, Stdio},
};

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::{
    indexmap::IndexMap,
    messages::{
        FetchRequest, MetadataRequest, ProduceRequest, RequestHeader,
        fetch_request::{FetchPartition, FetchTopic},
        metadata_request::MetadataRequestTopic,
        produce_request::{PartitionProduceData, TopicProduceData},
    },
    protocol::{Encodable, Request, StrBytes},
    records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType},
};
use mini_kafka::Broker;

/// How much a figure may grow.
const ALLOWED_PERCENT: f64 = 3.0;
const FEW: u64 = 300;
const MANY: u64 = 1_300;

const TOPIC: &str = "orders";

/// A request to repeat, and what is produced before.
struct Case {
    name: &'static str,
    /// Batches that lie in the log when the counting begins.
    before: u64,
    prepare: fn() -> Bytes,
    request: fn() -> Bytes,
}

const CASES: &[Case] = &[
    Case { name: "produce 1 record", before: 1, prepare: || produce(1), request: || produce(1) },
    Case {
        name: "produce 100 records",
        before: 1,
        prepare: || produce(100),
        request: || produce(100),
    },
    Case { name: "fetch nothing", before: 1, prepare: || produce(1), request: || fetch(1) },
    Case { name: "fetch 1 batch of 1", before: 1, prepare: || produce(1), request: || fetch(0) },
    Case {
        name: "fetch 20 batches of 10",
        before: 20,
        prepare: || produce(10),
        request: || fetch(0),
    },
];

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => serve(),
        [] => print(&count()),
        ["--save", path] => {
            let figures = count();
            print(&figures);
            let lines = figures.iter().map(|(name, figure)| format!("{figure} {name}\n"));
            fs::write(path, lines.collect::<String>()).unwrap();
        }
        ["--against", path] => return compare(path),
        _ => {
            eprintln!("Flags: --save FILE, or --against FILE.");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn print(figures: &BTreeMap<String, u64>) {
    for (name, figure) in figures {
        println!("{figure:>9} {name}");
    }
}

fn compare(path: &str) -> ExitCode {
    let base: BTreeMap<String, u64> = fs::read_to_string(path)
        .unwrap()
        .lines()
        .filter_map(|line| line.trim().split_once(' '))
        .map(|(figure, name)| (name.to_owned(), figure.parse().unwrap()))
        .collect();
    let mut is_fine = true;
    for (name, figure) in count() {
        let Some(base) = base.get(&name) else {
            println!("{figure:>9} {name} (new)");
            continue;
        };
        #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let percent = (figure as f64 / *base as f64 - 1.0) * 100.0;
        let verdict = if percent > ALLOWED_PERCENT { "  TOO MUCH" } else { "" };
        println!("{figure:>9} {name}: {percent:+.1} % of {base}{verdict}");
        is_fine &= percent <= ALLOWED_PERCENT;
    }
    if is_fine {
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "A request costs over {ALLOWED_PERCENT} % more instructions than before. Make it cheaper, or say why."
    );
    ExitCode::FAILURE
}

/// Instructions per request of every case.
fn count() -> BTreeMap<String, u64> {
    let per_request = |case: &Case| (run(case, MANY) - run(case, FEW)) / (MANY - FEW);
    CASES.iter().map(|case| (case.name.to_owned(), per_request(case))).collect()
}

/// Instructions of a whole broker that answers the request so many times.
fn run(case: &Case, times: u64) -> u64 {
    let mut broker = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"])
        .arg(env::current_exe().unwrap())
        .arg("serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("valgrind counts the instructions; install it: apt-get install valgrind");
    let mut address = String::new();
    BufReader::new(broker.stdout.as_mut().unwrap()).read_line(&mut address).unwrap();

    let mut client = TcpStream::connect(address.trim_end()).unwrap();
    client.set_nodelay(true).unwrap();
    ask(&mut client, &metadata());
    for _ in 0..case.before {
        ask(&mut client, &(case.prepare)());
    }
    let request = (case.request)();
    for _ in 0..times {
        ask(&mut client, &request);
    }
    drop(client);
    drop(broker.stdin.take());

    let output = broker.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let refs = said.lines().find_map(|line| line.split_once("I   refs:")).expect("a total");
    refs.1.trim().replace(',', "").parse().unwrap()
}

/// The broker under valgrind: until its stdin ends.
fn serve() {
    let broker = Broker::builder().config("num.partitions", "1").start_blocking().unwrap();
    println!("{}", broker.bootstrap_servers());
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

fn ask(client: &mut TcpStream, frame: &[u8]) {
    client.write_all(frame).unwrap();
    let mut len = [0; 4];
    client.read_exact(&mut len).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(len) as usize];
    client.read_exact(&mut answer).unwrap();
}

fn metadata() -> Bytes {
    let topic =
        MetadataRequestTopic::default().with_name(Some(StrBytes::from_static_str(TOPIC).into()));
    let request = MetadataRequest::default()
        .with_topics(Some(vec![topic]))
        .with_allow_auto_topic_creation(true);
    frame(&request, 9)
}

/// A batch of records of 100 bytes.
fn produce(records: i32) -> Bytes {
    let partition =
        PartitionProduceData::default().with_index(0).with_records(Some(batch(records)));
    let topic = TopicProduceData::default()
        .with_name(StrBytes::from_static_str(TOPIC).into())
        .with_partition_data(vec![partition]);
    let request =
        ProduceRequest::default().with_acks(-1).with_timeout_ms(1_000).with_topic_data(vec![topic]);
    frame(&request, 9)
}

fn fetch(offset: i64) -> Bytes {
    let partition = FetchPartition::default()
        .with_partition(0)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1_048_576);
    let topic = FetchTopic::default()
        .with_topic(StrBytes::from_static_str(TOPIC).into())
        .with_partitions(vec![partition]);
    let request = FetchRequest::default()
        .with_max_wait_ms(0)
        .with_min_bytes(1)
        .with_max_bytes(10_000_000)
        .with_session_epoch(-1)
        .with_topics(vec![topic]);
    frame(&request, 12)
}

fn batch(records: i32) -> Bytes {
    let records: Vec<Record> = (0..records)
        .map(|i| Record {
            transactional: false,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: -1,
            producer_id: -1,
            producer_epoch: -1,
            timestamp_type: TimestampType::Creation,
            offset: i.into(),
            sequence: i,
            timestamp: 1_000 + i64::from(i),
            key: Some(Bytes::from(format!("key-{i}"))),
            value: Some(Bytes::from(vec![b'x'; 100])),
            headers: IndexMap::new(),
        })
        .collect();
    let mut bytes = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut bytes, &records, &options).unwrap();
    bytes.freeze()
}

fn frame<R: Request>(request: &R, version: i16) -> Bytes {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(7)
        .with_client_id(Some(StrBytes::from_static_str("instructions")));
    let mut body = BytesMut::new();
    header.encode(&mut body, R::header_version(version)).unwrap();
    request.encode(&mut body, version).unwrap();
    let mut frame = BytesMut::new();
    frame.put_u32(u32::try_from(body.len()).unwrap());
    frame.put(body);
    frame.freeze()
}
