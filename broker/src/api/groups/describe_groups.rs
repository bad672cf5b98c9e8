//! DescribeGroups, versions 0–6: state and members of groups.
//!
//! * Only a stable group is described with its assignor and its subscriptions, as in Kafka.
//! * An unknown group is a group in the state Dead. From version 6 on it also has the error `GROUP_ID_NOT_FOUND`.
//! * A group that is named twice is answered once.
//! * If the request asks for the authorized operations, the answer names all of them, as Kafka does without an authorizer.

use std::collections::HashSet;

use super::text;
use crate::{
    api::{Context, cluster::operations},
    error_code::ErrorCode,
    group::Group,
    wire::messages::{
        DescribeGroupsRequest, DescribeGroupsResponse, GroupId,
        describe_groups_response::{DescribedGroup, DescribedGroupMember},
    },
};

pub(crate) fn answer(cx: &Context, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let mut seen = HashSet::new();
    let once = request.groups.into_iter().filter(|group_id| seen.insert(group_id.clone()));
    let groups = once.map(|group_id| {
        let described = cx.cluster.groups.read(&group_id, describe);
        let described = described.unwrap_or_else(|| unknown(cx, &group_id)).with_group_id(group_id);
        if request.include_authorized_operations {
            described.with_authorized_operations(operations::GROUP)
        } else {
            described
        }
    });
    DescribeGroupsResponse::default().with_groups(groups.collect())
}

fn describe(group: &Group) -> DescribedGroup {
    let group = group.describe();
    let members = group.members.into_iter().map(|member| {
        DescribedGroupMember::default()
            .with_member_id(text(member.id))
            .with_group_instance_id(member.instance_id.map(text))
            .with_client_id(text(member.client_id))
            .with_client_host(text(member.client_host))
            .with_member_metadata(member.metadata)
            .with_member_assignment(member.assignment)
    });
    DescribedGroup::default()
        .with_group_state(text(group.state))
        .with_protocol_type(text(group.protocol_type))
        .with_protocol_data(text(group.protocol))
        .with_members(members.collect())
}

fn unknown(cx: &Context, group_id: &GroupId) -> DescribedGroup {
    let dead = DescribedGroup::default().with_group_state(text("Dead"));
    if cx.version < 6 {
        return dead;
    }
    dead.with_error_code(ErrorCode::GroupIdNotFound.code())
        .with_error_message(Some(text(format!("Group {} not found.", group_id.as_str()))))
}
