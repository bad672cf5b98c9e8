//! A client that speaks in frames, for attackers and for the innocent.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use kafka_protocol::{
    indexmap::IndexMap,
    messages::{RequestHeader, ResponseHeader},
    protocol::{Decodable, Encodable, HeaderVersion, Request},
    records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType},
};

/// How long a client waits for an answer before it gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// ApiVersions v0, correlation id 7, no client id.
pub(crate) const API_VERSIONS: &[u8] = &[0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];

pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    /// Sends bytes as one frame.
    pub(crate) fn send(&mut self, frame: &[u8]) {
        let length = u32::try_from(frame.len()).unwrap().to_be_bytes();
        self.0.write_all(&[&length, frame].concat()).unwrap();
    }

    /// The next answer, or `None` if the broker ended the connection.
    pub(crate) fn receive(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).ok()?;
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut frame).ok()?;
        Some(frame)
    }

    /// Sends a request and reads its answer; `None` if the broker ended the connection.
    pub(crate) fn ask<R: Request>(&mut self, version: i16, request: &R) -> Option<R::Response> {
        self.post(version, request);
        self.read::<R>(version)
    }

    /// Sends a request whose answer is read later.
    pub(crate) fn post<R: Request>(&mut self, version: i16, request: &R) {
        self.send(&frame(version, request));
    }

    /// Reads the answer to a request of this type; `None` if the broker ended the connection.
    pub(crate) fn read<R: Request>(&mut self, version: i16) -> Option<R::Response> {
        let mut answer = Bytes::from(self.receive()?);
        ResponseHeader::decode(&mut answer, R::Response::header_version(version)).unwrap();
        Some(R::Response::decode(&mut answer, version).unwrap())
    }

    pub(crate) fn is_served(&mut self) {
        self.send(API_VERSIONS);
        let answer = self.receive().expect("the broker answers a sound request");
        assert_eq!(answer[..6], [0, 0, 0, 7, 0, 0], "correlation id and error code");
    }
}

/// A request with its header, without the length in front.
pub(crate) fn frame<R: Request>(version: i16, request: &R) -> Vec<u8> {
    let mut frame = BytesMut::new();
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(7);
    header.encode(&mut frame, R::header_version(version)).unwrap();
    request.encode(&mut frame, version).unwrap();
    frame.to_vec()
}

/// Header of a request: key, version, correlation id 1, no client id; for flexible ones no tags.
pub(crate) fn header(key: u8, version: u8, is_flexible: bool) -> Vec<u8> {
    let mut header = vec![0, key, 0, version, 0, 0, 0, 1, 0xff, 0xff];
    header.extend(is_flexible.then_some(0));
    header
}

/// A batch of one record without a key.
pub(crate) fn batch_of_one(timestamp: i64, value: impl Into<Bytes>) -> Bytes {
    let record = Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: TimestampType::Creation,
        offset: 0,
        sequence: -1,
        timestamp,
        key: None,
        value: Some(value.into()),
        headers: IndexMap::new(),
    };
    let mut batch = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut batch, [&record], &options).unwrap();
    batch.freeze()
}
