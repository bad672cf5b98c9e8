//! OffsetDelete, version 0: delete committed offsets of a group (KIP-496).
//!
//! * Not while a member is subscribed to the topic: `GROUP_SUBSCRIBED_TO_TOPIC`. Of members that are no
//!   consumers it is not known what they read, so then nothing may be deleted: `NON_EMPTY_GROUP`.
//! * A topic or partition that does not exist is `UNKNOWN_TOPIC_OR_PARTITION`, for that partition only; that
//!   nothing is committed for it is no error.

use super::{check, code};
use crate::{
    api::Context,
    error_code::ErrorCode,
    wire::messages::{
        OffsetDeleteRequest, OffsetDeleteResponse,
        offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic},
    },
};

pub(crate) fn answer(cx: &Context, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let answer = OffsetDeleteResponse::default();
    match delete(cx, request) {
        Ok(topics) => answer.with_topics(topics),
        Err(error) => answer.with_error_code(error.code()),
    }
}

fn delete(
    cx: &Context,
    request: OffsetDeleteRequest,
) -> Result<Vec<OffsetDeleteResponseTopic>, ErrorCode> {
    check(&request.group_id)?;
    let mut existing = Vec::new();
    // Where in the answer the result for each existing partition goes.
    let mut places = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for asked in request.topics {
        let topic = cx.cluster.topics.named(&asked.name);
        let mut partitions = Vec::with_capacity(asked.partitions.len());
        for partition in asked.partitions {
            let index = partition.partition_index;
            let answer = OffsetDeleteResponsePartition::default().with_partition_index(index);
            if topic.as_ref().is_some_and(|topic| topic.partition(index).is_some()) {
                existing.push((asked.name.to_string(), index));
                places.push((topics.len(), partitions.len()));
                partitions.push(answer);
            } else {
                let error = ErrorCode::UnknownTopicOrPartition;
                partitions.push(answer.with_error_code(error.code()));
            }
        }
        let answer = OffsetDeleteResponseTopic::default().with_name(asked.name);
        topics.push(answer.with_partitions(partitions));
    }
    let results = cx.cluster.groups.delete_offsets(&request.group_id, &existing)?;
    for ((topic, partition), result) in places.into_iter().zip(results) {
        topics[topic].partitions[partition].error_code = code(result);
    }
    Ok(topics)
}
