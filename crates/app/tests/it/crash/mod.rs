//! Crashes of the real binary: killed at random moments under load, killed after its write-ahead
//! log went round many times, watched from below while it acks, its disk full; replicas and nodes
//! of the Kafka cluster under them killed and stopped while every event is sent five times.
//!
//! What the tests promise is checked by pure functions (`account`, `trace`), which have tests of
//! their own that show them red.

mod account;
mod ack_trace;
mod committed;
mod disk_full;
mod history;
mod kill;
mod once;
mod reader;
mod receipts;
mod repeats;
mod sender;
mod serving;
mod trace;
mod written;

/// A seeded source of choices (SplitMix64): a failure prints the seed, the seed replays it.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Takes the seed from `TIDEGATE_SEED`, or a fresh one, and prints it.
    pub(crate) fn thrown() -> Self {
        let given = std::env::var("TIDEGATE_SEED").ok();
        let seed = given.map_or_else(
            || uuid::Uuid::new_v4().as_u64_pair().0,
            |text| text.parse().expect("TIDEGATE_SEED is a number"),
        );
        eprintln!("TIDEGATE_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// `length` characters that JSON needs no escape for.
    pub(crate) fn letters(&mut self, length: usize) -> String {
        const LETTERS: &[u8; 64] =
            b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _";
        let mut text = String::with_capacity(length + 10);
        while text.len() < length {
            let mut bits = self.next();
            for _ in 0..10 {
                text.push(char::from(LETTERS[(bits & 63) as usize]));
                bits >>= 6;
            }
        }
        text.truncate(length);
        text
    }
}
