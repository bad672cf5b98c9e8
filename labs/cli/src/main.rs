//! `labs`: starts, stops and describes the broker that the labs talk to.
//!
//! The broker is either `mini-kafka`, the embedded one of this workspace (the default), or Apache Kafka in Docker.
//! Both listen on the same port, so a lab cannot tell which one it talks to.

/// To stdout; a reader that has gone away (`make status | head -1`) is no error.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write;
        writeln!(std::io::stdout(), $($text)*).ok();
    }};
}

mod docker;
mod embedded;
mod probe;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand, ValueEnum};

use crate::docker::Docker;
use crate::embedded::{Embedded, Running};
use crate::probe::Answer;

/// Starts, stops and describes the broker of the labs.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Where the embedded broker keeps its process id and its log; `.run` in the workspace if not given.
    #[arg(long, value_name = "DIR", global = true)]
    run_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the broker in the background and wait until it is ready.
    Up {
        /// The workspace's own broker, or Apache Kafka in Docker.
        #[arg(long, value_enum, default_value_t = Kind::Memory)]
        broker: Kind,
        #[command(flatten)]
        address: Address,
        /// Further flags for the embedded broker, such as `--override num.partitions=6`.
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "MINI-KAFKA FLAGS"
        )]
        flags: Vec<String>,
    },
    /// Stop the broker that `up` started, whichever it is.
    Down {
        /// Stop only this one.
        #[arg(long, value_enum)]
        broker: Option<Kind>,
    },
    /// Say which broker runs, and who answers at its address.
    Status {
        #[command(flatten)]
        address: Address,
    },
    /// Print the log of the broker that runs.
    Logs {
        /// Go on printing until Ctrl-C.
        #[arg(short, long)]
        follow: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// `mini-kafka`, in memory, without Docker.
    Memory,
    /// Apache Kafka, by the workspace's docker-compose.yml.
    Docker,
}

#[derive(Debug, clap::Args)]
struct Address {
    /// The address to listen on; both loopbacks if not given.
    #[arg(long, env = "KAFKA_HOST_IP", value_name = "IP")]
    host: Option<String>,
    /// The port; 0 takes a free one (embedded broker only).
    #[arg(short, long, default_value_t = 9092)]
    port: u16,
}

impl Address {
    /// Where a client on this machine finds the broker.
    fn bootstrap(&self) -> String {
        let host = self.host.as_deref().unwrap_or("127.0.0.1");
        if host.contains(':') {
            format!("[{host}]:{}", self.port)
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Each is a sentence, or the words of another program.
            error.chain().for_each(|cause| eprintln!("{cause}"));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let root = workspace_root()?;
    read_dotenv(&root)?;
    let cli = Cli::parse();
    let embedded = Embedded::at(&cli.run_dir.unwrap_or_else(|| root.join(".run")));
    let docker = Docker::at(root);
    match cli.command {
        Command::Up { broker: Kind::Memory, address, flags } => {
            up_embedded(&embedded, &docker, &address, &flags).await
        }
        Command::Up { broker: Kind::Docker, address, flags } => {
            up_docker(&embedded, &docker, &address, &flags).await
        }
        Command::Down { broker } => down(&embedded, &docker, broker).await,
        Command::Status { address } => status(&embedded, &docker, &address).await,
        Command::Logs { follow } => logs(&embedded, &docker, follow).await,
    }
}

async fn up_embedded(
    embedded: &Embedded,
    docker: &Docker,
    address: &Address,
    flags: &[String],
) -> Result<()> {
    if let Some(running) = embedded.running()? {
        return already(&running, &probe::ask(&running.bootstrap).await);
    }
    if address.port == 9092 && docker.state().await?.is_running() {
        bail!(
            "Apache Kafka in Docker runs, on the port of the embedded broker. Stop it with `make down` first."
        );
    }
    // Port 0 is free by definition.
    if address.port != 0 {
        refuse_if_taken(&address.bootstrap(), "Stop it, or take another port: `make up ARGS='--port 9192'`, and give the labs BOOTSTRAP=127.0.0.1:9192.").await?;
    }
    let running = embedded.start(address.host.as_deref(), address.port, flags).await?;
    say!("Started {running}");
    say!(
        "Next: `make consumer-keyed` here, `make producer-keyed` in a second terminal; `make down` stops it."
    );
    Ok(())
}

/// A process that runs is not yet a broker that works: it may be frozen. Its own answer decides.
fn already(running: &Running, answer: &Answer) -> Result<()> {
    match answer {
        Answer::Kafka(_) => {
            say!("Already running: {running}");
            Ok(())
        }
        Answer::Nothing | Answer::Other(_) => bail!(
            "Process {} is mini-kafka, but it does not answer at {}. It may be stopped (Ctrl-Z, a debugger) or overloaded.\n\
             `make down` ends it, `make up` then starts a new one.",
            running.pid,
            running.bootstrap
        ),
    }
}

async fn up_docker(
    embedded: &Embedded,
    docker: &Docker,
    address: &Address,
    flags: &[String],
) -> Result<()> {
    if let Some(running) = embedded.running()? {
        bail!(
            "The embedded broker runs, on the port that Kafka needs: {running}\nStop it with `make down` first."
        );
    }
    if address.port != 9092 || !flags.is_empty() {
        bail!("Kafka's port and settings stand in docker-compose.yml: change them there.");
    }
    if docker.state().await?.is_running() {
        say!("Already running: Apache Kafka in Docker, container {}.", docker::CONTAINER);
    } else {
        refuse_if_taken(&address.bootstrap(), "Stop it first.").await?;
        docker.start().await?;
    }
    if !docker.wait_until_healthy().await? {
        say!("Kafka goes on starting. `make status` says how far it is, `make down` stops it.");
        return Ok(());
    }
    match probe::ask(&address.bootstrap()).await {
        Answer::Kafka(kafka) => {
            say!("Ready: {kafka} at {} in Docker; `make down` stops it.", address.bootstrap());
        }
        Answer::Nothing => bail!(
            "The container is healthy, but nothing answers at {}. Is KAFKA_HOST_IP an address of this machine?",
            address.bootstrap()
        ),
        Answer::Other(what) => {
            bail!("The container is healthy, but at {} there is {what}.", address.bootstrap())
        }
    }
    Ok(())
}

/// A second broker on a port is never what was meant: either it fails to bind, or half of the clients find the other one.
async fn refuse_if_taken(bootstrap: &str, way_out: &str) -> Result<()> {
    let port = bootstrap.rsplit(':').next().unwrap_or(bootstrap);
    match probe::ask(bootstrap).await {
        Answer::Nothing => Ok(()),
        Answer::Kafka(kafka) => bail!(
            "At {bootstrap} there is already {kafka}, which `make up` did not start.\n\
             The labs can use it as it is. Or stop it (Ctrl-C where `make server` runs, `docker stop` for a container) and try again."
        ),
        Answer::Other(what) => bail!(
            "Port {port} is taken: at {bootstrap} there is {what}.\n\
             `lsof -i :{port}` names the program. {way_out}"
        ),
    }
}

async fn down(embedded: &Embedded, docker: &Docker, only: Option<Kind>) -> Result<()> {
    let mut stopped = false;
    if only != Some(Kind::Docker)
        && let Some(running) = embedded.stop().await?
    {
        say!("Stopped mini-kafka at {}.", running.bootstrap);
        stopped = true;
    }
    if only != Some(Kind::Memory) && docker.state().await?.exists() {
        docker.stop().await?;
        say!("Stopped Apache Kafka in Docker.");
        stopped = true;
    }
    if !stopped {
        say!("Nothing to stop: `make up` has started no broker here.");
    }
    Ok(())
}

async fn status(embedded: &Embedded, docker: &Docker, address: &Address) -> Result<()> {
    let running = embedded.running()?;
    let bootstrap =
        running.as_ref().map_or_else(|| address.bootstrap(), |running| running.bootstrap.clone());
    match running {
        Some(running) => say!("Embedded broker: {running}"),
        None => say!("Embedded broker: not started by `make up`."),
    }
    let container = docker.state().await?;
    say!("Kafka in Docker: {container}");
    match probe::ask(&bootstrap).await {
        Answer::Nothing => say!("At {bootstrap}: nothing. `make up` starts a broker there."),
        Answer::Kafka(kafka) => say!("At {bootstrap}: {kafka}."),
        Answer::Other(_) if container.is_running() => {
            say!("At {bootstrap}: nothing that answers yet. A Kafka needs some seconds to start.");
        }
        Answer::Other(what) => {
            say!(
                "At {bootstrap}: {what}. The labs need this port, or `make up ARGS='--port 9192'`."
            );
        }
    }
    Ok(())
}

async fn logs(embedded: &Embedded, docker: &Docker, follow: bool) -> Result<()> {
    if embedded.running()?.is_none() && docker.state().await?.exists() {
        return docker.logs(follow).await;
    }
    embedded.logs(follow).await
}

/// The folder with the workspace's Cargo.lock, from here upwards.
fn workspace_root() -> Result<PathBuf> {
    let here = std::env::current_dir().context("The current folder cannot be read.")?;
    let root = here.ancestors().find(|folder| folder.join("Cargo.lock").exists());
    root.map(Path::to_path_buf).with_context(|| {
        format!("{} is not inside the workspace. Change into its folder first.", here.display())
    })
}

/// `.env` fills in what the environment does not say.
fn read_dotenv(root: &Path) -> Result<()> {
    let file = root.join(".env");
    match dotenvy::from_path(&file) {
        Err(error) if !error.not_found() => Err(error).with_context(|| {
            format!("{} cannot be read. See .env.example for its form.", file.display())
        }),
        _ => Ok(()),
    }
}
