//! DescribeCluster, versions 0–2: the nodes, and which one is the controller (KIP-700).
//!
//! * There is one node. It is the controller too.
//! * Endpoint type 2 asks for the listeners of controllers. It is refused, as Kafka's brokers do.
//! * If the request asks for the authorized operations, the answer names all of them, as Kafka does without an authorizer
//!   (KIP-430).

use super::operations;
use crate::{
    api::Context,
    error_code::ErrorCode,
    wire::{
        StrBytes,
        messages::{
            BrokerId, DescribeClusterRequest, DescribeClusterResponse,
            describe_cluster_response::DescribeClusterBroker,
        },
    },
};

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub(crate) fn answer(cx: &Context, request: DescribeClusterRequest) -> DescribeClusterResponse {
    let refused = match request.endpoint_type {
        BROKERS => None,
        CONTROLLERS => Some(ErrorCode::MismatchedEndpointType),
        _ => Some(ErrorCode::UnsupportedEndpointType),
    };
    if let Some(code) = refused {
        let message = format!(
            "This listener serves brokers (endpoint type 1), not type {}.",
            request.endpoint_type
        );
        return DescribeClusterResponse::default()
            .with_error_code(code.code())
            .with_error_message(Some(StrBytes::from_string(message)));
    }
    let (host, port) = cx.advertised();
    let id = BrokerId(cx.cluster.settings.broker_id);
    let answer = DescribeClusterResponse::default()
        .with_cluster_id(StrBytes::from_string(cx.cluster.id.clone()))
        .with_controller_id(id)
        .with_brokers(vec![
            DescribeClusterBroker::default().with_broker_id(id).with_host(host).with_port(port),
        ]);
    if request.include_cluster_authorized_operations {
        answer.with_cluster_authorized_operations(operations::CLUSTER)
    } else {
        answer
    }
}
