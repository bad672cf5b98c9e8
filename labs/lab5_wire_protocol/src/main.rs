//! `lab5`: runs the stages, checks them, and asks questions about them.

use clap::{Args, Parser, Subcommand};
use lab5_wire_protocol::batch::hex;
use lab5_wire_protocol::connection::Connection;
use lab5_wire_protocol::exercise::EXERCISE;
use lab5_wire_protocol::predict::{QUESTIONS, means};
use lab5_wire_protocol::show::{self, Style};
use lab5_wire_protocol::stages::mistakes::{MISTAKES, capital};
use lab5_wire_protocol::stages::{STAGES, Stage};
use lab5_wire_protocol::story::{Event, Story};
use lab5_wire_protocol::{Lab, PROGRAM, names_a_broker, ready};
use mini_kafka::Broker;
use shared::client::{Cluster, NoBroker};
use shared::config::{Client, Config, Flags, NoLab};
use shared::reset::Made;
use shared::shutdown::Shutdown;
use shared::{input, report};
use std::process::ExitCode;

/// Lab 5: Kafka's protocol by hand, in eight stages
///
/// If no broker answers at the address in lab5.toml, the command starts one in memory and stops it at the end. A broker
/// that you name with --bootstrap-server or KAFKA_BOOTSTRAP_SERVERS must answer.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check which stages pass; the exit code is 3 if one does not
    Check(Check),
    /// Run a stage and show every byte that is sent or received
    Stage(Run),
    /// Answer a question about a stage, then see what the broker does
    Predict(Predict),
    /// Delete the topic and the group of the lab
    Reset(Reset),
}

#[derive(Debug, Args)]
struct Check {
    /// Check only this stage, 1 to 8
    #[arg(value_parser = number)]
    stage: Option<Stage>,

    #[command(flatten)]
    flags: Flags,
}

#[derive(Debug, Args)]
struct Run {
    /// The number of the stage, 1 to 8
    #[arg(value_parser = number)]
    stage: Stage,

    /// Show every field and every byte
    #[arg(long)]
    all: bool,

    /// Print only the frames, each as a line of hexadecimal for `mini-kafka decode`
    #[arg(long, conflicts_with = "all")]
    hex: bool,

    #[command(flatten)]
    flags: Flags,
}

#[derive(Debug, Args)]
struct Predict {
    /// The number of the stage, 1 to 8
    #[arg(value_parser = number)]
    stage: Stage,

    #[command(flatten)]
    flags: Flags,
}

#[derive(Debug, Args)]
struct Reset {
    /// Only say whether somebody uses them, and delete nothing
    #[arg(long)]
    check: bool,

    #[command(flatten)]
    flags: Flags,
}

fn number(text: &str) -> Result<Stage, String> {
    let stage = STAGES.into_iter().find(|stage| stage.number.to_string() == text);
    stage.ok_or_else(|| format!("the stages are 1 to {}", STAGES.len()))
}

/// The exit code when something does not pass.
const DIFFERS: u8 = 3;

fn main() -> ExitCode {
    let command = Cli::parse().command;
    let flags = match &command {
        Command::Check(Check { flags, .. })
        | Command::Stage(Run { flags, .. })
        | Command::Predict(Predict { flags, .. })
        | Command::Reset(Reset { flags, .. }) => flags.clone(),
    };
    shared::run(&flags, |shutdown| async {
        let config: Config<NoLab> = Config::load(&PROGRAM, &flags)?;
        if let Some(text) = config.asked(&PROGRAM, &flags)? {
            report::data(text.trim_end())?;
            return Ok(ExitCode::SUCCESS);
        }
        // Ctrl-C may come in the middle of a frame. Then the connection ends, and so does a broker of our own.
        until(shutdown, async {
            if let Command::Reset(Reset { check, .. }) = command {
                return reset(&config, check).await;
            }
            let (config, broker) = reachable(config, &flags).await?;
            let ended = run(&command, config, &flags).await;
            if let Some(broker) = broker {
                broker.shutdown().await;
            }
            ended
        })
        .await
    })
}

async fn until(
    shutdown: Shutdown,
    work: impl Future<Output = anyhow::Result<ExitCode>>,
) -> anyhow::Result<ExitCode> {
    tokio::select! {
        ended = work => ended,
        () = shutdown.requested() => {
            report::note("Stopped.");
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The configuration with a broker that answers. Also that broker, if this program started it.
async fn reachable(
    config: Config<NoLab>,
    flags: &Flags,
) -> anyhow::Result<(Config<NoLab>, Option<Broker>)> {
    let Err(error) = Connection::open(config.bootstrap_servers()).await else {
        return Ok((config, None));
    };
    if names_a_broker(&config) || !error.is::<NoBroker>() {
        return Err(error);
    }
    let broker = Broker::builder().start().await?;
    report::note(format!(
        "No broker answers at {}: started a broker in memory until this command ends.",
        config.bootstrap_servers()
    ));
    let own =
        Flags { bootstrap_server: Some(broker.bootstrap_servers().to_owned()), ..flags.clone() };
    Ok((Config::load(&PROGRAM, &own)?, Some(broker)))
}

async fn run(
    command: &Command,
    mut config: Config<NoLab>,
    flags: &Flags,
) -> anyhow::Result<ExitCode> {
    let cluster = Cluster::connect(&config).await?;
    let provisioned = ready::topic(&cluster, &config).await?;
    report::note(shared::banner(&config, &cluster, &provisioned, None));
    // An existing topic may have another number of partitions. Stage 7 assigns those that exist.
    config.topic.partitions = provisioned.partitions();
    match command {
        Command::Check(check) => all_checks(check, &config).await,
        Command::Stage(stage) => one_stage(stage, config, flags.plain).await,
        Command::Predict(Predict { stage, .. }) if stage.number == 8 => {
            predict_mistakes(config).await
        }
        Command::Predict(Predict { stage, .. }) => predict(*stage, config).await,
        Command::Reset(_) => Ok(ExitCode::SUCCESS),
    }
}

async fn all_checks(check: &Check, config: &Config<NoLab>) -> anyhow::Result<ExitCode> {
    let mut failed = Vec::new();
    for stage in STAGES.into_iter().filter(|stage| check.stage.is_none_or(|only| only == *stage)) {
        let mut lab = Lab::new(config.clone(), EXERCISE, Story::silent());
        lab.run(stage).await?;
        let faults = lab.story.faults();
        let verdict = if faults.is_empty() { "passed" } else { "FAILED" };
        let checks = report::count(lab.story.checks().count() as u64, "check");
        report::data(format!("stage {}  {verdict}  {:9}  {}", stage.number, checks, stage.title))?;
        for fault in &faults {
            report::data(format!("    {fault}"))?;
        }
        if !faults.is_empty() {
            failed.push(stage.number);
        }
    }
    let Some(first) = failed.first() else {
        report::note("All pass. Now change src/exercise.rs, one value at a time.");
        return Ok(ExitCode::SUCCESS);
    };
    report::note(format!("`make lab5-stage STAGE={first}` shows the bytes."));
    Ok(ExitCode::from(DIFFERS))
}

async fn one_stage(run: &Run, config: Config<NoLab>, plain: bool) -> anyhow::Result<ExitCode> {
    // Stage 8 has many frames, and the reader knows them from earlier stages.
    let style = Style { plain, all: run.all, brief: run.stage.number == 8 && !run.all };
    // If stdout is closed (`… | head`), the end of the stage notices it.
    let only_hex = run.hex;
    let story = Story::new(move |event| {
        let _ = if only_hex {
            print_hex(event, style.plain)
        } else {
            report::data(show::event(event, style))
        };
    });
    let mut lab = Lab::new(config, EXERCISE, story);
    if !run.hex {
        report::data(format!("Stage {}: {}", run.stage.number, run.stage.title))?;
    }
    lab.run(run.stage).await?;
    let faults = lab.story.faults().len() as u64;
    if faults == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    report::note(format!("\n{} of this stage did not pass.", report::count(faults, "check")));
    Ok(ExitCode::from(DIFFERS))
}

/// Prints only the frames. Their names go to stderr.
fn print_hex(event: &Event, plain: bool) -> std::io::Result<()> {
    let (arrow, frame) = match event {
        Event::Sent(frame) => (show::sent(plain), frame),
        Event::Received(frame) => (show::received(plain), frame),
        Event::Built(_) | Event::Say(_) | Event::Checked(_) => return Ok(()),
    };
    report::note(format!("{arrow}{}", frame.title));
    report::data(hex(&frame.bytes))
}

async fn predict(stage: Stage, config: Config<NoLab>) -> anyhow::Result<ExitCode> {
    let question = QUESTIONS[usize::from(stage.number) - 1];
    report::data(question.text)?;
    for (letter, choice) in ('a'..).zip(question.choices) {
        report::data(format!("  {letter}  {choice}"))?;
    }
    let mut lines = input::lines();
    let guess = loop {
        match typed(&mut lines).await {
            None => {
                report::note(format!(
                    "No answer. `make lab5-stage STAGE={}` shows what happens.",
                    stage.number
                ));
                return Ok(ExitCode::SUCCESS);
            }
            Some(guess) if matches!(guess.as_str(), "a" | "b" | "c") => break guess,
            Some(_) => report::note("Type a, b or c."),
        }
    };
    let mut lab = Lab::new(config, EXERCISE, Story::silent());
    lab.run(stage).await?;
    let observed = lab.story.observed.filter(|_| lab.story.faults().is_empty());
    let Some(observed) = observed else {
        report::note(format!("The stage does not pass: {}", lab.story.faults().join("\n")));
        return Ok(ExitCode::from(DIFFERS));
    };
    let choice = ('a'..)
        .zip(question.choices)
        .find(|(letter, _)| *letter == observed)
        .map_or("", |(_, choice)| choice);
    let verdict = if guess == observed.to_string() { "Right" } else { "Wrong" };
    report::data(format!("{verdict}. The lab has just observed: {observed}, {choice}."))?;
    report::note(format!("`make lab5-stage STAGE={}` shows the bytes.", stage.number));
    Ok(ExitCode::SUCCESS)
}

async fn predict_mistakes(config: Config<NoLab>) -> anyhow::Result<ExitCode> {
    report::data(
        "What does the broker answer? An error code (2, or CORRUPT_MESSAGE), `closed`, or `silence`.",
    )?;
    let mut lines = input::lines();
    let mut lab = Lab::new(config, EXERCISE, Story::silent());
    lab.ready().await?;
    let (mut asked, mut right) = (0_u64, 0);
    for mistake in MISTAKES {
        report::data(format!("\n{}?", capital(mistake.what)))?;
        let Some(guess) = typed(&mut lines).await else { break };
        let answer = lab.make(mistake).await?;
        asked += 1;
        let verdict = if means(&guess, answer) { "Right" } else { "Wrong" };
        right += u64::from(means(&guess, answer));
        report::data(format!("{verdict}: {answer}. {}.", capital(mistake.why)))?;
    }
    report::data(format!("\n{right} of {asked}."))?;
    Ok(ExitCode::SUCCESS)
}

/// A line, after a prompt if a person types here.
async fn typed(lines: &mut tokio::sync::mpsc::Receiver<Vec<u8>>) -> Option<String> {
    // If stderr is closed, the question is not shown, but an answer still counts.
    let _ = input::prompt();
    let line = lines.recv().await?;
    Some(report::text(&line).trim().to_lowercase())
}

/// Needs a broker that runs. A broker of our own would have nothing to delete.
async fn reset(config: &Config<NoLab>, check: bool) -> anyhow::Result<ExitCode> {
    let cluster = Cluster::connect(config).await?;
    let group = config.property(Client::Consumer, "group.id");
    let made = Made {
        topics: vec![config.topic.name.clone()],
        groups: group.map(|setting| setting.value.clone()).into_iter().collect(),
    };
    if check {
        made.check(&cluster).await?;
        report::data("Nobody uses the topic and the group of Lab 5.")?;
    } else {
        made.delete(&cluster).await?;
    }
    Ok(ExitCode::SUCCESS)
}
