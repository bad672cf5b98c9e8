//! Does our trace read the same out of the same bytes as Wireshark's Kafka dissector?
//!
//! `trace/wireshark/kcat.pcap` holds what kcat and this broker said to each other, recorded by `trace/wireshark/record.sh`.
//! Where `tshark` is installed it reads the capture anew; elsewhere what it read is taken from
//! `trace/wireshark/fields`, which `UPDATE=1 cargo test -p mini-kafka --test trace_wireshark` writes.
//!
//! Every field that both know must lie at the same bytes, under a name that means the same, with the same value.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::{fmt::Write as _, fs, path::PathBuf, process::Command};

use serde_json::Value;

/// Wireshark's names and ours. The others are for what Wireshark computes itself.
const NAMES: &[(&str, &[&str])] = &[
    ("api_key", &["request_api_key"]),
    ("api_version", &["request_api_version"]),
    ("correlation_id", &["correlation_id"]),
    ("client_id", &["client_id"]),
    ("client_software_name", &["client_software_name"]),
    ("client_software_version", &["client_software_version"]),
    ("api_versions.api_key", &["api_key"]),
    ("api_versions.min_version", &["min_version"]),
    ("api_versions.max_version", &["max_version"]),
    ("throttle_time", &["throttle_time_ms"]),
    ("error", &["error_code"]),
    ("cluster_id", &["cluster_id"]),
    ("host", &["host"]),
    ("port", &["port"]),
    ("node_id", &["node_id", "controller_id"]),
    ("topic_name", &["name", "topic"]),
    ("is_internal", &["is_internal"]),
    ("allow_auto_topic_creation", &["allow_auto_topic_creation"]),
    ("leader_id", &["leader_id"]),
    ("transactional_id", &["transactional_id"]),
    ("required_acks", &["acks"]),
    ("timeout", &["timeout_ms"]),
    ("consumer_group", &["group_id"]),
    ("coordinator_key", &["key"]),
    ("coordinator_type", &["key_type"]),
    ("session_timeout", &["session_timeout_ms"]),
    ("rebalance_timeout", &["rebalance_timeout_ms"]),
    ("generation_id", &["generation_id", "generation_id_or_member_epoch"]),
    ("group_leader_id", &["leader"]),
    ("member_id", &["member_id"]),
    ("consumer_group_instance", &["group_instance_id"]),
    ("protocol_type", &["protocol_type"]),
    ("protocol_name", &["protocol_name", "name"]),
    ("max_wait_time", &["max_wait_ms"]),
    ("min_bytes", &["min_bytes"]),
    ("max_bytes", &["max_bytes", "partition_max_bytes"]),
    ("isolation_level", &["isolation_level"]),
    ("fetch_session_id", &["session_id"]),
    ("fetch_session_epoch", &["session_epoch"]),
    ("partition_id", &["partition_index", "partition", "index", "[0]"]),
    (
        "leader_epoch",
        &[
            "leader_epoch",
            "current_leader_epoch",
            "committed_leader_epoch",
            "partition_leader_epoch",
        ],
    ),
    (
        "offset",
        &[
            "base_offset",
            "fetch_offset",
            "high_watermark",
            "committed_offset",
            "offset",
            "offset_delta",
        ],
    ),
    ("last_stable_offset", &["last_stable_offset"]),
    ("log_start_offset", &["log_start_offset"]),
    ("message_magic", &["magic"]),
    ("batch_crc", &["crc"]),
    ("batch_last_offset_delta", &["last_offset_delta"]),
    ("producer_id", &["producer_id"]),
    ("producer_epoch", &["producer_epoch"]),
    ("batch_base_sequence", &["base_sequence"]),
    ("batch_size", &["record_count"]),
    ("record_attributes", &["attributes"]),
];

#[test]
fn wireshark_reads_the_same() {
    let recorded = folder().join("fields");
    let theirs = match wireshark() {
        Some(read) => {
            if std::env::var_os("UPDATE").is_some() {
                fs::write(&recorded, &read).unwrap();
            }
            read
        }
        None => fs::read_to_string(&recorded).unwrap(),
    };
    let (mut compared, mut problems) = (0, String::new());
    let mut ours = Vec::new();
    for line in theirs.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        if let ["frame", api, answer_to, hex] = words[..] {
            ours = fields(&bytes(hex), api, answer_to);
            continue;
        }
        let [start, end, name, value] = words[..] else { panic!("{line:?} is no field") };
        let Some((_, names)) = NAMES.iter().find(|(theirs, _)| *theirs == name) else { continue };
        let range = format!("{start}..{end}");
        let Some((_, our_name, our_value)) = ours.iter().find(|(at, ..)| *at == range) else {
            // The records of a batch are one field to us.
            let at: usize = start.parse().unwrap();
            let is_in_batch = ours.iter().any(|(range, name, _)| {
                let (from, to) = range.split_once("..").unwrap();
                name == "records" && (from.parse().unwrap()..to.parse().unwrap()).contains(&at)
            });
            if !is_in_batch {
                writeln!(problems, "{name} at {range} is {value}, and nothing to us").unwrap();
            }
            continue;
        };
        compared += 1;
        if !names.contains(&our_name.as_str()) || !is_same(our_value, value) {
            writeln!(problems, "{name} at {range} is {value}, to us {our_name}: {our_value}")
                .unwrap();
        }
    }
    assert!(problems.is_empty(), "\n{problems}");
    assert!(compared > 400, "only {compared} fields were compared");
}

/// Both say the same, each in its own way.
fn is_same(ours: &str, theirs: &str) -> bool {
    let ours = match ours {
        "null" => "[ Null ]",
        "true" => "1",
        "false" => "0",
        quoted if quoted.starts_with('"') => quoted.trim_matches('"'),
        // A number may be followed by its meaning, as in `79 MEMBER_ID_REQUIRED`.
        number => number.split(' ').next().unwrap(),
    };
    let theirs = theirs
        .strip_prefix("0x")
        .and_then(|hex| u32::from_str_radix(hex, 16).ok())
        .map_or_else(|| theirs.to_owned(), |number| number.to_string());
    ours == theirs
}

/// What `decode` says of a frame: range, name and value of each field.
fn fields(frame: &[u8], api: &str, answer_to: &str) -> Vec<(String, String, String)> {
    let answers = (answer_to != "-").then(|| (api, answer_to.parse().unwrap()));
    let explained = mini_kafka::decode(frame, answers).unwrap();
    assert!(explained.fits(), "{explained}");
    let explained = explained.to_string();
    let lines = explained.lines().filter_map(|line| {
        let (range, rest) = line.trim_start().split_once("  ")?;
        range.contains("..").then_some(())?;
        let rest = rest.split("   # ").next()?;
        // Behind the bytes.
        let said = rest.get(rest.char_indices().nth(26)?.0..)?.trim();
        let (name, value) = said.split_once(": ")?;
        Some((range.to_owned(), name.to_owned(), value.to_owned()))
    });
    lines.collect()
}

/// What Wireshark reads: a line for each frame, and below it one for each field. `None` without tshark.
fn wireshark() -> Option<String> {
    let output = Command::new("tshark")
        .arg("-r")
        .arg(folder().join("kcat.pcap"))
        .args(["-d", "tcp.port==9496,kafka", "-Y", "kafka"])
        .args(["-T", "json", "-x", "-J", "kafka", "--no-duplicate-keys"])
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let packets: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let mut text = String::new();
    for packet in &packets {
        let layers = &packet["_source"]["layers"];
        let (Some(hex), Some(begin)) =
            (layers["kafka_raw"][0].as_str(), layers["kafka_raw"][1].as_u64())
        else {
            panic!("a packet with more than one frame: {layers}")
        };
        let kafka = &layers["kafka"];
        let key: i16 = kafka["kafka.api_key"].as_str().unwrap().parse().unwrap();
        let api = mini_kafka::apis().into_iter().find(|api| api.key == key).unwrap().name;
        let answer_to = kafka["kafka.response.version"].as_str().unwrap_or("-");
        // Positions count from the packet; ours from behind the four bytes of length.
        writeln!(text, "frame {api} {answer_to} {}", &hex[8..]).unwrap();
        let mut found = Vec::new();
        collect(kafka, begin + 4, &mut found);
        found.sort();
        for (start, end, name, value) in found {
            writeln!(text, "{start} {end} {name} {value}").unwrap();
        }
    }
    Some(text)
}

/// The fields of a tree that lie somewhere in the packet.
fn collect(tree: &Value, begin: u64, found: &mut Vec<(u64, u64, String, String)>) {
    match tree {
        Value::Object(fields) => {
            for (name, value) in fields {
                let raw = &fields.get(&format!("{name}_raw"));
                let (Some(short), Some(raw)) = (name.strip_prefix("kafka."), raw) else {
                    collect(value, begin, found);
                    continue;
                };
                let single = value.is_string();
                let values = if single {
                    std::slice::from_ref(value)
                } else {
                    value.as_array().map_or(&[][..], Vec::as_slice)
                };
                for (index, value) in values.iter().enumerate() {
                    let raw = if single { raw } else { &raw[index] };
                    let (Some(value), Some(start), Some(length)) =
                        (value.as_str(), raw[1].as_u64(), raw[2].as_u64())
                    else {
                        continue;
                    };
                    let Some(start) = start.checked_sub(begin) else { continue };
                    // A subtree that is named like a field has no value and more bytes than an empty string.
                    if length > 0 && !(value.is_empty() && length > 2) {
                        found.push((start, start + length, short.to_owned(), value.to_owned()));
                    }
                }
            }
        }
        Value::Array(elements) => {
            elements.iter().for_each(|element| collect(element, begin, found));
        }
        _ => {}
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/trace/wireshark"))
}
