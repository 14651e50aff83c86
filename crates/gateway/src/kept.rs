//! What the gateway keeps in mind: an internal topic with one order, and the value folded from its
//! records. A change is decided on the value at the end of the topic and appended with a claim on its
//! place, so that one decided on older state, by this process or another, is not stored behind
//! another.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::RwLock;
use tidegate_event_log::{
    Append, Claim, Disposition, Fingerprint, Log, LogError, Record, StoredRecord,
};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::audit::{Act, Object, Outcome};
use crate::state::{self, CLAIM_WINDOW, Position};

const PARTITION: i32 = 0;
const READ_BYTES: usize = 1024 * 1024;
/// How often a change is decided anew because another came first.
const ATTEMPTS: usize = 5;
/// How long one look for records of others waits; a topic that is gone is looked for again then.
const LOOK: Duration = Duration::from_secs(30);

/// A value that the records of one topic make.
pub(crate) trait Fold: Clone + Default + Send + Sync + 'static {
    /// The topic's name.
    const TOPIC: &'static str;

    /// Takes the next record in.
    ///
    /// # Errors
    /// The record is left out, and why is told to the operator.
    fn apply(&mut self, stored: &StoredRecord) -> Result<(), String>;
}

/// The topic and its value.
pub(crate) struct Kept<T> {
    log: Arc<dyn Log>,
    value: RwLock<Arc<T>>,
    /// Where to read on. Whoever holds it is the one who writes.
    position: tokio::sync::Mutex<Position>,
    changed: Notify,
}

impl<T: Fold> Kept<T> {
    /// Makes the topic if it is not there, and reads it from its beginning to its end.
    ///
    /// # Errors
    /// The log does not serve it.
    pub(crate) async fn open(log: Arc<dyn Log>) -> Result<Self, LogError> {
        match log.create_topic(state::topic_spec(T::TOPIC)).await {
            Ok(_) | Err(LogError::Conflict(_)) => {}
            Err(error) => return Err(error),
        }
        let start = log.watermarks(T::TOPIC, PARTITION).await?.log_start;
        let kept = Self {
            log,
            value: RwLock::default(),
            position: tokio::sync::Mutex::new(Position::start(start)),
            changed: Notify::new(),
        };
        let mut position = kept.position.lock().await;
        kept.read_on(&mut position).await?;
        drop(position);
        Ok(kept)
    }

    /// Returns the value as it is now.
    pub(crate) fn now(&self) -> Arc<T> {
        Arc::clone(&self.value.read())
    }

    /// Waits for the next change; enlist before looking at the value.
    pub(crate) fn changed(&self) -> impl Future<Output = ()> + '_ {
        self.changed.notified()
    }

    /// Decides on a record by the newest value and writes it; `None` if nothing is to change. It
    /// decides anew if another change came first.
    ///
    /// # Errors
    /// The inner one is the decision's; the outer one the log's: perhaps written.
    pub(crate) async fn change<E>(
        &self,
        decide: impl Fn(&T) -> Result<Option<Record>, E>,
    ) -> Result<Result<(), E>, LogError> {
        self.change_in(None::<(&Act, fn(&T, &Record) -> Object)>, decide)
            .await
    }

    /// As [`Kept::change`], for what somebody asks for: `object` says to the audit what is about to change.
    pub(crate) async fn change_by<E>(
        &self,
        act: &Act,
        object: impl Fn(&T, &Record) -> Object,
        decide: impl Fn(&T) -> Result<Option<Record>, E>,
    ) -> Result<Result<(), E>, LogError> {
        self.change_in(Some((act, object)), decide).await
    }

    async fn change_in<E>(
        &self,
        audited: Option<(&Act, impl Fn(&T, &Record) -> Object)>,
        decide: impl Fn(&T) -> Result<Option<Record>, E>,
    ) -> Result<Result<(), E>, LogError> {
        let mut position = self.position.lock().await;
        for _ in 0..ATTEMPTS {
            self.read_on(&mut position).await?;
            let now = self.now();
            let record = match decide(&now) {
                Ok(Some(record)) => record,
                Ok(None) => return Ok(Ok(())),
                Err(error) => return Ok(Err(error)),
            };
            let intent = match &audited {
                Some((act, object)) => Some(act.begin(object(&now, &record)).await?),
                None => None,
            };
            drop(now);
            let appended = self.append(record, &mut position).await;
            if let Some(intent) = intent {
                match appended {
                    Ok(false) => intent.end(Outcome::Failed, Some("overtaken")).await,
                    _ => intent.end_with(&appended).await,
                }
            }
            if appended? {
                return Ok(Ok(()));
            }
        }
        let topic = T::TOPIC;
        Err(LogError::not_stored(format!(
            "a change in `{topic}` was overtaken"
        )))
    }

    /// Takes in what others write, as long as it is polled.
    pub(crate) async fn follow(&self) {
        loop {
            let at = self.position.lock().await.next;
            let end = match self.log.watch(T::TOPIC, PARTITION, at, LOOK).await {
                Ok(end) => end,
                Err(error) => {
                    tracing::warn!(topic = T::TOPIC, error = %error, "changes of others are not seen");
                    sleep(LOOK).await;
                    continue;
                }
            };
            if end <= at {
                continue;
            }
            let mut position = self.position.lock().await;
            if let Err(error) = self.read_on(&mut position).await {
                tracing::warn!(topic = T::TOPIC, error = %error, "changes of others are not read");
                drop(position);
                sleep(LOOK).await;
            }
        }
    }

    /// Appends a record at the end as it is known; says whether it is the one that stands there.
    async fn append(&self, record: Record, position: &mut Position) -> Result<bool, LogError> {
        let mut fingerprint = [0; 16];
        let mut hash = blake3::Hasher::new();
        hash.update(record.key.as_deref().unwrap_or_default());
        hash.update(&[0]);
        hash.update(record.value.as_deref().unwrap_or_default());
        hash.finalize_xof().fill(&mut fingerprint);
        let append = Append {
            topic: T::TOPIC.into(),
            partition: Some(PARTITION),
            record,
            claim: Some(Claim {
                identity: Bytes::from(format!("kept\0{}\0{}", T::TOPIC, position.beyond)),
                fingerprint: Fingerprint(fingerprint),
                window: CLAIM_WINDOW,
            }),
        };
        let answer = self.log.append(vec![append]).await.into_iter().next();
        let appended = answer.unwrap_or_else(|| Err(LogError::in_doubt("no answer")))?;
        self.read_on(position).await?;
        Ok(appended.disposition != Disposition::Mismatched)
    }

    /// Folds all that is in the topic by now.
    async fn read_on(&self, position: &mut Position) -> Result<(), LogError> {
        loop {
            let read = self
                .log
                .read(T::TOPIC, PARTITION, position.next, READ_BYTES)
                .await?;
            if let Some(last) = read.records.last() {
                position.beyond = last.offset + 1;
                let mut current = self.value.write();
                let value = Arc::make_mut(&mut current);
                for stored in &read.records {
                    if let Err(problem) = value.apply(stored) {
                        let offset = stored.offset;
                        tracing::error!(topic = T::TOPIC, offset, problem, "a record is left out");
                    }
                }
                drop(current);
                self.changed.notify_waiters();
            }
            position.next = read.next;
            if position.next >= read.high_watermark {
                return Ok(());
            }
        }
    }
}
