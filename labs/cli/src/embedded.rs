//! The workspace's own broker, `mini-kafka`, as a background process.
//!
//! Its standard input is the file `mini-kafka.pid`, on which it thereby holds a lock for as long as it lives, however it
//! ends. So "is it running?" asks the kernel: a process id alone may have gone to another program meanwhile.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::fs::FlockOperation;
use rustix::process::{Pid, Signal};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

/// Far more than it needs, even on a machine that swaps.
const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// The embedded broker that belongs to one run folder.
#[derive(Debug)]
pub(crate) struct Embedded {
    pid_file: PathBuf,
    log: PathBuf,
}

/// A broker that runs in the background.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) pid: i32,
    pub(crate) bootstrap: String,
    log: PathBuf,
}

impl std::fmt::Display for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let log = std::env::current_dir()
            .ok()
            .and_then(|here| Some(self.log.strip_prefix(here).ok()?.to_path_buf()));
        let log = log.as_deref().unwrap_or(&self.log).display();
        write!(f, "mini-kafka at {} (process {}, log in {log}).", self.bootstrap, self.pid)
    }
}

impl Embedded {
    pub(crate) fn at(run_dir: &Path) -> Self {
        Self { pid_file: run_dir.join("mini-kafka.pid"), log: run_dir.join("mini-kafka.log") }
    }

    /// The broker, if it runs.
    pub(crate) fn running(&self) -> Result<Option<Running>> {
        let Ok(file) = File::open(&self.pid_file) else { return Ok(None) };
        if lock(&file)? { Ok(None) } else { self.read(file).map(Some) }
    }

    /// Starts the broker and returns once it accepts connections.
    pub(crate) async fn start(
        &self,
        host: Option<&str>,
        port: u16,
        flags: &[String],
    ) -> Result<Running> {
        let folder = self.pid_file.parent().unwrap_or(Path::new("."));
        let problem = || format!("{} cannot be written.", folder.display());
        std::fs::create_dir_all(folder).with_context(problem)?;
        // Not truncated: before we hold the lock, the file is another's.
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut pid_file = options.open(&self.pid_file).with_context(problem)?;
        if !lock(&pid_file)? {
            bail!("Another `make up` is starting the broker at this moment.");
        }
        let log = File::create(&self.log).with_context(problem)?;

        let mut command = Command::new(program()?);
        // The line with the address is read below, so it must not be JSON.
        command.env("LOG_FORMAT", "text").arg("--port").arg(port.to_string());
        if let Some(host) = host {
            command.arg("--host").arg(host);
        }
        command.args(flags).stdin(pid_file.try_clone()?).stdout(Stdio::piped()).stderr(log);
        // A group of its own: Ctrl-C in this terminal is not meant for it.
        command.process_group(0);
        let mut child =
            command.spawn().context("mini-kafka cannot be started. Build it with `make build`.")?;

        let bootstrap = match tokio::time::timeout(START_LIMIT, first_address(&mut child)).await {
            Ok(Ok(Some(bootstrap))) => bootstrap,
            Ok(Ok(None)) => return self.explain_early_end(child).await,
            Ok(Err(error)) => return Err(error).context("mini-kafka's output cannot be read."),
            Err(_) => {
                child.kill().await.ok();
                bail!(
                    "mini-kafka was not ready within {START_LIMIT:?}. Its log is {}.",
                    self.log.display()
                );
            }
        };
        let pid = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .context("mini-kafka ended at once.")?;
        pid_file.set_len(0)?;
        pid_file.rewind()?;
        write!(pid_file, "{pid} {bootstrap}")?;
        Ok(Running { pid, bootstrap, log: self.log.clone() })
    }

    /// Asks the broker to stop and waits until it has.
    pub(crate) async fn stop(&self) -> Result<Option<Running>> {
        let Some(running) = self.running()? else { return Ok(None) };
        let pid = Pid::from_raw(running.pid).context("The process id on file is none.")?;
        rustix::process::kill_process(pid, Signal::TERM)
            .with_context(|| format!("Process {} cannot be stopped.", running.pid))?;
        if !self.ends_within(STOP_LIMIT).await? {
            rustix::process::kill_process(pid, Signal::KILL).ok();
            eprintln!("mini-kafka did not stop within {STOP_LIMIT:?} and was killed.");
        }
        Ok(Some(running))
    }

    /// Prints the log, and what is added to it until Ctrl-C or the broker's end.
    pub(crate) async fn logs(&self, follow: bool) -> Result<()> {
        let mut file = File::open(&self.log)
            .context("There is no log: `make up` has started no broker here.")?;
        let mut out = std::io::stdout();
        loop {
            // A reader that has gone away (`make logs | head`) is no error.
            if std::io::copy(&mut file, &mut out).is_err() || !follow {
                return Ok(());
            }
            // A file tells nobody that it grew; for a person's eyes five looks a second will do.
            tokio::select! {
                _ = tokio::signal::ctrl_c() => return Ok(()),
                () = tokio::time::sleep(Duration::from_millis(200)) => {}
            }
            if self.running()?.is_none() {
                std::io::copy(&mut file, &mut out).ok();
                eprintln!("The broker has stopped.");
                return Ok(());
            }
        }
    }

    fn read(&self, mut file: File) -> Result<Running> {
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let (pid, bootstrap) = text
            .split_once(' ')
            .context("Another `make up` is starting the broker at this moment.")?;
        let pid = pid
            .parse()
            .with_context(|| format!("{} does not hold a process id.", self.pid_file.display()))?;
        Ok(Running { pid, bootstrap: bootstrap.to_owned(), log: self.log.clone() })
    }

    /// The kernel gives us the lock at the moment when the broker ends.
    async fn ends_within(&self, limit: Duration) -> Result<bool> {
        let file = File::open(&self.pid_file)?;
        let lock = tokio::task::spawn_blocking(move || {
            rustix::fs::flock(&file, FlockOperation::LockExclusive)
        });
        Ok(tokio::time::timeout(limit, lock).await.is_ok())
    }

    async fn explain_early_end(&self, mut child: Child) -> Result<Running> {
        let status = child.wait().await?;
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        bail!("{}\nmini-kafka did not start ({status}).", log.trim_end())
    }
}

/// True if nobody else holds the lock on the file (and then we do, until the file is dropped).
fn lock(file: &File) -> Result<bool> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error).context("The broker's lock file cannot be locked."),
    }
}

/// Cargo puts the workspace's programs side by side.
fn program() -> Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name("mini-kafka");
    if !program.exists() {
        bail!("{} is missing. Build it with `cargo build --bin mini-kafka`.", program.display());
    }
    Ok(program)
}

/// The address of the broker's ready line; `None` if it ends without one.
async fn first_address(child: &mut Child) -> std::io::Result<Option<String>> {
    let stdout: ChildStdout = child.stdout.take().expect("stdout was piped above");
    let mut lines = BufReader::new(stdout.take(64 * 1024)).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(address) = line.strip_prefix("BOOTSTRAP_SERVERS=") {
            return Ok(Some(address.to_owned()));
        }
    }
    Ok(None)
}
