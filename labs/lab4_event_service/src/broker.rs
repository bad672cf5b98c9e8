//! A broker of our own that can be taken away and given back with its data.
//!
//! It is a process. The in-memory broker would lose its memory if it ended, so it is suspended (SIGSTOP) and continued. A
//! real Kafka is ended and started again.

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A broker that can be taken away and given back.
#[derive(Debug)]
pub enum Broker {
    /// `mini-kafka`, suspended and continued.
    InMemory { process: Pid, address: String, shell: Child },
    /// A Kafka, started by `LAUNCHER start PORT` and ended by `KEEP=1 LAUNCHER stop PORT`.
    Launched { launcher: PathBuf, port: u16, shell: Child },
}

/// Both scripts end the broker at the end of their input. This program holds the other end of it, so that end comes with
/// the end of this program, also after `kill -9`.
const IN_MEMORY: &str =
    r#""$0" "$@" < /dev/null & echo "PROCESS=$!"; exec > /dev/null; read -r _; kill -9 $!"#;
const LAUNCHED: &str = r#"read -r _; KEEP=0 exec "$0" stop "$1" < /dev/null"#;

impl Broker {
    /// Starts `mini-kafka` on a free port. It ends with this value.
    pub async fn in_memory() -> Result<Self> {
        let program = program()?;
        let arguments =
            ["--host", "127.0.0.1", "--port", "0", "--log-format", "text"].map(OsStr::new);
        let mut shell = shell(IN_MEMORY, program.as_os_str(), &arguments, Stdio::piped())?;
        let stdout = shell.stdout.take().context("stdout was piped above")?;
        let mut lines = BufReader::new(stdout).lines();
        let mut process = None;
        while let Some(line) = lines.next_line().await? {
            if let Some(number) = line.strip_prefix("PROCESS=") {
                process = number.parse().ok().and_then(Pid::from_raw);
            } else if let Some(address) = line.strip_prefix("BOOTSTRAP_SERVERS=") {
                let process = process.context("The shell did not tell the broker's process")?;
                return Ok(Self::InMemory { process, address: address.to_owned(), shell });
            }
        }
        bail!("mini-kafka ended before it was ready.")
    }

    /// Starts a Kafka on a free port.
    pub async fn launched(launcher: PathBuf) -> Result<Self> {
        let port = free_port()?;
        let number = port.to_string();
        let shell = shell(LAUNCHED, launcher.as_os_str(), &[OsStr::new(&number)], Stdio::null())?;
        launch(&launcher, "start", port, "0").await?;
        Ok(Self::Launched { launcher, port, shell })
    }

    pub fn address(&self) -> String {
        match self {
            Self::InMemory { address, .. } => address.clone(),
            Self::Launched { port, .. } => format!("127.0.0.1:{port}"),
        }
    }

    pub async fn take_away(&self) -> Result<()> {
        match self {
            Self::InMemory { process, .. } => Ok(kill_process(*process, Signal::STOP)?),
            Self::Launched { launcher, port, .. } => launch(launcher, "stop", *port, "1").await,
        }
    }

    pub async fn give_back(&self) -> Result<()> {
        match self {
            Self::InMemory { process, .. } => Ok(kill_process(*process, Signal::CONT)?),
            Self::Launched { launcher, port, .. } => launch(launcher, "start", *port, "1").await,
        }
    }

    pub async fn end(self) -> Result<()> {
        let (Self::InMemory { mut shell, .. } | Self::Launched { mut shell, .. }) = self;
        drop(shell.stdin.take());
        shell.wait().await?;
        Ok(())
    }
}

/// A shell in a process group of its own: Ctrl-C is for this program, and the broker ends last.
fn shell(script: &str, program: &OsStr, arguments: &[&OsStr], stdout: Stdio) -> Result<Child> {
    Command::new("sh")
        .args([OsStr::new("-c"), OsStr::new(script), program])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(stdout)
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("A shell (`sh`) cannot be started")
}

/// `mini-kafka`, beside this program. For a test it is in the folder above.
fn program() -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let mut candidates = here.ancestors().skip(1).take(2).map(|folder| folder.join("mini-kafka"));
    candidates
        .find(|program| program.is_file())
        .context("The program mini-kafka is missing. Build it with `cargo build --bin mini-kafka`.")
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

/// A port that is free together with the next one, where Kafka's controller listens.
///
/// It is none of the ports that the system gives to clients (usually 32768 and above): while the broker is away, one of
/// the clients that look for it might get its port, and connect to itself.
fn free_port() -> Result<u16> {
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let start = u16::try_from(std::process::id() % 5000).unwrap_or(0);
    let mut ports = (0..5000).map(|n| 20_000 + (start + n) % 5000 * 2);
    ports.find(|port| free(*port) && free(port + 1)).context("No two free ports lie side by side")
}
