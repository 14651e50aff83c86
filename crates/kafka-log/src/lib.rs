//! The promise of the log, kept by an external Kafka cluster through librdkafka.
//!
//! Every file is a part: `cluster` asks, `topics` changes, `reading` reads, `straight` appends, `groups` commits,
//! `claims` sees that an event is stored once, `bulletin` is what replicas tell each other and keep, `news` what they
//! tell each other and forget, `peer` how they reach each other, `stage` keeps the order of a
//! call, `log` puts them together. Types of rdkafka stay inside.

mod bulletin;
mod check;
mod claims;
mod cluster;
mod context;
mod error;
mod groups;
mod log;
mod marks;
mod news;
mod options;
mod peer;
mod reading;
mod stage;
mod straight;
mod topics;

pub use log::KafkaLog;
pub use news::News;
pub use options::{KafkaOptions, PINNED, SettingError};
pub use peer::PeerOptions;
