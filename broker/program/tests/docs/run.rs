//! Runs what a section of the documentation says to type, and compares what is printed.
//!
//! A console block whose first command is `mini-kafka` without a subcommand is a terminal of its own: the broker
//! runs in it while the other blocks of the section are carried out, and then its output is compared as well. A
//! section that only talks to `localhost:9092` gets a broker that nobody looks at. Every broker has a free port.
//!
//! `...` on a line of its own stands for any lines, `[..]` for any characters. Times, addresses, random ids and
//! versions of client libraries may differ from what the document shows. `UPDATE=1` writes what was printed into the document.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::JoinHandle,
};

use crate::markdown::{Block, Section};

/// Programs that a machine may lack. A section that needs one is then skipped; `REQUIRE_CLIENTS=1` forbids it.
const OPTIONAL: [&str; 4] = ["kcat", "jq", "xxd", "tshark"];

/// Where sections are run, and with which programs.
pub(crate) struct Desk {
    /// Files are written here.
    pub(crate) folder: PathBuf,
    /// Folders with programs, in front of the usual ones.
    pub(crate) path: Vec<PathBuf>,
    pub(crate) environment: Vec<(String, String)>,
}

/// Lines of a document that are to be replaced, by their first line.
pub(crate) type Corrections = BTreeMap<usize, (usize, Vec<String>)>;

impl Desk {
    pub(crate) fn new(folder: PathBuf) -> Self {
        fs::create_dir_all(&folder).unwrap();
        Self { folder, path: Vec::new(), environment: Vec::new() }
    }

    /// Runs a section. What was printed and does not fit is returned, or added to the corrections if `UPDATE` is set.
    pub(crate) fn run(
        &self,
        section: &Section,
        corrections: &mut Corrections,
    ) -> Result<(), String> {
        let is_console = |block: &&Block| block.language == "console";
        let mut broker: Option<(Broker, Option<&Block>)> = None;
        let needs_broker = section
            .blocks
            .iter()
            .any(|block| block.lines.iter().any(|line| line.contains("localhost:9092")));
        let has_broker = section.blocks.iter().filter(is_console).any(is_brokers_terminal);
        if needs_broker && !has_broker {
            broker = Some((Broker::start(self, "mini-kafka"), None));
        }
        let mut problems = String::new();
        let mut check = |command: &str, block: &Block, expected: &[String], printed: &str| {
            let printed: Vec<String> =
                printed.lines().map(|line| line.trim_end().to_owned()).collect();
            if matches(&normal(expected), &normal(&printed)) {
                return;
            }
            let is_excerpt = expected.iter().any(|line| line == "..." || line.contains("[..]"));
            if std::env::var_os("UPDATE").is_some() && !is_excerpt {
                let position = block
                    .lines
                    .iter()
                    .position(|line| line.strip_prefix("$ ") == command.lines().next());
                let first = block.line
                    + position.expect("the command stands there")
                    + command.lines().count();
                corrections.insert(first, (expected.len(), printed));
                return;
            }
            problems += &format!(
                "$ {command}\n--- the document says\n{}\n--- was printed\n{}\n",
                expected.join("\n"),
                printed.join("\n")
            );
        };
        let mut files = Vec::new();
        for block in &section.blocks {
            if block.file.is_some() {
                files.push(block);
            } else if is_console(&block) && is_brokers_terminal(block) {
                let (command, _) = &block.commands()[0];
                if let Some((earlier, Some(terminal))) =
                    broker.replace((Broker::start(self, command), Some(block)))
                {
                    let (command, expected) = &terminal.commands()[0];
                    check(command, terminal, expected, &earlier.stop());
                }
            } else if is_console(&block) {
                // Only now: the broker's terminal may stand below the files.
                for file in files.drain(..) {
                    self.write(file, broker.as_ref());
                }
                for (command, expected) in block.commands() {
                    let output = self
                        .shell(&at_port(&command, broker.as_ref()))
                        .stdin(Stdio::null())
                        .output()
                        .unwrap();
                    let mut printed = String::from_utf8_lossy(&output.stdout).into_owned()
                        + &String::from_utf8_lossy(&output.stderr);
                    if let Some((broker, _)) = &broker {
                        printed = printed.replace(&broker.address, "127.0.0.1:9092");
                    }
                    check(&command, block, &expected, &printed);
                }
            }
        }
        if let Some((broker, terminal)) = broker {
            let printed = broker.stop();
            if let Some(terminal) = terminal {
                let (command, expected) = &terminal.commands()[0];
                check(command, terminal, expected, &printed);
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    fn write(&self, file: &Block, broker: Option<&(Broker, Option<&Block>)>) {
        let name = file.file.as_ref().expect("a file has a name");
        let text = file.lines.join("\n") + "\n";
        fs::write(self.folder.join(name), at_port(&text, broker)).unwrap();
    }

    fn shell(&self, command: &str) -> Command {
        let programs = self.folder.join("programs");
        fs::create_dir_all(&programs).unwrap();
        // The broker says who it is, so that it can be stopped, and takes a free port.
        write_program(
            &programs.join("mini-kafka"),
            &format!(
                "case \"$1\" in decode|-V|--version|-h|--help) exec {0} \"$@\";; esac\n\
                 echo $$ > '{1}/broker.pid'\nexec {0} --port 0 \"$@\"\n",
                env!("CARGO_BIN_EXE_mini-kafka"),
                self.folder.display()
            ),
        );
        let usual = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(programs)
            .chain(self.path.iter().cloned())
            .chain(std::env::split_paths(&usual));
        let mut shell = Command::new("sh");
        shell
            .args(["-c", command])
            .current_dir(&self.folder)
            .env("PATH", std::env::join_paths(path).unwrap())
            .env("NO_COLOR", "1")
            .env("RUST_LOG", "info")
            .envs(self.environment.iter().cloned());
        shell
    }
}

/// Writes a shell script that can be called by its name.
pub(crate) fn write_program(path: &Path, script: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, format!("#!/bin/sh\n{script}")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn is_brokers_terminal(block: &Block) -> bool {
    let first = block.lines.first().map_or("", String::as_str);
    let mut words = first.split_whitespace().skip(1);
    words.next() == Some("mini-kafka")
        && !matches!(words.next(), Some("decode" | "--version" | "-V" | "--help" | "-h"))
}

fn at_port(text: &str, broker: Option<&(Broker, Option<&Block>)>) -> String {
    match broker {
        Some((broker, _)) => text.replace("localhost:9092", &broker.address),
        None => text.to_owned(),
    }
}

/// A program that a section needs and that this machine lacks.
pub(crate) fn missing(section: &Section) -> Option<&'static str> {
    let commands: Vec<String> = section
        .blocks
        .iter()
        .filter(|block| block.language == "console")
        .flat_map(|block| block.commands().into_iter().map(|(command, _)| command))
        .collect();
    let is_named = |program: &str| {
        commands.iter().any(|command| command.split([' ', '|', '\n']).any(|word| word == program))
    };
    let missing = OPTIONAL.into_iter().find(|program| {
        is_named(program)
            && !Command::new("sh")
                .args(["-c", &format!("command -v {program}")])
                .output()
                .is_ok_and(|found| found.status.success())
    });
    let required = std::env::var("REQUIRE_CLIENTS").is_ok_and(|required| required == "1");
    assert!(!(required && missing.is_some()), "the documentation needs {missing:?}");
    missing
}

/// A broker in a terminal of its own.
struct Broker {
    shell: Child,
    pid: String,
    address: String,
    printed: JoinHandle<String>,
}

impl Broker {
    fn start(desk: &Desk, command: &str) -> Self {
        let mut shell = desk
            .shell(command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = shell.stdout.take().unwrap();
        let printed = std::thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).unwrap();
            text
        });
        let mut log = BufReader::new(shell.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let address = loop {
            let line =
                log.next().unwrap_or_else(|| panic!("`{command}` did not start:\n{said}")).unwrap();
            if let Some((_, address)) = line.split_once("bootstrap_servers=\"") {
                break address.trim_end_matches('"').to_owned();
            }
            said += &line;
        };
        std::thread::spawn(move || log.for_each(drop));
        let pid = fs::read_to_string(desk.folder.join("broker.pid")).unwrap().trim().to_owned();
        Self { shell, pid, address, printed }
    }

    /// Stops the broker as Ctrl-C does, and tells what was printed in its terminal.
    fn stop(mut self) -> String {
        let killed = Command::new("kill").args(["-INT", &self.pid]).status().unwrap();
        assert!(killed.success(), "the broker had stopped before");
        assert!(self.shell.wait().unwrap().success(), "the broker did not stop well");
        self.printed.join().unwrap().replace(&self.address, "127.0.0.1:9092")
    }
}

/// Writes corrections into a document.
pub(crate) fn correct(document: &str, corrections: &Corrections) -> String {
    let mut lines: Vec<String> = document.lines().map(str::to_owned).collect();
    for (first, (count, printed)) in corrections.iter().rev() {
        lines.splice(*first..first + count, printed.iter().cloned());
    }
    lines.join("\n") + "\n"
}

/// Lines without what differs from run to run.
fn normal(lines: &[String]) -> Vec<String> {
    lines.iter().map(|line| normal_line(line)).collect()
}

fn normal_line(line: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
    let mut normal = String::new();
    let mut rest = line.trim_end();
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| is_part(c) != is_part(first)).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        let number: Vec<&str> = run.split('.').collect();
        let is_number =
            number.iter().all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit()));
        let id = run.len().checked_sub(36).and_then(|at| Some((run.get(..at)?, run.get(at..)?)));
        match id {
            Some((before, id)) if is_uuid(id) => normal += &format!("{before}<id>"),
            _ if is_number && number.len() == 1 && run.len() == 13 => normal += "<time>",
            _ if is_date(run) => normal += "<time>",
            _ if is_number && number.len() == 2 && after.starts_with(" ms") => normal += "<time>",
            _ if is_number && number.len() == 3 => normal += "<version>",
            _ if run.starts_with("127.0.0.1:") => normal += "<address>",
            _ => normal += run,
        }
        rest = after;
    }
    normal
}

/// Such as `2023-11-14T22:13:20.000Z`.
fn is_date(text: &str) -> bool {
    text.len() == 24
        && text.char_indices().all(|(at, c)| match at {
            4 | 7 => c == '-',
            10 => c == 'T',
            13 | 16 => c == ':',
            19 => c == '.',
            23 => c == 'Z',
            _ => c.is_ascii_digit(),
        })
}

fn is_uuid(text: &str) -> bool {
    text.char_indices().all(|(at, c)| match at {
        8 | 13 | 18 | 23 => c == '-',
        _ => c.is_ascii_hexdigit(),
    })
}

fn matches(expected: &[String], printed: &[String]) -> bool {
    match expected.split_first() {
        None => printed.is_empty(),
        Some((line, rest)) if line == "..." => {
            (0..=printed.len()).any(|skipped| matches(rest, &printed[skipped..]))
        }
        Some((line, rest)) => printed
            .split_first()
            .is_some_and(|(first, others)| line_matches(line, first) && matches(rest, others)),
    }
}

fn line_matches(expected: &str, printed: &str) -> bool {
    match expected.split_once("[..]") {
        None => expected == printed,
        Some((start, rest)) => printed.strip_prefix(start).is_some_and(|printed| {
            (0..=printed.len()).any(|skipped| {
                printed.is_char_boundary(skipped) && line_matches(rest, &printed[skipped..])
            })
        }),
    }
}
