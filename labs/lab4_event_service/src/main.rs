//! `lab4`: the web service, its consumers, and what a person needs to watch and to disturb them.

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use lab4_event_service::kafka::{
    FeedCreatedEvent, FeedLikedEvent, KafkaProducer, Message, dead_letters, lag,
};
use lab4_event_service::load::{self, Plan};
use lab4_event_service::outage::{self, Broker, Scene};
use lab4_event_service::{Config, Send, Stream, in_workspace, program, programs, topics};
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
    /// The web service and the relay of its outbox, until Ctrl-C
    Service(Service),
    /// The consumers: notification service and job handler, until Ctrl-C
    Notifications(Notifications),
    /// Put load on the service, then count what was accepted, what is in Kafka, what was handled
    Load(Load),
    /// How far the consumers are behind
    Lag(Plain),
    /// Send the dead letters back to where they came from
    Redrive(Redrive),
    /// Send a message to the feeds' topic (-t for another), as some other program might
    Send(SendOne),
    /// Take the broker away under load and give it back, with everything in this one process
    Outage(Outage),
    /// Delete this lab's topics, groups and databases
    Reset(Plain),
}

#[derive(Args)]
struct Service {
    /// How events leave: outbox, or direct as in the seed
    #[arg(long, value_name = "HOW")]
    send: Option<Send>,
    /// Where HTTP is answered; port 0 takes a free one
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<SocketAddr>,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Args)]
struct Notifications {
    /// Where HTTP is answered; port 0 takes a free one
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<SocketAddr>,
    /// Do not print what is done
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Args)]
struct Load {
    /// Requests a second
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// For so long
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Where the service is, if not where `listen` in lab4.toml says
    #[arg(long, value_name = "IP:PORT")]
    service: Option<SocketAddr>,
    /// Where the consumers are, if not where `notifications_listen` in lab4.toml says
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
    /// Only show what would be sent
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
    /// The event that this feed was created by user 1
    #[arg(long, value_name = "FEED", conflicts_with_all = ["liked", "payload"])]
    created: Option<i64>,
    /// The event that user 2 likes this feed
    #[arg(long, value_name = "FEED", conflicts_with = "payload")]
    liked: Option<i64>,
    /// So many copies
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
    /// How events leave: outbox, or direct as in the seed
    #[arg(long, value_name = "HOW", default_value = "outbox")]
    send: Send,
    /// Requests a second
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// How long the broker is away
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=600))]
    seconds: u64,
    /// Starts and stops a real Kafka (`LAUNCHER start PORT`, `KEEP=1 LAUNCHER stop PORT`) instead of mini-kafka
    #[arg(long, env = "KAFKA_LAUNCHER")]
    launcher: Option<PathBuf>,
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
        | Step::Reset(Plain { flags }) => flags.clone(),
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
            Step::Reset(_) => reset(&config).await,
        }
    })
}

async fn service(mut config: Config, step: Service, shutdown: &Shutdown) -> Result<ExitCode> {
    config.lab.send = step.send.unwrap_or(config.lab.send);
    config.lab.listen = step.listen.unwrap_or(config.lab.listen);
    let running = programs::service(&config, shutdown).await?;
    let way = match config.lab.send {
        Send::Outbox => "through the outbox",
        Send::Direct => "sent directly",
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
    config.lab.notifications_listen = step.listen.unwrap_or(config.lab.notifications_listen);
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
            "The consumers do not run (`make lab4-notifications`), so nobody counts what is handled.",
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
        .context("The load has failed; does the service run (`make lab4-service`)?")?;
    tell(&accepted, &verdict)
}

async fn run_outage(step: Outage, mut flags: Flags, shutdown: &Shutdown) -> Result<ExitCode> {
    let broker = match step.launcher {
        Some(launcher) => Broker::launched(launcher).await?,
        None => Broker::in_memory().await?,
    };
    flags.bootstrap_server = Some(broker.address());
    let config = Config::load(&program("lab4"), &flags)?;
    let scene = Scene {
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
        for letter in &letters {
            report::data(describe(letter))?;
        }
        report::note(format!(
            "{} to send back.",
            report::count(letters.len() as u64, "dead letter")
        ));
        return Ok(ExitCode::SUCCESS);
    }
    let mut lines = Vec::new();
    let sent = dead_letters::redrive(config, shutdown, |letter, topic| {
        lines.push(format!("{} went back to {topic}.", letter.place()));
    })
    .await;
    for line in lines {
        report::data(line)?;
    }
    report::note(format!("{} sent back.", report::count(sent?, "dead letter")));
    Ok(ExitCode::SUCCESS)
}

/// A dead letter, for a person.
fn describe(letter: &Message) -> String {
    let header = |name| letter.header(name).unwrap_or("?");
    format!(
        "{}  was {}[{}]@{}, attempt {} of {}: {}\n  {}",
        letter.place(),
        header(dead_letters::ORIGINAL_TOPIC),
        header(dead_letters::ORIGINAL_PARTITION),
        header(dead_letters::ORIGINAL_OFFSET),
        header(dead_letters::ATTEMPT),
        header(dead_letters::GROUP),
        header(dead_letters::ERROR),
        report::text(letter.payload.as_deref().unwrap_or_default()),
    )
}

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
        report::data(format!("Sent to {topic}: {payload}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn reset(config: &Config) -> Result<ExitCode> {
    let cluster = Cluster::connect(config).await?;
    let groups =
        [&config.lab.notifications_group, &config.lab.jobs_group, &config.lab.redrive_group];
    for group in groups {
        shared::topic::delete_group(&cluster, group).await?;
    }
    for topic in topics(config) {
        shared::topic::delete(&cluster, &topic.name).await?;
    }
    for database in [&config.lab.database, &config.lab.notifications_database] {
        for suffix in ["", "-wal", "-shm"] {
            let mut file = in_workspace(database).into_os_string();
            file.push(suffix);
            match std::fs::remove_file(&file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| {
                        format!("{} cannot be deleted", PathBuf::from(file).display())
                    });
                }
                _ => {}
            }
        }
    }
    report::data("Topics, groups and databases of Lab 4 are gone.")?;
    Ok(ExitCode::SUCCESS)
}
