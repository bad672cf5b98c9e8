//! LeaveGroup, versions 0–5: remove members from a group.
//!
//! * One member up to version 2, many from version 3 on. A static member can be named by its instance id alone (KIP-345).
//! * The group rebalances once for all members that leave. An unknown member has its own error, and the others leave.
//! * The reason in version 5 is ignored (KIP-800). Kafka writes it to its log.

use super::{check, code, string, text};
use crate::{
    api::Context,
    group::Leaving,
    wire::messages::{LeaveGroupRequest, LeaveGroupResponse, leave_group_response::MemberResponse},
};

pub(crate) fn answer(cx: &Context, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let leaving = if cx.version < 3 {
        vec![Leaving { member_id: request.member_id.to_string(), instance_id: None }]
    } else {
        let leaving = request.members.iter().map(|member| Leaving {
            member_id: member.member_id.to_string(),
            instance_id: string(member.group_instance_id.as_ref()),
        });
        leaving.collect()
    };
    let left =
        check(&request.group_id).and_then(|()| cx.cluster.groups.leave(&request.group_id, leaving));
    let answer = LeaveGroupResponse::default();
    match left {
        Err(error) => answer.with_error_code(error.code()),
        Ok(left) if cx.version < 3 => {
            answer.with_error_code(left.first().map_or(0, |left| code(left.result)))
        }
        Ok(left) => {
            let members = left.into_iter().map(|left| {
                MemberResponse::default()
                    .with_member_id(text(left.member_id))
                    .with_group_instance_id(left.instance_id.map(text))
                    .with_error_code(code(left.result))
            });
            answer.with_members(members.collect())
        }
    }
}
