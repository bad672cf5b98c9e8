//! The program, in a folder and a git repository of its own.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

const GIVEN: &str = include_str!("../proto/user_event.proto");

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(TempDir::new().unwrap());
        std::fs::create_dir(folder.path().join("proto")).unwrap();
        folder.write(GIVEN);
        folder
    }

    fn committed() -> Self {
        let folder = Self::new();
        folder.git(&["init", "-q"]);
        folder.commit();
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, schema: &str) {
        std::fs::write(self.path().join("proto/user_event.proto"), schema).unwrap();
    }

    fn commit(&self) {
        self.git(&["add", "."]);
        self.git(&[
            "-c",
            "user.name=learner",
            "-c",
            "user.email=learner@localhost",
            "commit",
            "-q",
            "-m",
            "schema",
        ]);
    }

    fn git(&self, words: &[&str]) {
        let done = Command::new("git").arg("-C").arg(self.path()).args(words).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_schemas"));
        command.args(words).current_dir(self.path());
        command
    }

    fn run(&self, words: &[&str]) -> (Option<i32>, String) {
        said(&self.command(words).output().unwrap())
    }
}

fn said(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn an_unchanged_schema_is_fine() {
    let (code, text) = Folder::committed().run(&["validate"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("proto/user_event.proto is valid: 2 messages, 1 enum."), "{text}");
    assert!(text.contains("Nothing changed against HEAD ("), "{text}");
}

#[test]
fn a_mistake_is_told_with_its_line() {
    let folder = Folder::committed();
    for (right, wrong, told) in [
        (
            "timestamp = 2;",
            "timestamp = 2",
            "proto/user_event.proto:6: expected ';' or '[', but found 'string'.",
        ),
        (
            "int64 timestamp",
            "int65 timestamp",
            "proto/user_event.proto:5: name 'int65' is not defined.",
        ),
        (
            "timestamp = 2;",
            "timestamp = 1;",
            "proto/user_event.proto:5: field number '1' is already used.",
        ),
    ] {
        folder.write(&GIVEN.replace(right, wrong));
        assert_eq!(folder.run(&["validate"]), (Some(1), format!("{told}\n")));
    }
}

#[test]
fn a_breaking_change_stops_unless_it_is_meant() {
    let folder = Folder::committed();
    folder.write(&GIVEN.replace("user_id = 3", "user_id = 6"));
    let breaking =
        "breaking: UserEvent.user_id moved from number 3 to 6: old records keep it under 3";

    let (code, text) = folder.run(&["sync"]);
    assert_eq!(code, Some(1));
    assert!(text.contains(breaking), "{text}");
    assert!(!folder.path().join("k8s").exists(), "a schema that breaks readers is not handed on");

    let (code, text) = folder.run(&["sync", "--allow-breaking"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(breaking) && text.contains("1 breaking change against HEAD"), "{text}");
    assert!(folder.path().join("k8s/configmap.yaml").exists());
}

#[test]
fn any_commit_can_be_compared_with() {
    let folder = Folder::committed();
    folder.write(&GIVEN.replace("string user_id = 3;", "reserved 3;"));
    folder.commit();
    let (code, text) = folder.run(&["validate"]);
    assert!(code == Some(0) && text.contains("Nothing changed"), "{text}");
    let (code, text) = folder.run(&["validate", "--against", "HEAD~1"]);
    assert!(
        code == Some(0)
            && text.contains("compatible: UserEvent.user_id is gone, its number 3 is reserved"),
        "{text}"
    );
    let (code, text) = folder.run(&["validate", "--against", "nowhere"]);
    assert!(code == Some(1) && text.contains("There is no commit nowhere."), "{text}");
}

#[test]
fn without_a_history_the_syntax_alone_is_checked() {
    let folder = Folder::new();
    let (code, text) = folder.run(&["validate"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("Not compared with an earlier version: this folder is in no git repository."),
        "{text}"
    );
    folder.git(&["init", "-q"]);
    let (code, text) = folder.run(&["validate"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("nothing is committed yet"), "{text}");
}

#[test]
fn applying_needs_kubectl_and_says_so() {
    let folder = Folder::new();
    let nothing_installed = TempDir::new().unwrap();
    let output = folder
        .command(&["sync", "--apply"])
        .env("PATH", nothing_installed.path())
        .output()
        .unwrap();
    let (code, text) = said(&output);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("Wrote k8s/configmap.yaml."), "{text}");
    assert!(text.contains("kubectl is not installed, so nothing was applied."), "{text}");
}

#[cfg(unix)]
#[test]
fn kubectl_gets_the_manifest() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = Folder::new();
    let bin = TempDir::new().unwrap();
    let kubectl = bin.path().join("kubectl");
    std::fs::write(&kubectl, "#!/bin/sh\necho \"$1 $2 $3\"\n").unwrap();
    std::fs::set_permissions(&kubectl, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = folder.command(&["sync", "--apply"]).env("PATH", bin.path()).output().unwrap();
    let (code, text) = said(&output);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("apply -f ./k8s/configmap.yaml"), "{text}");
}

#[test]
fn a_folder_without_schemas_is_named() {
    let empty = TempDir::new().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_schemas"));
    let (code, text) = said(&command.arg("validate").current_dir(empty.path()).output().unwrap());
    assert_eq!(code, Some(1));
    assert!(text.contains("Run this in labs/schemas, or name the folder with --folder."), "{text}");
}

#[test]
fn the_manifest_in_the_repository_is_the_schemas() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let schemas = schemas::files::read(here).unwrap();
    let written = std::fs::read_to_string(here.join(schemas::manifest::PATH)).unwrap();
    assert_eq!(
        written,
        schemas::manifest::manifest(&schemas).unwrap(),
        "run `make sync` in labs/schemas"
    );
}
