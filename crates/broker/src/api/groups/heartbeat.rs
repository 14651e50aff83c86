//! Heartbeat (12), versions 0-4: still here; hear if the group is gathering anew.

use super::{check_group, keep_name};
use crate::api::{Caller, CloseReason};
use crate::group::Heartbeat;
use crate::wire::{HeartbeatRequest, HeartbeatResponse, message};

pub(in crate::api) async fn answer(
    caller: &Caller,
    _client_id: &str,
    _version: i16,
    request: HeartbeatRequest,
) -> Result<HeartbeatResponse, CloseReason> {
    let beat = Heartbeat {
        generation: request.generation_id,
        member_id: request.member_id.to_string(),
        instance_id: keep_name(&request.group_instance_id),
    };
    let error = match check_group(&request.group_id) {
        Err(error) => error,
        Ok(()) => caller.port.groups.heartbeat(&request.group_id, &beat),
    };
    Ok(message!(HeartbeatResponse {
        error_code: error.code(),
    }))
}
