//! An exchange as indented lines.

use std::{collections::HashMap, fmt::Write, net::SocketAddr};

use super::{
    Message, Shown, Style,
    listing::{Field, Label, Seen, Value},
    places::{self, Place},
    records::{self, Budget, Part},
    words::{self, Words},
};

/// How many bytes of a field are shown in hexadecimal beside it.
const HEX_WIDTH: usize = 8;
/// The longest line that a struct may take as a whole.
const LINE_WIDTH: usize = 160;

/// Lines, and whether everything in them fits.
pub(super) struct Page {
    pub(super) text: String,
    pub(super) fits: bool,
}

/// The request and its answer.
pub(super) fn exchange(shown: &Shown) -> String {
    let Shown { connection, remote, request, took, .. } = shown;
    let client = request.string("client_id").unwrap_or_default();
    let client = words::quote(client, shown.words.style.limit);
    let software =
        shown.software.map_or(String::new(), |(name, version)| format!(" ({name} {version})"));
    let title = |arrow: &str, message: &Message| {
        let correlation_id = message.int("correlation_id").unwrap_or_default();
        let Message { api, version, .. } = message;
        let len = message.len();
        format!(
            "#{connection} {arrow} {api} v{version}, correlation id {correlation_id}, {len} bytes"
        )
    };
    let mut page = Page::new();
    page.line(&format!("{} from {remote}, client {client}{software}", title("→", request)));
    page.message(shown.words, request);
    match shown.answer {
        Some(answer) => {
            let micros = took.as_micros();
            page.line(&format!(
                "{} after {}.{:03} ms",
                title("←", answer),
                micros / 1000,
                micros % 1000
            ));
            page.message(shown.words, answer);
        }
        None => {
            let outcome = match shown.ended {
                Some(reason) => format!("the connection ends: {reason}"),
                None => "no answer, as the request wants".to_owned(),
            };
            page.line(&format!("#{connection} ← {outcome}"));
        }
    }
    page.text
}

/// Bytes that are no request of an API that is served.
pub(super) fn unreadable(
    connection: u64,
    remote: SocketAddr,
    bytes: usize,
    reason: &str,
) -> String {
    format!(
        "#{connection} → {bytes} bytes from {remote}\n#{connection} ← the connection ends: {reason}\n"
    )
}

impl Page {
    pub(super) fn new() -> Self {
        Self { text: String::new(), fits: true }
    }

    /// One frame alone, with every byte of it.
    pub(super) fn frame(&mut self, shown: &Message) {
        self.line(&format!("{} version {}, {} bytes", shown.name, shown.version, shown.len()));
        let style = Style { bytes: true, ..Style::default() };
        self.message(Words { topics: &HashMap::new(), style }, shown);
    }

    /// The fields of one message, and what is wrong with it.
    fn message(&mut self, words: Words, message: &Message) {
        if words.style.bytes {
            for place in places::of(words, message) {
                self.place(message, &place);
            }
        } else {
            let mut tree = Tree { page: self, words, budget: Budget::new(words.style.limit) };
            tree.fields(&mut message.body.as_slice(), 0);
        }
        if let Some(flaw) = &message.flaw {
            self.flaw(flaw);
        }
    }

    /// A line with its place in the frame in front and what it is for behind.
    fn place(&mut self, message: &Message, place: &Place) {
        let Place { depth, name, at, said, about, is_flaw } = place;
        let mut hex = String::new();
        let bytes = at.clone().and_then(|at| message.frame.get(at)).unwrap_or_default();
        for byte in bytes.iter().take(HEX_WIDTH) {
            let _ = write!(hex, "{byte:02x} ");
        }
        if bytes.len() > HEX_WIDTH {
            hex.push('…');
        }
        let range = at.as_ref().map_or(String::new(), |at| format!("{}..{}", at.start, at.end));
        let indent = "  ".repeat(*depth);
        let colon = if name.is_empty() { "" } else { ":" };
        let blank = if name.is_empty() || said.is_empty() { "" } else { " " };
        let about = about.map_or(String::new(), |about| format!("   # {about}"));
        let mark = if *is_flaw { "! " } else { "" };
        self.fits &= !is_flaw;
        self.line(&format!(
            "{range:>11}  {hex:<26}{indent}{mark}{name}{colon}{blank}{said}{about}"
        ));
    }

    pub(super) fn flaw(&mut self, flaw: &str) {
        self.fits = false;
        self.line(&format!("    ! {flaw}"));
    }

    pub(super) fn line(&mut self, text: &str) {
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }
}

/// The fields without their bytes.
struct Tree<'a> {
    page: &'a mut Page,
    words: Words<'a>,
    budget: Budget,
}

impl Tree<'_> {
    /// Takes fields off the front and writes them: those at `depth`, with all that is deeper.
    fn fields(&mut self, fields: &mut &[Field], depth: usize) {
        while let Some((field, rest)) =
            fields.split_first().filter(|(field, _)| field.depth == depth)
        {
            *fields = rest;
            if is_boring(field) {
                continue;
            }
            let inner = inner(rest, depth);
            let indent = "  ".repeat(depth + 2);
            let flat = flat(self.words, field, inner).filter(|line| {
                inner.is_empty() || indent.len() + line.chars().count() <= LINE_WIDTH
            });
            if let Some(line) = flat {
                *fields = &rest[inner.len()..];
                self.page.line(&format!("{indent}{line}"));
                self.records(field, &indent);
                continue;
            }
            let count = match field.value {
                Seen::Array(count) => format!(" {count}"),
                Seen::Struct | Seen::Value(_) => String::new(),
            };
            self.page.line(&format!("{indent}{}:{count}", name(field)));
            self.fields(fields, depth + 1);
        }
    }

    fn records(&mut self, field: &Field, indent: &str) {
        let Seen::Value(Value::Records(bytes)) = field.value else { return };
        for part in records::parts(bytes) {
            let said = match &part {
                Part::Batch(batch) => format!("batch {}", words::batch(batch)),
                Part::CutOff(len) => format!("{len} bytes of a batch that is cut off"),
                Part::NoBatch(len, code) => {
                    format!("{len} bytes that are no record batch ({code})")
                }
            };
            self.page.line(&format!("{indent}  {said}"));
            let Part::Batch(batch) = part else { continue };
            let (records, rest) = records::read(&batch, &mut self.budget);
            for record in records {
                let said = words::record(&record, self.words.style.limit);
                self.page.line(&format!("{indent}    {}: {said}", record.offset));
            }
            if let Some(rest) = rest {
                self.page.line(&format!("{indent}    … {rest}"));
            }
        }
    }
}

fn name(field: &Field) -> String {
    match field.label {
        Label::Name(name) => name.to_owned(),
        Label::Index(index) => format!("[{index}]"),
        Label::Tag(tag) => format!("tag {tag}"),
    }
}

fn is_boring(field: &Field) -> bool {
    matches!(field.value, Seen::Value(Value::Tags(0)))
}

/// The fields that are inside of one at this depth.
fn inner<'f, 'a>(rest: &'f [Field<'a>], depth: usize) -> &'f [Field<'a>] {
    let end = rest.iter().position(|field| field.depth <= depth).unwrap_or(rest.len());
    &rest[..end]
}

/// A field in one line, if what is inside of it consists of plain values.
fn flat(words: Words, field: &Field, inner: &[Field]) -> Option<String> {
    let said = match field.value {
        Seen::Value(_) => words.value(field),
        Seen::Array(_) => {
            let is_plain = |field: &&Field| matches!(field.value, Seen::Value(_));
            inner.iter().all(|field| is_plain(&field)).then_some(())?;
            let values: Vec<String> = inner.iter().map(|field| words.value(field)).collect();
            format!("[{}]", values.join(", "))
        }
        Seen::Struct => {
            let mut parts = Vec::new();
            let mut rest = inner;
            while let Some((field, after)) = rest.split_first() {
                let inner = self::inner(after, field.depth);
                rest = &after[inner.len()..];
                if is_boring(field) {
                    continue;
                }
                let is_deep = matches!(field.value, Seen::Struct)
                    || matches!(field.value, Seen::Value(Value::Records(_)));
                (!is_deep).then_some(())?;
                parts.push(flat(words, field, inner)?);
            }
            format!("{{{}}}", parts.join(", "))
        }
    };
    Some(format!("{}: {said}", name(field)))
}
