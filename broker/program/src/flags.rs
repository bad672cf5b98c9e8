//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use mini_kafka::{Format, Trace};

use crate::memory;

/// An Apache Kafka in memory, for tests and for learning. It needs no JVM and no Docker. Stopping it deletes all data.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Logs go to stderr. RUST_LOG=debug logs every request. RUST_LOG=trace also logs\n\
    its topics and its answer.\n\
    Example: mini-kafka --port 0 --topic orders:3 --override auto.create.topics.enable=false"
)]
pub(crate) struct Flags {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// The port to listen on. 0 picks a free one.
    #[arg(short, long, default_value_t = 9092)]
    pub(crate) port: u16,

    /// The address to listen on [default: 127.0.0.1 and ::1].
    #[arg(long)]
    pub(crate) host: Option<String>,

    /// A broker setting under Kafka's name, such as num.partitions=6. May be repeated.
    #[arg(long = "override", value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) overrides: Vec<(String, String)>,

    /// A topic to create at the start. May be repeated.
    #[arg(long = "topic", value_name = "NAME:PARTITIONS", value_parser = topic)]
    pub(crate) topics: Vec<(String, i32)>,

    /// How much memory records may take, such as 512M or none [default: half of the machine's or the container's].
    #[arg(long, value_name = "SIZE", value_parser = memory::Limit::parse)]
    pub(crate) memory_limit: Option<memory::Limit>,

    /// The format of logs. With json, the line with the address is JSON too.
    #[arg(long, value_enum, default_value_t = LogFormat::Text, env = "LOG_FORMAT")]
    pub(crate) log_format: LogFormat,

    #[command(flatten)]
    pub(crate) trace: TraceFlags,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Explain frames: each field with its position, its bytes, its value and its purpose.
    ///
    /// Reads plain hexadecimal and the output of xxd, hexdump -C, tshark -x and Wireshark. Several frames may follow
    /// each other if each begins with its length. The exit code is 1 if some bytes do not fit.
    Decode {
        /// The bytes in hexadecimal, or a dump of them [default: stdin].
        hex: Vec<String>,

        /// Read them as the answer to a request of this API and version, such as Fetch:11.
        #[arg(long, value_name = "API:VERSION", value_parser = api_version)]
        answer_to: Option<(String, i16)>,
    },
}

/// Show requests and answers on stdout. Each of these flags switches the trace on.
#[derive(Args, Debug)]
#[command(next_help_heading = "Trace")]
pub(crate) struct TraceFlags {
    /// Show every request and its answer on stdout.
    #[arg(long)]
    trace: bool,

    /// How requests and answers are shown.
    #[arg(long, value_enum)]
    pub(crate) trace_format: Option<TraceFormat>,

    /// Show only this API (kind of request), such as Produce. '!Produce' shows all others. May be repeated.
    #[arg(long, value_name = "API", value_parser = api_name)]
    trace_api: Vec<String>,

    /// Show only clients with this client.id. A * at the end stands for anything.
    #[arg(long, value_name = "CLIENT_ID")]
    trace_client: Option<String>,

    /// Show only requests about this topic.
    #[arg(long, value_name = "TOPIC")]
    trace_topic: Option<String>,

    /// Show at most so many characters of a value, and so many records of a request or answer [default: 120].
    #[arg(long, value_name = "COUNT")]
    trace_limit: Option<usize>,

    /// Show each field with its position in the frame, its bytes and its purpose.
    #[arg(long)]
    trace_bytes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TraceFormat {
    /// All fields, on indented lines.
    Text,
    /// One line for each request and its answer.
    Short,
    /// One JSON object for each request and its answer.
    Json,
}

impl TraceFlags {
    /// The trace that the flags ask for, if they ask for one.
    pub(crate) fn trace(self, out: impl std::io::Write + Send + 'static) -> Option<Trace> {
        let Self {
            trace,
            trace_format,
            trace_api,
            trace_client,
            trace_topic,
            trace_limit,
            trace_bytes,
        } = self;
        let is_on = trace
            || trace_bytes
            || trace_format.is_some()
            || !trace_api.is_empty()
            || [&trace_client, &trace_topic].into_iter().any(Option::is_some)
            || trace_limit.is_some();
        is_on.then_some(())?;
        let mut shown = Trace::to(out).bytes(trace_bytes).format(match trace_format {
            None | Some(TraceFormat::Text) => Format::Text,
            Some(TraceFormat::Short) => Format::Short,
            Some(TraceFormat::Json) => Format::Json,
        });
        for api in trace_api {
            shown = match api.strip_prefix('!') {
                Some(hidden) => shown.except_api(hidden),
                None => shown.api(api),
            };
        }
        if let Some(client) = trace_client {
            shown = shown.client(client);
        }
        if let Some(topic) = trace_topic {
            shown = shown.topic(topic);
        }
        if let Some(limit) = trace_limit {
            shown = shown.limit(limit);
        }
        Some(shown)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object on each line, for tools.
    Json,
}

fn api_name(text: &str) -> Result<String, String> {
    let (sign, name) = text.split_at(usize::from(text.starts_with('!')));
    let apis = mini_kafka::apis();
    match apis.iter().find(|api| api.name.eq_ignore_ascii_case(name)) {
        Some(api) => Ok(format!("{sign}{}", api.name)),
        None => {
            let names: Vec<&str> = apis.iter().map(|api| api.name).collect();
            Err(format!("this broker serves {}", names.join(", ")))
        }
    }
}

fn api_version(text: &str) -> Result<(String, i16), String> {
    let parsed = text
        .rsplit_once(':')
        .and_then(|(name, version)| Some((name.to_owned(), version.parse().ok()?)));
    parsed.ok_or_else(|| "write it as API:VERSION, such as Fetch:11".to_owned())
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) =
        text.split_once('=').ok_or("write it as KEY=VALUE, such as num.partitions=6")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

fn topic(text: &str) -> Result<(String, i32), String> {
    let parsed = text
        .rsplit_once(':')
        .and_then(|(name, count)| Some((name.to_owned(), count.parse().ok()?)));
    parsed.ok_or_else(|| "write it as NAME:PARTITIONS, such as orders:3".to_owned())
}
