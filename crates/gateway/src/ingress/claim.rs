//! What makes two events the same one: names of claims and fingerprints of data.
//!
//! Claims outlive the process, so both forms are stable: a change here would store events twice
//! that were in flight across an upgrade. The test below holds their bytes.

use std::time::Duration;

use bytes::Bytes;
use tidegate_event_log::{Claim, Fingerprint};

const DAY: Duration = Duration::from_hours(24);
/// The log holds no claim longer.
const MAX_WINDOW: Duration = Duration::from_hours(400 * 24);

/// For what a name is claimed; accepted and quarantined events do not meet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scope {
    Accepted,
    Quarantined,
}

/// What the caller says the event is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Identity<'a> {
    /// `Idempotency-Key`, which wins.
    Key(&'a str),
    /// CloudEvents: `source` and `id` together are one event's.
    Event { source: &'a str, id: &'a str },
}

impl<'a> Identity<'a> {
    /// Says what an event is by what its caller gave it; nothing if it gave no name.
    pub(crate) fn of(key: Option<&'a str>, source: &'a str, id: Option<&'a str>) -> Option<Self> {
        let event = id.map(|id| Self::Event { source, id });
        key.map(Self::Key).or(event)
    }
}

/// Makes the claim of an accepted event.
pub(crate) fn accepted(
    tenant: &str,
    contract: &str,
    identity: Identity<'_>,
    fingerprint: Fingerprint,
    window: Duration,
) -> Claim {
    let name = name(Scope::Accepted, tenant, contract, identity);
    Claim {
        identity: Bytes::from(name),
        fingerprint,
        window,
    }
}

/// Makes the claim of a quarantined event. Other data under the same name is kept beside it, so
/// the fingerprint is part of the name.
pub(crate) fn quarantined(
    tenant: &str,
    contract: &str,
    identity: Identity<'_>,
    fingerprint: Fingerprint,
    window: Duration,
) -> Claim {
    let mut name = name(Scope::Quarantined, tenant, contract, identity);
    push(&mut name, &fingerprint.0);
    Claim {
        identity: Bytes::from(name),
        fingerprint,
        window,
    }
}

/// Makes the claim of what is appended for a record of an earlier event type, whatever that is: the
/// place is the whole identity. `kept` is how long the record can be met again, if that ends.
pub(crate) fn bridged(
    contract: &str,
    topic_id: [u8; 16],
    partition: i32,
    offset: i64,
    kept: Option<Duration>,
) -> Claim {
    let mut name = Vec::with_capacity(48 + contract.len());
    name.push(b'b');
    push(&mut name, contract.as_bytes());
    name.extend_from_slice(&topic_id);
    name.extend_from_slice(&partition.to_be_bytes());
    name.extend_from_slice(&offset.to_be_bytes());
    let window = kept.map_or(MAX_WINDOW, |kept| kept.saturating_add(DAY));
    Claim {
        identity: Bytes::from(name),
        // Another map would make other data; it is the same event all the same.
        fingerprint: Fingerprint([0; 16]),
        window: window.clamp(30 * DAY, MAX_WINDOW),
    }
}

/// Joins the parts, each behind its length, so that no two lists of parts give one name.
fn name(scope: Scope, tenant: &str, contract: &str, identity: Identity<'_>) -> Vec<u8> {
    let mut name = Vec::with_capacity(96 + contract.len());
    name.push(match scope {
        Scope::Accepted => b'e',
        Scope::Quarantined => b'q',
    });
    push(&mut name, tenant.as_bytes());
    push(&mut name, contract.as_bytes());
    match identity {
        Identity::Key(key) => {
            name.push(b'k');
            push(&mut name, key.as_bytes());
        }
        Identity::Event { source, id } => {
            name.push(b'i');
            push(&mut name, source.as_bytes());
            push(&mut name, id.as_bytes());
        }
    }
    name
}

fn push(name: &mut Vec<u8>, part: &[u8]) {
    let length = u32::try_from(part.len()).expect("attributes are short and bodies below 4 GiB");
    name.extend_from_slice(&length.to_be_bytes());
    name.extend_from_slice(part);
}

/// Digests type and data: the first 128 bits of BLAKE3.
pub(crate) fn fingerprint(event_type: &str, data: Option<&[u8]>) -> Fingerprint {
    let mut hasher = blake3::Hasher::new();
    let length = u32::try_from(event_type.len()).expect("attributes are short");
    hasher.update(&length.to_be_bytes());
    hasher.update(event_type.as_bytes());
    // No data and empty data are two things.
    hasher.update(&[u8::from(data.is_some())]);
    hasher.update(data.unwrap_or_default());
    let hash = hasher.finalize();
    Fingerprint(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes"))
}

/// Returns eight hex digits that tell one id from another.
pub(crate) fn short_hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex()[..8].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_forms_stay_as_they_are() {
        let print = fingerprint("com.example", Some(b"{}"));
        let expected = [
            30, 121, 177, 64, 149, 72, 143, 155, 219, 106, 76, 69, 151, 60, 78, 113,
        ];
        assert_eq!(print.0, expected);
        let day = Duration::from_hours(24);
        let claim = accepted("default", "orders", Identity::Key("k"), print, day);
        assert_eq!(
            &claim.identity[..],
            b"e\0\0\0\x07default\0\0\0\x06ordersk\0\0\0\x01k"
        );
        let event = Identity::Event {
            source: "/s",
            id: "1",
        };
        let claim = accepted("default", "orders", event, print, day);
        let expected = b"e\0\0\0\x07default\0\0\0\x06ordersi\0\0\0\x02/s\0\0\0\x011";
        assert_eq!(&claim.identity[..], expected);
        assert_eq!(short_hash(b"evt-1"), "a44eeeb6");
        let claim = bridged("orders", [7; 16], 2, 258, Some(day));
        let mut expected = b"b\0\0\0\x06orders".to_vec();
        expected.extend([7; 16]);
        expected.extend(b"\0\0\0\x02\0\0\0\0\0\0\x01\x02");
        assert_eq!(&claim.identity[..], expected);
        assert_eq!(claim.window, 30 * day);
        assert_eq!(bridged("orders", [7; 16], 2, 1, None).window, 400 * day);
    }

    #[test]
    fn names_do_not_run_into_each_other() {
        let name = |source, id| name(Scope::Accepted, "t", "c", Identity::Event { source, id });
        assert_ne!(name("a", "bc"), name("ab", "c"));
        assert_ne!(fingerprint("a", None), fingerprint("a", Some(b"")));
        assert_ne!(fingerprint("a", Some(b"b")), fingerprint("ab", Some(b"")));
    }
}
