//! The broker is gone for a while, under load, and comes back: what is lost, what is handled twice?
//!
//! Everything but the broker runs in this process, with databases, topics and groups of its own. The broker is a
//! process, so that it can be stopped: the in-memory one keeps its memory while it is suspended (SIGSTOP), a real Kafka
//! is ended and started again with its data.

use crate::load::{self, Accepted, Plan, Verdict};
use crate::{Config, Send, programs};
use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use shared::report;
use shared::shutdown::Shutdown;
use std::ffi::OsStr;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// How the day goes.
#[derive(Debug, Clone, Copy)]
pub struct Scene {
    pub send: Send,
    /// Requests a second.
    pub rate: u32,
    /// With the broker, before and after.
    pub calm: Duration,
    /// Without it.
    pub outage: Duration,
}

/// A broker that can be taken away and given back with what it had.
#[derive(Debug)]
pub enum Broker {
    /// `mini-kafka`, suspended and continued.
    InMemory { process: Child, address: String },
    /// A Kafka started by `LAUNCHER start PORT`, ended by `KEEP=1 LAUNCHER stop PORT`.
    Launched { launcher: PathBuf, port: u16 },
}

impl Broker {
    /// Starts `mini-kafka` on a free port. It ends with this value.
    pub async fn in_memory() -> Result<Self> {
        let program = program()?;
        let mut process = Command::new(&program)
            .args(["--host", "127.0.0.1", "--port", "0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .stdin(Stdio::null())
            // Ctrl-C in this terminal is ours; the broker ends last.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        let stdout = process.stdout.take().context("stdout was piped above")?;
        let mut lines = BufReader::new(stdout).lines();
        while let Some(line) = lines.next_line().await? {
            if let Some(address) = line.strip_prefix("BOOTSTRAP_SERVERS=") {
                return Ok(Self::InMemory { process, address: address.to_owned() });
            }
        }
        bail!("mini-kafka ended before it was ready.")
    }

    /// Starts a Kafka on a free port.
    pub async fn launched(launcher: PathBuf) -> Result<Self> {
        let port = free_port()?;
        launch(&launcher, "start", port, "0").await?;
        Ok(Self::Launched { launcher, port })
    }

    pub fn address(&self) -> String {
        match self {
            Self::InMemory { address, .. } => address.clone(),
            Self::Launched { port, .. } => format!("127.0.0.1:{port}"),
        }
    }

    pub async fn take_away(&self) -> Result<()> {
        match self {
            Self::InMemory { process, .. } => signal(process, Signal::STOP),
            Self::Launched { launcher, port } => launch(launcher, "stop", *port, "1").await,
        }
    }

    pub async fn give_back(&self) -> Result<()> {
        match self {
            Self::InMemory { process, .. } => signal(process, Signal::CONT),
            Self::Launched { launcher, port } => launch(launcher, "start", *port, "1").await,
        }
    }

    pub async fn end(self) -> Result<()> {
        match self {
            Self::InMemory { mut process, .. } => Ok(process.kill().await?),
            Self::Launched { launcher, port } => launch(&launcher, "stop", port, "0").await,
        }
    }
}

/// Runs the scene on a broker, which is there at the beginning and at the end.
pub async fn run(
    config: &Config,
    broker: &Broker,
    scene: &Scene,
    shutdown: &Shutdown,
) -> Result<(Accepted, Verdict)> {
    let folder = tempfile::tempdir()?;
    let mut config = config.clone();
    config.lab.send = scene.send;
    config.lab.database = folder.path().join("service.db");
    config.lab.notifications_database = folder.path().join("notifications.db");
    config.lab.listen.set_port(0);
    config.lab.notifications_listen.set_port(0);

    let (end, programs_end) = Shutdown::by_hand();
    let consumers = programs::consumers(&config, false, &programs_end).await?;
    let service = programs::service(&config, &programs_end).await?;
    let plan = Plan {
        service: service.address,
        notifications: Some(consumers.address),
        rate: scene.rate,
        length: scene.calm * 2 + scene.outage,
    };
    let before = load::Before::take(&config, &plan).await?;
    let (accepted, outage) =
        tokio::join!(load::load(&plan, shutdown), take_away(broker, scene, shutdown));
    outage?;
    let accepted = accepted?;
    let verdict = before.compare(&config, &plan, &accepted).await?;

    end.pull();
    service.ended().await?;
    consumers.ended().await?;
    Ok((accepted, verdict))
}

async fn take_away(broker: &Broker, scene: &Scene, shutdown: &Shutdown) -> Result<()> {
    pause(scene.calm, shutdown).await;
    report::note("The broker goes.");
    broker.take_away().await?;
    pause(scene.outage, shutdown).await;
    // Also after Ctrl-C: the programs shall be able to say goodbye.
    report::note("The broker comes back.");
    broker.give_back().await
}

async fn pause(length: Duration, shutdown: &Shutdown) {
    tokio::select! {
        () = tokio::time::sleep(length) => {}
        () = shutdown.requested() => {}
    }
}

/// `mini-kafka`, beside this program (or, for a test, in the folder above).
fn program() -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let mut candidates = here.ancestors().skip(1).take(2).map(|folder| folder.join("mini-kafka"));
    candidates
        .find(|program| program.is_file())
        .context("The program mini-kafka is missing. Build it with `cargo build --bin mini-kafka`.")
}

fn signal(process: &Child, signal: Signal) -> Result<()> {
    let pid = process.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    Ok(kill_process(pid.context("mini-kafka has ended")?, signal)?)
}

async fn launch(launcher: &PathBuf, step: &str, port: u16, keep: &str) -> Result<()> {
    let output = Command::new(launcher)
        .args([OsStr::new(step), OsStr::new(&port.to_string())])
        .env("KEEP", keep)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .status();
    let status =
        output.await.with_context(|| format!("{} cannot be started", launcher.display()))?;
    ensure!(status.success(), "`{} {step} {port}` failed ({status}).", launcher.display());
    Ok(())
}

/// A port that is free together with the one above, where Kafka's controller listens.
///
/// Not one that the system gives to clients (usually 32768 and above): while the broker is away, one of the clients
/// that look for it might get its port, and connect to itself.
fn free_port() -> Result<u16> {
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let start = u16::try_from(std::process::id() % 5000).unwrap_or(0);
    let mut ports = (0..5000).map(|n| 20_000 + (start + n) % 5000 * 2);
    ports.find(|port| free(*port) && free(port + 1)).context("No two free ports lie side by side")
}
