//! Writes `docs/api-reference.md` from the table of APIs and from the contract that opens each handler.

use std::{fmt::Write as _, fs, path::Path};

const HEAD: &str = "\
# API reference

What this broker serves, API by API: versions, behaviour, and what is left out.

<!-- Generated from broker/src/api: UPDATE=1 cargo test -p mini-kafka-program --test docs -->

An API that is not in this list is not served ([limits.md](limits.md) names them). ApiVersions does not name it either, so
clients do not ask for it. A request for it ends the connection. `mini-kafka decode` shows the fields of any message and
what each is for ([protocol.md](protocol.md)). Kafka's own description: [the protocol guide](https://kafka.apache.org/protocol.html).

";

/// A line of the table in `api/mod.rs`: name, versions, and the path of the handler's module.
struct Row {
    name: String,
    advertised: Option<String>,
    module: String,
}

/// The whole document.
pub(crate) fn generate(api: &Path) -> String {
    let rows = rows(&fs::read_to_string(api.join("mod.rs")).unwrap());
    let served = mini_kafka::apis();
    assert_eq!(rows.len(), served.len(), "the table in api/mod.rs is not read to its end");

    let mut out = HEAD.to_owned();
    out += "| key | API | versions | in Kafka 4.3.1 | handler |\n|---|---|---|---|---|\n";
    let mut sections = String::new();
    for api_served in &served {
        let row =
            rows.iter().find(|row| row.name == api_served.name).expect("served, so in the table");
        let file = format!("{}.rs", row.module.replace("::", "/"));
        let source = fs::read_to_string(api.join(&file)).unwrap();
        let versions = if api_served.min_version == api_served.max_version {
            api_served.min_version.to_string()
        } else {
            format!("{}–{}", api_served.min_version, api_served.max_version)
        };
        let (name, key) = (api_served.name, api_served.key);
        writeln!(
            out,
            "| {key} | [{name}](#{}) | {versions} | {} | [`{file}`](../src/api/{file}) |",
            name.to_lowercase(),
            in_kafka(key)
        )
        .unwrap();

        write!(sections, "\n## {name}\n\nKey {key}, versions {versions}").unwrap();
        if let Some(oldest) = &row.advertised {
            write!(sections, "; ApiVersions names {oldest} as the oldest").unwrap();
        }
        let contract = contract(&source);
        let (first, rest) = contract.split_once('\n').unwrap_or((&contract, ""));
        let title = first.split_once(": ").map_or(first, |(_, title)| title);
        write!(sections, ". In a sentence: {title}\n{rest}").unwrap();
    }
    out + &sections
}

/// The newest versions of Kafka 4.3.1, where they differ from what this broker serves. They come from the message
/// definitions in its `kafka-clients` jar.
const NEWEST: &[(i16, &str)] = &[(2, "1–11"), (8, "2–10"), (9, "1–10")];

fn in_kafka(key: i16) -> String {
    let differs = NEWEST.iter().find(|(number, _)| *number == key);
    differs.map_or("the same".to_owned(), |(_, versions)| (*versions).to_owned())
}

fn rows(table: &str) -> Vec<Row> {
    let lines = table.lines().skip_while(|line| !line.starts_with("apis! {")).skip(1);
    lines
        .take_while(|line| !line.starts_with('}'))
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| {
            let (left, right) = line.split_once("=>").expect("a row has a handler");
            let mut words = left.split_whitespace();
            let name = words.next().expect("a row has a name").to_owned();
            let advertised =
                words.skip_while(|word| *word != "advertised").nth(1).map(str::to_owned);
            let module = right.split_whitespace().next().expect("a row has a handler").to_owned();
            Row { name, advertised, module }
        })
        .collect()
}

/// The `//!` comment that opens a file. Links to other items mean nothing outside of rustdoc.
fn contract(source: &str) -> String {
    let mut text = String::new();
    for line in source.lines().map_while(|line| line.strip_prefix("//!")) {
        let line = line.strip_prefix(' ').unwrap_or(line).replace("[`", "`").replace("`]", "`");
        // A new item of a list is read as one only behind an empty line or another item.
        text += &line;
        text.push('\n');
    }
    text
}
