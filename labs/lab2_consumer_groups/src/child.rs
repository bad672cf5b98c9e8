//! Programs that this one starts, stops and kills: itself, with other arguments.
//!
//! Each child has a leash: the pipe that is its stdin. A child ends in good order when the pipe closes. The operating
//! system closes it when the parent ends, for whatever reason. So nothing is left running, not even after `kill -9` on
//! the parent, and no signal has to be sent.

use anyhow::Context as _;
use shared::shutdown::Shutdown;
use std::ffi::OsString;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{ChildStdin, Command};
use tokio::sync::mpsc;

/// How long a child may take to end in good order before it is killed.
pub const LIMIT: Duration = Duration::from_secs(10);

/// The flag that tells a child of its leash.
pub const LEASH: &str = "--leash";

/// A program that was started.
#[derive(Debug)]
pub struct Child {
    process: tokio::process::Child,
    leash: Option<ChildStdin>,
}

/// A line that a child printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// To stdout.
    Data(String),
    /// To stderr.
    Note(String),
}

impl Child {
    /// Starts this program again, with these arguments; `lines` gets what it prints.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn start<T: Send + 'static>(
        arguments: impl IntoIterator<Item = OsString>,
        lines: &mpsc::Sender<T>,
        tag: impl Fn(Line) -> T + Clone + Send + 'static,
    ) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("This program does not find itself")?;
        let mut command = Command::new(&program);
        command
            .args(arguments)
            .arg(LEASH)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        // Ctrl-C at the terminal goes to a whole process group. The parent stops its children itself, one after the
        // other, so they get a group of their own.
        #[cfg(unix)]
        command.process_group(0);
        let mut process = command
            .spawn()
            .with_context(|| format!("{} could not be started", program.display()))?;
        if let Some(stdout) = process.stdout.take() {
            let tag = tag.clone();
            forward(stdout, lines.clone(), move |text| tag(Line::Data(text)));
        }
        if let Some(stderr) = process.stderr.take() {
            forward(stderr, lines.clone(), move |text| tag(Line::Note(text)));
        }
        let leash = process.stdin.take();
        Ok(Self { process, leash })
    }

    /// Asks it to end, without waiting.
    pub fn release(&mut self) {
        self.leash = None;
    }

    /// Waits for its end, without asking for it.
    ///
    /// # Errors
    /// When the operating system does not tell.
    pub async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        // Not `wait()`, which would let go of the leash first. It was taken out above, so it does not.
        self.process.wait().await
    }

    /// Ends it in good order, or after [`LIMIT`] by force.
    ///
    /// # Errors
    /// When the operating system does not tell how it ended.
    pub async fn stop(&mut self) -> std::io::Result<ExitStatus> {
        self.release();
        match tokio::time::timeout(LIMIT, self.process.wait()).await {
            Ok(status) => status,
            Err(_elapsed) => {
                self.kill().await?;
                self.process.wait().await
            }
        }
    }

    /// `kill -9`: it does not get to do anything any more.
    ///
    /// # Errors
    /// When it has ended already.
    pub async fn kill(&mut self) -> std::io::Result<()> {
        self.process.kill().await
    }
}

/// What the child sees: Ctrl-C and SIGTERM as always, and the end of its leash.
pub fn leashed(signals: &Shutdown) -> Shutdown {
    let (trigger, shutdown) = Shutdown::by_hand();
    let signalled = signals.requested();
    let mut leash = shared::input::lines();
    tokio::spawn(async move {
        tokio::select! {
            () = signalled => {}
            () = async { while leash.recv().await.is_some() {} } => {}
        }
        trigger.pull();
    });
    shutdown
}

/// How a child ended, for a sentence.
pub fn describe(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("was killed by signal {signal}");
    }
    match status.code() {
        Some(code) => format!("ended with code {code}"),
        None => "ended".to_owned(),
    }
}

fn forward<T: Send + 'static>(
    stream: impl AsyncRead + Unpin + Send + 'static,
    lines: mpsc::Sender<T>,
    tag: impl Fn(String) -> T + Send + 'static,
) {
    tokio::spawn(async move {
        let mut read = BufReader::new(stream).lines();
        while let Ok(Some(line)) = read.next_line().await {
            if lines.send(tag(line)).await.is_err() {
                return;
            }
        }
    });
}
