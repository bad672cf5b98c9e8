//! DeleteTopics, versions 1–6: delete topics with their records and committed offsets.
//!
//! * By name, or from version 6 on by id. An unknown id is `UNKNOWN_TOPIC_ID`.
//! * A topic named twice in one request is `INVALID_REQUEST`.
//! * A Fetch that waits for the topic is answered at once. The answer says that the topic does not exist any more.

use std::collections::HashMap;

use uuid::Uuid;

use super::text;
use crate::{
    api::Context,
    error_code::ErrorCode,
    event::{TopicChange, TopicEvent},
    wire::{
        StrBytes,
        messages::{
            DeleteTopicsRequest, DeleteTopicsResponse, TopicName,
            delete_topics_response::DeletableTopicResult,
        },
    },
};

pub(crate) fn answer(cx: &Context, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let by_name = request.topic_names.into_iter().map(|name| (Some(name), Uuid::nil()));
    let by_either = request.topics.into_iter().map(|topic| (topic.name, topic.topic_id));
    let asked: Vec<(Option<TopicName>, Uuid)> = by_name.chain(by_either).collect();
    let mut times: HashMap<(Option<TopicName>, Uuid), usize> = HashMap::new();
    for topic in &asked {
        *times.entry(topic.clone()).or_default() += 1;
    }
    let mut changed = Vec::new();
    // One result for each topic, at its first mention.
    let responses = asked.into_iter().filter_map(|topic| match times.remove(&topic)? {
        1 => Some(delete(cx, topic, &mut changed)),
        _ => Some(failed(cx, topic, ErrorCode::InvalidRequest, "Duplicate topic name.".to_owned())),
    });
    let responses = responses.collect();
    cx.cluster.topics_changed(changed);
    DeleteTopicsResponse::default().with_responses(responses)
}

fn delete(
    cx: &Context,
    (name, id): (Option<TopicName>, Uuid),
    changed: &mut Vec<TopicEvent>,
) -> DeletableTopicResult {
    let found = cx
        .cluster
        .topics
        .with_id(id)
        .map(|topic| TopicName(StrBytes::from_string(topic.name.clone())));
    let Some(name) = name.or(found) else {
        let message = "This server does not host this topic ID.".to_owned();
        return failed(cx, (None, id), ErrorCode::UnknownTopicId, message);
    };
    match cx.cluster.topics.delete(&name) {
        Err(refusal) => failed(cx, (Some(name), id), refusal.code, refusal.message),
        Ok(topic) => {
            changed.push(TopicEvent { topic: topic.name.clone(), change: TopicChange::Deleted });
            let result = DeletableTopicResult::default().with_name(Some(name));
            if cx.version >= 6 { result.with_topic_id(topic.id) } else { result }
        }
    }
}

fn failed(
    cx: &Context,
    (name, id): (Option<TopicName>, Uuid),
    code: ErrorCode,
    message: String,
) -> DeletableTopicResult {
    let result = DeletableTopicResult::default()
        .with_name(name)
        .with_topic_id(id)
        .with_error_code(code.code());
    if cx.version >= 5 { result.with_error_message(text(message)) } else { result }
}
