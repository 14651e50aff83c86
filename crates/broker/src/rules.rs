//! What topics ask of the records that Kafka clients send. Whoever opens the port says which rules there
//! are; this room reads the records for them, and knows nothing of what a record means.
//!
//! A batch is taken whole or not at all, as it came. Reading it is bounded: what it unpacks to, how many
//! of its mistakes are told, and how many batches are unpacked at a time.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::batch::{self, BatchError, BatchHeader, Compression, HeaderRef};

/// Finds the rules of topics, anew for each request: rules may change at any time.
pub trait RecordRules: fmt::Debug + Send + Sync {
    /// Returns the rules of a topic; none: it takes any record.
    fn of_topic(&self, topic: &str) -> Option<Arc<dyn TopicRules>>;
}

/// What one topic asks of each record.
pub trait TopicRules: Send + Sync {
    /// Checks a record.
    ///
    /// # Errors
    /// Why it is not taken, for whoever sent it: a line without secrets.
    fn check(&self, record: &RecordRef<'_>) -> Result<(), String>;
}

/// A record in the bytes of its batch.
#[derive(Clone, Copy, Debug)]
pub struct RecordRef<'b> {
    /// The key.
    pub key: Option<&'b [u8]>,
    /// The value.
    pub value: Option<&'b [u8]>,
    /// The headers, in their order.
    pub headers: &'b [HeaderRef<'b>],
}

/// What the records of one batch unpack to at most.
pub(crate) const MAX_UNPACKED_BYTES: usize = 32 * 1024 * 1024;
/// Batches of all connections that are unpacked at a time.
const UNPACKING: usize = 4;
/// A batch of a usual producer is checked where it is; a larger one would keep others waiting.
const AT_ONCE_BYTES: usize = 64 * 1024;
/// More bad records of a batch are not looked for.
const MAX_BAD_RECORDS: usize = 16;

/// Why a batch is not taken.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Refused {
    /// Its records cannot be read.
    Unreadable(BatchError),
    /// The first records that break a rule, each by its place, with the reason.
    Records(Vec<(i32, String)>),
    /// The rules ended by a panic.
    Failed,
}

/// The rules of a port.
#[derive(Debug)]
pub(crate) struct Checks {
    rules: Option<Arc<dyn RecordRules>>,
    unpacking: Arc<Semaphore>,
}

impl Checks {
    pub(crate) fn new(rules: Option<Arc<dyn RecordRules>>) -> Self {
        Self {
            rules,
            unpacking: Arc::new(Semaphore::new(UNPACKING)),
        }
    }

    pub(crate) fn of_topic(&self, topic: &str) -> Option<Arc<dyn TopicRules>> {
        self.rules.as_ref()?.of_topic(topic)
    }

    /// Checks all records of a batch whose header and checksum are right.
    pub(crate) async fn check(
        &self,
        rules: &Arc<dyn TopicRules>,
        header: &BatchHeader,
        batch: &Bytes,
    ) -> Result<(), Refused> {
        let is_packed = header.compression() != Ok(Compression::None);
        if !is_packed && batch.len() <= AT_ONCE_BYTES {
            return check(&**rules, batch);
        }
        let permit = match is_packed {
            true => {
                let permit = Arc::clone(&self.unpacking).acquire_owned().await;
                Some(permit.expect("the semaphore is never closed"))
            }
            false => None,
        };
        let (rules, batch) = (Arc::clone(rules), batch.clone());
        let work = move || {
            let checked = check(&*rules, &batch);
            // The work goes on if nobody waits for it any more.
            drop(permit);
            checked
        };
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|error| {
                tracing::error!(error = %error, "the rules of a topic failed");
                Err(Refused::Failed)
            })
    }
}

fn check(rules: &dyn TopicRules, batch: &[u8]) -> Result<(), Refused> {
    let mut bad = Vec::new();
    let seen = batch::look_at(batch, MAX_UNPACKED_BYTES, |index, key, value, headers| {
        let record = RecordRef {
            key,
            value,
            headers,
        };
        if let Err(reason) = rules.check(&record) {
            bad.push((index, reason));
        }
        match bad.len() {
            MAX_BAD_RECORDS => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    });
    match (seen, bad.is_empty()) {
        (Err(error), _) => Err(Refused::Unreadable(error)),
        (Ok(()), false) => Err(Refused::Records(bad)),
        (Ok(()), true) => Ok(()),
    }
}
