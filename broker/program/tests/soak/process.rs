//! The program `mini-kafka` as a child, and what `/proc` says of it. Other systems have no `/proc`: there only the
//! records are checked.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

/// What the broker has at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    /// Memory in use (VmRSS) in MiB.
    pub(crate) memory: f64,
    pub(crate) descriptors: f64,
    pub(crate) threads: f64,
}

pub(crate) struct Broker {
    child: Child,
    address: String,
}

impl Broker {
    pub(crate) fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mini-kafka"));
        command.args(["--port", "0", "--log-format", "text"]).env("RUST_LOG", "error");
        // Ctrl-C is for the soak, which stops the broker at its end.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("BOOTSTRAP_SERVERS=").expect("the one stable line");
        Self { child, address: address.to_owned() }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// `None` if it has ended.
    pub(crate) fn look(&self) -> Option<Sample> {
        if cfg!(not(target_os = "linux")) {
            return Some(Sample::default());
        }
        let folder = format!("/proc/{}", self.id());
        let status = fs::read_to_string(format!("{folder}/status")).ok()?;
        let number = |name: &str| -> Option<f64> {
            let value = status.lines().find_map(|line| line.strip_prefix(name))?;
            value.split_whitespace().next()?.parse().ok()
        };
        let descriptors = u32::try_from(fs::read_dir(format!("{folder}/fd")).ok()?.count()).ok()?;
        Some(Sample {
            memory: number("VmRSS:")? / 1024.0,
            descriptors: descriptors.into(),
            threads: number("Threads:")?,
        })
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ends a process at once.
pub(crate) fn kill(id: u32) {
    let _ = Command::new("kill").args(["-KILL", &id.to_string()]).status();
}
