//! The promise of the log, kept by an external Kafka cluster through librdkafka.
//!
//! Every file is a part: `cluster` asks, `topics` changes, `reading` reads, `straight` appends, `groups` commits,
//! `bulletin` is what replicas tell each other, `log` puts them together. Types of rdkafka stay inside.

mod bulletin;
mod check;
mod cluster;
mod context;
mod error;
mod groups;
mod log;
mod marks;
mod options;
mod reading;
mod straight;
mod topics;

pub use log::KafkaLog;
pub use options::{KafkaOptions, PINNED, SettingError};
