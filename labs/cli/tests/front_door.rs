//! What the READMEs, the Makefile and the error messages promise exists.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Targets that only serve other targets.
const INTERNAL: [&str; 1] = ["tools"];

#[test]
fn make_alone_says_how_to_start_in_a_few_lines() {
    let start = make(&[]);
    assert!(start.lines().count() <= 14, "too long for a first look:\n{start}");
    for first in ["make demo", "make test", "make doctor", "make up", "make lab1", "make help-all"]
    {
        assert!(start.contains(first), "no `{first}` in\n{start}");
    }
}

#[test]
fn make_help_all_lists_every_target() {
    let help = make(&["help-all"]);
    let missing: Vec<_> =
        targets(&root()).into_iter().filter(|target| !listed(&help).contains(target)).collect();
    assert_eq!(missing, INTERNAL, "targets without `## help`, in\n{help}");
}

#[test]
fn make_lab_lists_that_labs_targets() {
    let all = listed(&make(&["help-all"]));
    for lab in ["lab1", "lab2", "lab3", "lab4", "lab5"] {
        let steps = make(&[lab]);
        assert!(steps.contains(&format!("The lesson: labs/{lab}_")), "{steps}");
        // Each target that carries a lab's name is among its steps, and no other lab's is.
        let own: BTreeSet<_> =
            all.iter().filter(|name| name.starts_with(&format!("{lab}-"))).collect();
        let listed = listed(&steps);
        let steps: BTreeSet<_> =
            listed.iter().filter(|name| name.starts_with("lab") && name.contains('-')).collect();
        assert_eq!(steps, own);
    }
    assert!(listed(&make(&["lab1"])).contains("producer-keyed"));
}

/// What make prints.
fn make(arguments: &[&str]) -> String {
    let mut make = Command::new("make");
    make.args(arguments).current_dir(root()).env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
    let output = make.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The targets that a help text names. A line begins with the names, two spaces before the text at least.
fn listed(help: &str) -> BTreeSet<String> {
    help.lines()
        .filter_map(|line| line.strip_prefix("  make "))
        .flat_map(|line| line.split("  ").next().unwrap().split(' '))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_make_target_that_is_mentioned_exists() {
    let mut unknown = Vec::new();
    let mut found = 0;
    for file in texts(&root()) {
        // The schemas have a Makefile of their own.
        let targets: Vec<_> = file
            .ancestors()
            .skip(1)
            .take_while(|folder| folder.starts_with(root()))
            .flat_map(targets)
            .collect();
        for word in made(&file) {
            found += 1;
            if !targets.contains(&word) {
                unknown.push(format!("{}: make {word}", file.display()));
            }
        }
    }
    assert!(found > 50, "only {found} mentions found: the search is broken");
    assert!(unknown.is_empty(), "no such target:\n{}", unknown.join("\n"));
}

#[test]
fn every_program_that_is_run_exists() {
    let mut metadata = Command::new(env!("CARGO"));
    metadata.args(["metadata", "--no-deps", "--offline", "--format-version=1"]).current_dir(root());
    let metadata = metadata.output().unwrap();
    let metadata = String::from_utf8(metadata.stdout).unwrap();
    let mut unknown = Vec::new();
    for file in texts(&root())
        .into_iter()
        .filter(|file| file.extension().is_some_and(|ending| ending == "md"))
    {
        let text = std::fs::read_to_string(&file).unwrap();
        for name in text.split("--bin ").skip(1).map(word) {
            if !metadata.contains(&format!(r#""crate_types":["bin"],"name":"{name}""#)) {
                unknown.push(format!("{}: --bin {name}", file.display()));
            }
        }
    }
    assert!(
        metadata.contains(r#""crate_types":["bin"],"name":"labs""#),
        "the form of cargo metadata has changed"
    );
    assert!(unknown.is_empty(), "no such program:\n{}", unknown.join("\n"));
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut broken = Vec::new();
    for file in texts(&root())
        .into_iter()
        .filter(|file| file.extension().is_some_and(|ending| ending == "md"))
    {
        let text = std::fs::read_to_string(&file).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap();
            let elsewhere = link.starts_with("http") || path.is_empty();
            if !elsewhere && !file.parent().unwrap().join(path).exists() {
                broken.push(format!("{}: {link}", file.display()));
            }
        }
    }
    assert!(broken.is_empty(), "dead links:\n{}", broken.join("\n"));
}

#[test]
fn every_lab_is_in_the_readmes_table() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    for entry in std::fs::read_dir(root().join("labs")).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let lesson = format!("labs/{name}/README.md");
        if name.starts_with("lab") && root().join(&lesson).exists() {
            let row = readme.lines().find(|line| line.starts_with("| [") && line.contains(&lesson));
            assert!(row.is_some(), "{lesson} is not in the README's table of labs");
        }
    }
}

#[test]
fn without_make_the_readme_says_what_make_does() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let rows: Vec<_> = readme.lines().filter(|line| line.starts_with("| `make ")).collect();
    assert!(rows.len() > 20, "the table of commands has moved");
    for row in rows {
        let [_, typed, run, _] = row.split('|').collect::<Vec<_>>()[..] else {
            panic!("three columns in {row}")
        };
        for target in in_backticks(typed) {
            let done = dry_run(target.strip_prefix("make ").unwrap());
            for command in in_backticks(run) {
                assert!(done.contains(command), "`{target}` does not run `{command}`, but\n{done}");
            }
        }
    }
}

#[test]
fn the_doctor_ends_with_a_verdict() {
    let doctor = |path: &str| {
        let mut doctor = Command::new("/bin/sh");
        let doctor = doctor.arg("scripts/doctor").current_dir(root()).env("PATH", path);
        let output = doctor.output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        (output.status.success(), said.lines().last().unwrap().to_owned())
    };
    let (healthy, verdict) = doctor(&std::env::var("PATH").unwrap());
    assert!(healthy && verdict.starts_with("Verdict: ready"), "{verdict}");

    // A machine with the usual small programs, and none of the large ones.
    let bin = tempfile::tempdir().unwrap();
    for name in ["sh", "sed", "head", "uname", "id", "dirname"] {
        let path = ["/bin", "/usr/bin"].map(|folder| Path::new(folder).join(name));
        let path = path.into_iter().find(|path| path.exists()).unwrap();
        std::os::unix::fs::symlink(path, bin.path().join(name)).unwrap();
    }
    let (healthy, verdict) = doctor(bin.path().to_str().unwrap());
    assert!(!healthy && verdict.starts_with("Verdict: not ready (5 missing)."), "{verdict}");
}

/// `cargo test` in the root, `cargo build` and `cargo run` in a lab's folder: whichever comes first builds for the others.
#[test]
fn each_dependency_is_compiled_once() {
    let everything = features(&["--workspace", "--edges=normal,build,dev"]);
    let mut others = vec![vec!["--workspace", "--edges=normal,build"]];
    // Who embeds the library alone gets fewer features: that is meant.
    let programs = members().into_iter().filter(|folder| folder != "broker");
    let manifests: Vec<_> =
        programs.map(|folder| format!("--manifest-path={folder}/Cargo.toml")).collect();
    others.extend(manifests.iter().map(|manifest| vec![manifest.as_str(), "--edges=normal,build"]));
    for selection in others {
        let differing: Vec<_> = features(&selection).difference(&everything).cloned().collect();
        assert!(
            differing.is_empty(),
            "With {selection:?} these would be compiled again, with fewer features than in `cargo test`.\n\
             Add what is missing to shared/build-once/Cargo.toml:\n{}",
            differing.join("\n")
        );
    }
}

/// Else `cargo bench` in the root would compile every lab anew, optimised, to find no bench in it.
#[test]
fn cargo_bench_builds_only_what_has_benches() {
    for folder in members() {
        let manifest = std::fs::read_to_string(root().join(&folder).join("Cargo.toml")).unwrap();
        let sections: Vec<_> = manifest.split("\n[").collect();
        let programs = sections.iter().filter(|text| text.starts_with("[bin]]"));
        let library = sections.iter().find(|text| text.starts_with("lib]"));
        let has_library = root().join(&folder).join("src/lib.rs").exists();
        assert_eq!(library.is_some(), has_library, "[lib] in {folder}/Cargo.toml");
        for section in programs.chain(library) {
            assert!(
                section.contains("\nbench = false"),
                "no `bench = false` in {folder}: {section}"
            );
        }
    }
}

/// The folders of the workspace's packages.
fn members() -> Vec<String> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (_, list) = manifest.split_once("members = [").unwrap();
    let (list, _) = list.split_once(']').unwrap();
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Every dependency from outside of the workspace with the features that it is built with.
fn features(selection: &[&str]) -> BTreeSet<String> {
    let mut tree = Command::new(env!("CARGO"));
    tree.args(["tree", "--offline", "--prefix=none", "--no-dedupe", "--format={p} with {f}"]);
    let output = tree.args(selection).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    let found: BTreeSet<_> = tree
        .lines()
        .filter(|line| line.contains(" with ") && !line.contains(" (/"))
        .map(str::to_owned)
        .collect();
    assert!(found.len() > 30, "the form of cargo tree has changed:\n{tree}");
    found
}

/// The broker's own tests paste its README's blocks into a crate outside of the workspace and run them.
#[test]
fn what_the_readme_shows_of_the_broker_is_the_brokers_own_readme() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let (readme, brokers) = (read("README.md"), read("broker/README.md"));
    let blocks: Vec<_> = readme
        .split("\n```")
        .skip(1)
        .step_by(2)
        .filter(|block| block.starts_with("rust") || block.starts_with("toml"))
        .collect();
    assert_eq!(blocks.len(), 2, "the dependencies and the test");
    for block in blocks {
        assert!(brokers.contains(block), "not in broker/README.md:\n{block}");
    }
}

/// What make would do, without the `-q` that depends on what is built already.
fn dry_run(target_and_variables: &str) -> String {
    let mut make = Command::new("make");
    make.arg("-n").args(target_and_variables.split(' ')).current_dir(root());
    for name in ["MAKEFLAGS", "BROKER", "BOOTSTRAP", "CONFIG", "ARGS", "KAFKA_BOOTSTRAP_SERVERS"] {
        make.env_remove(name);
    }
    let output = make.env("KAFKA_HOST_IP", "").output().unwrap();
    String::from_utf8(output.stdout).unwrap().replace(" -q", "")
}

fn in_backticks(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The words after `make` in a file: in code, or after a backtick.
fn made(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let markdown = file.extension().is_some_and(|ending| ending == "md");
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        fenced ^= markdown && line.trim_start().starts_with("```");
        let command = line.trim_start().trim_start_matches("$ ").trim_start_matches("run: ");
        let is_code = fenced || !markdown && command != line;
        found.extend(command.strip_prefix("make ").filter(|_| is_code).map(word));
        found.extend(line.split("`make ").skip(1).map(word));
    }
    // Placeholders, such as TARGET, and make's own flags are no targets.
    found.retain(|word| word.len() > 1 && word.starts_with(|c: char| c.is_ascii_lowercase()));
    found
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-' || *c == '_').collect()
}

/// Of the Makefile in this folder, if it has one.
fn targets(folder: &Path) -> Vec<String> {
    let makefile = std::fs::read_to_string(folder.join("Makefile")).unwrap_or_default();
    let rules = makefile.lines().filter_map(|line| line.split_once(':'));
    rules
        .filter(|(names, rest)| {
            names.chars().all(|c| c.is_ascii_lowercase() || " -0123456789".contains(c))
                && !rest.starts_with('=')
        })
        .flat_map(|(names, _)| names.split(' '))
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The files that people write, and programs print from.
fn texts(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if path.is_dir() {
            let skipped = ["target", "node_modules", ".git", ".run", ".venv"];
            if !skipped.contains(&name.as_str()) {
                found.extend(texts(&path));
            }
        } else if path
            .extension()
            .is_some_and(|ending| ["md", "rs", "toml", "yml", "sh"].iter().any(|e| ending == *e))
        {
            found.push(path);
        }
    }
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}
