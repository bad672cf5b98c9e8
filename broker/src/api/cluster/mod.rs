//! What is there: APIs, nodes, topics.

pub(crate) mod api_versions;
pub(crate) mod describe_cluster;
pub(crate) mod metadata;

/// What a client may do, one bit for each of Kafka's operations (KIP-430). Without an authorizer, everything.
pub(crate) mod operations {
    /// With the cluster: create, alter, describe, ClusterAction, DescribeConfigs, AlterConfigs, IdempotentWrite.
    pub(crate) const CLUSTER: i32 = 8096;
    /// With a topic: read, write, create, delete, alter, describe, DescribeConfigs, AlterConfigs.
    pub(crate) const TOPIC: i32 = 3576;
    /// With a group: read, delete, describe, DescribeConfigs, AlterConfigs.
    pub(crate) const GROUP: i32 = 3400;
}
