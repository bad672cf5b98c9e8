//! Lab 1 in one go: starts a broker of its own, sends the same lines keyed and round robin, and compares.

use clap::Parser;
use lab1_produce_consume::CHOSEN_BY;
use lab1_produce_consume::demo::{self, LINES, Run};
use mini_kafka::Broker;
use shared::config::Flags;
use shared::report::{self, columns};
use shared::shutdown::Shutdown;
use std::process::ExitCode;

/// Send the same lines keyed and round robin, and compare what landed where
#[derive(Parser)]
#[command(
    version,
    after_help = "Without --bootstrap-server it starts a broker of its own, in memory, and stops it."
)]
struct Args {
    #[command(flatten)]
    flags: Flags,
}

fn main() -> ExitCode {
    let args = Args::parse();
    shared::run(&args.flags, |shutdown| compare(&args, shutdown))
}

async fn compare(args: &Args, shutdown: Shutdown) -> anyhow::Result<ExitCode> {
    let mut flags = args.flags.clone();
    // On somebody's Kafka the names must be free.
    let (broker, suffix) = match &flags.bootstrap_server {
        Some(address) => {
            report::data(format!("Using the broker at {address}."))?;
            (None, format!("-{}", std::process::id()))
        }
        None => {
            let broker = Broker::builder().start().await?;
            report::data(format!("Started a broker in memory at {}.", broker.bootstrap_servers()))?;
            flags.bootstrap_server = Some(broker.bootstrap_servers().to_owned());
            (Some(broker), String::new())
        }
    };

    let mut runs = Vec::new();
    for (file, name) in [("config_keyed.toml", "keyed"), ("config_roundrobin.toml", "roundrobin")] {
        let run = demo::run(&flags, file, &format!("{name}{suffix}"), &shutdown).await?;
        if shutdown.is_requested() {
            break;
        }
        report::data(format!("\n{file}"))?;
        report::data(landed(&run, flags.plain).trim_end())?;
        runs.push(run);
    }
    if let [keyed, round_robin] = &runs[..] {
        report::data(format!("\nSide by side\n{}", comparison(keyed, round_robin).trim_end()))?;
    }

    if let Some(broker) = broker {
        broker.shutdown().await;
        report::data(
            "\nStopped the broker. Next: `make up`, then `make consumer-keyed` and `make producer-keyed`.",
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What a consumer read, partition by partition: where, what, and why there.
fn landed(run: &Run, plain: bool) -> String {
    let rows: Vec<[String; 4]> = run
        .received
        .iter()
        .map(|message| {
            let text =
                |bytes: Option<&[u8]>, none: &str| bytes.map_or(none.to_owned(), report::text);
            [
                format!("  partition {} offset {}", message.partition, message.offset),
                format!("{} {}", report::arrow(plain), text(message.value.as_deref(), "null")),
                message
                    .key
                    .as_deref()
                    .map_or("no key".to_owned(), |key| format!("key={}", report::text(key))),
                text(message.header(CHOSEN_BY), ""),
            ]
        })
        .collect();
    columns(&rows)
}

fn comparison(keyed: &Run, round_robin: &Run) -> String {
    let mut rows = vec![["".to_owned(), "keyed".to_owned(), "round robin".to_owned()]];
    for partition in 0..keyed.partitions {
        let count = |run: &Run| report::count(run.count(partition) as u64, "message");
        rows.push([format!("  partition {partition} has"), count(keyed), count(round_robin)]);
    }
    let mut users: Vec<&str> = LINES.iter().filter_map(|line| line.split(' ').next()).collect();
    users.sort_unstable();
    users.dedup();
    for user in users {
        let places = |run: &Run| {
            let mut partitions: Vec<String> =
                run.partitions_of(user).iter().map(i32::to_string).collect();
            let ordered = if partitions.len() == 1 { ", in order" } else { "" };
            let last = partitions.pop().unwrap_or_default();
            let list = if partitions.is_empty() {
                last
            } else {
                format!("{} and {last}", partitions.join(", "))
            };
            format!("{list}{ordered}")
        };
        rows.push([format!("  {user} is in partition"), places(keyed), places(round_robin)]);
    }
    columns(&rows)
}
