//! Makes the lab's topic, gives it more partitions, or forgets everything the lab did.

use clap::Parser;
use lab1_produce_consume::{Lab, TOPICS};
use shared::client::Cluster;
use shared::config::{Client, Config, ConfigError, Flags};
use shared::report;
use shared::reset::Made;
use shared::topic::{self, Provisioned};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The groups of both configurations are the lab's, unless `--config` names a third one.
const FILES: [&str; 2] = ["config_keyed.toml", "config_roundrobin.toml"];

/// Make the lab's topic if it is missing
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    flags: Flags,

    /// Delete the topic and the lab's groups with their offsets, then make the topic anew
    #[arg(long)]
    reset: bool,

    /// With --reset: only say whether somebody uses them, and delete nothing
    #[arg(long, requires = "reset")]
    check: bool,

    /// Give the topic more partitions: so many in all
    #[arg(long, value_name = "N", conflicts_with = "reset")]
    partitions: Option<i32>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    shared::run(&args.flags, |_shutdown| topics(&args))
}

async fn topics(args: &Args) -> anyhow::Result<ExitCode> {
    let config: Config<Lab> = Config::load(&TOPICS, &args.flags)?;
    if let Some(text) = config.asked(&TOPICS, &args.flags)? {
        report::data(text.trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    let cluster = Cluster::connect(&config).await?;
    if args.reset {
        let made = Made { topics: vec![config.topic.name.clone()], groups: groups(args)? };
        if args.check {
            made.check(&cluster).await?;
            report::data("Nobody uses the topic and the groups of Lab 1.")?;
            return Ok(ExitCode::SUCCESS);
        }
        made.delete(&cluster).await?;
    }
    if let Some(partitions) = args.partitions {
        let name = &config.topic.name;
        let before = topic::grow(&cluster, name, partitions).await?;
        report::data(format!(
            "Topic {name} has {partitions} partitions now, instead of {before}."
        ))?;
        return Ok(ExitCode::SUCCESS);
    }
    let provisioned = topic::ensure(&cluster, &config.topic).await?;
    report::data(&provisioned)?;
    Ok(match provisioned {
        Provisioned::Created { .. } | Provisioned::Existing { .. } => ExitCode::SUCCESS,
        Provisioned::Different { .. } => ExitCode::FAILURE,
    })
}

fn groups(args: &Args) -> Result<Vec<String>, ConfigError> {
    let files = match &args.flags.config {
        Some(own) => vec![own.clone()],
        None => FILES.map(PathBuf::from).to_vec(),
    };
    let mut groups = Vec::new();
    for file in files {
        let config: Config<Lab> = Config::load_file(&TOPICS, &args.flags, Path::new(&file))?;
        groups.extend(
            config.property(Client::Consumer, "group.id").map(|setting| setting.value.clone()),
        );
    }
    groups.dedup();
    Ok(groups)
}
