//! Apache Kafka in Docker, by the workspace's docker-compose.yml.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

/// The `container_name` of docker-compose.yml.
pub(crate) const CONTAINER: &str = "labs-kafka";

/// The health check of docker-compose.yml gives up after 80 s.
const HEALTHY_LIMIT: Duration = Duration::from_secs(120);

/// The compose file's Kafka.
#[derive(Debug)]
pub(crate) struct Docker {
    root: PathBuf,
}

/// What Docker knows of the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// No `docker` command, or no engine that answers it.
    NoEngine,
    NotCreated,
    /// `running`, `exited`, …
    Is(String),
}

impl State {
    pub(crate) fn exists(&self) -> bool {
        matches!(self, Self::Is(_))
    }

    pub(crate) fn is_running(&self) -> bool {
        *self == Self::Is("running".to_owned())
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoEngine => f.write_str("no Docker engine answers (it is optional)."),
            Self::NotCreated => f.write_str("not started; `make up BROKER=docker` starts it."),
            Self::Is(state) => write!(f, "container {CONTAINER} is {state}."),
        }
    }
}

impl Docker {
    pub(crate) fn at(root: PathBuf) -> Self {
        Self { root }
    }

    pub(crate) async fn state(&self) -> Result<State> {
        let Ok(inspect) = inspect("{{.State.Status}}").await else { return Ok(State::NoEngine) };
        if inspect.status.success() {
            return Ok(State::Is(text(&inspect.stdout)));
        }
        // Both answers are exit code 1; only the words differ, and they do not depend on the language.
        let missing = text(&inspect.stderr).to_lowercase().contains("no such");
        Ok(if missing { State::NotCreated } else { State::NoEngine })
    }

    /// Creates and starts the container; returns before Kafka is ready.
    pub(crate) async fn start(&self) -> Result<()> {
        if self.state().await? == State::NoEngine {
            bail!(
                "No Docker engine answers. Start Docker (Linux: `sudo systemctl start docker`), \
                 or use the embedded broker, which needs none: `make up`."
            );
        }
        // docker-compose 1.29 fails on a container that it finds stopped (KeyError: 'ContainerConfig').
        if self.state().await?.exists() {
            self.compose(&["down", "--volumes"]).await?;
        }
        self.compose(&["up", "-d"]).await.context(
            "Docker could not start Kafka. Offline, or no such image? KAFKA_IMAGE names another one; \
             the embedded broker needs no image: `make up`.",
        )
    }

    /// Waits for the container's own health check; false if Ctrl-C ended the wait.
    pub(crate) async fn wait_until_healthy(&self) -> Result<bool> {
        let deadline = Instant::now() + HEALTHY_LIMIT;
        let mut said = false;
        let interrupted = tokio::signal::ctrl_c();
        tokio::pin!(interrupted);
        while Instant::now() < deadline {
            let state = text(&inspect("{{.State.Status}} {{.State.Health.Status}}").await?.stdout);
            match state.as_str() {
                "running healthy" => return Ok(true),
                "running starting" => {
                    if !said {
                        eprintln!("Waiting until Kafka is healthy …");
                        said = true;
                    }
                    tokio::select! {
                        _ = &mut interrupted => return Ok(false),
                        () = tokio::time::sleep(Duration::from_millis(300)) => {}
                    }
                }
                _ => {
                    self.logs(false).await.ok();
                    bail!(
                        "The Kafka container is {state}; its log is above. `make down` removes it."
                    );
                }
            }
        }
        bail!(
            "Kafka was not healthy within {HEALTHY_LIMIT:?}. `make logs` shows why, `make down` removes it."
        )
    }

    /// Removes the container and its data.
    pub(crate) async fn stop(&self) -> Result<()> {
        self.compose(&["down", "--volumes"]).await
    }

    pub(crate) async fn logs(&self, follow: bool) -> Result<()> {
        let mut command = Command::new("docker");
        command.args(["logs", "--tail", "200"]).args(follow.then_some("--follow")).arg(CONTAINER);
        let mut child =
            command.stdin(Stdio::null()).spawn().context("`docker logs` cannot be run.")?;
        tokio::select! {
            status = child.wait() => { status?; }
            // The child is in our process group and got the Ctrl-C as well.
            _ = tokio::signal::ctrl_c() => { child.wait().await?; }
        }
        Ok(())
    }

    async fn compose(&self, arguments: &[&str]) -> Result<()> {
        let compose = compose_command().await?;
        eprintln!("$ {compose} {}", arguments.join(" "));
        let mut words = compose.split_whitespace();
        let program = words
            .next()
            .context("COMPOSE is empty; it should be a command, such as `docker compose`.")?;
        let mut command = Command::new(program);
        command.args(words).args(arguments).current_dir(&self.root).stdin(Stdio::null());
        let status =
            command.status().await.with_context(|| format!("`{compose}` cannot be run."))?;
        if !status.success() {
            bail!("`{compose} {}` failed.", arguments.join(" "));
        }
        Ok(())
    }
}

/// `docker compose` (2) where it is installed, else `docker-compose` (1); COMPOSE names another one.
async fn compose_command() -> Result<String> {
    if let Ok(compose) = std::env::var("COMPOSE") {
        return Ok(compose);
    }
    for candidate in ["docker compose", "docker-compose"] {
        let mut words = candidate.split(' ');
        let mut command = Command::new(words.next().expect("a candidate has a first word"));
        if command
            .args(words)
            .arg("version")
            .output()
            .await
            .is_ok_and(|output| output.status.success())
        {
            return Ok(candidate.to_owned());
        }
    }
    bail!(
        "Docker is here, but Compose is not: neither `docker compose` nor `docker-compose` answers. \
         Install it (Debian: `apt-get install docker-compose`; elsewhere the Docker Compose plugin)."
    )
}

async fn inspect(format: &str) -> std::io::Result<Output> {
    Command::new("docker")
        .args(["container", "inspect", "--format", format, CONTAINER])
        .output()
        .await
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}
