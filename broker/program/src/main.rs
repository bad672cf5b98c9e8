//! `mini-kafka`: flags → [`Builder`](mini_kafka::Builder) → serve until Ctrl-C.

mod hex;
mod memory;
mod signals;

use std::{io::Write, num::NonZero, process::ExitCode};

use self::signals::Signals;
use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};
use mini_kafka::{Broker, Format, Trace};
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::EnvFilter;

/// An in-memory, Kafka-compatible broker: no JVM, no Docker, gone when it stops.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Logs go to stderr; RUST_LOG=debug shows every request.\n\
    Example: mini-kafka --port 0 --topic orders:3 --override auto.create.topics.enable=false"
)]
struct Flags {
    #[command(subcommand)]
    command: Option<Command>,

    /// The port to listen on; 0 picks a free one.
    #[arg(short, long, default_value_t = 9092)]
    port: u16,

    /// The address to listen on [default: both loopbacks, 127.0.0.1 and ::1].
    #[arg(long)]
    host: Option<String>,

    /// A broker setting under Kafka's name, such as num.partitions=6. May be repeated.
    #[arg(long = "override", value_name = "KEY=VALUE", value_parser = key_value)]
    overrides: Vec<(String, String)>,

    /// A topic that is there from the start. May be repeated.
    #[arg(long = "topic", value_name = "NAME:PARTITIONS", value_parser = topic)]
    topics: Vec<(String, i32)>,

    /// How much memory records may take, such as 512M or none [default: half of the machine's or the container's].
    #[arg(long, value_name = "SIZE", value_parser = memory::Limit::parse)]
    memory_limit: Option<memory::Limit>,

    /// How logs are written.
    #[arg(long, value_enum, default_value_t = LogFormat::Text, env = "LOG_FORMAT")]
    log_format: LogFormat,

    #[command(flatten)]
    trace: TraceFlags,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Explain a frame: each field with its bytes, its value and what it is for.
    Decode {
        /// The frame in hexadecimal, also as hexdump, xxd or Wireshark print it [default: stdin].
        hex: Vec<String>,

        /// Read it as the answer to a request of this API and version, such as Fetch:11.
        #[arg(long, value_name = "API:VERSION", value_parser = api_version)]
        answer_to: Option<(String, i16)>,
    },
}

/// Show requests and answers on stdout. Any of the flags below switches the trace on.
#[derive(Args, Debug)]
#[command(next_help_heading = "Trace")]
struct TraceFlags {
    /// Show every request and its answer on stdout.
    #[arg(long)]
    trace: bool,

    /// Lines for people, or one JSON object for each exchange.
    #[arg(long, value_enum)]
    trace_format: Option<TraceFormat>,

    /// Only this API, such as Produce. May be repeated.
    #[arg(long, value_name = "API", value_parser = api_name)]
    trace_api: Vec<String>,

    /// Only clients with this client.id; a final * stands for anything.
    #[arg(long, value_name = "CLIENT_ID")]
    trace_client: Option<String>,

    /// Only requests about this topic.
    #[arg(long, value_name = "TOPIC")]
    trace_topic: Option<String>,

    /// The most characters of one string or run of bytes [default: 120].
    #[arg(long, value_name = "CHARACTERS")]
    trace_limit: Option<usize>,

    /// Each field with its place in the frame, its bytes and what it is for.
    #[arg(long)]
    trace_bytes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TraceFormat {
    /// Indented lines for people.
    Text,
    /// JSON lines for tools; the address is then told on stderr.
    Json,
}

impl TraceFlags {
    /// The trace that is asked for, if one is, and what must live as long as it.
    ///
    /// A thread writes to stdout, so that a reader that stands still, such as a pager, holds up no client. If the
    /// reader is many thousand exchanges late, later ones are left out.
    fn trace(self) -> Option<(Trace, WorkerGuard)> {
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
        let (stdout, guard) = tracing_appender::non_blocking(std::io::stdout());
        let mut shown = Trace::to(stdout).bytes(trace_bytes);
        if trace_format == Some(TraceFormat::Json) {
            shown = shown.format(Format::Json);
        }
        for api in trace_api {
            shown = shown.api(api);
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
        Some((shown, guard))
    }
}

fn api_name(text: &str) -> Result<String, String> {
    let apis = mini_kafka::apis();
    match apis.iter().find(|api| api.name.eq_ignore_ascii_case(text)) {
        Some(api) => Ok(api.name.to_owned()),
        None => Err(format!(
            "served are {}",
            apis.iter().map(|api| api.name).collect::<Vec<_>>().join(", ")
        )),
    }
}

fn api_version(text: &str) -> Result<(String, i16), String> {
    let parsed = text
        .rsplit_once(':')
        .and_then(|(name, version)| Some((name.to_owned(), version.parse().ok()?)));
    parsed.ok_or_else(|| "write it as API:VERSION, such as Fetch:11".to_owned())
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line, for tools.
    Json,
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

// The broker has threads of its own; these two wait for signals.
#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> ExitCode {
    let mut flags = Flags::parse();
    start_logging(flags.log_format);
    let done = match flags.command.take() {
        Some(Command::Decode { hex, answer_to }) => decode(&hex, answer_to.as_ref()),
        None => serve(flags).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The broker's own errors are whole sentences; what lies below them would only repeat it.
            match error.downcast_ref::<mini_kafka::Error>() {
                Some(sentence) => eprintln!("mini-kafka: {sentence}"),
                None => eprintln!("mini-kafka: {error:#}"),
            }
            ExitCode::FAILURE
        }
    }
}

async fn serve(flags: Flags) -> anyhow::Result<()> {
    // Before the first line on stdout, so that whoever waits for it may send a signal at once.
    let mut signals = Signals::listen()?;
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut builder = Broker::builder().port(flags.port).threads(threads);
    if let Some(host) = flags.host {
        builder = builder.host(host);
    }
    for (key, value) in flags.overrides {
        builder = builder.config(key, value);
    }
    for (name, partitions) in flags.topics {
        builder = builder.topic(name, partitions);
    }
    if let Some(bytes) = flags.memory_limit.map_or_else(memory::half, memory::Limit::bytes) {
        builder = builder.memory_limit(bytes);
    }
    let is_json = flags.trace.trace_format == Some(TraceFormat::Json);
    // Dropped at the end, it writes what is left, but does not wait long for a reader.
    let mut _guard = None;
    if let Some((trace, guard)) = flags.trace.trace() {
        builder = builder.trace(trace);
        _guard = Some(guard);
    }
    let broker = builder.start().await?;

    let address = format!("BOOTSTRAP_SERVERS={}", broker.bootstrap_servers());
    if is_json {
        // stdout holds nothing but JSON then.
        eprintln!("{address}");
    } else {
        let mut stdout = std::io::stdout();
        writeln!(stdout, "{address}")
            .and_then(|()| stdout.flush())
            .context("Could not tell the address on stdout")?;
    }
    tracing::info!(
        bootstrap_servers = broker.bootstrap_servers(),
        "ready; Ctrl-C stops the broker"
    );
    signals.next().await;
    tracing::info!("stopping; everything was in memory and is gone now");
    signals.end_at_the_next_one();
    broker.shutdown().await;
    Ok(())
}

fn decode(hex: &[String], answer_to: Option<&(String, i16)>) -> anyhow::Result<()> {
    let text = if hex.is_empty() {
        std::io::read_to_string(std::io::stdin()).context("Could not read the frame from stdin")?
    } else {
        hex.join(" ")
    };
    let frame = hex::parse(&text).map_err(anyhow::Error::msg)?;
    let answers = answer_to.map(|(name, version)| (name.as_str(), *version));
    let explained = mini_kafka::decode(&frame, answers).map_err(anyhow::Error::msg)?;
    std::io::stdout().write_all(explained.as_bytes()).context("Could not write to stdout")
}

fn start_logging(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => logs.with_ansi(is_terminal && !no_color).init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
}
