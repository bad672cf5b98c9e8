//! The codec, by API key instead of by type.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestKind, ResponseKind};
use kafka_protocol::protocol::{Message as CodecMessage, VersionRange};

use super::super::definition::{ApiSchema, Message};

#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    Request,
    Response,
}

impl Side {
    pub(super) fn message(self, api: &ApiSchema) -> &Message {
        match self {
            Side::Request => &api.request,
            Side::Response => &api.response,
        }
    }
}

/// Reads the whole body and writes it again.
pub(super) fn decode_and_encode(
    side: Side,
    api_key: i16,
    version: i16,
    body: &[u8],
) -> Result<Vec<u8>, String> {
    let key = ApiKey::try_from(api_key).unwrap();
    let mut bytes = Bytes::copy_from_slice(body);
    let mut out = BytesMut::new();
    let done = match side {
        Side::Request => RequestKind::decode(key, &mut bytes, version)
            .and_then(|request| request.encode(&mut out, version)),
        Side::Response => ResponseKind::decode(key, &mut bytes, version)
            .and_then(|response| response.encode(&mut out, version)),
    };
    done.map_err(|error| format!("{error:#}"))?;
    if !bytes.is_empty() {
        return Err(format!("{} bytes are left over", bytes.len()));
    }
    Ok(out.into())
}

pub(super) fn default_body(side: Side, api_key: i16, version: i16) -> Vec<u8> {
    let (request, response) = defaults(ApiKey::try_from(api_key).unwrap());
    let mut out = BytesMut::new();
    match side {
        Side::Request => request.encode(&mut out, version).unwrap(),
        Side::Response => response.encode(&mut out, version).unwrap(),
    }
    out.into()
}

/// The versions that the codec's types of both request and response declare. `ApiKey::valid_versions` promises more.
pub(super) fn versions(key: ApiKey) -> (i16, i16) {
    let (request, response) = declared(key);
    let both = request.intersect(&response);
    (both.min, both.max)
}

fn declared_by<M: CodecMessage>(_: &M) -> VersionRange {
    M::VERSIONS
}

macro_rules! apis {
    ($($name:ident)*) => {
        fn defaults(key: ApiKey) -> (RequestKind, ResponseKind) {
            match key {
                $(ApiKey::$name => (
                    RequestKind::$name(Default::default()),
                    ResponseKind::$name(Default::default()),
                ),)*
                other => panic!("{other:?} is not in this list"),
            }
        }

        fn declared(key: ApiKey) -> (VersionRange, VersionRange) {
            match defaults(key) {
                $((RequestKind::$name(request), ResponseKind::$name(response)) => {
                    (declared_by(&request), declared_by(&response))
                })*
                _ => unreachable!("both are of the same API"),
            }
        }
    };
}

apis! {
    Produce Fetch ListOffsets Metadata OffsetCommit OffsetFetch FindCoordinator JoinGroup
    Heartbeat LeaveGroup SyncGroup DescribeGroups ListGroups SaslHandshake ApiVersions
    CreateTopics DeleteTopics DeleteRecords InitProducerId OffsetForLeaderEpoch AddPartitionsToTxn
    AddOffsetsToTxn EndTxn WriteTxnMarkers TxnOffsetCommit DescribeAcls CreateAcls DeleteAcls
    DescribeConfigs AlterConfigs AlterReplicaLogDirs DescribeLogDirs SaslAuthenticate
    CreatePartitions CreateDelegationToken RenewDelegationToken ExpireDelegationToken
    DescribeDelegationToken DeleteGroups ElectLeaders IncrementalAlterConfigs
    AlterPartitionReassignments ListPartitionReassignments OffsetDelete DescribeClientQuotas
    AlterClientQuotas DescribeUserScramCredentials AlterUserScramCredentials DescribeQuorum
    UpdateFeatures DescribeCluster DescribeProducers UnregisterBroker DescribeTransactions
    ListTransactions ConsumerGroupHeartbeat ConsumerGroupDescribe GetTelemetrySubscriptions
    PushTelemetry ListConfigResources DescribeTopicPartitions ShareGroupHeartbeat
    ShareGroupDescribe ShareFetch ShareAcknowledge AddRaftVoter RemoveRaftVoter
    InitializeShareGroupState ReadShareGroupState WriteShareGroupState DeleteShareGroupState
    ReadShareGroupStateSummary DescribeShareGroupOffsets AlterShareGroupOffsets
    DeleteShareGroupOffsets
}
