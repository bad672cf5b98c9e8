//! One connection that speaks in frames.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::RequestHeader;
use kafka_protocol::messages::ResponseHeader;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

/// How long an answer may take before it counts as missing.
const PATIENCE: Duration = Duration::from_secs(20);

/// Turns an answer's frame into text.
pub(crate) type Describe = Box<dyn FnOnce(Bytes, &mut crate::answer::Aliases) -> String>;

pub(crate) struct Connection {
    stream: TcpStream,
    next_correlation_id: i32,
    /// The answer that `receive` will read.
    pub(crate) awaited: Option<Describe>,
}

/// What came back.
pub(crate) enum Frame {
    Answer(Bytes),
    Closed,
}

impl Connection {
    pub(crate) fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address)
            .unwrap_or_else(|error| panic!("Could not reach a broker at {address}: {error}"));
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, next_correlation_id: 1, awaited: None }
    }

    /// Sends a request and says which correlation id it has.
    pub(crate) fn send<R: Request>(&mut self, version: i16, request: &R) -> i32 {
        let mut frame = BytesMut::new();
        let correlation_id = self.header(R::KEY, version, R::header_version(version), &mut frame);
        request
            .encode(&mut frame, version)
            .unwrap_or_else(|error| panic!("in version {version}: {error}"));
        self.send_frame(&frame);
        correlation_id
    }

    /// Sends a request without a body, in any version of any API, also such as do not exist.
    pub(crate) fn send_header(&mut self, key: i16, version: i16, header_version: i16) -> i32 {
        let mut frame = BytesMut::new();
        let correlation_id = self.header(key, version, header_version, &mut frame);
        self.send_frame(&frame);
        correlation_id
    }

    fn header(&mut self, key: i16, version: i16, header_version: i16, frame: &mut BytesMut) -> i32 {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id += 1;
        RequestHeader::default()
            .with_request_api_key(key)
            .with_request_api_version(version)
            .with_correlation_id(correlation_id)
            .with_client_id(Some(StrBytes::from_static_str("wire")))
            .encode(frame, header_version)
            .unwrap();
        correlation_id
    }

    /// Sends bytes as one frame: their length, then the bytes.
    pub(crate) fn send_frame(&mut self, frame: &[u8]) {
        let mut bytes = i32::try_from(frame.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend(frame);
        self.send_bytes(&bytes);
    }

    /// Sends bytes as they are. A broker that has closed the connection is noticed when the answer is read.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Reads the next frame.
    pub(crate) fn receive(&mut self) -> Frame {
        let mut length = [0; 4];
        match self.stream.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("no answer within {PATIENCE:?}")
            }
            Err(_) => return Frame::Closed,
        }
        let mut frame =
            vec![0; usize::try_from(i32::from_be_bytes(length)).expect("a positive frame length")];
        self.stream.read_exact(&mut frame).expect("a whole frame");
        Frame::Answer(frame.into())
    }
}

/// Reads an answer's header and body, to the last byte.
pub(crate) fn decode<R: Request>(
    mut frame: Bytes,
    version: i16,
    correlation_id: i32,
) -> R::Response {
    let header = ResponseHeader::decode(&mut frame, R::Response::header_version(version)).unwrap();
    assert_eq!(header.correlation_id, correlation_id, "the answer belongs to another request");
    let answer = R::Response::decode(&mut frame, version).unwrap();
    assert!(frame.is_empty(), "{} bytes are left after the answer", frame.len());
    answer
}
