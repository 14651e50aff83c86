//! What was promised against what is in the log. Pure: promises in, the log's records in the order
//! they are read, complaints out.

use std::collections::{BTreeMap, HashMap};

/// A place in the topic.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct At {
    pub(super) partition: i32,
    pub(super) offset: i64,
}

/// What the sender of an event knows about it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    /// Its receipt was read: it is in the log, once, there.
    Acked(At),
    /// It was refused: it is not in the log.
    Refused,
    /// Nobody knows: it is in the log once or not at all.
    Unknown,
}

/// An event that was sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) id: String,
    pub(super) key: String,
    pub(super) data: String,
    pub(super) fate: Fate,
    /// Its sender had every earlier receipt when it first sent this, and waited for this one.
    pub(super) in_order: bool,
}

/// A record as a reader gives it.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) at: At,
    pub(super) id: String,
    pub(super) key: String,
    pub(super) data: String,
    pub(super) time_ms: i64,
}

/// The promises of all senders, and how far the log kept them.
pub(super) struct Account<'a> {
    /// By event id: the sender, its event's number, and where it was found.
    promised: HashMap<&'a str, (usize, &'a Sent, Option<At>)>,
    senders: &'a [Vec<Sent>],
    ends: BTreeMap<i32, i64>,
    complaints: Vec<String>,
}

impl<'a> Account<'a> {
    /// Opens the account; each sender's events are in the order in which they were first sent.
    pub(super) fn new(senders: &'a [Vec<Sent>]) -> Self {
        let promised = senders
            .iter()
            .enumerate()
            .flat_map(|(sender, events)| events.iter().map(move |sent| (sender, sent)))
            .map(|(sender, sent)| (sent.id.as_str(), (sender, sent, None)))
            .collect();
        Self {
            promised,
            senders,
            ends: BTreeMap::new(),
            complaints: Vec::new(),
        }
    }

    /// Takes the next record of a partition.
    pub(super) fn see(&mut self, stored: &Stored) {
        let Stored { at, id, .. } = stored;
        let end = self.ends.entry(at.partition).or_insert(0);
        if at.offset != *end {
            let gap = format!("{at:?} follows offset {} of its partition", *end - 1);
            self.complaints.push(gap);
        }
        *end = at.offset + 1;
        let Some((_, sent, found)) = self.promised.get_mut(id.as_str()) else {
            let foreign = format!("{id} at {at:?} was never sent");
            return self.complaints.push(foreign);
        };
        if let Some(first) = found.replace(*at) {
            let twice = format!("{id} stands at {first:?} and at {at:?}");
            self.complaints.push(twice);
        }
        if (&sent.key, &sent.data) != (&stored.key, &stored.data) {
            let other = format!("{id} at {at:?} has other bytes than were sent: {stored:?}");
            self.complaints.push(other);
        }
        match sent.fate {
            Fate::Acked(promised) if promised != *at => {
                let moved = format!("{id} has a receipt for {promised:?} and stands at {at:?}");
                self.complaints.push(moved);
            }
            Fate::Refused => {
                let refused = format!("{id} was refused and stands at {at:?}");
                self.complaints.push(refused);
            }
            Fate::Acked(_) | Fate::Unknown => {}
        }
    }

    /// Closes the account: all complaints.
    pub(super) fn close(mut self) -> Vec<String> {
        for events in self.senders {
            let mut last: HashMap<&str, &Sent> = HashMap::new();
            for sent in events {
                let Fate::Acked(at) = sent.fate else { continue };
                if self.promised[sent.id.as_str()].2.is_none() {
                    let lost = format!("{} was acked at {at:?} and is lost", sent.id);
                    self.complaints.push(lost);
                }
                if !sent.in_order {
                    continue;
                }
                if let Some(before) = last.insert(&sent.key, sent)
                    && let Fate::Acked(place) = before.fate
                    && (place.partition != at.partition || place.offset >= at.offset)
                {
                    let (first, id, key) = (&before.id, &sent.id, &sent.key);
                    let order = format!(
                        "{id} at {at:?} was sent after the receipt of {first} at {place:?}, key {key}"
                    );
                    self.complaints.push(order);
                }
            }
        }
        self.complaints
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: i64) -> At {
        At {
            partition: 0,
            offset,
        }
    }

    fn sent(id: &str, fate: Fate) -> Sent {
        Sent {
            id: id.to_owned(),
            key: "k".to_owned(),
            data: format!("data of {id}"),
            fate,
            in_order: true,
        }
    }

    fn stored(offset: i64, id: &str) -> Stored {
        Stored {
            at: at(offset),
            id: id.to_owned(),
            key: "k".to_owned(),
            data: format!("data of {id}"),
            time_ms: 0,
        }
    }

    /// One sender's `sent` against `log`; each complaint has to have its words.
    #[track_caller]
    fn check(sent: Vec<Sent>, log: &[Stored], expected: &[&str]) {
        let senders = [sent];
        let mut account = Account::new(&senders);
        log.iter().for_each(|stored| account.see(stored));
        let complaints = account.close();
        assert_eq!(complaints.len(), expected.len(), "{complaints:?}");
        for (complaint, words) in complaints.iter().zip(expected) {
            assert!(complaint.contains(words), "{complaint} has not `{words}`");
        }
    }

    #[test]
    fn a_kept_promise_is_no_complaint() {
        let (a, b) = (sent("a", Fate::Acked(at(0))), sent("b", Fate::Acked(at(2))));
        let others = [sent("c", Fate::Refused), sent("d", Fate::Unknown)];
        let mut all = vec![a, b];
        all.extend(others);
        let log = [stored(0, "a"), stored(1, "d"), stored(2, "b")];
        check(all, &log, &[]);
    }

    #[test]
    fn every_broken_promise_is_a_complaint() {
        let acked = |id: &str, offset| sent(id, Fate::Acked(at(offset)));
        let (a, b) = (stored(0, "a"), stored(1, "b"));
        check(vec![acked("a", 0)], &[], &["is lost"]);
        check(
            vec![acked("a", 7)],
            std::slice::from_ref(&a),
            &["has a receipt for"],
        );
        let twice = [a.clone(), stored(1, "a")];
        check(vec![sent("a", Fate::Unknown)], &twice, &["stands at"]);
        check(vec![], std::slice::from_ref(&a), &["was never sent"]);
        check(
            vec![sent("a", Fate::Refused)],
            std::slice::from_ref(&a),
            &["was refused"],
        );
        check(
            vec![acked("a", 1)],
            &[stored(1, "a")],
            &["follows offset -1"],
        );
        let mut altered = a.clone();
        altered.data.pop();
        check(vec![acked("a", 0)], &[altered], &["other bytes"]);
        let mut moved = a.clone();
        moved.key.push('x');
        check(vec![acked("a", 0)], &[moved], &["other bytes"]);
        let swapped = vec![acked("b", 1), acked("a", 0)];
        check(
            swapped.clone(),
            &[a.clone(), b.clone()],
            &["was sent after"],
        );
        // Without the promise of order there is nothing to complain about.
        let mut unordered = swapped;
        unordered[0].in_order = false;
        check(unordered, &[a, b], &[]);
    }
}
