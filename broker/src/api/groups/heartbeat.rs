//! Heartbeat, versions 0–4: a member is alive, and asks whether it must join again.
//!
//! * `REBALANCE_IN_PROGRESS`: join again. `ILLEGAL_GENERATION`, `UNKNOWN_MEMBER_ID`: the place is lost.
//! * From version 3 a static member names its instance; an incarnation that was replaced is told
//!   `FENCED_INSTANCE_ID`.

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
