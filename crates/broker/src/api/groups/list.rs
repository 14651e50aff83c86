//! ListGroups (16), versions 0-5: the groups that have members or committed offsets, for tools.

use std::collections::BTreeMap;

use crate::api::{Caller, CloseReason};
use crate::group::State;
use crate::wire::list_groups_response::ListedGroup;
use crate::wire::{ListGroupsRequest, ListGroupsResponse, StrBytes, message, text};

const STATES_FROM: i16 = 4;
const TYPES_FROM: i16 = 5;
/// The only type of group there is.
const CLASSIC: &str = "classic";

pub(in crate::api) async fn answer(
    caller: &Caller,
    _client_id: &str,
    version: i16,
    request: ListGroupsRequest,
) -> Result<ListGroupsResponse, CloseReason> {
    let mut groups: BTreeMap<String, (String, State)> = BTreeMap::new();
    for name in caller.broker().groups() {
        groups.insert(name, (String::new(), State::Empty));
    }
    for listed in caller.port.groups.list() {
        groups.insert(listed.group, (listed.protocol_type, listed.state));
    }
    // Filters compare without regard to case, as Kafka's do; an empty one lets everything pass.
    let passes = |filter: &[StrBytes], value: &str| {
        filter.is_empty() || filter.iter().any(|one| one.eq_ignore_ascii_case(value))
    };
    let listed = groups
        .into_iter()
        .filter(|(_, (_, state))| {
            passes(&request.states_filter, state.name()) && passes(&request.types_filter, CLASSIC)
        })
        .map(|(name, (protocol_type, state))| {
            let state = if version >= STATES_FROM {
                state.name()
            } else {
                ""
            };
            let kind = if version >= TYPES_FROM { CLASSIC } else { "" };
            message!(ListedGroup {
                group_id: text(name),
                protocol_type: text(protocol_type),
                group_state: text(state),
                group_type: text(kind),
            })
        });
    Ok(message!(ListGroupsResponse {
        groups: listed.collect(),
    }))
}
