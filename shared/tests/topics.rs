//! Topics that are made when missing, on either broker.

use shared::client::{Cluster, NoBroker};
use shared::config::Topic;
use shared::testing::{TestBroker, unique};
use shared::topic::{self, Provisioned};

#[tokio::test]
async fn a_topic_is_made_once_and_left_alone_afterwards() {
    let broker = TestBroker::start().await.unwrap();
    let cluster = Cluster::at(broker.bootstrap_servers()).await.unwrap();
    let name = unique("topic");

    assert_eq!(cluster.partitions(&name).await.unwrap(), None);
    let made = topic::ensure(&cluster, &Topic::new(&name, 3)).await.unwrap();
    assert_eq!(made, Provisioned::Created { topic: name.clone(), partitions: 3 });
    assert_eq!(made.to_string(), format!("Created topic {name} with 3 partitions."));

    let again = topic::ensure(&cluster, &Topic::new(&name, 3)).await.unwrap();
    assert_eq!(again, Provisioned::Existing { topic: name.clone(), partitions: 3 });

    let other = topic::ensure(&cluster, &Topic::new(&name, 5)).await.unwrap();
    assert_eq!(other, Provisioned::Different { topic: name.clone(), partitions: 3, wanted: 5 });
    assert!(other.to_string().contains("has 3 partitions, not 5 as configured"));

    assert!(topic::delete(&cluster, &name).await.unwrap());
    assert!(!topic::delete(&cluster, &name).await.unwrap());
    assert!(!topic::delete_group(&cluster, &unique("group")).await.unwrap());
}

#[tokio::test]
async fn several_programs_may_make_the_topic_at_once() {
    let broker = TestBroker::start().await.unwrap();
    let cluster = Cluster::at(broker.bootstrap_servers()).await.unwrap();
    let topic = Topic::new(&unique("topic"), 2);

    let (one, other) =
        tokio::join!(topic::ensure(&cluster, &topic), topic::ensure(&cluster, &topic));
    assert_eq!((one.unwrap().partitions(), other.unwrap().partitions()), (2, 2));
    topic::delete(&cluster, &topic.name).await.unwrap();
}

#[tokio::test]
async fn a_name_that_kafka_forbids_is_an_error() {
    let broker = TestBroker::start().await.unwrap();
    let cluster = Cluster::at(broker.bootstrap_servers()).await.unwrap();
    let error = topic::ensure(&cluster, &Topic::new("no spaces", 1)).await.unwrap_err();
    assert!(error.to_string().starts_with("Topic no spaces could not be made"), "{error}");
}

#[tokio::test]
async fn a_missing_broker_is_a_sentence_that_names_the_way_out() {
    // A port that was free a moment ago and has no listener now.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let error = Cluster::at(&address).await.unwrap_err();
    let error: NoBroker = error.downcast().unwrap();
    assert_eq!(
        (error.address.as_str(), error.reason.as_str()),
        (address.as_str(), "Connection refused")
    );
    assert!(error.to_string().contains("Start one with `make up`"));
}
