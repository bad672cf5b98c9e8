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
        [] | ["git" | "cd" | "npm" | "pip", ..] => true,
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
        ["cargo", "run", "--bin", "mini-kafka"] => true,
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
    let generated = reference::generate(&broker("src/api"));
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
