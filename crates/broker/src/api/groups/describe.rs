//! DescribeGroups (15), versions 0-6: state and members of groups, for tools.
//!
//! A group that has only committed offsets is «Empty». One that is not there is «Dead», from
//! version 6 on with error 69 (KIP-1043).

use crate::api::{Caller, CloseReason, operations};
use crate::group::{State, View};
use crate::wire::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use crate::wire::{DescribeGroupsRequest, DescribeGroupsResponse, ErrorCode, message, text};

const NOT_FOUND_FROM: i16 = 6;
const INSTANCES_FROM: i16 = 4;

pub(in crate::api) async fn answer(
    caller: &Caller,
    _client_id: &str,
    version: i16,
    request: DescribeGroupsRequest,
) -> Result<DescribeGroupsResponse, CloseReason> {
    let operations = if request.include_authorized_operations {
        operations::GROUP
    } else {
        operations::UNASKED
    };
    let groups = request.groups.into_iter().map(|group| {
        let view = caller.port.groups.view(&group);
        let is_empty = || caller.broker().committed(&group).is_some();
        let mut described = match view {
            Some(view) => show(version, view),
            None if is_empty() => message!(DescribedGroup {
                group_state: text(State::Empty.name()),
            }),
            None => message!(DescribedGroup {
                error_code: if version >= NOT_FOUND_FROM {
                    ErrorCode::GroupIdNotFound.code()
                } else {
                    0
                },
                group_state: text("Dead"),
            }),
        };
        described.group_id = group;
        described.authorized_operations = operations;
        described
    });
    Ok(message!(DescribeGroupsResponse {
        groups: groups.collect(),
    }))
}

fn show(version: i16, view: View) -> DescribedGroup {
    let members = view.members.into_iter().map(|member| {
        message!(DescribedGroupMember {
            member_id: text(&member.member_id),
            group_instance_id: member
                .instance_id
                .filter(|_| version >= INSTANCES_FROM)
                .map(text),
            client_id: text(&member.client_id),
            client_host: text(&member.client_host),
            member_metadata: member.metadata,
            member_assignment: member.assignment,
        })
    });
    message!(DescribedGroup {
        group_state: text(view.state.name()),
        protocol_type: text(&view.protocol_type),
        protocol_data: text(&view.protocol_name),
        members: members.collect(),
    })
}
