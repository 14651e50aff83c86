//! The Kafka port: accepts connections, takes requests in and sends answers out in their order.
//!
//! What a request means is `api`'s business. Loopback addresses only, until access control exists.

mod connection;
mod frames;
mod listener;

pub use listener::{Endpoint, KafkaPort, ListenError, ListenOptions, listen};
