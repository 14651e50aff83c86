//! Kafka's APIs, a file each: what a request means to the log, and what it is answered.
//!
//! [`APIS`] is the one list of what is served. Everything a peer sends is bounded before it is
//! kept; a request that Kafka would not answer ends its connection here too.

mod api_versions;
mod create_partitions;
mod create_topics;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod fetch;
mod find_coordinator;
mod groups;
mod incremental_alter_configs;
mod init_producer_id;
mod list_offsets;
mod metadata;
mod offset_commit;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::broker::{Broker, Inner};
use crate::group::{Coordinator, Limits};
use crate::net::Endpoint;
use crate::read::partition::{Partition, Topic, TopicTable};
use crate::rules::Checks;
use crate::wire::{self, Answer, ErrorCode, KafkaRequest, RequestHead, Uuid, WireError};

/// An API and the versions of it that are served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Api {
    /// Kafka's number.
    pub key: i16,
    /// Kafka's name.
    pub name: &'static str,
    /// The oldest version served.
    pub least: i16,
    /// The newest version served.
    pub most: i16,
    /// The oldest version told to clients.
    pub advertised_least: i16,
}

const fn api(key: i16, name: &'static str, least: i16, most: i16) -> Api {
    let advertised_least = least;
    Api {
        key,
        name,
        least,
        most,
        advertised_least,
    }
}

/// All APIs of the port, by key.
pub const APIS: &[Api] = &[
    Api {
        // Older librdkafka turns compression off otherwise (KAFKA-18659); Kafka says 0 as well.
        advertised_least: 0,
        ..api(0, "Produce", 3, 13)
    },
    api(1, "Fetch", 4, 18),
    api(2, "ListOffsets", 1, 11),
    api(3, "Metadata", 0, 13),
    api(8, "OffsetCommit", 2, 10),
    api(9, "OffsetFetch", 1, 10),
    api(10, "FindCoordinator", 0, 6),
    api(11, "JoinGroup", 0, 9),
    api(12, "Heartbeat", 0, 4),
    api(13, "LeaveGroup", 0, 5),
    api(14, "SyncGroup", 0, 5),
    api(15, "DescribeGroups", 0, 6),
    api(16, "ListGroups", 0, 5),
    api(18, "ApiVersions", 0, 4),
    api(19, "CreateTopics", 2, 7),
    api(20, "DeleteTopics", 1, 6),
    api(22, "InitProducerId", 0, 5),
    api(23, "OffsetForLeaderEpoch", 2, 4),
    api(32, "DescribeConfigs", 1, 4),
    api(37, "CreatePartitions", 0, 3),
    api(44, "IncrementalAlterConfigs", 0, 1),
    api(60, "DescribeCluster", 0, 2),
];

const PRODUCE: i16 = 0;
const API_VERSIONS: i16 = 18;

/// What all connections of a port share.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) broker: Broker,
    groups: Arc<Coordinator>,
    advertised: Endpoint,
    checks: Checks,
}

impl Port {
    /// Starts what a port needs. Called inside a Tokio runtime.
    pub(crate) fn start(broker: Broker, advertised: Endpoint, checks: Checks) -> Self {
        let settings = broker.settings();
        let limits = Limits {
            initial_delay_ms: u64::try_from(settings.group_initial_rebalance_delay_ms).unwrap_or(0),
            max_members: usize::try_from(settings.group_max_size).unwrap_or(1),
        };
        let log = broker.clone();
        let known = move |group: &str| log.committed(group).map(|group| group.generation);
        let groups = Coordinator::start(
            limits,
            Arc::clone(broker.clock()),
            Arc::clone(broker.random()),
            Box::new(known),
        );
        tokio::spawn(check_offsets(
            Arc::downgrade(&groups),
            Arc::downgrade(&broker.0),
            Duration::from_millis(
                u64::try_from(settings.offsets_retention_check_interval_ms).unwrap_or(1),
            ),
        ));
        Self {
            broker,
            groups,
            advertised,
            checks,
        }
    }
}

/// Tells the log now and then which groups have members, as long as there are port and log. Not at once:
/// after a start, members need a moment to come back.
async fn check_offsets(groups: Weak<Coordinator>, log: Weak<Inner>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let (Some(groups), Some(log)) = (groups.upgrade(), log.upgrade()) else {
            return;
        };
        let occupied = groups.list().into_iter().map(|listed| listed.group);
        if Broker(log).check_offsets(occupied.collect()).await.is_err() {
            return;
        }
    }
}

/// Who asks.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) port: Arc<Port>,
    /// The peer's address.
    pub(crate) host: String,
    /// Turns true when the peer waits for nothing any more.
    pub(crate) hung_up: watch::Receiver<bool>,
}

impl Caller {
    fn broker(&self) -> &Broker {
        &self.port.broker
    }

    /// Waits until the peer waits for nothing any more.
    async fn gone(&self) {
        // The sender lives as long as the connection; without it nobody waits either.
        drop(self.hung_up.clone().wait_for(|gone| *gone).await);
    }
}

/// Why a connection is closed instead of answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CloseReason {
    /// An API key that is not served.
    #[error("the request has the unknown api key `{0}`")]
    UnknownApi(i16),
    /// A version that is not served.
    #[error("`{api}` version `{version}` is not served")]
    UnsupportedVersion {
        /// The API.
        api: &'static str,
        /// As asked.
        version: i16,
    },
    /// The bytes are not a request.
    #[error("{0}")]
    Wire(#[from] WireError),
    /// A producer that asked for no answer made a mistake.
    #[error("a produce without acks failed with code `{0}`")]
    Unacknowledged(i16),
    /// The peer went away while its request waited.
    #[error("the peer went away while its request waited")]
    Gone,
}

/// What becomes of a request.
pub(crate) enum Reply {
    Ready(Option<Answer>),
    Later(BoxFuture<'static, Result<Option<Answer>, CloseReason>>),
}

impl Reply {
    /// Waits for the answer. `None`: the peer wants none.
    pub(crate) async fn answer(&mut self) -> Result<Option<Answer>, CloseReason> {
        match self {
            Self::Ready(answer) => Ok(answer.take()),
            Self::Later(answer) => answer.await,
        }
    }
}

/// Tells if the next request may be handled before this one is answered.
pub(crate) fn is_pipelined(frame: &[u8]) -> bool {
    RequestHead::peek(frame).is_ok_and(|head| head.api_key == PRODUCE)
}

/// Handles a request frame.
pub(crate) async fn handle(caller: &Caller, frame: Bytes) -> Result<Reply, CloseReason> {
    let head = RequestHead::peek(&frame)?;
    let served = APIS
        .iter()
        .find(|api| api.key == head.api_key)
        .ok_or(CloseReason::UnknownApi(head.api_key))?;
    if !(served.least..=served.most).contains(&head.version) {
        if head.api_key == API_VERSIONS {
            return Ok(Reply::Ready(Some(api_versions::unsupported(head)?)));
        }
        return Err(CloseReason::UnsupportedVersion {
            api: served.name,
            version: head.version,
        });
    }
    /// Decodes a request, has it answered and encodes the answer.
    macro_rules! answer {
        ($request:ident, $answer:expr) => {{
            let (client_id, request) = wire::decode::<wire::$request>(frame, head.version)?;
            let client_id = client_id.as_deref().unwrap_or_default();
            let response = $answer(caller, client_id, head.version, request).await?;
            encode::<wire::$request>(head, &response)?
        }};
    }
    let answer = match head.api_key {
        PRODUCE => return produce::handle(caller, head, frame).await,
        1 => fetch::handle(caller, head, frame).await?,
        2 => answer!(ListOffsetsRequest, list_offsets::answer),
        3 => answer!(MetadataRequest, metadata::answer),
        8 => answer!(OffsetCommitRequest, offset_commit::answer),
        9 => answer!(OffsetFetchRequest, offset_fetch::answer),
        10 => answer!(FindCoordinatorRequest, find_coordinator::answer),
        11 => answer!(JoinGroupRequest, groups::join::answer),
        12 => answer!(HeartbeatRequest, groups::heartbeat::answer),
        13 => answer!(LeaveGroupRequest, groups::leave::answer),
        14 => answer!(SyncGroupRequest, groups::sync::answer),
        15 => answer!(DescribeGroupsRequest, groups::describe::answer),
        16 => answer!(ListGroupsRequest, groups::list::answer),
        API_VERSIONS => api_versions::handle(caller, head, frame)?,
        19 => answer!(CreateTopicsRequest, create_topics::answer),
        20 => answer!(DeleteTopicsRequest, delete_topics::answer),
        22 => answer!(InitProducerIdRequest, init_producer_id::answer),
        23 => answer!(OffsetForLeaderEpochRequest, offset_for_leader_epoch::answer),
        32 => answer!(DescribeConfigsRequest, describe_configs::answer),
        37 => answer!(CreatePartitionsRequest, create_partitions::answer),
        44 => answer!(
            IncrementalAlterConfigsRequest,
            incremental_alter_configs::answer
        ),
        60 => answer!(DescribeClusterRequest, describe_cluster::answer),
        _ => return Err(CloseReason::UnknownApi(head.api_key)),
    };
    Ok(Reply::Ready(Some(answer)))
}

/// Tells if a frame, without its length, decodes as a request that is served. For fuzzing.
pub fn decodes(frame: &[u8]) -> bool {
    let Ok(head) = RequestHead::peek(frame) else {
        return false;
    };
    let is_served =
        |api: &Api| api.key == head.api_key && (api.least..=api.most).contains(&head.version);
    if !APIS.iter().any(is_served) {
        return false;
    }
    let frame = Bytes::copy_from_slice(frame);
    macro_rules! decodes_as {
        ($($key:literal => $request:ident,)*) => {
            match head.api_key {
                $($key => wire::decode::<wire::$request>(frame, head.version).is_ok(),)*
                _ => false,
            }
        };
    }
    decodes_as! {
        0 => ProduceRequest,
        1 => FetchRequest,
        2 => ListOffsetsRequest,
        3 => MetadataRequest,
        8 => OffsetCommitRequest,
        9 => OffsetFetchRequest,
        10 => FindCoordinatorRequest,
        11 => JoinGroupRequest,
        12 => HeartbeatRequest,
        13 => LeaveGroupRequest,
        14 => SyncGroupRequest,
        15 => DescribeGroupsRequest,
        16 => ListGroupsRequest,
        18 => ApiVersionsRequest,
        19 => CreateTopicsRequest,
        20 => DeleteTopicsRequest,
        22 => InitProducerIdRequest,
        23 => OffsetForLeaderEpochRequest,
        32 => DescribeConfigsRequest,
        37 => CreatePartitionsRequest,
        44 => IncrementalAlterConfigsRequest,
        60 => DescribeClusterRequest,
    }
}

fn encode<R: KafkaRequest>(
    head: RequestHead,
    response: &impl kafka_wire::KafkaMessage,
) -> Result<Answer, CloseReason> {
    wire::encode::<R>(head, response).map_err(|error| {
        // Only a mistake of ours gets here, and the client cannot tell.
        tracing::error!(api = head.api_key, version = head.version, error = %error, "kafka answer does not encode");
        error.into()
    })
}

/// How requests name a topic: until some version by name, then by id.
#[derive(Clone, Copy, Debug)]
enum TopicKey<'a> {
    Name(&'a str),
    Id(Uuid),
}

impl TopicKey<'_> {
    fn find<'t>(&self, topics: &'t TopicTable) -> Result<&'t Arc<Topic>, ErrorCode> {
        match self {
            Self::Name(name) => topics
                .by_name(name)
                .ok_or(ErrorCode::UnknownTopicOrPartition),
            Self::Id(id) => topics.by_id(id.as_bytes()).ok_or(ErrorCode::UnknownTopicId),
        }
    }
}

fn find_partition(topic: &Topic, index: i32) -> Result<&Arc<Partition>, ErrorCode> {
    usize::try_from(index)
        .ok()
        .and_then(|index| topic.partitions.get(index))
        .ok_or(ErrorCode::UnknownTopicOrPartition)
}

/// Checks the leader epoch that a client believes in (KIP-320). -1: it has no belief.
fn check_leader_epoch(broker: &Broker, believed: i32) -> Result<(), ErrorCode> {
    match believed {
        ..0 => Ok(()),
        epoch if epoch < broker.epoch() => Err(ErrorCode::FencedLeaderEpoch),
        epoch if epoch > broker.epoch() => Err(ErrorCode::UnknownLeaderEpoch),
        _ => Ok(()),
    }
}

/// What a caller may do, as bits of Kafka's `AclOperation`: without access control, everything
/// that there is for the kind of resource.
mod operations {
    /// Not asked for.
    pub(super) const UNASKED: i32 = i32::MIN;
    /// Read, write, create, delete, alter, describe, describe and alter configs.
    pub(super) const TOPIC: i32 = bits(&[3, 4, 5, 6, 7, 8, 10, 11]);
    /// Create, alter, describe, cluster action, describe and alter configs, idempotent write.
    pub(super) const CLUSTER: i32 = bits(&[5, 7, 8, 9, 10, 11, 12]);
    /// Read, delete, describe.
    pub(super) const GROUP: i32 = bits(&[3, 6, 8]);

    const fn bits(operations: &[u8]) -> i32 {
        let mut bits = 0;
        let mut at = 0;
        while at < operations.len() {
            bits |= 1 << operations[at];
            at += 1;
        }
        bits
    }
}
