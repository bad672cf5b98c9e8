//! OffsetDelete, version 0: delete committed offsets of a group (KIP-496).
//!
//! * While a member is subscribed to the topic, the error is `GROUP_SUBSCRIBED_TO_TOPIC`. If the members are not
//!   consumers, the broker does not know what they read. Then the error is `NON_EMPTY_GROUP`.
//! * A topic or partition that does not exist is `UNKNOWN_TOPIC_OR_PARTITION`, for that partition only. A partition without
//!   a committed offset is no error.

use super::{by_partition::Results, check, code};
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
    let results = match delete(cx, request) {
        Ok(results) => results,
        Err(error) => return answer.with_error_code(error.code()),
    };
    let topics = results.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(index, result)| {
            OffsetDeleteResponsePartition::default()
                .with_partition_index(index)
                .with_error_code(code(result))
        });
        OffsetDeleteResponseTopic::default().with_name(name).with_partitions(partitions.collect())
    });
    answer.with_topics(topics.collect())
}

fn delete(cx: &Context, request: OffsetDeleteRequest) -> Result<Results, ErrorCode> {
    check(&request.group_id)?;
    let asked = request.topics.into_iter().map(|topic| {
        let indexes = topic.partitions.iter().map(|partition| partition.partition_index);
        (topic.name, indexes.collect())
    });
    let (mut results, existing) = Results::of_existing(cx, asked, |index| *index);
    results.fill(cx.cluster.groups.delete_offsets(&request.group_id, &existing)?);
    Ok(results)
}
