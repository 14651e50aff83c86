//! Where events are kept.

use super::words::words;
use crate::units::{ByteRate, ByteSize, Duration, Rate};

/// Room for key and headers in a record, beside the data: `topic.maxMessage` speaks of the data alone.
pub const ENVELOPE_BYTES: u64 = 64 * 1024;

/// The topic of a contract.
#[derive(Debug)]
pub struct TopicRules {
    /// Its name on the log; unique in its set.
    pub name: String,
    /// How many partitions it is made with.
    pub partitions: u32,
    /// How long it keeps events.
    pub retention: Duration,
    /// How it is cleaned.
    pub cleanup: Vec<Cleanup>,
    /// How large the data of one event may be, without headers.
    pub max_message: ByteSize,
    /// What is asked of records that Kafka clients send; nothing: any are taken.
    pub enforce: Vec<Enforce>,
    /// The most that is expected.
    pub peak: Peak,
}

/// The most that is expected of a topic's senders.
#[derive(Clone, Copy, Debug)]
pub struct Peak {
    /// In events.
    pub events: Option<Rate>,
    /// In bytes of data.
    pub bytes: Option<ByteRate>,
}

words! {
    /// How a topic is cleaned.
    Cleanup {
        /// Events go when their retention ends.
        Delete = "delete",
    }
}

words! {
    /// What is asked of records that Kafka clients send.
    Enforce {
        /// The data keeps the schema, and its schema id is allowed.
        Schema = "schema",
        /// The key is the one in the data.
        Key = "key",
        /// The CloudEvents headers are there and the contract's.
        Headers = "headers",
        /// The data is not too large.
        Size = "size",
    }
}
