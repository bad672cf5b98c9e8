//! Log lines: to stderr, filtered by `RUST_LOG`, as text or as one JSON object a line.
//!
//! A lab prints what matters, so without `RUST_LOG` only warnings are logged. A broker in the same process logs only
//! errors: it warns of each client that goes away, and for a lab that is normal. librdkafka's own lines have the level
//! `debug` and the target `librdkafka`: `RUST_LOG=librdkafka=debug` shows them.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For `jq`.
    Json,
}

/// Starts logging for this process. A second call changes nothing: the first one stays.
pub fn start(format: LogFormat) {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter())
        // A terminal that was closed is no reason to panic.
        .log_internal_errors(false)
        .with_writer(Stderr);
    // Only a second start can fail.
    let _already = match format {
        LogFormat::Text => builder.with_ansi(colours()).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

fn filter() -> EnvFilter {
    EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("warn,rdkafka=off,mini_kafka=error"))
}

fn colours() -> bool {
    anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never
}

struct Stderr;

impl MakeWriter<'_> for Stderr {
    type Writer = std::io::Stderr;

    fn make_writer(&self) -> Self::Writer {
        std::io::stderr()
    }
}
