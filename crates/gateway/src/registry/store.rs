//! The topic `_schemas` and the table folded from it. A write is decided on the table as it stands at
//! the end of the topic, appended with a claim on its place, and read back before it is answered.
//!
//! The claim makes it compare-and-append: of two records for one place the second is not stored, so
//! an append whose answer was lost cannot turn up later between a decision and its record.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::RwLock;
use tidegate_event_log::{Append, Claim, Disposition, Fingerprint, Log, LogError, TopicSpec};
use tokio::time::{Instant, sleep, timeout_at};

use super::audited;
use super::error::Error;
use super::record::Change;
use super::table::Table;
use crate::audit::{Act, Outcome};
use crate::state::{self, CLAIM_WINDOW, MAX_RECORD_BYTES, Position};

pub(crate) const TOPIC: &str = "_schemas";
const PARTITION: i32 = 0;
const READ_BYTES: usize = 8 * 1024 * 1024;
/// All texts at most; they are in memory.
const MAX_TABLE_BYTES: usize = 512 * 1024 * 1024;
/// How often a write is decided anew because another came first.
const ATTEMPTS: usize = 5;
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// The topic as it is created: nothing ends in it.
pub(crate) fn topic_spec() -> TopicSpec {
    state::topic_spec(TOPIC)
}

/// The topic and its table.
pub(crate) struct Store {
    log: Arc<dyn Log>,
    /// Changed in place unless somebody still looks at it, else in a copy.
    table: RwLock<Arc<Table>>,
    /// Another number whenever the table may be another.
    revision: AtomicU64,
    /// Where to read on. Whoever holds it is the one who writes.
    position: tokio::sync::Mutex<Position>,
}

/// What became of an append.
enum Landed {
    /// It stands there, and the table has it.
    Here,
    /// Another record stands at its place, and the table has that one.
    Overtaken,
}

impl Store {
    /// Reads the topic from its beginning to its end.
    ///
    /// # Errors
    /// The log does not serve it.
    pub(crate) async fn open(log: Arc<dyn Log>) -> Result<Self, LogError> {
        let topics = log.topics().await?;
        let topic = topics.iter().find(|topic| topic.name == TOPIC);
        if let Some(topic) = topic.filter(|topic| topic.partitions != 1) {
            let count = topic.partitions;
            let message = format!("topic `{TOPIC}` has {count} partitions; schemas have one order");
            return Err(LogError::Invalid(message));
        }
        let start = log.watermarks(TOPIC, PARTITION).await?.log_start;
        let store = Self {
            log,
            table: RwLock::default(),
            revision: AtomicU64::new(0),
            position: tokio::sync::Mutex::new(Position::start(start)),
        };
        let mut position = store.position.lock().await;
        store.read_on(&mut position).await?;
        drop(position);
        Ok(store)
    }

    /// Returns the table as it is now; changes that follow do not reach it.
    pub(crate) fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read())
    }

    /// Returns a number that is another one once the table has changed. Asked for before the table, so
    /// that what is worked out from the two is never taken for newer than it is.
    pub(crate) fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// Runs something that may take a while on the table, off the threads that serve.
    pub(crate) async fn inspect<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Table) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let table = self.table();
        let done = tokio::task::spawn_blocking(move || work(&table));
        done.await.unwrap_or_else(|error| {
            tracing::error!(error = %error, "a registry request failed");
            Err(Error::internal())
        })
    }

    /// Decides on changes, writes them in their order, and answers when the table has them. `plan`
    /// runs anew if another write came first. Without changes it is a look at the newest state.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        operation: &'static str,
        deadline: Instant,
        act: &Act,
        plan: impl Fn(&Table) -> Result<(Vec<Change>, T), Error> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        let late = |_| Error::timeout(operation);
        let mut position = timeout_at(deadline, self.position.lock())
            .await
            .map_err(late)?;
        let plan = Arc::new(plan);
        for _ in 0..ATTEMPTS {
            timeout_at(deadline, self.read_on(&mut position))
                .await
                .map_err(late)?
                .map_err(|error| failed(operation, &error))?;
            let plan = Arc::clone(&plan);
            let (changes, answer) = self.inspect(move |table| plan(table)).await?;
            if changes.is_empty() {
                return Ok(answer);
            }
            let intent = act.begin(audited::object(&self.table(), &changes));
            let intent = intent.await.map_err(|error| failed(operation, &error))?;
            let landed = self.append_all(operation, deadline, &mut position, &changes);
            match landed.await {
                Ok(Landed::Here) => {
                    intent.end(Outcome::Done, None).await;
                    return Ok(answer);
                }
                Ok(Landed::Overtaken) => intent.end(Outcome::Failed, Some("overtaken")).await,
                Err(error) => {
                    let outcome = audited::outcome(&error);
                    let problem = format!("registry-{}", error.code);
                    intent.end(outcome, Some(&problem)).await;
                    return Err(error);
                }
            }
        }
        Err(overtaken(operation))
    }

    /// Appends changes in their order; overtaken is what was overtaken at its first.
    async fn append_all(
        &self,
        operation: &'static str,
        deadline: Instant,
        position: &mut Position,
        changes: &[Change],
    ) -> Result<Landed, Error> {
        for (at, change) in changes.iter().enumerate() {
            match self.append(operation, deadline, position, change).await? {
                Landed::Here => {}
                Landed::Overtaken if at == 0 => return Ok(Landed::Overtaken),
                Landed::Overtaken => return Err(overtaken(operation)),
            }
        }
        Ok(Landed::Here)
    }

    async fn append(
        &self,
        operation: &'static str,
        deadline: Instant,
        position: &mut Position,
        change: &Change,
    ) -> Result<Landed, Error> {
        let record = change.record();
        if record.size_bytes() > MAX_RECORD_BYTES {
            return Err(Error::schema_too_large());
        }
        if matches!(change, Change::Schema(value) if !value.deleted)
            && self.table().bytes() > MAX_TABLE_BYTES
        {
            return Err(Error::store("the registry holds as many schemas as it may"));
        }
        let mut hash = blake3::Hasher::new();
        for part in [&record.key, &record.value] {
            let part = part.as_deref().unwrap_or_default();
            hash.update(&part.len().to_be_bytes());
            hash.update(part);
        }
        let mut fingerprint = [0; 16];
        hash.finalize_xof().fill(&mut fingerprint);
        let append = Append {
            topic: TOPIC.into(),
            partition: Some(PARTITION),
            record,
            claim: Some(Claim {
                identity: Bytes::from(format!("registry\0{TOPIC}\0{}", position.beyond)),
                fingerprint: Fingerprint(fingerprint),
                window: CLAIM_WINDOW,
            }),
        };
        let (at, landed) = loop {
            let answer = timeout_at(deadline, self.log.append(vec![append.clone()])).await;
            let answer = answer.map_err(|_| Error::timeout(operation))?;
            match answer.into_iter().next() {
                Some(Ok(appended)) => {
                    // The claim tells an earlier try of this very record from another's.
                    break match appended.disposition {
                        Disposition::Stored | Disposition::Repeated => {
                            (appended.place.offset, Landed::Here)
                        }
                        Disposition::Mismatched => (appended.place.offset, Landed::Overtaken),
                    };
                }
                // The claim makes another try safe, whatever became of this one.
                Some(Err(LogError::Unavailable { .. })) if Instant::now() < deadline => {
                    sleep(RETRY_PAUSE).await;
                }
                Some(Err(error)) => return Err(failed(operation, &error)),
                None => return Err(Error::internal()),
            }
        };
        let until = async {
            while position.beyond <= at {
                let left = deadline.saturating_duration_since(Instant::now());
                self.log.watch(TOPIC, PARTITION, at, left).await?;
                self.read_on(position).await?;
            }
            Ok(())
        };
        match timeout_at(deadline, until).await {
            Ok(Ok(())) => Ok(landed),
            Ok(Err(error)) => Err(failed(operation, &error)),
            Err(_) => Err(Error::timeout(operation)),
        }
    }

    /// Folds all that is in the topic by now.
    async fn read_on(&self, position: &mut Position) -> Result<(), LogError> {
        loop {
            let read = self
                .log
                .read(TOPIC, PARTITION, position.next, READ_BYTES)
                .await?;
            let mut current = self.table.write();
            if !read.records.is_empty() {
                // While the table is locked: whoever sees the number waits for what it stands for.
                self.revision.fetch_add(1, Ordering::Release);
            }
            let table = Arc::make_mut(&mut current);
            for stored in read.records {
                let offset = stored.offset;
                let applied = Change::parse(&stored.record)
                    .and_then(|change| table.apply(change, stored.timestamp_ms));
                if let Err(problem) = applied {
                    tracing::error!(offset, problem, "a record of the schemas is left out");
                }
                position.beyond = offset + 1;
            }
            position.next = read.next;
            if position.next >= read.high_watermark {
                return Ok(());
            }
        }
    }
}

fn overtaken(operation: &str) -> Error {
    Error::store(format!("{operation} operation was overtaken"))
}

fn failed(operation: &str, error: &LogError) -> Error {
    tracing::error!(error = %error, operation, "the schemas cannot be written or read");
    Error::store(format!(
        "{operation} operation failed while writing to the log"
    ))
}
