//! Metadata, versions 0–13: where the topics are.
//!
//! * All topics (null, or an empty list in version 0), some by name, or some by id (from version 12).
//! * A name that does not exist becomes a topic if the client allows it (always before version 4) and
//!   `auto.create.topics.enable` is true. Kafka answers `UNKNOWN_TOPIC_OR_PARTITION` the first time, while the
//!   topic is being made, and clients ask again; here it is there at once.
//! * The node's address is the one that the client used itself, unless `advertised.listeners` is set.
//! * A topic that is asked for twice is told once; an unknown or illegal topic is an error for that topic, never for the request.
//!
//! Left out: authorized operations, since there is no authorizer.

use std::{collections::HashSet, sync::Arc};

use crate::{
    api::Context,
    cluster::{NewTopic, Topic, check_name},
    error_code::ErrorCode,
    log::LEADER_EPOCH,
    wire::{
        StrBytes,
        messages::{
            BrokerId, MetadataRequest, MetadataResponse, TopicName,
            metadata_request::MetadataRequestTopic,
            metadata_response::{
                MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
            },
        },
    },
};

pub(crate) fn answer(cx: &Context, request: MetadataRequest) -> MetadataResponse {
    let may_create = cx.cluster.settings.auto_create_topics_enable
        && (cx.version < 4 || request.allow_auto_topic_creation);
    let topics = match request.topics {
        Some(topics) if cx.version > 0 || !topics.is_empty() => {
            let mut seen = HashSet::new();
            let once = topics
                .into_iter()
                .filter(|topic| seen.insert((topic.name.clone(), topic.topic_id)));
            once.map(|topic| asked(cx, topic, may_create)).collect()
        }
        _ => cx.cluster.topics.list().iter().map(|topic| known(cx, topic)).collect(),
    };
    let (host, port) = cx.advertised();
    let id = BrokerId(cx.cluster.settings.broker_id);
    MetadataResponse::default()
        .with_brokers(vec![
            MetadataResponseBroker::default().with_node_id(id).with_host(host).with_port(port),
        ])
        .with_cluster_id(Some(StrBytes::from_string(cx.cluster.id.clone())))
        .with_controller_id(id)
        .with_topics(topics)
}

fn asked(
    cx: &Context,
    MetadataRequestTopic { topic_id, name, .. }: MetadataRequestTopic,
    may_create: bool,
) -> MetadataResponseTopic {
    let failed = |code: ErrorCode, name: Option<TopicName>| {
        MetadataResponseTopic::default()
            .with_error_code(code.code())
            .with_topic_id(topic_id)
            .with_name(name)
    };
    let Some(name) = name else {
        return match cx.cluster.topics.with_id(topic_id) {
            Some(topic) => known(cx, &topic),
            // Below version 12 the name cannot be null.
            None => failed(ErrorCode::UnknownTopicId, (cx.version < 12).then(TopicName::default)),
        };
    };
    if let Some(topic) = cx.cluster.topics.named(&name) {
        return known(cx, &topic);
    }
    if check_name(&name).is_err() {
        return failed(ErrorCode::InvalidTopicException, Some(name));
    }
    if !may_create {
        return failed(ErrorCode::UnknownTopicOrPartition, Some(name));
    }
    let partitions = cx.cluster.settings.num_partitions;
    let new = NewTopic { name: name.to_string(), partitions, overrides: [].into() };
    match cx.cluster.topics.create(new, false) {
        Ok(topic) => {
            tracing::info!(topic = %topic.name, partitions, "made a topic because a client asked for it");
            known(cx, &topic)
        }
        // Another connection was faster.
        Err(refusal) if refusal.code == ErrorCode::TopicAlreadyExists => {
            failed(ErrorCode::LeaderNotAvailable, Some(name))
        }
        Err(refusal) => failed(refusal.code, Some(name)),
    }
}

fn known(cx: &Context, topic: &Arc<Topic>) -> MetadataResponseTopic {
    let node = BrokerId(cx.cluster.settings.broker_id);
    let partitions = (0..topic.partition_count()).map(|index| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(node)
            .with_leader_epoch(LEADER_EPOCH)
            .with_replica_nodes(vec![node])
            .with_isr_nodes(vec![node])
    });
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_string(topic.name.clone()))))
        .with_topic_id(topic.id)
        .with_partitions(partitions.collect())
}
