//! What objects hold of the log: a checkpoint, and the objects that came after it.
//!
//! Two checkpoints are kept, and all that either needs. So one that cannot be read is passed over:
//! the one before it, and the objects since then, come to the same state. That they do is checked:
//! records are dense, and objects must reach as far as the checkpoint did that is passed over.

use super::BootError;
use super::fold::Fold;
use crate::object::checkpoint::{self, CheckpointRef};
use crate::object::manifest::Manifest;
use crate::object::{Key, ObjectError, Objects, l0};
use crate::sequencer::CheckpointImage;
use crate::state::claims::Runs;
use crate::state::{Later, State};
use crate::wal;

/// The log as far as objects hold it.
#[derive(Default)]
pub(super) struct Base {
    pub(super) fold: Fold,
    pub(super) runs: Runs,
    pub(super) shipped: wal::Shipped,
    /// The next object of the dense log.
    pub(super) next_seq: u64,
    pub(super) checkpoint_group: u64,
    pub(super) checkpoint_lsn: u64,
    /// Objects read after the checkpoint.
    pub(super) objects: u64,
    /// The newest checkpoint was passed over.
    pub(super) discarded: bool,
}

/// Reads what objects hold, from the newest checkpoint on or, if that cannot be read, from the one
/// before it.
///
/// # Errors
/// Damaged or missing objects, or no answer from the store.
pub(super) async fn read(
    objects: &Objects,
    manifest: Option<&Manifest>,
    cluster_id: [u8; 16],
    now_ms: i64,
) -> Result<Base, BootError> {
    let newest = manifest.and_then(|manifest| manifest.checkpoint.as_ref());
    let Some(newest) = newest else {
        return Base::of(objects, None, now_ms)
            .await?
            .replay(objects, cluster_id)
            .await;
    };
    let damage = match Base::of(objects, Some(newest), now_ms).await {
        Ok(base) => return base.replay(objects, cluster_id).await,
        Err(damage @ (ObjectError::Corrupt { .. } | ObjectError::NotFound { .. })) => damage,
        Err(error) => return Err(error.into()),
    };
    let older = manifest.and_then(|manifest| manifest.previous.as_ref());
    let named = older.map_or("the first object".to_owned(), |older| {
        format!("the one before it (record {})", older.lsn)
    });
    tracing::error!(
        checkpoint.lsn = newest.lsn,
        %damage,
        "the newest checkpoint cannot be read: recovering from {named} instead"
    );
    match before(objects, older, newest, cluster_id, now_ms).await {
        Ok(base) => Ok(base),
        Err(BootError::Object(error @ ObjectError::Unavailable { .. })) => Err(error.into()),
        Err(source) => Err(BootError::Checkpoints {
            newest: newest.lsn,
            damage,
            older: named,
            source: Box::new(source),
        }),
    }
}

async fn before(
    objects: &Objects,
    older: Option<&CheckpointRef>,
    newest: &CheckpointRef,
    cluster_id: [u8; 16],
    now_ms: i64,
) -> Result<Base, BootError> {
    let base = Base::of(objects, older, now_ms).await?;
    let mut base = base.replay(objects, cluster_id).await?;
    // A missing object in the middle looks like the end. The write-ahead log may have forgotten what
    // the newest checkpoint covered, so objects alone must come as far.
    let (found, expected) = (base.fold.state.last_lsn, newest.lsn);
    if found < expected {
        return Err(BootError::ObjectsEnd { found, expected });
    }
    base.discarded = true;
    Ok(base)
}

impl Base {
    async fn of(
        objects: &Objects,
        checkpoint: Option<&CheckpointRef>,
        now_ms: i64,
    ) -> Result<Self, ObjectError> {
        let mut base = Self {
            next_seq: 1,
            ..Self::default()
        };
        base.fold.now_ms = now_ms;
        if let Some(checkpoint) = checkpoint {
            let (mut image, later): (CheckpointImage, Later) =
                checkpoint::load(objects, checkpoint).await?;
            image.state.later = later;
            base.runs = Runs::open(objects, &image.runs).await?;
            base.fold.state = State::from_image(image.state);
            base.fold.extents = image.extents;
            base.shipped = wal::Shipped {
                last_group: image.last_group,
                last_lsn: image.last_lsn,
            };
            base.next_seq = image.next_seq;
            base.checkpoint_group = image.last_group;
            base.checkpoint_lsn = image.last_lsn;
        }
        Ok(base)
    }

    /// Folds the objects that came after the checkpoint.
    async fn replay(mut self, objects: &Objects, cluster_id: [u8; 16]) -> Result<Self, BootError> {
        loop {
            let key = Key::Log(self.next_seq);
            let tail = match l0::read_tail(objects, key).await {
                Ok(tail) => tail,
                Err(ObjectError::NotFound { .. }) => return Ok(self),
                Err(error) => return Err(error.into()),
            };
            if tail.head.cluster_id != cluster_id {
                return Err(BootError::ForeignObject { key });
            }
            self.fold
                .object(self.next_seq, &tail)
                .map_err(|source| BootError::Replay { key, source })?;
            self.shipped = wal::Shipped {
                last_group: tail.head.last_group,
                last_lsn: tail.head.last_lsn,
            };
            self.next_seq += 1;
            self.objects += 1;
        }
    }
}
