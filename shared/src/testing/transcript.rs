//! A lab's README as its test: the scenes in its `console` blocks are played, and what is printed must be what is written.
//!
//! A lab has several terminals, so a comment that no reader sees says in which one a block plays:
//!
//! ````markdown
//! <!-- lab: term=A -->
//! ```console
//! $ make consumer-keyed
//! cargo run -q --bin lab1-consumer -- --config config_keyed.toml
//! assigned lab1[0] lab1[1] lab1[2]
//! ```
//! <!-- lab: term=B -->
//! ```console
//! $ make producer-keyed
//! > u1 click 10
//! u1 click 10 → lab1[2]@0  key=u1 crc32 % 3 = 2
//! ^D
//! ```
//! ````
//!
//! | line | meaning |
//! |---|---|
//! | `$ command` | Starts it. The command before it in this terminal must have ended. |
//! | `> text` | Types it: the prompt `> ` is what a person sees. |
//! | `^C`, `^D` | Presses it. The command must end, with code 0 unless `make` says otherwise. |
//! | `...` | Any lines, or none. |
//! | else | A line that is printed, stdout and stderr as they come. `[..]` stands for anything in it. |
//!
//! | word in the comment | meaning |
//! |---|---|
//! | `term=A` | The terminal. What runs there goes on after the block; without a name the command must end in the block. |
//! | `any-order` | The printed lines may come in any order: partitions are read independently. |
//! | `only=embedded` | Left out on a broker that is not ours: the scene stops it. |
//! | `stop-broker` | No block: stops the embedded broker here, as the `sh` block beside it tells the reader to. |
//!
//! Nothing sleeps: a step begins when the lines before it have been printed.
//!
//! `make TARGET` is what readers type, and `make -n` says what it does, so Makefile and README cannot drift apart; only
//! `cargo run -q --bin NAME --` is replaced by the program that was built with the test. The programs run in a folder of
//! their own with copies of the configurations, on an embedded broker, or on the one that `KAFKA_BOOTSTRAP_SERVERS`
//! names; there the lab's names are replaced by names of the same length that nobody else has.
//!
//! `UPDATE=1 cargo test` writes what was printed into the README, at the steps where it differs.

use super::{TestBroker, external};
use crate::client::Cluster;
use crate::topic;
use anyhow::{Context, bail, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

/// A README and what its commands need.
#[derive(Debug, Clone, Copy)]
pub struct Lesson<'a> {
    /// The README, from the package's folder.
    pub readme: &'a str,
    /// The programs by name, with the paths that cargo gives a test: `env!("CARGO_BIN_EXE_lab1-producer")`.
    pub programs: &'a [(&'a str, &'a str)],
    /// Files of the workspace's root that the programs read.
    pub files: &'a [&'a str],
    /// The beginning of the lab's topics and groups, replaced on a Kafka that others use: `lab1`.
    pub names: &'a str,
}

/// Plays all scenes, in order, on one broker. Panics with what differs: call it from a test.
///
/// # Panics
/// When something was printed that is not written, or the other way round.
pub fn play(lesson: &Lesson<'_>) {
    let readme = Path::new(lesson.readme);
    let text =
        fs::read_to_string(readme).unwrap_or_else(|error| panic!("{}: {error}", readme.display()));
    let scenes = parse(&text).unwrap_or_else(|error| panic!("{}: {error:#}", readme.display()));
    assert!(!scenes.is_empty(), "{}: no console block to play", readme.display());

    let record = std::env::var("UPDATE").is_ok_and(|update| update == "1");
    let mut stage = Stage::new(lesson, record).unwrap_or_else(|error| panic!("{error:#}"));
    let result = stage.play(&scenes);
    stage.clear();
    match result {
        Err(error) => panic!("{}:{error:#}", readme.display()),
        Ok(()) if record => {
            let text = rewritten(&text, &stage.printed);
            fs::write(readme, text).unwrap_or_else(|error| panic!("{}: {error}", readme.display()));
        }
        Ok(()) => {}
    }
}

/// How long a line may take: more than message.timeout.ms and any rebalance, less than anybody's patience.
const LIMIT: Duration = Duration::from_secs(30);

/// When recording: how long nothing must be printed for a step to count as done.
const SILENCE: Duration = Duration::from_secs(3);

// ---------------------------------------------------------------------------------------------- reading the README

#[derive(Debug, PartialEq, Eq)]
enum Scene {
    Block(Block),
    StopBroker,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Block {
    /// `None`: the command ends with the block.
    terminal: Option<String>,
    any_order: bool,
    only_embedded: bool,
    steps: Vec<Step>,
}

/// Something that is done, and what is printed then.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    action: Action,
    /// The line of `expected`'s first, counted from 0.
    line: usize,
    expected: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Action {
    /// Nothing: the block goes on with what runs.
    Watch,
    Start(String),
    Type(String),
    CtrlC,
    CtrlD,
}

fn parse(text: &str) -> anyhow::Result<Vec<Scene>> {
    let mut scenes = Vec::new();
    let mut block: Option<Block> = None;
    let mut next = Block::default();
    for (n, line) in text.lines().enumerate() {
        if let Some(open) = &mut block {
            match line {
                "```" => scenes.extend(block.take().map(Scene::Block)),
                _ => open.add(n, line),
            }
        } else if let Some(words) =
            line.trim().strip_prefix("<!-- lab:").and_then(|rest| rest.strip_suffix("-->"))
        {
            if words.trim() == "stop-broker" {
                scenes.push(Scene::StopBroker);
            } else {
                next = Block::described(words).with_context(|| format!("{}", n + 1))?;
            }
        } else if line == "```console" {
            block = Some(std::mem::take(&mut next));
        }
    }
    ensure!(block.is_none(), "the last console block is not closed");
    Ok(scenes)
}

impl Block {
    fn described(words: &str) -> anyhow::Result<Self> {
        let mut block = Self::default();
        for word in words.split_whitespace() {
            match word.split_once('=') {
                Some(("term", name)) => block.terminal = Some(name.to_owned()),
                Some(("only", "embedded")) => block.only_embedded = true,
                None if word == "any-order" => block.any_order = true,
                _ => bail!("`lab:` does not know `{word}`"),
            }
        }
        Ok(block)
    }

    fn add(&mut self, n: usize, line: &str) {
        let action = match line {
            "^C" => Action::CtrlC,
            "^D" => Action::CtrlD,
            _ => match (line.strip_prefix("$ "), line.strip_prefix("> ")) {
                (Some(command), _) => Action::Start(command.to_owned()),
                (_, Some(text)) => Action::Type(text.to_owned()),
                _ => {
                    if self.steps.is_empty() {
                        self.steps.push(Step {
                            action: Action::Watch,
                            line: n,
                            expected: Vec::new(),
                        });
                    }
                    let step = self.steps.last_mut().expect("one was pushed if there was none");
                    step.expected.push(line.to_owned());
                    return;
                }
            },
        };
        self.steps.push(Step { action, line: n + 1, expected: Vec::new() });
    }
}

/// Does the line fit the pattern, in which `[..]` stands for anything?
fn fits(pattern: &str, line: &str) -> bool {
    let mut pieces = pattern.split("[..]");
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let mut last = None;
    for piece in pieces {
        if let Some(previous) = last.replace(piece) {
            let Some(at) = rest.find(previous) else { return false };
            rest = &rest[at + previous.len()..];
        }
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}

/// Is it what is written already? Then a recording leaves it alone, with its `...`.
fn agrees(expected: &[String], lines: &[String], any_order: bool) -> bool {
    if any_order {
        let (mut missing, others) = without_dots(expected);
        return lines.iter().all(|line| {
            let found = missing.iter().position(|pattern| fits(pattern, line));
            found.map(|found| missing.remove(found)).is_some() || others
        }) && missing.is_empty();
    }
    match expected {
        [] => lines.is_empty(),
        [any, rest @ ..] if any == "..." => {
            (0..=lines.len()).any(|n| agrees(rest, &lines[n..], false))
        }
        [pattern, rest @ ..] => {
            lines.first().is_some_and(|line| fits(pattern, line))
                && agrees(rest, &lines[1..], false)
        }
    }
}

/// The patterns of an unordered block, and whether other lines may stand between them.
fn without_dots(expected: &[String]) -> (Vec<String>, bool) {
    let patterns: Vec<String> = expected.iter().filter(|line| *line != "...").cloned().collect();
    let others = patterns.len() < expected.len();
    (patterns, others)
}

/// The README with what was printed: by the number of a step's first line, how many lines it had, and the new ones.
fn rewritten(text: &str, printed: &BTreeMap<usize, (usize, Vec<String>)>) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    for (line, (count, new)) in printed.iter().rev() {
        lines.splice(*line..line + count, new.iter().map(String::as_str));
    }
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

// ---------------------------------------------------------------------------------------------- playing it

struct Stage<'a> {
    lesson: &'a Lesson<'a>,
    runtime: tokio::runtime::Runtime,
    broker: Option<TestBroker>,
    address: String,
    embedded: bool,
    /// The workspace, where the Makefile is.
    root: PathBuf,
    /// Where the programs run.
    folder: tempfile::TempDir,
    /// What stands for [`Lesson::names`] on this broker.
    alias: String,
    terminals: BTreeMap<Option<String>, Terminal>,
    record: bool,
    /// The steps that a recording changes, as [`rewritten`] takes them.
    printed: BTreeMap<usize, (usize, Vec<String>)>,
}

impl<'a> Stage<'a> {
    fn new(lesson: &'a Lesson<'a>, record: bool) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Runtime::new()?;
        let broker = runtime.block_on(TestBroker::start())?;
        let root = std::env::current_dir()?
            .ancestors()
            .find(|folder| folder.join("Makefile").is_file())
            .context("There is no Makefile above this folder")?
            .to_owned();
        // On a broker of our own nobody else has the name.
        let alias =
            if broker.is_embedded() { lesson.names.to_owned() } else { alias(lesson.names.len()) };
        let folder = tempfile::tempdir()?;
        // It ends the search for configurations here.
        fs::write(folder.path().join("Cargo.lock"), "")?;
        for file in lesson.files {
            let text = fs::read_to_string(root.join(file))
                .with_context(|| format!("{file} cannot be read"))?;
            fs::write(
                folder.path().join(file),
                text.replace(&format!("\"{}", lesson.names), &format!("\"{alias}")),
            )?;
        }
        Ok(Self {
            lesson,
            address: broker.bootstrap_servers().to_owned(),
            embedded: broker.is_embedded(),
            broker: Some(broker),
            runtime,
            root,
            folder,
            alias,
            terminals: BTreeMap::new(),
            record,
            printed: BTreeMap::new(),
        })
    }

    fn play(&mut self, scenes: &[Scene]) -> anyhow::Result<()> {
        for scene in scenes {
            match scene {
                Scene::StopBroker if self.embedded => {
                    if let Some(broker) = self.broker.take() {
                        self.runtime.block_on(broker.stop());
                    }
                }
                Scene::StopBroker => {}
                Scene::Block(block) if block.only_embedded && !self.embedded => {}
                Scene::Block(block) => self.play_block(block)?,
            }
        }
        for (name, mut terminal) in std::mem::take(&mut self.terminals) {
            terminal.ended().with_context(|| format!(" the end, in terminal {name:?}"))?;
        }
        Ok(())
    }

    fn play_block(&mut self, block: &Block) -> anyhow::Result<()> {
        for (n, step) in block.steps.iter().enumerate() {
            let last = n + 1 == block.steps.len() && block.terminal.is_none();
            self.play_step(block, step, last).with_context(|| format!("{}", step.line))?;
        }
        Ok(())
    }

    fn play_step(&mut self, block: &Block, step: &Step, last: bool) -> anyhow::Result<()> {
        if let Action::Start(command) = &step.action {
            if let Some(mut before) = self.terminals.remove(&block.terminal) {
                before.ended()?;
            }
            let terminal = self.start(command)?;
            self.terminals.insert(block.terminal.clone(), terminal);
        }
        let terminal =
            self.terminals.get_mut(&block.terminal).context("nothing runs in this terminal")?;
        let ends = match &step.action {
            Action::Watch | Action::Start(_) => last,
            Action::Type(text) => {
                terminal.type_line(text)?;
                last
            }
            Action::CtrlC => {
                terminal.interrupt()?;
                true
            }
            Action::CtrlD => {
                terminal.stdin = None;
                true
            }
        };
        if self.record {
            let lines = terminal
                .whatever_comes(step.expected.iter().filter(|line| *line != "...").count(), ends);
            if !agrees(&step.expected, &lines, block.any_order) {
                let new = lines.iter().map(|line| {
                    step.expected.iter().find(|pattern| fits(pattern, line)).unwrap_or(line).clone()
                });
                self.printed.insert(step.line, (step.expected.len(), new.collect()));
            }
        } else if block.any_order {
            terminal.expect_in_any_order(&step.expected)?;
        } else {
            terminal.expect(&step.expected)?;
        }
        if ends && let Some(mut terminal) = self.terminals.remove(&block.terminal) {
            terminal.ended()?;
        }
        Ok(())
    }

    /// Starts what the reader types. A `make` in it is answered by what its recipe does.
    fn start(&self, command: &str) -> anyhow::Result<Terminal> {
        let (echo, line, target) = match command.find("make ") {
            Some(at) if at == 0 || command[..at].ends_with("| ") => {
                let recipe = self.recipe(&command[at..])?;
                let target = command[at..].split_whitespace().nth(1).map(str::to_owned);
                (
                    Some(recipe.clone()),
                    format!("{}{}", &command[..at], self.built(&recipe)?),
                    target,
                )
            }
            _ => (None, self.built(command)?, None),
        };
        // Without exec the shell would be interrupted too, and say so.
        let line = if line.contains(['|', ';', '&']) { line } else { format!("exec {line}") };
        let (reader, writer) = std::io::pipe()?;
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &line])
            .current_dir(self.folder.path())
            .env("KAFKA_BOOTSTRAP_SERVERS", &self.address)
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0);
        for name in [
            "LAB_CONFIG",
            "LOG_FORMAT",
            "RUST_LOG",
            "KAFKA_BROKER",
            "KAFKA_HOST_IP",
            "CLICOLOR_FORCE",
        ] {
            shell.env_remove(name);
        }
        let mut child = shell.spawn().with_context(|| format!("{line} cannot be started"))?;
        // The command holds the pipe's other end until it is gone; then the reader below sees the end.
        drop(shell);
        let (sender, lines) = mpsc::channel();
        let shown = self.translation();
        if let Some(echo) = echo {
            sender.send(echo)?;
        }
        std::thread::spawn(move || {
            for line in BufReader::new(reader).lines().map_while(Result::ok) {
                if sender.send(shown(&line)).is_err() {
                    return;
                }
            }
        });
        Ok(Terminal {
            stdin: child.stdin.take(),
            child,
            lines,
            seen: Vec::new(),
            target,
            over: false,
            any: false,
        })
    }

    /// What `make` would run, as it shows it.
    fn recipe(&self, command: &str) -> anyhow::Result<String> {
        let command = command.replacen("make ", "make -n ", 1);
        let mut make = Command::new("sh");
        make.args(["-c", &command]).current_dir(&self.root);
        // What a `make test BOOTSTRAP=…` around this test was told is not for the recipe.
        for name in [
            "MAKEFLAGS",
            "MFLAGS",
            "MAKELEVEL",
            "MAKEOVERRIDES",
            "BOOTSTRAP",
            "CONFIG",
            "ARGS",
            "BROKER",
        ] {
            make.env_remove(name);
        }
        let output = make.output().context("make is missing")?;
        let text = String::from_utf8_lossy(&output.stdout);
        // Before it come recipes that show nothing: the look for missing tools, the build.
        let line = text.lines().rfind(|line| line.starts_with("cargo run "));
        let line = line.with_context(|| {
            format!(
                "`{command}` shows no `cargo run`: {text}{}",
                String::from_utf8_lossy(&output.stderr)
            )
        })?;
        // Cargo is told to be quiet once the program is built; the reader has built it.
        Ok(line.replacen("cargo run --bin", "cargo run -q --bin", 1))
    }

    /// The line with the programs of this build, and the names that are free on this broker.
    fn built(&self, line: &str) -> anyhow::Result<String> {
        let Some(rest) = line.strip_prefix("cargo run -q --bin ") else {
            return Ok(line.replace(self.lesson.names, &self.alias));
        };
        // ` --` stands only before flags.
        let (name, arguments) = rest.split_once(" --").unwrap_or((rest, ""));
        let program = self.lesson.programs.iter().find(|(known, _)| *known == name);
        let (_, path) =
            program.with_context(|| format!("{name} is not among the lesson's programs"))?;
        Ok(format!("{path}{}", arguments.replace(self.lesson.names, &self.alias)))
    }

    /// Turns what this broker's programs print into what a reader sees.
    fn translation(&self) -> impl Fn(&str) -> String + Send + 'static {
        let (address, alias, name) =
            (self.address.clone(), self.alias.clone(), self.lesson.names.to_owned());
        move |line| {
            line.replace(&address, crate::config::DEFAULT_BOOTSTRAP_SERVERS).replace(&alias, &name)
        }
    }

    /// Ends what still runs, and deletes what the lesson made on somebody's Kafka.
    fn clear(&mut self) {
        for terminal in self.terminals.values_mut() {
            // It may have ended by itself.
            let _ = terminal.child.kill();
            let _ = terminal.child.wait();
        }
        let Some(address) = external() else { return };
        self.runtime.block_on(async {
            if let Ok(cluster) = Cluster::at(&address).await {
                let _ = topic::delete(&cluster, &self.alias).await;
            }
        });
    }
}

/// A name of this length that nobody has, and that is no part of a word.
fn alias(length: usize) -> String {
    let random = super::unique("");
    let mut hash = crate::partitioner::crc32(random.as_bytes());
    let mut name = String::from("q");
    while name.len() < length {
        // A digit in every second place.
        let (letters, count): (&[u8], u32) =
            if name.len() % 2 == 1 { (b"23456789", 8) } else { (b"bcdfghjkmnpqrtvwxz", 18) };
        name.push(char::from(letters[(hash % count) as usize]));
        hash = hash / count ^ hash.rotate_left(13);
    }
    name
}

/// A command that runs, and what it has printed.
struct Terminal {
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
    fn type_line(&mut self, text: &str) -> anyhow::Result<()> {
        let stdin = self.stdin.as_mut().context("its input was closed")?;
        writeln!(stdin, "{text}").context("it does not read any more")
    }

    /// As the terminal does it: to the whole group of processes.
    fn interrupt(&mut self) -> anyhow::Result<()> {
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

    fn expect(&mut self, expected: &[String]) -> anyhow::Result<()> {
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

    fn expect_in_any_order(&mut self, expected: &[String]) -> anyhow::Result<()> {
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
    fn whatever_comes(&mut self, at_least: usize, ends: bool) -> Vec<String> {
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
    fn ended(&mut self) -> anyhow::Result<()> {
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
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_with_anything_in_its_gaps() {
        assert!(fits("a line", "a line"));
        assert!(!fits("a line", "a line more"));
        assert!(fits("a [..] line[..]", "a long line with an end"));
        assert!(fits("[..]", ""));
        assert!(fits("x[..]b[..]b", "x a b a b"));
        assert!(!fits("x[..]b[..]b", "x a b a"));
        assert!(!fits("[..]c", "c d"));
    }

    #[test]
    fn a_readme_is_read_as_scenes() {
        let text = "\
<!-- lab: term=A any-order -->
```console
rest of the last
$ make x ARGS='-n 1'
one
> typed
^C
```
```sh
not played
```
<!-- lab: stop-broker -->
```console
$ y
```
";
        let expected = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        let step = |action, line, lines: &[&str]| Step { action, line, expected: expected(lines) };
        let first = Block {
            terminal: Some("A".into()),
            any_order: true,
            only_embedded: false,
            steps: vec![
                step(Action::Watch, 2, &["rest of the last"]),
                step(Action::Start("make x ARGS='-n 1'".into()), 4, &["one"]),
                step(Action::Type("typed".into()), 6, &[]),
                step(Action::CtrlC, 7, &[]),
            ],
        };
        let second =
            Block { steps: vec![step(Action::Start("y".into()), 14, &[])], ..Block::default() };
        assert_eq!(
            parse(text).unwrap(),
            [Scene::Block(first), Scene::StopBroker, Scene::Block(second)]
        );
        assert!(parse("<!-- lab: trem=A -->").is_err());
        assert!(parse("```console\n$ x\n").is_err());
    }

    #[test]
    fn what_agrees_is_left_alone() {
        let list = |lines: &[&str]| -> Vec<String> {
            lines.iter().map(|line| (*line).to_owned()).collect()
        };
        let printed = list(&["banner", "more banner", "b", "a 17"]);
        assert!(agrees(&list(&["...", "b", "a [..]"]), &printed, false));
        assert!(agrees(&list(&["banner", "..."]), &printed, false));
        assert!(!agrees(&list(&["...", "b"]), &printed, false));
        assert!(!agrees(&list(&["b", "..."]), &printed, false));
        assert!(agrees(&list(&["a [..]", "banner", "b", "more [..]"]), &printed, true));
        assert!(!agrees(&list(&["a [..]", "banner", "b"]), &printed, true));
        assert!(agrees(&list(&["a [..]", "...", "b"]), &printed, true));
    }

    #[test]
    fn a_recording_replaces_the_lines_of_each_step() {
        let text = "a\n$ x\nold\nold\n$ y\nend\n";
        let new = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        let printed = BTreeMap::from([(2, (2, new(&["new"]))), (5, (0, new(&["more", "still"])))]);
        assert_eq!(rewritten(text, &printed), "a\n$ x\nnew\n$ y\nmore\nstill\nend\n");
    }

    #[test]
    fn an_alias_is_as_long_as_the_name_and_new_each_time() {
        assert_eq!(alias(4).len(), 4);
        assert_ne!(alias(8), alias(8));
    }
}
