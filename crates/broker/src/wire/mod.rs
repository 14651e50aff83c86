//! Kafka's messages on the wire: the one module that knows which library encodes them.
//!
//! The library is `kafka-wire`, which never reserves by a length a peer announced (decision 0004).
//! Headers of requests and responses, error codes and the limits of decoding are here too; the
//! Fetch response alone is written by hand, in `api/fetch/response.rs`, because it carries records
//! by reference.

mod error;
mod frame;
#[cfg(test)]
mod tests;

pub(crate) use error::ErrorCode;
pub(crate) use frame::{Answer, AnswerWriter, RequestHead, WireError, decode, encode};
pub(crate) use kafka_wire::{
    ApiVersionsRequest, ApiVersionsResponse, CreatePartitionsRequest, CreatePartitionsResponse,
    CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    DescribeClusterRequest, DescribeClusterResponse, DescribeConfigsRequest,
    DescribeConfigsResponse, DescribeGroupsRequest, DescribeGroupsResponse, FetchRequest,
    FindCoordinatorRequest, FindCoordinatorResponse, HeartbeatRequest, HeartbeatResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, InitProducerIdRequest,
    InitProducerIdResponse, JoinGroupRequest, JoinGroupResponse, KafkaRequest, LeaveGroupRequest,
    LeaveGroupResponse, ListGroupsRequest, ListGroupsResponse, ListOffsetsRequest,
    ListOffsetsResponse, MetadataRequest, MetadataResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse, ProduceRequest, ProduceResponse, SyncGroupRequest,
    SyncGroupResponse,
};
pub(crate) use kafka_wire::{
    api_versions_response, create_partitions_request, create_partitions_response,
    create_topics_request, create_topics_response, delete_topics_response,
    describe_cluster_response, describe_configs_request, describe_configs_response,
    describe_groups_response, fetch_request, find_coordinator_response,
    incremental_alter_configs_request, incremental_alter_configs_response, join_group_response,
    leave_group_response, list_groups_response, list_offsets_response, metadata_response,
    offset_commit_response, offset_fetch_request, offset_fetch_response,
    offset_for_leader_epoch_response, produce_request, produce_response,
};
pub(crate) use kafka_wire_core::{StrBytes, Uuid};

/// Makes a message with some fields set. The library's types are open to new fields, so they
/// cannot be written as struct expressions.
macro_rules! message {
    (@value $field:ident) => { $field };
    (@value $field:ident $value:expr) => { $value };
    ($message:path { $($field:ident $(: $value:expr)?),* $(,)? }) => {{
        let mut message = <$message>::default();
        $(message.$field = $crate::wire::message!(@value $field $($value)?);)*
        message
    }};
}
pub(crate) use message;

/// Makes the library's kind of string.
pub(crate) fn text(text: impl AsRef<str>) -> StrBytes {
    StrBytes::from(text.as_ref())
}
