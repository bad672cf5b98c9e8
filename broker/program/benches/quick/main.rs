//! How fast is the broker, and how fast is Kafka, here and now? One table, in seconds.
//!
//! ```sh
//! make bench-quick                                             # mini-kafka alone
//! KAFKA_BOOTSTRAP_SERVERS=localhost:9092 make bench-quick      # and a Kafka that runs on this machine
//! KAFKA_LAUNCHER=./kafka make bench-quick                      # and one that `./kafka start PORT` starts
//! ```
//!
//! Both get the same client with the same settings, by turns (A B A B …), so that whatever else goes on in the
//! machine hits both. The first round warms up and does not count.

mod figures;
mod load;
mod server;

use std::{ffi::OsString, process::ExitCode, time::Duration};

use anyhow::Context;
use clap::Parser;

use crate::{
    figures::{Figure, Report, Samples},
    load::Load,
    server::Server,
};

/// Compares mini-kafka with a Kafka on the same machine.
#[derive(Debug, Parser)]
struct Flags {
    /// How often everything is measured, after a round that does not count.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

    /// Megabytes of values to send and to read back for each size of value.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    megabytes: u32,

    /// Seconds of sending records one by one, 1,000 a second.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,

    /// A Kafka that runs on this machine. In a container its memory and CPU cannot be told from its port.
    #[arg(long, value_name = "HOST:PORT", env = "KAFKA_BOOTSTRAP_SERVERS")]
    kafka: Option<String>,

    /// A program that starts a Kafka with `start PORT` and stops it with `stop PORT`; its start is measured too.
    #[arg(long, value_name = "PROGRAM", env = "KAFKA_LAUNCHER")]
    launcher: Option<OsString>,

    /// Print JSON.
    #[arg(long)]
    json: bool,

    /// Exit with 1 if a target is missed.
    #[arg(long)]
    check: bool,

    /// What `cargo bench` passes to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    let flags = if arguments.iter().any(|argument| argument == "--bench") {
        Flags::parse()
    } else if arguments.is_empty() {
        // `cargo test`: does every measurement work? One round that does not count, and so no table.
        Flags {
            rounds: 0,
            launcher: None,
            ..Flags::parse_from(["quick", "--megabytes=1", "--seconds=1"])
        }
    } else {
        // `cargo test NAME`, `cargo test -- --list`: there are no tests with names in here.
        return ExitCode::SUCCESS;
    };
    match run(&flags) {
        Ok(_) if flags.rounds == 0 => ExitCode::SUCCESS,
        Ok(report) => {
            print!("{}", if flags.json { report.json() } else { report.table() });
            ExitCode::from(u8::from(flags.check && !report.is_met()))
        }
        Err(error) => {
            eprintln!("bench-quick: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures mini-kafka and, if there is one, Kafka.
fn run(flags: &Flags) -> anyhow::Result<Report> {
    let mut samples = [Samples::default(), Samples::default()];
    let mut servers = starts(flags, &mut samples)?;
    if let Some(kafka) = flags.kafka.as_ref().filter(|address| !address.is_empty()) {
        servers.truncate(1);
        servers.push(Server::running(kafka)?);
    }
    for (server, samples) in servers.iter().zip(&mut samples) {
        samples.add(Figure::Memory, server.memory());
    }
    for round in 0..=flags.rounds {
        match round {
            0 => eprintln!("warming up"),
            _ => eprintln!("round {round} of {}", flags.rounds),
        }
        for step in STEPS {
            for (server, samples) in servers.iter().zip(&mut samples) {
                let measured = measure(server, step, flags)
                    .with_context(|| format!("{} at {}", server.name, server.address))?;
                if round > 0 {
                    samples.append(measured);
                }
            }
        }
    }
    Ok(Report { samples, has_kafka: servers.len() == 2 })
}

/// What is measured in one go, before it is the other server's turn.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Records with values of so many bytes, as fast as they go.
    Load(usize),
    /// Records one by one.
    Latency,
}

const STEPS: [Step; 3] = [Step::Load(100), Step::Load(1024), Step::Latency];

/// From exec to the first acknowledged record, by turns. The servers that were started last are kept.
fn starts(flags: &Flags, samples: &mut [Samples; 2]) -> anyhow::Result<Vec<Server>> {
    let mut servers = Vec::new();
    for round in 1..=flags.rounds.max(1) {
        servers.clear();
        eprintln!("start {round} of {}", flags.rounds.max(1));
        servers.push(Server::exec()?);
        if let Some(launcher) = flags.launcher.as_ref().filter(|program| !program.is_empty()) {
            servers.push(Server::launch(launcher)?);
        }
        for (server, samples) in servers.iter().zip(&mut *samples) {
            samples.add(Figure::Start, server.started_in.map(|t| t.as_secs_f64() * 1e3));
        }
    }
    Ok(servers)
}

fn measure(server: &Server, step: Step, flags: &Flags) -> anyhow::Result<Samples> {
    let mut samples = Samples::default();
    match step {
        Step::Load(size) => {
            let records = flags.megabytes as usize * 1_000_000 / size;
            let load = Load::new(&server.address, size, records)?;
            let before = server.cpu();
            let producing = load.produce()?;
            let between = server.cpu();
            let consuming = load.consume()?;
            let after = server.cpu();

            let rate = |time: Duration| Some(records as f64 / time.as_secs_f64());
            samples.add(Figure::Produced(size), rate(producing));
            samples.add(Figure::Consumed(size), rate(consuming));
            let spent = |from: Option<Duration>, to: Option<Duration>| {
                Some((to? - from?).as_secs_f64() * 1e6 / records as f64)
            };
            samples.add(Figure::Cpu(size), spent(before, after));
            samples.add(Figure::CpuIn(size), spent(before, between));
            samples.add(Figure::CpuOut(size), spent(between, after));
        }
        Step::Latency => {
            let time = Duration::from_secs(flags.seconds.into());
            let mut latencies = load::latencies(&server.address, time)?;
            latencies.sort_unstable();
            let percentile =
                |p| latencies.get(latencies.len() * p / 100).map(Duration::as_secs_f64);
            samples.add(Figure::P50, percentile(50).map(|s| s * 1e3));
            samples.add(Figure::P99, percentile(99).map(|s| s * 1e3));
        }
    }
    Ok(samples)
}
