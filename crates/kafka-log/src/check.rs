//! What this log refuses by itself, before a cluster is asked, and which topics are the product's own. Pure.

use std::time::Duration;

use tidegate_event_log::{Claim, LogError, Offset, Record};

/// More than this in one topic is a slip of the pen; a cluster has no limit of its own.
pub(crate) const MAX_PARTITIONS: i32 = 1_000;
/// Of `Claim::identity`.
const MAX_IDENTITY_BYTES: usize = 64 * 1024;
/// Of a group's name, see `Log::commit`.
const MAX_GROUP_BYTES: usize = 1024;
/// Of `Claim::window`.
const MAX_WINDOW: Duration = Duration::from_hours(400 * 24);
/// A batch of one record has a header of 61 bytes; length, attributes, deltas and counts of the record take the rest.
const FRAMING_BYTES: usize = 61 + 21;
/// Two lengths of a header.
const HEADER_FRAMING_BYTES: usize = 10;

/// Says whether the product, or Kafka itself, keeps its state in a topic of that name.
pub(crate) fn is_internal(name: &str) -> bool {
    name == "_schemas" || name.starts_with("_tidegate.") || name.starts_with("__")
}

pub(crate) fn check_name(name: &str) -> Result<(), LogError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let well_formed =
        (1..=249).contains(&name.len()) && name != "." && name != ".." && name.bytes().all(allowed);
    if well_formed {
        Ok(())
    } else {
        let name = name.escape_debug();
        Err(LogError::Invalid(format!("topic name `{name}`")))
    }
}

/// Says whether a topic that has at least `least` partitions may have so many.
pub(crate) fn check_partitions(least: i32, partitions: i32) -> Result<(), LogError> {
    if (least..=MAX_PARTITIONS).contains(&partitions) {
        return Ok(());
    }
    Err(LogError::Invalid(format!(
        "`{partitions}` partitions, outside `{least}..={MAX_PARTITIONS}`"
    )))
}

pub(crate) fn check_claim(claim: &Claim) -> Result<(), LogError> {
    let length = claim.identity.len();
    if length == 0 || length > MAX_IDENTITY_BYTES {
        return Err(LogError::Invalid(format!(
            "a claim's identity has `{length}` bytes, outside `1..={MAX_IDENTITY_BYTES}`"
        )));
    }
    if claim.window > MAX_WINDOW {
        return Err(LogError::Invalid(
            "a claim's window is above 400 days".to_owned(),
        ));
    }
    Ok(())
}

pub(crate) fn check_commit(group: &str, offset: Offset) -> Result<(), LogError> {
    let length = group.len();
    if !(1..=MAX_GROUP_BYTES).contains(&length) {
        return Err(LogError::Invalid(format!(
            "a group's name has `{length}` bytes, outside `1..={MAX_GROUP_BYTES}`"
        )));
    }
    if offset < 0 {
        return Err(LogError::Invalid(format!("offset `{offset}` is below 0")));
    }
    Ok(())
}

/// Looks at a record as librdkafka and the topic will: names of headers, and the size in a batch of its own.
pub(crate) fn check_record(record: &Record, limit: usize, topic: &str) -> Result<(), LogError> {
    for header in &record.headers {
        if header.name.contains(&0) || std::str::from_utf8(&header.name).is_err() {
            let name = header.name.escape_ascii();
            return Err(LogError::Invalid(format!("header name `{name}`")));
        }
    }
    let bytes = batch_bytes(record);
    if bytes > limit {
        return Err(LogError::Invalid(format!(
            "a record of {bytes} bytes is larger than `max.message.bytes={limit}` of `{topic}`"
        )));
    }
    Ok(())
}

/// The most bytes of a record in a batch of its own.
pub(crate) fn batch_bytes(record: &Record) -> usize {
    record.size_bytes() + FRAMING_BYTES + record.headers.len() * HEADER_FRAMING_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_topics_are_known_by_name() {
        for (name, expected) in [
            ("_schemas", true),
            ("_tidegate.contracts", true),
            ("__consumer_offsets", true),
            ("_tidegate", false),
            ("_schemas.more", false),
            ("orders", false),
        ] {
            assert_eq!(is_internal(name), expected, "{name}");
        }
    }
}
