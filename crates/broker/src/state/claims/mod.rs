//! Who holds which claim: the memory of «this was accepted already».
//!
//! A claim made a moment ago is in memory, an older one in a sorted run in objects. Each checkpoint
//! moves what is in memory into a run, so recovery reads runs and the claims of the records after
//! it. The sequencer asks memory only; whoever hands it a claim has looked in the runs before, and
//! looks again if a run was added meanwhile ([`Runs::version`]). Claims expire by log time.

mod filter;
mod format;
mod memory;
pub mod merge;
mod run;
mod runs;
#[cfg(test)]
mod tests;
mod write;

use std::hash::{Hash, Hasher};

use bytes::{Buf, BufMut};
use siphasher::sip128::{Hasher128, SipHasher24};

pub use self::memory::{Claims, Frozen};
pub use self::run::{Run, RunRef};
pub use self::runs::Runs;
pub use self::write::RunWriter;

/// What a claim takes, wherever it is: 60 bytes in a block and its share of sums, fences and filter.
pub const ENTRY_BYTES: u64 = 64;

/// The keyed hash of a claim's identity.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ClaimKey(pub [u8; 16]);

impl ClaimKey {
    /// Hashes an identity: SipHash-2-4 of 128 bits, keyed so that nobody outside finds collisions.
    pub fn of(secret: &[u8; 16], identity: &[u8]) -> Self {
        let mut hasher = SipHasher24::new_with_key(secret);
        hasher.write(identity);
        Self(hasher.finish128().as_bytes())
    }

    /// The first eight bytes as a number that sorts as keys do.
    fn prefix(&self) -> u64 {
        u64::from_be_bytes(*self.0.first_chunk().expect("a key has sixteen bytes"))
    }

    /// The last eight bytes: independent of the prefix, since the key is a hash.
    fn suffix(&self) -> u64 {
        u64::from_be_bytes(*self.0.last_chunk().expect("a key has sixteen bytes"))
    }
}

impl Hash for ClaimKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.suffix());
    }
}

/// Who holds a claim, and until when.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Entry {
    pub fingerprint: [u8; 16],
    pub topic: u32,
    pub partition: u32,
    pub offset: i64,
    pub timestamp_ms: i64,
    pub window_s: u32,
}

impl Entry {
    /// The first instant, in log time, at which the claim is free again.
    pub fn expires_ms(&self) -> i64 {
        self.timestamp_ms
            .saturating_add(i64::from(self.window_s) * 1000)
    }

    /// Whether the claim is held at `log_time_ms`.
    pub fn is_held(&self, log_time_ms: i64) -> bool {
        log_time_ms < self.expires_ms()
    }
}

/// A claim as it travels with its record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RecordClaim {
    pub key: ClaimKey,
    pub fingerprint: [u8; 16],
    /// Which record of the batch holds it.
    pub record_index: u32,
    pub window_s: u32,
}

/// The size of a claim beside its record.
const RECORD_CLAIM_BYTES: usize = 40;

/// Appends a claim to those of a batch. Stored format, stable: key [16], fingerprint [16],
/// record index u32, window in seconds u32, little endian.
pub fn encode_in_record(
    into: &mut Vec<u8>,
    key: ClaimKey,
    fingerprint: [u8; 16],
    record_index: u32,
    window_s: u32,
) {
    into.put_slice(&key.0);
    into.put_slice(&fingerprint);
    into.put_u32_le(record_index);
    into.put_u32_le(window_s);
}

/// The inverse of [`encode_in_record`], for all claims of a batch; `None` if they are damaged.
pub fn decode_in_record(bytes: &[u8]) -> Option<impl Iterator<Item = RecordClaim> + '_> {
    let claims = bytes.chunks_exact(RECORD_CLAIM_BYTES);
    claims.remainder().is_empty().then(|| {
        claims.map(|mut claim| {
            let (mut key, mut fingerprint) = ([0; 16], [0; 16]);
            claim.copy_to_slice(&mut key);
            claim.copy_to_slice(&mut fingerprint);
            let (record_index, window_s) = (claim.get_u32_le(), claim.get_u32_le());
            RecordClaim {
                key: ClaimKey(key),
                fingerprint,
                record_index,
                window_s,
            }
        })
    })
}
