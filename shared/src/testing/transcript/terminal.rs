//! A command that runs in a terminal of the scene.

use super::readme::{fits, without_dots};
use crate::testing::LIMIT;
use anyhow::{Context, ensure};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

/// When recording: how long nothing must be printed for a step to count as done.
const SILENCE: Duration = Duration::from_secs(3);

/// A command that runs, and what it has printed.
pub(super) struct Terminal {
    child: Child,
    stdin: Option<std::process::ChildStdin>,
    lines: Receiver<String>,
    seen: Vec<String>,
    /// The target, when make is said to run it.
    target: Option<String>,
    /// Its end was seen.
    over: bool,
    /// `...` was the last that was expected: lines are passed over until one fits, perhaps in a later step.
    any: bool,
}

impl Terminal {
    /// Starts the command. `shown` is what a reader would see of a line.
    pub(super) fn start(
        mut shell: Command,
        target: Option<String>,
        shown: impl Fn(&str) -> String + Send + 'static,
    ) -> anyhow::Result<Self> {
        // One pipe for both, so that the lines keep their order.
        let (reader, writer) = std::io::pipe()?;
        shell
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0);
        let mut child = shell.spawn().with_context(|| format!("{shell:?} cannot be started"))?;
        // Now the command alone holds the pipe's other end, and its end is the end of the lines.
        drop(shell);
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(reader).lines().map_while(Result::ok) {
                if sender.send(shown(&line)).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            stdin: child.stdin.take(),
            child,
            lines,
            seen: Vec::new(),
            target,
            over: false,
            any: false,
        })
    }

    /// Ctrl-D.
    pub(super) fn close_input(&mut self) {
        self.stdin = None;
    }

    pub(super) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(super) fn type_line(&mut self, text: &str) -> anyhow::Result<()> {
        let stdin = self.stdin.as_mut().context("its input was closed")?;
        writeln!(stdin, "{text}").context("it does not read any more")
    }

    /// As the terminal does it: to the whole group of processes.
    pub(super) fn interrupt(&mut self) -> anyhow::Result<()> {
        let group = format!("-{}", self.child.id());
        let kill = Command::new("kill").args(["-INT", "--", &group]).status()?;
        ensure!(kill.success(), "it has ended already");
        Ok(())
    }

    /// The next line; `None` at the end.
    fn next(&mut self, limit: Duration) -> Result<Option<String>, RecvTimeoutError> {
        let line = match self.lines.recv_timeout(limit) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Timeout) => return Err(RecvTimeoutError::Timeout),
            Err(RecvTimeoutError::Disconnected) if self.over => None,
            Err(RecvTimeoutError::Disconnected) => {
                self.over = true;
                self.farewell()
            }
        };
        self.seen.extend(line.clone());
        Ok(line)
    }

    /// What make prints about a command that failed.
    fn farewell(&mut self) -> Option<String> {
        let status = self.child.wait().ok()?;
        let what = self.target.as_ref()?;
        match status.code() {
            Some(0) => None,
            Some(code) => Some(format!("make: *** [Makefile:[..]: {what}] Error {code}")),
            None => Some(format!("make: *** [Makefile:[..]: {what}] {status}")),
        }
    }

    pub(super) fn expect(&mut self, expected: &[String]) -> anyhow::Result<()> {
        for pattern in expected {
            if pattern == "..." {
                self.any = true;
                continue;
            }
            loop {
                match self.next(LIMIT) {
                    Ok(Some(line)) if fits(pattern, &line) => break,
                    Ok(Some(_)) if self.any => {}
                    Ok(Some(line)) => return Err(self.differs(pattern, &line)),
                    Ok(None) => return Err(self.differs(pattern, "(it ended)")),
                    Err(_) => return Err(self.differs(pattern, "(nothing)")),
                }
            }
            self.any = false;
        }
        Ok(())
    }

    pub(super) fn expect_in_any_order(&mut self, expected: &[String]) -> anyhow::Result<()> {
        let (mut missing, mut others) = without_dots(expected);
        others |= std::mem::take(&mut self.any);
        while !missing.is_empty() {
            let line = match self.next(LIMIT) {
                Ok(Some(line)) => line,
                Ok(None) => return Err(self.differs(&missing.join("\n"), "(it ended)")),
                Err(_) => return Err(self.differs(&missing.join("\n"), "(nothing)")),
            };
            match missing.iter().position(|pattern| fits(pattern, &line)) {
                Some(found) => drop(missing.remove(found)),
                None if others => {}
                None => return Err(self.differs(&missing.join("\n"), &line)),
            }
        }
        Ok(())
    }

    /// When recording: all lines until it ends, or until it is silent and has printed as much as the last time.
    pub(super) fn whatever_comes(&mut self, at_least: usize, ends: bool) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let patient = ends || lines.len() < at_least;
            match self.next(if patient { LIMIT } else { SILENCE }) {
                Ok(Some(line)) => lines.push(line),
                Ok(None) | Err(_) => return lines,
            }
        }
    }

    /// Waits for its end; nothing more may be printed.
    pub(super) fn ended(&mut self) -> anyhow::Result<()> {
        self.stdin = None;
        loop {
            match self.next(LIMIT) {
                Ok(None) => break,
                Ok(Some(_)) if self.any => {}
                Ok(Some(line)) => return Err(self.differs("(the end)", &line)),
                Err(_) => return Err(self.differs("(the end)", "(it still runs)")),
            }
        }
        let status = self.child.wait()?;
        // A failure is part of the transcript when make reports it, and a failure of the test otherwise.
        ensure!(status.success() || self.target.is_some(), "the command failed: {status}");
        Ok(())
    }

    fn differs(&self, expected: &str, found: &str) -> anyhow::Error {
        anyhow::anyhow!(
            "\nexpected: {expected}\n   found: {found}\n\nThis terminal so far:\n{}\n",
            self.seen.join("\n")
        )
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A test that failed half-way must not leave its programs behind.
        self.kill();
    }
}
