//! A broker whose memory limit is reached, and that notices what producers are told.

use std::{
    io::Write,
    sync::mpsc::{Receiver, Sender, channel},
    time::Duration,
};

use kafka_protocol::{
    messages::{
        BrokerId, DeleteRecordsRequest, DeleteTopicsRequest, ListOffsetsRequest, ProduceRequest,
        TopicName,
        delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic},
        delete_topics_request::DeleteTopicState,
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        produce_request::{PartitionProduceData, TopicProduceData},
    },
    protocol::StrBytes,
};
use mini_kafka::{Broker, Trace};

use crate::client::{Client, batch_of_one};

/// Longer than the longest time that a client waits before it tries again.
const PATIENCE: Duration = Duration::from_secs(60);

const LIMIT: usize = 1_000_000;
const FILLER: &str = "filler";
const KAFKA_STORAGE_ERROR: i16 = 56;

/// The topic that producers send to.
pub(crate) const TOPIC: &str = "orders";

pub(crate) struct Full {
    broker: Broker,
    refusals: Receiver<()>,
}

impl Full {
    pub(crate) fn start() -> Self {
        let (sender, refusals) = channel();
        let trace = Trace::to(Listener(sender)).api("Produce").topic(TOPIC);
        let broker = Broker::builder()
            .memory_limit(LIMIT)
            .topic(FILLER, 1)
            .topic(TOPIC, 1)
            .trace(trace)
            .start_blocking()
            .unwrap();
        let full = Self { broker, refusals };
        while full.produce(FILLER, 100_000) == 0 {}
        while full.produce(FILLER, 1) == 0 {}
        full
    }

    pub(crate) fn bootstrap_servers(&self) -> &str {
        self.broker.bootstrap_servers()
    }

    /// Waits until a producer was refused so many times.
    pub(crate) fn refuses(&self, times: usize) {
        for _ in 0..times {
            self.refusals.recv_timeout(PATIENCE).expect("the producer tries, and tries again");
        }
    }

    /// Deletes the topic that takes all the room.
    pub(crate) fn delete_topic(&self) {
        delete(&mut self.client(), FILLER);
    }

    /// Deletes the records that take all the room.
    pub(crate) fn delete_records(&self) {
        let partition = DeleteRecordsPartition::default().with_offset(-1);
        let topic =
            DeleteRecordsTopic::default().with_name(name(FILLER)).with_partitions(vec![partition]);
        let request = DeleteRecordsRequest::default().with_topics(vec![topic]);
        let answer = self.client().ask(2, &request).unwrap();
        assert_eq!(answer.topics[0].partitions[0].error_code, 0);
    }

    /// How many records were taken, of what producers sent to [`TOPIC`].
    pub(crate) fn records(&self) -> i64 {
        let partition = ListOffsetsPartition::default().with_timestamp(-1);
        let topic =
            ListOffsetsTopic::default().with_name(name(TOPIC)).with_partitions(vec![partition]);
        let request =
            ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
        self.client().ask(5, &request).unwrap().topics[0].partitions[0].offset
    }

    /// Sends a record of so many bytes; 0, or the error that says that there is no room.
    pub(crate) fn produce(&self, topic: &'static str, len: usize) -> i16 {
        send(&mut self.client(), topic, 0, len)
    }

    fn client(&self) -> Client {
        Client::connect(self.bootstrap_servers())
    }
}

/// Sends a record of so many bytes; 0, or the error that says that there is no room.
pub(crate) fn send(client: &mut Client, topic: &'static str, partition: i32, len: usize) -> i16 {
    let batch = batch_of_one(0, vec![b'x'; len]);
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(batch));
    let data = TopicProduceData::default().with_name(name(topic)).with_partition_data(vec![data]);
    let request =
        ProduceRequest::default().with_acks(-1).with_timeout_ms(1_000).with_topic_data(vec![data]);
    let answer = client.ask(9, &request).unwrap();
    let code = answer.responses[0].partition_responses[0].error_code;
    assert!([0, KAFKA_STORAGE_ERROR].contains(&code), "error {code}");
    code
}

/// Deletes a topic.
pub(crate) fn delete(client: &mut Client, topic: &'static str) {
    let topic = DeleteTopicState::default().with_name(Some(name(topic)));
    let request = DeleteTopicsRequest::default().with_topics(vec![topic]);
    assert_eq!(client.ask(6, &request).unwrap().responses[0].error_code, 0);
}

fn name(name: &'static str) -> TopicName {
    TopicName(StrBytes::from_static_str(name))
}

/// Reads the trace of the broker.
struct Listener(Sender<()>);

impl Write for Listener {
    fn write(&mut self, shown: &[u8]) -> std::io::Result<usize> {
        if String::from_utf8_lossy(shown).contains("KAFKA_STORAGE_ERROR") {
            let _ = self.0.send(());
        }
        Ok(shown.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
