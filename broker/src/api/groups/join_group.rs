//! JoinGroup, versions 0–9: become a member of a group's next generation.
//!
//! * The answer comes when the generation begins: when all members have joined, or when the rebalance time-out is over.
//! * From version 4 on, a new member first gets a member id (`MEMBER_ID_REQUIRED`, KIP-394). Then it joins with this id.
//! * From version 5 on, a member may be static (KIP-345): if it restarts, the group does not rebalance.
//! * Only the leader gets the list of members with their metadata. It must compute the assignment.
//! * From version 9 on, a static leader that restarts is told to keep the assignment (KIP-814).
//! * The metadata of a member may have up to `message.max.bytes`. Kafka has the same limit, but checks it only when the
//!   leader syncs, because it keeps a group as one record of `__consumer_offsets`.
//! * `session_timeout_ms` must lie between `group.min.session.timeout.ms` and `group.max.session.timeout.ms`.

use bytes::Bytes;
use uuid::Uuid;

use super::{check, string, text};
use crate::{
    api::Context,
    group::{JoinAnswer, JoinError, JoinRequest, Protocol},
    wire::messages::{
        JoinGroupRequest, JoinGroupResponse, join_group_response::JoinGroupResponseMember,
    },
};

pub(crate) async fn answer(cx: &Context<'_>, request: JoinGroupRequest) -> JoinGroupResponse {
    let group_id = request.group_id.clone();
    let join = read(cx, request);
    let answer = match check(&group_id) {
        Ok(()) => cx.cluster.groups.join(&group_id, join).await,
        Err(error) => Err(JoinError { error, member_id: join.member_id }),
    };
    write(cx, answer)
}

fn read(cx: &Context, request: JoinGroupRequest) -> JoinRequest {
    // Version 0 has one time-out for both.
    let rebalance_timeout =
        if cx.version == 0 { request.session_timeout_ms } else { request.rebalance_timeout_ms };
    JoinRequest {
        member_id: request.member_id.to_string(),
        instance_id: string(request.group_instance_id.as_ref()),
        client_id: string(cx.client_id.as_ref()).unwrap_or_default(),
        client_host: format!("/{}", cx.session.remote.ip().to_canonical()),
        session_timeout: request.session_timeout_ms.into(),
        rebalance_timeout: rebalance_timeout.into(),
        protocol_type: request.protocol_type.to_string(),
        protocols: request
            .protocols
            .iter()
            .map(|protocol| Protocol {
                name: protocol.name.to_string(),
                // A copy: a slice would keep the whole request in memory.
                metadata: Bytes::copy_from_slice(&protocol.metadata),
            })
            .collect(),
        needs_member_id: cx.version >= 4,
        can_skip_assignment: cx.version >= 9,
        uuid: Uuid::new_v4().to_string(),
    }
}

fn write(cx: &Context, answer: JoinAnswer) -> JoinGroupResponse {
    // The name of the assignor may be null from version 7 on.
    let protocol_name = |name: Option<String>| match name {
        None if cx.version < 7 => Some(text("")),
        name => name.map(text),
    };
    match answer {
        Err(JoinError { error, member_id }) => JoinGroupResponse::default()
            .with_error_code(error.code())
            .with_generation_id(-1)
            .with_protocol_name(protocol_name(None))
            .with_member_id(text(member_id)),
        Ok(joined) => {
            let members = joined.members.into_iter().map(|member| {
                JoinGroupResponseMember::default()
                    .with_member_id(text(member.id))
                    .with_group_instance_id(member.instance_id.map(text))
                    .with_metadata(member.metadata)
            });
            JoinGroupResponse::default()
                .with_generation_id(joined.generation)
                .with_protocol_type(joined.protocol_type.map(text))
                .with_protocol_name(protocol_name(joined.protocol_name))
                .with_leader(text(joined.leader))
                .with_skip_assignment(joined.skip_assignment)
                .with_member_id(text(joined.member_id))
                .with_members(members.collect())
        }
    }
}
