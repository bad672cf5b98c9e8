//! Clients that behave badly, and topics that live for a moment.

use std::{io::Write, net::TcpStream, sync::atomic::Ordering::Relaxed, time::Duration};

use kafka_protocol::{
    messages::{
        FetchRequest, GroupId, JoinGroupRequest, MetadataRequest, TopicName,
        fetch_request::{FetchPartition, FetchTopic},
        join_group_request::JoinGroupRequestProtocol,
    },
    protocol::StrBytes,
};
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};

use super::{
    Time,
    client::{API_VERSIONS, frame},
    figures::Counts,
    lane::{admin, block_on},
};

const BETWEEN_CUTS: Duration = Duration::from_millis(20);
const BETWEEN_TOPICS: Duration = Duration::from_millis(200);

/// Connections that end in the middle of a frame, or while a request waits for its answer.
pub(crate) fn cut(address: &str, counts: &Counts, time: &Time) {
    let topic = TopicName(StrBytes::from_static_str("nobody-writes-to-this"));
    // Makes the topic.
    let metadata = frame(
        8,
        &MetadataRequest::default().with_allow_auto_topic_creation(true).with_topics(Some(vec![
            kafka_protocol::messages::metadata_request::MetadataRequestTopic::default()
                .with_name(Some(topic.clone())),
        ])),
    );
    let partition = FetchPartition::default().with_partition_max_bytes(1_000);
    let of = FetchTopic::default().with_topic(topic).with_partitions(vec![partition]);
    let waiting_fetch = frame(
        5,
        &FetchRequest::default()
            .with_max_wait_ms(60_000)
            .with_min_bytes(1)
            .with_max_bytes(1_000)
            .with_topics(vec![of]),
    );
    let protocol =
        JoinGroupRequestProtocol::default().with_name(StrBytes::from_static_str("range"));
    let waiting_join = frame(
        3,
        &JoinGroupRequest::default()
            .with_group_id(GroupId(StrBytes::from_static_str("cut")))
            .with_session_timeout_ms(6_000)
            .with_rebalance_timeout_ms(6_000)
            .with_protocol_type(StrBytes::from_static_str("consumer"))
            .with_protocols(vec![protocol]),
    );
    let frames = [API_VERSIONS.to_vec(), metadata, waiting_fetch, waiting_join];
    for round in 0.. {
        if time.is_up() {
            return;
        }
        let (whole, half) = (&frames[round % frames.len()], &frames[round / 4 % frames.len()]);
        match cut_one(address, whole, half, round) {
            Ok(()) => counts.cut.fetch_add(1, Relaxed),
            Err(error) => return counts.fail(format!("The broker takes no connection: {error}.")),
        };
        time.pause(BETWEEN_CUTS);
    }
}

/// Sends a request and the beginning of another, and goes.
fn cut_one(address: &str, whole: &[u8], half: &[u8], round: usize) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    // Every third connection does not even send one whole request.
    let both = [whole, half];
    for frame in if round.is_multiple_of(3) { &both[1..] } else { &both } {
        bytes.extend(u32::try_from(frame.len()).unwrap().to_be_bytes());
        bytes.extend(*frame);
    }
    // Within the last frame, or its length.
    bytes.truncate(bytes.len() - 1 - round % (half.len() + 3));
    let mut stream = TcpStream::connect(address)?;
    // The broker may have gone first, and rightly so.
    let _ = stream.write_all(&bytes);
    Ok(())
}

/// Topics of many partitions that nobody uses.
pub(crate) fn make_and_delete(address: &str, counts: &Counts, time: &Time) {
    let (admin, options) = (admin(address), AdminOptions::new());
    for number in 0.. {
        if time.is_up() {
            return;
        }
        let name = format!("short-{number}");
        let new = NewTopic::new(&name, 50, TopicReplication::Fixed(1));
        let done = block_on(async {
            admin.create_topics([&new], &options).await?;
            admin.delete_topics(&[&name], &options).await
        });
        match done.map(|mut results| results.remove(0)) {
            Ok(Ok(_)) => counts.short_topics.fetch_add(1, Relaxed),
            failed => return counts.fail(format!("{name} was not made and deleted: {failed:?}.")),
        };
        time.pause(BETWEEN_TOPICS);
    }
}
