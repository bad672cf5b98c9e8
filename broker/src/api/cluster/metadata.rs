//! Metadata, versions 0–13: which topics there are, and which node has their partitions.
//!
//! * All topics (null, or an empty list in version 0), some by name, or some by id (from version 12 on).
//! * A topic that does not exist is created if `auto.create.topics.enable` is true and the client allows it. Before version 4
//!   the client always allows it. Kafka first answers `UNKNOWN_TOPIC_OR_PARTITION`, and clients ask again. Here the first
//!   answer already has the topic.
//! * The node's address is the one that the client connected to, unless `advertised.listeners` is set.
//! * If one topic is named by its id, the names in the request are ignored, as in Kafka. Java's Admin sends empty names.
//! * If the request asks for the authorized operations, the answer names all of them, as Kafka does without an authorizer
//!   (KIP-430).
//! * `__consumer_offsets` and `__transaction_state` are never created for a client. Kafka creates them.
//! * A topic that is named twice is answered once. An unknown or illegal name is an error for that topic, never for the
//!   request.

use std::collections::HashSet;

use uuid::Uuid;

use super::operations;
use crate::{
    api::Context,
    cluster::{NewTopic, Topic, check_name, is_internal},
    error_code::ErrorCode,
    event::{TopicChange, TopicEvent},
    wire::{
        StrBytes,
        messages::{
            BrokerId, MetadataRequest, MetadataResponse, TopicName,
            metadata_response::{
                MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
            },
        },
    },
};

pub(crate) fn answer(cx: &Context, request: MetadataRequest) -> MetadataResponse {
    let may_create = cx.cluster.settings.auto_create_topics_enable
        && (cx.version < 4 || request.allow_auto_topic_creation);
    let mut changed = Vec::new();
    let mut topics: Vec<_> = match request.topics {
        Some(topics) if cx.version > 0 || !topics.is_empty() => {
            if topics.iter().any(|topic| !topic.topic_id.is_nil()) {
                let mut seen = HashSet::from([Uuid::nil()]);
                let ids = topics.into_iter().map(|topic| topic.topic_id);
                ids.filter(|id| seen.insert(*id)).map(|id| with_id(cx, id)).collect()
            } else {
                let mut seen = HashSet::new();
                let names = topics.into_iter().map(|topic| topic.name.unwrap_or_default());
                let once = names.filter(|name| seen.insert(name.clone()));
                once.map(|name| named(cx, name, may_create, &mut changed)).collect()
            }
        }
        _ => cx.cluster.topics.list().iter().map(|topic| known(topic)).collect(),
    };
    cx.cluster.topics_changed(changed);
    if request.include_topic_authorized_operations {
        for topic in &mut topics {
            topic.topic_authorized_operations = operations::TOPIC;
        }
    }
    let (host, port) = cx.advertised();
    let id = BrokerId(cx.cluster.settings.broker_id);
    let answer = MetadataResponse::default()
        .with_brokers(vec![
            MetadataResponseBroker::default().with_node_id(id).with_host(host).with_port(port),
        ])
        .with_cluster_id(Some(StrBytes::from_string(cx.cluster.id.clone())))
        .with_controller_id(id)
        .with_topics(topics);
    if request.include_cluster_authorized_operations {
        answer.with_cluster_authorized_operations(operations::CLUSTER)
    } else {
        answer
    }
}

fn with_id(cx: &Context, id: Uuid) -> MetadataResponseTopic {
    match cx.cluster.topics.with_id(id) {
        Some(topic) => known(&topic),
        None => MetadataResponseTopic::default()
            .with_error_code(ErrorCode::UnknownTopicId.code())
            .with_topic_id(id)
            // Below version 12 the name cannot be null.
            .with_name((cx.version < 12).then(TopicName::default)),
    }
}

fn named(
    cx: &Context,
    name: TopicName,
    may_create: bool,
    changed: &mut Vec<TopicEvent>,
) -> MetadataResponseTopic {
    let failed = |code: ErrorCode, name: TopicName| {
        MetadataResponseTopic::default().with_error_code(code.code()).with_name(Some(name))
    };
    if let Some(topic) = cx.cluster.topics.named(&name) {
        return known(&topic);
    }
    if check_name(&name).is_err() {
        return failed(ErrorCode::InvalidTopicException, name);
    }
    if !may_create || is_internal(&name) {
        return failed(ErrorCode::UnknownTopicOrPartition, name);
    }
    let partitions = cx.cluster.settings.num_partitions;
    let new = NewTopic { name: name.to_string(), partitions, overrides: [].into() };
    match cx.cluster.topics.create(new, false) {
        Ok(topic) => {
            let change = TopicChange::CreatedOnDemand { partitions };
            changed.push(TopicEvent { topic: topic.name.clone(), change });
            known(&topic)
        }
        // Another connection was faster.
        Err(refusal) if refusal.code == ErrorCode::TopicAlreadyExists => {
            failed(ErrorCode::LeaderNotAvailable, name)
        }
        Err(refusal) => failed(refusal.code, name),
    }
}

fn known(topic: &Topic) -> MetadataResponseTopic {
    let partitions = (0..).zip(&topic.partitions).map(|(index, partition)| {
        let leader = partition.leader();
        let node = BrokerId(leader.node);
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(node)
            .with_leader_epoch(leader.epoch)
            .with_replica_nodes(vec![node])
            .with_isr_nodes(vec![node])
    });
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_string(topic.name.clone()))))
        .with_topic_id(topic.id)
        .with_partitions(partitions.collect())
}
