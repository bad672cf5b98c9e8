//! The table, the walker and the codec must agree: what one of them reads, the others read in the same way.

mod codec;
mod error_answer;
pub(crate) mod filled;
mod listing;

use std::ops::Range;

use kafka_protocol::messages::ApiKey;
use proptest::prelude::*;

use self::codec::Side;
use self::filled::{fill, richly, sparingly};
use super::definition::{Field, Kind};
use super::header::Header;
use super::malformed::Flaw;
use super::*;

test_each_file::test_each_path! { in "broker/src/wire/schema/scripts" as scripts => listing::run_script }

/// Every request and response of the table in every version.
fn each_version() -> impl Iterator<Item = (Side, &'static ApiSchema, i16)> {
    table::APIS.iter().flat_map(|api| {
        let versions = api.request.first..=api.request.last;
        versions.flat_map(move |v| [(Side::Request, api, v), (Side::Response, api, v)])
    })
}

fn check(side: Side, api: &ApiSchema, version: i16, bytes: &[u8]) -> Result<(), Malformed> {
    match side {
        Side::Request => walk(&api.request, version, bytes, &mut ()),
        Side::Response => walk(&api.response, version, bytes, &mut ()),
    }
}

/// A body as the codec writes it by default, and one with every field set.
fn samples(side: Side, api: &ApiSchema, version: i16) -> [Vec<u8>; 2] {
    [codec::default_body(side, api.key, version), fill(side.message(api), version, &mut richly())]
}

#[test]
fn table_has_the_codecs_versions() {
    // Vote, BeginQuorumEpoch, and others that only a controller's listener serves.
    let controllers = [52, 53, 54, 56, 58, 59, 62, 63, 67, 70, 73, 82];
    for key in ApiKey::iter() {
        let Some(api) = api(key as i16) else {
            assert!(controllers.contains(&(key as i16)), "{key:?} is not in the table");
            continue;
        };
        let versions = codec::versions(key);
        assert_eq!((api.request.first, api.request.last), versions, "{key:?}");
        assert_eq!((api.response.first, api.response.last), versions, "{key:?}");
        for version in versions.0..=versions.1 {
            let headers =
                (key.request_header_version(version), key.response_header_version(version));
            assert_eq!(
                request_header_version(api.key, version),
                Some(headers.0),
                "{key:?} {version}"
            );
            assert_eq!(
                response_header_version(api.key, version),
                Some(headers.1),
                "{key:?} {version}"
            );
        }
    }
    assert!(table::APIS.is_sorted_by(|a, b| a.key < b.key));
}

#[test]
fn every_array_element_takes_a_byte_at_least() {
    fn check(fields: &[Field], version: i16, flexible: bool) {
        for field in fields.iter().filter(|field| field.exists_in(version)) {
            let (element, inner) = match field.kind {
                Kind::Array(element) => (*element, &[][..]),
                Kind::Struct(inner) | Kind::Structs(inner) => (Kind::Struct(inner), inner),
                _ => continue,
            };
            assert!(element.least(version, flexible) > 0, "{} in version {version}", field.name);
            check(inner, version, flexible);
        }
    }
    for (side, api, version) in each_version() {
        let message = side.message(api);
        check(message.fields, version, message.is_flexible(version));
    }
}

#[test]
fn what_the_codec_writes_is_walked_to_its_last_byte() {
    for (side, api, version) in each_version() {
        let body = codec::default_body(side, api.key, version);
        check(side, api, version, &body).unwrap();
    }
}

#[test]
fn codec_reads_and_writes_filled_messages_as_the_table_does() {
    for (side, api, version) in each_version() {
        let body = fill(side.message(api), version, &mut richly());
        check(side, api, version, &body).unwrap();
        let again = codec::decode_and_encode(side, api.key, version, &body);
        assert_eq!(
            again.as_deref(),
            Ok(&body[..]),
            "{side:?} {} version {version}",
            side.message(api).name
        );
    }
}

#[test]
fn every_byte_is_reported_once() {
    for (side, api, version) in each_version() {
        for body in samples(side, api, version) {
            let mut at = 0;
            for (range, _) in parts(side, api, version, &body) {
                assert_eq!(
                    range.start,
                    at,
                    "{side:?} {} version {version}",
                    side.message(api).name
                );
                at = range.end;
            }
            assert_eq!(at, body.len());
        }
    }
}

#[test]
fn every_cut_is_an_error() {
    for (side, api, version) in each_version() {
        for body in samples(side, api, version) {
            for end in 0..body.len() {
                let error = check(side, api, version, &body[..end]).unwrap_err();
                assert!(
                    matches!(error.flaw(), Flaw::Truncated { .. } | Flaw::Count { .. }),
                    "{side:?} {end}: {error}"
                );
            }
            let mut longer = body;
            longer.push(0);
            let error = check(side, api, version, &longer).unwrap_err();
            assert_eq!(error.flaw(), Flaw::LeftOver(1));
        }
    }
}

#[test]
fn every_inflated_count_is_an_error() {
    const CLASSIC: [[u8; 4]; 2] = [[0x7f, 0xff, 0xff, 0xff], [0x80, 0, 0, 0]];
    const COMPACT: [u8; 5] = [0xff, 0xff, 0xff, 0xff, 0x0f];
    let mut arrays = 0;
    for (side, api, version) in each_version() {
        for body in samples(side, api, version) {
            for (range, part) in parts(side, api, version, &body) {
                let (Part::Array | Part::Tags) = part else { continue };
                arrays += 1;
                let lies: Vec<&[u8]> = match side.message(api).is_flexible(version) {
                    true => vec![&COMPACT],
                    false => CLASSIC.iter().map(|lie| &lie[..]).collect(),
                };
                for lie in lies {
                    let hostile = [&body[..range.start], lie, &body[range.end..]].concat();
                    let error = check(side, api, version, &hostile).unwrap_err();
                    assert!(
                        matches!(
                            error.flaw(),
                            Flaw::Count { .. } | Flaw::NegativeLength(_) | Flaw::Truncated { .. }
                        ),
                        "{error}"
                    );
                }
            }
        }
    }
    assert!(arrays > 1000, "only {arrays} arrays were found");
}

/// The codec reserves memory for the count before it looks for the elements, and the process aborts.
#[test]
fn metadata_v1_with_two_billion_topics_and_no_bytes() {
    let error = check_request(3, 1, &[0x7f, 0xff, 0xff, 0xff]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "MetadataRequest version 1: topics at byte 0: 2147483647 elements take at least 4294967294 bytes, but 0 are left"
    );
}

#[test]
fn unknown_apis_and_versions_are_errors() {
    let error = check_request(52, 0, &[]).unwrap_err();
    assert_eq!(error.to_string(), "API key 52 is not one that this broker knows");
    let error = check_request(8, 10, &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "OffsetCommitRequest version 10: there is no such version, only 2 to 9"
    );
}

#[test]
fn header_is_read_up_to_the_body() {
    let classic = b"\x00\x03\x00\x01\x00\x00\x00\x07\x00\x03abc\x00\x00\x00\x00";
    let header = parse_header(classic).unwrap();
    let expected =
        Header { api_key: 3, api_version: 1, correlation_id: 7, client_id: Some("abc"), body: 13 };
    assert_eq!(header, expected);
    check_request(header.api_key, header.api_version, &classic[header.body..]).unwrap();

    let flexible = b"\x00\x12\x00\x03\x00\x00\x00\x08\xff\xff\x01\x05\x01x\x02a\x021\x00";
    let header = parse_header(flexible).unwrap();
    let expected =
        Header { api_key: 18, api_version: 3, correlation_id: 8, client_id: None, body: 14 };
    assert_eq!(header, expected);
    check_request(header.api_key, header.api_version, &flexible[header.body..]).unwrap();
}

#[test]
fn header_of_an_api_versions_request_from_the_future_is_read() {
    let header = parse_header(b"\x00\x12\x00\x7f\x00\x00\x00\x07\xff\xff\x00\x01\x01\x00").unwrap();
    assert_eq!((header.api_version, header.correlation_id, header.body), (127, 7, 11));
    assert_eq!(response_header_version(18, 127), Some(0));
}

#[test]
fn hostile_headers_are_errors() {
    for frame in [
        &b""[..],
        b"\x00\x03",
        b"\x00\x03\x00\x01\x00\x00\x00\x07",
        b"\x00\x03\x00\x01\x00\x00\x00\x07\x7f\xffabc",
        b"\x00\x03\x00\x01\x00\x00\x00\x07\xff\xfeabc",
        b"\x00\x03\x00\x01\x00\x00\x00\x07\x00\x01\xff",
        b"\x00\x03\x00\x09\x00\x00\x00\x07\x00\x01a",
        b"\x00\x03\x00\x09\x00\x00\x00\x07\x00\x01a\xff\xff\xff\xff\x0f",
        b"\x00\x03\x00\x09\x00\x00\x00\x07\x00\x01a\x01\x00\xff\xff\xff\xff\x0f",
        b"\x00\x5d\x00\x00\x00\x00\x00\x07\x00\x01a",
        b"GET / HTTP/1.1\r\n",
    ] {
        parse_header(frame).unwrap_err();
    }
}

/// What a part of a message is, as far as these tests tell them apart.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    Array,
    Tags,
    Other,
}

fn parts(side: Side, api: &ApiSchema, version: i16, body: &[u8]) -> Vec<(Range<usize>, Part)> {
    struct Parts(Vec<(Range<usize>, Part)>);

    impl Visitor<'_> for Parts {
        fn value(&mut self, _: Label, at: Range<usize>, value: Value<'_>) {
            let part = if matches!(value, Value::Tags(_)) { Part::Tags } else { Part::Other };
            self.0.push((at, part));
        }

        fn open(&mut self, _: Label, at: Range<usize>, group: Group) {
            let part = if matches!(group, Group::Array(_)) { Part::Array } else { Part::Other };
            self.0.push((at, part));
        }
    }

    let mut parts = Parts(Vec::new());
    walk(side.message(api), version, body, &mut parts).unwrap();
    parts.0
}

/// The guard's promise, and its limits: what it refuses as broken, the codec could not have read either.
fn agree(side: Side, api: &ApiSchema, version: i16, body: &[u8]) {
    match check(side, api, version, body) {
        Ok(()) => {
            let written = codec::decode_and_encode(side, api.key, version, body);
            // Fields at their defaults are not written, so only the reading is the same.
            let written = written.unwrap_or_else(|error| {
                panic!(
                    "{side:?} {} version {version}: {error} in {body:02x?}",
                    side.message(api).name
                )
            });
            check(side, api, version, &written).unwrap();
        }
        Err(error) => match error.flaw() {
            // Within a tagged field, the guard minds the field's size and the codec does not.
            Flaw::Truncated { .. } if side.message(api).is_flexible(version) => {}
            Flaw::Truncated { .. } | Flaw::NegativeLength(_) | Flaw::NotUtf8 | Flaw::Tag(_) => {
                codec::decode_and_encode(side, api.key, version, body).unwrap_err();
            }
            // Here the codec would abort, or the guard is stricter by intent.
            _ => {}
        },
    }
}

fn nasty_byte() -> impl Strategy<Value = u8> {
    prop_oneof![any::<u8>(), prop::sample::select(vec![0x00, 0x01, 0x7f, 0x80, 0xff])]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_refused_or_decoded(body in proptest::collection::vec(any::<u8>(), 0..64)) {
        for (side, api, version) in each_version() {
            agree(side, api, version, &body);
        }
        let _ = parse_header(&body);
    }

    #[test]
    fn any_message_is_accepted_and_decoded(choices in proptest::collection::vec(any::<u8>(), 0..200)) {
        for (side, api, version) in each_version() {
            let body = fill(side.message(api), version, &mut sparingly(&choices));
            check(side, api, version, &body).unwrap();
            agree(side, api, version, &body);
        }
    }

    #[test]
    fn any_damaged_message_is_refused_or_decoded(
        choices in proptest::collection::vec(any::<u8>(), 0..200),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), nasty_byte()), 1..4),
    ) {
        for (side, api, version) in each_version() {
            let mut body = fill(side.message(api), version, &mut sparingly(&choices));
            if body.is_empty() {
                continue;
            }
            for (index, byte) in &damage {
                *index.get_mut(&mut body) = *byte;
            }
            agree(side, api, version, &body);
        }
    }
}

/// A frame of 100 MB could hold fifty million empty names, which the codec would make gigabytes of.
#[test]
fn a_message_of_very_many_small_elements_is_refused() {
    const METADATA: i16 = 3;
    let count = 1_000_001;
    let body = [&i32::try_from(count).unwrap().to_be_bytes()[..], &vec![0; 2 * count]].concat();
    let refused = check_request(METADATA, 1, &body).unwrap_err().to_string();
    assert!(refused.contains("more than 1000000 elements"), "{refused}");
}

/// librdkafka 2.12 sends three bytes too many with a Metadata request for all topics, and Kafka does not mind.
#[test]
fn bytes_behind_a_request_are_ignored() {
    for (side, api, version) in each_version().filter(|(side, ..)| matches!(side, Side::Request)) {
        for mut body in samples(side, api, version) {
            body.extend([0; 3]);
            check_request(api.key, version, &body).unwrap();
        }
    }
}
