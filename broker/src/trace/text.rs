//! An exchange as indented lines.

use std::{collections::HashMap, fmt::Write};

use super::{
    Message, Shown, Style, about,
    listing::{Field, Label, Seen, Value},
    words::Words,
};

/// How many bytes of a field are shown in hexadecimal beside it.
const HEX_WIDTH: usize = 8;

/// The request and its answer.
pub(super) fn exchange(shown: &Shown) -> String {
    let Shown { connection, remote, request, took, .. } = shown;
    let client = request.string("client_id").unwrap_or_default();
    let software =
        shown.software.map_or(String::new(), |(name, version)| format!(" ({name} {version})"));
    let mut out = String::new();
    let title = |arrow: &str, message: &Message| {
        let correlation_id = message.int("correlation_id").unwrap_or_default();
        let Message { api, version, frame, .. } = message;
        format!(
            "#{connection} {arrow} {api} v{version}, correlation id {correlation_id}, {} bytes",
            frame.len()
        )
    };
    line(&mut out, &format!("{} from {remote}, client {client:?}{software}", title("→", request)));
    message(&mut out, shown.words, request);
    match shown.answer {
        Some(answer) => {
            let micros = took.as_micros();
            line(
                &mut out,
                &format!("{} after {}.{:03} ms", title("←", answer), micros / 1000, micros % 1000),
            );
            message(&mut out, shown.words, answer);
        }
        None => {
            let outcome = match shown.ended {
                Some(reason) => format!("the connection ends: {reason}"),
                None => "no answer, as the request wants".to_owned(),
            };
            line(&mut out, &format!("#{connection} ← {outcome}"));
        }
    }
    out
}

/// One frame alone.
pub(super) fn frame(shown: &Message, style: Style) -> String {
    let mut out = String::new();
    line(
        &mut out,
        &format!("{} version {}, {} bytes", shown.name, shown.version, shown.frame.len()),
    );
    message(&mut out, Words { topics: &HashMap::new(), style }, shown);
    out
}

/// The fields of one message, and what is wrong with it.
fn message(out: &mut String, words: Words, message: &Message) {
    if words.style.bytes {
        fields(out, words, message, &message.header);
    }
    fields(out, words, message, &message.body);
    if let Some(flaw) = &message.flaw {
        line(out, &format!("    ! {flaw}"));
    }
}

fn fields(out: &mut String, words: Words, message: &Message, fields: &[Field]) {
    let mut rest = fields.iter().peekable();
    while let Some(field) = rest.next() {
        let is_boring = matches!(field.value, Seen::Value(Value::Tags(0)));
        if is_boring && !words.style.bytes {
            continue;
        }
        let name = match field.label {
            Label::Name(name) => name.to_owned(),
            Label::Index(index) => format!("[{index}]"),
            Label::Tag(tag) => format!("tag {tag}"),
        };
        let indent = "  ".repeat(field.depth);
        let said = match &field.value {
            Seen::Struct => format!("{name}:"),
            Seen::Array(0) => format!("{name}: []"),
            // Plain values fit on the line of their array.
            Seen::Array(count)
                if !words.style.bytes
                    && rest.peek().is_some_and(|next| matches!(next.value, Seen::Value(_))) =>
            {
                let values = (0..*count).filter_map(|_| Some(words.value(rest.next()?)));
                format!("{name}: [{}]", values.collect::<Vec<_>>().join(", "))
            }
            Seen::Array(count) => format!("{name}: {count}"),
            Seen::Value(_) => format!("{name}: {}", words.value(field)),
        };
        if words.style.bytes {
            line(out, &with_bytes(message, field, &format!("{indent}{said}")));
        } else {
            line(out, &format!("    {indent}{said}"));
        }
        if let Seen::Value(Value::Records(records)) = field.value {
            for batch in words.batches(records) {
                line(out, &format!("    {indent}  {batch}"));
            }
        }
    }
}

/// The line with its place in the frame in front and what the field is for behind.
fn with_bytes(message: &Message, field: &Field, said: &str) -> String {
    let bytes = &message.frame[field.at.clone()];
    let mut hex = String::new();
    for byte in bytes.iter().take(HEX_WIDTH) {
        let _ = write!(hex, "{byte:02x} ");
    }
    if bytes.len() > HEX_WIDTH {
        hex.push('…');
    }
    let about = match field.label {
        Label::Name(name) => {
            about::field(message.name, name).map_or(String::new(), |about| format!("   # {about}"))
        }
        _ => String::new(),
    };
    let range = format!("{}..{}", field.at.start, field.at.end);
    format!("{range:>11}  {hex:<26}{said}{about}")
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}
