//! The files of the lab use each other in one direction: nobody meets a circle while reading.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

#[test]
fn no_two_files_use_each_other() {
    let files = files();
    assert!(files.len() > 20, "{:?}", files.keys());
    // Take away the files that use none of those left, until nothing changes. What is left goes in a circle.
    let mut left: BTreeMap<&str, BTreeSet<String>> =
        files.iter().map(|(file, text)| (file.as_str(), uses(file, text, &files))).collect();
    assert!(left["handling"].contains("kafka/dead_letters"), "{:?}", left["handling"]);
    assert!(left["kafka/dead_letters"].contains("kafka/producer"));
    loop {
        let before = left.len();
        let names: BTreeSet<String> = left.keys().map(|file| (*file).to_owned()).collect();
        left.retain(|_, uses| !uses.is_disjoint(&names));
        if left.len() == before {
            break;
        }
    }
    assert!(left.is_empty(), "These files use each other in a circle: {left:#?}");
}

/// The modules and their code, without tests and comments. `lib.rs` only joins them; `main.rs` is another crate.
fn files() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for (folder, prefix) in [("src", ""), ("src/kafka", "kafka/")] {
        for entry in Path::new(folder).read_dir().unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() || name == "lib" || name == "main" {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            files.insert(format!("{prefix}{name}"), code.collect::<Vec<_>>().join("\n"));
        }
    }
    files
}

/// The other files whose names stand behind `crate::`, `super::` or `kafka::`.
fn uses(file: &str, text: &str, files: &BTreeMap<String, String>) -> BTreeSet<String> {
    if file == "kafka/mod" {
        // It passes on what its files have.
        return BTreeSet::new();
    }
    let mut found = BTreeSet::new();
    for (path, prefix) in [("crate::", ""), ("crate::kafka::", "kafka/"), ("super::", "kafka/")] {
        for (at, _) in text.match_indices(path) {
            for name in names(&text[at + path.len()..]) {
                let file = format!("{prefix}{name}");
                if files.contains_key(&file) {
                    found.insert(file);
                } else if prefix == "kafka/"
                    && let Some(file) = passed_on(&name, files)
                {
                    found.insert(file);
                }
            }
        }
    }
    found.remove(file);
    found
}

/// `a::b` → a; `{a::b, C, d::{e, f}}` → a, C, d.
fn names(text: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let Some(list) = text.strip_prefix('{') else { return vec![name(text)] };
    let (mut depth, mut start, mut all) = (0, 0, Vec::new());
    for (at, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => {
                all.push(name(&list[start..at]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                all.push(name(&list[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    all
}

/// The file whose type `kafka/mod.rs` passes on.
fn passed_on(name: &str, files: &BTreeMap<String, String>) -> Option<String> {
    let uses = files["kafka/mod"].split("pub use ").skip(1);
    let mut uses = uses.filter_map(|line| line.split(';').next()?.split_once("::"));
    let (file, _) = uses.find(|(_, types)| {
        types.split(|c: char| !c.is_alphanumeric()).any(|passed| passed == name)
    })?;
    Some(format!("kafka/{file}"))
}
