//! Consumer groups through the port: the flow of clients, commits, and what restarts keep.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    DescribeGroupsRequest, FindCoordinatorRequest, GroupId, HeartbeatRequest, JoinGroupRequest,
    JoinGroupResponse, LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest,
    OffsetFetchRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::StrBytes;

use super::client::{Client, Server, name, until};

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn group() -> GroupId {
    GroupId::from(StrBytes::from_static_str("group"))
}

fn join(member_id: &str) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from_static(b"topics"));
    JoinGroupRequest::default()
        .with_group_id(group())
        .with_session_timeout_ms(6_000)
        .with_rebalance_timeout_ms(10_000)
        .with_member_id(text(member_id))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol])
}

/// Joins as clients do: first for an id, then with it.
async fn join_anew(client: &mut Client) -> JoinGroupResponse {
    let given = client.ask(7, join("")).await;
    assert_eq!(given.error_code, 79);
    client.ask(7, join(&given.member_id)).await
}

async fn sync(client: &mut Client, joined: &JoinGroupResponse, assignment: &'static str) -> Bytes {
    let own = SyncGroupRequestAssignment::default()
        .with_member_id(joined.member_id.clone())
        .with_assignment(Bytes::from_static(assignment.as_bytes()));
    let request = SyncGroupRequest::default()
        .with_group_id(group())
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_assignments(vec![own]);
    let synced = client.ask(3, request).await;
    assert_eq!(synced.error_code, 0);
    synced.assignment
}

async fn commit(client: &mut Client, generation: i32, member: &StrBytes, offset: i64) -> i16 {
    let partition = OffsetCommitRequestPartition::default()
        .with_committed_offset(offset)
        .with_committed_metadata(Some(text("a note")));
    let topic = OffsetCommitRequestTopic::default()
        .with_name(name("t"))
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(group())
        .with_generation_id_or_member_epoch(generation)
        .with_member_id(member.clone())
        .with_topics(vec![topic]);
    client.ask(7, request).await.topics[0].partitions[0].error_code
}

async fn committed(client: &mut Client) -> (i64, String) {
    let topic = OffsetFetchRequestTopic::default()
        .with_name(name("t"))
        .with_partition_indexes(vec![0]);
    let request = OffsetFetchRequest::default()
        .with_group_id(group())
        .with_topics(Some(vec![topic]));
    let response = client.ask(5, request).await;
    let partition = &response.topics[0].partitions[0];
    let note = partition.metadata.as_ref().map(ToString::to_string);
    (partition.committed_offset, note.unwrap_or_default())
}

#[tokio::test]
async fn a_member_joins_syncs_beats_commits_and_leaves() {
    let server = Server::start(&[]).await;
    let mut client = server.connect().await;
    client.topic("t").await;
    let found = FindCoordinatorRequest::default().with_key(text("group"));
    let found = client.ask(2, found).await;
    assert_eq!(found.port, i32::from(server.port.address().port()));
    let joined = join_anew(&mut client).await;
    assert_eq!((joined.error_code, joined.generation_id), (0, 1));
    assert_eq!(joined.leader, joined.member_id);
    assert_eq!(sync(&mut client, &joined, "all").await, "all");
    let beat = |generation: i32| {
        HeartbeatRequest::default()
            .with_group_id(group())
            .with_generation_id(generation)
            .with_member_id(joined.member_id.clone())
    };
    assert_eq!(client.ask(3, beat(1)).await.error_code, 0);
    assert_eq!(client.ask(3, beat(0)).await.error_code, 22);
    assert_eq!(committed(&mut client).await, (-1, String::new()));
    assert_eq!(commit(&mut client, 1, &joined.member_id, 42).await, 0);
    assert_eq!(commit(&mut client, 0, &joined.member_id, 7).await, 22);
    assert_eq!(committed(&mut client).await, (42, "a note".to_owned()));
    let described = DescribeGroupsRequest::default().with_groups(vec![group()]);
    let described = client.ask(4, described).await;
    assert_eq!(described.groups[0].group_state.as_str(), "Stable");
    assert_eq!(described.groups[0].members[0].member_assignment, "all");
    let leave = LeaveGroupRequest::default()
        .with_group_id(group())
        .with_member_id(joined.member_id.clone());
    assert_eq!(client.ask(1, leave.clone()).await.error_code, 0);
    assert_eq!(client.ask(1, leave).await.error_code, 25);
    let listed = client.ask(4, ListGroupsRequest::default()).await;
    assert_eq!(listed.groups[0].group_state.as_str(), "Empty");
    server.stop().await;
}

#[tokio::test]
async fn commits_and_their_generation_outlive_a_restart() {
    let server = Server::start(&[]).await;
    let mut client = server.connect().await;
    client.topic("t").await;
    let joined = join_anew(&mut client).await;
    sync(&mut client, &joined, "all").await;
    assert_eq!(commit(&mut client, 1, &joined.member_id, 42).await, 0);
    let directory = server.stop().await;
    let server = Server::open(directory, &[]).await;
    let mut client = server.connect().await;
    assert_eq!(committed(&mut client).await, (42, "a note".to_owned()));
    // A member of before is told to join again.
    assert_eq!(commit(&mut client, 1, &joined.member_id, 50).await, 22);
    let again = join_anew(&mut client).await;
    assert_eq!(again.generation_id, 2);
    server.stop().await;
}

#[tokio::test]
async fn a_second_member_makes_the_first_join_again() {
    let server = Server::start(&[]).await;
    let (mut one, mut two) = (server.connect().await, server.connect().await);
    one.topic("t").await;
    let first = join_anew(&mut one).await;
    sync(&mut one, &first, "all").await;
    let given = two.ask(7, join("")).await;
    two.send(7, &join(&given.member_id)).await;
    let beat = HeartbeatRequest::default()
        .with_group_id(group())
        .with_generation_id(1)
        .with_member_id(first.member_id.clone());
    for _ in 0..1_000 {
        if one.ask(3, beat.clone()).await.error_code == 27 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let again = one.ask(7, join(&first.member_id)).await;
    let (_, second) = two.receive::<JoinGroupRequest>(7).await;
    assert_eq!((again.generation_id, second.generation_id), (2, 2));
    assert_eq!((again.members.len(), second.members.len()), (2, 0));
    server.stop().await;
}

#[tokio::test]
async fn a_member_without_signs_of_life_is_out() {
    let server = Server::start(&["group.min.session.timeout.ms=100"]).await;
    let mut client = server.connect().await;
    client.topic("t").await;
    let short = |id: &str| join(id).with_session_timeout_ms(100);
    let given = client.ask(7, short("")).await;
    let joined = client.ask(7, short(&given.member_id)).await;
    sync(&mut client, &joined, "all").await;
    let state = async |client: &mut Client| {
        let request = DescribeGroupsRequest::default().with_groups(vec![group()]);
        client.ask(4, request).await.groups[0]
            .group_state
            .to_string()
    };
    for _ in 0..1_000 {
        if state(&mut client).await == "Dead" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(state(&mut client).await, "Dead");
    let refused = client.ask(7, join("").with_session_timeout_ms(99)).await;
    assert_eq!(refused.error_code, 26);
    server.stop().await;
}

#[tokio::test]
async fn the_log_learns_which_groups_have_no_members() {
    let server = Server::start(&["offsets.retention.check.interval.ms=1"]).await;
    let mut client = server.connect().await;
    client.topic("t").await;
    let durable = || server.broker.shared().stats.progress().durable_lsn;
    let before = durable();
    assert_eq!(commit(&mut client, -1, &text(""), 1).await, 0);
    // The commit is one record, and that its group is empty another; then there is nothing to say.
    let told = async || durable() == before + 2;
    until(told).await;
    server.stop().await;
}
