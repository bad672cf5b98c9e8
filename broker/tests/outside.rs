//! The library in a crate outside of this workspace: what such a crate gets, and what it keeps.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::{fs, path::Path, process::Command};

/// The crate chooses its own features of tokio and serde_json, as a service under test would.
const MANIFEST: &str = r#"
[package]
name = "outside"
edition = "2024"

[workspace]

[dependencies]
serde_json = { version = "1", default-features = false, features = ["std"] }
tokio = { version = "1", default-features = false, features = ["rt"] }

[dev-dependencies]
"#;

const LIBRARY: &str = r#"
pub fn shown(json: &str) -> String {
    serde_json::from_str::<serde_json::Value>(json).unwrap().to_string()
}
"#;

const TEST: &str = r##"
#[test]
fn a_broker_starts_and_json_is_still_sorted() {
    let broker = mini_kafka::Broker::builder().topic("orders", 3).start_blocking().unwrap();
    assert!(broker.bootstrap_servers().starts_with("127.0.0.1:"));
    assert_eq!(outside::shown(r#"{"b":1,"a":2}"#), r#"{"a":2,"b":1}"#);
}
"##;

#[test]
fn a_crate_that_embeds_a_broker_in_its_tests_keeps_its_own_features() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let broker = Path::new(env!("CARGO_MANIFEST_DIR"));
    write("Cargo.toml", &format!("{MANIFEST}mini-kafka = {{ path = {broker:?} }}\n"));
    write("src/lib.rs", LIBRARY);
    write("tests/embeds.rs", TEST);
    // The same versions as here, so that nothing has to be fetched.
    fs::copy(broker.join("../Cargo.lock"), folder.path().join("Cargo.lock")).unwrap();
    let cargo = |args: &[&str]| {
        let output = Command::new(env!("CARGO"))
            .args(args)
            .current_dir(folder.path())
            // What this workspace has built already is not built again.
            .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join(".."))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo {args:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    };

    let passed = cargo(&["test", "--offline", "--test", "embeds"]);
    assert!(passed.contains("1 passed"), "{passed}");

    let features = |package: &str| {
        let tree =
            ["tree", "--offline", "--edges", "all", "--prefix", "none", "--format", "{p} {f}"];
        let tree = cargo(&tree);
        let line = tree.lines().find(|line| line.starts_with(&format!("{package} v"))).unwrap();
        line.rsplit(' ').next().unwrap().split(',').map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(features("serde_json"), ["std"]);
    let tokio = features("tokio");
    for feature in ["full", "fs", "process", "signal", "test-util"] {
        assert!(!tokio.iter().any(|on| on == feature), "tokio has {feature}: {tokio:?}");
    }
}
