//! `mini-kafka`: flags → [`Builder`](mini_kafka::Builder) → serve until Ctrl-C.

mod flags;
mod hex;
mod lossy;
mod memory;
mod signals;

use std::{
    io::{self, Write},
    num::NonZero,
    process::ExitCode,
};

use anyhow::Context;
use clap::Parser;
use mini_kafka::{Broker, Format, Trace};
use tracing_subscriber::EnvFilter;

use crate::{
    flags::{Command, Flags, LogFormat, TraceFormat},
    lossy::Lossy,
    signals::Signals,
};

/// The most bytes of logs that wait for a reader.
const LOGS: usize = 1024 * 1024;
/// The most bytes of the trace that wait for a reader.
const TRACE: usize = 16 * 1024 * 1024;

// The broker has threads of its own; these two wait for signals.
#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> ExitCode {
    let mut flags = Flags::parse();
    let done = match flags.command.take() {
        Some(Command::Decode { hex, answer_to }) => decode(&hex, answer_to.as_ref()),
        None => serve(flags).await,
    };
    done.unwrap_or_else(|error| {
        complain(sentence(&error));
        ExitCode::FAILURE
    })
}

/// The broker's own errors are whole sentences; what lies below them would only repeat it.
fn sentence(error: &anyhow::Error) -> String {
    match error.downcast_ref::<mini_kafka::Error>() {
        Some(sentence) => sentence.to_string(),
        None => format!("{error:#}"),
    }
}

/// Says on stderr what is wrong, if somebody listens.
fn complain(sentence: impl std::fmt::Display) {
    let _: io::Result<()> = writeln!(io::stderr(), "mini-kafka: {sentence}");
}

/// Serves with logs, and writes what is left of them in the end.
async fn serve(flags: Flags) -> anyhow::Result<ExitCode> {
    let logs = start_logging(flags.log_format)?;
    let log_format = flags.log_format;
    let mut served = serve_until_stopped(flags, logs.clone()).await;
    if log_format == LogFormat::Json
        && let Err(error) = &served
    {
        tracing::error!("{}", sentence(error));
        served = Ok(ExitCode::FAILURE);
    }
    logs.finish();
    served
}

async fn serve_until_stopped(flags: Flags, mut stderr: Lossy) -> anyhow::Result<ExitCode> {
    // Before the first line on stdout, so that whoever waits for it may send a signal at once.
    let mut signals = Signals::listen()?;
    let log_is_json = flags.log_format == LogFormat::Json;
    let trace_is_json = flags.trace.trace_format == Some(TraceFormat::Json);
    let lost = if trace_is_json { lost_json } else { lost_text };
    let mut stdout = Lossy::new(io::stdout(), TRACE, lost).context(NO_THREAD)?;

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
    match flags.trace.trace(stdout.clone()) {
        Some(trace) => builder = builder.trace(trace),
        None if tracing::enabled!(tracing::Level::TRACE) => {
            builder = builder.trace(Trace::to(LogLines).format(Format::Short));
        }
        None => {}
    }
    let broker = builder.start().await?;

    let address = broker.bootstrap_servers();
    match (log_is_json, trace_is_json) {
        (false, false) => writeln!(stdout, "BOOTSTRAP_SERVERS={address}")?,
        (true, false) => writeln!(stdout, "{{\"bootstrap_servers\":\"{address}\"}}")?,
        // stdout holds exchanges and nothing else then.
        (false, true) => writeln!(stderr, "BOOTSTRAP_SERVERS={address}")?,
        (true, true) => {}
    }
    tracing::info!(bootstrap_servers = address, "ready; Ctrl-C stops the broker");
    signals.next().await;
    tracing::info!("stopping; all data was in memory and is deleted now");
    signals.end_at_the_next_one();
    broker.shutdown().await;
    stdout.finish();
    Ok(ExitCode::SUCCESS)
}

/// With RUST_LOG=trace, the log has a line for each exchange.
struct LogLines;

impl Write for LogLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        tracing::trace!("{}", String::from_utf8_lossy(line).trim_end());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const NO_THREAD: &str = "Could not start the thread that writes";

fn lost_text(count: u64) -> String {
    format!("... {count} lines or exchanges are left out, because nobody read them in time\n")
}

fn lost_json(count: u64) -> String {
    format!("{{\"left_out\":{count}}}\n")
}

/// Explains the bytes on stdout. The exit code says whether all of them fit.
fn decode(hex: &[String], answer_to: Option<&(String, i16)>) -> anyhow::Result<ExitCode> {
    let text = if hex.is_empty() {
        io::read_to_string(io::stdin()).context("Could not read the frames from stdin")?
    } else {
        hex.join(" ")
    };
    let bytes = hex::parse(&text).map_err(anyhow::Error::msg)?;
    let answers = answer_to.map(|(name, version)| (name.as_str(), *version));
    let decoded = mini_kafka::decode(&bytes, answers).map_err(anyhow::Error::msg)?;
    match io::stdout().write_all(decoded.to_string().as_bytes()) {
        // Such as `mini-kafka decode … | head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written.context("Could not write to stdout")?,
    }
    if decoded.fits() {
        return Ok(ExitCode::SUCCESS);
    }
    complain("Not all bytes fit. The lines that begin with `!` say where.");
    Ok(ExitCode::FAILURE)
}

/// Logs to stderr without ever waiting for its reader.
fn start_logging(format: LogFormat) -> anyhow::Result<Lossy> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let is_terminal = io::IsTerminal::is_terminal(&io::stderr());
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let lost = match format {
        LogFormat::Text => lost_text,
        LogFormat::Json => lost_json,
    };
    let stderr = Lossy::new(io::stderr(), LOGS, lost).context(NO_THREAD)?;
    let out = stderr.clone();
    // What the subscriber cannot write it would tell on stderr, and panic if that is closed.
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || out.clone())
        .log_internal_errors(false);
    match format {
        LogFormat::Text => logs.with_ansi(is_terminal && !no_color).init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
    Ok(stderr)
}
