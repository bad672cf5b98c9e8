//! `lab3-measure`: the tables and the picture of this lab's README.

use anyhow::{Context as _, ensure};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use lab3_zstd_protobuf::event::UserEvent;
use lab3_zstd_protobuf::measure::{BATCHES, START, STEP, claims, measure, tables};
use lab3_zstd_protobuf::stored::Codec;
use lab3_zstd_protobuf::{Lab, MEASURE, generate, picture};
use shared::client::Cluster;
use shared::config::{Config, Flags};
use shared::report;
use std::path::PathBuf;
use std::process::ExitCode;

/// Compare JSON and Protocol Buffers, five codecs, three sizes of batches
#[derive(Parser)]
#[command(version)]
struct Args {
    /// How many events each combination sends, a multiple of 10000
    #[arg(short = 'n', long, default_value = "20000", value_name = "N")]
    events: usize,

    /// How often each combination runs; the fastest run counts
    #[arg(long, default_value = "10", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,

    /// The seed of the random events: the same seed gives the same events
    #[arg(long, default_value = "1", value_name = "N")]
    seed: u64,

    /// Where to draw the picture
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    #[command(flatten)]
    flags: Flags,
}

fn main() -> ExitCode {
    let args = Args::parse();
    shared::run(&args.flags.clone(), |shutdown| async move {
        let config: Config<Lab> = Config::load(&MEASURE, &args.flags)?;
        if let Some(text) = config.asked(&MEASURE, &args.flags)? {
            report::data(text.trim_end())?;
            return Ok(ExitCode::SUCCESS);
        }
        ensure!(
            args.events > 0 && args.events.is_multiple_of(STEP),
            "--events {} is not a multiple of {STEP}. Name one, so that every batch is full.",
            args.events
        );
        if cfg!(debug_assertions) {
            report::note(
                "This is a debug build. Its bytes are right, but its CPU and records/s are not: `make lab3-measure` runs an optimised build.",
            );
        }
        let cluster = Cluster::connect(&config).await?;
        let events: Vec<UserEvent> = generate::events(args.seed, START).take(args.events).collect();

        let bar = ProgressBar::new((BATCHES.len() * 2 * Codec::ALL.len()) as u64);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos} of {len}  {msg}") {
            bar.set_style(style);
        }
        bar.tick();
        let cells = measure(&config, &cluster, &events, args.repeat, &shutdown, |cell| {
            bar.set_message(format!("{} {} in batches of {}", cell.format, cell.codec, cell.batch));
            bar.inc(1);
        })
        .await;
        bar.finish_and_clear();
        let Some(cells) = cells? else {
            report::note("Stopped. The topics of the measurement are deleted.");
            return Ok(ExitCode::SUCCESS);
        };

        let caption =
            format!("{} events from seed {}, best of {}", args.events, args.seed, args.repeat);
        report::data(format!("{caption}.\n\n{}", tables(&cells).trim_end()))?;
        for claim in claims(&cells) {
            report::data(format!("\n{claim}"))?;
        }
        if let Some(path) = &args.svg {
            std::fs::write(path, picture::svg(&cells, &format!("lab3-measure: {caption}.")))
                .with_context(|| format!("{} cannot be written", path.display()))?;
            report::note(format!("Drew {}.", path.display()));
        }
        Ok(ExitCode::SUCCESS)
    })
}
