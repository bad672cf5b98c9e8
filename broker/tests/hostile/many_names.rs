//! Requests that name a great many topics, or one topic a great many times.

use kafka_protocol::{
    messages::{
        CreateTopicsRequest, DescribeConfigsRequest, MetadataRequest, TopicName,
        create_topics_request::CreatableTopic, describe_configs_request::DescribeConfigsResource,
        metadata_request::MetadataRequestTopic,
    },
    protocol::StrBytes,
};
use mini_kafka::Broker;

use crate::{client::Client, innocent};

const NAMES: usize = 20_000;

fn name(number: usize) -> TopicName {
    TopicName(StrBytes::from_string(format!("topic-{number}")))
}

#[test]
fn metadata_that_makes_20_000_topics() {
    innocent::beside(&Broker::builder(), |address| {
        let topics = (0..NAMES).map(|n| MetadataRequestTopic::default().with_name(Some(name(n))));
        let request = MetadataRequest::default()
            .with_topics(Some(topics.collect()))
            .with_allow_auto_topic_creation(true);
        let answer = Client::connect(address).ask(9, &request).unwrap();
        assert_eq!(answer.topics.len(), NAMES);
        assert!(answer.topics.iter().all(|topic| topic.error_code == 0));
    });
}

/// A request of 2 KB could ask for a million partitions.
#[test]
fn create_topics_that_makes_a_million_partitions() {
    innocent::beside(&Broker::builder(), |address| {
        let wide = |n| CreatableTopic::default().with_name(name(n)).with_num_partitions(10_000);
        let topics = (0..100).map(|n| wide(n).with_replication_factor(1)).collect();
        let request = CreateTopicsRequest::default().with_topics(topics);
        let answer = Client::connect(address).ask(7, &request).unwrap();
        let is_refused = |error| error == kafka_protocol::ResponseError::PolicyViolation.code();
        assert!(answer.topics.iter().all(|topic| is_refused(topic.error_code)));
    });
}

/// The same in many requests comes to the bound for all topics together.
#[test]
fn partitions_in_all_are_bounded() {
    let broker = Broker::builder().start_blocking().unwrap();
    let mut client = Client::connect(broker.bootstrap_servers());
    let mut codes = (0..21).map(|n| {
        let topic = CreatableTopic::default().with_name(name(n)).with_num_partitions(10_000);
        let topics = vec![topic.with_replication_factor(1)];
        let answer = client.ask(7, &CreateTopicsRequest::default().with_topics(topics)).unwrap();
        answer.topics[0].error_code
    });
    assert!(codes.by_ref().take(20).all(|code| code == 0));
    assert_eq!(codes.next(), Some(kafka_protocol::ResponseError::PolicyViolation.code()));
}

#[test]
fn describe_configs_of_one_topic_200_000_times() {
    innocent::beside(&Broker::builder().topic("orders", 1), |address| {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(StrBytes::from_static_str("orders"))
            .with_configuration_keys(None);
        let request = DescribeConfigsRequest::default().with_resources(vec![resource; 200_000]);
        let answer = Client::connect(address).ask(4, &request).unwrap();
        assert_eq!(answer.results.len(), 1);
    });
}
