//! SyncGroup (14), versions 0-5: hand in the assignment as leader, hear one's own.
//!
//! Departures: an assignment is bounded to 1 MiB a member (42).

use super::{MEMBER_LIMIT_BYTES, check_group, keep, keep_name};
use crate::api::{Caller, CloseReason};
use crate::group::{Sync, Synced};
use crate::wire::{ErrorCode, SyncGroupRequest, SyncGroupResponse, message, text};

const PROTOCOL_FROM: i16 = 5;

pub(in crate::api) async fn answer(
    caller: &Caller,
    _client_id: &str,
    version: i16,
    request: SyncGroupRequest,
) -> Result<SyncGroupResponse, CloseReason> {
    let too_large = |bytes: usize| bytes > MEMBER_LIMIT_BYTES;
    let mut assignments = request.assignments.iter();
    let refused = if check_group(&request.group_id).is_err() {
        Some(ErrorCode::InvalidGroupId)
    } else if assignments.any(|assigned| too_large(assigned.assignment.len())) {
        Some(ErrorCode::InvalidRequest)
    } else {
        None
    };
    if let Some(error) = refused {
        return Ok(message!(SyncGroupResponse {
            error_code: error.code(),
        }));
    }
    let assignments = request.assignments.iter();
    let sync = Sync {
        ticket: 0,
        generation: request.generation_id,
        member_id: request.member_id.to_string(),
        instance_id: keep_name(&request.group_instance_id),
        protocol_type: keep_name(&request.protocol_type),
        protocol_name: keep_name(&request.protocol_name),
        assignments: assignments
            .map(|assigned| (assigned.member_id.to_string(), keep(&assigned.assignment)))
            .collect(),
    };
    let syncing = caller.port.groups.sync(&request.group_id, sync);
    let synced = tokio::select! {
        synced = syncing => synced.map_err(|_| CloseReason::Gone)?,
        () = caller.gone() => return Err(CloseReason::Gone),
    };
    Ok(show(version, synced))
}

fn show(version: i16, synced: Synced) -> SyncGroupResponse {
    let has_protocol = version >= PROTOCOL_FROM;
    message!(SyncGroupResponse {
        error_code: synced.error.code(),
        protocol_type: synced.protocol_type.filter(|_| has_protocol).map(text),
        protocol_name: synced.protocol_name.filter(|_| has_protocol).map(text),
        assignment: synced.assignment,
    })
}
