//! Makes the lab's topic, or forgets everything the lab did.

use clap::Parser;
use lab1_produce_consume::{Lab, TOPICS};
use shared::client::Cluster;
use shared::config::{Client, Config, Flags};
use shared::topic::{self, Provisioned};
use shared::{config, report};
use std::path::Path;
use std::process::ExitCode;

/// The groups of both configurations are the lab's.
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
        reset(&cluster, &config, args).await?;
    }
    let provisioned = topic::ensure(&cluster, &config.topic).await?;
    report::data(&provisioned)?;
    Ok(match provisioned {
        Provisioned::Created { .. } | Provisioned::Existing { .. } => ExitCode::SUCCESS,
        Provisioned::Different { .. } => ExitCode::FAILURE,
    })
}

async fn reset(cluster: &Cluster, config: &Config<Lab>, args: &Args) -> anyhow::Result<()> {
    for group in groups(args)? {
        if topic::delete_group(cluster, &group).await? {
            report::data(format!("Deleted group {group} with its offsets."))?;
        }
    }
    let name = &config.topic.name;
    if topic::delete(cluster, name).await? {
        report::data(format!("Deleted topic {name} with its messages."))?;
    }
    Ok(())
}

fn groups(args: &Args) -> Result<Vec<String>, config::ConfigError> {
    let mut groups = Vec::new();
    for file in FILES {
        let config: Config<Lab> = Config::load_file(&TOPICS, &args.flags, Path::new(file))?;
        groups.extend(
            config.property(Client::Consumer, "group.id").map(|setting| setting.value.clone()),
        );
    }
    groups.dedup();
    Ok(groups)
}
