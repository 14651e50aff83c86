//! JoinGroup (11), versions 0-9: become a member and hear of the next generation.
//!
//! Departures: names are bounded to 1 KiB and a member's metadata to 1 MiB (42).

use super::{MEMBER_LIMIT_BYTES, NAME_LIMIT_BYTES, check_group, keep, keep_name};
use crate::api::{Caller, CloseReason};
use crate::group::{Join, Joined};
use crate::wire::join_group_response::JoinGroupResponseMember;
use crate::wire::{ErrorCode, JoinGroupRequest, JoinGroupResponse, message, text};

/// The first version whose clients come back with the id they are given (KIP-394).
const RETURNS_WITH_ID_FROM: i16 = 4;
const PROTOCOL_TYPE_FROM: i16 = 7;
/// The first version whose clients can lead without assigning (KIP-814).
const SKIPS_ASSIGNMENT_FROM: i16 = 9;

pub(in crate::api) async fn answer(
    caller: &Caller,
    client_id: &str,
    version: i16,
    request: JoinGroupRequest,
) -> Result<JoinGroupResponse, CloseReason> {
    if let Err(error) = check(caller, client_id, &request) {
        return Ok(message!(JoinGroupResponse {
            error_code: error.code(),
            generation_id: -1,
            protocol_name: empty_name(version),
            member_id: request.member_id,
        }));
    }
    let session_timeout_ms = u64::try_from(request.session_timeout_ms).unwrap_or(0);
    let protocols = request.protocols.iter();
    let join = Join {
        ticket: 0,
        member_id: request.member_id.to_string(),
        fresh_id: String::new(),
        instance_id: keep_name(&request.group_instance_id),
        client_id: client_id.to_owned(),
        client_host: format!("/{}", caller.host),
        session_timeout_ms,
        // Version 0 does not have it.
        rebalance_timeout_ms: u64::try_from(request.rebalance_timeout_ms)
            .unwrap_or(session_timeout_ms),
        protocol_type: request.protocol_type.to_string(),
        protocols: protocols
            .map(|protocol| (protocol.name.to_string(), keep(&protocol.metadata)))
            .collect(),
        returns_with_id: version >= RETURNS_WITH_ID_FROM,
        can_skip_assignment: version >= SKIPS_ASSIGNMENT_FROM,
    };
    let joining = caller.port.groups.join(&request.group_id, join);
    let joined = tokio::select! {
        joined = joining => joined.map_err(|_| CloseReason::Gone)?,
        () = caller.gone() => return Err(CloseReason::Gone),
    };
    Ok(show(version, joined))
}

fn check(caller: &Caller, client_id: &str, request: &JoinGroupRequest) -> Result<(), ErrorCode> {
    check_group(&request.group_id)?;
    let settings = caller.broker().settings();
    let allowed = settings.group_min_session_timeout_ms..=settings.group_max_session_timeout_ms;
    if !allowed.contains(&request.session_timeout_ms) {
        return Err(ErrorCode::InvalidSessionTimeout);
    }
    let instance = request.group_instance_id.as_deref().unwrap_or_default();
    let names = [
        client_id,
        &request.member_id,
        instance,
        &request.protocol_type,
    ];
    let bytes: usize = request
        .protocols
        .iter()
        .map(|protocol| protocol.name.len() + protocol.metadata.len())
        .sum();
    if names.iter().any(|name| name.len() > NAME_LIMIT_BYTES) || bytes > MEMBER_LIMIT_BYTES {
        return Err(ErrorCode::InvalidRequest);
    }
    Ok(())
}

/// Versions before 7 have no null for the name of the protocol.
fn empty_name(version: i16) -> Option<crate::wire::StrBytes> {
    (version < PROTOCOL_TYPE_FROM).then(|| text(""))
}

fn show(version: i16, joined: Joined) -> JoinGroupResponse {
    let members = joined.members.into_iter().map(|member| {
        message!(JoinGroupResponseMember {
            member_id: text(&member.member_id),
            group_instance_id: member.instance_id.filter(|_| version >= 5).map(text),
            metadata: member.metadata,
        })
    });
    let protocol_name = joined.protocol_name.map(text);
    message!(JoinGroupResponse {
        error_code: joined.error.code(),
        generation_id: joined.generation,
        protocol_type: joined
            .protocol_type
            .filter(|_| version >= PROTOCOL_TYPE_FROM)
            .map(text),
        protocol_name: protocol_name.or_else(|| empty_name(version)),
        leader: text(&joined.leader),
        skip_assignment: joined.skip_assignment,
        member_id: text(&joined.member_id),
        members: members.collect(),
    })
}
