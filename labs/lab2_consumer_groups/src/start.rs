//! `start-producer` and `start-consumer`: the loops, and what they say.

use crate::{Tuning, connect};
use anyhow::bail;
use clap::Args;
use lab2_consumer_groups::audit::Ledger;
use lab2_consumer_groups::batch::Ended;
use lab2_consumer_groups::child;
use lab2_consumer_groups::consumer::{Batch, Committed, Event, Reader};
use lab2_consumer_groups::pipeline::{Outcome, Pipeline};
use lab2_consumer_groups::producer::{self, Sent};
use lab2_consumer_groups::settings::{Commit, Lab, Name, Step};
use lab2_consumer_groups::transaction::Source;
use shared::client::{self, Rebalance};
use shared::config::{Client, Config, Flags};
use shared::keeper::Keeper;
use shared::report;
use shared::shutdown::Shutdown;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use tokio::time::MissedTickBehavior;

/// How long after an outage the next commit is tried.
const AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(crate) struct Produce {
    /// The same seed makes the same payments
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Stop after N payments
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<u64>,

    /// Every N-th payment pays nothing, for `validate` to find
    #[arg(long, value_name = "N")]
    faulty: Option<NonZeroU64>,

    #[command(flatten)]
    pub(crate) tuning: Tuning,

    #[command(flatten)]
    leash: Leash,

    #[command(flatten)]
    pub(crate) flags: Flags,
}

#[derive(Debug, Args)]
pub(crate) struct Consume {
    /// Which one; both in this process without it
    #[arg(long)]
    client: Option<Name>,

    /// The file that the step `book` appends to
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,

    /// Stop at the end of the topic
    #[arg(short, long)]
    exit_at_end: bool,

    /// Stop working after N payments, also in the middle of a batch, so that you can kill the program
    #[arg(long, value_name = "N")]
    stall_after: Option<u64>,

    #[command(flatten)]
    pub(crate) tuning: Tuning,

    #[command(flatten)]
    leash: Leash,

    #[command(flatten)]
    pub(crate) flags: Flags,
}

#[derive(Debug, Clone, Copy, Args)]
struct Leash {
    /// End when stdin is closed: `play` holds the other end
    #[arg(long, hide = true)]
    leash: bool,
}

impl Leash {
    fn listen(self, shutdown: Shutdown) -> Shutdown {
        if self.leash { child::leashed(&shutdown) } else { shutdown }
    }
}

impl Produce {
    pub(crate) async fn run(
        self,
        config: Config<Lab>,
        shutdown: Shutdown,
    ) -> anyhow::Result<ExitCode> {
        let shutdown = self.leash.listen(shutdown);
        let (cluster, topic) = connect(&config).await?;
        let seed = self.seed.unwrap_or_else(Source::any_seed);
        if !self.leash.leash {
            let seed = seed.to_string();
            let detail = Some(("seed", seed.as_str()));
            report::note(shared::banner(&config, &cluster, &topic, detail));
        }
        report::data(format!(
            "Starting producer loop (interval: {})... Control+c to cancel the loop",
            humantime::format_duration(config.lab.interval)
        ))?;
        let tick = if self.flags.plain { "" } else { "✅ " };
        let producer = client::producer(&config)?;
        let mut source = Source::new(seed, self.faulty);
        let mut keeper = Keeper::start(&cluster, std::slice::from_ref(&config.topic));
        let (mut delivered, mut failed) = (0, 0);
        // An interval of 0 is no interval: as fast as the broker answers.
        let mut pace = tokio::time::interval(config.lab.interval.max(Duration::from_nanos(1)));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.count.is_none_or(|count| delivered + failed < count) {
            tokio::select! {
                biased;
                () = shutdown.requested() => break,
                sentence = keeper.news() => {
                    report::note(sentence);
                    continue;
                }
                _ = pace.tick() => {}
            }
            let transaction = source.next(SystemTime::now());
            let sending = producer::send(&producer, &config.topic.name, &transaction);
            // Ctrl-C does not wait for a broker that is away. The flush below waits for the last transaction.
            let sent = tokio::select! {
                sent = sending => sent?,
                () = shutdown.requested() => {
                    let answer = producer::flush(&producer);
                    if answer { delivered += 1 } else { failed += 1 }
                    break;
                }
            };
            match sent {
                Sent::Delivered { partition, offset } => {
                    delivered += 1;
                    tracing::debug!("{} → [{partition}]@{offset}", transaction.id);
                    report::data(format!("{tick}Sent transaction: {}", transaction.id))?;
                }
                Sent::TimedOut => {
                    failed += 1;
                    report::note(format!(
                        "Transaction {} was not confirmed within message.timeout.ms. Is the broker there?",
                        transaction.id
                    ));
                }
                Sent::Refused(reason) => {
                    failed += 1;
                    report::note(format!("Transaction {} was refused: {reason}.", transaction.id));
                }
            }
        }
        let others = match failed {
            0 => String::new(),
            failed => format!(", {failed} not confirmed"),
        };
        report::note(format!("Sent {}{others}.", report::count(delivered, "transaction")));
        Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

impl Consume {
    pub(crate) async fn run(
        self,
        config: Config<Lab>,
        shutdown: Shutdown,
    ) -> anyhow::Result<ExitCode> {
        let shutdown = self.leash.listen(shutdown);
        if config.lab.pipeline.contains(&Step::Book) && self.ledger.is_none() {
            bail!("The pipeline has the step book, which needs a file: --ledger FILE.");
        }
        let (cluster, topic) = connect(&config).await?;
        let mut consumers = tokio::task::JoinSet::new();
        for name in Name::BOTH {
            if self.client.is_some_and(|client| client != name) {
                continue;
            }
            let mut config = name.configure(&config, &self.flags)?;
            if self.exit_at_end {
                config.set(Client::Consumer, "enable.partition.eof", "true", "--exit-at-end")?;
            }
            if !self.leash.leash {
                report::note(shared::banner(&config, &cluster, &topic, None));
            }
            let ledger = self.ledger.as_deref().map(Ledger::open).transpose()?;
            let consumer = Consumer {
                label: name.label(self.flags.plain),
                reader: Reader::join(&config, &cluster, self.exit_at_end)?,
                pipeline: Pipeline::new(&config.lab.pipeline, ledger),
                commit: config.lab.commit,
                assignments: config.lab.assignments,
                stall_after: self.stall_after,
                tally: Tally::default(),
            };
            consumers.spawn(consumer.run(shutdown.clone()));
        }
        // The first one that fails ends the other, whose consumer is closed with its task.
        while let Some(ended) = consumers.join_next().await {
            ended??;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A reader with what it does.
struct Consumer {
    label: &'static str,
    reader: Reader,
    pipeline: Pipeline,
    commit: Commit,
    assignments: bool,
    stall_after: Option<u64>,
    tally: Tally,
}

#[derive(Default)]
struct Tally {
    processed: u64,
    rejected: u64,
    by_size: u64,
    by_time: u64,
    at_end: u64,
}

impl Consumer {
    async fn run(mut self, shutdown: Shutdown) -> anyhow::Result<()> {
        let label = self.label;
        report::data(format!("{label} Starting consumer loop. Control+c to cancel the loop"))?;
        loop {
            let event = tokio::select! {
                biased;
                () = shutdown.requested() => break,
                event = self.reader.next() => event?,
            };
            match event {
                Event::Batch(batch) => self.handle(&batch, &shutdown).await?,
                Event::Rebalanced(rebalance, dropped) => self.tell(&rebalance, dropped),
                Event::Trouble(reason) => {
                    report::note(format!(
                        "{label} Trouble: {reason}. Trying again until it passes."
                    ));
                }
                Event::Recovered => report::note(format!("{label} Records come again.")),
                Event::News(sentence) => report::note(format!("{label} {sentence}")),
                Event::End => break,
            }
            if shutdown.is_requested() {
                break;
            }
        }
        self.summary();
        self.reader.leave();
        Ok(())
    }

    async fn handle(&mut self, batch: &Batch, shutdown: &Shutdown) -> anyhow::Result<()> {
        match batch.ended {
            Ended::BySize => self.tally.by_size += 1,
            Ended::ByTime => self.tally.by_time += 1,
            Ended::AtEnd => self.tally.at_end += 1,
        }
        // Always the plural: the line is the same for every batch.
        report::data(format!(
            "{} Received batch of {} transactions",
            self.label,
            batch.records.len()
        ))?;
        match self.commit {
            Commit::Before => {
                if self.committed(batch, shutdown).await? {
                    self.process(batch, shutdown).await?;
                }
            }
            Commit::After => {
                if self.process(batch, shutdown).await? {
                    self.committed(batch, shutdown).await?;
                }
            }
        }
        Ok(())
    }

    /// Did the commit succeed? Waits for a broker that is away, until Ctrl-C.
    async fn committed(&self, batch: &Batch, shutdown: &Shutdown) -> anyhow::Result<bool> {
        let mut told = false;
        loop {
            match self.reader.commit(batch)? {
                Committed::Yes => return Ok(true),
                Committed::Refused(code) => {
                    let consequence = match self.commit {
                        Commit::Before => "It is not processed here",
                        Commit::After => "It was processed here already, and comes twice",
                    };
                    report::note(format!(
                        "{} The commit was refused ({}): the batch belongs to another member now. {consequence}.",
                        self.label,
                        client::words(code)
                    ));
                    return Ok(false);
                }
                Committed::Forgotten => {
                    let consequence = match self.commit {
                        Commit::Before => "is not processed",
                        Commit::After => "was processed already",
                    };
                    report::note(format!(
                        "{} The commit was refused: the broker forgot the group and its topic. The batch {consequence}.",
                        self.label
                    ));
                    return Ok(false);
                }
                Committed::NotYet => {
                    if !std::mem::replace(&mut told, true) {
                        report::note(format!("{} The commit waits for the broker.", self.label));
                    }
                    tokio::select! {
                        () = tokio::time::sleep(AGAIN) => {}
                        () = shutdown.requested() => return Ok(false),
                    }
                }
            }
        }
    }

    /// Takes the batch through the pipeline; `false` when it was stopped in the middle.
    async fn process(&mut self, batch: &Batch, shutdown: &Shutdown) -> anyhow::Result<bool> {
        for record in &batch.records {
            match self.pipeline.process(record)? {
                Outcome::Processed(lines) => {
                    self.tally.processed += 1;
                    for line in lines {
                        report::data(format!("{}   {line}", self.label))?;
                    }
                }
                Outcome::Rejected(reason) => {
                    self.tally.rejected += 1;
                    report::note(format!(
                        "{} {} was rejected: {reason}.",
                        self.label,
                        record.place()
                    ));
                }
            }
            if self.stall_after == Some(self.tally.processed) {
                report::data(format!(
                    "{} Stuck after {}. Now: kill -9 {}",
                    self.label,
                    report::count(self.tally.processed, "transaction"),
                    std::process::id()
                ))?;
                shutdown.requested().await;
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn tell(&self, rebalance: &Rebalance, dropped: usize) {
        let quiet = match rebalance {
            Rebalance::Lost(_) | Rebalance::Failed(_) => false,
            Rebalance::Revoked(none) if none.is_empty() => true,
            Rebalance::Assigned(_) | Rebalance::Revoked(_) => !self.assignments && dropped == 0,
        };
        if quiet {
            return;
        }
        report::note(format!("{} {rebalance}", self.label));
        if dropped > 0 {
            report::note(format!(
                "{} Dropped {} of the unfinished batch: the new owner reads them.",
                self.label,
                report::count(dropped as u64, "transaction")
            ));
        }
    }

    fn summary(&self) {
        let Tally { processed, rejected, by_size, by_time, at_end } = self.tally;
        let batches = by_size + by_time + at_end;
        let mut line = format!(
            "{} Processed {} in {batches} {}: {by_size} by size, {by_time} by time",
            self.label,
            report::count(processed, "transaction"),
            if batches == 1 { "batch" } else { "batches" },
        );
        if at_end > 0 {
            line += &format!(", {at_end} at the end");
        }
        if rejected > 0 {
            line += &format!("; rejected {rejected}");
        }
        if self.reader.buffered() > 0 {
            line +=
                &format!("; {} in an unfinished batch, for the next start", self.reader.buffered());
        }
        report::note(format!("{line}."));
        if let Some(sums) = self.pipeline.summary() {
            report::note(format!("{} Sums: {sums}.", self.label));
        }
    }
}
