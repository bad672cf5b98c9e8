//! What is measured, what it shall be, and how it is told.

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
};

use serde_json::json;

/// A line of the table; the order is that of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Figure {
    Start,
    Memory,
    /// Records with values of so many bytes.
    Produced(usize),
    Consumed(usize),
    /// To take a record in and to give it out once.
    Cpu(usize),
    CpuIn(usize),
    CpuOut(usize),
    P50,
    P99,
}

/// How far two medians of the same thing lie apart by chance. It matters where the client is the slower side, as it
/// is with small records: then both brokers are equally fast.
const NOISE: f64 = 0.05;

/// What mini-kafka's figure shall be; the ratio is to Kafka's.
#[derive(Clone, Copy, Debug)]
enum Target {
    Below(f64),
    RatioBelow(f64),
    RatioAtMost(f64),
    RatioAtLeast(f64),
}

impl Figure {
    fn name(self) -> String {
        match self {
            Self::Start => "exec to first acked produce, ms".to_owned(),
            Self::Memory => "idle memory (RSS), MiB".to_owned(),
            Self::Produced(size) => format!("produced, {size} B values, records/s"),
            Self::Consumed(size) => format!("consumed, {size} B values, records/s"),
            Self::Cpu(size) => format!("server CPU, {size} B values, s/million"),
            Self::CpuIn(size) => format!("  of which in, {size} B"),
            Self::CpuOut(size) => format!("  of which out, {size} B"),
            Self::P50 => "end to end at 1,000 records/s, p50, ms".to_owned(),
            Self::P99 => "end to end at 1,000 records/s, p99, ms".to_owned(),
        }
    }

    fn target(self) -> Option<Target> {
        match self {
            Self::Start => Some(Target::RatioAtMost(0.01)),
            Self::Memory => Some(Target::Below(10.0)),
            Self::Produced(_) | Self::Consumed(_) => Some(Target::RatioAtLeast(1.0)),
            Self::Cpu(_) => Some(Target::RatioAtMost(0.25)),
            Self::CpuIn(_) | Self::CpuOut(_) => None,
            Self::P50 | Self::P99 => Some(Target::RatioBelow(1.0)),
        }
    }

    /// One number for all rounds: the median, which an outlier does not move. The kernel counts CPU time in
    /// hundredths of a second, and only the mean makes up for that.
    fn of(self, samples: &[f64]) -> Option<f64> {
        let count = samples.len();
        if count == 0 {
            return None;
        }
        if let Self::Cpu(_) | Self::CpuIn(_) | Self::CpuOut(_) = self {
            return Some(samples.iter().sum::<f64>() / count as f64);
        }
        let mut sorted = samples.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        Some((sorted[(count - 1) / 2] + sorted[count / 2]) / 2.0)
    }
}

impl Target {
    /// `None` if there is nothing to compare with.
    fn is_met(self, ours: Option<f64>, ratio: Option<f64>) -> Option<bool> {
        match self {
            Self::Below(limit) => ours.map(|ours| ours < limit),
            Self::RatioBelow(limit) => ratio.map(|ratio| ratio < limit),
            Self::RatioAtMost(limit) => ratio.map(|ratio| ratio <= limit),
            Self::RatioAtLeast(limit) => ratio.map(|ratio| ratio >= limit * (1.0 - NOISE)),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Below(limit) => write!(f, "< {limit}"),
            Self::RatioBelow(limit) => write!(f, "< {}", ratio(*limit)),
            Self::RatioAtMost(limit) => write!(f, "≤ {}", ratio(*limit)),
            Self::RatioAtLeast(limit) => write!(f, "≥ {} ± {NOISE}", ratio(*limit)),
        }
    }
}

/// The figures of one server, one value for each round.
#[derive(Debug, Default)]
pub(crate) struct Samples(BTreeMap<Figure, Vec<f64>>);

impl Samples {
    /// Adds a value, if it could be measured.
    pub(crate) fn add(&mut self, figure: Figure, value: Option<f64>) {
        self.0.entry(figure).or_default().extend(value);
    }

    /// Adds another round.
    pub(crate) fn append(&mut self, other: Self) {
        for (figure, values) in other.0 {
            self.0.entry(figure).or_default().extend(values);
        }
    }
}

/// Everything that was measured: mini-kafka first.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) samples: [Samples; 2],
    pub(crate) has_kafka: bool,
}

struct Line {
    figure: Figure,
    ours: Option<f64>,
    kafka: Option<f64>,
    ratio: Option<f64>,
    is_met: Option<bool>,
}

impl Report {
    fn lines(&self) -> impl Iterator<Item = Line> {
        let [ours, kafka] = &self.samples;
        ours.0.iter().map(|(figure, samples)| {
            let ours = figure.of(samples);
            let kafka = kafka.0.get(figure).and_then(|samples| figure.of(samples));
            let ratio = ours.zip(kafka).map(|(ours, kafka)| ours / kafka);
            let is_met = figure.target().and_then(|target| target.is_met(ours, ratio));
            Line { figure: *figure, ours, kafka, ratio, is_met }
        })
    }

    /// False if a target is missed. What could not be compared is not missed.
    pub(crate) fn is_met(&self) -> bool {
        self.lines().all(|line| line.is_met != Some(false))
    }

    /// For people.
    pub(crate) fn table(&self) -> String {
        let mut out = format!(
            "{:<40} {:>12} {:>12} {:>8}  target\n",
            "",
            "mini-kafka",
            if self.has_kafka { "Kafka" } else { "no Kafka" },
            "ratio"
        );
        for Line { figure, ours, kafka, ratio: times, is_met } in self.lines() {
            let missed = if is_met == Some(false) { "  MISSED" } else { "" };
            writeln!(
                out,
                "{:<40} {:>12} {:>12} {:>8}  {}{missed}",
                figure.name(),
                number(ours),
                number(kafka),
                times.map_or("–".to_owned(), ratio),
                figure.target().map_or(String::new(), |target| target.to_string()),
            )
            .expect("a String takes everything");
        }
        out
    }

    /// For tools.
    pub(crate) fn json(&self) -> String {
        let lines = self.lines().map(|line| {
            json!({
                "name": line.figure.name(),
                "mini_kafka": line.ours,
                "kafka": line.kafka,
                "ratio": line.ratio,
                "target": line.figure.target().map(|target| target.to_string()),
                "met": line.is_met,
            })
        });
        format!("{:#}\n", json!(lines.collect::<Vec<_>>()))
    }
}

/// Three digits that count, and thousands apart.
fn number(value: Option<f64>) -> String {
    let Some(value) = value else { return "–".to_owned() };
    let decimals = match value {
        ..1.0 => 3,
        1.0..10.0 => 2,
        10.0..100.0 => 1,
        _ => 0,
    };
    let digits = format!("{value:.decimals$}");
    if value < 1_000.0 {
        return digits;
    }
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1/120` says more than `0.0083`.
fn ratio(ratio: f64) -> String {
    match ratio {
        ..0.1 => format!("1/{:.0}", 1.0 / ratio),
        0.1..0.8 => format!("1/{:.1}", 1.0 / ratio).trim_end_matches(".0").to_owned(),
        0.8..10.0 => format!("{ratio:.2}").trim_end_matches(".00").to_owned(),
        _ => format!("{ratio:.0}"),
    }
}
