//! Stage 1: which APIs does the broker serve, and in which versions?
//!
//! The first question of every client. Its bytes are in [`exercise`](crate::exercise): a length, a header, and no body.

use crate::Lab;
use crate::batch::hex;
use crate::connection::{Connection, Header};
use crate::errors;
use crate::story::Event;
use crate::wire::{Decoder, Encoder, Frame};
use std::time::Duration;

pub const KEY: i16 = 18;

/// What this lab sends: key, name, version.
const USED: [(i16, &str, i16); 10] = [
    (0, "Produce", 8),
    (1, "Fetch", 10),
    (3, "Metadata", 9),
    (10, "FindCoordinator", 2),
    (11, "JoinGroup", 4),
    (12, "Heartbeat", 2),
    (13, "LeaveGroup", 2),
    (14, "SyncGroup", 2),
    (18, "ApiVersions", 0),
    (22, "InitProducerId", 1),
];

/// Long enough for any broker, and short enough for a reader who made a mistake.
const PATIENCE: Duration = Duration::from_secs(3);

/// The versions of an API that a broker serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    pub key: i16,
    pub min: i16,
    pub max: i16,
}

pub async fn run(lab: &mut Lab) -> anyhow::Result<()> {
    let mut to = Connection::open(lab.config.bootstrap_servers()).await?;
    lab.story.say(format!(
        "Connected to {} by TCP. A broker sends nothing until it gets a request.",
        to.peer
    ));

    let right = Encoder::request("ApiVersions version 0", KEY, 0, 1, "lab5").finish();
    let mine = lab.exercise.api_versions;
    lab.story.check_faults(
        differences(&right, mine),
        format!("your {} bytes are a request that a broker can read", mine.len()),
    );

    let request = Frame { bytes: mine.to_vec(), fields: fitting(&right, mine.len()), ..right };
    let (error, served) = lab.ask(&mut to, request, Header::Classic, PATIENCE, parse).await?;
    // `ask` has compared it; here is the answer to the question of `predict 1`.
    let answer = lab.story.events.iter().rev().find_map(|event| match event {
        Event::Received(frame) => frame.bytes.get(4..8),
        _ => None,
    });
    lab.story.observed = Some(match answer {
        Some(bytes) if Some(bytes) == mine.get(8..12) => 'b',
        Some(bytes) if Some(&bytes[..2]) == mine.get(4..6) => 'a',
        _ => 'c',
    });

    lab.story.check(true, "the answer repeats your correlation_id", "");
    lab.story.check(
        error == 0,
        "error_code is 0",
        format!("the broker answers {}", errors::named(error)),
    );
    for (key, name, version) in USED {
        let range = served.iter().find(|served| served.key == key);
        if !range.is_some_and(|served| (served.min..=served.max).contains(&version)) {
            lab.story.check(
                false,
                "",
                format!(
                    "the broker does not serve {name} version {version}, which a later stage needs"
                ),
            );
        }
    }
    lab.story.check(
        !served.is_empty(),
        format!(
            "the broker serves {} APIs, and all that this lab needs are among them",
            served.len()
        ),
        "the list of APIs is empty",
    );
    Ok(())
}

/// The answer in version 0.
pub fn parse(from: &mut Decoder) -> anyhow::Result<(i16, Vec<Served>)> {
    let error = from.error()?;
    let n = from.array("api_keys", "an array: first how many, then each of them")?;
    let mut served = Vec::new();
    for _ in 0..n {
        let before = from.fields();
        let key = from.i16("api_key", "")?;
        let (min, max) = (from.i16("min_version", "")?, from.i16("max_version", "")?);
        let used = USED.iter().find(|(used, _, _)| *used == key);
        let name =
            used.map_or_else(|| format!("api {key}"), |(_, name, _)| format!("api {key} {name}"));
        from.merge(
            before,
            &name,
            format!("{min} to {max}"),
            "api_key, min_version, max_version",
            used.is_none(),
        );
        served.push(Served { key, min, max });
    }
    Ok((error, served))
}

/// Where `mine` is not what it should be: a sentence for each field.
pub fn differences(right: &Frame, mine: &[u8]) -> Vec<String> {
    let mut faults = Vec::new();
    let follow = mine.len().saturating_sub(4);
    if let Some(length) = mine.first_chunk::<4>() {
        let says = u32::from_be_bytes(*length);
        if usize::try_from(says) != Ok(follow) {
            let then = if usize::try_from(says).is_ok_and(|says| says > follow) {
                "The broker waits for the rest."
            } else {
                "The broker takes what is left over for the next request."
            };
            faults.push(format!(
                "bytes 0 to 3, length: {} says {says}, but {follow} bytes follow. {then}",
                hex(length)
            ));
        }
    }
    for field in &right.fields[1..] {
        let range = field.range.clone();
        let wanted = &right.bytes[range.clone()];
        let at = match range.len() {
            1 => format!("byte {}", range.start),
            _ => format!("bytes {} to {}", range.start, range.end - 1),
        };
        let fault = match mine.get(range) {
            Some(found) if found == wanted => continue,
            Some(found) => format!(
                "{at}, {}: {} should be {}, {} ({}).",
                field.name,
                hex(found),
                hex(wanted),
                field.value,
                field.meaning
            ),
            None => format!("{at}, {}: missing.", field.name),
        };
        faults.push(fault);
        if faults.len() > 2 {
            // The fields after these are probably shifted, so more sentences would not help.
            break;
        }
    }
    if faults.is_empty() && mine.len() > right.bytes.len() {
        faults.push(format!("byte {}: nothing should follow.", right.bytes.len()));
    }
    faults
}

/// The names of the fields, as far as the bytes reach.
pub fn fitting(right: &Frame, length: usize) -> Vec<crate::wire::Field> {
    let mut fields: Vec<_> =
        right.fields.iter().filter(|field| field.range.end <= length).cloned().collect();
    let named = fields.last().map_or(0, |field| field.range.end);
    if named < length {
        let range = named..length;
        fields.push(crate::wire::Field {
            range,
            name: "?".into(),
            value: String::new(),
            meaning: "",
            depth: 0,
            minor: false,
        });
    }
    fields
}
