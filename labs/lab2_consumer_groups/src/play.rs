//! `play`: the producer and both consumers in one terminal, stopped in order by one Ctrl-C.

use crate::{Tuning, connect};
use clap::Args;
use lab2_consumer_groups::child::{self, Child, Line};
use lab2_consumer_groups::settings::{Lab, Name, Step};
use shared::config::{Config, Flags};
use shared::report;
use shared::shutdown::Shutdown;
use std::ffi::OsString;
use std::process::{ExitCode, ExitStatus};
use tokio::sync::mpsc;

#[derive(Debug, Args)]
pub(crate) struct Play {
    /// The same seed makes the same payments
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// The producer stops after N payments; the consumers go on until Ctrl-C
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<u64>,

    #[command(flatten)]
    pub(crate) tuning: Tuning,

    #[command(flatten)]
    pub(crate) flags: Flags,
}

/// Who prints, and what its process is called in a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Producer,
    Consumer(Name),
}

impl Part {
    fn label(self, plain: bool) -> &'static str {
        match self {
            Self::Producer => "[producer]",
            Self::Consumer(name) => name.label(plain),
        }
    }
}

impl Play {
    pub(crate) async fn run(
        self,
        config: &Config<Lab>,
        shutdown: Shutdown,
    ) -> anyhow::Result<ExitCode> {
        // One sentence about a missing broker, not three; and the topic is there before anybody asks for it.
        let (_cluster, _topic) = connect(config).await?;
        report::data("Starting producer and consumer. Ctrl+C to stop both.")?;

        let (sender, lines) = mpsc::channel(64);
        let start = |part: Part, command: &[&str]| {
            let arguments = command.iter().map(OsString::from).chain(self.arguments(part));
            Child::start(arguments, &sender, move |line| (part, line)).map(|child| (part, child))
        };
        let mut consumers = Vec::new();
        for name in Name::BOTH {
            let command = ["start-consumer", "--client", name.id()];
            consumers.push(start(Part::Consumer(name), &command)?);
        }
        let mut producer = start(Part::Producer, &["start-producer"])?;
        drop(sender);
        let plain = self.flags.plain;
        let printing = tokio::spawn(print(lines, plain));

        let early = tokio::select! {
            () = shutdown.requested() => None,
            ended = self.first_end(&mut producer, &mut consumers) => Some(ended?),
        };
        if let Some((part, status)) = early {
            report::note(format!(
                "{} {}. Stopping the others.",
                part.label(plain),
                child::describe(status)
            ));
        }
        let sign = if plain { "" } else { "🛑 " };
        let dots = if plain { "..." } else { "…" };
        // The terminal may have been closed. That must not keep the children from their orderly end.
        let _ = report::data(format!("{sign}Stopping producer and consumer{dots}"));

        // The source first, so that the consumers see all that it sent; then both consumers at once.
        let mut code = early.map_or(0, |(_, status)| code_of(status));
        let mut note = |part: Part, status: ExitStatus| {
            if code == 0 && !status.success() {
                report::note(format!("{} {}.", part.label(plain), child::describe(status)));
                code = code_of(status);
            }
        };
        note(producer.0, producer.1.stop().await?);
        for (_, consumer) in &mut consumers {
            consumer.release();
        }
        for (part, consumer) in &mut consumers {
            note(*part, consumer.stop().await?);
        }
        // Their last lines.
        printing.await??;
        Ok(ExitCode::from(code))
    }

    /// Waits until one of the three ends that should not: only the producer may, after `--count`.
    async fn first_end(
        &self,
        (part, producer): &mut (Part, Child),
        consumers: &mut [(Part, Child)],
    ) -> std::io::Result<(Part, ExitStatus)> {
        let [bravo, zulu] = consumers else { unreachable!("there are two") };
        let mut is_counting = self.count.is_some();
        loop {
            let (part, status) = tokio::select! {
                status = producer.ended(), if is_counting || self.count.is_none() => (*part, status?),
                status = bravo.1.ended() => (bravo.0, status?),
                status = zulu.1.ended() => (zulu.0, status?),
            };
            if part != Part::Producer || !is_counting || !status.success() {
                return Ok((part, status));
            }
            is_counting = false;
        }
    }

    /// What was said to `play`, said again to a child.
    fn arguments(&self, part: Part) -> Vec<OsString> {
        let mut arguments = Vec::new();
        let mut flag = |name: &str, value: Option<OsString>| {
            if let Some(value) = value {
                arguments.extend([OsString::from(name), value]);
            }
        };
        let text = |value: String| Some(OsString::from(value));
        let time = |time: std::time::Duration| humantime::format_duration(time).to_string();
        let Flags { config, bootstrap_server, topic, properties, plain, log_format, .. } =
            &self.flags;
        flag("--config", config.clone().map(OsString::from));
        flag("--bootstrap-server", bootstrap_server.clone().map(OsString::from));
        flag("--topic", topic.clone().map(OsString::from));
        for (name, value) in properties {
            flag("-X", text(format!("{name}={value}")));
        }
        flag(
            "--log-format",
            clap::ValueEnum::to_possible_value(log_format).map(|value| value.get_name().into()),
        );
        flag("--interval", self.tuning.interval.map(|interval| time(interval).into()));
        flag("--batch-size", self.tuning.batch_size.map(|size| size.to_string().into()));
        flag("--batch-wait", self.tuning.batch_wait.map(|wait| time(wait).into()));
        flag("--commit", self.tuning.commit.map(|commit| commit.to_string().into()));
        flag("--pipeline", self.tuning.pipeline.as_deref().map(|steps| names(steps).into()));
        if part == Part::Producer {
            flag("--seed", self.seed.map(|seed| seed.to_string().into()));
            flag("--count", self.count.map(|count| count.to_string().into()));
        }
        if *plain {
            arguments.push("--plain".into());
        }
        arguments
    }
}

/// `validate,enrich`, as `--pipeline` reads it.
fn names(steps: &[Step]) -> String {
    let names = steps.iter().filter_map(clap::ValueEnum::to_possible_value);
    names.map(|value| value.get_name().to_owned()).collect::<Vec<_>>().join(",")
}

async fn print(mut lines: mpsc::Receiver<(Part, Line)>, plain: bool) -> std::io::Result<()> {
    while let Some((part, line)) = lines.recv().await {
        match line {
            Line::Data(text) => report::data(text)?,
            // The consumers' own notes say who they are from.
            Line::Note(text) if text.starts_with(part.label(plain)) => report::note(text),
            Line::Note(text) => report::note(format!("{} {text}", part.label(plain))),
        }
    }
    Ok(())
}

fn code_of(status: ExitStatus) -> u8 {
    match status.code() {
        Some(code) => u8::try_from(code).unwrap_or(1),
        None => 1,
    }
}
