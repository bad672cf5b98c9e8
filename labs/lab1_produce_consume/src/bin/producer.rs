//! Sends typed lines to Kafka. Ctrl-D or Ctrl-C ends it.

use clap::Parser;
use lab1_produce_consume::produce::{self, Event, Plan, Report, Sent};
use lab1_produce_consume::{Lab, PRODUCER};
use shared::client::{self, Cluster};
use shared::config::{Config, Flags};
use shared::keeper::Keeper;
use shared::report;
use shared::shutdown::Shutdown;
use shared::{input, topic};
use std::process::ExitCode;

/// Send each line of the input as a message
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    flags: Flags,

    /// Send every line to this partition
    #[arg(short, long, value_name = "N")]
    partition: Option<i32>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    shared::run(&args.flags, |shutdown| producer(&args, shutdown))
}

async fn producer(args: &Args, shutdown: Shutdown) -> anyhow::Result<ExitCode> {
    let config: Config<Lab> = Config::load(&PRODUCER, &args.flags)?;
    if let Some(text) = config.asked(&PRODUCER, &args.flags)? {
        report::data(text.trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }

    let cluster = Cluster::connect(&config).await?;
    let topic = topic::ensure(&cluster, &config.topic).await?;
    args.partition.map_or(Ok(()), |partition| topic.has(partition))?;
    let plan = Plan::new(&config, topic.partitions(), args.partition);
    report::note(shared::banner(&config, &cluster, &topic, Some(("mode", &plan.describe()))));
    report::note("Each line becomes a message, as in `u1 click 10`. Ctrl-D ends the input.");

    let producer = client::producer(&config)?;
    let keeper = Keeper::start(&cluster, std::slice::from_ref(&config.topic));
    let lines = input::lines();
    let sent = produce::produce(&producer, &plan, keeper, lines, &shutdown, |event| match event {
        Event::Report(report) => report::data(line(&plan, &report, args.flags.plain)),
        Event::News(sentence) => {
            // It comes unasked: the cursor is behind the prompt, or in a line that is being typed.
            let line_end = if input::is_terminal() { "\n" } else { "" };
            report::note(format!("{line_end}{sentence}"));
            Ok(())
        }
        // Not while a report is on its way: it would be printed into the line that is being typed.
        Event::Idle => input::prompt(),
    })
    .await?;
    summary(&plan, &sent);
    Ok(if sent.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `u1 click 10 → lab1[2]@0  key=u1 crc32 % 3 = 2`
fn line(plan: &Plan, Report { line, key, choice, result }: &Report, plain: bool) -> String {
    let line = shortened(&report::text(line), line.len());
    let arrow = report::arrow(plain);
    let place = match result {
        Ok((partition, offset)) => report::place(&plan.topic, *partition, *offset),
        Err(reason) => return format!("{line} {arrow} {}: {reason}", report::bad("not delivered")),
    };
    let key = key.as_ref().map_or("no key,".to_owned(), |key| format!("key={}", report::text(key)));
    format!("{line} {arrow} {place}  {key} {choice}")
}

/// A line that fills the screen would hide what became of it.
fn shortened(line: &str, bytes: usize) -> String {
    const SHOWN: usize = 100;
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}… ({bytes} bytes)", &line[..end]),
        None => line.to_owned(),
    }
}

fn summary(plan: &Plan, Sent { delivered, failed, unknown }: &Sent) {
    let messages = |n| report::count(n, "message");
    report::note(
        format!("Delivered {}.\n{}", messages(delivered.records()), delivered.lines(&plan.topic))
            .trim_end(),
    );
    if *failed > 0 {
        report::note(format!("{} {}.", report::bad("Failed"), messages(*failed)));
    }
    if *unknown > 0 {
        report::note(format!("No answer about {}: delivered or lost.", messages(*unknown)));
    }
}
