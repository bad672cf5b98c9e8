//! `make up`, `make status`, `make logs` and `make down`, as a person types them.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

#[test]
fn the_embedded_broker_goes_up_once_and_down_once() {
    let run_dir = tempfile::tempdir().unwrap();
    let here = format!("--run-dir {}", run_dir.path().display());

    let first = make("up", &format!("{here} --host 127.0.0.1 --port 0"));
    let address = between(&first, "Started mini-kafka at ", " (process ");
    std::net::TcpStream::connect(&address)
        .expect("make up returns when the broker accepts connections");

    let second = make("up", &here);
    assert!(
        second.contains(&format!("Already running: mini-kafka at {address} (process ")),
        "{second}"
    );

    let status = make("status", &here);
    assert!(status.contains(&format!("At {address}: a Kafka-compatible broker with ")), "{status}");
    make("logs", &here);

    let down = make("down", &format!("{here} --broker memory"));
    assert!(down.contains(&format!("Stopped mini-kafka at {address}")), "{down}");
    assert!(
        std::net::TcpStream::connect(&address).is_err(),
        "make down returns when the broker is gone"
    );
    let again = make("down", &format!("{here} --broker memory"));
    assert!(again.contains("Nothing to stop"), "{again}");
}

#[test]
fn a_frozen_broker_is_not_already_running() {
    let run_dir = tempfile::tempdir().unwrap();
    let here = format!("--run-dir {}", run_dir.path().display());
    let first = make("up", &format!("{here} --host 127.0.0.1 --port 0"));
    let pid = between(&first, "(process ", ", log in ");
    let signal = |name: &str| {
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    };

    signal("-STOP");
    let again = run_make("up", &here);
    let said = String::from_utf8(again.stderr).unwrap();
    signal("-CONT");
    make("down", &format!("{here} --broker memory"));

    assert!(!again.status.success());
    assert!(
        said.contains(&format!("Process {pid} is mini-kafka, but it does not answer")),
        "{said}"
    );
    assert!(said.contains("`make down` ends it"), "{said}");
}

#[test]
fn a_port_that_is_taken_is_named_with_what_is_there() {
    let run_dir = tempfile::tempdir().unwrap();
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = web.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in web.incoming() {
            let mut stream = stream.unwrap();
            // A connection closed with unread bytes is reset, and the answer lost.
            let _ = stream.read(&mut [0; 1024]).unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        }
    });
    let up = labs(&[
        "up",
        "--run-dir",
        run_dir.path().to_str().unwrap(),
        "--host",
        "127.0.0.1",
        "--port",
        &port.to_string(),
    ]);
    let said = String::from_utf8(up.stderr).unwrap();
    assert_eq!(up.status.code(), Some(1));
    assert!(
        said.starts_with(&format!(
            "Port {port} is taken: at 127.0.0.1:{port} there is a web server."
        )),
        "{said}"
    );
}

#[test]
fn a_flag_that_the_broker_refuses_is_shown_in_its_own_words() {
    let run_dir = tempfile::tempdir().unwrap();
    let here = run_dir.path().display();
    let up = run_make("up", &format!("--run-dir {here} --host 127.0.0.1 --port 0 --no-such-flag"));
    let said = String::from_utf8(up.stderr).unwrap();
    assert!(!up.status.success());
    assert!(said.contains("--no-such-flag") && said.contains("mini-kafka did not start"), "{said}");
    assert!(
        make("status", &format!("--run-dir {here} --port 1")).contains("not started by `make up`")
    );
}

fn make(target: &str, args: &str) -> String {
    let output = run_make(target, args);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "make {target}: {said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said
}

fn run_make(target: &str, args: &str) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let mut make = Command::new("make");
    make.arg(target).arg("BROKER=memory").arg(format!("ARGS={args}")).current_dir(root);
    // `make test` hands its own flags down; these runs stand for a person's.
    for name in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "KAFKA_HOST_IP"] {
        make.env_remove(name);
    }
    make.output().unwrap()
}

fn labs(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_labs")).args(args).output().unwrap()
}

fn between(text: &str, start: &str, end: &str) -> String {
    let rest = text.split_once(start).unwrap_or_else(|| panic!("{start:?} is not in {text}")).1;
    rest.split_once(end).unwrap_or_else(|| panic!("{end:?} is not in {text}")).0.to_owned()
}
