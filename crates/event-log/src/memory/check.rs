//! What [`super::MemoryLog`] refuses: the bounds of names, settings, claims and commits.

use std::time::Duration;

use crate::{Bounds, Claim, LogError, Offset, TopicConfig};

/// More than this in one topic is a slip of the pen.
const MAX_PARTITIONS: i32 = 10_000;
/// Kafka's own default of `retention.ms`, a week.
const DEFAULT_RETENTION_MS: i64 = 604_800_000;
/// Kafka's own default of `max.message.bytes`.
const DEFAULT_MAX_MESSAGE_BYTES: usize = 1_048_588;
/// See [`Claim::identity`].
const MAX_IDENTITY_BYTES: usize = 64 * 1024;
/// See [`Log::commit`].
const MAX_GROUP_BYTES: usize = 1024;
/// See [`Claim::window`].
const MAX_WINDOW: Duration = Duration::from_hours(400 * 24);

pub(super) fn check_claim(claim: &Claim) -> Result<(), LogError> {
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

pub(super) fn check_name(name: &str) -> Result<(), LogError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let well_formed =
        (1..=249).contains(&name.len()) && name != "." && name != ".." && name.bytes().all(allowed);
    if well_formed {
        Ok(())
    } else {
        Err(LogError::Invalid(format!(
            "topic name `{}`",
            name.escape_debug()
        )))
    }
}

/// Returns the number of partitions, if a topic that has at least `least` may have so many.
pub(super) fn check_partitions(least: i32, partitions: i32) -> Result<usize, LogError> {
    usize::try_from(partitions)
        .ok()
        .filter(|_| (least..=MAX_PARTITIONS).contains(&partitions))
        .ok_or_else(|| {
            LogError::Invalid(format!(
                "`{partitions}` partitions, outside `{least}..={MAX_PARTITIONS}`"
            ))
        })
}

/// Returns the limit of a record's size.
pub(super) fn check_config(config: &TopicConfig) -> Result<usize, LogError> {
    let mut max_message_bytes = DEFAULT_MAX_MESSAGE_BYTES;
    for (name, value) in config {
        let valid = match name.as_str() {
            "max.message.bytes" => match value.parse::<u32>() {
                Ok(limit) => {
                    max_message_bytes = usize::try_from(limit).unwrap_or(usize::MAX);
                    limit <= i32::MAX.unsigned_abs()
                }
                Err(_) => false,
            },
            "retention.ms" | "retention.bytes" => value.parse::<i64>().is_ok_and(|n| n >= -1),
            // Compaction does not exist yet, so it is not promised.
            "cleanup.policy" => value == "delete",
            _ => {
                return Err(LogError::Invalid(format!(
                    "topic setting `{name}` is not known"
                )));
            }
        };
        if !valid {
            return Err(LogError::Invalid(format!(
                "topic setting `{name}` cannot be `{value}`"
            )));
        }
    }
    Ok(max_message_bytes)
}

pub(super) fn check_commit(group: &str, offset: Offset) -> Result<(), LogError> {
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

/// What is refused above, told.
pub(super) fn bounds() -> Bounds {
    let setting = |name: &str, value: String| (name.to_owned(), value);
    Bounds {
        defaults: TopicConfig::from([
            setting("retention.ms", DEFAULT_RETENTION_MS.to_string()),
            setting("retention.bytes", "-1".to_owned()),
            setting("max.message.bytes", DEFAULT_MAX_MESSAGE_BYTES.to_string()),
        ]),
        max_message_bytes: u64::from(i32::MAX.unsigned_abs()),
        partitions_a_topic: MAX_PARTITIONS,
        partitions_together: i64::MAX,
    }
}
