//! Compares JSON and Protocol Buffers, five codecs and three batch sizes, on the same events.
//!
//! | counted | how |
//! |---|---|
//! | stored bytes | the batches in the broker's log, heads and keys included ([`stored`](mod@crate::stored)) |
//! | CPU | of this whole process, all threads, kernel too: encoding, compression, sending. Not the broker's. |
//! | records/s | from the first event to the last acknowledgement |
//!
//! Bytes are the same on every machine (with gzip they depend a little on the machine's zlib). CPU and records/s belong to
//! one machine. So each combination runs several times, and the fastest run counts.
//!
//! Only the count should end a batch. So `batch.size`, `message.max.bytes` and the topics' `max.message.bytes` are raised here:
//! 10,000 events as JSON are larger than the default of all three, which is about a megabyte.

use crate::Lab;
use crate::event::{Format, UserEvent};
use crate::send::{Producer, Record, WhenFull};
use crate::stored::{Codec, stored};
use anyhow::{Context as _, ensure};
use cpu_time::ProcessTime;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use shared::client::Cluster;
use shared::config::{Client, Config, Topic};
use shared::shutdown::Shutdown;
use std::fmt::Write as _;
use std::io;
use std::time::{Duration, Instant};

/// Records in a batch, as many as fit the three panels of the picture.
pub const BATCHES: [usize; 3] = [1, 100, 10_000];

/// The number of events must be a multiple of this, so that every batch is full.
pub const STEP: usize = 10_000;

/// When the first event happened: with it, every byte is the same in every run.
pub const START: i64 = 1_750_000_000_000;

/// No batch is nearly so large.
const ROOM: i32 = 64 * 1024 * 1024;

/// One combination, and what came out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    pub batch: usize,
    pub format: Format,
    pub codec: Codec,
    /// Bytes in the log, for each record.
    pub stored: f64,
    /// Microseconds of CPU, for each record.
    pub cpu: f64,
    pub per_second: f64,
}

/// Every combination, in the order of the table. `on` hears of each when it is there; `None` after Ctrl-C.
pub async fn measure(
    config: &Config<Lab>,
    cluster: &Cluster,
    events: &[UserEvent],
    repeat: u32,
    shutdown: &Shutdown,
    mut on: impl FnMut(&Cell),
) -> anyhow::Result<Option<Vec<Cell>>> {
    let mut cells = Vec::new();
    for batch in BATCHES {
        for format in [Format::Json, Format::Protobuf] {
            for codec in Codec::ALL {
                let name = format!("{}-{format}-{codec}-{batch}", config.topic.name);
                let topic = Topic::new(&name.to_lowercase(), 1);
                shared::topic::delete(cluster, &topic.name).await?;
                create(cluster, &topic).await?;
                let cell = one(
                    config,
                    cluster,
                    &topic.name,
                    events,
                    (batch, format, codec),
                    repeat,
                    shutdown,
                )
                .await;
                // Also after an error: no topic of the measurement stays on the broker.
                shared::topic::delete(cluster, &topic.name).await?;
                let Some(cell) = cell? else { return Ok(None) };
                on(&cell);
                cells.push(cell);
            }
        }
    }
    Ok(Some(cells))
}

async fn create(cluster: &Cluster, topic: &Topic) -> anyhow::Result<()> {
    let room = ROOM.to_string();
    let new = NewTopic::new(&topic.name, 1, TopicReplication::Fixed(-1))
        .set("max.message.bytes", &room)
        // The events are from last year. Without this, the broker would delete them.
        .set("retention.ms", "-1");
    let results = cluster.admin().create_topics([&new], &AdminOptions::new()).await?;
    for result in results {
        result
            .map_err(|(name, code)| anyhow::anyhow!("Topic {name} could not be made: {code}."))?;
    }
    // The topic exists. This waits until the broker's metadata names it too.
    shared::topic::ensure(cluster, topic).await?;
    Ok(())
}

async fn one(
    config: &Config<Lab>,
    cluster: &Cluster,
    topic: &str,
    events: &[UserEvent],
    (batch, format, codec): (usize, Format, Codec),
    repeat: u32,
    shutdown: &Shutdown,
) -> anyhow::Result<Option<Cell>> {
    let mut producer = Producer::new(&properties(config, batch, codec))
        .context("librdkafka refuses to make a producer of these properties")?;
    producer.warm_up(topic).with_context(|| format!("{topic} took no record"))?;

    let mut best: Option<(Duration, Duration)> = None;
    for _ in 0..repeat {
        let records = events.iter().map(|event| Record {
            key: &event.user_id,
            value: format.encode(event),
            // A batch stores how far apart its records are: with the clock's time every run would differ.
            timestamp: Some(event.timestamp),
        });
        let (cpu, clock) = (ProcessTime::now(), Instant::now());
        let tally = producer
            .send(topic, records, None, WhenFull::Wait, shutdown, |_| io::Result::Ok(()))
            .await?;
        let (cpu, clock) = (cpu.elapsed(), clock.elapsed());
        if shutdown.is_requested() {
            return Ok(None);
        }
        ensure!(tally.is_complete(), "{codec}, {format}: {}", tally.sentence(config));
        best = Some(
            best.map_or((cpu, clock), |(least, shortest)| (least.min(cpu), shortest.min(clock))),
        );
    }
    let (cpu, clock) = best.context("There is nothing to measure without a run")?;

    // The record of the warm-up has offset 0.
    let batches = stored(cluster, topic, 1).await?;
    let records: u64 = batches.iter().map(|batch| batch.records).sum();
    ensure!(records == events.len() as u64 * u64::from(repeat), "{topic} holds {records} records");
    for found in &batches {
        ensure!(
            found.records == batch as u64 && (found.codec == codec || batch == 1),
            "{topic}@{}: a batch of {} records with {}, instead of {batch} with {codec}.",
            found.offset,
            found.records,
            found.codec
        );
    }
    let (bytes, records, count) = (
        batches.iter().map(|batch| batch.bytes).sum::<u64>() as f64,
        records as f64,
        events.len() as f64,
    );
    Ok(Some(Cell {
        batch,
        format,
        codec,
        stored: bytes / records,
        cpu: cpu.as_secs_f64() * 1e6 / count,
        per_second: count / clock.as_secs_f64(),
    }))
}

fn properties(config: &Config<Lab>, batch: usize, codec: Codec) -> ClientConfig {
    let mut properties = config.client(Client::Producer);
    properties
        .set("compression.type", codec.to_string())
        .set("batch.num.messages", batch.to_string())
        .set("batch.size", ROOM.to_string())
        .set("message.max.bytes", ROOM.to_string())
        // Long enough that a batch always fills.
        .set("linger.ms", "4000")
        .set("message.timeout.ms", "60000");
    properties
}

/// The cells as tables in Markdown, one for each size of batches.
pub fn tables(cells: &[Cell]) -> String {
    let mut text = String::new();
    for batch in BATCHES {
        let of_batch = || cells.iter().filter(move |cell| cell.batch == batch);
        let Some(plain) =
            of_batch().find(|cell| cell.format == Format::Json && cell.codec == Codec::None)
        else {
            continue;
        };
        let records = if batch == 1 { "1 record" } else { "records" };
        let count =
            if batch == 1 { String::new() } else { format!("{} ", thousands(batch as f64)) };
        let _ = writeln!(text, "**Batches of {count}{records}**\n");
        let _ = writeln!(
            text,
            "| format | codec | stored bytes a record | of plain JSON | CPU µs a record | records/s |"
        );
        let _ = writeln!(text, "|---|---|--:|--:|--:|--:|");
        for cell in of_batch() {
            let _ = writeln!(
                text,
                "| {} | {} | {:.1} | {:.0} % | {:.1} | {} |",
                cell.format,
                cell.codec,
                cell.stored,
                100.0 * cell.stored / plain.stored,
                cell.cpu,
                thousands(cell.per_second)
            );
        }
        text.push('\n');
    }
    text
}

/// What people say about ZSTD, compared with the figures.
pub fn claims(cells: &[Cell]) -> Vec<String> {
    let cell = |batch, format, codec| {
        cells.iter().find(|cell| (cell.batch, cell.format, cell.codec) == (batch, format, codec))
    };
    let mut claims = Vec::new();
    for format in [Format::Json, Format::Protobuf] {
        let saved = BATCHES.map(|batch| {
            let (none, zstd) =
                (cell(batch, format, Codec::None)?, cell(batch, format, Codec::Zstd)?);
            Some(format!(
                "{:.0} % in {}",
                100.0 * (1.0 - zstd.stored / none.stored),
                batches_of(batch)
            ))
        });
        let saved: Vec<String> = saved.into_iter().flatten().collect();
        claims.push(format!("ZSTD saves of {format}: {}.", saved.join(", ")));
    }
    for batch in BATCHES {
        for format in [Format::Json, Format::Protobuf] {
            let (Some(none), Some(gzip), Some(zstd)) = (
                cell(batch, format, Codec::None),
                cell(batch, format, Codec::Gzip),
                cell(batch, format, Codec::Zstd),
            ) else {
                continue;
            };
            claims.push(format!(
                "ZSTD against gzip, {format}, {}: {} bytes, {} CPU (without compression: {:.1} µs).",
                batches_of(batch),
                compared(zstd.stored, gzip.stored),
                compared(zstd.cpu, gzip.cpu),
                none.cpu
            ));
        }
    }
    claims
}

fn batches_of(batch: usize) -> String {
    if batch == 1 {
        "batches of one".to_owned()
    } else {
        format!("batches of {}", thousands(batch as f64))
    }
}

/// `12 % less`, `3 % more`.
fn compared(this: f64, that: f64) -> String {
    let percent = (100.0 * (this / that - 1.0)).round();
    match percent {
        0.0 => "as many".to_owned(),
        more if more > 0.0 => format!("{more} % more"),
        less => format!("{} % less", -less),
    }
}

/// `12,345`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, for people")]
pub(crate) fn thousands(n: f64) -> String {
    let digits = (n.max(0.0).round() as u64).to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_have_commas() {
        assert_eq!(
            [0.0, 999.4, 1_000.0, 1_234_567.0].map(thousands),
            ["0", "999", "1,000", "1,234,567"]
        );
    }

    #[test]
    fn the_table_and_the_claims_say_what_the_cells_say() {
        let cell = |format, codec, stored, cpu| Cell {
            batch: 100,
            format,
            codec,
            stored,
            cpu,
            per_second: 1e6,
        };
        let cells = [
            cell(Format::Json, Codec::None, 200.0, 2.0),
            cell(Format::Json, Codec::Gzip, 50.0, 10.0),
            cell(Format::Json, Codec::Zstd, 60.0, 4.0),
        ];
        let tables = tables(&cells);
        assert!(tables.starts_with("**Batches of 100 records**\n\n| format | codec |"), "{tables}");
        assert!(tables.contains("| JSON | zstd | 60.0 | 30 % | 4.0 | 1,000,000 |\n"), "{tables}");
        let claims = claims(&cells);
        assert_eq!(claims[0], "ZSTD saves of JSON: 70 % in batches of 100.");
        assert_eq!(
            claims[2],
            "ZSTD against gzip, JSON, batches of 100: 20 % more bytes, 60 % less CPU (without compression: 2.0 µs)."
        );
    }
}
