//! What goes into a group and comes out of it, as plain data.

use bytes::Bytes;

use crate::wire::ErrorCode;

/// Names a request that waits for its answer.
pub(crate) type Ticket = u64;

/// Assignors and what the member tells them, in the member's order of preference.
pub(crate) type Protocols = Vec<(String, Bytes)>;

/// Member ids and what each of them is to read.
pub(crate) type Assignments = Vec<(String, Bytes)>;

/// What bounds a group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long a group without members waits for more than the first.
    pub(crate) initial_delay_ms: u64,
    /// How many members it may have.
    pub(crate) max_members: usize,
}

/// Where a group is in its life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum State {
    /// No members.
    Empty,
    /// Members are being gathered.
    PreparingRebalance,
    /// The generation is known; the leader's assignment is awaited.
    CompletingRebalance,
    /// Every member has its assignment.
    Stable,
}

impl State {
    /// Returns Kafka's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// A request to become or stay a member.
#[derive(Clone, Debug)]
pub(crate) struct Join {
    pub(crate) ticket: Ticket,
    /// Empty: not a member yet.
    pub(crate) member_id: String,
    /// The id to give if one is needed.
    pub(crate) fresh_id: String,
    /// A name that survives restarts of the client (KIP-345).
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session_timeout_ms: u64,
    pub(crate) rebalance_timeout_ms: u64,
    pub(crate) protocol_type: String,
    pub(crate) protocols: Protocols,
    /// The client comes back with the id it is given (KIP-394, JoinGroup 4 and later).
    pub(crate) returns_with_id: bool,
    /// The client knows how to lead without assigning (KIP-814, JoinGroup 9 and later).
    pub(crate) can_skip_assignment: bool,
}

/// The answer to a [`Join`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Joined {
    pub(crate) error: ErrorCode,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol_name: Option<String>,
    pub(crate) leader: String,
    pub(crate) skip_assignment: bool,
    pub(crate) member_id: String,
    /// For the leader only.
    pub(crate) members: Vec<JoinedMember>,
}

/// A member as the leader sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct JoinedMember {
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) metadata: Bytes,
}

impl Joined {
    pub(super) fn refused(error: ErrorCode, member_id: &str) -> Self {
        Self {
            error,
            generation: -1,
            member_id: member_id.to_owned(),
            ..Self::default()
        }
    }
}

/// A request for one's assignment; the leader brings everyone's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sync {
    pub(crate) ticket: Ticket,
    pub(crate) generation: i32,
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol_name: Option<String>,
    pub(crate) assignments: Assignments,
}

/// The answer to a [`Sync`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Synced {
    pub(crate) error: ErrorCode,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol_name: Option<String>,
    pub(crate) assignment: Bytes,
}

impl Synced {
    pub(super) fn refused(error: ErrorCode) -> Self {
        Self {
            error,
            ..Self::default()
        }
    }
}

/// A sign of life, or the credentials of an offset commit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heartbeat {
    pub(crate) generation: i32,
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
}

/// A member that goes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leave {
    /// May be empty for a static member that is removed by its instance id.
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
}

/// The answer to a request that waited.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    Joined(Ticket, Joined),
    Synced(Ticket, Synced),
}

/// A group as DescribeGroups shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct View {
    pub(crate) state: State,
    pub(crate) protocol_type: String,
    pub(crate) protocol_name: String,
    pub(crate) members: Vec<MemberView>,
}

/// A member as DescribeGroups shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct MemberView {
    pub(crate) member_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) metadata: Bytes,
    pub(crate) assignment: Bytes,
}

/// A group as ListGroups shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ListedGroup {
    pub(crate) group: String,
    pub(crate) protocol_type: String,
    pub(crate) state: State,
}
