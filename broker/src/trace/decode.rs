//! Frames that somebody pasted, explained to the last byte.

use std::fmt;

use super::{Message, text::Page};
use crate::wire::schema;

/// What [`decode`] found in some bytes, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    text: String,
    fits: bool,
}

impl Decoded {
    /// Whether every byte is explained. If not, a line that begins with `!` says what is wrong.
    pub fn fits(&self) -> bool {
        self.fits
    }
}

impl fmt::Display for Decoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Explains a frame: each field with its position, its bytes, its value and its purpose.
///
/// The frame may begin with its four bytes of length, or without them. With their lengths, several frames may follow each
/// other. Positions count from the first byte of each frame.
///
/// An answer does not contain its API and its version. So name those of its request, such as `Some(("Fetch", 11))`.
/// With `None`, the bytes are read as requests.
///
/// ```
/// let decoded = mini_kafka::decode(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff], None)?;
/// assert!(decoded.to_string().starts_with("ApiVersionsRequest version 0, 10 bytes"));
/// assert!(decoded.fits());
/// # Ok::<(), String>(())
/// ```
///
/// # Errors
///
/// A sentence, if there is no such API or the bytes are not a request. If only the beginning of a frame can be read, the
/// result explains this beginning.
pub fn decode(bytes: &[u8], answers: Option<(&str, i16)>) -> Result<Decoded, String> {
    let answers = match answers {
        Some((name, version)) => {
            let key = schema::key_named(name).ok_or_else(|| {
                let names: Vec<&str> = crate::apis().iter().map(|api| api.name).collect();
                format!("There is no API {name:?}. Some are: {}.", names.join(", "))
            })?;
            Some((key, version))
        }
        None => None,
    };
    let mut page = Page::new();
    for (number, frame) in frames(bytes, answers).into_iter().enumerate() {
        if number > 0 {
            page.line("");
        }
        match message(frame.bytes, frame.from, answers) {
            Some(message) => page.frame(&message),
            None if number == 0 => return Err(no_request(&frame)),
            None => page.flaw(&no_request(&frame)),
        }
        if let Some(flaw) = frame.flaw {
            page.flaw(&flaw);
        }
    }
    Ok(Decoded { text: page.text, fits: page.fits })
}

fn no_request(frame: &Frame) -> String {
    let message = frame.bytes.get(frame.from..).unwrap_or_default();
    let reason = match schema::parse_header(message) {
        Err(malformed) => format!(": {}", malformed.counted_from(frame.from)),
        Ok(_) => String::new(),
    };
    format!(
        "This is no request{reason}. For an answer, name its request with --answer-to API:VERSION."
    )
}

/// The bytes of one frame.
#[derive(Debug, PartialEq, Eq)]
struct Frame<'a> {
    bytes: &'a [u8],
    /// Where the message begins: behind the length, if there is one.
    from: usize,
    /// What is wrong with the length.
    flaw: Option<String>,
}

/// Cuts bytes into frames.
fn frames(bytes: &[u8], answers: Option<(i16, i16)>) -> Vec<Frame<'_>> {
    if !begins_with_length(bytes, answers) {
        return vec![Frame { bytes, from: 0, flaw: None }];
    }
    let mut frames = Vec::new();
    let mut rest = bytes;
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let length = i32::from_be_bytes(*length);
        let there = behind.len();
        let fitting = usize::try_from(length).ok().filter(|length| *length <= there);
        let is_short = |length: usize| {
            length < there && !fits(&behind[..length], answers) && fits(behind, answers)
        };
        let (end, flaw) = match fitting {
            Some(length) if is_short(length) => (
                there,
                Some(format!(
                    "the length says {length}, but the frame has {there} bytes behind it"
                )),
            ),
            Some(length) => (length, None),
            None => (there, Some(format!("the length says {length}, but {there} bytes follow"))),
        };
        frames.push(Frame { bytes: &rest[..4 + end], from: 4, flaw });
        rest = &behind[end..];
    }
    if !rest.is_empty() {
        frames.push(Frame { bytes: rest, from: 0, flaw: None });
    }
    frames
}

/// Do the bytes begin with the length of a frame, right or wrong, or with the frame itself?
fn begins_with_length(bytes: &[u8], answers: Option<(i16, i16)>) -> bool {
    let Some((length, behind)) = bytes.split_first_chunk::<4>() else { return false };
    // An answer's correlation id can look like a length.
    let fits_without = fits(bytes, answers);
    if let Some(frames) = whole_frames(bytes)
        && (!fits_without || frames.iter().all(|frame| fits(frame, answers)))
    {
        return true;
    }
    if fits_without {
        return false;
    }
    let length = usize::try_from(i32::from_be_bytes(*length)).ok();
    let first = length.and_then(|length| behind.get(..length));
    if fits(behind, answers) || first.is_some_and(|first| fits(first, answers)) {
        return true;
    }
    // Nothing fits as a whole. Then the header decides.
    !begins_a_message(bytes, answers) && begins_a_message(behind, answers)
}

/// The frames without their lengths, if the lengths lead from each to the next and exactly to the end.
fn whole_frames(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut frames = Vec::new();
    while let Some((length, behind)) = bytes.split_first_chunk::<4>() {
        let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
        let (frame, rest) = behind.split_at_checked(length)?;
        frames.push(frame);
        bytes = rest;
    }
    bytes.is_empty().then_some(frames)
}

/// Are these bytes a message from the first to the last?
fn fits(bytes: &[u8], answers: Option<(i16, i16)>) -> bool {
    message(bytes, 0, answers).is_some_and(|message| message.flaw.is_none())
}

/// A header in front of a version that exists. Any bytes can begin an answer.
fn begins_a_message(bytes: &[u8], answers: Option<(i16, i16)>) -> bool {
    answers.is_some()
        || schema::parse_header(bytes).is_ok_and(|header| {
            schema::api(header.api_key).is_some_and(|api| api.request.has(header.api_version))
        })
}

fn message(bytes: &[u8], from: usize, answers: Option<(i16, i16)>) -> Option<Message<'_>> {
    match answers {
        Some((key, version)) => Some(Message::answer(bytes, from, key, version)),
        None => Message::request(bytes, from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ApiVersions request of version 0, without its length.
    const REQUEST: &[u8] = &[0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];

    fn with_length(length: i32, frame: &[u8]) -> Vec<u8> {
        [&length.to_be_bytes(), frame].concat()
    }

    fn said(bytes: &[u8]) -> (String, bool) {
        let decoded = decode(bytes, None).unwrap();
        (decoded.to_string(), decoded.fits())
    }

    #[test]
    fn positions_count_from_the_first_byte_of_the_frame() {
        let (without, fits) = said(REQUEST);
        assert!(fits && without.contains("       0..2  00 12 "), "{without}");
        let (with, fits) = said(&with_length(10, REQUEST));
        assert!(
            fits && with.contains("       0..4  00 00 00 0a  ") && with.contains(" length: 10"),
            "{with}"
        );
        assert!(with.contains("       4..6  00 12 "), "{with}");
    }

    #[test]
    fn several_frames_are_explained_one_after_the_other() {
        let twice = with_length(10, REQUEST).repeat(2);
        let (text, fits) = said(&twice);
        assert!(
            fits && text.matches("ApiVersionsRequest version 0, 10 bytes").count() == 2,
            "{text}"
        );
        // The second one is cut off.
        let (text, fits) = said(&twice[..twice.len() - 2]);
        assert!(!fits && text.contains("! the length says 10, but 8 bytes follow"), "{text}");
        let (text, fits) = said(&twice[..16]);
        assert!(!fits && text.contains("! This is no request"), "{text}");
    }

    #[test]
    fn a_wrong_length_is_told() {
        for (length, says) in [
            (7, "! the length says 7, but the frame has 10 bytes behind it"),
            (12, "! the length says 12, but 10 bytes follow"),
            (-1, "! the length says -1, but 10 bytes follow"),
        ] {
            let (text, fits) = said(&with_length(length, REQUEST));
            assert!(!fits && text.contains(says), "{length}: {text}");
            assert!(text.starts_with("ApiVersionsRequest version 0, 10 bytes"), "{text}");
        }
    }

    #[test]
    fn an_answer_is_read_with_and_without_its_length() {
        let answer = [0, 0, 0, 7, 0, 35, 0, 0, 0, 0];
        for bytes in [answer.to_vec(), with_length(10, &answer), with_length(9, &answer)] {
            let decoded = decode(&bytes, Some(("apiversions", 0))).unwrap();
            assert!(decoded.to_string().contains("35 UNSUPPORTED_VERSION"), "{decoded}");
            assert_eq!(decoded.fits(), bytes.get(3) != Some(&9), "{decoded}");
        }
    }

    #[test]
    fn a_correlation_id_is_not_taken_for_a_length() {
        // The answer to a Heartbeat of version 0, with the correlation id 2: two bytes follow.
        let decoded = decode(&[0, 0, 0, 2, 0, 0], Some(("Heartbeat", 0))).unwrap();
        assert!(decoded.fits() && decoded.to_string().contains("correlation_id: 2"), "{decoded}");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_position_in_the_frame() {
        // A Metadata request that claims a topic and brings none.
        let frame = b"\x00\x03\x00\x01\x00\x00\x00\x07\xff\xff\x00\x00\x00\x01";
        let (text, fits) = said(frame);
        assert!(!fits && text.contains("topics at byte 10: 1 elements"), "{text}");
    }
}
