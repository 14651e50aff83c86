//! What the internal topics have in common in which the gateway keeps what it must remember: how they
//! are made, how far they were read, and how long a claim holds a place in them.

use std::time::Duration;

use tidegate_event_log::{Log, LogError, Offset, StoredRecord, TopicConfig, TopicSpec, Watermarks};

/// The largest record that the log takes.
pub(crate) const MAX_RECORD_BYTES: usize = 4 * 1024 * 1024;
/// Longer than any append is under way.
pub(crate) const CLAIM_WINDOW: Duration = Duration::from_hours(30 * 24);

/// How much is read at a time to find the last record.
const READ_BYTES: usize = 512 * 1024;

/// How far a topic was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    /// Where to read on.
    pub(crate) next: Offset,
    /// Beyond the last record. It names the place of the next one: everybody who knows the same records knows the same
    /// name, while `next` also depends on how much of a gap without records was seen.
    pub(crate) beyond: Offset,
}

impl Position {
    pub(crate) fn start(offset: Offset) -> Self {
        Self {
            next: offset,
            beyond: offset,
        }
    }
}

/// Returns such a topic as it is created: in one order, and nothing ends in it.
pub(crate) fn topic_spec(name: &str) -> TopicSpec {
    let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    TopicSpec {
        name: name.to_owned(),
        partitions: Some(1),
        config: TopicConfig::from([
            setting("retention.ms", "-1"),
            setting("retention.bytes", "-1"),
            setting("max.message.bytes", &MAX_RECORD_BYTES.to_string()),
        ]),
    }
}

/// Returns the last record of a partition. Before its end there may be places without one, as where a transaction of
/// Kafka's ended, so it steps back.
///
/// # Errors
/// The log's.
pub(crate) async fn read_last(
    log: &dyn Log,
    topic: &str,
    partition: i32,
    marks: Watermarks,
) -> Result<Option<StoredRecord>, LogError> {
    let mut back = 1;
    loop {
        let begin = (marks.high - back).max(marks.log_start);
        let (mut at, mut last) = (begin, None);
        while at < marks.high {
            let read = log.read(topic, partition, at, READ_BYTES).await?;
            last = read.records.into_iter().next_back().or(last);
            at = read.next;
        }
        if last.is_some() || begin == marks.log_start {
            return Ok(last);
        }
        back *= 2;
    }
}
