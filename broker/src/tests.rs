//! A whole broker whose clock a test holds.

mod fuzz;

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request};

use crate::{
    Broker,
    cluster::Clock,
    error_code::ErrorCode,
    log::batch::build::Spec,
    time::{Millis, Timestamp},
    wire::{
        StrBytes,
        messages::{
            ProduceRequest, RequestHeader, ResponseHeader, TopicName,
            produce_request::{PartitionProduceData, TopicProduceData},
            produce_response::PartitionProduceResponse,
        },
    },
};

const HOUR: Millis = 3_600_000;

fn ask<R: Request>(broker: &Broker, version: i16, request: &R) -> R::Response {
    let frame = request_frame(version, request);
    let mut stream = TcpStream::connect(broker.bootstrap_servers()).unwrap();
    stream.write_all(&u32::try_from(frame.len()).unwrap().to_be_bytes()).unwrap();
    stream.write_all(&frame).unwrap();

    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).unwrap();
    read_answer::<R>(&mut answer.into(), version)
}

/// A request with its header, without the length in front.
fn request_frame<R: Request>(version: i16, request: &R) -> BytesMut {
    let mut frame = BytesMut::new();
    let header =
        RequestHeader::default().with_request_api_key(R::KEY).with_request_api_version(version);
    header.encode(&mut frame, R::header_version(version)).unwrap();
    request.encode(&mut frame, version).unwrap();
    frame
}

fn read_answer<R: Request>(answer: &mut Bytes, version: i16) -> R::Response {
    ResponseHeader::decode(answer, R::Response::header_version(version)).unwrap();
    R::Response::decode(answer, version).unwrap()
}

/// Produces one record with this time to the first partition of `topic`.
fn produce(broker: &Broker, topic: &'static str, timestamp: Timestamp) -> PartitionProduceResponse {
    let mut batch = Spec::of(&["a"]);
    batch.timestamps = vec![timestamp];
    let data = PartitionProduceData::default().with_records(Some(batch.bytes()));
    let data = TopicProduceData::default()
        .with_name(TopicName(StrBytes::from_static_str(topic)))
        .with_partition_data(vec![data]);
    let request =
        ProduceRequest::default().with_acks(-1).with_timeout_ms(1_000).with_topic_data(vec![data]);
    ask(broker, 9, &request).responses.remove(0).partition_responses.remove(0)
}

/// A laptop that sleeps stops the monotonic clock and not the wall.
#[test]
fn records_are_accepted_after_the_machine_has_slept() {
    let clock = Clock::held(1_000 * HOUR);
    let broker =
        Broker::builder().topic("orders", 1).clock(clock.clone()).start_blocking().unwrap();
    let code = |timestamp| produce(&broker, "orders", timestamp).error_code;
    let awake = clock.wall() + 2 * HOUR;
    assert_eq!(code(awake), ErrorCode::InvalidTimestamp.code());
    clock.jump(2 * HOUR);
    assert_eq!(code(awake), ErrorCode::None.code());
}

#[test]
fn the_broker_stamps_records_with_the_time_of_the_wall() {
    let clock = Clock::held(1_000 * HOUR);
    let broker = Broker::builder()
        .config("log.message.timestamp.type", "LogAppendTime")
        .topic("orders", 1)
        .clock(clock.clone())
        .start_blocking()
        .unwrap();
    assert_eq!(produce(&broker, "orders", 0).log_append_time_ms, 1_000 * HOUR);
    clock.jump(-HOUR);
    assert_eq!(produce(&broker, "orders", 0).log_append_time_ms, 999 * HOUR);
}
