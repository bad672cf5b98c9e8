//! CreateTopics, versions 2–7: create topics.
//!
//! * Partition count −1 means `num.partitions`, replication factor −1 means 1 (KIP-464). There is one node, so
//!   more replicas are `INVALID_REPLICATION_FACTOR`.
//! * A topic named twice in one request is `INVALID_REQUEST` for that name.
//! * More than 10,000 partitions in one request are `POLICY_VIOLATION` for every topic in it, as in Kafka.
//! * `__consumer_offsets` and `__transaction_state` are `INVALID_TOPIC_EXCEPTION`. Kafka lets clients create them
//!   until it has created them itself.
//! * With `validate_only`, nothing is created. The answer says what would happen.
//! * From version 5 on, the answer contains the topic's settings (KIP-525).

use std::collections::{BTreeMap, HashMap};

use super::{describe_configs, text};
use crate::{
    api::Context,
    cluster::{NewTopic, Refusal, Topic},
    error_code::ErrorCode,
    event::{TopicChange, TopicEvent},
    settings::MAX_PARTITIONS,
    wire::{
        StrBytes,
        messages::{
            CreateTopicsRequest, CreateTopicsResponse, TopicName,
            create_topics_request::{CreatableReplicaAssignment, CreatableTopic},
            create_topics_response::{CreatableTopicConfigs, CreatableTopicResult},
        },
    },
};

pub(crate) fn answer(cx: &Context, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let mut times: HashMap<TopicName, usize> = HashMap::new();
    for topic in &request.topics {
        *times.entry(topic.name.clone()).or_default() += 1;
    }
    let mut changed = Vec::new();
    let in_all: i64 = request.topics.iter().map(|topic| asked_partitions(cx, topic)).sum();
    let are_too_many = in_all > i64::from(MAX_PARTITIONS);
    // One result for each name, at its first mention.
    let results =
        request.topics.into_iter().filter_map(|topic| match times.remove(&topic.name)? {
            1 if are_too_many => {
                let message = format!(
                    "This request asks for {in_all} partitions in all. Ask for at most {MAX_PARTITIONS} at a time."
                );
                Some(failed(topic.name, Refusal { code: ErrorCode::PolicyViolation, message }))
            }
            1 => Some(create(cx, topic, request.validate_only, &mut changed)),
            _ => {
                let message = "Duplicate topic name.".to_owned();
                Some(failed(topic.name, Refusal { code: ErrorCode::InvalidRequest, message }))
            }
        });
    let results = results.collect();
    cx.cluster.topics_changed(changed);
    CreateTopicsResponse::default().with_topics(results)
}

fn create(
    cx: &Context,
    asked: CreatableTopic,
    only_validate: bool,
    changed: &mut Vec<TopicEvent>,
) -> CreatableTopicResult {
    let partitions = match partitions(cx, &asked) {
        Ok(partitions) => partitions,
        Err(refusal) => return failed(asked.name, refusal),
    };
    let mut overrides = BTreeMap::new();
    for config in asked.configs {
        let Some(value) = config.value else {
            let message = format!("Null value not supported for topic configs: {}", config.name);
            return failed(asked.name, Refusal { code: ErrorCode::InvalidConfig, message });
        };
        overrides.insert(config.name.to_string(), value.to_string());
    }
    let new = NewTopic { name: asked.name.to_string(), partitions, overrides };
    match cx.cluster.topics.create(new, only_validate) {
        Err(refusal) => failed(asked.name, refusal),
        Ok(topic) => {
            if !only_validate {
                let change = TopicChange::Created { partitions };
                changed.push(TopicEvent { topic: topic.name.clone(), change });
            }
            made(cx, &topic).with_name(asked.name)
        }
    }
}

/// How many partitions are asked for, whether they can be had or not.
fn asked_partitions(cx: &Context, asked: &CreatableTopic) -> i64 {
    match (asked.assignments.len(), asked.num_partitions) {
        (0, -1) => cx.cluster.settings.num_partitions.into(),
        (0, count) => count.max(0).into(),
        (assigned, _) => i64::try_from(assigned).unwrap_or(i64::MAX),
    }
}

/// How many partitions are asked for, by number or by a list of replicas, if they can be had.
fn partitions(cx: &Context, asked: &CreatableTopic) -> Result<i32, Refusal> {
    let refuse = |code, message: &str| Err(Refusal { code, message: message.to_owned() });
    if !asked.assignments.is_empty() {
        if asked.num_partitions != -1 || asked.replication_factor != -1 {
            let message = "A manual partition assignment was specified, so partition count and replication factor must be -1.";
            return refuse(ErrorCode::InvalidRequest, message);
        }
        return assigned(cx, &asked.assignments);
    }
    match asked.replication_factor {
        -1 | 1 => {}
        0 | ..-1 => {
            return refuse(
                ErrorCode::InvalidReplicationFactor,
                "Replication factor must be larger than 0, or -1 to use the default value.",
            );
        }
        factor => {
            let message = format!(
                "Unable to replicate the partition {factor} time(s): there is only 1 broker."
            );
            return refuse(ErrorCode::InvalidReplicationFactor, &message);
        }
    }
    match asked.num_partitions {
        -1 => Ok(cx.cluster.settings.num_partitions),
        0 | ..-1 => refuse(
            ErrorCode::InvalidPartitions,
            "Number of partitions was set to an invalid non-positive value.",
        ),
        count => Ok(count),
    }
}

/// Replicas listed by hand: partitions 0, 1, 2 … each on this one node.
fn assigned(cx: &Context, assignments: &[CreatableReplicaAssignment]) -> Result<i32, Refusal> {
    let refuse =
        |message: String| Err(Refusal { code: ErrorCode::InvalidReplicaAssignment, message });
    let mut indexes: Vec<i32> = assignments.iter().map(|a| a.partition_index).collect();
    indexes.sort_unstable();
    if !indexes.iter().copied().eq(0..) && !indexes.iter().copied().zip(0..).all(|(a, b)| a == b) {
        return refuse("partitions should be a consecutive 0-based integer sequence".to_owned());
    }
    let node = cx.cluster.settings.broker_id;
    for assignment in assignments {
        if !assignment.broker_ids.iter().map(|id| id.0).eq([node]) {
            let replicas: Vec<i32> = assignment.broker_ids.iter().map(|id| id.0).collect();
            return refuse(format!(
                "The manual partition assignment {replicas:?} must be [{node}]: there is one broker."
            ));
        }
    }
    i32::try_from(assignments.len()).or_else(|_| refuse("too many partitions".to_owned()))
}

fn made(cx: &Context, topic: &Topic) -> CreatableTopicResult {
    // The codec's default is an empty message, and Kafka's is none.
    let result = CreatableTopicResult::default().with_error_message(None);
    if cx.version < 5 {
        return result;
    }
    let configs = describe_configs::topic_settings(cx, topic).into_iter().map(|config| {
        CreatableTopicConfigs::default()
            .with_name(StrBytes::from_static_str(config.setting.name))
            .with_value(text(config.setting.value))
            .with_config_source(config.source)
    });
    let result = result
        .with_num_partitions(topic.partition_count())
        .with_replication_factor(1)
        .with_configs(Some(configs.collect()));
    if cx.version >= 7 { result.with_topic_id(topic.id) } else { result }
}

fn failed(name: TopicName, refusal: Refusal) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_name(name)
        .with_error_code(refusal.code.code())
        .with_error_message(text(refusal.message))
}
