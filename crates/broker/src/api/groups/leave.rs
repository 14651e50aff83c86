//! LeaveGroup (13), versions 0-5: go at once instead of when the session ends.
//!
//! From version 3 on several members, also static ones by their names (KIP-345).

use super::{check_group, keep_name};
use crate::api::{Caller, CloseReason};
use crate::group::Leave;
use crate::wire::leave_group_response::MemberResponse;
use crate::wire::{ErrorCode, LeaveGroupRequest, LeaveGroupResponse, message};

const MEMBERS_FROM: i16 = 3;

pub(in crate::api) async fn answer(
    caller: &Caller,
    _client_id: &str,
    version: i16,
    request: LeaveGroupRequest,
) -> Result<LeaveGroupResponse, CloseReason> {
    let refused = |error: ErrorCode| {
        message!(LeaveGroupResponse {
            error_code: error.code(),
        })
    };
    if let Err(error) = check_group(&request.group_id) {
        return Ok(refused(error));
    }
    let groups = &caller.port.groups;
    if version < MEMBERS_FROM {
        let leave = Leave {
            member_id: request.member_id.to_string(),
            instance_id: None,
        };
        let left = groups.leave(&request.group_id, &[leave]);
        return Ok(refused(left.first().copied().unwrap_or_default()));
    }
    let leaves = request.members.iter().map(|member| Leave {
        member_id: member.member_id.to_string(),
        instance_id: keep_name(&member.group_instance_id),
    });
    let left = groups.leave(&request.group_id, &leaves.collect::<Vec<_>>());
    let members = request.members.into_iter().zip(left);
    let members = members.map(|(member, error)| {
        message!(MemberResponse {
            member_id: member.member_id,
            group_instance_id: member.group_instance_id,
            error_code: error.code(),
        })
    });
    Ok(message!(LeaveGroupResponse {
        members: members.collect(),
    }))
}
