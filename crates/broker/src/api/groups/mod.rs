//! The APIs of group membership; the rules are in the room `group`.

pub(super) mod describe;
pub(super) mod heartbeat;
pub(super) mod join;
pub(super) mod leave;
pub(super) mod list;
pub(super) mod sync;

use bytes::Bytes;

use crate::wire::{ErrorCode, StrBytes};

/// Ids and names of members and groups; Kafka bounds them by its strings, 32 KiB.
const NAME_LIMIT_BYTES: usize = 1_024;
/// What one member may keep in a group: its metadata, or its assignment.
const MEMBER_LIMIT_BYTES: usize = 1024 * 1024;

/// Copies what a group keeps, so that it does not hold a whole request in memory.
fn keep(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

fn keep_name(name: &Option<StrBytes>) -> Option<String> {
    name.as_ref().map(ToString::to_string)
}

fn check_group(name: &str) -> Result<(), ErrorCode> {
    if name.is_empty() || name.len() > NAME_LIMIT_BYTES {
        return Err(ErrorCode::InvalidGroupId);
    }
    Ok(())
}
