//! The consumers are killed under load (`kill -9`), again and again. What is lost, what is handled twice?
//!
//! * Dedupe on, commit after the effect: nothing of either.
//! * Without dedupe, a message that is read again has its effect again.
//! * With the commit first, the message at hand is lost: its offset is committed, and its effect is missing.
//!
//! The service runs in this process, the consumers are a process of their own.

use crate::broker::Broker;
use crate::client::Client;
use crate::load::{self, Accepted, Plan, Verdict};
use crate::{Commit, Config, programs};
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use shared::report;
use shared::shutdown::Shutdown;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// What happens.
#[derive(Debug, Clone, Copy)]
pub struct Scene {
    pub dedupe: bool,
    pub commit: Commit,
    /// Requests a second.
    pub rate: u32,
    pub length: Duration,
    /// How often the consumers are killed.
    pub kills: u32,
}

/// Each effect takes so long, as a mail would. Without it there is hardly a moment in which a crash could hit.
const WORK_MS: u64 = 20;
/// The consumers are killed when they have had so many more effects.
const EFFECTS: u64 = 20;
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// Runs the scene. `flags` are for the consumers' program: the broker, and where the configuration is.
pub async fn run(
    config: &Config,
    broker: &Broker,
    flags: &[String],
    scene: &Scene,
    shutdown: &Shutdown,
) -> Result<(Accepted, Verdict)> {
    let folder = tempfile::tempdir()?;
    let mut config = config.clone();
    config.lab.database = folder.path().join("service.db");
    config.lab.listen.set_port(0);
    config.lab.notifications_listen.set_port(0);
    let (end, service_ends) = Shutdown::by_hand();
    let service = programs::service(&config, &service_ends).await?;

    let arguments = arguments(scene, &broker.address(), flags, folder.path());
    let mut consumers = Consumers::start(&arguments, config.lab.notifications_listen).await?;
    let plan = Plan {
        service: service.address,
        notifications: Some(consumers.address),
        rate: scene.rate,
        length: scene.length,
    };
    let before = load::Before::take(&config, &plan).await?;
    let killing = async {
        for n in 1..=scene.kills {
            if !consumers.have_effects(shutdown).await? {
                break;
            }
            report::note(format!("kill -9 of the consumers, {n} of {}.", scene.kills));
            consumers.killed_and_started(&arguments).await?;
        }
        anyhow::Ok(())
    };
    let (accepted, killed) = tokio::join!(load::load(&plan, shutdown), killing);
    killed?;
    let accepted = accepted?;
    let verdict = before.compare(&config, &plan, &accepted).await?;

    consumers.process.kill().await?;
    end.pull();
    service.ended().await?;
    Ok((accepted, verdict))
}

fn arguments(scene: &Scene, broker: &str, flags: &[String], folder: &Path) -> Vec<String> {
    let mut arguments = vec!["notifications".to_owned(), "--quiet".to_owned()];
    arguments.extend(["--bootstrap-server".to_owned(), broker.to_owned()]);
    // The member comes back under the same name, so the group need not wait for the end of the dead one's session.
    arguments.extend(["-X".to_owned(), "group.instance.id=lab4-crash".to_owned()]);
    let database = folder.join("notifications.db").display().to_string();
    arguments.extend(["--database".to_owned(), database]);
    arguments.extend(["--work-ms".to_owned(), WORK_MS.to_string()]);
    if !scene.dedupe {
        arguments.push("--no-dedupe".to_owned());
    }
    if scene.commit == Commit::First {
        arguments.extend(["--commit".to_owned(), "first".to_owned()]);
    }
    arguments.extend_from_slice(flags);
    arguments
}

/// The consumers' program.
struct Consumers {
    process: Child,
    address: SocketAddr,
}

impl Consumers {
    async fn start(arguments: &[String], listen: SocketAddr) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(arguments)
            .args(["--listen", &listen.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("The consumers cannot be started")?;
        let stdout = process.stdout.take().context("stdout was piped above")?;
        let mut lines = BufReader::new(stdout).lines();
        let Some(line) = lines.next_line().await? else {
            bail!("The consumers ended before they were ready.")
        };
        let address =
            line.strip_prefix("Listening on http://").and_then(|rest| rest.split(';').next());
        let address = address.context("The consumers did not tell their address")?.parse()?;
        Ok(Self { process, address })
    }

    async fn killed_and_started(&mut self, arguments: &[String]) -> Result<()> {
        self.process.kill().await?;
        *self = Self::start(arguments, self.address).await?;
        Ok(())
    }

    /// Waits until they have had [`EFFECTS`] more. Says no if the user does not want to wait.
    async fn have_effects(&self, shutdown: &Shutdown) -> Result<bool> {
        let mut client = Client::new(self.address);
        let first = effects(&mut client).await?;
        while effects(&mut client).await? < first + EFFECTS {
            tokio::select! {
                () = tokio::time::sleep(ASK_AGAIN) => {}
                () = shutdown.requested() => return Ok(false),
            }
        }
        Ok(true)
    }
}

async fn effects(client: &mut Client) -> Result<u64> {
    let (_, answer) = client.get("/effects").await?;
    let effects = answer.as_object().context("/effects gives an object")?;
    Ok(effects.values().filter_map(Value::as_u64).sum())
}
