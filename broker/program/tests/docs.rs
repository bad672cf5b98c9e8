//! The documentation under `docs/` is run: what its console blocks say is typed and compared, its references are
//! generated, its links lead somewhere.
//!
//! ```sh
//! cargo test -p mini-kafka-program --test docs              # check
//! UPDATE=1 cargo test -p mini-kafka-program --test docs     # write what is printed and generated into the documents
//! ```
//!
//! Rust blocks are doctests (see the library's `lib.rs`). Sections marked `<!-- clients: NAME -->` need a client in another
//! language and are run by `integration_tests.rs`.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

#[path = "docs/kips.rs"]
mod kips;
#[path = "docs/markdown.rs"]
mod markdown;
#[path = "docs/reference.rs"]
mod reference;
#[path = "docs/run.rs"]
mod run;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    markdown::Section,
    run::{Corrections, Desk},
};

/// The suites of `integration_tests.rs` that run sections.
const SUITES: [&str; 5] = ["kafkajs", "kafka_python", "confluent_kafka", "franz_go", "java"];
#[test]
fn what_is_to_be_typed_prints_what_is_shown() {
    let mut failures = String::new();
    for path in documents() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        let mut corrections = Corrections::default();
        for (number, section) in Section::of(&text).iter().enumerate() {
            let has_console = section.blocks.iter().any(|block| block.language == "console");
            if section.clients.is_some() || !has_console {
                continue;
            }
            if let Some(missing) = run::missing(section) {
                say(&format!("{name}.md, {:?}: not run, there is no {missing}.", section.heading));
                continue;
            }
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
                .join("docs")
                .join(format!("{name}-{number}"));
            if let Err(problems) = Desk::new(folder).run(section, &mut corrections) {
                failures += &format!("{name}.md, {:?}:\n{problems}\n", section.heading);
            }
        }
        if !corrections.is_empty() {
            fs::write(&path, run::correct(&text, &corrections)).unwrap();
        }
    }
    assert!(
        failures.is_empty(),
        "\n{failures}Write what is printed: UPDATE=1 cargo test -p mini-kafka-program --test docs"
    );
}

/// No block is there only to be looked at, but for diagrams and layouts of bytes.
#[test]
fn every_block_is_run_by_something() {
    let library = fs::read_to_string(broker("src/lib.rs")).unwrap();
    for path in documents() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for section in Section::of(&fs::read_to_string(&path).unwrap()) {
            if let Some(clients) = &section.clients {
                assert!(SUITES.contains(&clients.as_str()), "{name}: there is no suite {clients}");
            }
            let has_console = section.blocks.iter().any(|block| block.language == "console");
            for block in &section.blocks {
                let at = format!("{name}:{}", block.line);
                match block.language.as_str() {
                    "rust" => assert!(
                        library.contains(&format!("../docs/{name}")),
                        "{at}: this document's Rust is not compiled; include it in lib.rs"
                    ),
                    "console" => assert!(!block.commands().is_empty(), "{at}: nothing to type"),
                    "sh" => block.lines.iter().for_each(|line| check_command(line, &at)),
                    "mermaid" | "text" => {}
                    _ if is_file_of_suite(&section, block) => {}
                    _ => assert!(
                        block.file.is_some() && has_console,
                        "{at}: say the file's name behind the language, and run it in a console block of this section"
                    ),
                }
            }
        }
    }
}

/// Is the block word for word a file that its suite of clients runs?
fn is_file_of_suite(section: &Section, block: &markdown::Block) -> bool {
    let (Some(clients), Some(file)) = (&section.clients, &block.file) else { return false };
    fs::read_to_string(broker("program/tests/clients").join(clients).join(file))
        .is_ok_and(|text| text.lines().eq(block.lines.iter().map(String::as_str)))
}

/// `sh` blocks name commands that change the machine or take long: they must at least exist.
fn check_command(line: &str, at: &str) {
    let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
    let words: Vec<&str> = words.into_iter().skip_while(|word| word.contains('=')).collect();
    let exists = match words.as_slice() {
        [] | ["git" | "cd" | "apt-get", ..] => true,
        // What is installed is what the tests run.
        ["npm" | "pip", "install", packages @ ..] => {
            packages.iter().all(|package| suites_name(package))
        }
        ["go", "mod", "init", _, "&&", "go", "get", package] => suites_name(package),
        ["cargo", "add", first, "&&", "cargo", "add", second, "--features", _] => {
            let manifest = fs::read_to_string(broker("../Cargo.toml")).unwrap();
            [first, second].iter().all(|name| manifest.contains(&format!("\n{name} = ")))
        }
        ["cargo", "install", "--path", path] => broker("..").join(path).join("Cargo.toml").exists(),
        ["make", target, ..] => {
            let makefile = fs::read_to_string(broker("../Makefile")).unwrap();
            makefile.lines().any(|rule| {
                rule.split_once(':')
                    .is_some_and(|(names, _)| names.split(' ').any(|name| name == *target))
            })
        }
        ["cargo", "run", "--bin", "mini-kafka", "--", flags @ ..] | ["mini-kafka", flags @ ..] => {
            let help =
                Command::new(env!("CARGO_BIN_EXE_mini-kafka")).arg("--help").output().unwrap();
            let help = String::from_utf8_lossy(&help.stdout).into_owned();
            flags.iter().filter(|flag| flag.starts_with("--")).all(|flag| help.contains(flag))
        }
        ["cargo", "run", "--bin", "mini-kafka"]
        | ["cargo", "run", "-q", "--bin", "mini-kafka", "2>&1", "|", "jq"] => true,
        ["cargo", "test", rest @ ..] => {
            let test = rest.iter().skip_while(|word| **word != "--test").nth(1);
            test.is_none_or(|test| {
                ["tests", "program/tests"]
                    .iter()
                    .any(|tests| broker(tests).join(format!("{test}.rs")).exists())
            })
        }
        ["sh", script, ..] => broker("..").join(script).exists(),
        _ => false,
    };
    assert!(exists, "{at}: nothing checks the command {line:?}");
}

#[test]
fn every_kip_is_linked() {
    for path in documents().into_iter().chain([broker("README.md")]) {
        let text = fs::read_to_string(&path).unwrap();
        let linked = kips::linked(&text);
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, &linked).unwrap();
        } else {
            assert!(
                text == linked,
                "{}: run UPDATE=1 cargo test -p mini-kafka-program --test docs",
                path.display()
            );
        }
    }
}

/// Do the clients' own tests depend on this package?
fn suites_name(package: &str) -> bool {
    SUITES.iter().any(|suite| {
        let folder = broker("program/tests/clients").join(suite);
        ["package.json", "requirements.txt", "go.mod"].iter().any(|file| {
            fs::read_to_string(folder.join(file)).is_ok_and(|text| text.contains(package))
        })
    })
}

/// Whoever reads the documents on GitHub copies what is shown, and nothing else.
#[test]
fn no_line_of_rust_is_hidden() {
    for path in documents().into_iter().chain([broker("README.md")]) {
        for section in Section::of(&fs::read_to_string(&path).unwrap()) {
            for block in section.blocks.iter().filter(|block| block.language == "rust") {
                let hidden = block.lines.iter().find(|line| line.trim_start().starts_with("# "));
                assert!(hidden.is_none(), "{}:{}: {hidden:?}", path.display(), block.line);
            }
        }
    }
}

/// The table of limits against the code: what it cites stands there, and nothing is missing.
#[test]
fn the_limits_are_those_of_the_code() {
    let text = fs::read_to_string(broker("docs/limits.md")).unwrap();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ")).collect();
    let kinds = ["| absent |", "| bounded |", "| different |"];
    let rows: Vec<&str> =
        rows.into_iter().filter(|row| kinds.iter().any(|kind| row.starts_with(kind))).collect();
    assert!(rows.len() > 20, "the table has moved");

    let mut absent = Vec::new();
    for row in &rows {
        let place = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        if let Some(apis) = place.strip_prefix("APIs ") {
            absent.extend(apis.split(' ').map(|api| api.trim_matches('`').to_owned()));
            continue;
        }
        let cited = place.split_once("](../").and_then(|(_, rest)| rest.split_once(") \\| `"));
        let (file, code) = cited.unwrap_or_else(|| panic!("where does this stand? {row}"));
        let source = fs::read_to_string(broker(file)).unwrap();
        let code = code.trim_end_matches('`');
        assert!(source.contains(code), "`{code}` does not stand in {file}");
    }

    // Kafka's APIs, from the table that was made of its own definitions.
    let table = fs::read_to_string(broker("src/wire/schema/table.rs")).unwrap();
    let names = table.split("message(\"").skip(1).filter_map(|rest| rest.split('"').next());
    let served: Vec<&str> = mini_kafka::apis().iter().map(|api| api.name).collect();
    let mut expected: Vec<String> = names
        .filter_map(|name| name.strip_suffix("Request"))
        .filter(|name| !served.contains(name))
        .map(str::to_owned)
        .collect();
    expected.sort();
    absent.sort();
    assert_eq!(absent, expected, "APIs of Kafka that are neither served nor named in limits.md");

    // Settings that are accepted and do nothing.
    let settings = fs::read_to_string(broker("src/settings.rs")).unwrap();
    let mut name = "";
    for line in settings.lines() {
        if let Some(rest) = line.trim_start().strip_prefix('"') {
            if line.trim_end().ends_with("\";") {
                let is_kept = rest.contains("Kept and reported");
                let is_named = rows.iter().any(|row| row.contains(&format!("`{name}`")));
                assert!(!is_kept || is_named, "{name} does nothing, and limits.md does not say so");
            } else {
                name = rest.split('"').next().unwrap();
            }
        }
    }
}

/// Rows of the form `file | code`: the code stands in the file.
#[test]
fn the_way_of_a_fetch_is_there() {
    let text = fs::read_to_string(broker("docs/architecture.md")).unwrap();
    let rows = text.lines().filter_map(|line| {
        let (link, rest) = line.split_once("](../")?.1.split_once(") | `")?;
        Some((link, rest.split_once('`')?.0))
    });
    let rows: Vec<_> = rows.collect();
    assert!(rows.len() >= 5, "{rows:?}");
    for (file, code) in rows {
        let source = fs::read_to_string(broker(file)).unwrap();
        assert!(source.contains(code), "`{code}` does not stand in {file}");
    }
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    for path in documents().into_iter().chain([broker("README.md")]) {
        let text = fs::read_to_string(&path).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("http") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target =
                if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let name = path.file_name().unwrap().to_string_lossy();
            if !target.exists() {
                broken.push(format!("{name}: {link}"));
            } else if !anchor.is_empty()
                && target.extension().is_some_and(|extension| extension == "md")
            {
                let headings = fs::read_to_string(&target).unwrap();
                if !Section::of(&headings)
                    .iter()
                    .any(|section| self::anchor(&section.heading) == anchor)
                {
                    broken.push(format!("{name}: {link}, no such heading"));
                }
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

/// A heading's name in a link, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
    heading.to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn the_reference_is_what_the_sources_say() {
    let path = broker("docs/api-reference.md");
    let generated = kips::linked(&reference::generate(&broker("src/api")));
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &generated).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == generated, "run UPDATE=1 cargo test -p mini-kafka-program --test docs");
}

fn documents() -> Vec<PathBuf> {
    let files = fs::read_dir(broker("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut documents: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect();
    documents.sort();
    documents
}

/// A path in the broker's folder, above this package's own.
fn broker(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Says something in spite of the test harness, which keeps what passing tests print.
fn say(line: &str) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}
