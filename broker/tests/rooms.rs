//! The architecture as a test: which room may use which, read off the sources.
//!
//! See `broker/docs/architecture.md`. Test modules are free: only code in front of `#[cfg(test)]` counts.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What a room that only decides must not know.
const PURE: &[&str] = &[
    "tokio",
    "tracing",
    "parking_lot",
    "kafka_protocol",
    "crate::wire",
    "crate::api",
    "crate::cluster",
    "crate::server",
];

/// What of the crate a pure room may name, besides itself.
const PURE_NAMES: &[&str] = &["error_code", "event", "machine", "time"];

/// Words, and the only files and folders that they may stand in.
const FEW_PLACES: &[(&str, &[&str], &str)] = &[
    ("SystemTime", &["cluster/clock.rs"], "the wall is read by the clock"),
    ("Instant", &["cluster/clock.rs", "server/idle.rs"], "deadlines are a `Moment` of the clock"),
    (
        "tokio::time",
        &["cluster/clock.rs", "server", "api/records/fetch.rs", "cluster/fetch.rs"],
        "sleep with `Clock::sleep_until`",
    ),
    (
        "real_now",
        &["cluster/clock.rs", "server", "api/records/fetch.rs", "cluster/fetch.rs"],
        "real time is for connections and waiting fetches",
    ),
    (
        "wall()",
        &["cluster/clock.rs", "api/records", "cluster/partition.rs"],
        "the wall is for the times of records; deadlines use `Clock::now`",
    ),
    ("tokio::spawn", &[], "the caller's runtime can end: spawn on a handle of `Threads`"),
    ("spawn_blocking", &[], "long work goes to `Threads::aside`"),
];

/// A room and the words that must not stand in it, with the reason.
const RULES: &[(&str, &[&str], &str)] = &[
    (
        "server",
        &["kafka_protocol", "crate::log", "crate::group", "wire::messages"],
        "it moves bytes and knows no message",
    ),
    (
        "wire",
        &["crate::server", "crate::api", "crate::cluster", "crate::log", "crate::group", "tokio"],
        "it turns bytes into messages and knows no other room",
    ),
    (
        "api",
        &["tokio::net", "std::fs", "kafka_protocol", "crate::server"],
        "it translates, without sockets, files or a clock of its own",
    ),
    (
        "cluster",
        &["kafka_protocol", "crate::wire", "crate::api", "crate::server", "tokio::net"],
        "it holds the state and knows no message",
    ),
    ("machine.rs", PURE, "it is what the pure rooms share"),
    ("event", PURE, "it is pure: it says what can happen, and tells nobody"),
    ("log", PURE, "it is pure: time is an argument, and what happens is told as an event"),
    ("group", PURE, "it is pure: time is an argument, and what happens is told as an event"),
    (
        "trace",
        &[
            "tokio",
            "kafka_protocol",
            "crate::api::",
            "crate::cluster",
            "crate::server",
            "crate::group",
        ],
        "it turns bytes into words and knows no state",
    ),
];

#[test]
fn no_room_uses_what_it_must_not_know() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut broken = Vec::new();
    for (room, forbidden, reason) in RULES {
        let files = sources(&src.join(room));
        assert!(!files.is_empty(), "there is no room {room}; correct this test's rules");
        for file in files {
            for (number, line) in code(&file) {
                for word in forbidden.iter().filter(|word| line.contains(**word)) {
                    let file = file.strip_prefix(&src).unwrap().display();
                    broken.push(format!("{file}:{number}: `{word}` in room `{room}`: {reason}"));
                }
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn some_words_stand_in_few_places() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut broken = Vec::new();
    for path in sources(&src) {
        let file = path.strip_prefix(&src).unwrap();
        for (number, line) in code(&path) {
            for (word, places, reason) in FEW_PLACES {
                if line.contains(word) && !places.iter().any(|place| file.starts_with(place)) {
                    broken.push(format!("{}:{number}: `{word}`: {reason}", file.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn a_pure_room_names_nothing_of_the_crate_but_codes_and_times() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (room, ..) in RULES.iter().filter(|(_, forbidden, _)| *forbidden == PURE) {
        for file in sources(&src.join(room)) {
            for name in names_of_the_crate(&file) {
                assert!(
                    name == *room || PURE_NAMES.contains(&name.as_str()),
                    "{}: `crate::{name}` in the pure room `{room}`",
                    file.display()
                );
            }
        }
    }
}

/// What a file names directly below `crate::`, also in a list in braces.
fn names_of_the_crate(file: &Path) -> Vec<String> {
    let text: String = code(file).into_iter().map(|(_, line)| line + "\n").collect();
    let name = |text: &str| {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut names: Vec<String> = Vec::new();
    for after in text.split("crate::").skip(1) {
        let Some(list) = after.strip_prefix('{') else {
            names.push(name(after));
            continue;
        };
        let mut depth = 0;
        let mut is_start = true;
        for (at, c) in list.char_indices() {
            if is_start && depth == 0 && !c.is_whitespace() && c != '}' {
                names.push(name(&list[at..]));
            }
            is_start = (is_start && c.is_whitespace()) || (depth == 0 && c == ',');
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                _ => {}
            }
        }
    }
    names
}

#[test]
fn the_codec_stays_in_the_wire_room() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in sources(&src) {
        if file.starts_with(src.join("wire")) {
            continue;
        }
        for (number, line) in code(&file) {
            assert!(!line.contains("kafka_protocol"), "{}:{number}: {line}", file.display());
        }
    }
}

/// The Rust files of a folder and its subfolders, without those that hold only tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    if folder.is_file() {
        return vec![folder.to_owned()];
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let is_test = path.file_stem().is_some_and(|stem| stem == "tests");
        if path.is_dir() && !is_test {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") && !is_test {
            files.push(path);
        }
    }
    files
}

/// Numbered lines of code: no comments, and nothing behind the first `#[cfg(test)]` that opens a module.
fn code(file: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(file).unwrap();
    let is_code = |line: &str| !line.trim_start().starts_with("//");
    let lines: Vec<&str> = text.lines().collect();
    let end = (0..lines.len())
        .find(|&i| {
            lines[i].starts_with("#[cfg(test)]")
                && lines[i..].iter().take(3).any(|l| l.contains("mod ") && l.ends_with('{'))
        })
        .unwrap_or(lines.len());
    (1..)
        .zip(&lines[..end])
        .filter(|(_, line)| is_code(line))
        .map(|(n, line)| (n, (*line).to_owned()))
        .collect()
}
