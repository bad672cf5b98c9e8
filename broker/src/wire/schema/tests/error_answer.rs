//! Any request can be answered with an error code, and the answer repeats what the client needs to know it by.

use std::ops::Range;

use bytes::BytesMut;

use super::*;

const CODE: i16 = 42;
/// What `richly` fills strings with.
const TEXT: &str = "日本語";

fn error_answer(api: &ApiSchema, version: i16, request: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    write_error(&mut out, api.key, version, request, CODE).unwrap();
    out.to_vec()
}

/// The names and values of an answer, with their depth.
#[derive(Default)]
struct Seen<'a> {
    depth: usize,
    values: Vec<(usize, &'static str, Value<'a>)>,
}

impl<'a> Visitor<'a> for Seen<'a> {
    fn value(&mut self, label: Label, _at: Range<usize>, value: Value<'a>) {
        if let Label::Name(name) = label {
            self.values.push((self.depth, name, value));
        }
    }

    fn open(&mut self, _: Label, _: Range<usize>, _: Group) {
        self.depth += 1;
    }

    fn close(&mut self) {
        self.depth -= 1;
    }
}

#[test]
fn every_request_can_be_answered_with_an_error() {
    for api in table::APIS {
        for version in api.request.first..=api.request.last {
            let request = fill(&api.request, version, &mut richly());
            let answer = error_answer(api, version, &request);
            let name = api.response.name;
            let again = codec::decode_and_encode(Side::Response, api.key, version, &answer);
            assert_eq!(again.as_deref(), Ok(&answer[..]), "{name} version {version}");

            let mut seen = Seen::default();
            walk(&api.response, version, &answer, &mut seen).unwrap();
            let codes = seen.values.iter().filter(|(_, name, _)| *name == "error_code");
            let codes: Vec<_> = codes.map(|(_, _, value)| *value).collect();
            assert!(codes.iter().all(|code| *code == Value::Int(CODE.into())), "{name} {version}");
            if crate::api::APIS.iter().any(|served| served.key as i16 == api.key) {
                assert!(!codes.is_empty(), "{name} version {version} tells no error");
            }
        }
    }
}

/// An element of an answer belongs to one of the request: a client looks it up by its name and index.
#[test]
fn elements_are_named_as_in_the_request() {
    const NAMES: [&str; 6] = ["name", "topic", "group_id", "key", "resource_name", "member_id"];
    const INDEXES: [&str; 3] = ["partition_index", "partition", "index"];
    for served in crate::api::APIS {
        let api = api(served.key as i16).unwrap();
        for version in served.min..=served.max {
            let request = fill(&api.request, version, &mut richly());
            let answer = error_answer(api, version, &request);
            let mut seen = Seen::default();
            walk(&api.response, version, &answer, &mut seen).unwrap();
            for (_, name, value) in seen.values.into_iter().filter(|(depth, ..)| *depth > 0) {
                let context = format!("{} version {version}: {name}", api.response.name);
                if NAMES.contains(&name) {
                    assert_eq!(value, Value::String(TEXT), "{context}");
                } else if INDEXES.contains(&name) {
                    assert_ne!(value, Value::Int(0), "{context}");
                } else if name == "topic_id" && served.name != "CreateTopics" {
                    assert!(matches!(value, Value::Uuid(id) if !id.is_nil()), "{context}");
                }
            }
        }
    }
}

#[test]
fn what_is_cut_off_is_not_answered() {
    let api = api(3).unwrap();
    let request = fill(&api.request, 1, &mut richly());
    let mut out = BytesMut::new();
    assert!(write_error(&mut out, 3, 1, &request[..request.len() - 1], CODE).is_err());
}
