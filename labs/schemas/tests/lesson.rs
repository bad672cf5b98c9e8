//! The README is the test: every transcript in it is played, in a git repository of its own.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

#[test]
fn the_readme_says_what_happens() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = TempDir::new().unwrap();
    for file in ["proto/user_event.proto", "k8s/configmap.yaml"] {
        let copy = folder.path().join(file);
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(here.join(file), copy).unwrap();
    }
    let start = "git init -q && git add . && git -c user.name=learner -c user.email=learner@localhost commit -q -m schemas";
    assert_eq!(sh(start, folder.path()), (Some(0), vec![]));

    let readme = fs::read_to_string(here.join("README.md")).unwrap();
    let mut played = 0;
    for block in readme.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        for step in block.split("$ ").skip(1) {
            let (command, expected) = step.split_once('\n').unwrap();
            let printed = play(command, here, folder.path());
            let expected: Vec<&str> = expected.lines().collect();
            let alike = printed.len() == expected.len()
                && printed.iter().zip(&expected).all(|(line, pattern)| fits(pattern, line));
            assert!(alike, "$ {command}\nexpected: {expected:#?}\nprinted: {printed:#?}");
            played += 1;
        }
    }
    assert!(played > 10, "{played}");
}

/// What the command prints. `make` is asked what it would do, and the tool that was built with this test does it.
fn play(command: &str, here: &Path, folder: &Path) -> Vec<String> {
    let Some(target) = command.strip_prefix("make ") else {
        let (code, lines) = sh(command, folder);
        assert_eq!(code, Some(0), "{command}: {lines:?}");
        return lines;
    };
    let (_, recipe) =
        sh(&format!("env -u MAKEFLAGS -u MAKELEVEL -u ARGS -u AGAINST make -n {target}"), here);
    // Cargo is told to be quiet once the tool is built; the reader has built it.
    let line = recipe[0].replacen("cargo run --bin", "cargo run -q --bin", 1);
    let tool = line.replacen("cargo run -q --bin schemas --", env!("CARGO_BIN_EXE_schemas"), 1);
    assert_ne!(tool, line, "{recipe:?}");
    let (code, lines) = sh(&tool, folder);
    let farewell = (code != Some(0))
        .then(|| format!("make: *** [Makefile:1: {target}] Error {}", code.unwrap()));
    [line].into_iter().chain(lines).chain(farewell).collect()
}

fn sh(command: &str, folder: &Path) -> (Option<i32>, Vec<String>) {
    let output = Command::new("sh")
        .args(["-c", &format!("{command} 2>&1")])
        .current_dir(folder)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), text.lines().map(str::to_owned).collect())
}

/// `[..]` in the pattern stands for anything.
fn fits(pattern: &str, line: &str) -> bool {
    match pattern.split_once("[..]") {
        Some((before, after)) => line.starts_with(before) && line[before.len()..].ends_with(after),
        None => pattern == line,
    }
}
