//! Many clients for a long time: does the broker stay as it was, and does every record arrive?
//!
//! ```sh
//! make soak                           # half an hour
//! make soak ARGS='--seconds 300'      # five minutes
//! ```
//!
//! Some lanes work side by side. Each makes a topic, has it written to and read, checks every record and deletes the
//! topic, again and again ([`lane`]). Beside them come clients that break off in the middle of a frame, and topics that
//! live for a moment ([`disturbers`]). Meanwhile the broker's memory, descriptors and threads are watched ([`process`]).
//!
//! It succeeds if every acknowledged record was read once and in order, and if the second half of the time took no more
//! than the first quarter ([`figures`] has the tolerance). Otherwise it says what is wrong, and ends with 1. Ctrl-C ends it
//! early, with the table so far; a second one ends it at once. In `cargo test` it takes [`SHORT`].

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

#[allow(dead_code, reason = "the attackers need more of it")]
#[path = "../../../tests/hostile/client.rs"]
mod client;
mod disturbers;
mod figures;
mod lane;
mod process;

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use libtest_mimic::{Arguments, Failed, Trial};

use self::{
    figures::{Counts, Samples},
    process::Broker,
};

/// How long it takes in `cargo test`.
const SHORT: Duration = Duration::from_secs(20);
const LANES: usize = 3;
/// A topic lives for so long at most, so that what is stored does not grow.
const LONGEST_LIFE: Duration = Duration::from_secs(10);
const BETWEEN_SAMPLES: Duration = Duration::from_millis(500);
const BETWEEN_REPORTS: Duration = Duration::from_secs(5);
/// How long the broker may take to notice that its clients have gone.
const TO_CALM_DOWN: Duration = Duration::from_secs(30);

/// Puts mixed clients on mini-kafka for a long time, and checks memory and records.
#[derive(Debug, Parser)]
struct Flags {
    /// How long it takes.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
}

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument.starts_with("--seconds")) {
        return match run(Duration::from_secs(Flags::parse().seconds)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let soak = Trial::test("a_short_soak_leaves_the_broker_as_it_was", || {
        run(SHORT).map_err(Failed::from)
    });
    libtest_mimic::run(&Arguments::from_args(), vec![soak]).exit_code()
}

/// Whether it is time to stop.
#[derive(Debug)]
struct Time {
    started: Instant,
    length: Duration,
    is_interrupted: AtomicBool,
}

impl Time {
    fn is_up(&self) -> bool {
        self.is_interrupted.load(Ordering::Relaxed) || self.started.elapsed() >= self.length
    }

    /// How long a topic lives.
    fn life(&self) -> Duration {
        LONGEST_LIFE.min(self.length / 5)
    }

    /// Waits, but not beyond the end.
    fn pause(&self, time: Duration) {
        let end = Instant::now() + time;
        while !self.is_up() && Instant::now() < end {
            thread::park_timeout(time.min(Duration::from_millis(50)));
        }
    }
}

/// # Errors
///
/// What went wrong, in sentences. They were printed below the table.
#[allow(clippy::disallowed_methods, reason = "without a broker there is no good order")]
fn run(length: Duration) -> Result<(), String> {
    let broker = Broker::start();
    let at_rest = broker.look().unwrap();
    let counts = Counts::default();
    let time =
        Arc::new(Time { started: Instant::now(), length, is_interrupted: AtomicBool::new(false) });
    stop_at_ctrl_c(Arc::clone(&time), broker.id());

    let mut samples = Samples::new(at_rest, time.life());
    thread::scope(|scope| {
        for number in 0..LANES {
            let (broker, counts, time) = (&broker, &counts, &time);
            scope.spawn(move || lane::run(number, broker.address(), counts, time));
        }
        let mut disturbers =
            vec![scope.spawn(|| disturbers::cut(broker.address(), &counts, &time))];
        disturbers
            .push(scope.spawn(|| disturbers::make_and_delete(broker.address(), &counts, &time)));
        let mut last_report = Instant::now();
        while !time.is_up() {
            time.pause(BETWEEN_SAMPLES);
            match broker.look() {
                Some(sample) => samples.add(time.started.elapsed(), sample),
                None => {
                    counts.fail("The broker has ended.".to_owned());
                    eprint!("{}", samples.table(None, time.started.elapsed(), &counts));
                    // The clients would wait for it for minutes.
                    std::process::exit(1);
                }
            }
            if last_report.elapsed() >= BETWEEN_REPORTS {
                last_report = Instant::now();
                eprintln!("{}", samples.progress(&counts));
            }
        }
    });
    // The clients have gone, and the broker lets go of what it had for them.
    let end = Instant::now() + TO_CALM_DOWN;
    let after = loop {
        let Some(after) = broker.look() else { break None };
        if after.descriptors <= at_rest.descriptors || Instant::now() > end {
            break Some(after);
        }
        thread::park_timeout(BETWEEN_SAMPLES);
    };
    samples.judge(after, &counts);
    eprint!("{}", samples.table(after, time.started.elapsed(), &counts));
    counts.verdict()
}

/// Ends everything in good order at the first Ctrl-C, and at once at the second.
#[allow(clippy::disallowed_methods, reason = "a second Ctrl-C asks for no good order")]
fn stop_at_ctrl_c(time: Arc<Time>, broker: u32) {
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            while tokio::signal::ctrl_c().await.is_ok() {
                if time.is_interrupted.swap(true, Ordering::Relaxed) {
                    process::kill(broker);
                    std::process::exit(1);
                }
            }
        });
    });
}
