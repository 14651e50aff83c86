//! Deletes what nothing refers to: retired objects whose time has come, and what crashes and merges
//! left behind.
//!
//! One job of upkeep runs at a time, none of these beside a checkpoint, and one process writes a
//! cluster's objects: so nothing that is being made is ever seen here but objects of the log, which
//! are above all that is looked at. What a kept checkpoint names stays: recovery may start from either.

use std::collections::BTreeSet;

use super::{Context, Known};
use crate::object::manifest::{self, Manifest};
use crate::object::{Folder, Key, Listed, ObjectError};
use crate::state::claims::Runs;
use crate::state::extents::ObjectName;

/// The most objects that one job deletes, so that a checkpoint does not wait long behind it.
pub const OBJECTS_A_JOB: usize = 64;

/// How old an object that nothing knows must be. Nothing needs the delay; it leaves an operator a
/// day to notice what a bug or a wrong restore would delete.
const ORPHAN_AGE_MS: i64 = 24 * 60 * 60 * 1000;

/// Deletes `due` and, if `known` is given, orphans: objects that neither it nor the manifest in force
/// names. Returns which of `due` are gone.
///
/// # Errors
/// `Unavailable`, once nothing of `due` could be deleted.
pub async fn collect(
    context: &Context<'_>,
    due: &[ObjectName],
    known: Option<&Known>,
) -> Result<Vec<ObjectName>, ObjectError> {
    let mut deleted = Vec::new();
    for name in due {
        match context.objects.delete(Key::from(*name)).await {
            Ok(()) => deleted.push(*name),
            Err(error) if deleted.is_empty() => return Err(error),
            // The rest is still retired, and due again.
            Err(_) => return Ok(deleted),
        }
    }
    if let Some(known) = known {
        delete_orphans(context, known).await?;
    }
    Ok(deleted)
}

async fn delete_orphans(context: &Context<'_>, known: &Known) -> Result<(), ObjectError> {
    for folder in Folder::ALL {
        let listed = context.objects.list(folder).await?;
        let orphans = orphans(
            &listed,
            &known.objects,
            &known.runs,
            context.manifest,
            context.wall_ms,
        );
        for key in orphans.into_iter().take(OBJECTS_A_JOB) {
            tracing::info!(%key, "an object that nothing refers to is deleted");
            context.objects.delete(key).await?;
        }
    }
    Ok(())
}

/// Which of the listed objects nothing refers to.
pub fn orphans(
    listed: &[Listed],
    known: &BTreeSet<ObjectName>,
    runs: &Runs,
    manifest: &Manifest,
    wall_ms: i64,
) -> Vec<Key> {
    let is_orphan = |listed: &&Listed| {
        let old = wall_ms.saturating_sub(listed.modified_ms) >= ORPHAN_AGE_MS;
        match listed.key {
            // Replay may need it though no extent of it is left.
            Key::Log(sequence) => {
                old && sequence < manifest.first_needed_sequence()
                    && !known.contains(&ObjectName::Log(sequence))
            }
            Key::Data(id) => old && !known.contains(&ObjectName::Data(id)),
            Key::Claims(id) => !runs.contains(id) && !manifest.names_run(id),
            Key::Checkpoint { epoch, lsn, .. } => !manifest
                .checkpoints()
                .any(|kept| (kept.epoch, kept.lsn) == (epoch, lsn)),
            Key::Manifest(id) => id.saturating_add(manifest::KEPT) <= manifest.id,
        }
    };
    listed
        .iter()
        .filter(is_orphan)
        .map(|listed| listed.key)
        .collect()
}
