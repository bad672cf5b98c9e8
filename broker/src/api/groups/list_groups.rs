//! ListGroups, versions 0–5: all groups, or those in some states (from version 4 on) or of some types (version 5).
//!
//! * Filters ignore upper and lower case, as in Kafka. All groups are of the type `classic`.

use super::text;
use crate::{
    api::Context,
    group::Group,
    wire::messages::{
        GroupId, ListGroupsRequest, ListGroupsResponse, list_groups_response::ListedGroup,
    },
};

const CLASSIC: &str = "classic";

pub(crate) fn answer(cx: &Context, request: ListGroupsRequest) -> ListGroupsResponse {
    let matches = |filter: &[_], value: &str| {
        filter.is_empty()
            || filter
                .iter()
                .any(|text: &crate::wire::StrBytes| text.trim().eq_ignore_ascii_case(value))
    };
    let list = |group: &Group| {
        let is_wanted = matches(&request.states_filter, group.state_name())
            && matches(&request.types_filter, CLASSIC);
        is_wanted.then(|| {
            let listed = ListedGroup::default()
                .with_group_id(GroupId(text(group.id())))
                .with_protocol_type(text(group.protocol_type()));
            match cx.version {
                ..=3 => listed,
                4 => listed.with_group_state(text(group.state_name())),
                _ => {
                    listed.with_group_state(text(group.state_name())).with_group_type(text(CLASSIC))
                }
            }
        })
    };
    let groups = cx.cluster.groups.read_all(list).into_iter().flatten();
    ListGroupsResponse::default().with_groups(groups.collect())
}
