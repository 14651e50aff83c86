//! The topic `_tidegate.audit` and its end. A record is appended with a claim on its sequence, so of two
//! writers one wins and the other writes behind it: the chain cannot fork.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidegate_event_log::{
    Append, Claim, Disposition, Fingerprint, Log, LogError, Offset, Record, TopicSpec,
};
use tokio::time::{Instant, sleep, timeout_at};

use super::record::{Entry, no_hash};
use crate::state::{self, CLAIM_WINDOW};

pub(crate) const TOPIC: &str = "_tidegate.audit";
pub(super) const PARTITION: i32 = 0;
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// The topic as it is created: nothing ends in it.
pub(crate) fn topic_spec() -> TopicSpec {
    state::topic_spec(TOPIC)
}

/// The topic, as one who writes sees it.
pub(super) struct Store {
    pub(super) log: Arc<dyn Log>,
    /// How long a record may take; the change waits for it.
    within: Duration,
    /// Whoever holds it is the one who writes.
    end: tokio::sync::Mutex<End>,
}

/// Where the next record goes.
#[derive(Clone, Debug)]
struct End {
    position: Offset,
    sequence: u64,
    previous: String,
}

impl Store {
    pub(super) fn new(log: Arc<dyn Log>, within: Duration) -> Self {
        let end = End {
            position: -1,
            sequence: 0,
            previous: no_hash(),
        };
        Self {
            log,
            within,
            end: tokio::sync::Mutex::new(end),
        }
    }

    /// Writes a record at the end of the chain and returns its sequence. Sequence and `previous` of what is
    /// given do not count.
    ///
    /// # Errors
    /// The log's: perhaps written, but only once. `Corrupt`: the chain cannot be continued.
    pub(super) async fn append(&self, mut entry: Entry) -> Result<u64, LogError> {
        let deadline = Instant::now() + self.within;
        let late = |_| LogError::in_doubt("the audit was not written in time");
        let mut end = timeout_at(deadline, self.end.lock()).await.map_err(late)?;
        loop {
            let seen = timeout_at(deadline, self.see_end(&mut end));
            seen.await.map_err(late)??;
            entry.sequence = end.sequence;
            entry.previous.clone_from(&end.previous);
            let (text, hash) = entry.seal();
            let answer = timeout_at(deadline, self.log.append(vec![append(&end, text, &hash)]));
            let answer = answer.await.map_err(late)?.into_iter().next();
            match answer.unwrap_or_else(|| Err(LogError::in_doubt("no answer"))) {
                // The next look at the end finds who was first.
                Ok(appended) if appended.disposition == Disposition::Mismatched => {}
                Ok(appended) => {
                    let sequence = end.sequence;
                    *end = End {
                        position: appended.place.offset + 1,
                        sequence: sequence + 1,
                        previous: hash,
                    };
                    return Ok(sequence);
                }
                // The claim makes another try safe, whatever became of this one.
                Err(LogError::Unavailable { .. }) => {}
                Err(error) => return Err(error),
            }
            if Instant::now() + RETRY_PAUSE >= deadline {
                return Err(LogError::in_doubt("the audit was not written in time"));
            }
            sleep(RETRY_PAUSE).await;
        }
    }

    /// Looks whether somebody else has written, and if so, what comes last.
    async fn see_end(&self, end: &mut End) -> Result<(), LogError> {
        let marks = self.log.watermarks(TOPIC, PARTITION).await?;
        if marks.high == end.position {
            return Ok(());
        }
        let last = state::read_last(&*self.log, TOPIC, PARTITION, marks).await?;
        let Some(last) = last else {
            end.position = marks.high;
            return Ok(());
        };
        let text = text_of(&last.record);
        let unsealed = text.map_or(Err("is no text"), Entry::unseal);
        let (entry, hash) = unsealed.map_err(|why| {
            LogError::Corrupt(format!(
                "record {} of `{TOPIC}`, the newest, {why}",
                last.offset
            ))
        })?;
        *end = End {
            position: marks.high,
            sequence: entry.sequence + 1,
            previous: hash,
        };
        Ok(())
    }
}

fn append(end: &End, text: String, hash: &str) -> Append {
    let mut fingerprint = [0; 16];
    fingerprint.copy_from_slice(&blake3::hash(hash.as_bytes()).as_bytes()[..16]);
    Append {
        topic: TOPIC.into(),
        partition: Some(PARTITION),
        record: Record {
            value: Some(Bytes::from(text)),
            ..Record::default()
        },
        claim: Some(Claim {
            identity: Bytes::from(format!("audit\0{TOPIC}\0{}", end.sequence)),
            fingerprint: Fingerprint(fingerprint),
            window: CLAIM_WINDOW,
        }),
    }
}

/// Returns the text of a record.
pub(super) fn text_of(record: &Record) -> Option<&str> {
    record
        .value
        .as_deref()
        .and_then(|value| std::str::from_utf8(value).ok())
}
