//! DeleteGroups, versions 0–2: delete groups with their committed offsets.
//!
//! * A group with members is `NON_EMPTY_GROUP`, an unknown one `GROUP_ID_NOT_FOUND`. Each group has its own error.

use super::code;
use crate::{
    api::Context,
    wire::messages::{
        DeleteGroupsRequest, DeleteGroupsResponse, delete_groups_response::DeletableGroupResult,
    },
};

pub(crate) fn answer(cx: &Context, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut groups = request.groups_names;
    // As in Kafka, a group that is named twice is answered once.
    groups.sort();
    groups.dedup();
    let results = groups.into_iter().map(|group_id| {
        let result = cx.cluster.groups.delete(&group_id);
        DeletableGroupResult::default().with_group_id(group_id).with_error_code(code(result))
    });
    DeleteGroupsResponse::default().with_results(results.collect())
}
