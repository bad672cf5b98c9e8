//! The place where scenes are played: a broker, a folder, and terminals.

use super::Lesson;
use super::readme::{Action, Block, Scene, Step, agrees, fits};
use super::terminal::Terminal;
use crate::client::Cluster;
use crate::partitioner::crc32;
use crate::testing::{TestBroker, external, unique, without_surroundings};
use crate::topic;
use anyhow::{Context, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

pub(super) struct Stage<'a> {
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
    /// Further pairs: what is written, and what is meant here.
    stand_ins: Vec<(String, String)>,
    terminals: BTreeMap<Option<String>, Terminal>,
    record: bool,
    /// The steps that a recording changes, as [`rewritten`] takes them.
    pub(super) printed: BTreeMap<usize, (usize, Vec<String>)>,
}

impl<'a> Stage<'a> {
    pub(super) fn new(
        lesson: &'a Lesson<'a>,
        stand_ins: &[(&str, String)],
        record: bool,
    ) -> anyhow::Result<Self> {
        let stand_ins: Vec<_> = stand_ins
            .iter()
            .map(|(written, meant)| ((*written).to_owned(), meant.clone()))
            .collect();
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
            let text = text.replace(&format!("\"{}", lesson.names), &format!("\"{alias}"));
            let text = meant(&text, &stand_ins);
            // A folder may be named like the lab, and is then renamed in the commands too.
            for path in [file.to_string(), file.replace(lesson.names, &alias)] {
                let path = folder.path().join(path);
                fs::create_dir_all(path.parent().unwrap_or(folder.path()))?;
                fs::write(path, &text)?;
            }
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
            stand_ins,
            terminals: BTreeMap::new(),
            record,
            printed: BTreeMap::new(),
        })
    }

    pub(super) fn play(&mut self, scenes: &[Scene]) -> anyhow::Result<()> {
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
                terminal.close_input();
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
        let (line, target) = match command.find("make ") {
            Some(at) if at == 0 || command[..at].ends_with("| ") => {
                let recipe = self.recipe(&command[at..])?;
                let script = self.script(&recipe)?;
                let target = command[at..].split_whitespace().nth(1).map(str::to_owned);
                (format!("{}{{ {script}; }}", &command[..at]), target)
            }
            // Without exec the shell would be interrupted too, and say so.
            _ => {
                let line = self.built(command)?;
                let pipeline = line.contains(['|', ';', '&']);
                (if pipeline { line } else { format!("exec {line}") }, None)
            }
        };
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &line])
            .current_dir(self.folder.path())
            .env("KAFKA_BOOTSTRAP_SERVERS", &self.address);
        without_surroundings(&mut shell);
        Terminal::start(shell, target, self.translation())
    }

    /// What make does: it shows each line of the recipe and runs it, until one fails.
    fn script(&self, recipe: &[String]) -> anyhow::Result<String> {
        let mut script = Vec::new();
        for (n, line) in recipe.iter().enumerate() {
            script.push(format!("printf '%s\\n' '{}'", line.replace('\'', r"'\''")));
            let run = self.built(line)?;
            let last = n + 1 == recipe.len();
            script.push(if last { format!("exec {run}") } else { format!("{run} || exit") });
        }
        Ok(script.join("; "))
    }

    /// The lines that `make` would run, as it shows them.
    fn recipe(&self, command: &str) -> anyhow::Result<Vec<String>> {
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
        // The look for missing tools and the builds show nothing.
        let lines: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("cargo run "))
            // Cargo is told to be quiet once the program is built; the reader has built it.
            .map(|line| line.replacen("cargo run --bin", "cargo run -q --bin", 1))
            .collect();
        ensure!(
            !lines.is_empty(),
            "`{command}` shows no `cargo run`: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(lines)
    }

    /// The line with the programs of this build, and the names that are free on this broker.
    fn built(&self, line: &str) -> anyhow::Result<String> {
        let Some(rest) = line.strip_prefix("cargo run -q --bin ") else {
            return Ok(meant(&line.replace(self.lesson.names, &self.alias), &self.stand_ins));
        };
        // ` --` stands only before flags.
        let (name, arguments) = rest.split_once(" --").unwrap_or((rest, ""));
        let program = self.lesson.programs.iter().find(|(known, _)| *known == name);
        let (_, path) =
            program.with_context(|| format!("{name} is not among the lesson's programs"))?;
        let arguments = arguments.replace(self.lesson.names, &self.alias);
        Ok(format!("{path}{}", meant(&arguments, &self.stand_ins)))
    }

    /// Turns what this broker's programs print into what a reader sees.
    fn translation(&self) -> impl Fn(&str) -> String + Send + 'static {
        let (address, alias, name) =
            (self.address.clone(), self.alias.clone(), self.lesson.names.to_owned());
        // A hex dump shows the name's bytes.
        let hex = |name: &str| {
            let bytes: Vec<_> = name.bytes().map(|byte| format!("{byte:02x}")).collect();
            bytes.join(" ")
        };
        let (alias_hex, name_hex) = (hex(&alias), hex(&name));
        let stand_ins = self.stand_ins.clone();
        move |line| {
            let line = line
                .replace(&address, crate::config::DEFAULT_BOOTSTRAP_SERVERS)
                .replace(&alias, &name)
                .replace(&alias_hex, &name_hex);
            stand_ins.iter().fold(line, |line, (written, meant)| line.replace(meant, written))
        }
    }

    /// Ends what still runs, and deletes what the lesson made on somebody's Kafka.
    pub(super) fn clear(&mut self) {
        for terminal in self.terminals.values_mut() {
            terminal.kill();
        }
        let Some(address) = external() else { return };
        self.runtime.block_on(async {
            if let Ok(cluster) = Cluster::at(&address).await {
                let topics = cluster.topics().await.unwrap_or_default();
                for topic in topics.iter().filter(|topic| topic.starts_with(&self.alias)) {
                    let _ = topic::delete(&cluster, topic).await;
                }
            }
        });
    }
}

fn meant(text: &str, stand_ins: &[(String, String)]) -> String {
    stand_ins.iter().fold(text.to_owned(), |text, (written, meant)| text.replace(written, meant))
}

/// A name of this length that nobody else has, nor any word that is printed.
pub fn alias(length: usize) -> String {
    let mut hash = u64::from(crc32(unique("").as_bytes()));
    let mut name = String::from("q");
    while name.len() < length {
        let digit = u32::try_from(hash % 36).expect("less than 36");
        name.extend(char::from_digit(digit, 36));
        // Longer names than the hash has digits end in more of them.
        hash = hash / 36 + u64::from(digit) * 0x9e37_79b9;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_as_long_as_the_name_and_new_each_time() {
        assert_eq!(alias(4).len(), 4);
        assert_ne!(alias(8), alias(8));
    }
}
