//! What each field of the protocol is for, in a sentence.
//!
//! A field of one name means the same in most messages. Where it does not, the entry names the message.

/// What a field of a message (`FetchRequest`, …) is for, if the broker serves that message.
pub(super) fn field(message: &str, name: &str) -> Option<&'static str> {
    let special = SPECIAL.iter().find(|(of, field, _)| message.starts_with(of) && *field == name);
    let common = || Some(FIELDS[FIELDS.binary_search_by_key(&name, |(name, _)| name).ok()?].1);
    special.map(|(_, _, about)| *about).or_else(common)
}

/// Fields whose meaning depends on the message.
const SPECIAL: &[(&str, &str, &str)] = &[
    ("ApiVersions", "name", "the name of the feature"),
    ("CreateTopics", "name", "the name of the topic or of the setting"),
    ("DescribeConfigs", "name", "the name of the setting"),
    ("JoinGroup", "members", "the members of the group; only the leader gets them"),
    ("JoinGroup", "name", "the name of the assignor"),
    ("LeaveGroup", "members", "the members that leave"),
    ("CreatePartitions", "count", "how many partitions the topic has afterwards"),
    (
        "FindCoordinator",
        "key",
        "the group id or the transactional id; the answer names its coordinator",
    ),
    (
        "JoinGroupResponse",
        "metadata",
        "what this member sent when it joined; for consumers, its subscription",
    ),
    (
        "JoinGroup",
        "metadata",
        "what the member sends to the leader; for consumers, its subscription",
    ),
    (
        "ListOffsets",
        "timestamp",
        "a time in ms since 1970; or -1 for the end, -2 for the start, -3 for the latest record",
    ),
    ("OffsetFetch", "metadata", "the text that the client stored with the offset"),
    (
        "RecordBatch",
        "attributes",
        "bits 0 to 2: the codec; 3: who sets the time; 4: transactional; 5: control",
    ),
    ("RecordBatch", "base_offset", "the offset of the first record; the broker sets it"),
    (
        "RecordBatch",
        "base_sequence",
        "the sequence number of the first record; -1 without idempotence",
    ),
    ("RecordBatch", "base_timestamp", "the time of the first record, in ms since 1970"),
    ("RecordBatch", "batch_length", "how many bytes of this batch follow"),
    ("RecordBatch", "crc", "CRC-32C of all that follows in this batch"),
    ("RecordBatch", "headers", "how many headers follow, each with a name and a value"),
    ("RecordBatch", "key", "the length, then the record's key; length -1 is null"),
    (
        "RecordBatch",
        "last_offset_delta",
        "the distance from the first record's offset to the last one's",
    ),
    ("RecordBatch", "length", "how many bytes of this record follow"),
    ("RecordBatch", "magic", "the version of the format"),
    ("RecordBatch", "max_timestamp", "the latest time of a record, in ms since 1970"),
    ("RecordBatch", "name", "the length, then the header's name"),
    ("RecordBatch", "offset_delta", "the distance from the first record's offset"),
    (
        "RecordBatch",
        "partition_leader_epoch",
        "how often the partition has had a new leader; the broker sets it",
    ),
    (
        "RecordBatch",
        "producer_epoch",
        "rises when a newer producer takes over; -1 without idempotence",
    ),
    ("RecordBatch", "producer_id", "the producer's number; -1 without idempotence"),
    ("RecordBatch", "record_count", "how many records there are"),
    ("RecordBatch", "records", "all records, compressed together"),
    ("RecordBatch", "timestamp_delta", "the distance from the first record's time, in ms"),
    ("RecordBatch", "value", "the length, then the value; length -1 is null"),
    ("SyncGroup", "assignment", "what the member must do; for consumers, the partitions it reads"),
];

/// By name, in alphabetical order.
const FIELDS: &[(&str, &str)] = &[
    ("aborted_transactions", "aborted transactions; a read_committed consumer skips their records"),
    (
        "acks",
        "which replicas must have the records before the answer: 0 none, 1 the leader, -1 all in-sync replicas",
    ),
    ("allow_auto_topic_creation", "whether the broker may create a topic that does not exist"),
    ("api_key", "the number of the API"),
    ("api_keys", "the APIs that are served, with their versions"),
    ("assigned_partitions", "the partitions that the member reads from now on"),
    ("assignment", "the partitions of one member, or the nodes of a partition"),
    ("assignments", "the partitions of each member, or the nodes of each new partition"),
    (
        "authorized_operations",
        "what the client may do, as bits; -2147483648 if the client did not ask",
    ),
    ("base_offset", "the offset of the first record"),
    ("batch_index", "which record of the batch is meant, from 0"),
    ("batch_index_error_message", "what is wrong with that record"),
    ("broker_id", "the number of a node"),
    ("broker_ids", "the nodes that get a replica of the partition"),
    ("brokers", "the nodes that a client can connect to"),
    ("client_host", "the address from which the member is connected"),
    ("client_id", "the client's own name for itself (client.id)"),
    ("client_software_name", "the client library"),
    ("client_software_version", "the version of the client library"),
    ("cluster_authorized_operations", "what the client may do with the cluster, as bits"),
    ("cluster_id", "the id of the cluster"),
    (
        "committed_leader_epoch",
        "the leader epoch of the record before the offset; it shows whether the log lost records",
    ),
    ("committed_metadata", "a text that the client stores with the offset"),
    ("committed_offset", "the next offset to read; -1 if nothing was committed"),
    (
        "config_source",
        "where the value comes from: 1 the topic, 4 the broker's settings, 5 the default",
    ),
    ("config_type", "the type of the setting"),
    ("configs", "settings, each with its name"),
    ("configuration_keys", "the settings that the client asks for; null for all"),
    ("controller_id", "the node that is the controller: it creates and changes topics"),
    (
        "coordinator_keys",
        "the group ids or the transactional ids; the answer names their coordinators",
    ),
    ("coordinators", "the node that coordinates each group"),
    ("correlation_id", "the client's number for the request; the answer repeats it"),
    ("count", "how many"),
    ("current_leader", "the leader now, if the client asked another node"),
    ("current_leader_epoch", "the leader epoch that the client knows; an old one is refused"),
    ("diverging_epoch", "where the reader's log begins to differ from the leader's log"),
    ("documentation", "what the setting is for"),
    ("end_offset", "the offset after the last record of the epoch"),
    ("endpoint_type", "1 for brokers, 2 for controllers"),
    ("epoch", "the leader epoch: it rises with each new leader"),
    ("error_code", "0 for success, or the number of the error"),
    ("error_message", "the error in words"),
    ("fetch_offset", "the offset to read from"),
    ("finalized_features", "features that the whole cluster uses"),
    ("finalized_features_epoch", "rises with each change of the features; -1 if there are none"),
    ("first_offset", "the offset of the first record in the aborted transaction"),
    ("forgotten_topics_data", "partitions to drop from the fetch session"),
    ("generation_id", "the number of the group's generation; it rises with each rebalance"),
    (
        "generation_id_or_member_epoch",
        "the generation in which the member commits; -1 without a member",
    ),
    ("group_id", "the group's name (group.id)"),
    (
        "group_instance_id",
        "the name of a static member (group.instance.id); null for other members",
    ),
    ("group_state", "Empty, PreparingRebalance, CompletingRebalance, Stable or Dead"),
    ("group_type", "classic, or consumer for the protocol of KIP-848"),
    ("groups", "groups, each with its name"),
    ("groups_names", "the groups to delete"),
    ("high_watermark", "the offset after the last record that consumers may read"),
    ("host", "the address of the node"),
    ("include_authorized_operations", "whether the answer says what the client may do"),
    (
        "include_cluster_authorized_operations",
        "whether the answer says what the client may do with the cluster",
    ),
    ("include_documentation", "whether the answer says what each setting is for"),
    ("include_fenced_brokers", "whether the answer lists nodes that may not serve clients yet"),
    ("include_synonyms", "whether the answer lists all settings that the value can come from"),
    (
        "include_topic_authorized_operations",
        "whether the answer says what the client may do with each topic",
    ),
    ("index", "the number of the partition, from 0"),
    ("is_fenced", "whether the node may not serve clients yet"),
    ("is_internal", "whether the topic belongs to Kafka itself"),
    ("is_sensitive", "whether the value is a secret"),
    ("isolation_level", "0 reads all records, 1 only committed ones"),
    ("isr_nodes", "the nodes with an in-sync replica"),
    ("key", "the group id or the transactional id"),
    ("key_type", "0 for a group, 1 for a transaction"),
    ("last_fetched_epoch", "the leader epoch of the last record that was read"),
    (
        "last_stable_offset",
        "the first record of the oldest open transaction, or the high watermark",
    ),
    ("leader", "the id of the member that computes the assignment"),
    ("leader_epoch", "how often the partition has had a new leader"),
    ("leader_id", "the node that is the leader of the partition"),
    (
        "log_append_time_ms",
        "when the broker appended the records; -1 if the producer sets their time",
    ),
    ("log_start_offset", "the first offset that is still there"),
    ("low_watermark", "the first offset that is still there"),
    ("max_bytes", "the most bytes of records in the whole answer"),
    ("max_version", "the newest version that is served"),
    ("max_version_level", "the newest level of the feature"),
    ("max_wait_ms", "how long the broker waits for min_bytes, in ms"),
    ("member_assignment", "what the member must do; for consumers, the partitions it reads"),
    ("member_epoch", "the member's epoch, in the protocol of KIP-848"),
    ("member_id", "the id that the coordinator gave the member; empty in the first request"),
    ("member_metadata", "what the member sent when it joined; for consumers, its subscription"),
    ("members", "the members of the group"),
    ("metadata", "bytes that only the members understand"),
    ("min_bytes", "the answer waits until there are so many bytes of records, or for max_wait_ms"),
    ("min_version", "the oldest version that is served"),
    ("min_version_level", "the oldest level of the feature"),
    ("name", "the name of the topic"),
    ("node_endpoints", "the addresses of the leaders in this answer"),
    ("node_id", "the number of a node"),
    ("num_partitions", "how many partitions the topic has; -1 asks for the default"),
    ("offline_replicas", "the nodes with a replica that cannot be reached"),
    ("offset", "a record's number in its partition"),
    (
        "owned_partitions",
        "the partitions that the member has now; it can keep them (cooperative rebalancing)",
    ),
    ("partition", "the number of the partition, from 0"),
    ("partition_data", "what is sent to each partition"),
    ("partition_index", "the number of the partition, from 0"),
    ("partition_indexes", "numbers of partitions, from 0"),
    ("partition_max_bytes", "the most bytes of records from this partition"),
    ("partition_responses", "the result for each partition"),
    ("partitions", "partitions of the topic"),
    ("port", "the port of the node"),
    ("preferred_read_replica", "a nearer node to read from; -1 for this one"),
    (
        "producer_epoch",
        "rises when a newer producer takes over; requests with an older epoch are refused",
    ),
    ("producer_id", "the broker's number for a producer; -1 for none"),
    ("protocol_data", "the assignor that the group uses"),
    ("protocol_name", "the assignor that the group uses"),
    ("protocol_type", "the kind of group: consumer, connect, …"),
    (
        "protocols",
        "the assignors that the member knows, best first (partition.assignment.strategy)",
    ),
    ("rack", "the node's rack"),
    ("rack_id", "the client's rack, to read from a near node"),
    ("read_only", "true if the setting cannot change while the broker runs"),
    ("reason", "why the member joins or leaves, in words"),
    ("rebalance_timeout_ms", "how long a rebalance waits for the member (max.poll.interval.ms)"),
    ("record_errors", "which records were refused, and why"),
    ("records", "record batches, as they lie in the log"),
    ("replica_directory_id", "the disk of a follower"),
    ("replica_epoch", "the epoch of the follower that asks"),
    ("replica_id", "the follower that asks; -1 for a client"),
    ("replica_nodes", "the nodes with a replica"),
    ("replica_state", "the follower that asks"),
    ("replication_factor", "how many replicas each partition has; -1 asks for the default"),
    ("request_api_key", "the API that is called"),
    ("request_api_version", "the version of the API, which decides the layout of what follows"),
    ("require_stable", "whether to wait until no transaction has pending offsets"),
    ("resource_name", "the name of the topic, or the number of the node"),
    ("resource_type", "2 for a topic, 4 for a broker"),
    ("resources", "the topics or brokers whose settings the client asks for"),
    ("responses", "the results, by topic"),
    ("results", "the results"),
    ("retention_time_ms", "how long the offset is kept; -1 for the broker's default"),
    ("session_epoch", "the number of the request in the fetch session; -1 for none"),
    ("session_id", "the fetch session; 0 for none"),
    (
        "session_timeout_ms",
        "a member without a heartbeat for so long is removed (session.timeout.ms)",
    ),
    ("skip_assignment", "true if the leader keeps the present assignment (KIP-814)"),
    ("snapshot_id", "a snapshot to read instead"),
    ("source", "where the value comes from"),
    ("states_filter", "only groups in these states; all if empty"),
    ("supported_features", "features that this node could have"),
    ("synonyms", "all settings that the value can come from; the first one counts"),
    ("throttle_time_ms", "how long the client was slowed down because of a quota"),
    ("timeout_ms", "how long the broker may take"),
    ("timestamp", "a record's time in ms since 1970; -1 for none"),
    ("topic", "the topic's name"),
    ("topic_authorized_operations", "what the client may do with the topic, as bits"),
    ("topic_config_error_code", "0, or the number of the error if the answer has no settings"),
    ("topic_data", "what is sent, by topic"),
    ("topic_id", "the id of the topic; a topic that is deleted and created again gets a new one"),
    ("topic_names", "the topics' names"),
    ("topics", "topics, by name or by id"),
    ("transaction_timeout_ms", "how long a transaction may stay open"),
    (
        "transactional_id",
        "the name of the producer for transactions (transactional.id); null without transactions",
    ),
    ("types_filter", "only groups of these types; all if empty"),
    ("user_data", "bytes that only the assignor understands"),
    ("validate_only", "true checks the request and changes nothing"),
    ("value", "a value"),
    ("zk_migration_ready", "not used any more; it is from the time of ZooKeeper"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::schema;

    #[test]
    fn the_table_can_be_searched() {
        assert!(FIELDS.is_sorted_by(|(a, _), (b, _)| a < b));
    }

    #[test]
    fn every_field_of_every_api_that_is_served_is_explained() {
        let mut missing = Vec::new();
        for served in crate::apis() {
            let api = schema::api(served.key).unwrap();
            for message in [&api.request, &api.response, &schema::REQUEST_HEADER] {
                message.each_field(&mut |name| {
                    if field(message.name, name).is_none() {
                        missing.push(format!("{}.{name}", message.name));
                    }
                });
            }
        }
        assert!(missing.is_empty(), "say what these are for: {missing:?}");
    }
}
