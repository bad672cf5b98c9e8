//! `crash`: the experiment with `kill -9`, from start to end.

use crate::findings;
use anyhow::{Context as _, bail};
use clap::Args;
use lab2_consumer_groups::audit::{self, Audit, Ledger};
use lab2_consumer_groups::child::{self, Child, Line};
use lab2_consumer_groups::producer::{self, Sent};
use lab2_consumer_groups::settings::{Commit, Lab, Name};
use lab2_consumer_groups::transaction::Source;
use shared::client::{self, Cluster};
use shared::config::{Client, Config, Flags};
use shared::{report, topic};
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// The file that this command reads without `--config`.
pub(crate) const CONFIG: &str = "labs/lab2_consumer_groups/config_crash.toml";

/// How long a consumer may take to get where it is killed.
const LIMIT: Duration = Duration::from_secs(30);

/// The longest session of a member that was killed.
const SESSION: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(crate) struct Crash {
    /// Only this one; before, then after, without it
    #[arg(long)]
    commit: Option<Commit>,

    /// How many payments there are
    #[arg(short = 'n', long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,

    /// The kill comes when so many are processed
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..))]
    kill_after: u64,

    #[command(flatten)]
    pub(crate) flags: Flags,
}

impl Crash {
    pub(crate) async fn run(self, config: &Config<Lab>) -> anyhow::Result<ExitCode> {
        if self.kill_after >= self.count {
            bail!(
                "--kill-after must be less than --count: the kill comes in the middle of the work."
            );
        }
        let commits = self.commit.map_or(vec![Commit::Before, Commit::After], |one| vec![one]);
        let mut rows = vec![["commit", "sent", "processed", "lost", "twice"].map(str::to_owned)];
        for commit in commits {
            let audit = self.experiment(config, commit).await?;
            rows.push([
                commit.to_string(),
                audit.sent.to_string(),
                audit.processed.to_string(),
                audit.lost.len().to_string(),
                audit.twice.len().to_string(),
            ]);
        }
        report::data(report::columns(&rows).trim_end())?;
        Ok(ExitCode::SUCCESS)
    }

    async fn experiment(&self, config: &Config<Lab>, commit: Commit) -> anyhow::Result<Audit> {
        let mut config = Name::Bravo.configure(config, &self.flags)?;
        let group = format!("{}-{commit}", group_of(&config)?);
        config.set(Client::Consumer, "group.id", &group, "lab2 crash")?;
        let partitions = self.prepare(&config, &group).await?;
        let folder = tempfile::tempdir().context("There is no folder for the ledger")?;
        let ledger = folder.path().join("ledger");

        report::data(format!("--- commit {commit} processing"))?;
        let stall = ["--stall-after".to_owned(), self.kill_after.to_string()];
        let (mut victim, mut lines) = self.start(commit, &group, &ledger, &stall)?;
        let stuck = tokio::time::timeout(LIMIT, show(&mut lines, Some("Stuck after"))).await;
        stuck.context("The consumer did not get to the middle of its work")??;
        victim.kill().await.context("The consumer could not be killed")?;
        report::data(format!("The consumer {}.", child::describe(victim.ended().await?)))?;
        report::data(findings(&self.audit(&config, partitions, &ledger).await?).trim_end())?;

        report::data("It is started again, and reads to the end.")?;
        let more = ["--exit-at-end".to_owned()];
        let (mut successor, mut lines) = self.start(commit, &group, &ledger, &more)?;
        let shown = tokio::time::timeout(LIMIT, show(&mut lines, None)).await;
        let notes = shown.context("The consumer did not get to the end")??;
        let status = successor.ended().await?;
        if !status.success() {
            bail!("The consumer {}: {}", child::describe(status), notes.join(" "));
        }
        let audit = self.audit(&config, partitions, &ledger).await?;
        report::data(findings(&audit).trim_end())?;
        report::data("")?;
        Ok(audit)
    }

    /// A new topic with all the payments in it, and a group without a past.
    async fn prepare(&self, config: &Config<Lab>, group: &str) -> anyhow::Result<i32> {
        let cluster = Cluster::connect(config).await?;
        topic::delete(&cluster, &config.topic.name).await?;
        // The static member of a run just before this one stays until its session times out.
        let deadline = Instant::now() + SESSION;
        while let Err(error) = topic::delete_group(&cluster, group).await {
            if Instant::now() > deadline {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        let topic = topic::ensure(&cluster, &config.topic).await?;

        let producer = client::producer(config)?;
        let mut source = Source::new(0, None);
        for _ in 0..self.count {
            let transaction = source.next(SystemTime::now());
            let sent = producer::send(&producer, &config.topic.name, &transaction).await?;
            match sent {
                Sent::Delivered { .. } => {}
                Sent::TimedOut => {
                    bail!("The broker does not confirm the payments. Is it still there?")
                }
                Sent::Refused(reason) => bail!("The broker refused a payment: {reason}."),
            }
        }
        Ok(topic.partitions())
    }

    fn start(
        &self,
        commit: Commit,
        group: &str,
        ledger: &Path,
        more: &[String],
    ) -> anyhow::Result<(Child, mpsc::Receiver<Line>)> {
        let mut arguments: Vec<OsString> =
            ["start-consumer", "--client", "bravo", "--commit"].map(OsString::from).to_vec();
        arguments.push(commit.to_string().into());
        arguments.extend([OsString::from("--ledger"), ledger.into()]);
        arguments.extend(more.iter().map(OsString::from));
        let config = self.flags.config.clone().unwrap_or_else(|| CONFIG.into());
        arguments.extend([OsString::from("--config"), config.into()]);
        if let Some(address) = &self.flags.bootstrap_server {
            arguments.extend([OsString::from("--bootstrap-server"), address.into()]);
        }
        if let Some(topic) = &self.flags.topic {
            arguments.extend([OsString::from("--topic"), topic.into()]);
        }
        for (name, value) in &self.flags.properties {
            arguments.extend([OsString::from("-X"), format!("{name}={value}").into()]);
        }
        arguments.extend([OsString::from("-X"), format!("group.id={group}").into()]);
        if self.flags.plain {
            arguments.push("--plain".into());
        }
        let (sender, lines) = mpsc::channel(64);
        Ok((Child::start(arguments, &sender, |line| line)?, lines))
    }

    async fn audit(
        &self,
        config: &Config<Lab>,
        partitions: i32,
        ledger: &Path,
    ) -> anyhow::Result<Audit> {
        let (topic, committed) = audit::read(config, partitions).await?;
        Ok(audit::audit(&topic, &committed, &Ledger::read(ledger)?))
    }
}

fn group_of(config: &Config<Lab>) -> anyhow::Result<String> {
    let setting =
        config.property(Client::Consumer, "group.id").context("A consumer has a group")?;
    Ok(setting.value.clone())
}

/// Shows what the consumer says, until a line has `last` in it, or until its end. What it notes beside is given back: it
/// matters only when it fails.
async fn show(lines: &mut mpsc::Receiver<Line>, last: Option<&str>) -> anyhow::Result<Vec<String>> {
    let mut notes = Vec::new();
    while let Some(line) = lines.recv().await {
        match line {
            Line::Note(text) => notes.push(text),
            Line::Data(text) => {
                let is_last = last.is_some_and(|last| text.contains(last));
                report::data(text)?;
                if is_last {
                    return Ok(notes);
                }
            }
        }
    }
    match last {
        None => Ok(notes),
        Some(_) => bail!("The consumer ended before it could be killed: {}", notes.join(" ")),
    }
}
