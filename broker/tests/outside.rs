//! The library in a crate outside of this workspace: the README's blocks work there as they stand, and the crate keeps its
//! own features.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::{fs, path::Path, process::Command};

/// A service that chooses its own features of tokio and serde_json. The README's dependencies are added to it.
const MANIFEST: &str = r#"
[package]
name = "outside"
edition = "2024"

[workspace]

[dependencies]
serde_json = { version = "1", default-features = false, features = ["std"] }
tokio = { version = "1", default-features = false, features = ["rt"] }
"#;

const LIBRARY: &str = r#"
pub fn shown(json: &str) -> String {
    serde_json::from_str::<serde_json::Value>(json).unwrap().to_string()
}
"#;

const TEST: &str = r##"
#[test]
fn json_is_still_sorted_beside_a_broker() {
    let broker = mini_kafka::Broker::builder().topic("orders", 3).start_blocking().unwrap();
    assert!(broker.bootstrap_servers().starts_with("127.0.0.1:"));
    assert_eq!(outside::shown(r#"{"b":1,"a":2}"#), r#"{"a":2,"b":1}"#);
}
"##;

#[test]
fn the_readme_works_in_a_crate_outside_that_keeps_its_features() {
    let broker = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(broker.join("README.md")).unwrap();
    let [dependencies] = &blocks(&readme, "toml")[..] else { panic!("one block of dependencies") };
    let tests = blocks(&readme, "rust");
    assert_eq!(tests.len(), 2);

    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let here = dependencies.replace("../kafka-labs/broker", broker.to_str().unwrap());
    assert_ne!(*dependencies, here, "the README says where the library is");
    write("Cargo.toml", &format!("{MANIFEST}{here}"));
    write("src/lib.rs", LIBRARY);
    write("tests/embeds.rs", TEST);
    for (number, test) in tests.iter().enumerate() {
        write(&format!("tests/readme_{number}.rs"), test);
    }
    // The same versions as here, so that nothing has to be fetched.
    fs::copy(broker.join("../Cargo.lock"), folder.path().join("Cargo.lock")).unwrap();
    let cargo = |args: &[&str]| {
        let output = Command::new(env!("CARGO"))
            .args(args)
            .current_dir(folder.path())
            // What this workspace has built already is not built again, librdkafka above all.
            .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join(".."))
            .env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo {args:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    };

    let passed = cargo(&["test", "--offline", "--tests"]);
    assert_eq!(passed.matches("test result: ok. 1 passed").count(), 3, "{passed}");

    let features = |package: &str| {
        let shown = ["--edges", "all", "--prefix", "none", "--format", "{p} {f}"];
        let tree = cargo(&[&["tree", "--offline"][..], &shown[..]].concat());
        let line = tree.lines().find(|line| line.starts_with(&format!("{package} v"))).unwrap();
        line.split(' ').nth(2).unwrap_or_default().split(',').map(str::to_owned).collect::<Vec<_>>()
    };
    let serde_json = features("serde_json");
    assert!(!serde_json.contains(&"preserve_order".to_owned()), "{serde_json:?}");
    let tokio = features("tokio");
    for feature in ["full", "fs", "process", "signal", "test-util"] {
        assert!(!tokio.iter().any(|on| on == feature), "tokio has {feature}: {tokio:?}");
    }
}

/// The fenced blocks of a language.
fn blocks(document: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let blocks = document.split(&fence).skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}
