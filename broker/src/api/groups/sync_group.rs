//! SyncGroup, versions 0–5: the leader sends the assignment, and every member gets its part.
//!
//! * Each SyncGroup is answered when the leader has sent the assignment.
//! * Metadata and assignments of a group may have up to `message.max.bytes` together. More is `UNKNOWN_SERVER_ERROR` for
//!   all members, as in Kafka, which keeps a group as one record of `__consumer_offsets`.
//! * A member without partitions in the leader's assignment gets an empty assignment.
//! * From version 5 on, the request must name the protocol and its type. Wrong ones are
//!   `INCONSISTENT_GROUP_PROTOCOL` (KIP-559).

use bytes::Bytes;

use super::{check, string, text};
use crate::{
    api::Context,
    error_code::ErrorCode,
    group::{SyncAnswer, SyncRequest},
    wire::messages::{SyncGroupRequest, SyncGroupResponse},
};

pub(crate) async fn answer(cx: &Context<'_>, request: SyncGroupRequest) -> SyncGroupResponse {
    match sync(cx, request).await {
        Err(error) => SyncGroupResponse::default().with_error_code(error.code()),
        Ok(synced) => SyncGroupResponse::default()
            .with_protocol_type(synced.protocol_type.map(text))
            .with_protocol_name(synced.protocol_name.map(text))
            .with_assignment(synced.assignment),
    }
}

async fn sync(cx: &Context<'_>, request: SyncGroupRequest) -> SyncAnswer {
    if cx.version >= 5 && (request.protocol_type.is_none() || request.protocol_name.is_none()) {
        return Err(ErrorCode::InconsistentGroupProtocol);
    }
    check(&request.group_id)?;
    let assignments = request.assignments.into_iter().map(|assigned| {
        // A copy: a slice would keep the whole request in memory.
        (assigned.member_id.to_string(), Bytes::copy_from_slice(&assigned.assignment))
    });
    let sync = SyncRequest {
        member_id: request.member_id.to_string(),
        instance_id: string(request.group_instance_id.as_ref()),
        generation: request.generation_id,
        protocol_type: string(request.protocol_type.as_ref()),
        protocol_name: string(request.protocol_name.as_ref()),
        assignments: assignments.collect(),
    };
    cx.cluster.groups.sync(&request.group_id, sync).await
}
