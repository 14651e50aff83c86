//! DescribeCluster (60), versions 0-2: this broker.
//!
//! Departure: there are no controllers to ask for (endpoint type 2).

use super::{Caller, CloseReason, operations};
use crate::wire::describe_cluster_response::DescribeClusterBroker;
use crate::wire::{DescribeClusterRequest, DescribeClusterResponse, ErrorCode, message, text};

const BROKERS: i8 = 1;

pub(super) async fn answer(
    caller: &Caller,
    _client_id: &str,
    version: i16,
    request: DescribeClusterRequest,
) -> Result<DescribeClusterResponse, CloseReason> {
    if version >= 1 && request.endpoint_type != BROKERS {
        return Ok(message!(DescribeClusterResponse {
            error_code: ErrorCode::MismatchedEndpointType.code(),
            error_message: Some(text("there are only brokers here")),
            endpoint_type: BROKERS,
        }));
    }
    let broker = caller.broker();
    let this = message!(DescribeClusterBroker {
        broker_id: broker.node_id(),
        host: text(&caller.port.advertised.host),
        port: i32::from(caller.port.advertised.port),
    });
    let operations = if request.include_cluster_authorized_operations {
        operations::CLUSTER
    } else {
        operations::UNASKED
    };
    Ok(message!(DescribeClusterResponse {
        endpoint_type: BROKERS,
        cluster_id: text(broker.cluster_id()),
        controller_id: broker.node_id(),
        brokers: vec![this],
        cluster_authorized_operations: operations,
    }))
}
