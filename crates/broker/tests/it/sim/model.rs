//! What the log promised so far, and whether what is read agrees with it. Numbers of invariants are
//! those of `docs/reference/invariants.md`.

use std::collections::{BTreeMap, BTreeSet};

/// A partition by topic id; ids are random and never come back.
pub(super) type Lane = ([u8; 16], u32);

/// A record as it was read: its offset, its number, its timestamp.
pub(super) type Found = (i64, u64, i64);

/// How long a claim is held; some end while a run lasts.
pub(super) fn window_s(claim: u64) -> u32 {
    if claim.is_multiple_of(3) {
        4
    } else {
        400_000_000
    }
}

/// What surely passes between two records that hold the same claim: the records of a batch all have
/// the time of its first.
pub(super) fn window_ms(claim: u64) -> i64 {
    i64::from(window_s(claim)) * 1_000 - 100
}

/// What became of a record, as its sender knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    /// No answer: it may be stored.
    InDoubt,
    /// Stored at this offset.
    Acked(i64),
    /// Not stored, for certain.
    Refused,
}

/// A record that was sent. Its number is its value.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) lane: Lane,
    pub(super) fate: Fate,
    /// Which claim it carried.
    pub(super) claim: Option<u64>,
    /// Who sent it: one sender sends one after the other and keeps its order.
    pub(super) sender: Option<u64>,
}

/// The history of one run.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) sent: BTreeMap<u64, Sent>,
    /// Every value anybody ever saw at a place.
    seen: BTreeMap<(Lane, i64), u64>,
    /// The highest high watermark and log start that anybody saw.
    watermarks: BTreeMap<Lane, (i64, i64)>,
    /// The first record that was acked for a claim in the window that lasts, and its time.
    pub(super) claims: BTreeMap<u64, (u64, i64)>,
    /// Topics whose creation was acked, and those that somebody asked to delete.
    pub(super) created: BTreeSet<[u8; 16]>,
    pub(super) deleting: BTreeSet<[u8; 16]>,
    /// The names of all topics that somebody asked to create.
    pub(super) names: BTreeMap<[u8; 16], String>,
    /// The most partitions that anybody saw or was promised, a topic each.
    pub(super) partitions: BTreeMap<[u8; 16], usize>,
    /// The number of the last acked change of a topic, and the numbers of those that were asked for by
    /// its name and not refused. Later ones have larger numbers.
    pub(super) changed: BTreeMap<[u8; 16], u64>,
    pub(super) changes: BTreeMap<u64, String>,
    /// Committed offsets by group: what was acked, and what was asked for after it.
    pub(super) committed: BTreeMap<u64, (i64, BTreeSet<i64>)>,
}

impl Model {
    /// Notes an ack.
    pub(super) fn acked(&mut self, number: u64, offset: i64, timestamp_ms: i64) {
        let lane = self.sent[&number].lane;
        self.see(lane, offset, number);
        let sent = self.sent.get_mut(&number).unwrap();
        // Invariant 3: an answer that comes twice is the same answer.
        if let Fate::Acked(before) = sent.fate {
            assert_eq!(before, offset, "record {number} was acked at two offsets");
        }
        sent.fate = Fate::Acked(offset);
        if let Some(claim) = sent.claim {
            let (first, since) = *self.claims.entry(claim).or_insert((number, timestamp_ms));
            if first != number {
                let over = since + window_ms(claim);
                assert!(
                    timestamp_ms >= over,
                    "claim {claim} was given to two records"
                );
                self.claims.insert(claim, (number, timestamp_ms));
            }
        }
    }

    /// Invariants 1, 2 and 8: a place has one value, for ever.
    fn see(&mut self, lane: Lane, offset: i64, number: u64) {
        let first = *self.seen.entry((lane, offset)).or_insert(number);
        assert_eq!(
            first, number,
            "offset {offset} of {lane:?} had another value before"
        );
    }

    /// Invariants 5 and 8: watermarks only grow, and never lie below what was acked.
    pub(super) fn watermarks(&mut self, lane: Lane, log_start: i64, high: i64) {
        let known = self.watermarks.entry(lane).or_default();
        assert!(
            log_start <= high,
            "{lane:?} starts at {log_start} above its end {high}"
        );
        assert!(log_start >= known.0, "the log start of {lane:?} went back");
        assert!(
            high >= known.1,
            "the high watermark of {lane:?} went back to {high}"
        );
        *known = (log_start, high);
    }

    /// Records what was read, and that all of it lies below the high watermark.
    pub(super) fn read(&mut self, lane: Lane, high: i64, records: &[Found]) {
        for (offset, number, _) in records {
            assert!(
                *offset < high,
                "offset {offset} of {lane:?} was read above {high}"
            );
            self.see(lane, *offset, *number);
        }
    }

    /// Checks a whole partition, read from its log start to its high watermark.
    pub(super) fn check_lane(&mut self, lane: Lane, log_start: i64, high: i64, records: &[Found]) {
        self.watermarks(lane, log_start, high);
        self.read(lane, high, records);
        // Invariant 2: dense.
        let offsets: Vec<i64> = records.iter().map(|(offset, ..)| *offset).collect();
        assert_eq!(
            offsets,
            (log_start..high).collect::<Vec<_>>(),
            "{lane:?} has a gap"
        );
        let mut places = BTreeMap::new();
        let mut last_of_sender: BTreeMap<u64, u64> = BTreeMap::new();
        for (offset, number, _) in records {
            // Invariant 3: once.
            let twice = places.insert(*number, *offset);
            assert_eq!(twice, None, "record {number} stands twice in {lane:?}");
            let sent = &self.sent[number];
            assert_eq!(
                sent.lane, lane,
                "record {number} stands in the wrong partition"
            );
            assert_ne!(
                sent.fate,
                Fate::Refused,
                "record {number} was refused and is stored"
            );
            // Invariant 4: in its sender's order.
            if let Some(sender) = sent.sender
                && let Some(before) = last_of_sender.insert(sender, *number)
            {
                assert!(
                    before < *number,
                    "record {number} of sender {sender} stands behind {before}"
                );
            }
        }
        // Invariant 1: what was acked is there.
        for (number, sent) in self.sent.iter().filter(|(_, sent)| sent.lane == lane) {
            if let Fate::Acked(offset) = sent.fate
                && offset >= log_start
            {
                assert_eq!(
                    places.get(number),
                    Some(&offset),
                    "acked record {number} of {lane:?}"
                );
            }
        }
        let mut claimed = BTreeMap::new();
        for (_, number, timestamp_ms) in records {
            if let Some(claim) = self.sent[number].claim {
                let before = claimed.insert(claim, *timestamp_ms);
                let over = before.is_none_or(|before| *timestamp_ms >= before + window_ms(claim));
                assert!(over, "claim {claim} was stored twice");
            }
        }
    }

    /// Checks which topics there are.
    pub(super) fn check_topics(&self, found: &BTreeSet<[u8; 16]>) {
        for id in &self.created {
            let there = found.contains(id) || self.deleting.contains(id);
            assert!(there, "acked topic {id:?} is gone");
        }
    }

    /// Invariant 15: a topic has at least the partitions that it ever had, and the settings of the last
    /// acked change or of one that was asked for after it.
    pub(super) fn check_topic(&mut self, id: [u8; 16], name: &str, partitions: usize, change: u64) {
        let known = self.partitions.entry(id).or_insert(partitions);
        assert!(
            partitions >= *known,
            "`{name}` had {known} partitions and has {partitions}"
        );
        *known = partitions;
        let acked = self.changed.get(&id).copied().unwrap_or(0);
        let asked = self.changes.get(&change).is_some_and(|asked| asked == name);
        assert!(
            change == acked || change > acked && asked,
            "`{name}` has change {change}; {acked} was acked"
        );
    }

    /// Invariant 9: a committed offset is one that somebody committed, never an older one.
    pub(super) fn check_commit(&self, group: u64, found: Option<i64>) {
        let Some((acked, later)) = self.committed.get(&group) else {
            return;
        };
        let found = found.unwrap_or(-1);
        let fine = found == *acked || later.contains(&found);
        assert!(
            fine,
            "group {group} has committed {found}; {acked} was acked"
        );
    }
}
