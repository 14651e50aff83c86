//! Claims in memory: those made since the last checkpoint, and tables on their way into a run.
//!
//! Asked once for every event, so a hash table; in parts, so that one that grows never stops the
//! sequencer for long. It is sorted by whoever stores it.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use super::{ClaimKey, ENTRY_BYTES, Entry, Run, RunRef, RunWriter, Runs};
use crate::object::{ObjectError, Objects};

/// What the sequencer knows of claims.
#[derive(Debug, Default)]
pub struct Claims {
    recent: Table,
    /// Oldest first. A table leaves when its run is in the set of runs.
    frozen: VecDeque<Arc<Frozen>>,
    runs: Arc<Runs>,
}

/// Claims by key, in parts by the first byte of the key: one part after the other, each sorted, is
/// the order of a run.
#[derive(Debug)]
struct Table {
    parts: Vec<HashMap<ClaimKey, Entry, BuildHasherDefault<HashedAlready>>>,
    len: usize,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            parts: vec![HashMap::default(); 256],
            len: 0,
        }
    }
}

impl Table {
    fn get(&self, key: ClaimKey) -> Option<&Entry> {
        self.parts[usize::from(key.0[0])].get(&key)
    }

    fn insert(&mut self, key: ClaimKey, entry: Entry) {
        let before = self.parts[usize::from(key.0[0])].insert(key, entry);
        self.len += usize::from(before.is_none());
    }
}

/// Takes a part of the key for its hash: it is one, keyed with a secret.
#[derive(Default)]
struct HashedAlready(u64);

impl Hasher for HashedAlready {
    fn write_u64(&mut self, part: u64) {
        self.0 = part;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A table of claims that no longer changes.
#[derive(Debug)]
pub struct Frozen {
    table: Table,
}

impl Claims {
    /// Finds a claim in memory that is held at `log_time_ms`.
    pub fn check(&self, key: ClaimKey, log_time_ms: i64) -> Option<Entry> {
        let tables = self.frozen.iter().rev().map(|frozen| &frozen.table);
        let newest = std::iter::once(&self.recent)
            .chain(tables)
            .find_map(|table| table.get(key));
        newest.copied().filter(|entry| entry.is_held(log_time_ms))
    }

    /// Notes a claim made now.
    pub fn insert(&mut self, key: ClaimKey, entry: Entry) {
        self.recent.insert(key, entry);
    }

    /// Starts a new table and returns the old one, to be stored; `None` if it is empty.
    pub fn freeze(&mut self) -> Option<Arc<Frozen>> {
        if self.recent.len == 0 {
            return None;
        }
        let frozen = Arc::new(Frozen {
            table: std::mem::take(&mut self.recent),
        });
        self.frozen.push_back(frozen.clone());
        Some(frozen)
    }

    /// Takes a new set of runs. Tables whose runs it has leave memory, oldest first; they are
    /// returned, so that they can be dropped where nobody waits.
    pub fn runs_installed(&mut self, runs: &Arc<Runs>) -> Vec<Arc<Frozen>> {
        let added = runs.version.saturating_sub(self.runs.version);
        let added = usize::try_from(added)
            .unwrap_or(usize::MAX)
            .min(self.frozen.len());
        self.runs = runs.clone();
        self.frozen.drain(..added).collect()
    }

    /// The version of the set of runs: see [`Runs::version`].
    pub fn runs_version(&self) -> u64 {
        self.runs.version
    }

    /// The runs, as a checkpoint names them.
    pub fn run_refs(&self) -> Vec<RunRef> {
        self.runs.refs()
    }

    /// What all claims take, in memory and in runs.
    pub fn held_bytes(&self) -> u64 {
        self.in_memory_bytes() + self.runs.entries() * ENTRY_BYTES
    }

    /// What the claims in memory take.
    pub fn in_memory_bytes(&self) -> u64 {
        let frozen: usize = self.frozen.iter().map(|frozen| frozen.table.len).sum();
        (self.recent.len + frozen) as u64 * ENTRY_BYTES
    }
}

impl Frozen {
    /// How many claims the table has.
    pub fn len(&self) -> usize {
        self.table.len
    }

    /// Whether the table has no claims. Never so for one that [`Claims::freeze`] gave.
    pub fn is_empty(&self) -> bool {
        self.table.len == 0
    }

    /// Stores the table as the run `id`.
    ///
    /// # Errors
    /// `Unexpected`; `Unavailable`: perhaps stored; call again with the same `id` and `put_id`.
    pub async fn store(
        &self,
        objects: &Objects,
        id: u64,
        put_id: [u8; 16],
    ) -> Result<Run, ObjectError> {
        let mut writer = RunWriter::new(objects, id, put_id, self.table.len as u64);
        for part in &self.table.parts {
            let mut sorted: Vec<(&ClaimKey, &Entry)> = part.iter().collect();
            sorted.sort_unstable_by_key(|(key, _)| **key);
            for (key, entry) in sorted {
                writer.push(key, entry).await?;
            }
        }
        Ok(writer.finish().await?.expect("a frozen table is not empty"))
    }
}
