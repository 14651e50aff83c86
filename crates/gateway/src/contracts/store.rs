//! The topic `_tidegate.contracts` and what is folded from it: which set is in force, which sets were,
//! where each text stands, who approved of what.
//!
//! A set is appended with a claim on its generation: of two for one generation the second is not
//! stored, so two who apply cannot both win, and an append that turns up late puts nothing in force.
//! Texts come before the set that names them, so no set is without its texts. Sets and texts of the
//! past stay in the topic and are read from there.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::RwLock;
use tidegate_event_log::{
    Append, Claim, Disposition, Fingerprint, Log, LogError, Offset, Outcome, Record, TopicSpec,
};
use tokio::sync::MutexGuard;
use tokio::time::{Instant, sleep, timeout_at};

use super::record::{Approval, Entry, Hash, Set, approval_record, hash_of, text_record};
use crate::state::{self, CLAIM_WINDOW, MAX_RECORD_BYTES};

pub(crate) const TOPIC: &str = "_tidegate.contracts";
const PARTITION: i32 = 0;
/// What a text or a set may have: a record with room for its key and framing.
pub(crate) const MAX_TEXT_BYTES: usize = MAX_RECORD_BYTES - 4 * 1024;
const READ_BYTES: usize = 8 * 1024 * 1024;
/// Sets that are listed.
const MAX_LISTED: usize = 10_000;
/// Approvals that are open; they end with the next set.
pub(crate) const MAX_APPROVALS: usize = 1_000;
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// The topic as it is created: nothing ends in it.
pub(crate) fn topic_spec() -> TopicSpec {
    state::topic_spec(TOPIC)
}

/// Why the topic was not read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// Nothing was written.
    #[error("{0}")]
    Unavailable(String),
    /// The set may be in force.
    #[error("{0}")]
    InDoubt(String),
    /// Another set of this generation came first.
    #[error("another set came first")]
    Overtaken,
    /// What stands in the topic cannot be used.
    #[error("{0}")]
    Damaged(String),
}

impl From<LogError> for StoreError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Corrupt(what) => Self::Damaged(what),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// A set, as lists have it.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) set: Set,
    pub(crate) documents: usize,
}

/// What is folded from the topic.
#[derive(Clone, Debug, Default)]
pub(crate) struct Folded {
    /// The newest set.
    pub(crate) set: Set,
    texts: HashMap<Hash, Offset>,
    /// Where the newest set stands that had a version: by kind, name and version.
    versions: BTreeMap<(String, String, String), Offset>,
    /// Contracts that ever governed a topic.
    governed: BTreeMap<String, BTreeSet<String>>,
    /// Sets without their documents, oldest first.
    history: VecDeque<Listed>,
    /// Who approved of which plan since the newest set: a plan is for one set, so the others are void.
    approvals: BTreeMap<String, BTreeSet<String>>,
}

impl Folded {
    pub(super) fn apply(&mut self, record: &Record, at: Offset) -> Result<(), String> {
        match Entry::parse(record)? {
            Entry::Text(hash) => drop(self.texts.insert(hash, at)),
            Entry::Approval(approval) => {
                let names = self.approvals.entry(approval.plan).or_default();
                names.insert(approval.name);
            }
            Entry::Set(set) if set.generation != self.set.generation + 1 => {
                let (found, last) = (set.generation, self.set.generation);
                return Err(format!("generation {found} follows generation {last}"));
            }
            Entry::Set(set) => {
                if let Some(hash) = set.texts().find(|hash| !self.texts.contains_key(*hash)) {
                    return Err(format!("it names the text `{hash}`, which is not there"));
                }
                for document in &set.documents {
                    let Some(topic) = &document.topic else {
                        continue;
                    };
                    let names = self.governed.entry(topic.clone()).or_default();
                    names.insert(document.name.clone());
                }
                let versions = set.documents.iter().map(|it| {
                    let key = (it.kind.clone(), it.name.clone(), it.version.clone());
                    (key, at)
                });
                self.versions.extend(versions);
                if self.history.len() == MAX_LISTED {
                    self.history.pop_front();
                }
                self.history.push_back(Listed {
                    documents: set.documents.len(),
                    set: Set {
                        documents: Vec::new(),
                        ..set.clone()
                    },
                });
                self.approvals.clear();
                self.set = set;
            }
        }
        Ok(())
    }

    pub(crate) fn has_text(&self, hash: &Hash) -> bool {
        self.texts.contains_key(hash)
    }

    /// Returns who approved of a plan.
    pub(crate) fn approved(&self, plan: &str) -> BTreeSet<String> {
        self.approvals.get(plan).cloned().unwrap_or_default()
    }

    pub(crate) fn open_approvals(&self) -> usize {
        self.approvals.values().map(BTreeSet::len).sum()
    }

    /// Returns the contracts that ever governed a topic.
    pub(crate) fn governors(&self, topic: &str) -> impl Iterator<Item = &String> {
        self.governed.get(topic).into_iter().flatten()
    }

    /// Returns the sets, newest first.
    pub(crate) fn history(&self) -> impl Iterator<Item = &Listed> {
        self.history.iter().rev()
    }

    /// Returns the versions of a name that any set had.
    pub(crate) fn versions_of(&self, name: &str) -> Vec<&str> {
        let of_name = self.versions.keys().filter(|(_, of, _)| of == name);
        of_name.map(|(_, _, version)| version.as_str()).collect()
    }
}

/// The topic and what is folded from it.
pub(crate) struct Store {
    log: Arc<dyn Log>,
    folded: RwLock<Arc<Folded>>,
    /// Where to read on. Whoever holds it is the one who writes.
    position: tokio::sync::Mutex<Offset>,
}

/// The one who writes; it has read to the end of the topic.
pub(crate) struct Writer<'a> {
    store: &'a Store,
    position: MutexGuard<'a, Offset>,
    deadline: Instant,
}

impl Store {
    /// Reads the topic from its beginning to its end.
    ///
    /// # Errors
    /// The log does not serve it, or it holds what cannot be read.
    pub(crate) async fn open(log: Arc<dyn Log>) -> Result<Self, StoreError> {
        let start = log.watermarks(TOPIC, PARTITION).await?.log_start;
        let store = Self {
            log,
            folded: RwLock::default(),
            position: tokio::sync::Mutex::new(start),
        };
        let mut position = store.position.lock().await;
        store.read_on(&mut position).await?;
        drop(position);
        Ok(store)
    }

    /// Returns what is folded by now; later records do not reach it.
    pub(crate) fn folded(&self) -> Arc<Folded> {
        Arc::clone(&self.folded.read())
    }

    /// Waits for its turn to write, and reads to the end of the topic.
    pub(crate) async fn writer(&self, deadline: Instant) -> Result<Writer<'_>, StoreError> {
        let position = timeout_at(deadline, self.position.lock()).await;
        let position = position.map_err(|_| late("somebody else is applying"))?;
        let mut writer = Writer {
            store: self,
            position,
            deadline,
        };
        let read = timeout_at(deadline, self.read_on(&mut writer.position)).await;
        read.map_err(|_| late("the log did not answer in time"))??;
        Ok(writer)
    }

    /// Folds all that is in the topic by now.
    async fn read_on(&self, position: &mut Offset) -> Result<(), StoreError> {
        loop {
            let read = self
                .log
                .read(TOPIC, PARTITION, *position, READ_BYTES)
                .await?;
            {
                let mut current = self.folded.write();
                let folded = Arc::make_mut(&mut current);
                for stored in read.records {
                    let at = stored.offset;
                    // What is in force must not be guessed: a record that cannot be read ends it.
                    folded.apply(&stored.record, at).map_err(|problem| {
                        StoreError::Damaged(format!(
                            "record {at} of `{TOPIC}` cannot be used: {problem}"
                        ))
                    })?;
                    *position = at + 1;
                }
            }
            *position = read.next.max(*position);
            if *position >= read.high_watermark {
                return Ok(());
            }
        }
    }

    /// Reads texts by their hashes.
    pub(crate) async fn texts(
        &self,
        wanted: impl Iterator<Item = &Hash>,
    ) -> Result<HashMap<Hash, Arc<str>>, StoreError> {
        let folded = self.folded();
        let missing = |hash: &Hash| StoreError::Damaged(format!("text `{hash}` is not there"));
        let mut places = BTreeMap::new();
        for hash in wanted {
            let at = folded.texts.get(hash).ok_or_else(|| missing(hash))?;
            places.insert(*at, hash);
        }
        let mut texts = HashMap::new();
        while let Some((from, first)) = places.first_key_value() {
            let first = (*first).clone();
            let read = self.log.read(TOPIC, PARTITION, *from, READ_BYTES).await?;
            for stored in &read.records {
                let Some(hash) = places.remove(&stored.offset) else {
                    continue;
                };
                let text = stored.record.value.as_deref().map(std::str::from_utf8);
                let text = text.and_then(Result::ok);
                let text = text.filter(|text| hash_of(text) == *hash);
                let text = text.ok_or_else(|| missing(hash))?;
                texts.insert(hash.clone(), Arc::from(text));
            }
            // At least one record comes, so the first was among them.
            if !texts.contains_key(&first) {
                return Err(missing(&first));
            }
        }
        Ok(texts)
    }

    /// Reads the newest set that had a document of this name and version, and the document's kind.
    pub(crate) async fn newest_with(
        &self,
        name: &str,
        version: &str,
    ) -> Result<Option<(Set, String)>, StoreError> {
        let folded = self.folded();
        let versions = folded.versions.iter();
        let found = versions
            .filter(|((_, of, at), _)| of == name && at == version)
            .max_by_key(|(_, at)| **at);
        let Some(((kind, _, _), at)) = found else {
            return Ok(None);
        };
        let read = self.log.read(TOPIC, PARTITION, *at, 0).await?;
        let entry = read
            .records
            .first()
            .map(|stored| Entry::parse(&stored.record));
        match entry {
            Some(Ok(Entry::Set(set))) => Ok(Some((set, kind.clone()))),
            _ => Err(StoreError::Damaged(format!(
                "record {at} of `{TOPIC}` is no set any more"
            ))),
        }
    }
}

impl Writer<'_> {
    /// Writes the texts that are not there yet.
    pub(crate) async fn put_texts(
        &mut self,
        texts: &BTreeMap<Hash, Arc<str>>,
    ) -> Result<(), StoreError> {
        let folded = self.store.folded();
        let new = texts.iter().filter(|(hash, _)| !folded.has_text(hash));
        let appends: Vec<Append> = new
            .map(|(hash, text)| append(text_record(hash, text), None))
            .collect();
        if appends.is_empty() {
            return Ok(());
        }
        let answers = timeout_at(self.deadline, self.store.log.append(appends)).await;
        for answer in answers.map_err(|_| late("the log did not answer in time"))? {
            answer?;
        }
        self.read_on().await
    }

    /// Puts a set in force: once this is answered it is, whatever happens then.
    ///
    /// # Errors
    /// `Unavailable` and `Overtaken`: it is not. `InDoubt`: nobody knows.
    pub(crate) async fn commit(&mut self, set: &Set) -> Result<(), StoreError> {
        let record = set.record();
        let fingerprint = {
            let value = record.value.as_deref().unwrap_or_default();
            let mut bytes = [0; 16];
            let mut hash = blake3::Hasher::new();
            hash.update(value).finalize_xof().fill(&mut bytes);
            Fingerprint(bytes)
        };
        let claim = Claim {
            identity: Bytes::from(format!("contracts\0set\0{}", set.generation)),
            fingerprint,
            window: CLAIM_WINDOW,
        };
        let append = append(record, Some(claim));
        let mut doubt: Option<String> = None;
        loop {
            let answer = timeout_at(self.deadline, self.store.log.append(vec![append.clone()]));
            let answer = match answer.await {
                Ok(answers) => answers.into_iter().next(),
                Err(_) => None,
            };
            match answer {
                Some(Ok(appended)) if appended.disposition == Disposition::Mismatched => {
                    return Err(StoreError::Overtaken);
                }
                // The claim tells an earlier try of this very set from another's.
                Some(Ok(_)) => break,
                Some(Err(error)) if error.outcome() == Outcome::Unknown => {
                    doubt = Some(error.to_string());
                }
                Some(Err(error)) => match doubt {
                    None => return Err(error.into()),
                    Some(_) => doubt = Some(error.to_string()),
                },
                None => return Err(StoreError::InDoubt("no answer in time".to_owned())),
            }
            if Instant::now() + RETRY_PAUSE >= self.deadline {
                return Err(StoreError::InDoubt(doubt.unwrap_or_default()));
            }
            sleep(RETRY_PAUSE).await;
        }
        if let Err(error) = self.read_on().await {
            // It is in force all the same; the next who writes reads on.
            tracing::warn!(error = %error, "a set of contracts cannot be read back yet");
        }
        Ok(())
    }

    /// Writes an approval, unless it is there.
    pub(crate) async fn approve(&mut self, approval: &Approval) -> Result<(), StoreError> {
        let folded = self.store.folded();
        if folded.approved(&approval.plan).contains(&approval.name) {
            return Ok(());
        }
        let record = append(approval_record(approval), None);
        let answers = timeout_at(self.deadline, self.store.log.append(vec![record])).await;
        for answer in answers.map_err(|_| late("the log did not answer in time"))? {
            answer?;
        }
        self.read_on().await
    }

    async fn read_on(&mut self) -> Result<(), StoreError> {
        let read = self.store.read_on(&mut self.position);
        let read = timeout_at(self.deadline, read).await;
        read.map_err(|_| late("the log did not answer in time"))?
    }
}

fn late(why: &str) -> StoreError {
    StoreError::Unavailable(why.to_owned())
}

fn append(record: Record, claim: Option<Claim>) -> Append {
    Append {
        topic: TOPIC.into(),
        partition: Some(PARTITION),
        record,
        claim,
    }
}
