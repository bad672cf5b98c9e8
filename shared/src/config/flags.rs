//! The flags that every lab's program has.

use crate::telemetry::LogFormat;
use std::path::PathBuf;

/// What every lab's program can be told; `#[command(flatten)]` it into the program's own flags.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Flags {
    /// The TOML file to read, looked for here and in the folders above
    #[arg(short, long, value_name = "FILE", env = "LAB_CONFIG")]
    pub config: Option<PathBuf>,

    /// The broker's address
    #[arg(short, long, visible_alias = "brokers", value_name = "HOST:PORT")]
    pub bootstrap_server: Option<String>,

    /// The topic
    #[arg(short, long, value_name = "NAME")]
    pub topic: Option<String>,

    /// A property of librdkafka; repeat it for more
    #[arg(short = 'X', long = "property", value_name = "NAME=VALUE", value_parser = name_and_value)]
    pub properties: Vec<(String, String)>,

    /// Show every value and where it comes from, then stop
    #[arg(long, conflicts_with = "diff_config")]
    pub dump_config: bool,

    /// Show what differs between this program's file and FILE, then stop
    #[arg(long, value_name = "FILE")]
    pub diff_config: Option<PathBuf>,

    /// ASCII only, no colours
    #[arg(long)]
    pub plain: bool,

    /// How log lines look; RUST_LOG says which ones appear
    #[arg(long, value_name = "FORMAT", env = "LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it must be NAME=VALUE, as in linger.ms=5")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}
