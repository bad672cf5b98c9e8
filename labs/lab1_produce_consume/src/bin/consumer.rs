//! Reads the topic as a member of a consumer group. Ctrl-C ends it.

use clap::Parser;
use lab1_produce_consume::consume::Received;
use lab1_produce_consume::{CHOSEN_BY, CONSUMER, Lab};
use rdkafka::Offset;
use serde_json::json;
use shared::client::Cluster;
use shared::config::{Client, Config, Flags};
use shared::consume::{Event, From, Limits, consume};
use shared::report::Partitions;
use shared::shutdown::Shutdown;
use shared::{report, topic};
use std::process::ExitCode;
use std::time::Duration;

/// Print every message with its place, its key and how its partition was chosen
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    flags: Flags,

    /// The consumer group
    #[arg(short, long, value_name = "NAME")]
    group: Option<String>,

    /// Read this partition only, without sharing the work in the group
    #[arg(short, long, value_name = "N")]
    partition: Option<i32>,

    /// Begin with the oldest message, whatever the group has read before
    #[arg(long)]
    from_beginning: bool,

    /// Stop after so many messages
    #[arg(short = 'n', long, value_name = "N")]
    max_messages: Option<u64>,

    /// Stop at the end of all partitions
    #[arg(short, long)]
    exit_at_end: bool,

    /// Stop when no message came for so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    idle_timeout: Option<Duration>,

    /// json: one object a line
    #[arg(short = 'O', long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Text,
    Json,
}

/// `5` or `5s` or `0.5`.
fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 =
        text.trim_end_matches('s').parse().map_err(|_| "a number of seconds, as in 5")?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}

fn main() -> ExitCode {
    let args = Args::parse();
    shared::run(&args.flags, |shutdown| consumer(&args, shutdown))
}

async fn consumer(args: &Args, shutdown: Shutdown) -> anyhow::Result<ExitCode> {
    let mut config: Config<Lab> = Config::load(&CONSUMER, &args.flags)?;
    if let Some(group) = &args.group {
        config.set(Client::Consumer, "group.id", group, "--group")?;
    }
    if args.exit_at_end {
        config.set(Client::Consumer, "enable.partition.eof", "true", "--exit-at-end")?;
    }
    if let Some(text) = config.asked(&CONSUMER, &args.flags)? {
        report::data(text.trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }

    let cluster = Cluster::connect(&config).await?;
    let topic = topic::ensure(&cluster, &config.topic).await?;
    args.partition.map_or(Ok(()), |partition| topic.has(partition))?;
    report::note(shared::banner(&config, &cluster, &topic, None));

    let start = args.from_beginning.then_some(Offset::Beginning);
    let from = match args.partition {
        Some(partition) => From::Partition(partition, start),
        None => From::Group(start),
    };
    let limits = Limits {
        max_messages: args.max_messages,
        at_end: args.exit_at_end,
        idle: args.idle_timeout,
    };
    let mut read = Partitions::default();
    consume(&config, &cluster, from, limits, &shutdown, |event| {
        match event {
            Event::Message(message) => {
                let message = Received::from(message);
                read.add(message.partition, message.offset);
                report::data(match args.output {
                    Output::Text => line(&message, args.flags.plain),
                    Output::Json => object(&message),
                })?;
            }
            Event::Rebalance(rebalance) => report::note(rebalance),
            Event::News(sentence) => report::note(sentence),
        }
        Ok(())
    })
    .await?;
    let count = report::count(read.records(), "message");
    report::note(format!("Read {count}.\n{}", read.lines(&config.topic.name)).trim_end());
    Ok(ExitCode::SUCCESS)
}

/// `lab1[2]@0 → u1 click 10  key=u1 crc32 % 3 = 2`, with what the producer wrote into the header.
fn line(message: &Received, plain: bool) -> String {
    let Received { topic, partition, offset, key, value, .. } = message;
    let place = report::place(topic, *partition, *offset);
    let value = value.as_deref().map_or("null".to_owned(), report::text);
    let key =
        key.as_deref().map_or("no key,".to_owned(), |key| format!("key={}", report::text(key)));
    let chosen = message.header(CHOSEN_BY).map_or("no header chosen-by".to_owned(), report::text);
    format!("{place} {} {value}  {key} {chosen}", report::arrow(plain))
}

/// Bytes that are no UTF-8 are replaced: JSON has no bytes.
fn object(message: &Received) -> String {
    let text = |bytes: &Option<Vec<u8>>| {
        bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    };
    let headers: serde_json::Map<_, _> =
        message.headers.iter().map(|(name, value)| (name.clone(), json!(text(value)))).collect();
    let object = json!({
        "topic": message.topic, "partition": message.partition, "offset": message.offset,
        "timestamp": message.timestamp, "key": text(&message.key), "value": text(&message.value), "headers": headers,
    });
    report::json(&object.to_string())
}
