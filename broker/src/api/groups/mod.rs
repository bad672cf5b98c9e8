//! Consumer groups: who coordinates them, membership, and committed offsets.

mod by_partition;
pub(super) mod delete_groups;
pub(super) mod describe_groups;
pub(super) mod find_coordinator;
pub(super) mod heartbeat;
pub(super) mod join_group;
pub(super) mod leave_group;
pub(super) mod list_groups;
pub(super) mod offset_commit;
pub(super) mod offset_delete;
pub(super) mod offset_fetch;
pub(super) mod sync_group;

use crate::{
    error_code::ErrorCode,
    wire::{StrBytes, messages::GroupId},
};

/// Membership needs a name for the group. Offsets may be kept under the empty one, as old clients did.
fn check(group_id: &GroupId) -> Result<(), ErrorCode> {
    if group_id.is_empty() { Err(ErrorCode::InvalidGroupId) } else { Ok(()) }
}

fn code(result: Result<(), ErrorCode>) -> i16 {
    result.err().unwrap_or(ErrorCode::None).code()
}

fn string(text: Option<&StrBytes>) -> Option<String> {
    text.map(StrBytes::to_string)
}

fn text(string: impl Into<String>) -> StrBytes {
    StrBytes::from_string(string.into())
}
