//! `lab4`: the web service, its consumers, and the tools to watch and to disturb them.

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use lab4_event_service::broker::Broker;
use lab4_event_service::kafka::dead_letters::{self, Redriven};
use lab4_event_service::kafka::{FeedCreatedEvent, FeedLikedEvent, KafkaProducer, Message, lag};
use lab4_event_service::load::{self, Plan};
use lab4_event_service::reset::Reset;
use lab4_event_service::{Commit, Config, SendMode, Stream, crash, outage, program, programs, say};
use rdkafka::producer::FutureRecord;
use shared::client::Cluster;
use shared::config::Flags;
use shared::report;
use shared::shutdown::Shutdown;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Lab 4: a web service whose events reach Kafka
#[derive(Parser)]
#[command(version)]
struct Lab4 {
    #[command(subcommand)]
    step: Step,
}

#[derive(Subcommand)]
enum Step {
    /// Run the web service and the relay of its outbox, until Ctrl-C
    Service(Service),
    /// Run the consumers (notification service and job handler), until Ctrl-C
    Notifications(Notifications),
    /// Put load on the service, then count: accepted events, events in Kafka, effects
    Load(Load),
    /// Show how many messages the consumers have not handled yet
    Lag(Plain),
    /// Send the dead letters back to their topics
    Redrive(Redrive),
    /// Send a message to the feeds' topic (-t: to another one), as another program might
    Send(SendOne),
    /// Take the broker away under load and give it back; everything runs in this one process
    Outage(Outage),
    /// Kill the consumers under load (kill -9), then count
    Crash(Crash),
    /// Delete this lab's topics, groups and databases, unless somebody uses them
    Reset(ResetStep),
}

#[derive(Args)]
struct Service {
    /// How events leave
    #[arg(long, value_name = "HOW")]
    send: Option<SendMode>,
    /// The address for HTTP; port 0 takes a free one
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<SocketAddr>,
    /// The database; a missing file is made
    #[arg(long, value_name = "FILE")]
    database: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Args)]
struct Notifications {
    /// The address for HTTP; port 0 takes a free one
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<SocketAddr>,
    /// The database; a missing file is made
    #[arg(long, value_name = "FILE")]
    database: Option<PathBuf>,
    /// Do not print the effects
    #[arg(short, long)]
    quiet: bool,
    /// Show a failure: do not look for events that were handled before
    #[arg(long)]
    no_dedupe: bool,
    /// When an offset is committed; first shows a failure
    #[arg(long, value_name = "WHEN")]
    commit: Option<Commit>,
    /// How long each effect takes
    #[arg(long, value_name = "MILLISECONDS")]
    work_ms: Option<u64>,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Args)]
struct Load {
    /// Requests a second
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// The length of the load
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// The service's address, if it is not `listen` in lab4.toml
    #[arg(long, value_name = "IP:PORT")]
    service: Option<SocketAddr>,
    /// The consumers' address, if it is not `notifications_listen` in lab4.toml
    #[arg(long, value_name = "IP:PORT")]
    notifications: Option<SocketAddr>,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Args)]
struct Plain {
    #[command(flatten)]
    flags: Flags,
}

#[derive(Args)]
struct Redrive {
    /// Only show the letters that would be sent
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Args)]
struct SendOne {
    /// The message's key
    #[arg(short, long)]
    key: Option<String>,
    /// The event that user 1 has created this feed
    #[arg(long, value_name = "FEED", conflicts_with_all = ["liked", "payload"])]
    created: Option<i64>,
    /// The event that user 2 likes this feed
    #[arg(long, value_name = "FEED", conflicts_with = "payload")]
    liked: Option<i64>,
    /// The number of copies
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    times: u16,
    /// Any value instead of an event
    #[arg(required_unless_present_any = ["created", "liked"])]
    payload: Option<String>,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Args)]
struct Outage {
    /// How events leave
    #[arg(long, value_name = "HOW", default_value = "outbox")]
    send: SendMode,
    /// Requests a second
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// How long the broker is away
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=600))]
    seconds: u64,
    #[command(flatten)]
    launcher: Launcher,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Args)]
struct Crash {
    /// Show a failure: do not look for events that were handled before
    #[arg(long)]
    no_dedupe: bool,
    /// When an offset is committed; first shows a failure
    #[arg(long, value_name = "WHEN", default_value = "after")]
    commit: Commit,
    /// How often the consumers are killed
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(0..=1000))]
    kills: u32,
    /// Requests a second
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// The length of the load
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    #[command(flatten)]
    launcher: Launcher,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Args)]
struct Launcher {
    /// A program that starts and stops a real Kafka (`LAUNCHER start PORT`, `KEEP=1 LAUNCHER stop PORT`)
    #[arg(long, value_name = "LAUNCHER", env = "KAFKA_LAUNCHER")]
    launcher: Option<PathBuf>,
}

impl Launcher {
    /// Starts the broker of a scene.
    async fn broker(self) -> Result<Broker> {
        let broker = match self.launcher.filter(|launcher| !launcher.as_os_str().is_empty()) {
            Some(launcher) => Broker::launched(launcher).await?,
            None => Broker::in_memory().await?,
        };
        report::note(format!("A broker for this scene listens on {}.", broker.address()));
        Ok(broker)
    }
}

#[derive(Args)]
struct ResetStep {
    /// Only check that nobody uses them
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    flags: Flags,
}

fn main() -> ExitCode {
    let step = Lab4::parse().step;
    let flags = match &step {
        Step::Service(Service { flags, .. })
        | Step::Notifications(Notifications { flags, .. })
        | Step::Load(Load { flags, .. })
        | Step::Lag(Plain { flags })
        | Step::Redrive(Redrive { flags, .. })
        | Step::Send(SendOne { flags, .. })
        | Step::Outage(Outage { flags, .. })
        | Step::Crash(Crash { flags, .. })
        | Step::Reset(ResetStep { flags, .. }) => flags.clone(),
    };
    shared::run(&flags.clone(), |shutdown| async move {
        let name = match &step {
            Step::Service(_) => "lab4-service",
            Step::Notifications(_) => "lab4-notifications",
            _ => "lab4",
        };
        let config = Config::load(&program(name), &flags)?;
        if let Some(text) = config.asked(&program(name), &flags)? {
            report::data(text.trim_end())?;
            return Ok(ExitCode::SUCCESS);
        }
        match step {
            Step::Service(step) => service(config, step, &shutdown).await,
            Step::Notifications(step) => notifications(config, step, &shutdown).await,
            Step::Load(step) => run_load(&config, &step, &shutdown).await,
            Step::Lag(_) => show_lag(&config).await,
            Step::Redrive(step) => redrive(&config, &step, &shutdown).await,
            Step::Send(step) => send(&config, &step).await,
            Step::Outage(step) => run_outage(step, flags, &shutdown).await,
            Step::Crash(step) => run_crash(step, flags, &shutdown).await,
            Step::Reset(step) => reset(&config, step.check).await,
        }
    })
}

async fn service(mut config: Config, step: Service, shutdown: &Shutdown) -> Result<ExitCode> {
    config.lab.send = step.send.unwrap_or(config.lab.send);
    config.lab.listen = step.listen.unwrap_or(config.lab.listen);
    config.lab.database = step.database.unwrap_or(config.lab.database);
    let running = programs::service(&config, shutdown).await?;
    let way = match config.lab.send {
        SendMode::Outbox => "through the outbox",
        SendMode::Direct => "sent directly",
    };
    report::data(format!(
        "Listening on http://{}; events go to {}, {way}.",
        running.address,
        config.bootstrap_servers()
    ))?;
    running.ended().await?;
    report::data("The service has ended.")?;
    Ok(ExitCode::SUCCESS)
}

async fn notifications(
    mut config: Config,
    step: Notifications,
    shutdown: &Shutdown,
) -> Result<ExitCode> {
    let lab = &mut config.lab;
    lab.notifications_listen = step.listen.unwrap_or(lab.notifications_listen);
    if let Some(database) = step.database {
        lab.notifications_database = database;
    }
    lab.dedupe &= !step.no_dedupe;
    lab.commit = step.commit.unwrap_or(lab.commit);
    lab.work_ms = step.work_ms.unwrap_or(lab.work_ms);
    let running = programs::consumers(&config, !step.quiet, shutdown).await?;
    let groups =
        Stream::ALL.map(|stream| format!("{} as {}", stream.topic(&config), stream.group(&config)));
    report::data(format!(
        "Listening on http://{}; reading {}.",
        running.address,
        groups.join(", ")
    ))?;
    running.ended().await?;
    report::data("The consumers have ended.")?;
    Ok(ExitCode::SUCCESS)
}

async fn run_load(config: &Config, step: &Load, shutdown: &Shutdown) -> Result<ExitCode> {
    Cluster::connect(config).await?;
    let notifications = step.notifications.unwrap_or(config.lab.notifications_listen);
    let consumers_run = tokio::net::TcpStream::connect(notifications).await.is_ok();
    if !consumers_run {
        report::note(
            "The consumers do not run (`make lab4-notifications`), so their effects are not counted.",
        );
    }
    let plan = Plan {
        service: step.service.unwrap_or(config.lab.listen),
        notifications: consumers_run.then_some(notifications),
        rate: step.rate,
        length: Duration::from_secs(step.seconds),
    };
    let (accepted, verdict) = load::run(config, &plan, shutdown)
        .await
        .context("The load has failed. Does the service run (`make lab4-service`)?")?;
    tell(&accepted, &verdict)
}

async fn run_outage(step: Outage, mut flags: Flags, shutdown: &Shutdown) -> Result<ExitCode> {
    let broker = step.launcher.broker().await?;
    flags.bootstrap_server = Some(broker.address());
    let config = Config::load(&program("lab4"), &flags)?;
    let scene = outage::Scene {
        send: step.send,
        rate: step.rate,
        calm: Duration::from_secs(3),
        outage: Duration::from_secs(step.seconds),
    };
    let result = outage::run(&config, &broker, &scene, shutdown).await;
    broker.end().await?;
    let (accepted, verdict) = result?;
    tell(&accepted, &verdict)
}

async fn run_crash(step: Crash, mut flags: Flags, shutdown: &Shutdown) -> Result<ExitCode> {
    let broker = step.launcher.broker().await?;
    flags.bootstrap_server = Some(broker.address());
    let config = Config::load(&program("lab4"), &flags)?;
    let scene = crash::Scene {
        dedupe: !step.no_dedupe,
        commit: step.commit,
        rate: step.rate,
        length: Duration::from_secs(step.seconds),
        kills: step.kills,
    };
    let result = crash::run(&config, &broker, &for_child(&flags), &scene, shutdown).await;
    broker.end().await?;
    let (accepted, verdict) = result?;
    tell(&accepted, &verdict)
}

/// The flags that another program of this lab must be given too.
fn for_child(flags: &Flags) -> Vec<String> {
    let mut arguments = Vec::new();
    if let Some(file) = &flags.config {
        arguments.extend(["--config".to_owned(), file.display().to_string()]);
    }
    if let Some(topic) = &flags.topic {
        arguments.extend(["--topic".to_owned(), topic.clone()]);
    }
    for (name, value) in &flags.properties {
        arguments.extend(["-X".to_owned(), format!("{name}={value}")]);
    }
    arguments
}

fn tell(accepted: &load::Accepted, verdict: &load::Verdict) -> Result<ExitCode> {
    report::note(format!(
        "{} accepted, {} failed; the slowest answer took {} ms.",
        report::count(accepted.count(), "event"),
        report::count(accepted.failed, "request"),
        accepted.slowest.as_millis()
    ));
    report::data(verdict)?;
    Ok(if verdict.is_clean() && accepted.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn show_lag(config: &Config) -> Result<ExitCode> {
    Cluster::connect(config).await?;
    let mut table =
        vec![["group", "topic", "partition", "committed", "end", "lag"].map(str::to_owned)];
    for stream in Stream::ALL {
        let letters = (config.lab.redrive_group.as_str(), stream.dead_letters(config));
        for (group, topic) in [(stream.group(config), stream.topic(config).to_owned()), letters] {
            for lag in lag::of(config, group, &[topic]).await? {
                let committed = if lag.committed { lag.next.to_string() } else { "-".to_owned() };
                let (partition, end, behind) =
                    (lag.partition.to_string(), lag.end.to_string(), lag.lag().to_string());
                table.push([lag.group, lag.topic, partition, committed, end, behind]);
            }
        }
    }
    report::data(report::columns(&table).trim_end())?;
    Ok(ExitCode::SUCCESS)
}

async fn redrive(config: &Config, step: &Redrive, shutdown: &Shutdown) -> Result<ExitCode> {
    Cluster::connect(config).await?;
    if step.dry_run {
        let letters = dead_letters::waiting(config).await?;
        for line in letters.iter().flat_map(describe) {
            say::data(line)?;
        }
        report::note(format!(
            "{} to send back.",
            report::count(letters.len() as u64, "dead letter")
        ));
        return Ok(ExitCode::SUCCESS);
    }
    let mut lines = Vec::new();
    let sent = dead_letters::redrive(config, shutdown, |letter, redriven| {
        let place = letter.place();
        lines.push(match redriven {
            Redriven::BackTo(topic) => format!("{place} went back to {topic}."),
            Redriven::Stays(reason) => format!("{place} stays where it is: {reason}."),
        });
    })
    .await;
    for line in lines {
        say::data(line)?;
    }
    report::note(format!("{} sent back.", report::count(sent?, "dead letter")));
    Ok(ExitCode::SUCCESS)
}

/// A dead letter, for a person: its story and its payload.
fn describe(letter: &Message) -> [String; 2] {
    let header = |name| letter.header(name).unwrap_or("?");
    let story = format!(
        "{}  was {}[{}]@{}, attempt {} of {}: {}",
        letter.place(),
        header(dead_letters::ORIGINAL_TOPIC),
        header(dead_letters::ORIGINAL_PARTITION),
        header(dead_letters::ORIGINAL_OFFSET),
        header(dead_letters::ATTEMPT),
        header(dead_letters::GROUP),
        header(dead_letters::ERROR),
    );
    let payload = match letter.header(dead_letters::ORIGINAL_SIZE) {
        Some(size) => format!("  (without its payload; the original has {size} bytes)"),
        None => {
            let payload = String::from_utf8_lossy(letter.payload.as_deref().unwrap_or_default());
            let shown: String = payload.chars().take(SHOWN).collect();
            let more = if shown.len() < payload.len() { " …" } else { "" };
            format!("  {shown}{more}")
        }
    };
    [story, payload]
}

/// More of a payload would hide the other letters.
const SHOWN: usize = 200;

async fn send(config: &Config, step: &SendOne) -> Result<ExitCode> {
    programs::ensure_topics(config).await?;
    let (feed, payload) = match (step.created, step.liked, &step.payload) {
        (Some(feed), ..) => {
            let event = FeedCreatedEvent::new(feed, 1, "from elsewhere".to_owned());
            (Some(feed), serde_json::to_string(&event)?)
        }
        (_, Some(feed), _) => (Some(feed), serde_json::to_string(&FeedLikedEvent::new(feed, 2))?),
        (.., payload) => (None, payload.clone().unwrap_or_default()),
    };
    let key = step.key.clone().or(feed.map(|feed| feed.to_string()));
    let topic = &config.topic.name;
    let producer = KafkaProducer::new(config)?;
    for _ in 0..step.times {
        let mut record = FutureRecord::to(topic).payload(payload.as_bytes());
        record.key = key.as_deref().map(str::as_bytes);
        producer
            .send(record)
            .await
            .with_context(|| format!("The message for {topic} could not be sent"))?;
        say::data(format!("Sent to {topic}: {payload}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn reset(config: &Config, only_check: bool) -> Result<ExitCode> {
    let reset = Reset::prepare(config).await?;
    if only_check {
        report::data("Nobody uses the topics, the groups and the databases of Lab 4.")?;
        return Ok(ExitCode::SUCCESS);
    }
    reset.carry_out().await?;
    report::data("Deleted the databases of Lab 4.")?;
    Ok(ExitCode::SUCCESS)
}
