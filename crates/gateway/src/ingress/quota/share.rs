//! Quotas that replicas share. Each has all buckets and takes from its own at once; what others took it
//! hears a moment later and takes as well. So a bucket may owe for that moment, and the rate holds for
//! all of them together.
//!
//! What was taken is told as a sum that only grows, so a message may be lost or come twice. Changes are
//! gathered in rounds; a peer that says which it has heard is told the later ones, any other everything.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::bucket::Account;
use super::{Name, Quotas};

/// Rounds that are remembered. A peer that missed more is told everything.
const ROUNDS: usize = 256;
/// Peers that are told apart.
const MAX_PEERS: usize = 1_000;
/// Buckets of a message; what is beyond is told when it changes again.
const MAX_ENTRIES: usize = 100_000;

/// A bucket by its quota and what that counts together.
type Id = (Arc<Name>, Arc<str>);

#[derive(Deserialize, Serialize)]
struct Message {
    /// Another one after each start.
    from: u64,
    round: u64,
    /// The replica and the round that were heard last from the one who is told.
    heard: Option<(u64, u64)>,
    entries: Vec<Entry>,
}

#[derive(Deserialize, Serialize)]
struct Entry {
    contract: String,
    quota: String,
    key: String,
    taken: u64,
    missing: u64,
}

#[derive(Default)]
struct Peer {
    /// Who it is, and its round that was heard last.
    heard: Option<(u64, u64)>,
    /// The round of this replica that it has heard.
    told: Option<u64>,
}

/// What this replica and its peers know of each other.
pub(super) struct Sharing {
    /// Names this replica until it ends.
    id: u64,
    rounds: Mutex<Rounds>,
}

#[derive(Default)]
struct Rounds {
    last: u64,
    recent: VecDeque<BTreeSet<Id>>,
    peers: HashMap<String, Peer>,
}

impl Sharing {
    pub(super) fn new(id: u64) -> Self {
        Self {
            id,
            rounds: Mutex::default(),
        }
    }
}

impl Rounds {
    /// Ends a round, if anything was taken in it.
    fn end(&mut self, quotas: &Quotas) {
        let mut changed = BTreeSet::new();
        for (name, buckets) in quotas.all() {
            let keys = buckets.lock().changed();
            changed.extend(keys.into_iter().map(|key| (Arc::clone(&name), key)));
        }
        if !changed.is_empty() {
            self.last += 1;
            self.recent.push_back(changed);
            if self.recent.len() > ROUNDS {
                self.recent.pop_front();
            }
        }
    }

    /// Returns what changed after a round; `None` if that is not known any more.
    fn since(&self, told: u64) -> Option<BTreeSet<Id>> {
        let missed = usize::try_from(self.last.checked_sub(told)?).ok()?;
        let first = self.recent.len().checked_sub(missed)?;
        Some(self.recent.range(first..).flatten().cloned().collect())
    }
}

impl Quotas {
    /// Returns what to tell a peer, or that there is nothing new for it.
    pub(crate) fn tell(&self, peer: &str, now_ms: i64) -> Option<Vec<u8>> {
        let sharing = self.sharing.get()?;
        let told = {
            let mut rounds = sharing.rounds.lock();
            rounds.end(self);
            let told = rounds.peers.get(peer).and_then(|peer| peer.told);
            told.filter(|told| *told == rounds.last)
        };
        told.is_none().then(|| self.answer(peer, now_ms))
    }

    /// Returns what to tell a peer that asks, be it nothing new.
    pub(crate) fn answer(&self, peer: &str, now_ms: i64) -> Vec<u8> {
        let Some(sharing) = self.sharing.get() else {
            return Vec::new();
        };
        let (ids, round, heard) = {
            let mut rounds = sharing.rounds.lock();
            rounds.end(self);
            let peer = rounds.peers.get(peer);
            let ids = peer.and_then(|peer| rounds.since(peer.told?));
            (ids, rounds.last, peer.and_then(|peer| peer.heard))
        };
        let all: HashMap<_, _> = self.all().into_iter().collect();
        let ids = ids.unwrap_or_else(|| {
            let keys = all.iter().flat_map(|(name, buckets)| {
                let keys = buckets.lock().keys().into_iter();
                keys.map(|key| (Arc::clone(name), key))
            });
            keys.collect()
        });
        let entries = ids.into_iter().filter_map(|(name, key)| {
            let told = all.get(&name)?.lock().account(&key, now_ms)?;
            Some(Entry {
                contract: name.0.clone(),
                quota: name.1.clone(),
                key: key.to_string(),
                taken: told.taken,
                missing: told.missing,
            })
        });
        let message = Message {
            from: sharing.id,
            round,
            heard,
            entries: entries.take(MAX_ENTRIES).collect(),
        };
        serde_json::to_vec(&message).expect("texts and numbers are encoded always")
    }

    /// Takes in what a peer told.
    pub(crate) fn hear(&self, peer: &str, told: &[u8], now_ms: i64) {
        let Some(sharing) = self.sharing.get() else {
            return;
        };
        let Ok(message) = serde_json::from_slice::<Message>(told) else {
            tracing::warn!(peer, "what a replica tells of quotas cannot be read");
            return;
        };
        let is_new = {
            let mut rounds = sharing.rounds.lock();
            if !rounds.peers.contains_key(peer) && rounds.peers.len() >= MAX_PEERS {
                // Those that were heard again come back by themselves.
                rounds.peers.clear();
            }
            let known = rounds.peers.entry(peer.to_owned()).or_default();
            let is_new = known.heard.is_none_or(|(from, _)| from != message.from);
            known.heard = Some((message.from, message.round));
            let told = message.heard.filter(|(who, _)| *who == sharing.id);
            known.told = told.map(|(_, round)| round);
            is_new
        };
        let all: HashMap<_, _> = self.all().into_iter().collect();
        for entry in message.entries {
            // A contract that is not in force here yet, or not any more, counts nothing here.
            let Some(buckets) = all.get(&(entry.contract, entry.quota)) else {
                continue;
            };
            let account = Account {
                taken: entry.taken,
                missing: entry.missing,
            };
            let key = entry.key.into();
            let mut buckets = buckets.lock();
            buckets.hear(key, message.from, is_new, account, now_ms);
        }
    }
}
