//! Real, unmodified clients in their own languages, each with its own tests under `clients/`.
//!
//! ```sh
//! make integration-test                                                        # all of them, on our broker
//! CLIENTS=1 cargo test --test integration_tests                                # the same
//! CLIENTS=1 KAFKA_BOOTSTRAP_SERVERS=localhost:9092 cargo test --test integration_tests    # on that Kafka
//! CLIENTS=1 cargo test --test integration_tests kafkajs                        # one of them
//! ```
//!
//! They need other languages and the package registries. So without `CLIENTS=1` they are ignored, and so is a client
//! whose language is not installed; both are said. With `REQUIRE_CLIENTS=1`, as in CI, a missing language is a failure.
//! What a suite installs goes to `target/tmp`, not to the source tree.
//!
//! The list of tests is made when it runs (`harness = false`): Rust's own harness cannot ignore a test at run time, and
//! "ok" would be wrong for one that did nothing.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

#[allow(dead_code, reason = "the attackers need more of it")]
#[path = "../../tests/hostile/client.rs"]
mod client;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "../../tests/memory_limit/full.rs"]
mod full;
#[path = "docs/markdown.rs"]
mod markdown;
#[path = "docs/run.rs"]
mod run;
#[path = "../../tests/conformance/subject.rs"]
mod subject;
#[path = "clients/java/tools.rs"]
mod tools;

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};

use crate::full::Full;
use crate::markdown::Section;
use crate::run::{Corrections, Desk};
use crate::subject::Subject;

/// A client, the tools that its tests need, and its tests.
struct Client {
    name: &'static str,
    tools: &'static [(&'static str, &'static str)],
    tests: fn(&Suite),
}

const CLIENTS: [Client; 7] = [
    Client { name: "kafkajs", tools: &[("npm", NODE), ("node", NODE)], tests: kafkajs },
    Client { name: "kafka_python", tools: &[("python3", PYTHON)], tests: pytest },
    Client { name: "confluent_kafka", tools: &[("python3", PYTHON)], tests: pytest },
    Client { name: "aiokafka", tools: &[("python3", PYTHON)], tests: pytest },
    Client { name: "franz_go", tools: &[("go", GO)], tests: franz_go },
    Client { name: "kcat", tools: &[("kcat", KCAT)], tests: kcat },
    Client { name: "java", tools: &[("java", JAVA), ("mvn", JAVA)], tests: java },
];

fn main() -> ExitCode {
    let wanted = is_set("CLIENTS");
    if !wanted {
        say(
            "Clients in other languages: not asked for. CLIENTS=1, or `make integration-test`, runs them.",
        );
    }
    let trials = CLIENTS.into_iter().map(|client| client.trial(wanted)).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

impl Client {
    fn trial(self, wanted: bool) -> Trial {
        let Self { name, tools, tests } = self;
        let missing = tools.iter().find(|(tool, _)| wanted && !is_installed(tool));
        let required = |tool| is_set("REQUIRE_CLIENTS") && !RARE.contains(tool);
        let ignored = match missing {
            Some((tool, _)) if required(tool) => false,
            Some((tool, remedy)) => {
                say(&format!("{name}: ignored, there is no {tool}. Install {remedy}."));
                true
            }
            None => !wanted,
        };
        let run = move || match missing {
            Some((tool, remedy)) => {
                Err(Failed::from(format!("{name} needs {tool}: install {remedy}.")))
            }
            None => {
                tests(&Suite::begin(name));
                Ok(())
            }
        };
        Trial::test(name, run).with_ignored_flag(ignored)
    }
}

fn is_set(variable: &str) -> bool {
    std::env::var(variable).is_ok_and(|value| value == "1")
}

fn kafkajs(suite: &Suite) {
    // npm installs beside package.json, so the suite is copied out of the source tree first.
    let folder = suite.folder.join("suite");
    copy(&suite.source, &folder);
    suite.install(
        "package-lock.json",
        Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder),
    );
    suite.run(Command::new("npm").args(["test", "--silent"]).current_dir(&folder));
    suite.waits_for_room(Command::new("node").arg("full.js").current_dir(&folder));
    let modules = folder.join("node_modules").display().to_string();
    suite.documentation(|desk| desk.environment.push(("NODE_PATH".into(), modules)));
}

fn franz_go(suite: &Suite) {
    suite.run(Command::new("go").args(["test", "-count=1", "./..."]).current_dir(&suite.source));
    suite.waits_for_room(Command::new("go").args(["run", "./full"]).current_dir(&suite.source));
    suite.documentation(|desk| {
        for file in ["go.mod", "go.sum"] {
            std::fs::copy(suite.source.join(file), desk.folder.join(file)).unwrap();
        }
    });
}

fn kcat(suite: &Suite) {
    let servers = suite.subject.bootstrap_servers();
    let topic = format!("kcat-{}", uuid::Uuid::new_v4().simple());
    let lines = suite.folder.join("lines");
    std::fs::write(&lines, "u1:click\nu2:purchase\nu1:view\n").unwrap();
    suite.must(
        Command::new("kcat").args(["-b", servers, "-t", &topic, "-P", "-K:", "-l"]).arg(&lines),
    );
    let mut consume = Command::new("kcat");
    consume.args(["-b", servers, "-t", &topic, "-C", "-e", "-q", "-f", "%k=%s at %o\n"]);
    let printed = suite.must(&mut consume);
    let mut read: Vec<_> = printed.lines().collect();
    read.sort_unstable();
    assert_eq!(read.len(), 3, "{printed}");
    let u1: Vec<_> = read.iter().filter(|line| line.starts_with("u1=")).collect();
    assert!(u1[0].starts_with("u1=click at ") && u1[1].starts_with("u1=view at "), "{printed}");
    let listed = suite.must(Command::new("kcat").args(["-b", servers, "-t", &topic, "-L"]));
    assert!(listed.contains("with 3 partitions"), "{listed}");
}

fn java(suite: &Suite) {
    let jars = suite.folder.join("jars");
    let mut copy_jars = Command::new("mvn");
    copy_jars
        .args(["-q", "-B", "-f"])
        .arg(suite.source.join("pom.xml"))
        .arg("dependency:copy-dependencies");
    copy_jars.arg(format!("-DoutputDirectory={}", jars.display()));
    suite.install("pom.xml", &mut copy_jars);
    tools::Tools::new(&jars, &suite.folder, suite.subject.bootstrap_servers()).run_all();
    suite.waits_for_room(&mut tools::console_producer(&jars, full::TOPIC));
    suite.documentation(|desk| {
        let scripts = desk.folder.join("kafka");
        tools::write_scripts(&jars, &scripts);
        desk.path.push(scripts);
    });
}

const NODE: &str = "Node.js 18 or newer (Debian: apt-get install nodejs npm)";
const PYTHON: &str = "Python 3.10 or newer with venv (Debian: apt-get install python3-venv)";
const JAVA: &str = "a JDK 17 or newer and Maven (Debian: apt-get install default-jdk maven)";
const KCAT: &str = "kcat (Debian: apt-get install kcat)";
const GO: &str = "Go 1.26 or newer (https://go.dev/dl)";

/// Tools that REQUIRE_CLIENTS=1 does not ask for: a distribution's Go may be too old, and few have kcat.
const RARE: [&str; 2] = ["go", "kcat"];

/// Runs a suite of Python tests in an environment of its own.
fn pytest(suite: &Suite) {
    let environment = suite.folder.join("venv");
    if !environment.join("bin/python").exists() {
        suite.must(Command::new("python3").args(["-m", "venv"]).arg(&environment));
    }
    let python = environment.join("bin/python");
    let lock = suite.source.join("requirements.lock");
    suite.install(
        "requirements.lock",
        Command::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(lock),
    );
    suite.run(
        Command::new(&python)
            .args(["-m", "pytest", "--quiet", "-p", "no:cacheprovider"])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(&suite.source),
    );
    suite.documentation(|desk| desk.path.push(environment.join("bin")));
}

/// One language's tests and the broker that they talk to.
struct Suite {
    name: String,
    /// Where the tests are.
    source: PathBuf,
    /// Where this suite may write.
    folder: PathBuf,
    subject: Subject,
    /// Our broker lives on it.
    _runtime: tokio::runtime::Runtime,
}

impl Suite {
    /// Starts a broker.
    fn begin(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        Self {
            name: name.to_owned(),
            source: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name),
            folder,
            subject: runtime.block_on(Subject::start()),
            _runtime: runtime,
        }
    }

    /// Installs what a lock file names, unless that was done already.
    fn install(&self, lock: &str, command: &mut Command) {
        let wanted = std::fs::read(self.source.join(lock)).unwrap();
        let installed = self.folder.join("installed");
        if std::fs::read(&installed).is_ok_and(|installed| installed == wanted) {
            return;
        }
        self.must(command);
        std::fs::write(installed, wanted).unwrap();
    }

    /// Runs the tests.
    fn run(&self, command: &mut Command) {
        let output =
            self.must(command.env("KAFKA_BOOTSTRAP_SERVERS", self.subject.bootstrap_servers()));
        let summary =
            output.lines().rev().find(|line| line.contains("pass") || line.starts_with("ok"));
        say(&format!("{}: {}", self.name, summary.unwrap_or("passed")));
    }

    /// Runs a producer of one record, from stdin or of its own, on a broker whose memory limit is reached. It must try
    /// again until there is room.
    fn waits_for_room(&self, producer: &mut Command) {
        let full = Full::start();
        let mut child = producer
            .env("KAFKA_BOOTSTRAP_SERVERS", full.bootstrap_servers())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(child.stdin.take().unwrap(), "late").unwrap();
        full.refuses(2);
        assert_eq!(full.records(), 0);
        full.delete_topic();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}: {output:?}", self.name);
        assert_eq!(full.records(), 1, "{}: {output:?}", self.name);
    }

    /// Runs the sections of the documentation that need this client, each on a broker of its own.
    fn documentation(&self, prepare: impl FnOnce(&mut Desk)) {
        let mut desk = Desk::new(self.folder.join("docs"));
        prepare(&mut desk);
        let mut failures = String::new();
        for entry in
            std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")).unwrap()
        {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let mut corrections = Corrections::default();
            for section in Section::of(&text) {
                if section.clients.as_deref() != Some(self.name.as_str()) {
                    continue;
                }
                if let Some(missing) = run::missing(&section) {
                    say(&format!(
                        "{}: {:?} is not run, there is no {missing}.",
                        self.name, section.heading
                    ));
                    continue;
                }
                if let Err(problems) = desk.run(&section, &mut corrections) {
                    failures +=
                        &format!("{}, {:?}:\n{problems}\n", path.display(), section.heading);
                }
            }
            if !corrections.is_empty() {
                std::fs::write(&path, run::correct(&text, &corrections)).unwrap();
            }
        }
        assert!(failures.is_empty(), "\n{failures}");
    }

    /// Runs a command that has to succeed, and gives what it printed.
    fn must(&self, command: &mut Command) -> String {
        let output = command
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{}: could not run {command:?}: {error}", self.name));
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {command:?} failed:\n{text}", self.name);
        text
    }
}

/// Says something in spite of the test harness, which keeps what passing tests print.
fn say(line: &str) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

fn is_installed(tool: &str) -> bool {
    let version = match tool {
        "go" => "version",
        "kcat" => "-V",
        _ => "--version",
    };
    Command::new(tool).arg(version).output().is_ok_and(|output| output.status.success())
}

/// Copies a suite, without what was installed in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_name() == OsStr::new("node_modules") {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
