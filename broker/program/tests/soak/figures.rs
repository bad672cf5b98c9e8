//! What was counted, what was measured, and what is made of it.

use std::{
    fmt::Write,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::process::Sample;

/// More failures than that say nothing new.
const MOST_FAILURES: usize = 20;

/// What the clients did.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) topics: AtomicU64,
    pub(crate) short_topics: AtomicU64,
    pub(crate) acknowledged: AtomicU64,
    pub(crate) read: AtomicU64,
    pub(crate) read_by_groups: AtomicU64,
    pub(crate) read_again_by_groups: AtomicU64,
    pub(crate) joined: AtomicU64,
    pub(crate) cut: AtomicU64,
    failures: Mutex<Vec<String>>,
}

impl Counts {
    /// Remembers what went wrong: a sentence.
    pub(crate) fn fail(&self, sentence: String) {
        let mut failures = self.failures.lock().unwrap();
        if failures.len() < MOST_FAILURES {
            eprintln!("{sentence}");
            failures.push(sentence);
        }
    }

    pub(crate) fn verdict(&self) -> Result<(), String> {
        let failures = self.failures.lock().unwrap();
        if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
    }
}

/// What is measured, and by how much the second half may exceed the first quarter.
///
/// The mean of the second half is compared with the highest value of the first quarter. Memory rises and falls with the
/// topics, and an allocator keeps some of what it gets back, so it has the greatest tolerance.
struct Measure {
    name: &'static str,
    of: fn(&Sample) -> f64,
    /// A part of the highest value.
    part: f64,
    more: f64,
}

const MEASURES: [Measure; 3] = [
    Measure { name: "memory (RSS), MiB", of: |sample| sample.memory, part: 0.1, more: 16.0 },
    Measure { name: "file descriptors", of: |sample| sample.descriptors, part: 0.0, more: 2.0 },
    Measure { name: "threads", of: |sample| sample.threads, part: 0.0, more: 2.0 },
];

/// How many descriptors and threads more there may be when all clients have gone than there were before they came. The
/// broker starts threads for long work when there is the first.
const LEFT_AT_REST: f64 = 4.0;

#[derive(Debug)]
pub(crate) struct Samples {
    at_rest: Sample,
    /// How long a topic lives: a time that is compared must not be shorter.
    life: Duration,
    all: Vec<(Duration, Sample)>,
}

impl Samples {
    pub(crate) fn new(at_rest: Sample, life: Duration) -> Self {
        Self { at_rest, life, all: Vec::new() }
    }

    pub(crate) fn add(&mut self, at: Duration, sample: Sample) {
        self.all.push((at, sample));
    }

    pub(crate) fn progress(&self, counts: &Counts) -> String {
        let Some((at, Sample { memory, descriptors, threads })) = self.all.last() else {
            return String::new();
        };
        format!(
            "{:5} s  {} records acknowledged, {} read; {} topics; {memory:.1} MiB, {descriptors} descriptors, {threads} threads",
            at.as_secs(),
            counts.acknowledged.load(Relaxed),
            counts.read.load(Relaxed),
            counts.topics.load(Relaxed) + counts.short_topics.load(Relaxed),
        )
    }

    /// The highest value of the first quarter and the mean of the second half; `None` if Ctrl-C came too early.
    fn compared(&self, measure: &Measure) -> Option<(f64, f64)> {
        let (end, _) = self.all.last().filter(|(end, _)| *end / 4 >= self.life)?;
        let of = |from: Duration, to: Duration| {
            let within = self.all.iter().filter(move |(at, _)| (from..=to).contains(at));
            within.map(|(_, sample)| (measure.of)(sample))
        };
        let highest = of(Duration::ZERO, *end / 4).reduce(f64::max)?;
        let (count, sum) =
            of(*end / 2, *end).fold((0.0, 0.0), |(count, sum), value| (count + 1.0, sum + value));
        Some((highest, sum / count))
    }

    /// Says what grew.
    pub(crate) fn judge(&self, after: Option<Sample>, counts: &Counts) {
        for measure in &MEASURES {
            let Some((before, later)) = self.compared(measure) else { continue };
            let most = before * (1.0 + measure.part) + measure.more;
            if later > most {
                counts.fail(format!(
                    "The broker's {} grew: at most {before:.1} in the first quarter, {later:.1} on average in the second half. Up to {most:.1} is tolerated.",
                    measure.name
                ));
            }
        }
        let Some(after) = after else { return };
        for measure in &MEASURES[1..] {
            let (before, after) = ((measure.of)(&self.at_rest), (measure.of)(&after));
            if after > before + LEFT_AT_REST {
                counts.fail(format!(
                    "The broker keeps {}: {before} before the clients came, {after} when they had gone.",
                    measure.name
                ));
            }
        }
    }

    pub(crate) fn table(&self, after: Option<Sample>, took: Duration, counts: &Counts) -> String {
        let mut table = String::new();
        let mut line = |name: &str, value: &str| writeln!(table, "{name:<44}{value:>34}").unwrap();
        line("time, s", &took.as_secs().to_string());
        for (name, count) in [
            ("topics written to, read and deleted", &counts.topics),
            ("topics made and deleted at once", &counts.short_topics),
            ("records acknowledged", &counts.acknowledged),
            ("records read from the beginning", &counts.read),
            ("records read by groups", &counts.read_by_groups),
            ("records read again by groups", &counts.read_again_by_groups),
            ("members that joined and left", &counts.joined),
            ("connections cut", &counts.cut),
        ] {
            line(name, &count.load(Relaxed).to_string());
        }
        line("", "at rest  1st quarter  2nd half  end");
        for measure in &MEASURES {
            let rest = (measure.of)(&self.at_rest);
            let end = after.as_ref().map_or(0.0, measure.of);
            let compared = match self.compared(measure) {
                Some((before, later)) => format!("{before:11.1}  {later:8.1}"),
                None => format!("{:>11}  {:>8}", "-", "-"),
            };
            line(measure.name, &format!("{rest:7.1}  {compared}{end:6.1}"));
        }
        match counts.verdict() {
            Ok(()) if self.compared(&MEASURES[0]).is_some() => table.push_str(
                "Every acknowledged record was read once and in order, and nothing grew.\n",
            ),
            Ok(()) => table.push_str(
                "Every acknowledged record was read once and in order. The time was too short to say whether something grew.\n",
            ),
            Err(failures) => writeln!(table, "\n{failures}").unwrap(),
        }
        table
    }
}
