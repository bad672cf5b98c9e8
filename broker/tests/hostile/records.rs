//! Small requests about records that once caused much work while everybody waited.

use std::io::Write;

use bytes::Bytes;
use kafka_protocol::{
    messages::{
        BrokerId, DeleteTopicsRequest, FetchRequest, ListOffsetsRequest, ProduceRequest, TopicName,
        delete_topics_request::DeleteTopicState,
        fetch_request::{FetchPartition, FetchTopic},
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        produce_request::{PartitionProduceData, TopicProduceData},
    },
    protocol::StrBytes,
};
use mini_kafka::Broker;

use crate::{
    client::{Client, batch_of_one, frame},
    innocent,
};

const NONE: i16 = 0;
const INVALID_REQUEST: i16 = 42;

/// 70 KB of gzip that unpack to 70 MB, and six that follow: a search by time looked through all of them, under the
/// partition's lock and on the thread that serves everybody.
#[test]
fn a_batch_that_unpacks_to_much_holds_up_nobody() {
    let batch = bomb();
    innocent::beside(&Broker::builder().topic("bombs", 1), |address| {
        let mut client = Client::connect(address);
        for _ in 0..7 {
            assert_eq!(produce(&mut client, "bombs", &batch), NONE);
        }
        let asked = ListOffsetsPartition::default().with_timestamp(5_000).with_partition_index(0);
        let answer = client.ask(5, &list_offsets("bombs", vec![asked])).unwrap();
        // What cannot be looked through to its end is an error, not a wrong answer.
        assert_ne!(answer.topics[0].partitions[0].error_code, NONE);
    });
}

/// A compacted topic needs to see every key, so there the same batch is unpacked when it comes.
#[test]
fn a_batch_that_must_be_unpacked_holds_up_nobody() {
    use kafka_protocol::messages::{
        CreateTopicsRequest,
        create_topics_request::{CreatableTopic, CreatableTopicConfig},
    };
    let batch = bomb();
    innocent::beside(&Broker::builder(), |address| {
        let mut client = Client::connect(address);
        let config = CreatableTopicConfig::default()
            .with_name(StrBytes::from_static_str("cleanup.policy"))
            .with_value(Some(StrBytes::from_static_str("compact")));
        let topic = CreatableTopic::default()
            .with_name(topic("compacted"))
            .with_num_partitions(1)
            .with_replication_factor(1)
            .with_configs(vec![config]);
        let create = CreateTopicsRequest::default().with_topics(vec![topic]);
        client.ask(5, &create).unwrap();
        for _ in 0..3 {
            assert_ne!(produce(&mut client, "compacted", &batch), NONE);
        }
    });
}

/// Each append made every fetch that waits for more collect everything anew.
#[test]
fn fetches_that_wait_for_much_cost_a_producer_nothing() {
    innocent::beside(&Broker::builder(), |address| {
        // Their times end one after the other: in the end each of them does get its answer.
        let waiting: Vec<Client> = (0..30)
            .map(|n| {
                let mut client = Client::connect(address);
                client.send(&frame(12, &fetch("innocent", 50_000_000, 300 + 20 * n)));
                client
            })
            .collect();
        for mut client in waiting {
            client.receive().unwrap();
        }
    });
}

#[test]
fn a_fetch_is_told_at_once_that_its_topic_was_deleted() {
    let broker = Broker::builder().topic("short", 1).start_blocking().unwrap();
    let mut waiting = Client::connect(broker.bootstrap_servers());
    // Longer than the client waits for an answer.
    waiting.send(&frame(12, &fetch("short", 1, 3_600_000)));
    let mut client = Client::connect(broker.bootstrap_servers());
    let state = DeleteTopicState::default().with_name(Some(topic("short")));
    client.ask(6, &DeleteTopicsRequest::default().with_topics(vec![state])).unwrap();
    assert!(waiting.receive().is_some());
}

/// Numbers in a batch that overflow when they are added up.
#[test]
fn extreme_numbers_in_a_batch_are_no_overflow() {
    let broker = Broker::builder().topic("extreme", 1).start_blocking().unwrap();
    let mut client = Client::connect(broker.bootstrap_servers());
    for at in [0, 8, 12, 21, 23, 27, 35, 43, 51, 53, 57] {
        for value in [i64::MIN, i64::MAX, -1] {
            let mut bytes = batch(0).to_vec();
            let end = (at + 8).min(61);
            bytes[at..end].copy_from_slice(&value.to_be_bytes()[..end - at]);
            let crc = crc32c::crc32c(&bytes[21..]);
            if at > 12 {
                bytes[17..21].copy_from_slice(&crc.to_be_bytes());
            }
            produce(&mut client, "extreme", &bytes);
            for time in [-3, 0, i64::MAX] {
                let asked = ListOffsetsPartition::default().with_timestamp(time);
                client.ask(7, &list_offsets("extreme", vec![asked])).unwrap();
            }
        }
    }
    client.is_served();
}

fn topic(name: &'static str) -> TopicName {
    TopicName(StrBytes::from_static_str(name))
}

/// The error code of the one partition.
fn produce(client: &mut Client, name: &'static str, batch: &[u8]) -> i16 {
    let data = PartitionProduceData::default().with_records(Some(Bytes::copy_from_slice(batch)));
    let data = TopicProduceData::default().with_name(topic(name)).with_partition_data(vec![data]);
    let request =
        ProduceRequest::default().with_acks(-1).with_timeout_ms(1_000).with_topic_data(vec![data]);
    client.ask(9, &request).unwrap().responses[0].partition_responses[0].error_code
}

fn list_offsets(name: &'static str, asked: Vec<ListOffsetsPartition>) -> ListOffsetsRequest {
    let topic = ListOffsetsTopic::default().with_name(topic(name)).with_partitions(asked);
    ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic])
}

fn fetch(name: &'static str, min_bytes: i32, max_wait: i32) -> FetchRequest {
    let partition = FetchPartition::default().with_partition_max_bytes(100_000_000);
    let topic = FetchTopic::default().with_topic(topic(name)).with_partitions(vec![partition]);
    FetchRequest::default()
        .with_max_wait_ms(max_wait)
        .with_min_bytes(min_bytes)
        .with_max_bytes(100_000_000)
        .with_topics(vec![topic])
}

/// A batch of one record, of this time.
fn batch(timestamp: i64) -> Bytes {
    batch_of_one(timestamp, "value")
}

/// A batch of one record whose value is 2^28 zeros, as far as there are any: 70 MB, packed into 70 KB. Its header
/// claims the time 5000.
fn bomb() -> Vec<u8> {
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    // Sizes as zigzag varints: a record a little longer than its value of 2^28 bytes, without a key.
    let head = [&[0xa0, 0x80, 0x80, 0x80, 0x02, 0, 0, 0, 1][..], &[0x80, 0x80, 0x80, 0x80, 0x02]];
    let mut section = gzip(&head.concat());
    section.extend(gzip(&vec![0; 1_000_000]).repeat(70));

    let plain = batch(5_000);
    let mut bytes = plain[..61].to_vec();
    bytes.extend(section);
    let length = i32::try_from(bytes.len() - 12).unwrap();
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[21..23].copy_from_slice(&1i16.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}
#[test]
fn a_partition_that_is_named_10_000_times_is_looked_up_once() {
    innocent::beside(&Broker::builder().topic("named", 1), |address| {
        let mut client = Client::connect(address);
        for time in 0..200 {
            produce(&mut client, "named", &batch(time));
        }
        let asked = ListOffsetsPartition::default().with_timestamp(150);
        let request = list_offsets("named", vec![asked; 10_000]);
        for _ in 0..3 {
            let answer = client.ask(5, &request).unwrap();
            let codes: Vec<i16> =
                answer.topics[0].partitions.iter().map(|p| p.error_code).collect();
            assert_eq!(codes, [INVALID_REQUEST]);
        }
    });
}

#[test]
fn a_partition_that_is_named_50_000_times_is_fetched_once() {
    innocent::beside(&Broker::builder().topic("named", 1), |address| {
        let mut client = Client::connect(address);
        let mut request = fetch("named", 1, 100);
        request.topics[0].partitions = vec![request.topics[0].partitions[0].clone(); 50_000];
        for _ in 0..3 {
            let answer = client.ask(12, &request).unwrap();
            assert_eq!(answer.responses[0].partitions.len(), 1);
        }
    });
}
