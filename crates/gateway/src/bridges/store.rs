//! The topic `_tidegate.bridges` and the table folded from it. A change is decided on the table at
//! the end of the topic and appended with a claim on its place, so that one decided on older state,
//! by this process or another, is not stored behind another.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use tidegate_event_log::{
    Append, Claim, Disposition, Fingerprint, Log, LogError, Offset, TopicConfig, TopicSpec,
};
use tokio::sync::Notify;

use super::state::{Change, Table};
use crate::state::CLAIM_WINDOW;

pub(crate) const TOPIC: &str = "_tidegate.bridges";
const PARTITION: i32 = 0;
const READ_BYTES: usize = 1024 * 1024;
/// How often a change is decided anew because another came first.
const ATTEMPTS: usize = 5;

/// Returns the topic as it is created: nothing ends in it.
pub(crate) fn topic_spec() -> TopicSpec {
    let setting = |name: &str| (name.to_owned(), "-1".to_owned());
    TopicSpec {
        name: TOPIC.to_owned(),
        partitions: Some(1),
        config: TopicConfig::from([setting("retention.ms"), setting("retention.bytes")]),
    }
}

/// The topic and its table.
pub(crate) struct Store {
    log: Arc<dyn Log>,
    table: RwLock<Arc<Table>>,
    /// Where to read on. Whoever holds it is the one who writes.
    position: tokio::sync::Mutex<Offset>,
    changed: Notify,
}

impl Store {
    /// Makes the topic if it is not there, and reads it from its beginning to its end.
    ///
    /// # Errors
    /// The log does not serve it.
    pub(crate) async fn open(log: Arc<dyn Log>) -> Result<Self, LogError> {
        match log.create_topic(topic_spec()).await {
            Ok(_) | Err(LogError::Conflict(_)) => {}
            Err(error) => return Err(error),
        }
        let start = log.watermarks(TOPIC, PARTITION).await?.log_start;
        let store = Self {
            log,
            table: RwLock::default(),
            position: tokio::sync::Mutex::new(start),
            changed: Notify::new(),
        };
        let mut position = store.position.lock().await;
        store.read_on(&mut position).await?;
        drop(position);
        Ok(store)
    }

    /// Returns the table as it is now.
    pub(crate) fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read())
    }

    /// Waits for the next change; enlist before looking at the table.
    pub(crate) fn changed(&self) -> impl Future<Output = ()> + '_ {
        self.changed.notified()
    }

    /// Decides on a change of a contract's bridge by the newest table and writes it; `None` if
    /// nothing is to change. It decides anew if another change came first.
    ///
    /// # Errors
    /// The inner one is the decision's; the outer one the log's: perhaps written.
    pub(crate) async fn change<E>(
        &self,
        contract: &str,
        decide: impl Fn(&Table) -> Result<Option<Change>, E>,
    ) -> Result<Result<(), E>, LogError> {
        let mut position = self.position.lock().await;
        for _ in 0..ATTEMPTS {
            self.read_on(&mut position).await?;
            let change = match decide(&self.table()) {
                Ok(Some(change)) => change,
                Ok(None) => return Ok(Ok(())),
                Err(error) => return Ok(Err(error)),
            };
            if self.append(contract, &change, &mut position).await? {
                return Ok(Ok(()));
            }
        }
        Err(LogError::not_stored("a change of a bridge was overtaken"))
    }

    /// Appends a change at the end as it is known; says whether it is the one that stands there.
    async fn append(
        &self,
        contract: &str,
        change: &Change,
        position: &mut Offset,
    ) -> Result<bool, LogError> {
        let record = change.record(contract);
        let mut fingerprint = [0; 16];
        let mut hash = blake3::Hasher::new();
        hash.update(contract.as_bytes());
        hash.update(&[0]);
        hash.update(record.value.as_deref().unwrap_or_default());
        hash.finalize_xof().fill(&mut fingerprint);
        let append = Append {
            topic: TOPIC.into(),
            partition: Some(PARTITION),
            record,
            claim: Some(Claim {
                identity: Bytes::from(format!("bridges\0{TOPIC}\0{position}")),
                fingerprint: Fingerprint(fingerprint),
                window: CLAIM_WINDOW,
            }),
        };
        let answer = self.log.append(vec![append]).await.into_iter().next();
        let appended = answer.unwrap_or_else(|| Err(LogError::in_doubt("no answer")))?;
        self.read_on(position).await?;
        self.changed.notify_waiters();
        Ok(appended.disposition != Disposition::Mismatched)
    }

    /// Folds all that is in the topic by now.
    async fn read_on(&self, position: &mut Offset) -> Result<(), LogError> {
        loop {
            let read = self
                .log
                .read(TOPIC, PARTITION, *position, READ_BYTES)
                .await?;
            if !read.records.is_empty() {
                let mut current = self.table.write();
                let table = Arc::make_mut(&mut current);
                for stored in &read.records {
                    match Change::parse(stored) {
                        Ok((contract, change)) => table.apply(contract, change),
                        Err(problem) => {
                            let offset = stored.offset;
                            tracing::error!(offset, problem, "a state of a bridge is left out");
                        }
                    }
                }
            }
            *position = read.next.max(*position);
            if *position >= read.high_watermark {
                return Ok(());
            }
        }
    }
}
