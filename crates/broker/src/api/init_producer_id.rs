//! InitProducerId (22), versions 0-5: a number for an idempotent producer.
//!
//! Without a transactional id every request gets a new id with epoch 0, as with Kafka, which does
//! not look at the id a producer brings along either. Departure: transactions do not exist yet, and
//! a transactional id is refused with 53, which clients take as final and report as such.

use super::{Caller, CloseReason};
use crate::wire::{ErrorCode, InitProducerIdRequest, InitProducerIdResponse, message};

pub(super) async fn answer(
    caller: &Caller,
    _client_id: &str,
    _version: i16,
    request: InitProducerIdRequest,
) -> Result<InitProducerIdResponse, CloseReason> {
    let refused = |error: ErrorCode| {
        message!(InitProducerIdResponse {
            error_code: error.code(),
            producer_id: -1,
            producer_epoch: -1,
        })
    };
    match request.transactional_id.as_deref() {
        None => {}
        Some("") => return Ok(refused(ErrorCode::InvalidRequest)),
        Some(_) => return Ok(refused(ErrorCode::TransactionalIdAuthorizationFailed)),
    }
    Ok(match caller.broker().new_producer_id().await {
        Ok(producer_id) => message!(InitProducerIdResponse {
            producer_id,
            producer_epoch: 0,
        }),
        // The log is full or stopping: clients ask again.
        Err(_) => refused(ErrorCode::CoordinatorNotAvailable),
    })
}
