//! DeleteTopics, versions 1–6: delete topics with their records and committed offsets.
//!
//! * By name, or from version 6 by id; an unknown id is `UNKNOWN_TOPIC_ID`.
//! * Fetches that wait for the topic are woken and learn that it is gone.

use uuid::Uuid;

use super::text;
use crate::{
    ErrorCode,
    api::Context,
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
    let responses = by_name.chain(by_either).map(|(name, id)| delete(cx, name, id));
    DeleteTopicsResponse::default().with_responses(responses.collect())
}

fn delete(cx: &Context, name: Option<TopicName>, id: Uuid) -> DeletableTopicResult {
    let result = DeletableTopicResult::default();
    let failed = |result: DeletableTopicResult, code: ErrorCode, message: String| {
        let result = result.with_error_code(code.code());
        if cx.version >= 5 { result.with_error_message(text(message)) } else { result }
    };
    let name = match name {
        Some(name) => name,
        None => match cx.cluster.topics.with_id(id) {
            Some(topic) => TopicName(StrBytes::from_string(topic.name.clone())),
            None => {
                let message = "This server does not host this topic ID.".to_owned();
                return failed(result.with_topic_id(id), ErrorCode::UnknownTopicId, message);
            }
        },
    };
    match cx.cluster.topics.delete(&name) {
        Err(refusal) => failed(result.with_name(Some(name)), refusal.code, refusal.message),
        Ok(topic) => {
            tracing::info!(topic = %topic.name, "deleted a topic");
            let result = result.with_name(Some(name));
            if cx.version >= 6 { result.with_topic_id(topic.id) } else { result }
        }
    }
}
