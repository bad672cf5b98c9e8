//! The READMEs' first steps on a machine that has only its loopback: a train, a container, a CI without a network.
//!
//! The steps run in a network namespace of their own, so port 9092 is free there, whatever runs on this machine. Where
//! namespaces are not allowed this says so and passes; with `REQUIRE_NAMESPACES=1`, as in CI, it fails.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Set inside of the namespace.
const INSIDE: &str = "LABS_WITHOUT_NETWORK";

#[test]
fn the_first_steps_need_no_network() {
    if std::env::var_os(INSIDE).is_some() {
        first_steps();
        return;
    }
    if let Some(reason) = no_namespaces() {
        assert!(std::env::var_os("REQUIRE_NAMESPACES").is_none(), "{reason}");
        // Not println: the reason is shown although the test passes.
        writeln!(std::io::stderr(), "Skipped: {reason}").unwrap();
        return;
    }
    let mut again = Command::new("unshare");
    again.args(["-rn", "sh", "-c", r#"ip link set lo up && exec "$@""#, "sh"]);
    again.arg(std::env::current_exe().unwrap());
    again.args(["--exact", "the_first_steps_need_no_network", "--nocapture"]).env(INSIDE, "1");
    let output = again.output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Why no network namespace can be made here.
fn no_namespaces() -> Option<String> {
    let output = Command::new("unshare").args(["-rn", "ip", "link", "set", "lo", "up"]).output();
    match output {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!(
            "no network namespace without root here: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(error) => Some(format!("`unshare` (util-linux) cannot be run: {error}")),
    }
}

fn first_steps() {
    let own = tempfile::tempdir().unwrap();
    // A broker and databases that the person at this machine uses stay as they are.
    let run_dir = format!("ARGS=--run-dir {}", own.path().display());
    let lab4 = own.path().join("lab4.toml");
    let text = std::fs::read_to_string(root().join("labs/lab4_event_service/lab4.toml")).unwrap();
    let text = text.replace("\".run/", &format!("\"{}/", own.path().display()));
    std::fs::write(&lab4, text).unwrap();
    let lab4 = format!("CONFIG={}", lab4.display());

    make(&["demo"], "", "Stopped the broker.");
    make(&["up", &run_dir], "", "Started mini-kafka at 127.0.0.1:9092");
    let _down = Down(run_dir);

    make(&["topics"], "", "Created topic lab1 with 3 partitions.");
    make(&["producer-keyed"], "u1 click 10\n", "u1 click 10 → lab1[2]@0");
    make(&["consumer-keyed", "ARGS=--exit-at-end"], "", "lab1[2]@0 → u1 click 10");

    make(&["lab2-producer", "ARGS=--count 3 --interval 0s"], "", "broker  127.0.0.1:9092");
    make(&["lab2-bravo", "ARGS=--exit-at-end"], "", "BRAVO");

    make(&["lab3-producer"], "", "lab3[");
    make(&["lab3-consumer", "ARGS=--exit-at-end"], "", "lab3[");
    make(&["lab3-batches"], "", "zstd");

    let service = Running::start(&["lab4-service", &lab4], "Listening on http://127.0.0.1:8090");
    let consumers =
        Running::start(&["lab4-notifications", &lab4], "Listening on http://127.0.0.1:8091");
    make(&["lab4-load", &lab4, "ARGS=--rate 20 --seconds 1"], "", "\n0 lost");
    drop((service, consumers));

    make(&["lab5-check"], "", "All pass.");
    make(&["lab5-stage", "STAGE=1"], "", "Connected to 127.0.0.1:9092");

    // A name that cannot be resolved is no reason to start a broker.
    let said = run(&["topics", "BOOTSTRAP=kafka.example:9092"], "");
    assert!(said.contains("This machine finds no address for that name."), "{said}");
    assert!(!said.contains("make up"), "{said}");
}

/// Runs a target that must succeed and print this.
fn make(arguments: &[&str], typed: &str, printed: &str) {
    let said = run(arguments, typed);
    assert!(
        said.contains(printed),
        "`make {}` did not print {printed:?}:\n{said}",
        arguments.join(" ")
    );
    assert!(!said.contains("make: ***"), "{said}");
}

/// What a target prints, and the reason when it fails.
fn run(arguments: &[&str], typed: &str) -> String {
    let mut child =
        command(arguments).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn command(arguments: &[&str]) -> Command {
    let mut make = Command::new("make");
    make.args(arguments).current_dir(root()).stdout(Stdio::piped()).env("NO_COLOR", "1");
    for name in [
        "MAKEFLAGS",
        "MFLAGS",
        "MAKELEVEL",
        "BOOTSTRAP",
        "CONFIG",
        "ARGS",
        "KAFKA_HOST_IP",
        "KAFKA_BROKER",
        "KAFKA_BOOTSTRAP_SERVERS",
        "LAB_CONFIG",
        "RUST_LOG",
        "LOG_FORMAT",
    ] {
        make.env_remove(name);
    }
    make
}

/// A target that runs until it is dropped.
struct Running(Child);

impl Running {
    /// Waits for a line with this.
    fn start(arguments: &[&str], printed: &str) -> Self {
        use std::os::unix::process::CommandExt as _;
        // One pipe for both, and a group of its own, so that Ctrl-C reaches the program behind make.
        let (reader, writer) = std::io::pipe().unwrap();
        let mut make = command(arguments);
        make.stdout(writer.try_clone().unwrap()).stderr(writer).process_group(0);
        let child = make.spawn().unwrap();
        drop(make);
        let mut lines = BufReader::new(reader).lines().map_while(Result::ok);
        let mut seen = Vec::new();
        let found = lines.by_ref().any(|line| {
            seen.push(line);
            seen.last().is_some_and(|line| line.contains(printed))
        });
        assert!(
            found,
            "`make {}` ended before {printed:?}:\n{}",
            arguments.join(" "),
            seen.join("\n")
        );
        // Whoever stops reading would stop the program.
        std::thread::spawn(move || lines.for_each(drop));
        Self(child)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        Command::new("kill").args(["-INT", "--", &group]).status().unwrap();
        self.0.wait().unwrap();
    }
}

/// Stops the broker, also when a step has failed.
struct Down(String);

impl Drop for Down {
    fn drop(&mut self) {
        let down = command(&["down", &format!("{} --broker memory", self.0)]).output().unwrap();
        assert!(std::thread::panicking() || down.status.success());
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}
