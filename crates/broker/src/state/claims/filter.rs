//! A filter that says «not here» without a read: a split-block Bloom filter.
//!
//! The one of Parquet's format (`BloomFilter.md`): a key sets eight bits of one block of 256, so a
//! question costs one cache line. Ours because its bits are stored, and no crate promises its own;
//! because keys are hashes already; and because it is these few lines.
//!
//! Every new claim is looked up in some thirty runs, so what counts is how many of them say
//! «perhaps» wrongly, each at the price of a read. At 10.5 bits a key that is one in a hundred, a
//! read for every fourth claim; at 16 bits it is one in seven hundred, for 33 MiB more with 50
//! million claims (`examples/claims_scale.rs`).
//!
//! Invariant: a key that was put in is never denied.

use super::ClaimKey;

const BITS_A_KEY: usize = 16;
const WORDS: usize = 8;
const BLOCK_BITS: usize = WORDS * 32;
/// The odd constants of Parquet's format.
const SALT: [u32; WORDS] = [
    0x47b6_137b,
    0x4497_4d91,
    0x8824_ad5b,
    0xa2b7_289d,
    0x7054_95c7,
    0x2df1_424b,
    0x9efc_4947,
    0x5c6b_fb31,
];

/// How many words a filter of so many keys has.
pub(super) fn words_for(keys: usize) -> usize {
    (keys * BITS_A_KEY).div_ceil(BLOCK_BITS) * WORDS
}

/// Puts a key into a filter of [`words_for`] words.
pub(super) fn insert(words: &mut [u32], key: &ClaimKey) {
    let (block, mask) = place(words.len(), key);
    for (word, bit) in words[block..block + WORDS].iter_mut().zip(mask) {
        *word |= bit;
    }
}

/// Whether a key may be in. `false` is certain.
pub(super) fn may_hold(words: &[u32], key: &ClaimKey) -> bool {
    if words.is_empty() {
        return false;
    }
    let (block, mask) = place(words.len(), key);
    words[block..block + WORDS]
        .iter()
        .zip(mask)
        .all(|(word, bit)| word & bit != 0)
}

fn place(words: usize, key: &ClaimKey) -> (usize, [u32; WORDS]) {
    let hash = key.suffix();
    let (high, low) = (hash >> 32, hash & u64::from(u32::MAX));
    let blocks = (words / WORDS) as u64;
    // Spreads 32 bits over the blocks without a division.
    let block = usize::try_from((high * blocks) >> 32).expect("below the number of blocks");
    let low = u32::try_from(low).expect("masked");
    (
        block * WORDS,
        SALT.map(|salt| 1 << (low.wrapping_mul(salt) >> 27)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(range: std::ops::Range<u64>) -> impl Iterator<Item = ClaimKey> {
        range.map(|n| ClaimKey::of(&[1; 16], &n.to_le_bytes()))
    }

    #[test]
    fn a_key_that_was_put_in_is_never_denied_and_few_others_pass() {
        for count in [1, 68, 17_408] {
            let mut words = vec![0; words_for(count)];
            keys(0..count as u64).for_each(|key| insert(&mut words, &key));
            assert!(keys(0..count as u64).all(|key| may_hold(&words, &key)));
            let wrong = keys(1 << 40..(1 << 40) + 100_000).filter(|key| may_hold(&words, key));
            let wrong = wrong.count();
            assert!(wrong < 250, "{wrong} of 100,000 with {count} keys");
        }
        assert!(!may_hold(&[], &ClaimKey([0; 16])));
        assert_eq!(words_for(17_408) * 32, 17_408 * 16);
    }

    #[test]
    fn the_stored_form_is_stable() {
        let mut words = [0; 16];
        insert(&mut words, &ClaimKey([0x9a; 16]));
        // The hash lies in the upper half of all hashes, so in the second of two blocks.
        let second = [
            1 << 12,
            1 << 5,
            1 << 31,
            1 << 30,
            1 << 8,
            1 << 24,
            1 << 6,
            1 << 4,
        ];
        assert_eq!((words[..8] == [0; 8], &words[8..]), (true, &second[..]));
    }
}
