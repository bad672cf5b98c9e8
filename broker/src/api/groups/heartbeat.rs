//! Heartbeat, versions 0–4: a member says that it is alive, and learns whether it must join again.
//!
//! * `REBALANCE_IN_PROGRESS`: the member must join again. `ILLEGAL_GENERATION`, `UNKNOWN_MEMBER_ID`: it has lost its
//!   partitions.
//! * From version 3 on, a static member names its instance id. If another consumer has joined with this instance id since
//!   then, the error is `FENCED_INSTANCE_ID`.

use super::{check, code};
use crate::{
    api::Context,
    wire::messages::{HeartbeatRequest, HeartbeatResponse},
};

pub(crate) fn answer(cx: &Context, request: HeartbeatRequest) -> HeartbeatResponse {
    let result = check(&request.group_id).and_then(|()| {
        cx.cluster.groups.heartbeat(
            &request.group_id,
            &request.member_id,
            request.group_instance_id.as_deref(),
            request.generation_id,
        )
    });
    HeartbeatResponse::default().with_error_code(code(result))
}
