//! What is there: APIs, nodes, topics.

pub(crate) mod api_versions;
pub(crate) mod describe_cluster;
pub(crate) mod metadata;
