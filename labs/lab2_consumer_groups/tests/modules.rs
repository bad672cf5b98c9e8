//! The lab's files can be read in an order in which each uses only files before it.

#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

#[test]
fn no_file_uses_one_that_uses_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let read = |name: &str| fs::read_to_string(folder.join(format!("{name}.rs"))).unwrap();
    let used_by = |name: &str| -> BTreeSet<String> {
        let text = read(name);
        let used = text.lines().filter_map(|line| line.strip_prefix("use crate::"));
        used.filter_map(|path| path.split(':').next()).map(str::to_owned).collect()
    };
    let mut files: BTreeMap<String, BTreeSet<String>> = read("lib")
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .map(|name| (name.to_owned(), used_by(name)))
        .collect();
    assert!(files["pipeline"].contains("settings"), "{files:?}");
    while let Some(next) =
        files.iter().find(|(_, used)| used.is_empty()).map(|(name, _)| name.clone())
    {
        files.remove(&next);
        for used in files.values_mut() {
            used.remove(&next);
        }
    }
    assert!(files.is_empty(), "These files use each other: {files:?}");
}
