//! Attacks on group coordination: a request that names one thing many times, groups of many members, numbers that are
//! out of range.

use std::iter::repeat_n;

use bytes::Bytes;
use kafka_protocol::{
    messages::{
        CreateTopicsRequest, DescribeGroupsRequest, GroupId, HeartbeatRequest, JoinGroupRequest,
        JoinGroupResponse, LeaveGroupRequest, ListGroupsRequest, MetadataRequest,
        OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, SyncGroupRequest, TopicName,
        create_topics_request::CreatableTopic,
        join_group_request::JoinGroupRequestProtocol,
        leave_group_request::MemberIdentity,
        metadata_request::MetadataRequestTopic,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic},
        offset_fetch_request::{
            OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
        },
        sync_group_request::SyncGroupRequestAssignment,
    },
    protocol::StrBytes,
};
use mini_kafka::Broker;

use crate::{client::Client, innocent::beside};

const TOPIC: &str = "innocent";
/// How often a request names the same thing.
const TIMES: usize = 50_000;

fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}

fn group(name: &str) -> GroupId {
    GroupId(text(name))
}

fn topic() -> TopicName {
    TopicName(text(TOPIC))
}

fn joining(name: &str, member_id: StrBytes) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default().with_name(text("range"));
    JoinGroupRequest::default()
        .with_group_id(group(name))
        .with_member_id(member_id)
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(60_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol])
}

/// Joins a group alone, as far as the first answer.
fn join(client: &mut Client, request: &JoinGroupRequest) -> JoinGroupResponse {
    client.ask(3, request).unwrap()
}

#[test]
fn a_member_with_very_many_protocols() {
    beside(&Broker::builder(), |address| {
        let mut client = Client::connect(address);
        let protocol = |n| JoinGroupRequestProtocol::default().with_name(text(format!("p{n}")));
        let request =
            joining("g", StrBytes::default()).with_protocols((0..60_000).map(protocol).collect());
        let joined = join(&mut client, &request);
        assert_eq!(joined.error_code, 0);
        // The leader asks for a rebalance each time that it joins.
        let again = request.with_member_id(joined.member_id);
        for _ in 0..3 {
            assert_eq!(join(&mut client, &again).error_code, 0);
        }
    });
}

#[test]
fn five_hundred_members() {
    const MEMBERS: usize = 500;
    // All of them join the same generation.
    let builder = Broker::builder().config("group.initial.rebalance.delay.ms", "1000");
    beside(&builder, |address| {
        let mut clients: Vec<Client> = (0..MEMBERS).map(|_| Client::connect(address)).collect();
        for client in &mut clients {
            client.post(3, &joining("g", StrBytes::default()));
        }
        let read = |client: &mut Client| client.read::<JoinGroupRequest>(3).unwrap();
        let joined: Vec<JoinGroupResponse> = clients.iter_mut().map(read).collect();
        assert!(joined.iter().all(|joined| (joined.error_code, joined.generation_id) == (0, 1)));

        let member_ids: Vec<StrBytes> = joined.iter().map(|j| j.member_id.clone()).collect();
        let assign = |member_id: &StrBytes| {
            SyncGroupRequestAssignment::default()
                .with_member_id(member_id.clone())
                .with_assignment(Bytes::from_static(b"yours"))
        };
        for (client, joined) in clients.iter_mut().zip(&joined) {
            let mut sync = SyncGroupRequest::default()
                .with_group_id(group("g"))
                .with_generation_id(1)
                .with_member_id(joined.member_id.clone());
            if joined.leader == joined.member_id {
                sync.assignments = member_ids.iter().map(assign).collect();
            }
            client.post(3, &sync);
        }
        for client in &mut clients {
            let synced = client.read::<SyncGroupRequest>(3).unwrap();
            assert_eq!((synced.error_code, &*synced.assignment), (0, &b"yours"[..]));
        }
        for _ in 0..10 {
            for (client, member_id) in clients.iter_mut().zip(&member_ids) {
                let heartbeat = HeartbeatRequest::default()
                    .with_group_id(group("g"))
                    .with_generation_id(1)
                    .with_member_id(member_id.clone());
                assert_eq!(client.ask(3, &heartbeat).unwrap().error_code, 0);
            }
        }
    });
}

#[test]
fn one_group_described_very_many_times() {
    beside(&Broker::builder(), |address| {
        let mut client = Client::connect(address);
        let metadata = Bytes::from(vec![0; 100_000]);
        let protocol =
            JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(metadata);
        let request = joining("g", StrBytes::default()).with_protocols(vec![protocol]);
        let joined = join(&mut client, &request);
        let sync = SyncGroupRequest::default()
            .with_group_id(group("g"))
            .with_generation_id(1)
            .with_member_id(joined.member_id);
        assert_eq!(client.ask(3, &sync).unwrap().error_code, 0);
        let groups = repeat_n(group("g"), 20_000).collect();
        let described = client.ask(5, &DescribeGroupsRequest::default().with_groups(groups));
        assert_eq!(described.unwrap().groups.len(), 1, "each group once");
        for _ in 0..100 {
            assert_eq!(client.ask(4, &ListGroupsRequest::default()).unwrap().groups.len(), 1);
        }
    });
}

#[test]
fn one_offset_committed_fetched_and_deleted_very_many_times() {
    beside(&Broker::builder(), |address| {
        let mut client = Client::connect(address);
        let partition = OffsetCommitRequestPartition::default()
            .with_committed_offset(1)
            .with_committed_metadata(Some(text("x".repeat(4_000))));
        let small = partition.clone().with_committed_metadata(None);
        for partitions in [vec![partition], repeat_n(small, TIMES).collect()] {
            let asked =
                OffsetCommitRequestTopic::default().with_name(topic()).with_partitions(partitions);
            let commit = OffsetCommitRequest::default()
                .with_group_id(group("g"))
                .with_generation_id_or_member_epoch(-1)
                .with_topics(vec![asked]);
            let answer = client.ask(8, &commit).unwrap();
            assert!(answer.topics[0].partitions.iter().all(|partition| partition.error_code == 0));
        }

        let indexes: Vec<i32> = vec![0; TIMES];
        let asked = OffsetFetchRequestTopic::default()
            .with_name(topic())
            .with_partition_indexes(indexes.clone());
        let fetch =
            OffsetFetchRequest::default().with_group_id(group("g")).with_topics(Some(vec![asked]));
        let fetched = client.ask(7, &fetch).unwrap();
        assert_eq!(fetched.topics[0].partitions.len(), 1, "each partition once");
        // The same topic many times, and the same group many times.
        let asked =
            OffsetFetchRequestTopics::default().with_name(topic()).with_partition_indexes(vec![0]);
        let of_group = OffsetFetchRequestGroup::default()
            .with_group_id(group("g"))
            .with_topics(Some(repeat_n(asked, 1_000).collect()));
        let fetch = OffsetFetchRequest::default().with_groups(repeat_n(of_group, 20).collect());
        let fetched = client.ask(8, &fetch).unwrap();
        assert_eq!(fetched.groups.len(), 1, "each group once");
        let partitions = fetched.groups[0].topics.iter().flat_map(|topic| &topic.partitions);
        assert_eq!(partitions.count(), 1, "each partition once");

        delete_offset_many_times(&mut client);
    });
}

#[test]
fn offsets_deleted_while_a_member_reads_very_many_topics() {
    beside(&Broker::builder(), |address| {
        let mut client = Client::connect(address);
        // A subscription to 20,000 topics, none of which is asked for below.
        let mut subscription = vec![0, 0, 0, 0, 0x4e, 0x20];
        for n in 0..20_000 {
            let name = format!("{n:08}");
            subscription.extend([0, 8]);
            subscription.extend(name.as_bytes());
        }
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(text("range"))
            .with_metadata(subscription.into());
        let request = joining("g", StrBytes::default()).with_protocols(vec![protocol]);
        assert_eq!(join(&mut client, &request).error_code, 0);
        delete_offset_many_times(&mut client);
    });
}

#[test]
fn one_member_that_leaves_very_many_times() {
    beside(&Broker::builder(), |address| {
        let mut client = Client::connect(address);
        let joined = join(&mut client, &joining("g", StrBytes::default()));
        let member = MemberIdentity::default().with_member_id(joined.member_id);
        let leave = LeaveGroupRequest::default()
            .with_group_id(group("g"))
            .with_members(repeat_n(member, TIMES).collect());
        let left = client.ask(3, &leave).unwrap();
        assert_eq!((left.error_code, left.members.len()), (0, TIMES));
        assert_eq!(left.members.iter().filter(|member| member.error_code == 0).count(), 1);
    });
}

#[test]
fn a_member_that_tells_more_than_a_group_may_hold_is_refused() {
    let broker = Broker::builder().start_blocking().unwrap();
    let mut client = Client::connect(broker.bootstrap_servers());
    let sized = |bytes: usize| {
        let metadata = Bytes::from(vec![0; bytes]);
        JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(metadata)
    };
    const UNKNOWN_SERVER_ERROR: i16 = -1;
    let request = joining("g", StrBytes::default()).with_protocols(vec![sized(1_100_000)]);
    assert_eq!(join(&mut client, &request).error_code, UNKNOWN_SERVER_ERROR);

    // An assignment that is too large is refused as well, and the group begins anew.
    let request = joining("g", StrBytes::default());
    let joined = join(&mut client, &request);
    let assignment = SyncGroupRequestAssignment::default()
        .with_member_id(joined.member_id.clone())
        .with_assignment(Bytes::from(vec![0; 1_100_000]));
    let sync = SyncGroupRequest::default()
        .with_group_id(group("g"))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_assignments(vec![assignment]);
    assert_eq!(client.ask(3, &sync).unwrap().error_code, UNKNOWN_SERVER_ERROR);
    let again = join(&mut client, &request.with_member_id(joined.member_id));
    assert_eq!((again.error_code, again.generation_id), (0, joined.generation_id + 1));
}

#[test]
fn no_client_creates_a_topic_of_the_brokers_own() {
    const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
    const INVALID_TOPIC_EXCEPTION: i16 = 17;
    let broker = Broker::builder().start_blocking().unwrap();
    let mut client = Client::connect(broker.bootstrap_servers());
    for name in ["__consumer_offsets", "__transaction_state"] {
        let name = || TopicName(text(name));
        let create = CreatableTopic::default()
            .with_name(name())
            .with_num_partitions(1)
            .with_replication_factor(1);
        let create = CreateTopicsRequest::default().with_topics(vec![create]);
        let created = client.ask(7, &create).unwrap();
        assert_eq!(created.topics[0].error_code, INVALID_TOPIC_EXCEPTION);
        let on_demand = MetadataRequestTopic::default().with_name(Some(name()));
        let on_demand = MetadataRequest::default()
            .with_topics(Some(vec![on_demand]))
            .with_allow_auto_topic_creation(true);
        let told = client.ask(9, &on_demand).unwrap();
        assert_eq!(told.topics[0].error_code, UNKNOWN_TOPIC_OR_PARTITION);
    }
    let all = client.ask(9, &MetadataRequest::default().with_topics(None)).unwrap();
    assert!(all.topics.is_empty());
}

/// A debug build panics at an overflow, and the client is told UNKNOWN_SERVER_ERROR.
#[test]
fn numbers_out_of_range_are_answered() {
    const PANIC: i16 = -1;
    let broker = Broker::builder().topic(TOPIC, 1).start_blocking().unwrap();
    let mut client = Client::connect(broker.bootstrap_servers());
    for extreme in [i32::MIN, -1, 0, i32::MAX] {
        for session in [extreme, 10_000] {
            let request = joining("g", StrBytes::default())
                .with_session_timeout_ms(session)
                .with_rebalance_timeout_ms(extreme);
            let joined = join(&mut client, &request);
            assert_ne!(joined.error_code, PANIC);
            let heartbeat = HeartbeatRequest::default()
                .with_group_id(group("g"))
                .with_generation_id(extreme)
                .with_member_id(joined.member_id.clone());
            assert_ne!(client.ask(3, &heartbeat).unwrap().error_code, PANIC);
            let sync = SyncGroupRequest::default()
                .with_group_id(group("g"))
                .with_generation_id(extreme)
                .with_member_id(joined.member_id.clone());
            assert_ne!(client.ask(3, &sync).unwrap().error_code, PANIC);
            let member = MemberIdentity::default().with_member_id(joined.member_id);
            let leave =
                LeaveGroupRequest::default().with_group_id(group("g")).with_members(vec![member]);
            assert_ne!(client.ask(3, &leave).unwrap().error_code, PANIC);
        }
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(extreme)
            .with_committed_offset(i64::from(extreme) << 32)
            .with_committed_leader_epoch(extreme);
        let asked =
            OffsetCommitRequestTopic::default().with_name(topic()).with_partitions(vec![partition]);
        let commit = OffsetCommitRequest::default()
            .with_group_id(group("g"))
            .with_generation_id_or_member_epoch(extreme)
            .with_topics(vec![asked]);
        let committed = client.ask(8, &commit).unwrap();
        assert_ne!(committed.topics[0].partitions[0].error_code, PANIC);
        let asked = OffsetFetchRequestTopic::default()
            .with_name(topic())
            .with_partition_indexes(vec![extreme]);
        let fetch =
            OffsetFetchRequest::default().with_group_id(group("g")).with_topics(Some(vec![asked]));
        assert_ne!(client.ask(7, &fetch).unwrap().error_code, PANIC);
        let partition = OffsetDeleteRequestPartition::default().with_partition_index(extreme);
        let asked =
            OffsetDeleteRequestTopic::default().with_name(topic()).with_partitions(vec![partition]);
        let delete =
            OffsetDeleteRequest::default().with_group_id(group("g")).with_topics(vec![asked]);
        assert_ne!(client.ask(0, &delete).unwrap().error_code, PANIC);
    }
}

/// Deletes the offset of one partition, which the request names very many times.
fn delete_offset_many_times(client: &mut Client) {
    let partition = OffsetDeleteRequestPartition::default();
    let asked = OffsetDeleteRequestTopic::default()
        .with_name(topic())
        .with_partitions(repeat_n(partition, TIMES).collect());
    let delete = OffsetDeleteRequest::default().with_group_id(group("g")).with_topics(vec![asked]);
    assert_eq!(client.ask(0, &delete).unwrap().error_code, 0);
}
