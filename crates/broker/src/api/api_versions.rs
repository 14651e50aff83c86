//! ApiVersions (18), versions 0-4: what is served.
//!
//! A version that is not served is answered in version 0 with error 35 and the list, and a body
//! that does not decode is answered all the same, so that any client learns what to speak. The
//! response header is version 0 always. Departures: no features are finalized yet, so Java clients
//! use transactions of the first kind; version 5 (KIP-1242) is not served.

use bytes::Bytes;

use super::{APIS, Caller, CloseReason, encode};
use crate::wire::{
    self, Answer, ApiVersionsRequest, ApiVersionsResponse, ErrorCode, RequestHead,
    api_versions_response, message,
};

/// Answers a request of a version that is served.
pub(super) fn handle(
    _caller: &Caller,
    head: RequestHead,
    frame: Bytes,
) -> Result<Answer, CloseReason> {
    let decoded = wire::decode::<ApiVersionsRequest>(frame, head.version);
    let error = match decoded {
        Ok((_, request)) if head.version >= 3 && !is_named(&request) => ErrorCode::InvalidRequest,
        _ => ErrorCode::None,
    };
    encode::<ApiVersionsRequest>(head, &response(error))
}

/// Answers a request of any other version.
pub(super) fn unsupported(head: RequestHead) -> Result<Answer, CloseReason> {
    let head = RequestHead { version: 0, ..head };
    encode::<ApiVersionsRequest>(head, &response(ErrorCode::UnsupportedVersion))
}

fn response(error: ErrorCode) -> ApiVersionsResponse {
    let served = APIS.iter().map(|api| {
        message!(api_versions_response::ApiVersion {
            api_key: api.key,
            min_version: api.advertised_least,
            max_version: api.most,
        })
    });
    message!(ApiVersionsResponse {
        error_code: error.code(),
        api_keys: served.collect(),
    })
}

/// KIP-511: letters and digits, in between also `-` and `.`.
fn is_named(request: &ApiVersionsRequest) -> bool {
    let is_name = |name: &str| {
        let bytes = name.as_bytes();
        let ends = [bytes.first(), bytes.last()];
        ends.iter()
            .all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
            && bytes
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
    };
    is_name(&request.client_software_name) && is_name(&request.client_software_version)
}
