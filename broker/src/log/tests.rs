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
                let appended = self.log.append(&spec.batch(), 0, by, append_time.unwrap_or(0))?;
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
                write!(out, "{time}: {}", show(find(&mut self.log, *time)))?;
            }
            Command::MaxTimestamp => {
                let latest = self.log.latest();
                let found = latest.and_then(|time| find(&mut self.log, time));
                write!(out, "max: {}", show(found))?;
            }
            Command::DeleteBefore(offset) => self.log.delete_before(*offset)?,
            Command::Offsets => {
                write!(out, "start {} end {}", self.log.start_offset(), self.log.end_offset())?;
            }
        }
        Ok(out)
    }
}

/// What a partition does, without its lock: batch after batch until one has such a record.
fn find(log: &mut Log, time: Timestamp) -> Option<Found> {
    let start = log.start_offset();
    let mut from = start;
    loop {
        let batch = log.first_batch(from, time)?;
        if let Some(found) = first_at_or_after(&batch, start, time).unwrap() {
            return Some(found);
        }
        from = batch.base_offset + i64::from(batch.last_offset_delta) + 1;
    }
}

fn show(found: Option<Found>) -> String {
    found.map_or("none".to_owned(), |Found { offset, timestamp }| {
        format!("offset {offset}, time {timestamp}")
    })
}

mod model {
    //! The log against the simplest thing that could be right: a list of batches.

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        /// So many records, of so many bytes each, at this time.
        Append {
            records: usize,
            len: usize,
            time: i64,
        },
        Read {
            at: prop::sample::Index,
            max_bytes: usize,
        },
        Find {
            time: i64,
        },
        DeleteBefore {
            at: prop::sample::Index,
        },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (1usize..4, 1usize..3_000, 0i64..100)
                .prop_map(|(records, len, time)| Step::Append { records, len, time }),
            3 => (any::<prop::sample::Index>(), 0usize..40_000)
                .prop_map(|(at, max_bytes)| Step::Read { at, max_bytes }),
            2 => (0i64..100).prop_map(|time| Step::Find { time }),
            1 => any::<prop::sample::Index>().prop_map(|at| Step::DeleteBefore { at }),
        ]
    }

    #[derive(Default)]
    struct Model {
        batches: Vec<Batch>,
        start: i64,
        end: i64,
    }

    impl Model {
        /// The batches that end at `offset` or behind it.
        fn from(&self, offset: i64) -> impl Iterator<Item = &Batch> {
            self.batches.iter().filter(move |batch| {
                batch.base_offset + i64::from(batch.last_offset_delta) >= offset
            })
        }

        /// Of the batches from `offset` on, the first one and those that fit besides.
        fn read(&self, offset: i64, max_bytes: usize) -> Vec<u8> {
            let mut bytes = Vec::new();
            for (n, batch) in self.from(offset).enumerate() {
                if n > 0 && bytes.len() + batch.bytes.len() > max_bytes {
                    break;
                }
                bytes.extend_from_slice(&batch.bytes);
            }
            bytes
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn a_log_is_a_list_of_batches(steps in prop::collection::vec(step(), 1..80)) {
            let (mut log, mut model) = (Log::default(), Model::default());
            for step in steps {
                let inside = |at: prop::sample::Index, model: &Model| {
                    model.start + i64::try_from(at.index(usize::try_from(model.end - model.start).unwrap() + 1)).unwrap()
                };
                match step {
                    Step::Append { records, len, time } => {
                        let value = "x".repeat(len);
                        let values = vec![value.as_str(); records];
                        let spec = Spec { timestamps: vec![time; records], ..Spec::of(&values) };
                        let mut batch = spec.batch();
                        log.append(&batch, 0, TimestampType::CreateTime, 0).unwrap();
                        let mut bytes = batch.bytes.to_vec();
                        put(&mut bytes, at::BASE_OFFSET, model.end.to_be_bytes());
                        put(&mut bytes, at::LEADER_EPOCH, 0i32.to_be_bytes());
                        (batch.base_offset, batch.bytes) = (model.end, bytes.into());
                        model.batches.push(batch);
                        model.end += i64::try_from(records).unwrap();
                    }
                    Step::Read { at, max_bytes } => {
                        let offset = inside(at, &model);
                        let read = log.read(offset, max_bytes, true).unwrap().concat();
                        prop_assert_eq!(read, model.read(offset, max_bytes));
                        let available: usize = model.from(offset).map(|b| b.bytes.len()).sum();
                        prop_assert_eq!(log.available(offset, usize::MAX).unwrap(), available);
                        prop_assert_eq!(log.available(offset, max_bytes).unwrap(), available.min(max_bytes));
                    }
                    Step::Find { time } => {
                        let first = model.from(model.start).find(|b| b.max_timestamp >= time);
                        let expected = first.map(|b| b.base_offset.max(model.start));
                        prop_assert_eq!(find(&mut log, time).map(|found| found.offset), expected);
                        let latest = model.from(model.start).map(|b| b.max_timestamp).max();
                        prop_assert_eq!(log.latest(), latest);
                    }
                    Step::DeleteBefore { at } => {
                        model.start = inside(at, &model);
                        log.delete_before(model.start).unwrap();
                        let start = model.start;
                        let left: usize = model.from(start).map(|b| b.bytes.len()).sum();
                        // What was deleted takes no more memory than what is left.
                        prop_assert!(log.size() <= 2 * left + 80 * 40, "{} for {left}", log.size());
                    }
                }
                prop_assert_eq!((log.start_offset(), log.end_offset()), (model.start, model.end));
            }
        }
    }
}
