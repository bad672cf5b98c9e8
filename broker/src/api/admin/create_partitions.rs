//! CreatePartitions, versions 0–3: give topics more partitions (KIP-195).
//!
//! * The count is the new total. It must be larger than the old one. A key may belong to another partition afterwards,
//!   because clients divide the key's hash by the number of partitions.
//! * If the request assigns replicas by hand, it must name the one node for each new partition.

use super::text;
use crate::{
    api::Context,
    cluster::{Partitions, Refusal},
    error_code::ErrorCode,
    event::{TopicChange, TopicEvent},
    wire::messages::{
        CreatePartitionsRequest, CreatePartitionsResponse,
        create_partitions_request::CreatePartitionsTopic,
        create_partitions_response::CreatePartitionsTopicResult,
    },
};

pub(crate) fn answer(cx: &Context, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let mut changed = Vec::new();
    let results = request.topics.into_iter().map(|topic| {
        let grown = check_assignments(cx, &topic).and_then(|()| {
            cx.cluster.topics.grow(&topic.name, Partitions(topic.count), request.validate_only)
        });
        if grown.is_ok() && !request.validate_only {
            let change = TopicChange::Grown { partitions: topic.count };
            changed.push(TopicEvent { topic: topic.name.to_string(), change });
        }
        let result = CreatePartitionsTopicResult::default().with_name(topic.name);
        match grown {
            Ok(()) => result,
            Err(refusal) => result
                .with_error_code(refusal.code.code())
                .with_error_message(text(refusal.message)),
        }
    });
    let results = results.collect();
    cx.cluster.topics_changed(changed);
    CreatePartitionsResponse::default().with_results(results)
}

fn check_assignments(cx: &Context, asked: &CreatePartitionsTopic) -> Result<(), Refusal> {
    let Some(assignments) = &asked.assignments else { return Ok(()) };
    let Some(topic) = cx.cluster.topics.named(&asked.name) else { return Ok(()) };
    let refuse =
        |message: String| Err(Refusal { code: ErrorCode::InvalidReplicaAssignment, message });
    let new = i64::from(asked.count) - i64::from(topic.partition_count());
    if new > 0 && i64::try_from(assignments.len()) != Ok(new) {
        return refuse(format!(
            "Attempted to add {new} additional partition(s), but {} were assigned.",
            assignments.len()
        ));
    }
    let node = cx.cluster.settings.broker_id;
    if assignments.iter().any(|a| !a.broker_ids.iter().map(|id| id.0).eq([node])) {
        return refuse(format!("Every assignment must be [{node}]: there is one broker."));
    }
    Ok(())
}
