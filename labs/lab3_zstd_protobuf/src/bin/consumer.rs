//! `lab3-consumer`: reads events and prints them.

use clap::{Parser, ValueEnum};
use lab3_zstd_protobuf::event::{Format, UserEvent, name_of};
use lab3_zstd_protobuf::receive::{Limits, Received, Step, receive};
use lab3_zstd_protobuf::{CONSUMER, Lab};
use shared::config::{Client, Config, Flags};
use shared::{report, topic};
use std::process::ExitCode;

/// Read user events, and print them
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Stop after so many
    #[arg(short = 'n', long, value_name = "N")]
    max_messages: Option<u64>,

    /// Stop at the end of the topic
    #[arg(short, long)]
    exit_at_end: bool,

    /// The group, instead of the configuration's
    #[arg(short, long, value_name = "NAME")]
    group: Option<String>,

    /// How an event is printed: as a line for people, or as a JSON object
    #[arg(short = 'O', long, value_name = "HOW", default_value = "text")]
    output: Output,

    #[command(flatten)]
    flags: Flags,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

fn main() -> ExitCode {
    let args = Args::parse();
    shared::run(&args.flags.clone(), |shutdown| async move {
        let mut config: Config<Lab> = Config::load(&CONSUMER, &args.flags)?;
        if let Some(group) = &args.group {
            config.set(Client::Consumer, "group.id", group, "--group")?;
        }
        if args.exit_at_end {
            config.set(Client::Consumer, "enable.partition.eof", "true", "--exit-at-end")?;
        }
        if let Some(text) = config.asked(&CONSUMER, &args.flags)? {
            report::data(text.trim_end())?;
            return Ok(ExitCode::SUCCESS);
        }
        let cluster = shared::client::Cluster::connect(&config).await?;
        let provisioned = topic::ensure(&cluster, &config.topic).await?;
        report::note(shared::banner(&config, Client::Consumer, &cluster, &provisioned, None));
        let (consumer, rebalances) = shared::client::consumer(&config, None)?;
        let limits = Limits { max_messages: args.max_messages, at_end: args.exit_at_end };
        let read =
            receive(
                consumer,
                rebalances,
                &config.topic.name,
                limits,
                &shutdown,
                |step| match step {
                    Step::Received(received) => print(&received, args.output, args.flags.plain),
                    Step::Trouble(sentence) => {
                        report::note(sentence);
                        Ok(())
                    }
                },
            )
            .await?;
        let events = report::count(read.events, "event");
        let others = match read.others {
            0 => String::new(),
            n => format!(", {} that no event is in", report::count(n, "record")),
        };
        report::note(format!("Read {events} of {} bytes{others}.", read.bytes));
        Ok(ExitCode::SUCCESS)
    })
}

fn print(received: &Received, output: Output, plain: bool) -> std::io::Result<()> {
    let Received { topic, partition, offset, bytes, event } = received;
    let place = report::place(topic, *partition, *offset);
    match (event, output) {
        (Ok(event), Output::Json) => {
            report::data(String::from_utf8_lossy(&Format::Json.encode(event)))
        }
        (Ok(event), Output::Text) => {
            report::data(format!("{place} {} {}", report::arrow(plain), line(event, *bytes)))
        }
        (Err(error), _) => {
            report::note(format!("{place} holds no event ({error}); {bytes} bytes passed over."));
            Ok(())
        }
    }
}

/// What is in the event, without its random ids.
fn line(event: &UserEvent, bytes: usize) -> String {
    let mut line = format!("{:<15} {} {bytes:>3} bytes", name_of(event.event_type), event.user_id);
    let Some(data) = &event.data else { return line };
    for (name, value) in [("email", &data.email), ("username", &data.username)] {
        if let Some(value) = value {
            line.push_str(&format!("  {name}={value}"));
        }
    }
    for (name, value) in data.metadata.iter().filter(|(name, _)| *name != "session_id") {
        // A browser's name for itself is long.
        let short: String = value.chars().take(24).collect();
        let more = if short.len() < value.len() { "…" } else { "" };
        line.push_str(&format!("  {name}={short}{more}"));
    }
    line
}
