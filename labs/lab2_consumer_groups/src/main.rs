//! `lab2`: the producer, the two consumers, and the experiments with them.

mod crash;
mod play;
mod start;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use lab2_consumer_groups::audit::{self, Audit, Ledger};
use lab2_consumer_groups::rebalance::{self, Group, Strategy, Turn};
use lab2_consumer_groups::settings::{Commit, Lab, Name, PROGRAM, Step};
use shared::client::Cluster;
use shared::config::{Config, Flags};
use shared::reset::Made;
use shared::shutdown::Shutdown;
use shared::topic::Provisioned;
use shared::{report, topic};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Lab 2: one producer of fake payments, and two consumers that share them or see all of them
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send a fake payment at a fixed interval
    StartProducer(start::Produce),
    /// Read payments in batches: as BRAVO, as ZULU, or without --client as both in one process
    StartConsumer(start::Consume),
    /// The producer and both consumers, each a process of its own, in one terminal until Ctrl-C
    Play(play::Play),
    /// Members join a group and leave it. Shows who gets which partition, and what is taken away
    Rebalance(Rebalance),
    /// Kill a consumer in the middle of a batch (kill -9), start it again, and count what was lost or came twice
    Crash(crash::Crash),
    /// Compare the topic with the ledger of what was processed
    Audit(AuditFlags),
    /// Create the topic of the configuration
    Provision(Provision),
}

/// Flags that change `[lab]`.
#[derive(Debug, Clone, Default, Args)]
struct Tuning {
    /// The producer's pause between two payments, as in 2s or 500ms
    #[arg(long, value_name = "TIME", value_parser = time)]
    interval: Option<Duration>,

    /// A batch is handed over when it has N payments
    #[arg(long, value_name = "N", value_parser = one_or_more)]
    batch_size: Option<NonZeroUsize>,

    /// … or when this time is over, whichever comes first, as in 5s
    #[arg(long, value_name = "TIME", value_parser = time)]
    batch_wait: Option<Duration>,

    /// Commit a batch before or after it is processed
    #[arg(long)]
    commit: Option<Commit>,

    /// The steps for each payment, in this order, as in validate,enrich,log
    #[arg(long, value_name = "STEPS", value_delimiter = ',')]
    pipeline: Option<Vec<Step>>,
}

#[derive(Debug, Args)]
struct Rebalance {
    /// One strategy; all of them without it
    #[arg(long)]
    strategy: Option<Strategy>,

    /// How many members join
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=20))]
    members: u8,

    #[command(flatten)]
    flags: Flags,
}

#[derive(Debug, Args)]
struct AuditFlags {
    /// Compare with the offsets of this client's group
    #[arg(long, default_value = "bravo")]
    client: Name,

    /// What `start-consumer --ledger` wrote
    #[arg(long, value_name = "FILE")]
    ledger: PathBuf,

    #[command(flatten)]
    flags: Flags,
}

/// The lab's files, for what it makes.
const FILES: [&str; 3] =
    [PROGRAM.file, "labs/lab2_consumer_groups/config_one_group.toml", crash::CONFIG];

#[derive(Debug, Args)]
struct Provision {
    /// Delete it first, with everything in it, and forget the groups' offsets
    #[arg(long)]
    reset: bool,

    /// With --reset: only say whether somebody uses them, and delete nothing
    #[arg(long, requires = "reset")]
    check: bool,

    #[command(flatten)]
    flags: Flags,
}

fn time(text: &str) -> Result<Duration, &'static str> {
    humantime::parse_duration(text).map_err(|_| "write a time, as in 2s or 500ms")
}

fn one_or_more(text: &str) -> Result<NonZeroUsize, &'static str> {
    text.parse().map_err(|_| "write a whole number, 1 or more")
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    let flags = match &command {
        Command::StartProducer(command) => &command.flags,
        Command::StartConsumer(command) => &command.flags,
        Command::Play(command) => &command.flags,
        Command::Rebalance(command) => &command.flags,
        Command::Crash(command) => &command.flags,
        Command::Audit(command) => &command.flags,
        Command::Provision(command) => &command.flags,
    }
    .clone();
    shared::run(&flags.clone(), |shutdown| async move {
        let file = match &command {
            Command::Crash(_) => crash::CONFIG,
            _ => PROGRAM.file,
        };
        let program = shared::config::Program { file, ..PROGRAM };
        let mut config: Config<Lab> = Config::load(&program, &flags)?;
        if let Some(text) = config.asked(&program, &flags)? {
            report::data(text.trim_end())?;
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(tuning) = command.tuning() {
            tuning.apply(&mut config.lab);
        }
        match command {
            Command::StartProducer(command) => command.run(config, shutdown).await,
            Command::StartConsumer(command) => command.run(config, shutdown).await,
            Command::Play(command) => command.run(&config, shutdown).await,
            Command::Rebalance(command) => until(shutdown, command.run(&config)).await,
            Command::Crash(command) => until(shutdown, command.run(&config)).await,
            Command::Audit(command) => until(shutdown, command.run(&config)).await,
            Command::Provision(command) => until(shutdown, command.run(&config)).await,
        }
    })
}

/// For what ends by itself: Ctrl-C ends it earlier.
async fn until(
    shutdown: Shutdown,
    command: impl Future<Output = anyhow::Result<ExitCode>>,
) -> anyhow::Result<ExitCode> {
    tokio::select! {
        result = command => result,
        () = shutdown.requested() => Ok(ExitCode::SUCCESS),
    }
}

/// Connects, and makes the topic when it is missing.
async fn connect(config: &Config<Lab>) -> anyhow::Result<(Cluster, Provisioned)> {
    let cluster = Cluster::connect(config).await?;
    let provisioned = topic::ensure(&cluster, &config.topic).await?;
    Ok((cluster, provisioned))
}

impl Command {
    fn tuning(&self) -> Option<&Tuning> {
        match self {
            Self::StartProducer(command) => Some(&command.tuning),
            Self::StartConsumer(command) => Some(&command.tuning),
            Self::Play(command) => Some(&command.tuning),
            Self::Rebalance(_) | Self::Crash(_) | Self::Audit(_) | Self::Provision(_) => None,
        }
    }
}

impl Tuning {
    fn apply(&self, lab: &mut Lab) {
        lab.interval = self.interval.unwrap_or(lab.interval);
        lab.batch_size = self.batch_size.unwrap_or(lab.batch_size);
        lab.batch_wait = self.batch_wait.unwrap_or(lab.batch_wait);
        lab.commit = self.commit.unwrap_or(lab.commit);
        if let Some(pipeline) = &self.pipeline {
            lab.pipeline.clone_from(pipeline);
        }
    }
}

impl Rebalance {
    async fn run(self, config: &Config<Lab>) -> anyhow::Result<ExitCode> {
        let (_cluster, provisioned) = connect(config).await?;
        let strategies = match self.strategy {
            Some(strategy) => vec![strategy],
            None => vec![Strategy::Range, Strategy::Roundrobin, Strategy::CooperativeSticky],
        };
        let mut totals = Vec::new();
        for strategy in strategies {
            report::data(format!("{strategy}, {} partitions", provisioned.partitions()))?;
            let mut group = Group::new(config, strategy, provisioned.partitions())?;
            let (mut interrupted, mut moved) = (0, 0);
            for turn in 0..=self.members {
                let turn = match turn {
                    // In the last turn a member leaves that has partitions.
                    last if last == self.members && self.members == 1 => break,
                    last if last == self.members => group.leave(1).await?,
                    _ => group.join().await?,
                };
                interrupted += turn.interrupted();
                moved += turn.moved();
                report::data(table(&turn).trim_end())?;
            }
            group.dissolve().await;
            report::data("")?;
            totals.push([strategy.to_string(), interrupted.to_string(), moved.to_string()]);
        }
        let title = ["strategy", "given up", "moved for good"].map(str::to_owned);
        totals.insert(0, title);
        report::data(report::columns(&totals).trim_end())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// `member-1  gives up 0 1 2  has 0 1`
fn table(turn: &Turn) -> String {
    let list =
        |partitions: &[i32]| partitions.iter().map(i32::to_string).collect::<Vec<_>>().join(" ");
    let rows: Vec<[String; 3]> = turn
        .changes
        .iter()
        .map(|change| {
            let gave_up = match change.gave_up.is_empty() {
                true => String::new(),
                false => format!("gives up {}", list(&change.gave_up)),
            };
            let has = match change.has.is_empty() {
                true => "idle".to_owned(),
                false => format!("has {}", list(&change.has)),
            };
            [format!("  {}", rebalance::name(change.member)), gave_up, has]
        })
        .collect();
    format!("{}\n{}", turn.what, report::columns(&rows))
}

impl AuditFlags {
    async fn run(self, config: &Config<Lab>) -> anyhow::Result<ExitCode> {
        let config = self.client.configure(config, &self.flags)?;
        let (_cluster, provisioned) = connect(&config).await?;
        let ledger = Ledger::read(&self.ledger)?;
        let (topic, committed) = audit::read(&config, provisioned.partitions()).await?;
        report::data(findings(&audit::audit(&topic, &committed, &ledger)).trim_end())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The audit as lines.
fn findings(audit: &Audit) -> String {
    let places = |places: &[audit::Place]| {
        places
            .iter()
            .map(|(partition, offset)| format!("[{partition}]@{offset}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    report::columns(&[
        ["in the topic".to_owned(), audit.sent.to_string(), String::new()],
        ["processed".to_owned(), audit.processed.to_string(), String::new()],
        ["lost".to_owned(), audit.lost.len().to_string(), places(&audit.lost)],
        ["twice".to_owned(), audit.twice.len().to_string(), places(&audit.twice)],
        ["still to come".to_owned(), audit.waiting.len().to_string(), places(&audit.waiting)],
    ])
}

impl Provision {
    async fn run(self, config: &Config<Lab>) -> anyhow::Result<ExitCode> {
        let cluster = Cluster::connect(config).await?;
        if self.reset {
            let made = self.made()?;
            if self.check {
                made.check(&cluster).await?;
                report::data("Nobody uses the topics and the groups of Lab 2.")?;
                return Ok(ExitCode::SUCCESS);
            }
            made.delete(&cluster).await?;
        }
        report::data(topic::ensure(&cluster, &config.topic).await?)?;
        Ok(ExitCode::SUCCESS)
    }

    /// What the lab makes with its three files, or with the one that `--config` names.
    fn made(&self) -> anyhow::Result<Made> {
        let files = match &self.flags.config {
            Some(own) => vec![own.clone()],
            None => FILES.map(PathBuf::from).to_vec(),
        };
        let mut made = Made::default();
        for file in files {
            let config: Config<Lab> = Config::load_file(&PROGRAM, &self.flags, &file)?;
            let groups = Name::BOTH.into_iter().map(|name| {
                let config = name.configure(&config, &self.flags)?;
                let group = config.property(shared::config::Client::Consumer, "group.id");
                Ok(group.context("A consumer has a group")?.value.clone())
            });
            made.groups.extend(groups.collect::<anyhow::Result<Vec<_>>>()?);
            made.topics.push(config.topic.name);
        }
        made.groups.dedup();
        made.topics.dedup();
        Ok(made)
    }
}
