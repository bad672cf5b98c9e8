//! `lab3-batches`: what the broker keeps of a topic.

use anyhow::ensure;
use clap::Parser;
use lab3_zstd_protobuf::stored::{Batch, stored};
use lab3_zstd_protobuf::{BATCHES, Lab};
use shared::config::{Config, Flags};
use shared::report;
use std::process::ExitCode;

/// Show the batches in the broker's log: records, codec, bytes
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Show only the last batches of each partition
    #[arg(long, value_name = "N")]
    last: Option<usize>,

    #[command(flatten)]
    flags: Flags,
}

fn main() -> ExitCode {
    let args = Args::parse();
    shared::run(&args.flags.clone(), |_shutdown| async move {
        let config: Config<Lab> = Config::load(&BATCHES, &args.flags)?;
        if let Some(text) = config.asked(&BATCHES, &args.flags)? {
            report::data(text.trim_end())?;
            return Ok(ExitCode::SUCCESS);
        }
        let cluster = shared::client::Cluster::connect(&config).await?;
        let topic = &config.topic.name;
        ensure!(
            cluster.partitions(topic).await?.is_some(),
            "There is no topic {topic} yet. `make lab3-producer` makes it and sends something."
        );
        let batches = stored(&cluster, topic, 0).await?;
        for (n, batch) in batches.iter().enumerate() {
            let behind = batches[n..].iter().filter(|other| other.partition == batch.partition);
            if args.last.is_none_or(|last| behind.take(last + 1).count() <= last) {
                report::data(line(topic, batch))?;
            }
        }
        let records = batches.iter().map(|batch| batch.records).sum();
        let bytes: u64 = batches.iter().map(|batch| batch.bytes).sum();
        report::data(format!(
            "{} in {}, {bytes} bytes{}.",
            report::count(records, "record"),
            match batches.len() {
                1 => "1 batch".to_owned(),
                n => format!("{n} batches"),
            },
            each(bytes, records)
        ))?;
        Ok(ExitCode::SUCCESS)
    })
}

fn line(topic: &str, batch: &Batch) -> String {
    let place = report::place(topic, batch.partition, batch.offset);
    let records = report::count(batch.records, "record");
    format!(
        "{place}  {records}  {}  {} bytes{}",
        batch.codec,
        batch.bytes,
        each(batch.bytes, batch.records)
    )
}

/// `, 81 a record`.
fn each(bytes: u64, records: u64) -> String {
    match bytes.checked_div(records) {
        Some(each) => format!(", {each} a record"),
        None => String::new(),
    }
}
