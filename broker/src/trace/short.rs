//! An exchange in one line.

use std::net::SocketAddr;

use super::{
    Message, Shown, is_topic_name,
    listing::{Seen, Value},
    records::{self, Part},
    words,
};
use crate::error_code::ErrorCode;

/// How many topics and errors are named.
const NAMED: usize = 3;

/// The request and what came of it.
pub(super) fn exchange(shown: &Shown) -> String {
    let Shown { connection, request, .. } = shown;
    let client = words::quote(request.string("client_id").unwrap_or_default(), NAME_WIDTH);
    let topics = listed(&topics(shown, request));
    let topics = if topics.is_empty() { topics } else { format!(" {topics}") };
    let sent = records(request).map_or(String::new(), |said| format!(" {said}"));
    let outcome = match (shown.answer, shown.ended) {
        (Some(answer), _) => {
            let errors = listed(&errors(answer));
            let errors = if errors.is_empty() { errors } else { format!("{errors}, ") };
            let received = records(answer).map_or(String::new(), |said| format!("{said}, "));
            format!("{errors}{received}{} bytes", answer.len())
        }
        (None, Some(reason)) => format!("the connection ends: {reason}"),
        (None, None) => "no answer, as the request wants".to_owned(),
    };
    let micros = shown.took.as_micros();
    format!(
        "#{connection} {client} {} v{}{topics}{sent}, {} bytes → after {}.{:03} ms: {outcome}\n",
        request.api,
        request.version,
        request.len(),
        micros / 1000,
        micros % 1000
    )
}

/// Bytes that are no request of an API that is served.
pub(super) fn unreadable(
    connection: u64,
    remote: SocketAddr,
    bytes: usize,
    reason: &str,
) -> String {
    format!("#{connection} {bytes} bytes from {remote} → the connection ends: {reason}\n")
}

/// The most characters of a name.
const NAME_WIDTH: usize = 40;

/// The topics that a request names, each once.
fn topics(shown: &Shown, request: &Message) -> Vec<String> {
    let mut topics = Vec::new();
    for field in &request.body {
        let name = match field.value {
            Seen::Value(Value::String(name)) if is_topic_name(field) => name,
            Seen::Value(Value::Uuid(id)) => match shown.words.topics.get(&id) {
                Some(name) => name,
                None => continue,
            },
            _ => continue,
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let name = match name.len() <= NAME_WIDTH && name.chars().all(is_plain) {
            true => name.to_owned(),
            false => words::quote(name, NAME_WIDTH),
        };
        if !topics.contains(&name) {
            topics.push(name);
        }
        if topics.len() > NAMED {
            break;
        }
    }
    topics
}

/// The errors that an answer tells, each once.
fn errors(answer: &Message) -> Vec<String> {
    let mut errors = Vec::new();
    for field in answer.body.iter().filter(|field| field.is("error_code")) {
        let Seen::Value(Value::Int(code @ (..=-1 | 1..))) = field.value else { continue };
        let known = i16::try_from(code).ok().and_then(ErrorCode::from_code);
        let name = known.map_or_else(|| format!("error {code}"), |known| known.name().to_owned());
        if !errors.contains(&name) {
            errors.push(name);
        }
        if errors.len() > NAMED {
            break;
        }
    }
    errors
}

fn listed(names: &[String]) -> String {
    match names.len() {
        0..=NAMED => names.join(", "),
        _ => format!("{}, …", names[..NAMED].join(", ")),
    }
}

/// How many records a message carries, if it can carry any.
fn records(message: &Message) -> Option<String> {
    let mut fields = message.body.iter().filter_map(|field| match field.value {
        Seen::Value(Value::Records(bytes)) => Some(bytes),
        _ => None,
    });
    let first = fields.next()?;
    let mut count = 0i64;
    for part in std::iter::once(first).chain(fields).flat_map(records::parts) {
        if let Part::Batch(batch) = part {
            count = count.saturating_add(batch.record_count.into());
        }
    }
    Some(words::count(count, "record"))
}
