//! `mini-kafka`: flags → [`Builder`](mini_kafka::Builder) → serve until Ctrl-C.

use std::{io::Write, process::ExitCode};

use anyhow::Context;
use clap::{Parser, ValueEnum};
use mini_kafka::Broker;
use tracing_subscriber::EnvFilter;

/// An in-memory, Kafka-compatible broker: no JVM, no Docker, gone when it stops.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Logs go to stderr; RUST_LOG=debug shows every request.\n\
    Example: mini-kafka --port 0 --topic orders:3 --override auto.create.topics.enable=false"
)]
struct Flags {
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

    /// How logs are written.
    #[arg(long, value_enum, default_value_t = LogFormat::Text, env = "LOG_FORMAT")]
    log_format: LogFormat,
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

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    start_logging(flags.log_format);
    match run(flags).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mini-kafka: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: Flags) -> anyhow::Result<()> {
    // Before the first line on stdout, so that whoever waits for it may send a signal at once.
    let stop = stop_signal()?;
    let mut builder = Broker::builder().port(flags.port);
    if let Some(host) = flags.host {
        builder = builder.host(host);
    }
    for (key, value) in flags.overrides {
        builder = builder.config(key, value);
    }
    for (name, partitions) in flags.topics {
        builder = builder.topic(name, partitions);
    }
    let broker = builder.start().await?;

    let mut stdout = std::io::stdout();
    writeln!(stdout, "BOOTSTRAP_SERVERS={}", broker.bootstrap_servers())
        .and_then(|()| stdout.flush())
        .context("Could not tell the address on stdout")?;
    tracing::info!(
        bootstrap_servers = broker.bootstrap_servers(),
        "ready; Ctrl-C stops the broker"
    );
    stop.await;
    tracing::info!("stopping; everything was in memory and is gone now");
    broker.shutdown().await;
    Ok(())
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

/// Ctrl-C or SIGTERM, listened for from now on.
#[cfg(unix)]
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).context("Could not listen for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("Could not listen for SIGTERM")?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Ctrl-C.
#[cfg(not(unix))]
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    Ok(async { tokio::signal::ctrl_c().await.unwrap_or_default() })
}
