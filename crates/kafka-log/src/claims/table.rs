//! The claims of one partition of the claims topic, folded in memory. Pure; time is passed in. A claim is forgotten when
//! its window is over, never before: at its bound the table takes no more.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use tidegate_event_log::{Appended, Disposition, Fingerprint};

use super::record::{Held, Key};

/// Claims of one partition at most, some 200 bytes each.
const CLAIMS: usize = 1_000_000;

#[derive(Default)]
pub(crate) struct Table {
    held: HashMap<Key, Held>,
    /// When to look whether a window is over.
    ends: BinaryHeap<Reverse<(i64, [u8; 16])>>,
    /// The newest time seen; log time never goes back.
    log_time_ms: i64,
}

impl Table {
    /// Lets log time pass and forgets what is over.
    pub(crate) fn advance_to(&mut self, now_ms: i64) {
        self.log_time_ms = self.log_time_ms.max(now_ms);
        while let Some(Reverse((end_ms, key))) = self.ends.peek() {
            if *end_ms > self.log_time_ms {
                return;
            }
            let key = Key(*key);
            // Claimed again since, perhaps, with a later end.
            if self
                .held
                .get(&key)
                .is_some_and(|held| held.ends_ms == *end_ms)
            {
                self.held.remove(&key);
            }
            self.ends.pop();
        }
    }

    pub(crate) fn insert(&mut self, key: Key, held: Held) {
        self.ends.push(Reverse((held.ends_ms, key.0)));
        self.log_time_ms = self.log_time_ms.max(held.place.timestamp_ms);
        self.held.insert(key, held);
    }

    pub(crate) fn log_time_ms(&self) -> i64 {
        self.log_time_ms
    }

    pub(crate) fn is_full(&self) -> bool {
        self.held.len() >= CLAIMS
    }

    /// Returns what a claim holds, if its window is not over.
    pub(crate) fn get(&self, key: Key) -> Option<&Held> {
        let held = self.held.get(&key)?;
        (held.ends_ms > self.log_time_ms).then_some(held)
    }

    /// Has a claim name its topic by another id; without one the claim is over. One made since is left alone.
    pub(crate) fn rename(&mut self, key: Key, before: &Held, topic_id: Option<[u8; 16]>) {
        let found = self.held.get_mut(&key).filter(|held| *held == before);
        match (found, topic_id) {
            (Some(held), Some(topic_id)) => held.topic_id = topic_id,
            (Some(_), None) => drop(self.held.remove(&key)),
            (None, _) => {}
        }
    }
}

impl Held {
    /// What somebody with that fingerprint is told.
    pub(crate) fn told(&self, fingerprint: Fingerprint) -> Appended {
        Appended {
            topic: self.topic.clone(),
            place: self.place,
            disposition: if self.fingerprint == fingerprint {
                Disposition::Repeated
            } else {
                Disposition::Mismatched
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_event_log::Place;

    use super::*;

    fn held(ends_ms: i64, offset: i64) -> Held {
        Held {
            fingerprint: Fingerprint([1; 16]),
            topic: "t".into(),
            topic_id: [0; 16],
            place: Place {
                partition: 0,
                offset,
                timestamp_ms: 0,
            },
            ends_ms,
        }
    }

    #[test]
    fn a_claim_is_held_to_the_end_of_its_window_and_no_longer() {
        let mut table = Table::default();
        let key = Key([7; 16]);
        table.insert(key, held(100, 1));
        for (now_ms, is_held) in [(0, true), (99, true), (50, true), (100, false)] {
            table.advance_to(now_ms);
            assert_eq!(table.get(key).is_some(), is_held, "at {now_ms}");
        }
        assert!(table.held.is_empty() && table.ends.is_empty(), "forgotten");
    }

    #[test]
    fn a_name_claimed_again_has_its_later_end() {
        let mut table = Table::default();
        let key = Key([7; 16]);
        table.insert(key, held(100, 1));
        table.insert(key, held(200, 2));
        table.advance_to(150);
        let found = table.get(key).unwrap();
        assert_eq!(found.place.offset, 2);
        let told = |number| found.told(Fingerprint([number; 16])).disposition;
        assert_eq!(told(1), Disposition::Repeated);
        assert_eq!(told(2), Disposition::Mismatched);
    }

    #[test]
    fn a_claim_follows_the_id_of_its_topic_or_ends_with_it() {
        let mut table = Table::default();
        let key = Key([7; 16]);
        let (first, second) = (held(100, 1), held(100, 2));
        table.insert(key, first.clone());
        table.rename(key, &second, None);
        assert_eq!(table.get(key), Some(&first), "another claim was meant");
        table.rename(key, &first, Some([9; 16]));
        let renamed = table.get(key).unwrap().clone();
        assert_eq!(renamed.topic_id, [9; 16]);
        table.rename(key, &renamed, None);
        assert!(table.get(key).is_none());
        table.rename(key, &renamed, Some([9; 16]));
        assert!(table.get(key).is_none(), "what is over stays over");
        table.advance_to(100);
        assert!(table.ends.is_empty());
    }
}
