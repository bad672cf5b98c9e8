//! Answers as a reader wants them: every field by name, one line for what belongs together, error codes by
//! their names, and `…` for what differs from run to run. Fields that are unset are left out.
//!
//! The input is the `Debug` text of the codec's message, so a field that the codec knows cannot be forgotten.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;

use crate::batch;

/// Names for the ids that a broker hands out, in the order in which they appear: `p1`, `p2` for producer
/// ids, `m1`, `m2` for member ids.
#[derive(Debug, Default)]
pub(crate) struct Aliases {
    names: BTreeMap<String, String>,
    counts: BTreeMap<char, usize>,
}

impl Aliases {
    /// The name of an id; a new one if this is the first time it is seen.
    pub(crate) fn name(&mut self, kind: char, id: &str) -> String {
        if let Some(name) = self.names.get(id) {
            return name.clone();
        }
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        let name = format!("{kind}{count}");
        self.names.insert(id.to_owned(), name.clone());
        name
    }

    /// The id behind a name; anything else stands for itself.
    pub(crate) fn id(&self, name: &str) -> String {
        let known = self.names.iter().find(|(_, known)| *known == name);
        known.map_or_else(|| name.to_owned(), |(id, _)| id.clone())
    }
}

/// Writes an answer as lines.
pub(crate) fn describe(answer: &impl std::fmt::Debug, aliases: &mut Aliases) -> String {
    let text = format!("{answer:?}");
    let mut rest = text.as_str();
    let value = parse(&mut rest);
    assert!(rest.is_empty(), "unread: {rest}");
    write("", &value, aliases).join("\n")
}

/// A value as `Debug` prints it.
enum Value {
    Plain(String),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    Struct(Vec<(String, Value)>),
}

impl Value {
    fn is_nested(&self, name: &str) -> bool {
        match self {
            Value::Struct(_) => true,
            Value::List(items) => items.iter().any(|item| matches!(item, Value::Struct(_))),
            Value::Bytes(_) => name == "records",
            Value::Plain(_) | Value::Text(_) => false,
        }
    }
}

/// What says nothing about behaviour, and what is unset. Not behaviour: how long the broker was busy, an error's
/// words (a broker may have its own, or none), and fetch sessions, which a broker may grant or not (KIP-227). Unset
/// is what Kafka's schemas call the default: null, -1, false, the zero id, and in some lists emptiness.
fn is_noise(name: &str, value: &Value) -> bool {
    match value {
        Value::Plain(_) if name == "error_code" => false, // -1 is UNKNOWN_SERVER_ERROR
        Value::Plain(text) => {
            ["throttle_time_ms", "session_id"].contains(&name)
                || ["null", "-1", "-2147483648", "false", "00000000-0000-0000-0000-000000000000"]
                    .contains(&text.as_str())
        }
        Value::List(items) => {
            items.is_empty()
                && ["aborted_transactions", "node_endpoints", "record_errors"].contains(&name)
        }
        Value::Struct(fields) => fields.iter().all(|(name, value)| is_noise(name, value)),
        Value::Text(_) => name == "batch_index_error_message",
        Value::Bytes(_) => false,
    }
}

/// Writes a value as lines. What has one part only stands on one line with it.
fn write(name: &str, value: &Value, aliases: &mut Aliases) -> Vec<String> {
    let label = if name.is_empty() { String::new() } else { format!("{name}: ") };
    match value {
        Value::Struct(fields) => {
            // Without an error, even an empty message is behaviour: Kafka tells it from null.
            let has_failed = fields.iter().any(|(name, value)| {
                name == "error_code" && !matches!(value, Value::Plain(code) if code == "0")
            });
            let is_noise = |name: &str, value: &Value| {
                is_noise(name, value) || (has_failed && name == "error_message")
            };
            let fields: Vec<_> =
                fields.iter().filter(|(name, value)| !is_noise(name, value)).collect();
            let (nested, plain): (Vec<_>, Vec<_>) =
                fields.into_iter().partition(|(name, value)| value.is_nested(name));
            let plain: Vec<_> = plain
                .iter()
                .map(|(name, value)| format!("{name}={}", scalar(name, value, aliases)))
                .collect();
            let head = format!("{label}{}", plain.join(" ")).trim_end().to_owned();
            let parts: Vec<_> =
                nested.iter().map(|(name, value)| write(name, value, aliases)).collect();
            let is_one =
                parts.len() == 1 && parts[0].iter().skip(1).all(|line| line.starts_with(' '));
            let mut lines = parts.concat();
            if is_one && !head.is_empty() {
                lines[0] = format!("{head} | {}", lines[0]);
            } else if !head.is_empty() {
                lines.iter_mut().for_each(|line| line.insert_str(0, "  "));
                lines.insert(0, head);
            }
            lines
        }
        Value::List(items) => items.iter().flat_map(|item| write(name, item, aliases)).collect(),
        Value::Bytes(bytes) if name == "records" => {
            let mut lines = batch::describe(bytes);
            lines.iter_mut().for_each(|line| line.insert_str(0, "  "));
            lines.insert(0, if lines.is_empty() { "no records".into() } else { "records:".into() });
            lines
        }
        other => vec![format!("{label}{}", scalar(name, other, aliases))],
    }
}

fn scalar(name: &str, value: &Value, aliases: &mut Aliases) -> String {
    let text = match value {
        Value::List(items) => {
            let items: Vec<_> = items.iter().map(|item| scalar("", item, aliases)).collect();
            return format!("[{}]", items.join(", "));
        }
        Value::Bytes(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
        Value::Plain(text) | Value::Text(text) => text.clone(),
        Value::Struct(_) => unreachable!("a struct is nested"),
    };
    let nothing = text == "null" || text == "-1" || text.is_empty();
    match name {
        "error_code" => error_name(text.parse().unwrap()),
        "host" | "port" | "cluster_id" | "log_append_time_ms" if !nothing => "…".into(),
        "topic_id" => "…".into(),
        "producer_id" if !nothing => aliases.name('p', &text),
        "member_id" | "leader" if !nothing => aliases.name('m', &text),
        _ if matches!(value, Value::Text(_)) && (text.is_empty() || text.contains(' ')) => {
            format!("{text:?}")
        }
        _ => text,
    }
}

/// Kafka's name of an error: `NOT_COORDINATOR`.
fn error_name(code: i16) -> String {
    let Some(error) = ResponseError::try_from_code(code) else { return "NONE".into() };
    let mut name = String::new();
    for char in format!("{error:?}").chars() {
        if char.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(char.to_ascii_uppercase());
    }
    name
}

fn parse(rest: &mut &str) -> Value {
    if let Some(after) = rest.strip_prefix('[') {
        *rest = after;
        return Value::List(items(rest, ']', parse));
    }
    if let Some(after) = rest.strip_prefix('{') {
        *rest = after;
        return Value::Struct(items(rest, '}', field));
    }
    if rest.starts_with('"') {
        return Value::Text(String::from_utf8(quoted(rest)).unwrap());
    }
    if rest.starts_with("b\"") {
        *rest = &rest[1..];
        return Value::Bytes(quoted(rest));
    }
    let end = rest.find([',', ']', '}', ')', '(', ' ']).unwrap_or(rest.len());
    let (word, after) = rest.split_at(end);
    *rest = after;
    if let Some(after) = rest.strip_prefix('(') {
        *rest = after; // `Some(…)`
        return items(rest, ')', parse).pop().unwrap();
    }
    if let Some(after) = rest.strip_prefix(" {") {
        *rest = after;
        return Value::Struct(items(rest, '}', field));
    }
    Value::Plain(if word == "None" { "null".into() } else { word.into() })
}

fn field(rest: &mut &str) -> (String, Value) {
    let name = if rest.starts_with('"') {
        String::from_utf8(quoted(rest)).unwrap() // a map's key
    } else {
        let (name, after) = rest.split_at(rest.find(':').unwrap());
        *rest = after;
        name.to_owned()
    };
    *rest = rest.strip_prefix(": ").unwrap();
    (name, parse(rest))
}

fn items<T>(rest: &mut &str, end: char, item: fn(&mut &str) -> T) -> Vec<T> {
    let mut found = Vec::new();
    loop {
        *rest = rest.trim_start_matches([' ', ',']);
        if let Some(after) = rest.strip_prefix(end) {
            *rest = after;
            return found;
        }
        found.push(item(rest));
    }
}

/// Takes a quoted string and undoes its escapes.
fn quoted(rest: &mut &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut chars = rest[1..].char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => {
                *rest = &rest[at + 2..];
                return bytes;
            }
            '\\' => match chars.next().unwrap().1 {
                'n' => bytes.push(b'\n'),
                'r' => bytes.push(b'\r'),
                't' => bytes.push(b'\t'),
                '0' => bytes.push(0),
                'x' => {
                    let hex: String = chars.by_ref().take(2).map(|(_, digit)| digit).collect();
                    bytes.push(u8::from_str_radix(&hex, 16).unwrap());
                }
                other => bytes.extend(other.to_string().as_bytes()),
            },
            other => bytes.extend(other.to_string().as_bytes()),
        }
    }
    panic!("a string without an end: {rest}");
}
