//! Micro-benchmarks of what every record passes: reading a batch's header, checking it, keeping it, finding it.
//!
//! The log is one of the broker's inner rooms and not public, but pure: it compiles here on its own.

#![allow(clippy::unwrap_used, reason = "a bench that fails may panic")]

use std::{hint::black_box, time::Duration};

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

use crate::log::{
    Log, TimestampType,
    batch::{Batch, build::Spec},
};

#[allow(dead_code, reason = "the whole table, of which the log needs a few lines")]
#[path = "../src/error_code.rs"]
mod error_code;
#[allow(dead_code, unused_imports, reason = "the whole room, its tests included")]
#[path = "../src/log/mod.rs"]
mod log;
#[allow(dead_code, reason = "the whole table of kinds, of which the log needs one")]
#[path = "../src/time.rs"]
mod time;

/// Records of 100 bytes in a batch: one that was sent alone, a usual batch, a large one.
const SIZES: [usize; 3] = [1, 100, 5_000];

fn batch_of(records: usize) -> Bytes {
    let value = "x".repeat(100);
    Spec::of(&vec![value.as_str(); records]).bytes()
}

fn take_and_check(c: &mut Criterion) {
    let mut group = c.benchmark_group("batch/take and check");
    for records in SIZES {
        let bytes = batch_of(records);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(records), &bytes, |b, bytes| {
            b.iter(|| {
                let batch = Batch::take(&mut bytes.clone()).unwrap().unwrap();
                assert!(batch.is_intact());
                batch
            });
        });
    }
    group.finish();
}

fn append(c: &mut Criterion) {
    // Enough for a log to be past its first small chunks. The allocator hands out the same memory again and again
    // except for the largest batches, which so show what fresh pages cost.
    const APPENDS: usize = 100;
    let mut group = c.benchmark_group("log/append");
    for records in SIZES {
        let batch = Batch::take(&mut batch_of(records)).unwrap().unwrap();
        group.throughput(Throughput::Bytes((APPENDS * batch.bytes.len()) as u64));
        group.bench_with_input(BenchmarkId::from_parameter(records), &batch, |b, batch| {
            let fill = |log: &mut Log| {
                for _ in 0..APPENDS {
                    log.append(black_box(batch), 0, TimestampType::CreateTime, 0).unwrap();
                }
            };
            b.iter_batched_ref(Log::default, fill, BatchSize::PerIteration);
        });
    }
    group.finish();
}

fn read(c: &mut Criterion) {
    const BATCHES: usize = 2_000;
    let mut group = c.benchmark_group("log/read");
    for records in SIZES {
        let batch = Batch::take(&mut batch_of(records)).unwrap().unwrap();
        let mut log = Log::default();
        for _ in 0..BATCHES {
            log.append(&batch, 0, TimestampType::CreateTime, 0).unwrap();
        }
        // A consumer's usual limit; from the middle, so that there is enough behind it.
        let (offset, max_bytes) = (log.end_offset() / 2, 1024 * 1024);
        group.bench_function(BenchmarkId::from_parameter(records), |b| {
            b.iter(|| log.read(black_box(offset), max_bytes, true).unwrap());
        });
    }
    group.finish();
}

/// Seconds in all: enough to see a change of a tenth.
fn short() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
}

criterion_group! {
    name = benches;
    config = short();
    targets = take_and_check, append, read
}
criterion_main!(benches);
