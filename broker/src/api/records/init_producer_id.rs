//! InitProducerId, versions 0–5: a producer id and an epoch for an idempotent producer (KIP-98).
//!
//! * Every call returns a new producer id with epoch 0, even if the producer sends the id that it has. Kafka does the same
//!   for producers without a transactional id. An id without an epoch is refused, and an epoch without an id too.
//!
//! Left out: transactions. A transactional id is refused with `TRANSACTIONAL_ID_AUTHORIZATION_FAILED`. Clients do not try
//! again after this error. Kafka would load the transaction's state and stop older producers with the same id.

use crate::{
    api::Context,
    error_code::ErrorCode,
    wire::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId},
};

pub(crate) fn answer(cx: &Context, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let refused = |error: ErrorCode| {
        InitProducerIdResponse::default()
            .with_error_code(error.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1)
    };
    if let Some(id) = request.transactional_id {
        tracing::warn!(
            transactional_id = id.as_str(),
            "refused a transactional producer: this broker has no transactions yet"
        );
        return refused(ErrorCode::TransactionalIdAuthorizationFailed);
    }
    if (request.producer_id.0 >= 0) != (request.producer_epoch >= 0) {
        return refused(ErrorCode::InvalidRequest);
    }
    InitProducerIdResponse::default().with_producer_id(ProducerId(cx.cluster.next_producer_id()))
}
