//! Is the chain whole? Takes its records one by one, as they stand; pure.

use std::collections::BTreeSet;

use super::record::{Entry, Phase, no_hash};

/// Intents without an outcome that are kept by their sequence; the oldest are forgotten first.
const MAX_OPEN: usize = 10_000;

/// Where the chain is broken, and how.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the record at place {place} {why}")]
pub struct Broken {
    /// How many records came before it.
    pub place: u64,
    /// What is wrong with it.
    pub why: String,
}

/// What has been seen of a chain.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    records: u64,
    first: Option<u64>,
    /// The last one's sequence and hash.
    last: Option<(u64, String)>,
    open: BTreeSet<u64>,
}

impl Chain {
    /// Takes the next record and returns its hash.
    ///
    /// # Errors
    /// It was changed, or is not the one that comes next.
    pub fn take(&mut self, text: &str) -> Result<String, Broken> {
        let found = self.link(text);
        let (entry, hash) = found.map_err(|why| Broken {
            place: self.records,
            why,
        })?;
        self.records += 1;
        self.first.get_or_insert(entry.sequence);
        self.last = Some((entry.sequence, hash.clone()));
        match (entry.phase, entry.intent) {
            (Phase::Intent, _) => drop(self.open.insert(entry.sequence)),
            (Phase::Outcome, Some(intent)) => drop(self.open.remove(&intent)),
            _ => {}
        }
        if self.open.len() > MAX_OPEN {
            self.open.pop_first();
        }
        Ok(hash)
    }

    fn link(&self, text: &str) -> Result<(Entry, String), String> {
        let (entry, hash) = Entry::unseal(text)?;
        if let Some((sequence, last)) = &self.last {
            let found = entry.sequence;
            if found != sequence + 1 {
                return Err(format!(
                    "has sequence {found} after {sequence}: records were taken away or moved"
                ));
            }
            if entry.previous != *last {
                return Err(format!(
                    "names another record before it than {sequence}, which was changed"
                ));
            }
        }
        if self.last.is_none() && entry.sequence == 0 && entry.previous != no_hash() {
            return Err("is the first and names one before it".to_owned());
        }
        Ok((entry, hash))
    }

    /// Returns how many records were taken.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Returns the sequence of the first one.
    pub fn first(&self) -> Option<u64> {
        self.first
    }

    /// Returns the sequence and the hash of the last one.
    pub fn head(&self) -> Option<(u64, &str)> {
        self.last.as_ref().map(|(at, hash)| (*at, hash.as_str()))
    }

    /// Returns the sequences of intents whose outcome is not known.
    pub fn open(&self) -> impl Iterator<Item = u64> {
        self.open.iter().copied()
    }
}
