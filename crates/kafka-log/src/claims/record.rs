//! A claim as it is kept: the key is a keyed hash of its identity, the value what a repeat is told. Stored format,
//! stable.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidegate_event_log::{Claim, Fingerprint, Place, Record, StoredRecord};

const VERSION: u8 = 1;
/// Version, fingerprint, id of the topic, partition, offset, timestamp, end.
const FIXED_BYTES: usize = 1 + 16 + 16 + 4 + 8 + 8 + 8;

/// A keyed 128-bit hash of a claim's identity.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Key(pub(crate) [u8; 16]);

/// A claim and the place of its record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Held {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) topic: Arc<str>,
    pub(crate) topic_id: [u8; 16],
    pub(crate) place: Place,
    /// In log time.
    pub(crate) ends_ms: i64,
}

impl Key {
    /// Hashes an identity under a key that belongs to the cluster, so that every replica gets the same.
    pub(crate) fn of(secret: &[u8; 32], claim: &Claim) -> Self {
        let mut key = [0; 16];
        let mut hash = blake3::Hasher::new_keyed(secret);
        hash.update(&claim.identity);
        hash.finalize_xof().fill(&mut key);
        Self(key)
    }

    /// Chooses the partition of the claims topic that keeps it.
    pub(crate) fn partition(self, partitions: i32) -> i32 {
        let [a, b, c, d, ..] = self.0;
        let count = partitions.max(1).cast_unsigned();
        (u32::from_be_bytes([a, b, c, d]) % count).cast_signed()
    }
}

impl Held {
    /// The end of a window that begins with a record.
    pub(crate) fn end(timestamp_ms: i64, window: Duration) -> i64 {
        let window_ms = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
        timestamp_ms.saturating_add(window_ms)
    }

    pub(crate) fn record(&self, key: Key) -> Record {
        let mut value = Vec::with_capacity(FIXED_BYTES + self.topic.len());
        value.push(VERSION);
        value.extend_from_slice(&self.fingerprint.0);
        value.extend_from_slice(&self.topic_id);
        value.extend_from_slice(&self.place.partition.to_be_bytes());
        value.extend_from_slice(&self.place.offset.to_be_bytes());
        value.extend_from_slice(&self.place.timestamp_ms.to_be_bytes());
        value.extend_from_slice(&self.ends_ms.to_be_bytes());
        value.extend_from_slice(self.topic.as_bytes());
        Record {
            key: Some(Bytes::copy_from_slice(&key.0)),
            value: Some(Bytes::from(value)),
            headers: Vec::new(),
        }
    }

    /// Reads a record back; `None` if it is not one of ours.
    pub(crate) fn parse(stored: &StoredRecord) -> Option<(Key, Self)> {
        let key = Key(stored.record.key.as_deref()?.try_into().ok()?);
        let mut rest = stored.record.value.as_deref()?;
        let [version] = take(&mut rest)?;
        if version != VERSION {
            return None;
        }
        let fingerprint = Fingerprint(take(&mut rest)?);
        let topic_id = take(&mut rest)?;
        let place = Place {
            partition: i32::from_be_bytes(take(&mut rest)?),
            offset: i64::from_be_bytes(take(&mut rest)?),
            timestamp_ms: i64::from_be_bytes(take(&mut rest)?),
        };
        let held = Self {
            fingerprint,
            topic_id,
            place,
            ends_ms: i64::from_be_bytes(take(&mut rest)?),
            topic: std::str::from_utf8(rest).ok()?.into(),
        };
        Some((key, held))
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held() -> Held {
        Held {
            fingerprint: Fingerprint([2; 16]),
            topic: "orders".into(),
            topic_id: [3; 16],
            place: Place {
                partition: 4,
                offset: 5,
                timestamp_ms: 6,
            },
            ends_ms: 7,
        }
    }

    #[test]
    fn the_stored_format_stays() {
        let record = held().record(Key([1; 16]));
        assert_eq!(record.key.as_deref(), Some(&[1; 16][..]));
        let mut expected = vec![1];
        expected.extend([2; 16]);
        expected.extend([3; 16]);
        expected.extend([0, 0, 0, 4]);
        for number in [5, 6, 7] {
            expected.extend([0, 0, 0, 0, 0, 0, 0, number]);
        }
        expected.extend(b"orders");
        assert_eq!(record.value.as_deref(), Some(&expected[..]));
    }

    #[test]
    fn a_record_is_read_back_and_any_other_is_not() {
        let stored = |record| StoredRecord {
            offset: 0,
            timestamp_ms: 0,
            record,
        };
        let record = held().record(Key([1; 16]));
        assert_eq!(
            Held::parse(&stored(record.clone())),
            Some((Key([1; 16]), held()))
        );
        let value = record.value.clone().unwrap();
        for cut in 0..FIXED_BYTES {
            let value = Some(value.slice(..cut));
            let record = Record {
                value,
                ..record.clone()
            };
            assert_eq!(Held::parse(&stored(record)), None, "cut at {cut}");
        }
    }
}
