//! What each field of the protocol is for, in a sentence.
//!
//! A name means the same in most messages; where it does not, the entry names the message.

/// The sentence for a field of a message (`FetchRequest`, …), if the broker serves that message.
pub(super) fn field(message: &str, name: &str) -> Option<&'static str> {
    let special = SPECIAL.iter().find(|(of, field, _)| message.starts_with(of) && *field == name);
    let common = || Some(FIELDS[FIELDS.binary_search_by_key(&name, |(name, _)| name).ok()?].1);
    special.map(|(_, _, about)| *about).or_else(common)
}

/// Fields whose meaning depends on the message.
const SPECIAL: &[(&str, &str, &str)] = &[
    ("CreatePartitions", "count", "how many partitions the topic shall have in the end"),
    (
        "FindCoordinator",
        "key",
        "the group id, or the transactional id, whose coordinator is looked for",
    ),
    (
        "JoinGroupResponse",
        "metadata",
        "what this member told the group: for consumers, its subscription",
    ),
    ("JoinGroup", "metadata", "what the member tells the leader: for consumers, its subscription"),
    (
        "ListOffsets",
        "timestamp",
        "a time in ms, or -1 for the end, -2 for the start, -3 for the latest record",
    ),
    ("OffsetFetch", "metadata", "the note that was committed with the offset"),
    (
        "RecordBatch",
        "attributes",
        "bits 0 to 2: the codec; 3: who sets the time; 4: transactional; 5: control",
    ),
    ("RecordBatch", "base_offset", "the offset of the first record, set by the broker"),
    (
        "RecordBatch",
        "base_sequence",
        "the first record's number, counted by an idempotent producer; -1 without",
    ),
    ("RecordBatch", "base_timestamp", "the time of the first record, in ms since 1970"),
    ("RecordBatch", "batch_length", "how many bytes of this batch follow"),
    ("RecordBatch", "crc", "CRC-32C of all that follows in this batch"),
    ("RecordBatch", "headers", "how many headers follow, each with a name and a value"),
    ("RecordBatch", "key", "the record's key behind its length; length -1 is null"),
    (
        "RecordBatch",
        "last_offset_delta",
        "the distance from the first record's offset to the last one's",
    ),
    ("RecordBatch", "length", "how many bytes of this record follow"),
    ("RecordBatch", "magic", "the version of the format"),
    ("RecordBatch", "max_timestamp", "the latest time of a record, in ms since 1970"),
    ("RecordBatch", "name", "the header's name behind its length"),
    ("RecordBatch", "offset_delta", "the distance from the first record's offset"),
    (
        "RecordBatch",
        "partition_leader_epoch",
        "how often the partition had a new leader, set by the broker",
    ),
    ("RecordBatch", "producer_epoch", "which life of the producer this is; -1 without idempotence"),
    ("RecordBatch", "producer_id", "the producer's number; -1 without idempotence"),
    ("RecordBatch", "record_count", "how many records there are"),
    ("RecordBatch", "records", "all records, compressed together"),
    ("RecordBatch", "timestamp_delta", "the distance from the first record's time, in ms"),
    ("RecordBatch", "value", "the value behind its length; length -1 is null"),
    ("SyncGroup", "assignment", "what the member shall do: for consumers, its partitions"),
];

/// By name, in alphabetical order.
const FIELDS: &[(&str, &str)] = &[
    (
        "aborted_transactions",
        "transactions in these records that readers of committed data must skip",
    ),
    (
        "acks",
        "who must have the records before the answer: 0 nobody, 1 the leader, -1 all in-sync replicas",
    ),
    (
        "allow_auto_topic_creation",
        "whether a topic that does not exist may be made by asking for it",
    ),
    ("api_key", "the number of the API"),
    ("api_keys", "the APIs that are served, with their versions"),
    ("assigned_partitions", "the partitions that the member reads from now on"),
    ("assignment", "the member's share of the work, or the nodes of a partition"),
    (
        "assignments",
        "the leader's plan, one share for each member; or nodes chosen by hand for each partition",
    ),
    (
        "authorized_operations",
        "what the client may do, as bits; the least number if that was not asked for",
    ),
    ("base_offset", "the offset that the first record got"),
    ("batch_index", "which record of the batch is meant, from 0"),
    ("batch_index_error_message", "what is wrong with that record"),
    ("broker_id", "the number of a node"),
    ("broker_ids", "the nodes that shall hold the partition"),
    ("brokers", "the nodes that a client can connect to"),
    ("client_host", "where the member is connected from"),
    ("client_id", "the client's own name for itself (client.id)"),
    ("client_software_name", "the client library"),
    ("client_software_version", "the version of the client library"),
    ("cluster_authorized_operations", "what the client may do with the cluster, as bits"),
    ("cluster_id", "the cluster's name for itself"),
    (
        "committed_leader_epoch",
        "the leader epoch of the record before the offset, to notice a log that was cut",
    ),
    ("committed_metadata", "a note that is kept with the offset"),
    ("committed_offset", "the next offset to read; -1 if nothing was committed"),
    (
        "config_source",
        "where the value is from: 1 the topic, 4 the broker's settings, 5 the default",
    ),
    ("config_type", "the type of the setting"),
    ("configs", "settings by name"),
    ("configuration_keys", "the settings that are asked for; null for all"),
    ("controller_id", "the node that changes topics"),
    (
        "coordinator_keys",
        "the group ids, or the transactional ids, whose coordinators are looked for",
    ),
    ("coordinators", "the node that coordinates each group"),
    ("correlation_id", "the client's number for the request; the answer repeats it"),
    ("count", "how many"),
    ("current_leader", "the leader now, if the client asked the wrong node"),
    (
        "current_leader_epoch",
        "the leader epoch that the client knows, so that a stale one is noticed",
    ),
    ("diverging_epoch", "where the reader's log and the leader's part"),
    ("documentation", "what the setting is for"),
    ("end_offset", "the offset behind the last record of the epoch"),
    ("endpoint_type", "1 for brokers, 2 for controllers"),
    ("epoch", "a leader's term of office"),
    ("error_code", "0, or why it was not done"),
    ("error_message", "the error in words"),
    ("fetch_offset", "the offset to read from"),
    ("finalized_features", "features that the whole cluster has switched on"),
    ("finalized_features_epoch", "counts the changes of the features; -1 if there are none"),
    ("first_offset", "the first record of the aborted transaction"),
    ("forgotten_topics_data", "partitions to drop from the fetch session"),
    ("generation_id", "the group's turn: each rebalance counts one up"),
    ("generation_id_or_member_epoch", "the turn in which the member committed; -1 for no member"),
    ("group_id", "the group's name (group.id)"),
    (
        "group_instance_id",
        "a member's lasting name (group.instance.id); null unless it is a static member",
    ),
    ("group_state", "Empty, PreparingRebalance, CompletingRebalance, Stable or Dead"),
    ("group_type", "classic, or consumer for the protocol of KIP-848"),
    ("groups", "groups, by name"),
    ("groups_names", "the groups to delete"),
    ("high_watermark", "the offset behind the last record that consumers may read"),
    ("host", "where the node is reached"),
    ("include_authorized_operations", "whether to say what the client may do"),
    (
        "include_cluster_authorized_operations",
        "whether to say what the client may do with the cluster",
    ),
    ("include_documentation", "whether to say what each setting is for"),
    ("include_fenced_brokers", "whether to list nodes that do not work yet"),
    ("include_synonyms", "whether to say which other settings the value could have come from"),
    (
        "include_topic_authorized_operations",
        "whether to say what the client may do with each topic",
    ),
    ("index", "the number of the partition, from 0"),
    ("is_fenced", "whether the node is kept from working"),
    ("is_internal", "whether the topic belongs to Kafka itself"),
    ("is_sensitive", "whether the value is a secret"),
    ("isolation_level", "0 reads all records, 1 only committed ones"),
    ("isr_nodes", "the nodes whose copy is up to date"),
    ("key", "the group id or the transactional id"),
    ("key_type", "0 for a group, 1 for a transaction"),
    ("last_fetched_epoch", "the leader epoch of the last record that was read"),
    (
        "last_stable_offset",
        "the first record of the oldest open transaction, or the high watermark",
    ),
    ("leader", "the member that makes the assignment"),
    ("leader_epoch", "how many leaders the partition has had"),
    ("leader_id", "the node that takes the writes"),
    ("log_append_time_ms", "when the broker appended it; -1 if the producer sets the time"),
    ("log_start_offset", "the first offset that is still there"),
    ("low_watermark", "the first offset that is still there"),
    ("max_bytes", "the most bytes of records in the whole answer"),
    ("max_version", "the newest version that is served"),
    ("max_version_level", "the newest level of the feature"),
    ("max_wait_ms", "how long to wait for min_bytes"),
    ("member_assignment", "the member's share of the work: for consumers, its partitions"),
    ("member_epoch", "the member's turn, in the protocol of KIP-848"),
    ("member_id", "the name that the coordinator gave the member; empty at first"),
    ("member_metadata", "what the member told the group: for consumers, its subscription"),
    ("members", "who is in the group; after a join, only the leader is told"),
    ("metadata", "bytes that only the members understand"),
    ("min_bytes", "how many bytes of records are worth an answer before max_wait_ms"),
    ("min_version", "the oldest version that is served"),
    ("min_version_level", "the oldest level of the feature"),
    ("name", "a name"),
    ("node_endpoints", "where the leaders are that the answer names"),
    ("node_id", "the number of a node"),
    ("num_partitions", "how many partitions the topic has; -1 asks for the default"),
    ("offline_replicas", "nodes that have a copy and cannot be reached"),
    ("offset", "a record's place in its partition"),
    (
        "owned_partitions",
        "what the member reads now, so that it can keep it (cooperative rebalancing)",
    ),
    ("partition", "the number of the partition, from 0"),
    ("partition_data", "what is sent to each partition"),
    ("partition_index", "the number of the partition, from 0"),
    ("partition_indexes", "numbers of partitions, from 0"),
    ("partition_max_bytes", "the most bytes of records from this partition"),
    ("partition_responses", "what came of it in each partition"),
    ("partitions", "partitions of the topic"),
    ("port", "where the node is reached"),
    ("preferred_read_replica", "a nearer node to read from; -1 for this one"),
    ("producer_epoch", "counts the lives of a producer; an older life is refused"),
    ("producer_id", "the broker's number for a producer; -1 for none"),
    ("protocol_data", "the way of sharing that the group agreed on"),
    ("protocol_name", "the way of sharing that the group agreed on"),
    ("protocol_type", "what kind of group it is: consumer, connect, …"),
    (
        "protocols",
        "the ways of sharing that the member knows, best first (partition.assignment.strategy)",
    ),
    ("rack", "the node's rack"),
    ("rack_id", "the client's rack, to read from a near node"),
    ("read_only", "whether the setting can be changed while the broker runs"),
    ("reason", "why the member joins or leaves, in words"),
    ("rebalance_timeout_ms", "how long a rebalance waits for the member (max.poll.interval.ms)"),
    ("record_errors", "which records were refused, and why"),
    ("records", "record batches, as they lie in the log"),
    ("replica_directory_id", "the disk of a follower"),
    ("replica_epoch", "the life of a follower"),
    ("replica_id", "the follower that asks; -1 for a client"),
    ("replica_nodes", "the nodes that have a copy"),
    ("replica_state", "the follower that asks"),
    ("replication_factor", "how many nodes have a copy; -1 asks for the default"),
    ("request_api_key", "the API that is called"),
    ("request_api_version", "the version of the API, which decides the layout of what follows"),
    ("require_stable", "whether offsets of open transactions must be waited for"),
    ("resource_name", "the name of the topic, or the number of the node"),
    ("resource_type", "2 for a topic, 4 for a broker"),
    ("resources", "whose settings are asked for"),
    ("responses", "what came of it, by topic"),
    ("results", "what came of it"),
    ("retention_time_ms", "how long the offset is kept; -1 for the broker's default"),
    ("session_epoch", "the turn of the fetch session; -1 for none"),
    ("session_id", "the fetch session; 0 for none"),
    ("session_timeout_ms", "how long the member may be silent before it is put out"),
    ("skip_assignment", "whether the leader may leave the assignment as it is (KIP-814)"),
    ("snapshot_id", "a snapshot to read instead"),
    ("source", "where the value is from"),
    ("states_filter", "only groups in these states; all if empty"),
    ("supported_features", "features that this node could have"),
    ("synonyms", "settings that the value could have come from, nearest first"),
    ("throttle_time_ms", "how long the client was slowed down because of a quota"),
    ("timeout_ms", "how long the broker may take"),
    ("timestamp", "a record's time in ms since 1970; -1 for none"),
    ("topic", "the topic's name"),
    ("topic_authorized_operations", "what the client may do with the topic, as bits"),
    ("topic_config_error_code", "0, or why the topic's settings are not told"),
    ("topic_data", "what is sent, by topic"),
    ("topic_id", "the topic's lasting number: another topic of the same name has another"),
    ("topic_names", "the topics' names"),
    ("topics", "topics, by name or by id"),
    ("transaction_timeout_ms", "how long a transaction may stay open"),
    (
        "transactional_id",
        "the producer's lasting name (transactional.id); null without transactions",
    ),
    ("types_filter", "only groups of these types; all if empty"),
    ("user_data", "bytes that only the assignor understands"),
    ("validate_only", "whether to say only what would happen"),
    ("value", "a value"),
    ("zk_migration_ready", "left from the time of ZooKeeper"),
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
