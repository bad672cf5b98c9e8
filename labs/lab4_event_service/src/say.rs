//! Lines that may hold bytes of a record. A record comes from anybody, so no byte of it reaches a terminal unescaped.

use shared::report;
use std::fmt::Display;
use std::io;

/// Prints a line of data.
pub fn data(line: impl Display) -> io::Result<()> {
    report::data(escaped(line))
}

/// Prints a line for the person at the terminal.
pub fn note(line: impl Display) {
    report::note(escaped(line));
}

/// One line without control characters.
pub fn escaped(text: impl Display) -> String {
    report::text(text.to_string().as_bytes())
}
