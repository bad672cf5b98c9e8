//! The messages of Kafka's protocol: fields, types and versions.
//!
//! Written by `broker/tools/schema.py` from kafka-clients-4.3.1.jar, within the versions that the codec covers.
//! Run it again instead of editing this file.

use super::definition::Kind::*;
use super::definition::{ApiSchema, Message, api, field, message, struct_, structs};

/// Every API that a broker's listener serves, by ascending key.
pub(super) static APIS: &[ApiSchema] = &[
    api(0, PRODUCE_REQUEST, PRODUCE_RESPONSE),
    api(1, FETCH_REQUEST, FETCH_RESPONSE),
    api(2, LIST_OFFSETS_REQUEST, LIST_OFFSETS_RESPONSE),
    api(3, METADATA_REQUEST, METADATA_RESPONSE),
    api(8, OFFSET_COMMIT_REQUEST, OFFSET_COMMIT_RESPONSE),
    api(9, OFFSET_FETCH_REQUEST, OFFSET_FETCH_RESPONSE),
    api(10, FIND_COORDINATOR_REQUEST, FIND_COORDINATOR_RESPONSE),
    api(11, JOIN_GROUP_REQUEST, JOIN_GROUP_RESPONSE),
    api(12, HEARTBEAT_REQUEST, HEARTBEAT_RESPONSE),
    api(13, LEAVE_GROUP_REQUEST, LEAVE_GROUP_RESPONSE),
    api(14, SYNC_GROUP_REQUEST, SYNC_GROUP_RESPONSE),
    api(15, DESCRIBE_GROUPS_REQUEST, DESCRIBE_GROUPS_RESPONSE),
    api(16, LIST_GROUPS_REQUEST, LIST_GROUPS_RESPONSE),
    api(17, SASL_HANDSHAKE_REQUEST, SASL_HANDSHAKE_RESPONSE),
    api(18, API_VERSIONS_REQUEST, API_VERSIONS_RESPONSE),
    api(19, CREATE_TOPICS_REQUEST, CREATE_TOPICS_RESPONSE),
    api(20, DELETE_TOPICS_REQUEST, DELETE_TOPICS_RESPONSE),
    api(21, DELETE_RECORDS_REQUEST, DELETE_RECORDS_RESPONSE),
    api(22, INIT_PRODUCER_ID_REQUEST, INIT_PRODUCER_ID_RESPONSE),
    api(23, OFFSET_FOR_LEADER_EPOCH_REQUEST, OFFSET_FOR_LEADER_EPOCH_RESPONSE),
    api(24, ADD_PARTITIONS_TO_TXN_REQUEST, ADD_PARTITIONS_TO_TXN_RESPONSE),
    api(25, ADD_OFFSETS_TO_TXN_REQUEST, ADD_OFFSETS_TO_TXN_RESPONSE),
    api(26, END_TXN_REQUEST, END_TXN_RESPONSE),
    api(27, WRITE_TXN_MARKERS_REQUEST, WRITE_TXN_MARKERS_RESPONSE),
    api(28, TXN_OFFSET_COMMIT_REQUEST, TXN_OFFSET_COMMIT_RESPONSE),
    api(29, DESCRIBE_ACLS_REQUEST, DESCRIBE_ACLS_RESPONSE),
    api(30, CREATE_ACLS_REQUEST, CREATE_ACLS_RESPONSE),
    api(31, DELETE_ACLS_REQUEST, DELETE_ACLS_RESPONSE),
    api(32, DESCRIBE_CONFIGS_REQUEST, DESCRIBE_CONFIGS_RESPONSE),
    api(33, ALTER_CONFIGS_REQUEST, ALTER_CONFIGS_RESPONSE),
    api(34, ALTER_REPLICA_LOG_DIRS_REQUEST, ALTER_REPLICA_LOG_DIRS_RESPONSE),
    api(35, DESCRIBE_LOG_DIRS_REQUEST, DESCRIBE_LOG_DIRS_RESPONSE),
    api(36, SASL_AUTHENTICATE_REQUEST, SASL_AUTHENTICATE_RESPONSE),
    api(37, CREATE_PARTITIONS_REQUEST, CREATE_PARTITIONS_RESPONSE),
    api(38, CREATE_DELEGATION_TOKEN_REQUEST, CREATE_DELEGATION_TOKEN_RESPONSE),
    api(39, RENEW_DELEGATION_TOKEN_REQUEST, RENEW_DELEGATION_TOKEN_RESPONSE),
    api(40, EXPIRE_DELEGATION_TOKEN_REQUEST, EXPIRE_DELEGATION_TOKEN_RESPONSE),
    api(41, DESCRIBE_DELEGATION_TOKEN_REQUEST, DESCRIBE_DELEGATION_TOKEN_RESPONSE),
    api(42, DELETE_GROUPS_REQUEST, DELETE_GROUPS_RESPONSE),
    api(43, ELECT_LEADERS_REQUEST, ELECT_LEADERS_RESPONSE),
    api(44, INCREMENTAL_ALTER_CONFIGS_REQUEST, INCREMENTAL_ALTER_CONFIGS_RESPONSE),
    api(45, ALTER_PARTITION_REASSIGNMENTS_REQUEST, ALTER_PARTITION_REASSIGNMENTS_RESPONSE),
    api(46, LIST_PARTITION_REASSIGNMENTS_REQUEST, LIST_PARTITION_REASSIGNMENTS_RESPONSE),
    api(47, OFFSET_DELETE_REQUEST, OFFSET_DELETE_RESPONSE),
    api(48, DESCRIBE_CLIENT_QUOTAS_REQUEST, DESCRIBE_CLIENT_QUOTAS_RESPONSE),
    api(49, ALTER_CLIENT_QUOTAS_REQUEST, ALTER_CLIENT_QUOTAS_RESPONSE),
    api(50, DESCRIBE_USER_SCRAM_CREDENTIALS_REQUEST, DESCRIBE_USER_SCRAM_CREDENTIALS_RESPONSE),
    api(51, ALTER_USER_SCRAM_CREDENTIALS_REQUEST, ALTER_USER_SCRAM_CREDENTIALS_RESPONSE),
    api(55, DESCRIBE_QUORUM_REQUEST, DESCRIBE_QUORUM_RESPONSE),
    api(57, UPDATE_FEATURES_REQUEST, UPDATE_FEATURES_RESPONSE),
    api(60, DESCRIBE_CLUSTER_REQUEST, DESCRIBE_CLUSTER_RESPONSE),
    api(61, DESCRIBE_PRODUCERS_REQUEST, DESCRIBE_PRODUCERS_RESPONSE),
    api(64, UNREGISTER_BROKER_REQUEST, UNREGISTER_BROKER_RESPONSE),
    api(65, DESCRIBE_TRANSACTIONS_REQUEST, DESCRIBE_TRANSACTIONS_RESPONSE),
    api(66, LIST_TRANSACTIONS_REQUEST, LIST_TRANSACTIONS_RESPONSE),
    api(68, CONSUMER_GROUP_HEARTBEAT_REQUEST, CONSUMER_GROUP_HEARTBEAT_RESPONSE),
    api(69, CONSUMER_GROUP_DESCRIBE_REQUEST, CONSUMER_GROUP_DESCRIBE_RESPONSE),
    api(71, GET_TELEMETRY_SUBSCRIPTIONS_REQUEST, GET_TELEMETRY_SUBSCRIPTIONS_RESPONSE),
    api(72, PUSH_TELEMETRY_REQUEST, PUSH_TELEMETRY_RESPONSE),
    api(74, LIST_CONFIG_RESOURCES_REQUEST, LIST_CONFIG_RESOURCES_RESPONSE),
    api(75, DESCRIBE_TOPIC_PARTITIONS_REQUEST, DESCRIBE_TOPIC_PARTITIONS_RESPONSE),
    api(76, SHARE_GROUP_HEARTBEAT_REQUEST, SHARE_GROUP_HEARTBEAT_RESPONSE),
    api(77, SHARE_GROUP_DESCRIBE_REQUEST, SHARE_GROUP_DESCRIBE_RESPONSE),
    api(78, SHARE_FETCH_REQUEST, SHARE_FETCH_RESPONSE),
    api(79, SHARE_ACKNOWLEDGE_REQUEST, SHARE_ACKNOWLEDGE_RESPONSE),
    api(80, ADD_RAFT_VOTER_REQUEST, ADD_RAFT_VOTER_RESPONSE),
    api(81, REMOVE_RAFT_VOTER_REQUEST, REMOVE_RAFT_VOTER_RESPONSE),
    api(83, INITIALIZE_SHARE_GROUP_STATE_REQUEST, INITIALIZE_SHARE_GROUP_STATE_RESPONSE),
    api(84, READ_SHARE_GROUP_STATE_REQUEST, READ_SHARE_GROUP_STATE_RESPONSE),
    api(85, WRITE_SHARE_GROUP_STATE_REQUEST, WRITE_SHARE_GROUP_STATE_RESPONSE),
    api(86, DELETE_SHARE_GROUP_STATE_REQUEST, DELETE_SHARE_GROUP_STATE_RESPONSE),
    api(87, READ_SHARE_GROUP_STATE_SUMMARY_REQUEST, READ_SHARE_GROUP_STATE_SUMMARY_RESPONSE),
    api(90, DESCRIBE_SHARE_GROUP_OFFSETS_REQUEST, DESCRIBE_SHARE_GROUP_OFFSETS_RESPONSE),
    api(91, ALTER_SHARE_GROUP_OFFSETS_REQUEST, ALTER_SHARE_GROUP_OFFSETS_RESPONSE),
    api(92, DELETE_SHARE_GROUP_OFFSETS_REQUEST, DELETE_SHARE_GROUP_OFFSETS_RESPONSE),
];

const PRODUCE_REQUEST: Message = message("ProduceRequest", 3, 13).flexible_since(9).fields(&[
    field("transactional_id", String).nullable(),
    field("acks", Int16),
    field("timeout_ms", Int32),
    structs("topic_data").of(&[
        field("name", String).until(12),
        field("topic_id", Uuid).since(13),
        structs("partition_data")
            .of(&[field("index", Int32), field("records", Records).nullable()]),
    ]),
]);

const PRODUCE_RESPONSE: Message = message("ProduceResponse", 3, 13).flexible_since(9).fields(&[
    structs("responses").of(&[
        field("name", String).until(12),
        field("topic_id", Uuid).since(13),
        structs("partition_responses").of(&[
            field("index", Int32),
            field("error_code", Int16),
            field("base_offset", Int64),
            field("log_append_time_ms", Int64),
            field("log_start_offset", Int64).since(5),
            structs("record_errors").since(8).of(&[
                field("batch_index", Int32),
                field("batch_index_error_message", String).nullable(),
            ]),
            field("error_message", String).since(8).nullable(),
            struct_("current_leader")
                .since(10)
                .tag(0)
                .of(&[field("leader_id", Int32), field("leader_epoch", Int32)]),
        ]),
    ]),
    field("throttle_time_ms", Int32),
    structs("node_endpoints").since(10).tag(0).of(&[
        field("node_id", Int32),
        field("host", String),
        field("port", Int32),
        field("rack", String).nullable(),
    ]),
]);

const FETCH_REQUEST: Message = message("FetchRequest", 4, 18).flexible_since(12).fields(&[
    field("cluster_id", String).since(12).nullable().tag(0),
    field("replica_id", Int32).until(14),
    struct_("replica_state")
        .since(15)
        .tag(1)
        .of(&[field("replica_id", Int32), field("replica_epoch", Int64)]),
    field("max_wait_ms", Int32),
    field("min_bytes", Int32),
    field("max_bytes", Int32),
    field("isolation_level", Int8),
    field("session_id", Int32).since(7),
    field("session_epoch", Int32).since(7),
    structs("topics").of(&[
        field("topic", String).until(12),
        field("topic_id", Uuid).since(13),
        structs("partitions").of(&[
            field("partition", Int32),
            field("current_leader_epoch", Int32).since(9),
            field("fetch_offset", Int64),
            field("last_fetched_epoch", Int32).since(12),
            field("log_start_offset", Int64).since(5),
            field("partition_max_bytes", Int32),
            field("replica_directory_id", Uuid).since(17).tag(0),
            field("high_watermark", Int64).since(18).tag(1),
        ]),
    ]),
    structs("forgotten_topics_data").since(7).of(&[
        field("topic", String).until(12),
        field("topic_id", Uuid).since(13),
        field("partitions", Array(&Int32)),
    ]),
    field("rack_id", String).since(11),
]);

const FETCH_RESPONSE: Message = message("FetchResponse", 4, 18).flexible_since(12).fields(&[
    field("throttle_time_ms", Int32),
    field("error_code", Int16).since(7),
    field("session_id", Int32).since(7),
    structs("responses").of(&[
        field("topic", String).until(12),
        field("topic_id", Uuid).since(13),
        structs("partitions").of(&[
            field("partition_index", Int32),
            field("error_code", Int16),
            field("high_watermark", Int64),
            field("last_stable_offset", Int64),
            field("log_start_offset", Int64).since(5),
            struct_("diverging_epoch")
                .since(12)
                .tag(0)
                .of(&[field("epoch", Int32), field("end_offset", Int64)]),
            struct_("current_leader")
                .since(12)
                .tag(1)
                .of(&[field("leader_id", Int32), field("leader_epoch", Int32)]),
            struct_("snapshot_id")
                .since(12)
                .tag(2)
                .of(&[field("end_offset", Int64), field("epoch", Int32)]),
            structs("aborted_transactions")
                .nullable()
                .of(&[field("producer_id", Int64), field("first_offset", Int64)]),
            field("preferred_read_replica", Int32).since(11),
            field("records", Records).nullable(),
        ]),
    ]),
    structs("node_endpoints").since(16).tag(0).of(&[
        field("node_id", Int32),
        field("host", String),
        field("port", Int32),
        field("rack", String).nullable(),
    ]),
]);

const LIST_OFFSETS_REQUEST: Message =
    message("ListOffsetsRequest", 1, 10).flexible_since(6).fields(&[
        field("replica_id", Int32),
        field("isolation_level", Int8).since(2),
        structs("topics").of(&[
            field("name", String),
            structs("partitions").of(&[
                field("partition_index", Int32),
                field("current_leader_epoch", Int32).since(4),
                field("timestamp", Int64),
            ]),
        ]),
        field("timeout_ms", Int32).since(10),
    ]);

const LIST_OFFSETS_RESPONSE: Message =
    message("ListOffsetsResponse", 1, 10).flexible_since(6).fields(&[
        field("throttle_time_ms", Int32).since(2),
        structs("topics").of(&[
            field("name", String),
            structs("partitions").of(&[
                field("partition_index", Int32),
                field("error_code", Int16),
                field("timestamp", Int64),
                field("offset", Int64),
                field("leader_epoch", Int32).since(4),
            ]),
        ]),
    ]);

const METADATA_REQUEST: Message = message("MetadataRequest", 0, 13).flexible_since(9).fields(&[
    structs("topics")
        .nullable_since(1)
        .of(&[field("topic_id", Uuid).since(10), field("name", String).nullable_since(10)]),
    field("allow_auto_topic_creation", Bool).since(4),
    field("include_cluster_authorized_operations", Bool).since(8).until(10),
    field("include_topic_authorized_operations", Bool).since(8),
]);

const METADATA_RESPONSE: Message = message("MetadataResponse", 0, 13).flexible_since(9).fields(&[
    field("throttle_time_ms", Int32).since(3),
    structs("brokers").of(&[
        field("node_id", Int32),
        field("host", String),
        field("port", Int32),
        field("rack", String).since(1).nullable(),
    ]),
    field("cluster_id", String).since(2).nullable(),
    field("controller_id", Int32).since(1),
    structs("topics").of(&[
        field("error_code", Int16),
        field("name", String).nullable_since(12),
        field("topic_id", Uuid).since(10),
        field("is_internal", Bool).since(1),
        structs("partitions").of(&[
            field("error_code", Int16),
            field("partition_index", Int32),
            field("leader_id", Int32),
            field("leader_epoch", Int32).since(7),
            field("replica_nodes", Array(&Int32)),
            field("isr_nodes", Array(&Int32)),
            field("offline_replicas", Array(&Int32)).since(5),
        ]),
        field("topic_authorized_operations", Int32).since(8),
    ]),
    field("cluster_authorized_operations", Int32).since(8).until(10),
    field("error_code", Int16).since(13),
]);

const OFFSET_COMMIT_REQUEST: Message =
    message("OffsetCommitRequest", 2, 9).flexible_since(8).fields(&[
        field("group_id", String),
        field("generation_id_or_member_epoch", Int32),
        field("member_id", String),
        field("group_instance_id", String).since(7).nullable(),
        field("retention_time_ms", Int64).until(4),
        structs("topics").of(&[
            field("name", String),
            structs("partitions").of(&[
                field("partition_index", Int32),
                field("committed_offset", Int64),
                field("committed_leader_epoch", Int32).since(6),
                field("committed_metadata", String).nullable(),
            ]),
        ]),
    ]);

const OFFSET_COMMIT_RESPONSE: Message =
    message("OffsetCommitResponse", 2, 9).flexible_since(8).fields(&[
        field("throttle_time_ms", Int32).since(3),
        structs("topics").of(&[
            field("name", String),
            structs("partitions")
                .of(&[field("partition_index", Int32), field("error_code", Int16)]),
        ]),
    ]);

const OFFSET_FETCH_REQUEST: Message =
    message("OffsetFetchRequest", 1, 9).flexible_since(6).fields(&[
        field("group_id", String).until(7),
        structs("topics")
            .until(7)
            .nullable_since(2)
            .of(&[field("name", String), field("partition_indexes", Array(&Int32))]),
        structs("groups").since(8).of(&[
            field("group_id", String),
            field("member_id", String).since(9).nullable(),
            field("member_epoch", Int32).since(9),
            structs("topics")
                .nullable()
                .of(&[field("name", String), field("partition_indexes", Array(&Int32))]),
        ]),
        field("require_stable", Bool).since(7),
    ]);

const OFFSET_FETCH_RESPONSE: Message =
    message("OffsetFetchResponse", 1, 9).flexible_since(6).fields(&[
        field("throttle_time_ms", Int32).since(3),
        structs("topics").until(7).of(&[
            field("name", String),
            structs("partitions").of(&[
                field("partition_index", Int32),
                field("committed_offset", Int64),
                field("committed_leader_epoch", Int32).since(5),
                field("metadata", String).nullable(),
                field("error_code", Int16),
            ]),
        ]),
        field("error_code", Int16).since(2).until(7),
        structs("groups").since(8).of(&[
            field("group_id", String),
            structs("topics").of(&[
                field("name", String),
                structs("partitions").of(&[
                    field("partition_index", Int32),
                    field("committed_offset", Int64),
                    field("committed_leader_epoch", Int32),
                    field("metadata", String).nullable(),
                    field("error_code", Int16),
                ]),
            ]),
            field("error_code", Int16),
        ]),
    ]);

const FIND_COORDINATOR_REQUEST: Message =
    message("FindCoordinatorRequest", 0, 6).flexible_since(3).fields(&[
        field("key", String).until(3),
        field("key_type", Int8).since(1),
        field("coordinator_keys", Array(&String)).since(4),
    ]);

const FIND_COORDINATOR_RESPONSE: Message =
    message("FindCoordinatorResponse", 0, 6).flexible_since(3).fields(&[
        field("throttle_time_ms", Int32).since(1),
        field("error_code", Int16).until(3),
        field("error_message", String).since(1).until(3).nullable(),
        field("node_id", Int32).until(3),
        field("host", String).until(3),
        field("port", Int32).until(3),
        structs("coordinators").since(4).of(&[
            field("key", String),
            field("node_id", Int32),
            field("host", String),
            field("port", Int32),
            field("error_code", Int16),
            field("error_message", String).nullable(),
        ]),
    ]);

const JOIN_GROUP_REQUEST: Message = message("JoinGroupRequest", 0, 9).flexible_since(6).fields(&[
    field("group_id", String),
    field("session_timeout_ms", Int32),
    field("rebalance_timeout_ms", Int32).since(1),
    field("member_id", String),
    field("group_instance_id", String).since(5).nullable(),
    field("protocol_type", String),
    structs("protocols").of(&[field("name", String), field("metadata", Bytes)]),
    field("reason", String).since(8).nullable(),
]);

const JOIN_GROUP_RESPONSE: Message =
    message("JoinGroupResponse", 0, 9).flexible_since(6).fields(&[
        field("throttle_time_ms", Int32).since(2),
        field("error_code", Int16),
        field("generation_id", Int32),
        field("protocol_type", String).since(7).nullable(),
        field("protocol_name", String).nullable_since(7),
        field("leader", String),
        field("skip_assignment", Bool).since(9),
        field("member_id", String),
        structs("members").of(&[
            field("member_id", String),
            field("group_instance_id", String).since(5).nullable(),
            field("metadata", Bytes),
        ]),
    ]);

const HEARTBEAT_REQUEST: Message = message("HeartbeatRequest", 0, 4).flexible_since(4).fields(&[
    field("group_id", String),
    field("generation_id", Int32),
    field("member_id", String),
    field("group_instance_id", String).since(3).nullable(),
]);

const HEARTBEAT_RESPONSE: Message = message("HeartbeatResponse", 0, 4)
    .flexible_since(4)
    .fields(&[field("throttle_time_ms", Int32).since(1), field("error_code", Int16)]);

const LEAVE_GROUP_REQUEST: Message =
    message("LeaveGroupRequest", 0, 5).flexible_since(4).fields(&[
        field("group_id", String),
        field("member_id", String).until(2),
        structs("members").since(3).of(&[
            field("member_id", String),
            field("group_instance_id", String).nullable(),
            field("reason", String).since(5).nullable(),
        ]),
    ]);

const LEAVE_GROUP_RESPONSE: Message =
    message("LeaveGroupResponse", 0, 5).flexible_since(4).fields(&[
        field("throttle_time_ms", Int32).since(1),
        field("error_code", Int16),
        structs("members").since(3).of(&[
            field("member_id", String),
            field("group_instance_id", String).nullable(),
            field("error_code", Int16),
        ]),
    ]);

const SYNC_GROUP_REQUEST: Message = message("SyncGroupRequest", 0, 5).flexible_since(4).fields(&[
    field("group_id", String),
    field("generation_id", Int32),
    field("member_id", String),
    field("group_instance_id", String).since(3).nullable(),
    field("protocol_type", String).since(5).nullable(),
    field("protocol_name", String).since(5).nullable(),
    structs("assignments").of(&[field("member_id", String), field("assignment", Bytes)]),
]);

const SYNC_GROUP_RESPONSE: Message =
    message("SyncGroupResponse", 0, 5).flexible_since(4).fields(&[
        field("throttle_time_ms", Int32).since(1),
        field("error_code", Int16),
        field("protocol_type", String).since(5).nullable(),
        field("protocol_name", String).since(5).nullable(),
        field("assignment", Bytes),
    ]);

const DESCRIBE_GROUPS_REQUEST: Message =
    message("DescribeGroupsRequest", 0, 6).flexible_since(5).fields(&[
        field("groups", Array(&String)),
        field("include_authorized_operations", Bool).since(3),
    ]);

const DESCRIBE_GROUPS_RESPONSE: Message =
    message("DescribeGroupsResponse", 0, 6).flexible_since(5).fields(&[
        field("throttle_time_ms", Int32).since(1),
        structs("groups").of(&[
            field("error_code", Int16),
            field("error_message", String).since(6).nullable(),
            field("group_id", String),
            field("group_state", String),
            field("protocol_type", String),
            field("protocol_data", String),
            structs("members").of(&[
                field("member_id", String),
                field("group_instance_id", String).since(4).nullable(),
                field("client_id", String),
                field("client_host", String),
                field("member_metadata", Bytes),
                field("member_assignment", Bytes),
            ]),
            field("authorized_operations", Int32).since(3),
        ]),
    ]);

const LIST_GROUPS_REQUEST: Message =
    message("ListGroupsRequest", 0, 5).flexible_since(3).fields(&[
        field("states_filter", Array(&String)).since(4),
        field("types_filter", Array(&String)).since(5),
    ]);

const LIST_GROUPS_RESPONSE: Message =
    message("ListGroupsResponse", 0, 5).flexible_since(3).fields(&[
        field("throttle_time_ms", Int32).since(1),
        field("error_code", Int16),
        structs("groups").of(&[
            field("group_id", String),
            field("protocol_type", String),
            field("group_state", String).since(4),
            field("group_type", String).since(5),
        ]),
    ]);

const SASL_HANDSHAKE_REQUEST: Message =
    message("SaslHandshakeRequest", 0, 1).fields(&[field("mechanism", String)]);

const SASL_HANDSHAKE_RESPONSE: Message = message("SaslHandshakeResponse", 0, 1)
    .fields(&[field("error_code", Int16), field("mechanisms", Array(&String))]);

const API_VERSIONS_REQUEST: Message =
    message("ApiVersionsRequest", 0, 4).flexible_since(3).fields(&[
        field("client_software_name", String).since(3),
        field("client_software_version", String).since(3),
    ]);

const API_VERSIONS_RESPONSE: Message =
    message("ApiVersionsResponse", 0, 4).flexible_since(3).fields(&[
        field("error_code", Int16),
        structs("api_keys").of(&[
            field("api_key", Int16),
            field("min_version", Int16),
            field("max_version", Int16),
        ]),
        field("throttle_time_ms", Int32).since(1),
        structs("supported_features").since(3).tag(0).of(&[
            field("name", String),
            field("min_version", Int16),
            field("max_version", Int16),
        ]),
        field("finalized_features_epoch", Int64).since(3).tag(1),
        structs("finalized_features").since(3).tag(2).of(&[
            field("name", String),
            field("max_version_level", Int16),
            field("min_version_level", Int16),
        ]),
        field("zk_migration_ready", Bool).since(3).tag(3),
    ]);

const CREATE_TOPICS_REQUEST: Message =
    message("CreateTopicsRequest", 2, 7).flexible_since(5).fields(&[
        structs("topics").of(&[
            field("name", String),
            field("num_partitions", Int32),
            field("replication_factor", Int16),
            structs("assignments")
                .of(&[field("partition_index", Int32), field("broker_ids", Array(&Int32))]),
            structs("configs").of(&[field("name", String), field("value", String).nullable()]),
        ]),
        field("timeout_ms", Int32),
        field("validate_only", Bool),
    ]);

const CREATE_TOPICS_RESPONSE: Message =
    message("CreateTopicsResponse", 2, 7).flexible_since(5).fields(&[
        field("throttle_time_ms", Int32),
        structs("topics").of(&[
            field("name", String),
            field("topic_id", Uuid).since(7),
            field("error_code", Int16),
            field("error_message", String).nullable(),
            field("topic_config_error_code", Int16).since(5).tag(0),
            field("num_partitions", Int32).since(5),
            field("replication_factor", Int16).since(5),
            structs("configs").since(5).nullable().of(&[
                field("name", String),
                field("value", String).nullable(),
                field("read_only", Bool),
                field("config_source", Int8),
                field("is_sensitive", Bool),
            ]),
        ]),
    ]);

const DELETE_TOPICS_REQUEST: Message =
    message("DeleteTopicsRequest", 1, 6).flexible_since(4).fields(&[
        structs("topics").since(6).of(&[field("name", String).nullable(), field("topic_id", Uuid)]),
        field("topic_names", Array(&String)).until(5),
        field("timeout_ms", Int32),
    ]);

const DELETE_TOPICS_RESPONSE: Message =
    message("DeleteTopicsResponse", 1, 6).flexible_since(4).fields(&[
        field("throttle_time_ms", Int32),
        structs("responses").of(&[
            field("name", String).nullable_since(6),
            field("topic_id", Uuid).since(6),
            field("error_code", Int16),
            field("error_message", String).since(5).nullable(),
        ]),
    ]);

const DELETE_RECORDS_REQUEST: Message =
    message("DeleteRecordsRequest", 0, 2).flexible_since(2).fields(&[
        structs("topics").of(&[
            field("name", String),
            structs("partitions").of(&[field("partition_index", Int32), field("offset", Int64)]),
        ]),
        field("timeout_ms", Int32),
    ]);

const DELETE_RECORDS_RESPONSE: Message =
    message("DeleteRecordsResponse", 0, 2).flexible_since(2).fields(&[
        field("throttle_time_ms", Int32),
        structs("topics").of(&[
            field("name", String),
            structs("partitions").of(&[
                field("partition_index", Int32),
                field("low_watermark", Int64),
                field("error_code", Int16),
            ]),
        ]),
    ]);

const INIT_PRODUCER_ID_REQUEST: Message =
    message("InitProducerIdRequest", 0, 5).flexible_since(2).fields(&[
        field("transactional_id", String).nullable(),
        field("transaction_timeout_ms", Int32),
        field("producer_id", Int64).since(3),
        field("producer_epoch", Int16).since(3),
    ]);

const INIT_PRODUCER_ID_RESPONSE: Message =
    message("InitProducerIdResponse", 0, 5).flexible_since(2).fields(&[
        field("throttle_time_ms", Int32),
        field("error_code", Int16),
        field("producer_id", Int64),
        field("producer_epoch", Int16),
    ]);

const OFFSET_FOR_LEADER_EPOCH_REQUEST: Message =
    message("OffsetForLeaderEpochRequest", 2, 4).flexible_since(4).fields(&[
        field("replica_id", Int32).since(3),
        structs("topics").of(&[
            field("topic", String),
            structs("partitions").of(&[
                field("partition", Int32),
                field("current_leader_epoch", Int32),
                field("leader_epoch", Int32),
            ]),
        ]),
    ]);

const OFFSET_FOR_LEADER_EPOCH_RESPONSE: Message =
    message("OffsetForLeaderEpochResponse", 2, 4).flexible_since(4).fields(&[
        field("throttle_time_ms", Int32),
        structs("topics").of(&[
            field("topic", String),
            structs("partitions").of(&[
                field("error_code", Int16),
                field("partition", Int32),
                field("leader_epoch", Int32),
                field("end_offset", Int64),
            ]),
        ]),
    ]);

const ADD_PARTITIONS_TO_TXN_REQUEST: Message =
    message("AddPartitionsToTxnRequest", 0, 5).flexible_since(3).fields(&[
        structs("transactions").since(4).of(&[
            field("transactional_id", String),
            field("producer_id", Int64),
            field("producer_epoch", Int16),
            field("verify_only", Bool),
            structs("topics").of(&[field("name", String), field("partitions", Array(&Int32))]),
        ]),
        field("v3_and_below_transactional_id", String).until(3),
        field("v3_and_below_producer_id", Int64).until(3),
        field("v3_and_below_producer_epoch", Int16).until(3),
        structs("v3_and_below_topics")
            .until(3)
            .of(&[field("name", String), field("partitions", Array(&Int32))]),
    ]);

const ADD_PARTITIONS_TO_TXN_RESPONSE: Message =
    message("AddPartitionsToTxnResponse", 0, 5).flexible_since(3).fields(&[
        field("throttle_time_ms", Int32),
        field("error_code", Int16).since(4),
        structs("results_by_transaction").since(4).of(&[
            field("transactional_id", String),
            structs("topic_results").of(&[
                field("name", String),
                structs("results_by_partition")
                    .of(&[field("partition_index", Int32), field("partition_error_code", Int16)]),
            ]),
        ]),
        structs("results_by_topic_v3_and_below").until(3).of(&[
            field("name", String),
            structs("results_by_partition")
                .of(&[field("partition_index", Int32), field("partition_error_code", Int16)]),
        ]),
    ]);

const ADD_OFFSETS_TO_TXN_REQUEST: Message =
    message("AddOffsetsToTxnRequest", 0, 4).flexible_since(3).fields(&[
        field("transactional_id", String),
        field("producer_id", Int64),
        field("producer_epoch", Int16),
        field("group_id", String),
    ]);

const ADD_OFFSETS_TO_TXN_RESPONSE: Message = message("AddOffsetsToTxnResponse", 0, 4)
    .flexible_since(3)
    .fields(&[field("throttle_time_ms", Int32), field("error_code", Int16)]);

const END_TXN_REQUEST: Message = message("EndTxnRequest", 0, 5).flexible_since(3).fields(&[
    field("transactional_id", String),
    field("producer_id", Int64),
    field("producer_epoch", Int16),
    field("committed", Bool),
]);

const END_TXN_RESPONSE: Message = message("EndTxnResponse", 0, 5).flexible_since(3).fields(&[
    field("throttle_time_ms", Int32),
    field("error_code", Int16),
    field("producer_id", Int64).since(5),
    field("producer_epoch", Int16).since(5),
]);

const WRITE_TXN_MARKERS_REQUEST: Message =
    message("WriteTxnMarkersRequest", 1, 1).flexible_since(1).fields(&[structs("markers").of(&[
        field("producer_id", Int64),
        field("producer_epoch", Int16),
        field("transaction_result", Bool),
        structs("topics").of(&[field("name", String), field("partition_indexes", Array(&Int32))]),
        field("coordinator_epoch", Int32),
    ])]);

const WRITE_TXN_MARKERS_RESPONSE: Message =
    message("WriteTxnMarkersResponse", 1, 1).flexible_since(1).fields(&[structs("markers").of(&[
        field("producer_id", Int64),
        structs("topics").of(&[
            field("name", String),
            structs("partitions")
                .of(&[field("partition_index", Int32), field("error_code", Int16)]),
        ]),
    ])]);

const TXN_OFFSET_COMMIT_REQUEST: Message =
    message("TxnOffsetCommitRequest", 0, 5).flexible_since(3).fields(&[
        field("transactional_id", String),
        field("group_id", String),
        field("producer_id", Int64),
        field("producer_epoch", Int16),
        field("generation_id", Int32).since(3),
        field("member_id", String).since(3),
        field("group_instance_id", String).since(3).nullable(),
        structs("topics").of(&[
            field("name", String),
            structs("partitions").of(&[
                field("partition_index", Int32),
                field("committed_offset", Int64),
                field("committed_leader_epoch", Int32).since(2),
                field("committed_metadata", String).nullable(),
            ]),
        ]),
    ]);

const TXN_OFFSET_COMMIT_RESPONSE: Message =
    message("TxnOffsetCommitResponse", 0, 5).flexible_since(3).fields(&[
        field("throttle_time_ms", Int32),
        structs("topics").of(&[
            field("name", String),
            structs("partitions")
                .of(&[field("partition_index", Int32), field("error_code", Int16)]),
        ]),
    ]);

const DESCRIBE_ACLS_REQUEST: Message =
    message("DescribeAclsRequest", 1, 3).flexible_since(2).fields(&[
        field("resource_type_filter", Int8),
        field("resource_name_filter", String).nullable(),
        field("pattern_type_filter", Int8),
        field("principal_filter", String).nullable(),
        field("host_filter", String).nullable(),
        field("operation", Int8),
        field("permission_type", Int8),
    ]);

const DESCRIBE_ACLS_RESPONSE: Message =
    message("DescribeAclsResponse", 1, 3).flexible_since(2).fields(&[
        field("throttle_time_ms", Int32),
        field("error_code", Int16),
        field("error_message", String).nullable(),
        structs("resources").of(&[
            field("resource_type", Int8),
            field("resource_name", String),
            field("pattern_type", Int8),
            structs("acls").of(&[
                field("principal", String),
                field("host", String),
                field("operation", Int8),
                field("permission_type", Int8),
            ]),
        ]),
    ]);

const CREATE_ACLS_REQUEST: Message =
    message("CreateAclsRequest", 1, 3).flexible_since(2).fields(&[structs("creations").of(&[
        field("resource_type", Int8),
        field("resource_name", String),
        field("resource_pattern_type", Int8),
        field("principal", String),
        field("host", String),
        field("operation", Int8),
        field("permission_type", Int8),
    ])]);

const CREATE_ACLS_RESPONSE: Message =
    message("CreateAclsResponse", 1, 3).flexible_since(2).fields(&[
        field("throttle_time_ms", Int32),
        structs("results")
            .of(&[field("error_code", Int16), field("error_message", String).nullable()]),
    ]);

const DELETE_ACLS_REQUEST: Message =
    message("DeleteAclsRequest", 1, 3).flexible_since(2).fields(&[structs("filters").of(&[
        field("resource_type_filter", Int8),
        field("resource_name_filter", String).nullable(),
        field("pattern_type_filter", Int8),
        field("principal_filter", String).nullable(),
        field("host_filter", String).nullable(),
        field("operation", Int8),
        field("permission_type", Int8),
    ])]);

const DELETE_ACLS_RESPONSE: Message =
    message("DeleteAclsResponse", 1, 3).flexible_since(2).fields(&[
        field("throttle_time_ms", Int32),
        structs("filter_results").of(&[
            field("error_code", Int16),
            field("error_message", String).nullable(),
            structs("matching_acls").of(&[
                field("error_code", Int16),
                field("error_message", String).nullable(),
                field("resource_type", Int8),
                field("resource_name", String),
                field("pattern_type", Int8),
                field("principal", String),
                field("host", String),
                field("operation", Int8),
                field("permission_type", Int8),
            ]),
        ]),
    ]);

const DESCRIBE_CONFIGS_REQUEST: Message =
    message("DescribeConfigsRequest", 1, 4).flexible_since(4).fields(&[
        structs("resources").of(&[
            field("resource_type", Int8),
            field("resource_name", String),
            field("configuration_keys", Array(&String)).nullable(),
        ]),
        field("include_synonyms", Bool),
        field("include_documentation", Bool).since(3),
    ]);

const DESCRIBE_CONFIGS_RESPONSE: Message =
    message("DescribeConfigsResponse", 1, 4).flexible_since(4).fields(&[
        field("throttle_time_ms", Int32),
        structs("results").of(&[
            field("error_code", Int16),
            field("error_message", String).nullable(),
            field("resource_type", Int8),
            field("resource_name", String),
            structs("configs").of(&[
                field("name", String),
                field("value", String).nullable(),
                field("read_only", Bool),
                field("config_source", Int8),
                field("is_sensitive", Bool),
                structs("synonyms").of(&[
                    field("name", String),
                    field("value", String).nullable(),
                    field("source", Int8),
                ]),
                field("config_type", Int8).since(3),
                field("documentation", String).since(3).nullable(),
            ]),
        ]),
    ]);

const ALTER_CONFIGS_REQUEST: Message =
    message("AlterConfigsRequest", 0, 2).flexible_since(2).fields(&[
        structs("resources").of(&[
            field("resource_type", Int8),
            field("resource_name", String),
            structs("configs").of(&[field("name", String), field("value", String).nullable()]),
        ]),
        field("validate_only", Bool),
    ]);

const ALTER_CONFIGS_RESPONSE: Message =
    message("AlterConfigsResponse", 0, 2).flexible_since(2).fields(&[
        field("throttle_time_ms", Int32),
        structs("responses").of(&[
            field("error_code", Int16),
            field("error_message", String).nullable(),
            field("resource_type", Int8),
            field("resource_name", String),
        ]),
    ]);

const ALTER_REPLICA_LOG_DIRS_REQUEST: Message =
    message("AlterReplicaLogDirsRequest", 1, 2).flexible_since(2).fields(&[structs("dirs").of(&[
        field("path", String),
        structs("topics").of(&[field("name", String), field("partitions", Array(&Int32))]),
    ])]);

const ALTER_REPLICA_LOG_DIRS_RESPONSE: Message =
    message("AlterReplicaLogDirsResponse", 1, 2).flexible_since(2).fields(&[
        field("throttle_time_ms", Int32),
        structs("results").of(&[
            field("topic_name", String),
            structs("partitions")
                .of(&[field("partition_index", Int32), field("error_code", Int16)]),
        ]),
    ]);

const DESCRIBE_LOG_DIRS_REQUEST: Message =
    message("DescribeLogDirsRequest", 1, 4).flexible_since(2).fields(&[structs("topics")
        .nullable()
        .of(&[field("topic", String), field("partitions", Array(&Int32))])]);

const DESCRIBE_LOG_DIRS_RESPONSE: Message =
    message("DescribeLogDirsResponse", 1, 4).flexible_since(2).fields(&[
        field("throttle_time_ms", Int32),
        field("error_code", Int16).since(3),
        structs("results").of(&[
            field("error_code", Int16),
            field("log_dir", String),
            structs("topics").of(&[
                field("name", String),
                structs("partitions").of(&[
                    field("partition_index", Int32),
                    field("partition_size", Int64),
                    field("offset_lag", Int64),
                    field("is_future_key", Bool),
                ]),
            ]),
            field("total_bytes", Int64).since(4),
            field("usable_bytes", Int64).since(4),
        ]),
    ]);

const SASL_AUTHENTICATE_REQUEST: Message = message("SaslAuthenticateRequest", 0, 2)
    .flexible_since(2)
    .fields(&[field("auth_bytes", Bytes)]);

const SASL_AUTHENTICATE_RESPONSE: Message =
    message("SaslAuthenticateResponse", 0, 2).flexible_since(2).fields(&[
        field("error_code", Int16),
        field("error_message", String).nullable(),
        field("auth_bytes", Bytes),
        field("session_lifetime_ms", Int64).since(1),
    ]);

const CREATE_PARTITIONS_REQUEST: Message =
    message("CreatePartitionsRequest", 0, 3).flexible_since(2).fields(&[
        structs("topics").of(&[
            field("name", String),
            field("count", Int32),
            structs("assignments").nullable().of(&[field("broker_ids", Array(&Int32))]),
        ]),
        field("timeout_ms", Int32),
        field("validate_only", Bool),
    ]);

const CREATE_PARTITIONS_RESPONSE: Message =
    message("CreatePartitionsResponse", 0, 3).flexible_since(2).fields(&[
        field("throttle_time_ms", Int32),
        structs("results").of(&[
            field("name", String),
            field("error_code", Int16),
            field("error_message", String).nullable(),
        ]),
    ]);

const CREATE_DELEGATION_TOKEN_REQUEST: Message =
    message("CreateDelegationTokenRequest", 1, 3).flexible_since(2).fields(&[
        field("owner_principal_type", String).since(3).nullable(),
        field("owner_principal_name", String).since(3).nullable(),
        structs("renewers").of(&[field("principal_type", String), field("principal_name", String)]),
        field("max_lifetime_ms", Int64),
    ]);

const CREATE_DELEGATION_TOKEN_RESPONSE: Message =
    message("CreateDelegationTokenResponse", 1, 3).flexible_since(2).fields(&[
        field("error_code", Int16),
        field("principal_type", String),
        field("principal_name", String),
        field("token_requester_principal_type", String).since(3),
        field("token_requester_principal_name", String).since(3),
        field("issue_timestamp_ms", Int64),
        field("expiry_timestamp_ms", Int64),
        field("max_timestamp_ms", Int64),
        field("token_id", String),
        field("hmac", Bytes),
        field("throttle_time_ms", Int32),
    ]);

const RENEW_DELEGATION_TOKEN_REQUEST: Message = message("RenewDelegationTokenRequest", 1, 2)
    .flexible_since(2)
    .fields(&[field("hmac", Bytes), field("renew_period_ms", Int64)]);

const RENEW_DELEGATION_TOKEN_RESPONSE: Message =
    message("RenewDelegationTokenResponse", 1, 2).flexible_since(2).fields(&[
        field("error_code", Int16),
        field("expiry_timestamp_ms", Int64),
        field("throttle_time_ms", Int32),
    ]);

const EXPIRE_DELEGATION_TOKEN_REQUEST: Message = message("ExpireDelegationTokenRequest", 1, 2)
    .flexible_since(2)
    .fields(&[field("hmac", Bytes), field("expiry_time_period_ms", Int64)]);

const EXPIRE_DELEGATION_TOKEN_RESPONSE: Message =
    message("ExpireDelegationTokenResponse", 1, 2).flexible_since(2).fields(&[
        field("error_code", Int16),
        field("expiry_timestamp_ms", Int64),
        field("throttle_time_ms", Int32),
    ]);

const DESCRIBE_DELEGATION_TOKEN_REQUEST: Message =
    message("DescribeDelegationTokenRequest", 1, 3).flexible_since(2).fields(&[structs("owners")
        .nullable()
        .of(&[field("principal_type", String), field("principal_name", String)])]);

const DESCRIBE_DELEGATION_TOKEN_RESPONSE: Message =
    message("DescribeDelegationTokenResponse", 1, 3).flexible_since(2).fields(&[
        field("error_code", Int16),
        structs("tokens").of(&[
            field("principal_type", String),
            field("principal_name", String),
            field("token_requester_principal_type", String).since(3),
            field("token_requester_principal_name", String).since(3),
            field("issue_timestamp", Int64),
            field("expiry_timestamp", Int64),
            field("max_timestamp", Int64),
            field("token_id", String),
            field("hmac", Bytes),
            structs("renewers")
                .of(&[field("principal_type", String), field("principal_name", String)]),
        ]),
        field("throttle_time_ms", Int32),
    ]);

const DELETE_GROUPS_REQUEST: Message = message("DeleteGroupsRequest", 0, 2)
    .flexible_since(2)
    .fields(&[field("groups_names", Array(&String))]);

const DELETE_GROUPS_RESPONSE: Message =
    message("DeleteGroupsResponse", 0, 2).flexible_since(2).fields(&[
        field("throttle_time_ms", Int32),
        structs("results").of(&[field("group_id", String), field("error_code", Int16)]),
    ]);

const ELECT_LEADERS_REQUEST: Message =
    message("ElectLeadersRequest", 0, 2).flexible_since(2).fields(&[
        field("election_type", Int8).since(1),
        structs("topic_partitions")
            .nullable()
            .of(&[field("topic", String), field("partitions", Array(&Int32))]),
        field("timeout_ms", Int32),
    ]);

const ELECT_LEADERS_RESPONSE: Message =
    message("ElectLeadersResponse", 0, 2).flexible_since(2).fields(&[
        field("throttle_time_ms", Int32),
        field("error_code", Int16).since(1),
        structs("replica_election_results").of(&[
            field("topic", String),
            structs("partition_result").of(&[
                field("partition_id", Int32),
                field("error_code", Int16),
                field("error_message", String).nullable(),
            ]),
        ]),
    ]);

const INCREMENTAL_ALTER_CONFIGS_REQUEST: Message =
    message("IncrementalAlterConfigsRequest", 0, 1).flexible_since(1).fields(&[
        structs("resources").of(&[
            field("resource_type", Int8),
            field("resource_name", String),
            structs("configs").of(&[
                field("name", String),
                field("config_operation", Int8),
                field("value", String).nullable(),
            ]),
        ]),
        field("validate_only", Bool),
    ]);

const INCREMENTAL_ALTER_CONFIGS_RESPONSE: Message =
    message("IncrementalAlterConfigsResponse", 0, 1).flexible_since(1).fields(&[
        field("throttle_time_ms", Int32),
        structs("responses").of(&[
            field("error_code", Int16),
            field("error_message", String).nullable(),
            field("resource_type", Int8),
            field("resource_name", String),
        ]),
    ]);

const ALTER_PARTITION_REASSIGNMENTS_REQUEST: Message =
    message("AlterPartitionReassignmentsRequest", 0, 1).flexible_since(0).fields(&[
        field("timeout_ms", Int32),
        field("allow_replication_factor_change", Bool).since(1),
        structs("topics").of(&[
            field("name", String),
            structs("partitions").of(&[
                field("partition_index", Int32),
                field("replicas", Array(&Int32)).nullable(),
            ]),
        ]),
    ]);

const ALTER_PARTITION_REASSIGNMENTS_RESPONSE: Message =
    message("AlterPartitionReassignmentsResponse", 0, 1).flexible_since(0).fields(&[
        field("throttle_time_ms", Int32),
        field("allow_replication_factor_change", Bool).since(1),
        field("error_code", Int16),
        field("error_message", String).nullable(),
        structs("responses").of(&[
            field("name", String),
            structs("partitions").of(&[
                field("partition_index", Int32),
                field("error_code", Int16),
                field("error_message", String).nullable(),
            ]),
        ]),
    ]);

const LIST_PARTITION_REASSIGNMENTS_REQUEST: Message =
    message("ListPartitionReassignmentsRequest", 0, 0).flexible_since(0).fields(&[
        field("timeout_ms", Int32),
        structs("topics")
            .nullable()
            .of(&[field("name", String), field("partition_indexes", Array(&Int32))]),
    ]);

const LIST_PARTITION_REASSIGNMENTS_RESPONSE: Message =
    message("ListPartitionReassignmentsResponse", 0, 0).flexible_since(0).fields(&[
        field("throttle_time_ms", Int32),
        field("error_code", Int16),
        field("error_message", String).nullable(),
        structs("topics").of(&[
            field("name", String),
            structs("partitions").of(&[
                field("partition_index", Int32),
                field("replicas", Array(&Int32)),
                field("adding_replicas", Array(&Int32)),
                field("removing_replicas", Array(&Int32)),
            ]),
        ]),
    ]);

const OFFSET_DELETE_REQUEST: Message = message("OffsetDeleteRequest", 0, 0).fields(&[
    field("group_id", String),
    structs("topics")
        .of(&[field("name", String), structs("partitions").of(&[field("partition_index", Int32)])]),
]);

const OFFSET_DELETE_RESPONSE: Message = message("OffsetDeleteResponse", 0, 0).fields(&[
    field("error_code", Int16),
    field("throttle_time_ms", Int32),
    structs("topics").of(&[
        field("name", String),
        structs("partitions").of(&[field("partition_index", Int32), field("error_code", Int16)]),
    ]),
]);

const DESCRIBE_CLIENT_QUOTAS_REQUEST: Message =
    message("DescribeClientQuotasRequest", 0, 1).flexible_since(1).fields(&[
        structs("components").of(&[
            field("entity_type", String),
            field("match_type", Int8),
            field("match", String).nullable(),
        ]),
        field("strict", Bool),
    ]);

const DESCRIBE_CLIENT_QUOTAS_RESPONSE: Message =
    message("DescribeClientQuotasResponse", 0, 1).flexible_since(1).fields(&[
        field("throttle_time_ms", Int32),
        field("error_code", Int16),
        field("error_message", String).nullable(),
        structs("entries").nullable().of(&[
            structs("entity")
                .of(&[field("entity_type", String), field("entity_name", String).nullable()]),
            structs("values").of(&[field("key", String), field("value", Float64)]),
        ]),
    ]);

const ALTER_CLIENT_QUOTAS_REQUEST: Message =
    message("AlterClientQuotasRequest", 0, 1).flexible_since(1).fields(&[
        structs("entries").of(&[
            structs("entity")
                .of(&[field("entity_type", String), field("entity_name", String).nullable()]),
            structs("ops").of(&[
                field("key", String),
                field("value", Float64),
                field("remove", Bool),
            ]),
        ]),
        field("validate_only", Bool),
    ]);

const ALTER_CLIENT_QUOTAS_RESPONSE: Message =
    message("AlterClientQuotasResponse", 0, 1).flexible_since(1).fields(&[
        field("throttle_time_ms", Int32),
        structs("entries").of(&[
            field("error_code", Int16),
            field("error_message", String).nullable(),
            structs("entity")
                .of(&[field("entity_type", String), field("entity_name", String).nullable()]),
        ]),
    ]);

const DESCRIBE_USER_SCRAM_CREDENTIALS_REQUEST: Message =
    message("DescribeUserScramCredentialsRequest", 0, 0).flexible_since(0).fields(&[structs(
        "users",
    )
    .nullable()
    .of(&[field("name", String)])]);

const DESCRIBE_USER_SCRAM_CREDENTIALS_RESPONSE: Message =
    message("DescribeUserScramCredentialsResponse", 0, 0).flexible_since(0).fields(&[
        field("throttle_time_ms", Int32),
        field("error_code", Int16),
        field("error_message", String).nullable(),
        structs("results").of(&[
            field("user", String),
            field("error_code", Int16),
            field("error_message", String).nullable(),
            structs("credential_infos").of(&[field("mechanism", Int8), field("iterations", Int32)]),
        ]),
    ]);

const ALTER_USER_SCRAM_CREDENTIALS_REQUEST: Message =
    message("AlterUserScramCredentialsRequest", 0, 0).flexible_since(0).fields(&[
        structs("deletions").of(&[field("name", String), field("mechanism", Int8)]),
        structs("upsertions").of(&[
            field("name", String),
            field("mechanism", Int8),
            field("iterations", Int32),
            field("salt", Bytes),
            field("salted_password", Bytes),
        ]),
    ]);

const ALTER_USER_SCRAM_CREDENTIALS_RESPONSE: Message =
    message("AlterUserScramCredentialsResponse", 0, 0).flexible_since(0).fields(&[
        field("throttle_time_ms", Int32),
        structs("results").of(&[
            field("user", String),
            field("error_code", Int16),
            field("error_message", String).nullable(),
        ]),
    ]);

const DESCRIBE_QUORUM_REQUEST: Message =
    message("DescribeQuorumRequest", 0, 2).flexible_since(0).fields(&[structs("topics").of(&[
        field("topic_name", String),
        structs("partitions").of(&[field("partition_index", Int32)]),
    ])]);

const DESCRIBE_QUORUM_RESPONSE: Message =
    message("DescribeQuorumResponse", 0, 2).flexible_since(0).fields(&[
        field("error_code", Int16),
        field("error_message", String).since(2).nullable(),
        structs("topics").of(&[
            field("topic_name", String),
            structs("partitions").of(&[
                field("partition_index", Int32),
                field("error_code", Int16),
                field("error_message", String).since(2).nullable(),
                field("leader_id", Int32),
                field("leader_epoch", Int32),
                field("high_watermark", Int64),
                structs("current_voters").of(&[
                    field("replica_id", Int32),
                    field("replica_directory_id", Uuid).since(2),
                    field("log_end_offset", Int64),
                    field("last_fetch_timestamp", Int64).since(1),
                    field("last_caught_up_timestamp", Int64).since(1),
                ]),
                structs("observers").of(&[
                    field("replica_id", Int32),
                    field("replica_directory_id", Uuid).since(2),
                    field("log_end_offset", Int64),
                    field("last_fetch_timestamp", Int64).since(1),
                    field("last_caught_up_timestamp", Int64).since(1),
                ]),
            ]),
        ]),
        structs("nodes").since(2).of(&[
            field("node_id", Int32),
            structs("listeners").of(&[
                field("name", String),
                field("host", String),
                field("port", Uint16),
            ]),
        ]),
    ]);

const UPDATE_FEATURES_REQUEST: Message =
    message("UpdateFeaturesRequest", 0, 2).flexible_since(0).fields(&[
        field("timeout_ms", Int32),
        structs("feature_updates").of(&[
            field("feature", String),
            field("max_version_level", Int16),
            field("allow_downgrade", Bool).until(0),
            field("upgrade_type", Int8).since(1),
        ]),
        field("validate_only", Bool).since(1),
    ]);

const UPDATE_FEATURES_RESPONSE: Message =
    message("UpdateFeaturesResponse", 0, 2).flexible_since(0).fields(&[
        field("throttle_time_ms", Int32),
        field("error_code", Int16),
        field("error_message", String).nullable(),
        structs("results").until(1).of(&[
            field("feature", String),
            field("error_code", Int16),
            field("error_message", String).nullable(),
        ]),
    ]);

const DESCRIBE_CLUSTER_REQUEST: Message =
    message("DescribeClusterRequest", 0, 2).flexible_since(0).fields(&[
        field("include_cluster_authorized_operations", Bool),
        field("endpoint_type", Int8).since(1),
        field("include_fenced_brokers", Bool).since(2),
    ]);

const DESCRIBE_CLUSTER_RESPONSE: Message =
    message("DescribeClusterResponse", 0, 2).flexible_since(0).fields(&[
        field("throttle_time_ms", Int32),
        field("error_code", Int16),
        field("error_message", String).nullable(),
        field("endpoint_type", Int8).since(1),
        field("cluster_id", String),
        field("controller_id", Int32),
        structs("brokers").of(&[
            field("broker_id", Int32),
            field("host", String),
            field("port", Int32),
            field("rack", String).nullable(),
            field("is_fenced", Bool).since(2),
        ]),
        field("cluster_authorized_operations", Int32),
    ]);

const DESCRIBE_PRODUCERS_REQUEST: Message = message("DescribeProducersRequest", 0, 0)
    .flexible_since(0)
    .fields(&[
        structs("topics").of(&[field("name", String), field("partition_indexes", Array(&Int32))])
    ]);

const DESCRIBE_PRODUCERS_RESPONSE: Message =
    message("DescribeProducersResponse", 0, 0).flexible_since(0).fields(&[
        field("throttle_time_ms", Int32),
        structs("topics").of(&[
            field("name", String),
            structs("partitions").of(&[
                field("partition_index", Int32),
                field("error_code", Int16),
                field("error_message", String).nullable(),
                structs("active_producers").of(&[
                    field("producer_id", Int64),
                    field("producer_epoch", Int32),
                    field("last_sequence", Int32),
                    field("last_timestamp", Int64),
                    field("coordinator_epoch", Int32),
                    field("current_txn_start_offset", Int64),
                ]),
            ]),
        ]),
    ]);

const UNREGISTER_BROKER_REQUEST: Message =
    message("UnregisterBrokerRequest", 0, 0).flexible_since(0).fields(&[field("broker_id", Int32)]);

const UNREGISTER_BROKER_RESPONSE: Message =
    message("UnregisterBrokerResponse", 0, 0).flexible_since(0).fields(&[
        field("throttle_time_ms", Int32),
        field("error_code", Int16),
        field("error_message", String).nullable(),
    ]);

const DESCRIBE_TRANSACTIONS_REQUEST: Message = message("DescribeTransactionsRequest", 0, 0)
    .flexible_since(0)
    .fields(&[field("transactional_ids", Array(&String))]);

const DESCRIBE_TRANSACTIONS_RESPONSE: Message =
    message("DescribeTransactionsResponse", 0, 0).flexible_since(0).fields(&[
        field("throttle_time_ms", Int32),
        structs("transaction_states").of(&[
            field("error_code", Int16),
            field("transactional_id", String),
            field("transaction_state", String),
            field("transaction_timeout_ms", Int32),
            field("transaction_start_time_ms", Int64),
            field("producer_id", Int64),
            field("producer_epoch", Int16),
            structs("topics").of(&[field("topic", String), field("partitions", Array(&Int32))]),
        ]),
    ]);

const LIST_TRANSACTIONS_REQUEST: Message =
    message("ListTransactionsRequest", 0, 2).flexible_since(0).fields(&[
        field("state_filters", Array(&String)),
        field("producer_id_filters", Array(&Int64)),
        field("duration_filter", Int64).since(1),
        field("transactional_id_pattern", String).since(2).nullable(),
    ]);

const LIST_TRANSACTIONS_RESPONSE: Message =
    message("ListTransactionsResponse", 0, 2).flexible_since(0).fields(&[
        field("throttle_time_ms", Int32),
        field("error_code", Int16),
        field("unknown_state_filters", Array(&String)),
        structs("transaction_states").of(&[
            field("transactional_id", String),
            field("producer_id", Int64),
            field("transaction_state", String),
        ]),
    ]);

const CONSUMER_GROUP_HEARTBEAT_REQUEST: Message =
    message("ConsumerGroupHeartbeatRequest", 0, 1).flexible_since(0).fields(&[
        field("group_id", String),
        field("member_id", String),
        field("member_epoch", Int32),
        field("instance_id", String).nullable(),
        field("rack_id", String).nullable(),
        field("rebalance_timeout_ms", Int32),
        field("subscribed_topic_names", Array(&String)).nullable(),
        field("subscribed_topic_regex", String).since(1).nullable(),
        field("server_assignor", String).nullable(),
        structs("topic_partitions")
            .nullable()
            .of(&[field("topic_id", Uuid), field("partitions", Array(&Int32))]),
    ]);

const CONSUMER_GROUP_HEARTBEAT_RESPONSE: Message =
    message("ConsumerGroupHeartbeatResponse", 0, 1).flexible_since(0).fields(&[
        field("throttle_time_ms", Int32),
        field("error_code", Int16),
        field("error_message", String).nullable(),
        field("member_id", String).nullable(),
        field("member_epoch", Int32),
        field("heartbeat_interval_ms", Int32),
        struct_("assignment").nullable().of(&[structs("topic_partitions")
            .of(&[field("topic_id", Uuid), field("partitions", Array(&Int32))])]),
    ]);

const CONSUMER_GROUP_DESCRIBE_REQUEST: Message = message("ConsumerGroupDescribeRequest", 0, 1)
    .flexible_since(0)
    .fields(&[field("group_ids", Array(&String)), field("include_authorized_operations", Bool)]);

const CONSUMER_GROUP_DESCRIBE_RESPONSE: Message =
    message("ConsumerGroupDescribeResponse", 0, 1).flexible_since(0).fields(&[
        field("throttle_time_ms", Int32),
        structs("groups").of(&[
            field("error_code", Int16),
            field("error_message", String).nullable(),
            field("group_id", String),
            field("group_state", String),
            field("group_epoch", Int32),
            field("assignment_epoch", Int32),
            field("assignor_name", String),
            structs("members").of(&[
                field("member_id", String),
                field("instance_id", String).nullable(),
                field("rack_id", String).nullable(),
                field("member_epoch", Int32),
                field("client_id", String),
                field("client_host", String),
                field("subscribed_topic_names", Array(&String)),
                field("subscribed_topic_regex", String).nullable(),
                struct_("assignment").of(&[structs("topic_partitions").of(&[
                    field("topic_id", Uuid),
                    field("topic_name", String),
                    field("partitions", Array(&Int32)),
                ])]),
                struct_("target_assignment").of(&[structs("topic_partitions").of(&[
                    field("topic_id", Uuid),
                    field("topic_name", String),
                    field("partitions", Array(&Int32)),
                ])]),
                field("member_type", Int8).since(1),
            ]),
            field("authorized_operations", Int32),
        ]),
    ]);

const GET_TELEMETRY_SUBSCRIPTIONS_REQUEST: Message =
    message("GetTelemetrySubscriptionsRequest", 0, 0)
        .flexible_since(0)
        .fields(&[field("client_instance_id", Uuid)]);

const GET_TELEMETRY_SUBSCRIPTIONS_RESPONSE: Message =
    message("GetTelemetrySubscriptionsResponse", 0, 0).flexible_since(0).fields(&[
        field("throttle_time_ms", Int32),
        field("error_code", Int16),
        field("client_instance_id", Uuid),
        field("subscription_id", Int32),
        field("accepted_compression_types", Array(&Int8)),
        field("push_interval_ms", Int32),
        field("telemetry_max_bytes", Int32),
        field("delta_temporality", Bool),
        field("requested_metrics", Array(&String)),
    ]);

const PUSH_TELEMETRY_REQUEST: Message =
    message("PushTelemetryRequest", 0, 0).flexible_since(0).fields(&[
        field("client_instance_id", Uuid),
        field("subscription_id", Int32),
        field("terminating", Bool),
        field("compression_type", Int8),
        field("metrics", Bytes),
    ]);

const PUSH_TELEMETRY_RESPONSE: Message = message("PushTelemetryResponse", 0, 0)
    .flexible_since(0)
    .fields(&[field("throttle_time_ms", Int32), field("error_code", Int16)]);

const LIST_CONFIG_RESOURCES_REQUEST: Message = message("ListConfigResourcesRequest", 0, 1)
    .flexible_since(0)
    .fields(&[field("resource_types", Array(&Int8)).since(1)]);

const LIST_CONFIG_RESOURCES_RESPONSE: Message =
    message("ListConfigResourcesResponse", 0, 1).flexible_since(0).fields(&[
        field("throttle_time_ms", Int32),
        field("error_code", Int16),
        structs("config_resources")
            .of(&[field("resource_name", String), field("resource_type", Int8).since(1)]),
    ]);

const DESCRIBE_TOPIC_PARTITIONS_REQUEST: Message =
    message("DescribeTopicPartitionsRequest", 0, 0).flexible_since(0).fields(&[
        structs("topics").of(&[field("name", String)]),
        field("response_partition_limit", Int32),
        struct_("cursor")
            .nullable()
            .of(&[field("topic_name", String), field("partition_index", Int32)]),
    ]);

const DESCRIBE_TOPIC_PARTITIONS_RESPONSE: Message =
    message("DescribeTopicPartitionsResponse", 0, 0).flexible_since(0).fields(&[
        field("throttle_time_ms", Int32),
        structs("topics").of(&[
            field("error_code", Int16),
            field("name", String).nullable(),
            field("topic_id", Uuid),
            field("is_internal", Bool),
            structs("partitions").of(&[
                field("error_code", Int16),
                field("partition_index", Int32),
                field("leader_id", Int32),
                field("leader_epoch", Int32),
                field("replica_nodes", Array(&Int32)),
                field("isr_nodes", Array(&Int32)),
                field("eligible_leader_replicas", Array(&Int32)).nullable(),
                field("last_known_elr", Array(&Int32)).nullable(),
                field("offline_replicas", Array(&Int32)),
            ]),
            field("topic_authorized_operations", Int32),
        ]),
        struct_("next_cursor")
            .nullable()
            .of(&[field("topic_name", String), field("partition_index", Int32)]),
    ]);

const SHARE_GROUP_HEARTBEAT_REQUEST: Message =
    message("ShareGroupHeartbeatRequest", 1, 1).flexible_since(1).fields(&[
        field("group_id", String),
        field("member_id", String),
        field("member_epoch", Int32),
        field("rack_id", String).nullable(),
        field("subscribed_topic_names", Array(&String)).nullable(),
    ]);

const SHARE_GROUP_HEARTBEAT_RESPONSE: Message =
    message("ShareGroupHeartbeatResponse", 1, 1).flexible_since(1).fields(&[
        field("throttle_time_ms", Int32),
        field("error_code", Int16),
        field("error_message", String).nullable(),
        field("member_id", String).nullable(),
        field("member_epoch", Int32),
        field("heartbeat_interval_ms", Int32),
        struct_("assignment").nullable().of(&[structs("topic_partitions")
            .of(&[field("topic_id", Uuid), field("partitions", Array(&Int32))])]),
    ]);

const SHARE_GROUP_DESCRIBE_REQUEST: Message = message("ShareGroupDescribeRequest", 1, 1)
    .flexible_since(1)
    .fields(&[field("group_ids", Array(&String)), field("include_authorized_operations", Bool)]);

const SHARE_GROUP_DESCRIBE_RESPONSE: Message =
    message("ShareGroupDescribeResponse", 1, 1).flexible_since(1).fields(&[
        field("throttle_time_ms", Int32),
        structs("groups").of(&[
            field("error_code", Int16),
            field("error_message", String).nullable(),
            field("group_id", String),
            field("group_state", String),
            field("group_epoch", Int32),
            field("assignment_epoch", Int32),
            field("assignor_name", String),
            structs("members").of(&[
                field("member_id", String),
                field("rack_id", String).nullable(),
                field("member_epoch", Int32),
                field("client_id", String),
                field("client_host", String),
                field("subscribed_topic_names", Array(&String)),
                struct_("assignment").of(&[structs("topic_partitions").of(&[
                    field("topic_id", Uuid),
                    field("topic_name", String),
                    field("partitions", Array(&Int32)),
                ])]),
            ]),
            field("authorized_operations", Int32),
        ]),
    ]);

const SHARE_FETCH_REQUEST: Message =
    message("ShareFetchRequest", 1, 1).flexible_since(1).fields(&[
        field("group_id", String).nullable(),
        field("member_id", String).nullable(),
        field("share_session_epoch", Int32),
        field("max_wait_ms", Int32),
        field("min_bytes", Int32),
        field("max_bytes", Int32),
        field("max_records", Int32),
        field("batch_size", Int32),
        structs("topics").of(&[
            field("topic_id", Uuid),
            structs("partitions").of(&[
                field("partition_index", Int32),
                structs("acknowledgement_batches").of(&[
                    field("first_offset", Int64),
                    field("last_offset", Int64),
                    field("acknowledge_types", Array(&Int8)),
                ]),
            ]),
        ]),
        structs("forgotten_topics_data")
            .of(&[field("topic_id", Uuid), field("partitions", Array(&Int32))]),
    ]);

const SHARE_FETCH_RESPONSE: Message =
    message("ShareFetchResponse", 1, 1).flexible_since(1).fields(&[
        field("throttle_time_ms", Int32),
        field("error_code", Int16),
        field("error_message", String).nullable(),
        field("acquisition_lock_timeout_ms", Int32),
        structs("responses").of(&[
            field("topic_id", Uuid),
            structs("partitions").of(&[
                field("partition_index", Int32),
                field("error_code", Int16),
                field("error_message", String).nullable(),
                field("acknowledge_error_code", Int16),
                field("acknowledge_error_message", String).nullable(),
                struct_("current_leader")
                    .of(&[field("leader_id", Int32), field("leader_epoch", Int32)]),
                field("records", Records),
                structs("acquired_records").of(&[
                    field("first_offset", Int64),
                    field("last_offset", Int64),
                    field("delivery_count", Int16),
                ]),
            ]),
        ]),
        structs("node_endpoints").of(&[
            field("node_id", Int32),
            field("host", String),
            field("port", Int32),
            field("rack", String).nullable(),
        ]),
    ]);

const SHARE_ACKNOWLEDGE_REQUEST: Message =
    message("ShareAcknowledgeRequest", 1, 1).flexible_since(1).fields(&[
        field("group_id", String).nullable(),
        field("member_id", String).nullable(),
        field("share_session_epoch", Int32),
        structs("topics").of(&[
            field("topic_id", Uuid),
            structs("partitions").of(&[
                field("partition_index", Int32),
                structs("acknowledgement_batches").of(&[
                    field("first_offset", Int64),
                    field("last_offset", Int64),
                    field("acknowledge_types", Array(&Int8)),
                ]),
            ]),
        ]),
    ]);

const SHARE_ACKNOWLEDGE_RESPONSE: Message =
    message("ShareAcknowledgeResponse", 1, 1).flexible_since(1).fields(&[
        field("throttle_time_ms", Int32),
        field("error_code", Int16),
        field("error_message", String).nullable(),
        structs("responses").of(&[
            field("topic_id", Uuid),
            structs("partitions").of(&[
                field("partition_index", Int32),
                field("error_code", Int16),
                field("error_message", String).nullable(),
                struct_("current_leader")
                    .of(&[field("leader_id", Int32), field("leader_epoch", Int32)]),
            ]),
        ]),
        structs("node_endpoints").of(&[
            field("node_id", Int32),
            field("host", String),
            field("port", Int32),
            field("rack", String).nullable(),
        ]),
    ]);

const ADD_RAFT_VOTER_REQUEST: Message =
    message("AddRaftVoterRequest", 0, 0).flexible_since(0).fields(&[
        field("cluster_id", String).nullable(),
        field("timeout_ms", Int32),
        field("voter_id", Int32),
        field("voter_directory_id", Uuid),
        structs("listeners").of(&[
            field("name", String),
            field("host", String),
            field("port", Uint16),
        ]),
    ]);

const ADD_RAFT_VOTER_RESPONSE: Message =
    message("AddRaftVoterResponse", 0, 0).flexible_since(0).fields(&[
        field("throttle_time_ms", Int32),
        field("error_code", Int16),
        field("error_message", String).nullable(),
    ]);

const REMOVE_RAFT_VOTER_REQUEST: Message =
    message("RemoveRaftVoterRequest", 0, 0).flexible_since(0).fields(&[
        field("cluster_id", String).nullable(),
        field("voter_id", Int32),
        field("voter_directory_id", Uuid),
    ]);

const REMOVE_RAFT_VOTER_RESPONSE: Message =
    message("RemoveRaftVoterResponse", 0, 0).flexible_since(0).fields(&[
        field("throttle_time_ms", Int32),
        field("error_code", Int16),
        field("error_message", String).nullable(),
    ]);

const INITIALIZE_SHARE_GROUP_STATE_REQUEST: Message =
    message("InitializeShareGroupStateRequest", 0, 0).flexible_since(0).fields(&[
        field("group_id", String),
        structs("topics").of(&[
            field("topic_id", Uuid),
            structs("partitions").of(&[
                field("partition", Int32),
                field("state_epoch", Int32),
                field("start_offset", Int64),
            ]),
        ]),
    ]);

const INITIALIZE_SHARE_GROUP_STATE_RESPONSE: Message =
    message("InitializeShareGroupStateResponse", 0, 0).flexible_since(0).fields(&[structs(
        "results",
    )
    .of(&[
        field("topic_id", Uuid),
        structs("partitions").of(&[
            field("partition", Int32),
            field("error_code", Int16),
            field("error_message", String).nullable(),
        ]),
    ])]);

const READ_SHARE_GROUP_STATE_REQUEST: Message =
    message("ReadShareGroupStateRequest", 0, 0).flexible_since(0).fields(&[
        field("group_id", String),
        structs("topics").of(&[
            field("topic_id", Uuid),
            structs("partitions").of(&[field("partition", Int32), field("leader_epoch", Int32)]),
        ]),
    ]);

const READ_SHARE_GROUP_STATE_RESPONSE: Message = message("ReadShareGroupStateResponse", 0, 0)
    .flexible_since(0)
    .fields(&[structs("results").of(&[
        field("topic_id", Uuid),
        structs("partitions").of(&[
            field("partition", Int32),
            field("error_code", Int16),
            field("error_message", String).nullable(),
            field("state_epoch", Int32),
            field("start_offset", Int64),
            structs("state_batches").of(&[
                field("first_offset", Int64),
                field("last_offset", Int64),
                field("delivery_state", Int8),
                field("delivery_count", Int16),
            ]),
        ]),
    ])]);

const WRITE_SHARE_GROUP_STATE_REQUEST: Message =
    message("WriteShareGroupStateRequest", 0, 0).flexible_since(0).fields(&[
        field("group_id", String),
        structs("topics").of(&[
            field("topic_id", Uuid),
            structs("partitions").of(&[
                field("partition", Int32),
                field("state_epoch", Int32),
                field("leader_epoch", Int32),
                field("start_offset", Int64),
                structs("state_batches").of(&[
                    field("first_offset", Int64),
                    field("last_offset", Int64),
                    field("delivery_state", Int8),
                    field("delivery_count", Int16),
                ]),
            ]),
        ]),
    ]);

const WRITE_SHARE_GROUP_STATE_RESPONSE: Message = message("WriteShareGroupStateResponse", 0, 0)
    .flexible_since(0)
    .fields(&[structs("results").of(&[
        field("topic_id", Uuid),
        structs("partitions").of(&[
            field("partition", Int32),
            field("error_code", Int16),
            field("error_message", String).nullable(),
        ]),
    ])]);

const DELETE_SHARE_GROUP_STATE_REQUEST: Message =
    message("DeleteShareGroupStateRequest", 0, 0).flexible_since(0).fields(&[
        field("group_id", String),
        structs("topics")
            .of(&[field("topic_id", Uuid), structs("partitions").of(&[field("partition", Int32)])]),
    ]);

const DELETE_SHARE_GROUP_STATE_RESPONSE: Message = message("DeleteShareGroupStateResponse", 0, 0)
    .flexible_since(0)
    .fields(&[structs("results").of(&[
        field("topic_id", Uuid),
        structs("partitions").of(&[
            field("partition", Int32),
            field("error_code", Int16),
            field("error_message", String).nullable(),
        ]),
    ])]);

const READ_SHARE_GROUP_STATE_SUMMARY_REQUEST: Message =
    message("ReadShareGroupStateSummaryRequest", 0, 0).flexible_since(0).fields(&[
        field("group_id", String),
        structs("topics").of(&[
            field("topic_id", Uuid),
            structs("partitions").of(&[field("partition", Int32), field("leader_epoch", Int32)]),
        ]),
    ]);

const READ_SHARE_GROUP_STATE_SUMMARY_RESPONSE: Message =
    message("ReadShareGroupStateSummaryResponse", 0, 0).flexible_since(0).fields(&[structs(
        "results",
    )
    .of(&[
        field("topic_id", Uuid),
        structs("partitions").of(&[
            field("partition", Int32),
            field("error_code", Int16),
            field("error_message", String).nullable(),
            field("state_epoch", Int32),
            field("leader_epoch", Int32),
            field("start_offset", Int64),
        ]),
    ])]);

const DESCRIBE_SHARE_GROUP_OFFSETS_REQUEST: Message =
    message("DescribeShareGroupOffsetsRequest", 0, 0).flexible_since(0).fields(&[structs(
        "groups",
    )
    .of(&[
        field("group_id", String),
        structs("topics")
            .nullable()
            .of(&[field("topic_name", String), field("partitions", Array(&Int32))]),
    ])]);

const DESCRIBE_SHARE_GROUP_OFFSETS_RESPONSE: Message =
    message("DescribeShareGroupOffsetsResponse", 0, 0).flexible_since(0).fields(&[
        field("throttle_time_ms", Int32),
        structs("groups").of(&[
            field("group_id", String),
            structs("topics").of(&[
                field("topic_name", String),
                field("topic_id", Uuid),
                structs("partitions").of(&[
                    field("partition_index", Int32),
                    field("start_offset", Int64),
                    field("leader_epoch", Int32),
                    field("error_code", Int16),
                    field("error_message", String).nullable(),
                ]),
            ]),
            field("error_code", Int16),
            field("error_message", String).nullable(),
        ]),
    ]);

const ALTER_SHARE_GROUP_OFFSETS_REQUEST: Message =
    message("AlterShareGroupOffsetsRequest", 0, 0).flexible_since(0).fields(&[
        field("group_id", String),
        structs("topics").of(&[
            field("topic_name", String),
            structs("partitions")
                .of(&[field("partition_index", Int32), field("start_offset", Int64)]),
        ]),
    ]);

const ALTER_SHARE_GROUP_OFFSETS_RESPONSE: Message =
    message("AlterShareGroupOffsetsResponse", 0, 0).flexible_since(0).fields(&[
        field("throttle_time_ms", Int32),
        field("error_code", Int16),
        field("error_message", String).nullable(),
        structs("responses").of(&[
            field("topic_name", String),
            field("topic_id", Uuid),
            structs("partitions").of(&[
                field("partition_index", Int32),
                field("error_code", Int16),
                field("error_message", String).nullable(),
            ]),
        ]),
    ]);

const DELETE_SHARE_GROUP_OFFSETS_REQUEST: Message = message("DeleteShareGroupOffsetsRequest", 0, 0)
    .flexible_since(0)
    .fields(&[field("group_id", String), structs("topics").of(&[field("topic_name", String)])]);

const DELETE_SHARE_GROUP_OFFSETS_RESPONSE: Message =
    message("DeleteShareGroupOffsetsResponse", 0, 0).flexible_since(0).fields(&[
        field("throttle_time_ms", Int32),
        field("error_code", Int16),
        field("error_message", String).nullable(),
        structs("responses").of(&[
            field("topic_name", String),
            field("topic_id", Uuid),
            field("error_code", Int16),
            field("error_message", String).nullable(),
        ]),
    ]);

pub(crate) const REQUEST_HEADER: Message =
    message("RequestHeader", 1, 2).flexible_since(2).fields(&[
        field("request_api_key", Int16),
        field("request_api_version", Int16),
        field("correlation_id", Int32),
        field("client_id", ClassicString).nullable(),
    ]);

pub(crate) const RESPONSE_HEADER: Message =
    message("ResponseHeader", 0, 1).flexible_since(1).fields(&[field("correlation_id", Int32)]);

pub(crate) const CONSUMER_PROTOCOL_SUBSCRIPTION: Message =
    message("ConsumerProtocolSubscription", 0, 3).fields(&[
        field("topics", Array(&String)),
        field("user_data", Bytes).nullable(),
        structs("owned_partitions")
            .since(1)
            .of(&[field("topic", String), field("partitions", Array(&Int32))]),
        field("generation_id", Int32).since(2),
        field("rack_id", String).since(3).nullable(),
    ]);

pub(crate) const CONSUMER_PROTOCOL_ASSIGNMENT: Message =
    message("ConsumerProtocolAssignment", 0, 3).fields(&[
        structs("assigned_partitions")
            .of(&[field("topic", String), field("partitions", Array(&Int32))]),
        field("user_data", Bytes).nullable(),
    ]);
