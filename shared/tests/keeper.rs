//! A broker that loses what it had: told, and repaired.

#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use shared::client::Cluster;
use shared::config::Topic;
use shared::keeper::Keeper;
use shared::testing::{TestBroker, unique};
use shared::topic;
use std::time::Duration;

async fn news(keeper: &mut Keeper) -> String {
    tokio::time::timeout(Duration::from_secs(30), keeper.news()).await.unwrap()
}

#[tokio::test]
async fn a_broker_that_comes_back_empty_gets_its_topics_back() {
    let broker = TestBroker::embedded(0).await.unwrap();
    let address = broker.bootstrap_servers().to_owned();
    let port = address.rsplit(':').next().unwrap().parse().unwrap();
    let cluster = Cluster::at(&address).await.unwrap();
    let topics = [Topic::new("first", 5), Topic::new("second", 1)];
    for topic in &topics {
        topic::ensure(&cluster, topic).await.unwrap();
    }
    let mut keeper = Keeper::start(&cluster, &topics);

    broker.stop().await;
    let _broker = TestBroker::embedded(port).await.unwrap();
    assert_eq!(
        news(&mut keeper).await,
        "The topic first is gone: the broker forgot everything. Made it anew, with 5 partitions."
    );
    assert_eq!(
        news(&mut keeper).await,
        "The topic second is gone: the broker forgot everything. Made it anew, with 1 partition."
    );
    assert_eq!(cluster.partitions("first").await.unwrap(), Some(5));
}

#[tokio::test]
async fn a_topic_that_was_deleted_is_made_anew_when_somebody_misses_it() {
    let broker = TestBroker::start().await.unwrap();
    let cluster = Cluster::at(broker.bootstrap_servers()).await.unwrap();
    let name = unique("keeper");
    let topic = Topic::new(&name, 3);
    topic::ensure(&cluster, &topic).await.unwrap();
    let mut keeper = Keeper::start(&cluster, std::slice::from_ref(&topic));
    topic::delete(&cluster, &name).await.unwrap();
    keeper.look();
    assert_eq!(
        news(&mut keeper).await,
        format!("The topic {name} is gone: somebody deleted it. Made it anew, with 3 partitions.")
    );
    topic::delete(&cluster, &name).await.unwrap();
}
