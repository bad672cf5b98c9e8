//! `lab3-producer`: events as Protocol Buffers, in batches, compressed.

use clap::Parser;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use lab3_zstd_protobuf::event::{Format, from_next_writer, name_of};
use lab3_zstd_protobuf::send::{Producer, Record, Report, WhenFull};
use lab3_zstd_protobuf::{Lab, PRODUCER, generate};
use shared::client::Cluster;
use shared::config::{Client, Config, Flags};
use shared::reset::Made;
use shared::{report, topic};
use std::fmt::Write;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// If there are more events, they are not listed.
const SHOWN: usize = 20;

/// Send user events as Protocol Buffers
#[derive(Parser)]
#[command(version)]
struct Args {
    /// How many events
    #[arg(short = 'n', long, default_value = "10", value_name = "N")]
    events: u32,

    /// The seed of the random events: the same seed gives the same events
    #[arg(long, default_value = "1", value_name = "N")]
    seed: u64,

    /// How many events to send each second; without it, as many as possible
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,

    /// What to do with an event while the queue is full
    #[arg(long, value_name = "HOW")]
    when_full: Option<WhenFull>,

    /// Add a note of so many random letters to the first event
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(..=100_000_000))]
    note: Option<u32>,

    /// Write with the next version of the schema; the first event has its new type
    #[arg(long)]
    next_schema: bool,

    /// Delete the topic and the consumers' group, then stop
    #[arg(long)]
    reset: bool,

    /// With --reset: only say whether somebody uses them, and delete nothing
    #[arg(long, requires = "reset")]
    check: bool,

    #[command(flatten)]
    flags: Flags,
}

fn main() -> ExitCode {
    let args = Args::parse();
    shared::run(&args.flags.clone(), |shutdown| async move {
        let config: Config<Lab> = Config::load(&PRODUCER, &args.flags)?;
        if let Some(text) = config.asked(&PRODUCER, &args.flags)? {
            report::data(text.trim_end())?;
            return Ok(ExitCode::SUCCESS);
        }
        let when_full = args.when_full.unwrap_or(config.lab.when_full);
        let cluster = Cluster::connect(&config).await?;
        if args.reset {
            return reset(&cluster, &config, args.check).await;
        }
        let topic = topic::ensure(&cluster, &config.topic).await?;
        let what = format!("{} from seed {}", args.events, args.seed);
        report::note(shared::banner(&config, &cluster, &topic, Some(("events", &what))));

        let count = usize::try_from(args.events)?;
        let shown = count <= SHOWN;
        let mut events = generate::events(args.seed, now());
        let bar = if shown { ProgressBar::hidden() } else { bar(args.events.into()) };
        let arrow = report::arrow(args.flags.plain);
        // The text beside a report is kept until the report comes. For many events that would be a second queue.
        let summaries = std::cell::RefCell::new(Vec::new());
        let records = (0..count).map(|n| {
            let mut event = events.another();
            event.timestamp = now();
            if let (0, Some(bytes), Some(data)) = (n, args.note, &mut event.data) {
                let note = generate::noise(args.seed, usize::try_from(bytes).unwrap_or(usize::MAX));
                data.metadata.insert("note".to_owned(), note);
            }
            let (name, value) = if args.next_schema {
                let (name, value) = from_next_writer(&event, n == 0);
                (name.to_owned(), value)
            } else {
                (name_of(event.event_type), Format::Protobuf.encode(&event))
            };
            if shown {
                let summary = format!("{name:<15} {} {:>3} bytes", event.user_id, value.len());
                summaries.borrow_mut().push(summary);
            }
            Record::new(event.user_id, value)
        });
        let mut producer = Producer::new(&config.client(Client::Producer))?;
        let on = |report: &Report| {
            bar.inc(1);
            let Some(summary) = summaries.borrow().get(report.n).cloned() else { return Ok(()) };
            match &report.result {
                Ok((partition, offset)) => {
                    let place = report::place(&config.topic.name, *partition, *offset);
                    report::data(format!("{summary} {arrow} {place}"))
                }
                Err(_why) => report::data(format!("{summary} {arrow} not delivered")),
            }
        };
        let tally =
            producer.send(&config.topic.name, records, args.rate, when_full, &shutdown, on).await?;
        bar.finish_and_clear();
        report::data(tally.sentence(&config))?;
        if tally.waited > 0 {
            report::note(format!("The queue was full; {} waited for room.", tally.waited));
        }
        let stopped = shutdown.is_requested() && tally.failures() == 0;
        Ok(if tally.is_complete() || stopped { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

async fn reset(cluster: &Cluster, config: &Config<Lab>, check: bool) -> anyhow::Result<ExitCode> {
    let group = config.property(Client::Consumer, "group.id");
    let made = Made {
        topics: vec![config.topic.name.clone()],
        groups: group.map(|setting| setting.value.clone()).into_iter().collect(),
    };
    if check {
        made.check(cluster).await?;
        report::data("Nobody uses the topic and the group of Lab 3.")?;
    } else {
        made.delete(cluster).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Shown only when stderr is a terminal.
fn bar(events: u64) -> ProgressBar {
    let bar = ProgressBar::new(events);
    let style =
        ProgressStyle::with_template("{bar:30} {human_pos} of {human_len}, {rate}, {eta} left")
            .map(|style| {
                style.with_key("rate", |state: &ProgressState, text: &mut dyn Write| {
                    // A text that cannot be written is not shown.
                    let _ = write!(text, "{:.0}/s", state.per_sec());
                })
            });
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Milliseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
