//! `lab3-consumer`: reads events and prints them.

use clap::{Parser, ValueEnum};
use lab3_zstd_protobuf::event::{Format, UserEvent, name_of};
use lab3_zstd_protobuf::receive::{Received, Step, receive};
use lab3_zstd_protobuf::{CONSUMER, Lab};
use shared::config::{Client, Config, Flags};
use shared::consume::Limits;
use shared::{report, topic};
use std::process::ExitCode;

/// Read user events, and print them
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Stop after so many records
    #[arg(short = 'n', long, value_name = "N")]
    max_messages: Option<u64>,

    /// Stop at the end of the topic
    #[arg(short, long)]
    exit_at_end: bool,

    /// The group, instead of the configuration's
    #[arg(short, long, value_name = "NAME")]
    group: Option<String>,

    /// How to print an event: as text, or as a JSON object
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
        report::note(shared::banner(&config, &cluster, &provisioned, None));
        let limits = Limits {
            max_messages: args.max_messages,
            at_end: args.exit_at_end,
            ..Limits::default()
        };
        let read = receive(&config, &cluster, limits, &shutdown, |step| match step {
            Step::Received(received) => print(&received, args.output, args.flags.plain),
            Step::News(sentence) => {
                report::note(sentence);
                Ok(())
            }
        })
        .await?;
        let events = report::count(read.events, "event");
        let others = match read.others {
            0 => String::new(),
            n => format!(" Skipped {} without an event.", report::count(n, "record")),
        };
        report::note(format!("Read {events} of {} bytes.{others}", read.bytes));
        Ok(ExitCode::SUCCESS)
    })
}

fn print(received: &Received, output: Output, plain: bool) -> std::io::Result<()> {
    let Received { topic, partition, offset, bytes, event } = received;
    let place = report::place(topic, *partition, *offset);
    match (event, output) {
        (Ok(event), Output::Json) => report::data(json(event)),
        (Ok(event), Output::Text) => {
            report::data(format!("{place} {} {}", report::arrow(plain), line(event, *bytes)))
        }
        (Err(error), _) => {
            report::note(format!(
                "{place} holds no event ({error}); its {bytes} bytes are skipped."
            ));
            Ok(())
        }
    }
}

/// What is in the event, without its random ids. Whoever sent the event chose its texts, so no control character of them
/// may reach the terminal.
fn line(event: &UserEvent, bytes: usize) -> String {
    let shown = |text: &str| report::text(text.as_bytes());
    let (name, user) = (name_of(event.event_type), shown(&event.user_id));
    let mut line = format!("{name:<15} {user} {bytes:>3} bytes");
    let Some(data) = &event.data else { return line };
    for (name, value) in [("email", &data.email), ("username", &data.username)] {
        if let Some(value) = value {
            line.push_str(&format!("  {name}={}", shown(value)));
        }
    }
    for (name, value) in data.metadata.iter().filter(|(name, _)| *name != "session_id") {
        // The name of a browser is long.
        let short: String = value.chars().take(24).collect();
        let more = if short.len() < value.len() { "…" } else { "" };
        line.push_str(&format!("  {}={}{more}", shown(name), shown(&short)));
    }
    line
}

fn json(event: &UserEvent) -> String {
    report::json(&String::from_utf8_lossy(&Format::Json.encode(event)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab3_zstd_protobuf::event::UserEventData;
    use std::collections::BTreeMap;

    #[test]
    fn no_control_character_reaches_the_terminal() {
        const EVIL: &str = "\u{1b}]0;title\u{7}\u{7f}\u{9b}31m\n\u{202e}txen";
        let obeyed = |c: char| c.is_control() || c == '\u{202e}';
        let event = UserEvent {
            event_id: EVIL.to_owned(),
            user_id: EVIL.to_owned(),
            data: Some(UserEventData {
                email: Some(EVIL.to_owned()),
                username: Some(EVIL.to_owned()),
                metadata: BTreeMap::from([(EVIL.to_owned(), EVIL.to_owned())]),
            }),
            ..UserEvent::default()
        };
        let line = line(&event, 1);
        assert!(!line.contains(obeyed), "{line:?}");
        assert_eq!(line.matches("title").count(), 5, "{line}");

        let json = json(&event);
        assert!(!json.contains(obeyed), "{json:?}");
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["data"]["metadata"][EVIL], EVIL);
    }
}
