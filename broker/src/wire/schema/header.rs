use std::ops::Range;

use super::malformed::{Flaw, Malformed};
use super::walk::{Label, Value, Visitor, walk_start};
use super::{api, table};

const API_VERSIONS: i16 = 18;

/// What stands in front of every request.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Header<'a> {
    pub(crate) api_key: i16,
    pub(crate) api_version: i16,
    /// The client's number for this request, which the response repeats.
    pub(crate) correlation_id: i32,
    pub(crate) client_id: Option<&'a str>,
    /// Where the request's body begins in the frame.
    pub(crate) body: usize,
}

/// Reads the header of a request frame (without the frame's size). The API's version may be one that is not served:
/// a client of the future must learn from an answer to its ApiVersions request which ones are (KIP-511).
pub(crate) fn parse_header(frame: &[u8]) -> Result<Header<'_>, Malformed> {
    let version = match *frame {
        [key0, key1, version0, version1, ..] => {
            let api_key = i16::from_be_bytes([key0, key1]);
            request_header_version(api_key, i16::from_be_bytes([version0, version1]))
                .ok_or_else(|| Flaw::UnknownApi(api_key).at(0))?
        }
        // Too short for any header, as the walk will find.
        _ => 1,
    };
    let mut header = Header::default();
    header.body = walk_start(&table::REQUEST_HEADER, version, frame, &mut header)?;
    Ok(header)
}

/// The version of the header in front of a request: 2 if the request is flexible, else 1.
pub(crate) fn request_header_version(api_key: i16, version: i16) -> Option<i16> {
    Some(if api(api_key)?.request.is_flexible(version) { 2 } else { 1 })
}

/// The version of the header in front of a response: 1 if the response is flexible, else 0. Always 0 for ApiVersions,
/// since a client that reads its answer does not know yet what the broker speaks (KIP-511).
pub(crate) fn response_header_version(api_key: i16, version: i16) -> Option<i16> {
    let flexible = api(api_key)?.response.is_flexible(version);
    Some(if flexible && api_key != API_VERSIONS { 1 } else { 0 })
}

impl<'a> Visitor<'a> for Header<'a> {
    fn value(&mut self, label: Label, _at: Range<usize>, value: Value<'a>) {
        let int16 = |value| i16::try_from(value).expect("an int16 by the table");
        let int32 = |value| i32::try_from(value).expect("an int32 by the table");
        let Label::Name(name) = label else { return };
        match (name, value) {
            ("request_api_key", Value::Int(key)) => self.api_key = int16(key),
            ("request_api_version", Value::Int(version)) => self.api_version = int16(version),
            ("correlation_id", Value::Int(id)) => self.correlation_id = int32(id),
            ("client_id", Value::String(id)) => self.client_id = Some(id),
            _ => {}
        }
    }
}
