//! Golden scripts for the log: `broker/src/log/scripts/*`.

use std::{error::Error, fmt::Write, path::Path};

use goldenscript::Context;
use test_each_file::test_each_path;

use super::{batch::build::Spec, *};

test_each_path! { in "./broker/src/log/scripts" as scripts => run }

fn run(path: &Path) {
    goldenscript::run(&mut Runner::default(), path).unwrap();
}

#[derive(goldenscript::Command)]
enum Command {
    /// Appends a batch of these values.
    Append {
        values: Vec<String>,
        /// The records' timestamps, `1,2,3`.
        #[arg(key)]
        times: Option<String>,
        #[arg(key)]
        producer: Option<i64>,
        #[arg(key, optional)]
        epoch: i16,
        #[arg(key, optional)]
        sequence: i32,
        /// The broker's clock, which then sets the timestamps.
        #[arg(key)]
        append_time: Option<Timestamp>,
    },
    /// Reads from an offset.
    Read {
        offset: i64,
        #[arg(key)]
        max_bytes: Option<usize>,
        #[arg(key)]
        at_least_one: Option<bool>,
    },
    /// The first record at or after a time.
    Find(Timestamp),
    MaxTimestamp,
    DeleteBefore(i64),
    Offsets,
}

#[derive(Default)]
struct Runner {
    log: Log,
}

impl goldenscript::Runner for Runner {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Result<String, Box<dyn Error>> {
        let mut out = String::new();
        match command {
            Command::Append { values, times, producer, epoch, sequence, append_time } => {
                let mut spec = Spec::of(&values.iter().map(String::as_str).collect::<Vec<_>>());
                if let Some(times) = times {
                    spec.timestamps = times.split(',').map(str::parse).collect::<Result<_, _>>()?;
                }
                if let Some(id) = producer {
                    (spec.producer_id, spec.producer_epoch, spec.base_sequence) =
                        (*id, *epoch, *sequence);
                }
                let by =
                    append_time.map_or(TimestampType::CreateTime, |_| TimestampType::LogAppendTime);
                let appended = self.log.append(&spec.batch(), by, append_time.unwrap_or(0))?;
                write!(out, "base offset {}", appended.base_offset)?;
                if !appended.is_new {
                    write!(out, ", a duplicate")?;
                }
            }
            Command::Read { offset, max_bytes, at_least_one } => {
                let slices = self.log.read(
                    *offset,
                    max_bytes.unwrap_or(usize::MAX),
                    at_least_one.unwrap_or(true),
                )?;
                let mut bytes = slices.concat().into();
                while let Some(batch) = Batch::take(&mut bytes)? {
                    let (base, len) = (batch.base_offset, batch.bytes.len());
                    let intact = if batch.is_intact() { "" } else { ", but its CRC is wrong" };
                    writeln!(
                        out,
                        "batch {base}..={}, {len} bytes{intact}",
                        base + i64::from(batch.last_offset_delta)
                    )?;
                }
                if out.is_empty() {
                    write!(out, "nothing")?;
                }
            }
            Command::Find(time) => {
                write!(out, "{time}: {}", show(self.log.first_at_or_after(*time)))?;
            }
            Command::MaxTimestamp => write!(out, "max: {}", show(self.log.max_timestamp()))?,
            Command::DeleteBefore(offset) => self.log.delete_before(*offset)?,
            Command::Offsets => {
                write!(out, "start {} end {}", self.log.start_offset(), self.log.end_offset())?;
            }
        }
        Ok(out)
    }
}

fn show(found: Option<Found>) -> String {
    found.map_or("none".to_owned(), |Found { offset, timestamp }| {
        format!("offset {offset}, time {timestamp}")
    })
}
