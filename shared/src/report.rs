//! What the labs print: data to stdout, everything about it to stderr, colours only where a person looks.

use anstream::ColorChoice;
use owo_colors::OwoColorize;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, Write};

/// Settles how this process prints: `--plain` means ASCII without colours; else colours appear at a terminal, unless
/// `NO_COLOR` is set.
pub fn start(plain: bool) {
    if plain {
        ColorChoice::Never.write_global();
    }
}

/// Prints a line of data to stdout.
///
/// # Errors
/// When nobody reads it any more (`… | head -1`): the program may end.
pub fn data(line: impl Display) -> io::Result<()> {
    let mut stdout = anstream::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

/// Prints a line for the person at the terminal to stderr.
pub fn note(line: impl Display) {
    // There is nowhere left to complain to.
    let _ = writeln!(anstream::stderr(), "{line}");
}

/// The arrow of `u1 click 10 → lab1[2]@0`.
pub fn arrow(plain: bool) -> &'static str {
    if plain { "->" } else { "→" }
}

/// `lab1[2]@0`: a record's place, in the notation of Kafka's tools and logs.
pub fn place(topic: &str, partition: i32, offset: i64) -> String {
    format!("{topic}[{partition}]@{offset}").bold().to_string()
}

/// Words that should not be overlooked.
pub fn bad(words: &str) -> String {
    words.red().to_string()
}

/// Bytes as a person may see them, for every byte that came from elsewhere. What is no UTF-8 is replaced, and what a
/// terminal would obey is written out: `\u{1b}` for Escape.
pub fn text(bytes: &[u8]) -> String {
    let mut shown = String::new();
    for character in String::from_utf8_lossy(bytes).chars() {
        if is_a_command(character) {
            shown.extend(character.escape_debug());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// JSON as a person may see it: still the same JSON. Writers of JSON write out only what is below the space.
pub fn json(json: &str) -> String {
    let mut shown = String::new();
    for character in json.chars() {
        if is_a_command(character) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Does a terminal obey it, instead of showing it? The control characters, and those that turn the direction of the text.
fn is_a_command(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// `n` of something: `1 message`, `2 messages`.
pub fn count(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Aligned columns, two spaces between them.
pub fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    rows.iter()
        .map(|row| {
            let cells: Vec<String> =
                row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            format!("{}\n", cells.join("  ").trim_end())
        })
        .collect()
}

/// How many records each partition got, and the offsets of the first and the last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Partitions(BTreeMap<i32, Span>);

/// What one partition got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// How many records.
    pub records: u64,
    /// The lowest offset among them.
    pub first: i64,
    /// The highest offset among them.
    pub last: i64,
}

impl Partitions {
    /// Counts one record.
    pub fn add(&mut self, partition: i32, offset: i64) {
        let span =
            self.0.entry(partition).or_insert(Span { records: 0, first: offset, last: offset });
        span.records += 1;
        span.first = span.first.min(offset);
        span.last = span.last.max(offset);
    }

    /// Records in all partitions together.
    pub fn records(&self) -> u64 {
        self.0.values().map(|span| span.records).sum()
    }

    /// By partition, in order.
    pub fn iter(&self) -> impl Iterator<Item = (i32, Span)> {
        self.0.iter().map(|(partition, span)| (*partition, *span))
    }

    /// One line per partition: `  lab1[0]  2 messages, offsets 0 to 1`.
    pub fn lines(&self, topic: &str) -> String {
        self.iter()
            .map(|(partition, Span { records, first, last })| {
                let offsets = if first == last {
                    format!("offset {first}")
                } else {
                    format!("offsets {first} to {last}")
                };
                format!("  {topic}[{partition}]  {}, {offsets}\n", count(records, "message"))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_counted_apart() {
        let mut partitions = Partitions::default();
        for (partition, offset) in [(2, 7), (0, 3), (2, 8)] {
            partitions.add(partition, offset);
        }
        assert_eq!(partitions.records(), 3);
        assert_eq!(
            partitions.lines("lab1"),
            "  lab1[0]  1 message, offset 3\n  lab1[2]  2 messages, offsets 7 to 8\n"
        );
    }

    #[test]
    fn no_byte_from_elsewhere_moves_the_cursor() {
        assert_eq!(text("a\u{1b}[2J\r\n\tz".as_bytes()), r"a\u{1b}[2J\r\n\tz");
        assert_eq!(text(b"\xff\x9b31m"), "\u{fffd}\u{fffd}31m");
        assert_eq!(text("\u{9b}31m \u{7f} \u{202e}lo".as_bytes()), r"\u{9b}31m \u{7f} \u{202e}lo");
        assert_eq!(text("é 🟣 東京".as_bytes()), "é 🟣 東京");
        assert_eq!(json("{\"a\":\"\u{9b}é\"}"), "{\"a\":\"\\u009bé\"}");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a", "bb", ""], ["ccc", "d", "e"]].map(|row| row.map(str::to_owned));
        assert_eq!(columns(&rows), "a    bb\nccc  d   e\n");
    }
}
