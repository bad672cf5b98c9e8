//! A broker as a process: how it is started, and what `/proc` says of it. Other systems have no `/proc`: there the
//! figures that need it are left out.

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::{BufRead, BufReader},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

use crate::load;

/// How long a Kafka may take to start.
const PATIENCE: Duration = Duration::from_secs(120);

/// A broker that answers.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: &'static str,
    /// For a client's `bootstrap.servers`.
    pub(crate) address: String,
    /// From exec to the first record that was acknowledged, if it was started here.
    pub(crate) started_in: Option<Duration>,
    pid: Option<u32>,
    end: End,
}

/// What is to do when the server is dropped.
#[derive(Debug)]
enum End {
    LeaveRunning,
    Kill(Child),
    Launcher { program: OsString, port: u16 },
}

impl Server {
    /// Starts mini-kafka as a user would.
    pub(crate) fn exec() -> anyhow::Result<Self> {
        let started = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_mini-kafka"))
            .args(["--port", "0", "--log-format", "text"])
            .env("RUST_LOG", "error")
            .stdout(Stdio::piped())
            .spawn()
            .context("Could not run mini-kafka")?;
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .context("Could not read mini-kafka's stdout")?;
        let pid = child.id();
        let address = line.trim_end().strip_prefix("BOOTSTRAP_SERVERS=").map(str::to_owned);
        let mut server = Self {
            name: "mini-kafka",
            address: address.unwrap_or_default(),
            started_in: None,
            pid: Some(pid),
            end: End::Kill(child),
        };
        if server.address.is_empty() {
            bail!("mini-kafka did not tell its address, but: {line:?}");
        }
        load::first_record(&server.address)?;
        server.started_in = Some(started.elapsed());
        Ok(server)
    }

    /// Starts a Kafka. Its time counts from the exec of the server itself, not of the launcher, which may have
    /// other things to do first.
    pub(crate) fn launch(launcher: &OsStr) -> anyhow::Result<Self> {
        let port = free_port()?;
        let mut launching = Command::new(launcher)
            .arg("start")
            .arg(port.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("Could not run {}", launcher.display()))?;
        let mut server = Self {
            name: "Kafka",
            address: format!("127.0.0.1:{port}"),
            started_in: None,
            pid: None,
            end: End::Launcher { program: launcher.to_owned(), port },
        };
        let started = Instant::now();
        while TcpStream::connect(&server.address).is_err() {
            if let Some(status) = launching.try_wait()?
                && !status.success()
            {
                bail!("`{} start {port}` failed: {status}", launcher.display());
            }
            if started.elapsed() > PATIENCE {
                bail!("`{} start {port}` started no Kafka", launcher.display());
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
        load::first_record(&server.address)?;
        server.pid = listener(port);
        server.started_in = server.pid.and_then(age);
        launching.wait()?;
        Ok(server)
    }

    /// A Kafka that runs already.
    pub(crate) fn running(bootstrap_servers: &str) -> anyhow::Result<Self> {
        let first = bootstrap_servers.split(',').next().unwrap_or_default().trim();
        TcpStream::connect(first).map(drop).with_context(|| {
            format!("No Kafka answers at {first}. Start it, or unset KAFKA_BOOTSTRAP_SERVERS")
        })?;
        let port = first.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        Ok(Self {
            name: "Kafka",
            address: bootstrap_servers.to_owned(),
            started_in: None,
            pid: port.and_then(listener),
            end: End::LeaveRunning,
        })
    }

    /// Memory in use (VmRSS) in MiB.
    pub(crate) fn memory(&self) -> Option<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kibibytes: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kibibytes / 1024.0)
    }

    /// CPU time used so far, in the kernel too.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        let [user, system] = stat(self.pid?, [14, 15])?;
        Some(ticks(user + system))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing can be done about an error here: the process is gone already or will not go.
        match &mut self.end {
            End::LeaveRunning => {}
            End::Kill(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
            End::Launcher { program, port } => {
                let _ = Command::new(program).arg("stop").arg(port.to_string()).status();
            }
        }
    }
}

fn free_port() -> anyhow::Result<u16> {
    // A Kafka's controller listens beside it.
    for _ in 0..100 {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return Ok(port);
        }
    }
    bail!("There are no two free ports in a row")
}

/// The process that listens on a port.
fn listener(port: u16) -> Option<u32> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).ok());
    let inode = tables.iter().flatten().flat_map(|table| table.lines()).find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (_, local_port) = fields.get(1)?.rsplit_once(':')?;
        let listens = u16::from_str_radix(local_port, 16) == Ok(port) && *fields.get(3)? == "0A";
        listens.then(|| format!("socket:[{}]", fields[9]))
    })?;
    let has_it = |process: &Path| {
        let descriptors = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        descriptors
            .filter_map(|descriptor| fs::read_link(descriptor.path()).ok())
            .any(|target| target == Path::new(&inode))
    };
    let processes = fs::read_dir("/proc").ok()?.flatten().filter(|entry| has_it(&entry.path()));
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).next()
}

/// How long ago a process was started.
fn age(pid: u32) -> Option<Duration> {
    let [start] = stat(pid, [22])?;
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let uptime: f64 = uptime.split(' ').next()?.parse().ok()?;
    Duration::try_from_secs_f64(uptime).ok()?.checked_sub(ticks(start))
}

/// Fields of `/proc/PID/stat`, by their numbers in proc(5).
fn stat<const N: usize>(pid: u32, numbers: [usize; N]) -> Option<[u64; N]> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name, in brackets, and may itself hold blanks and brackets.
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<_> = rest.split(' ').collect();
    let mut values = [0; N];
    for (value, number) in values.iter_mut().zip(numbers) {
        *value = fields.get(number - 3)?.parse().ok()?;
    }
    Some(values)
}

/// Linux counts time for programs in hundredths of a second, whatever its own clock does.
fn ticks(count: u64) -> Duration {
    Duration::from_millis(count * 10)
}
