//! Events as lines: frames with their bytes and names, checks with their verdict.

use crate::batch::hex;
use crate::story::{Check, Event};
use crate::wire::{Field, Frame};
use owo_colors::OwoColorize;
use std::fmt::Write as _;

/// How many bytes stand on a line.
const ROW: usize = 8;
/// How many bytes of one field are shown.
const LONG: usize = 48;

/// How much, and how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// ASCII only.
    pub plain: bool,
    /// Every field and every byte.
    pub all: bool,
    /// No bytes at all, only what was sent and received.
    pub brief: bool,
}

/// The event as a person reads it.
pub fn event(event: &Event, style: Style) -> String {
    match event {
        Event::Say(sentence) => format!("\n{sentence}"),
        Event::Built(frame) => listing("", frame, style),
        Event::Sent(frame) => listing(sent(style.plain), frame, style),
        Event::Received(frame) => listing(received(style.plain), frame, style),
        Event::Checked(Check { passed: true, sentence }) => {
            format!("{}     {sentence}", "ok".green())
        }
        Event::Checked(Check { passed: false, sentence }) => {
            format!("{} {sentence}", "FAILED".red())
        }
    }
}

pub fn sent(plain: bool) -> &'static str {
    if plain { "-> " } else { "→ " }
}

pub fn received(plain: bool) -> &'static str {
    if plain { "<- " } else { "← " }
}

/// Offset, bytes, field, value, meaning.
pub fn listing(arrow: &str, frame: &Frame, style: Style) -> String {
    let mut text = format!("\n{arrow}{}, {} bytes", frame.title, frame.bytes.len());
    if style.brief {
        return text.trim_start().to_owned();
    }
    let mut left_out = 0;
    for field in &frame.fields {
        if field.minor && !style.all {
            left_out += 1;
            continue;
        }
        more(&mut text, &mut left_out);
        text.push('\n');
        text.push_str(&lines(frame, field, style));
    }
    more(&mut text, &mut left_out);
    // What nobody gave a name to: the decoder stopped before it.
    let named = frame.fields.last().map_or(0, |field| field.range.end);
    if named < frame.bytes.len() {
        let rest = Field {
            range: named..frame.bytes.len(),
            name: "(not read)".into(),
            value: String::new(),
            meaning: "",
            depth: 0,
            minor: false,
        };
        text.push('\n');
        text.push_str(&lines(frame, &rest, style));
    }
    text
}

fn more(text: &mut String, left_out: &mut usize) {
    if *left_out > 0 {
        let _ = write!(text, "\n        ... {left_out} more like these: --all shows them");
        *left_out = 0;
    }
}

fn lines(frame: &Frame, field: &Field, style: Style) -> String {
    let bytes = &frame.bytes[field.range.clone()];
    let mut what = "  ".repeat(field.depth) + &field.name;
    if !field.value.is_empty() {
        let _ = write!(what, "{}{}", if field.name.is_empty() { "" } else { ": " }, field.value);
    }
    if !field.meaning.is_empty() {
        let comment = format!("  # {}", field.meaning);
        let _ = write!(what, "{}", comment.dimmed());
    }
    if bytes.is_empty() {
        return format!("  {:29}  {what}", "").trim_end().to_owned();
    }
    let shown = if style.all || bytes.len() <= LONG { bytes } else { &bytes[..2 * ROW] };
    let mut rows: Vec<String> = shown
        .chunks(ROW)
        .enumerate()
        .map(|(n, row)| {
            let what = if n == 0 { what.as_str() } else { "" };
            let at = field.range.start + n * ROW;
            format!("  {at:04x}  {:23}  {what}", hex(row)).trim_end().to_owned()
        })
        .collect();
    if shown.len() < bytes.len() {
        rows.push(format!("        ... {} more bytes", bytes.len() - shown.len()));
    }
    rows.join("\n")
}
