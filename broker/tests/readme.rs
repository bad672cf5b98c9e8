//! The README says what is served, and the table in it is the broker's own.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::fmt::Write;

#[test]
fn the_readme_lists_the_apis_that_are_served() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let heading = "| API | key | versions |\n|---|---|---|\n";
    let (before, after) = readme.split_once(heading).expect("the README has a table of APIs");
    let rest = after.find("\n\n").map_or("", |end| &after[end + 1..]);

    let mut table = String::new();
    for api in mini_kafka::apis() {
        writeln!(table, "| {} | {} | {}–{} |", api.name, api.key, api.min_version, api.max_version)
            .unwrap();
    }
    let expected = format!("{before}{heading}{table}{rest}");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &expected).unwrap();
    }
    assert!(
        readme == expected || std::env::var_os("UPDATE").is_some(),
        "run UPDATE=1 cargo test --test readme"
    );
}
