//! Messages as text, for the scripts.

use std::error::Error;
use std::fmt::Write;
use std::ops::Range;
use std::path::Path;

use goldenscript::{Command, Context, Runner};

use super::super::*;

pub(super) fn run_script(path: &Path) {
    goldenscript::run(&mut Lister, path).unwrap();
}

/// `request NAME version=N HEX` (or `response`) lists the fields of a body, `message NAME …` those of a message without
/// an API key, and `header HEX` shows what is read in front of a request.
struct Lister;

impl Runner for Lister {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Result<String, Box<dyn Error>> {
        let mut args = command.consume_args();
        let version = args.take_key("version").map(str::parse).transpose()?.unwrap_or(0);
        let message = match command.name.as_str() {
            "header" => {
                let frame = from_hex(args.next_pos().ok_or("the bytes are missing")?)?;
                return Ok(format!("{:?}", parse_header(&frame)?));
            }
            "message" => match args.next_pos() {
                Some("RequestHeader") => table::REQUEST_HEADER,
                Some("ResponseHeader") => table::RESPONSE_HEADER,
                Some("ConsumerProtocolSubscription") => table::CONSUMER_PROTOCOL_SUBSCRIPTION,
                Some("ConsumerProtocolAssignment") => table::CONSUMER_PROTOCOL_ASSIGNMENT,
                other => return Err(format!("no message {other:?}").into()),
            },
            side => {
                let name = args.next_pos().ok_or("the name is missing")?;
                let request = format!("{name}Request");
                let api = table::APIS.iter().find(|api| api.request.name == request);
                let api = api.ok_or_else(|| format!("no API {name}"))?;
                if side == "request" { api.request } else { api.response }
            }
        };
        let bytes = from_hex(args.next_pos().ok_or("the bytes are missing")?)?;
        args.reject_next()?;
        let mut listing = Listing::default();
        let result = walk(&message, version, &bytes, &mut listing);
        if let Err(error) = &result {
            writeln!(listing.out, "{error}")?;
        }
        Ok(listing.out)
    }
}

#[derive(Default)]
struct Listing {
    out: String,
    depth: usize,
}

impl Listing {
    fn line(&mut self, label: Label, at: Range<usize>, what: &str) {
        let label = match label {
            Label::Name(name) => name.to_owned(),
            Label::Index(index) => format!("[{index}]"),
            Label::Tag(tag) => format!("tag {tag}"),
        };
        let range = format!("{}..{}", at.start, at.end);
        writeln!(self.out, "{range:8} {:indent$}{label}: {what}", "", indent = 2 * self.depth)
            .unwrap();
    }
}

impl Visitor<'_> for Listing {
    fn value(&mut self, label: Label, at: Range<usize>, value: Value<'_>) {
        self.line(label, at, &format!("{value:?}"));
    }

    fn open(&mut self, label: Label, at: Range<usize>, group: Group) {
        self.line(label, at, &format!("{group:?}"));
        self.depth += 1;
    }

    fn close(&mut self) {
        self.depth -= 1;
    }
}

fn from_hex(text: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let bytes = (0..digits.len()).step_by(2).map(|i| {
        let byte = digits.get(i..i + 2).ok_or("an odd number of hex digits")?;
        Ok(u8::from_str_radix(byte, 16)?)
    });
    bytes.collect()
}
