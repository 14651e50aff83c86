//! FindCoordinator (10), versions 0-6: who coordinates a group or a transactional id.
//!
//! There is one broker, so it is the one. Departure: share groups (key type 2) do not exist.

use super::{Caller, CloseReason};
use crate::wire::find_coordinator_response::Coordinator;
use crate::wire::{ErrorCode, FindCoordinatorRequest, FindCoordinatorResponse, message, text};

/// Groups and transactional ids.
const LAST_KEY_TYPE: i8 = 1;

pub(super) async fn answer(
    caller: &Caller,
    _client_id: &str,
    version: i16,
    request: FindCoordinatorRequest,
) -> Result<FindCoordinatorResponse, CloseReason> {
    let known = (0..=LAST_KEY_TYPE).contains(&request.key_type);
    let error = if known {
        ErrorCode::None
    } else {
        ErrorCode::InvalidRequest
    };
    let node_id = if known { caller.broker().node_id() } else { -1 };
    let host = text(if known {
        &caller.port.advertised.host
    } else {
        ""
    });
    let port = if known {
        i32::from(caller.port.advertised.port)
    } else {
        -1
    };
    if version < 4 {
        return Ok(message!(FindCoordinatorResponse {
            error_code: error.code(),
            node_id,
            host,
            port,
        }));
    }
    let found = request.coordinator_keys.into_iter().map(|key| {
        message!(Coordinator {
            key,
            node_id,
            host: host.clone(),
            port,
            error_code: error.code(),
        })
    });
    Ok(message!(FindCoordinatorResponse {
        coordinators: found.collect(),
    }))
}
