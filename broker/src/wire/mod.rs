//! Bytes ↔ typed messages: the only room that knows the codec.
//!
//! Every message of the protocol is a frame: a length of four bytes, a header, a body. Each API has its own
//! versions of header and body. The codec (`kafka-protocol`) knows the fields; this room checks a frame
//! before the codec sees it, and writes Fetch answers itself so that records are never copied.

mod fetch;
mod frame;
pub(crate) mod schema;

use bytes::{Bytes, BytesMut};
/// The messages of the protocol, under Kafka's names.
pub(crate) use kafka_protocol::messages;
pub(crate) use kafka_protocol::{messages::ApiKey, protocol::StrBytes};
use kafka_protocol::{
    messages::ResponseHeader,
    protocol::{Decodable, Encodable},
};

pub(crate) use self::{
    fetch::{FetchAnswer, FetchedPartition, FetchedTopic},
    frame::Frame,
};
use crate::error_code::ErrorCode;

/// Bytes that are not a request this broker can read: a sentence that says what is wrong and where.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreadable(pub(crate) String);

/// One request whose header was read and whose body was not.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) key: ApiKey,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
    pub(crate) client_id: Option<StrBytes>,
    pub(crate) body: Bytes,
    /// The body is known to be what the schema says.
    pub(crate) is_checked: bool,
}

impl Request {
    /// Reads the header at the front of a frame.
    ///
    /// # Errors
    ///
    /// An unknown API, or a header that does not end within the frame.
    pub(crate) fn parse(frame: &Bytes) -> Result<Self, Unreadable> {
        let header = schema::parse_header(frame).map_err(unreadable)?;
        let key = ApiKey::try_from(header.api_key)
            .map_err(|()| Unreadable(format!("there is no API with the key {}", header.api_key)))?;
        let client_id = header.client_id.map(|id| StrBytes::from_string(id.to_owned()));
        Ok(Self {
            key,
            version: header.api_version,
            correlation_id: header.correlation_id,
            client_id,
            body: frame.slice(header.body..),
            is_checked: false,
        })
    }

    /// The answer that says nothing but this error code, wherever the API has a place for it; `None` if the client expects
    /// no answer.
    ///
    /// # Errors
    ///
    /// A body that is not what the schema says.
    pub(crate) fn refuse(&self, code: ErrorCode) -> Result<Option<Frame>, Unreadable> {
        let (key, version) = (self.key as i16, self.version);
        if self.key == ApiKey::Produce
            && schema::number_in(key, version, &self.body, "acks") == Some(0)
        {
            return Ok(None);
        }
        let mut frame = Frame::default();
        let header = ResponseHeader::default().with_correlation_id(self.correlation_id);
        let header_version = self.key.response_header_version(version);
        header.encode(frame.bytes(), header_version).map_err(unreadable)?;
        schema::write_error(frame.bytes(), key, version, &self.body, code.code())
            .map_err(unreadable)?;
        Ok(Some(frame))
    }

    /// Has it so many parts that a handler takes long? A handler's work grows with them, not with bytes such as a
    /// record's. A short one is checked by this look, and needs no other.
    pub(crate) fn is_long(&mut self) -> bool {
        /// A handler looks at as many in a millisecond or two.
        const MANY: usize = 1_000;
        let (key, version) = (self.key as i16, self.version);
        let checked = schema::check_request_within(MANY, key, version, &self.body);
        self.is_checked = checked.is_ok();
        checked.is_err_and(|malformed| malformed.is_too_many())
    }

    /// Reads the body as a message of type `M`.
    ///
    /// # Errors
    ///
    /// A body that is not what the schema of this API and version says, byte for byte.
    pub(crate) fn decode<M: Decodable>(&self) -> Result<M, Unreadable> {
        if !self.is_checked {
            schema::check_request(self.key as i16, self.version, &self.body).map_err(unreadable)?;
        }
        M::decode(&mut self.body.clone(), self.version).map_err(unreadable)
    }
}

fn unreadable(error: impl std::fmt::Display) -> Unreadable {
    Unreadable(error.to_string())
}

/// An answer's body, written at the version of its request.
pub(crate) trait Answer {
    /// Writes the body.
    ///
    /// # Errors
    ///
    /// Only a bug in a handler: a field that this version does not have, or a value that does not fit.
    fn write(&self, frame: &mut Frame, version: i16) -> Result<(), Unreadable>;
}

impl<M: Encodable> Answer for M {
    fn write(&self, frame: &mut Frame, version: i16) -> Result<(), Unreadable> {
        self.encode(frame.bytes(), version).map_err(unreadable)
    }
}

/// Longer than most answers without their records. A buffer that grows with each field costs more than the fields.
const USUAL_SIZE: usize = 256;

/// The frame that answers the request with this correlation id.
///
/// # Errors
///
/// See [`Answer::write`]; and an answer that is too long for a frame.
pub(crate) fn answer(
    key: ApiKey,
    version: i16,
    correlation_id: i32,
    body: &impl Answer,
) -> Result<Frame, Unreadable> {
    let mut frame = Frame::default();
    frame.bytes().reserve(USUAL_SIZE);
    let header = ResponseHeader::default().with_correlation_id(correlation_id);
    header.encode(frame.bytes(), key.response_header_version(version)).map_err(unreadable)?;
    body.write(&mut frame, version)?;
    if i32::try_from(frame.len()).is_err() {
        let len = frame.len();
        return Err(Unreadable(format!(
            "its answer would have {len} bytes, and 2147483647 is the most"
        )));
    }
    Ok(frame)
}

/// The bytes that [`Answer::write`] appends to.
pub(crate) type Buffer = BytesMut;
