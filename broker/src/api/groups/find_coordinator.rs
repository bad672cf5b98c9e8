//! FindCoordinator, versions 0–6: which node coordinates a group or a transactional id.
//!
//! * The answer is always this node, at the address that the client connected to, unless `advertised.listeners` is set.
//!   Kafka spreads groups over its nodes. It answers `COORDINATOR_NOT_AVAILABLE` while it creates `__consumer_offsets`.
//! * From version 4 on, a request can name many groups (KIP-699).
//!
//! Left out: share groups (key type 2). They are `INVALID_REQUEST`, as in a Kafka without share groups.

use super::text;
use crate::{
    api::Context,
    error_code::ErrorCode,
    wire::{
        StrBytes,
        messages::{
            BrokerId, FindCoordinatorRequest, FindCoordinatorResponse,
            find_coordinator_response::Coordinator,
        },
    },
};

/// The key types: 0 a group, 1 a transactional id.
const KEY_TYPES: std::ops::RangeInclusive<i8> = 0..=1;

pub(crate) fn answer(cx: &Context, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    let is_known = KEY_TYPES.contains(&request.key_type);
    let (error, node_id, (host, port)) = if is_known {
        (ErrorCode::None, cx.cluster.settings.broker_id, cx.advertised())
    } else {
        (ErrorCode::InvalidRequest, -1, (StrBytes::default(), -1))
    };
    if cx.version < 4 {
        return FindCoordinatorResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(text(error.name())))
            .with_node_id(BrokerId(node_id))
            .with_host(host)
            .with_port(port);
    }
    let coordinator = |key| {
        Coordinator::default()
            .with_key(key)
            .with_error_code(error.code())
            .with_node_id(BrokerId(node_id))
            .with_host(host.clone())
            .with_port(port)
    };
    FindCoordinatorResponse::default()
        .with_coordinators(request.coordinator_keys.into_iter().map(coordinator).collect())
}
