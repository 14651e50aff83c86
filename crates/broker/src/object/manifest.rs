//! The root of everything in objects: which epoch is in force and where the checkpoints are.
//!
//! Manifests are numbered without gaps and create-only; the highest is in force. Each names the last
//! two checkpoints, so the newest manifest alone says what must be kept. Stored format, stable: one
//! line of JSON, then a line `crc32c ` with eight hexadecimal digits over the first line.

use serde::{Deserialize, Serialize};

use super::checkpoint::CheckpointRef;
use super::create::{Body, create};
use super::{Folder, Key, ObjectError, Objects};

/// The newest format this version reads and the one it writes.
const FORMAT: u32 = 1;

/// Far above what a manifest needs: two checkpoints with some fifty runs each.
const MAX_BYTES: u64 = 1024 * 1024;

/// How many manifests are kept.
pub const KEPT: u64 = 2;

/// The state of a cluster's objects.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: u32,
    pub id: u64,
    #[serde(with = "hex")]
    put_id: [u8; 16],
    #[serde(with = "hex")]
    pub cluster_id: [u8; 16],
    pub epoch: u32,
    /// The newest checkpoint; none before the first.
    pub checkpoint: Option<CheckpointRef>,
    /// The one before it.
    pub previous: Option<CheckpointRef>,
}

impl Manifest {
    /// The first manifest of a cluster, with epoch 1.
    pub fn first(cluster_id: [u8; 16], put_id: [u8; 16]) -> Self {
        Self {
            format: FORMAT,
            id: 1,
            put_id,
            cluster_id,
            epoch: 1,
            checkpoint: None,
            previous: None,
        }
    }

    /// The next manifest with the next epoch: creating it is how a process claims the epoch.
    #[must_use]
    pub fn with_next_epoch(&self, put_id: [u8; 16]) -> Self {
        Self {
            id: self.id + 1,
            epoch: self.epoch + 1,
            put_id,
            ..self.clone()
        }
    }

    /// The next manifest with a newer checkpoint.
    #[must_use]
    pub fn with_checkpoint(&self, checkpoint: CheckpointRef, put_id: [u8; 16]) -> Self {
        Self {
            id: self.id + 1,
            put_id,
            previous: self.checkpoint.clone(),
            checkpoint: Some(checkpoint),
            ..self.clone()
        }
    }

    /// The same without its newest checkpoint, which cannot be read: the one before it counts.
    #[must_use]
    pub fn without_newest(&self) -> Self {
        Self {
            checkpoint: self.previous.clone(),
            previous: None,
            ..self.clone()
        }
    }

    /// The kept checkpoints, newest first.
    pub fn checkpoints(&self) -> impl Iterator<Item = &CheckpointRef> {
        self.checkpoint.iter().chain(&self.previous)
    }

    /// Whether a kept checkpoint names this run of claims.
    pub fn names_run(&self, id: u64) -> bool {
        self.checkpoints()
            .any(|checkpoint| checkpoint.runs.contains(&id))
    }

    /// The first object of the log that a kept checkpoint needs for replay.
    pub fn first_needed_sequence(&self) -> u64 {
        let needed = |checkpoint: &CheckpointRef| checkpoint.log_start_seq;
        self.previous
            .as_ref()
            .or(self.checkpoint.as_ref())
            .map_or(0, needed)
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).expect("plain data always encodes");
        bytes.push(b'\n');
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(format!("crc32c {crc:08x}\n").as_bytes());
        bytes
    }

    fn decode(id: u64, bytes: &[u8]) -> Result<Self, &'static str> {
        let end = bytes
            .iter()
            .position(|byte| *byte == b'\n')
            .ok_or("no line")?
            + 1;
        let (line, check) = bytes.split_at(end);
        if check != format!("crc32c {:08x}\n", crc32c::crc32c(line)).as_bytes() {
            return Err("wrong checksum");
        }
        let probe: Format = serde_json::from_slice(line).map_err(|_| "no manifest")?;
        if probe.format != FORMAT {
            return Err("written by a newer version");
        }
        let manifest: Self = serde_json::from_slice(line).map_err(|_| "no manifest")?;
        if manifest.id != id {
            return Err("another manifest's bytes");
        }
        Ok(manifest)
    }
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// Reads a manifest.
///
/// # Errors
/// `NotFound`, `Corrupt`, `Unavailable`.
pub async fn read(objects: &Objects, id: u64) -> Result<Manifest, ObjectError> {
    let key = Key::Manifest(id);
    let bytes = objects.get_all(key, MAX_BYTES).await?;
    Manifest::decode(id, &bytes).map_err(|what| ObjectError::Corrupt { key, what })
}

/// Finds the manifest in force; `None` in an empty store.
///
/// A list may lag, so the ids above the highest listed one are tried too.
///
/// # Errors
/// `Corrupt`, `Unavailable`.
pub async fn latest(objects: &Objects) -> Result<Option<Manifest>, ObjectError> {
    let listed = objects.list(Folder::Manifest).await?;
    let highest = listed.iter().rev().find_map(|listed| match listed.key {
        Key::Manifest(id) => Some(id),
        _ => None,
    });
    let mut found = match highest {
        Some(id) => Some(read(objects, id).await?),
        None => None,
    };
    loop {
        let next = found
            .as_ref()
            .map_or(1, |manifest: &Manifest| manifest.id + 1);
        match read(objects, next).await {
            Ok(manifest) => found = Some(manifest),
            Err(ObjectError::NotFound { .. }) => return Ok(found),
            Err(error) => return Err(error),
        }
    }
}

/// Puts a manifest in force.
///
/// # Errors
/// `Unexpected`: somebody else did so; stop. `Unavailable`: perhaps done; call again with the same.
pub async fn publish(objects: &Objects, manifest: &Manifest) -> Result<(), ObjectError> {
    let bytes = manifest.encode();
    let proof = 0..bytes.len() as u64;
    create(
        objects,
        Key::Manifest(manifest.id),
        &Body::new(vec![bytes.into()], proof),
    )
    .await
}

mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(id: &[u8; 16], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{:032x}", u128::from_be_bytes(*id)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 16], D::Error> {
        let digits = String::deserialize(from)?;
        let id = (digits.len() == 32)
            .then(|| u128::from_str_radix(&digits, 16).ok())
            .flatten();
        Ok(id
            .ok_or_else(|| D::Error::custom("32 hexadecimal digits are needed"))?
            .to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_form_is_stable() {
        let first = Manifest::first([1; 16], [2; 16]);
        let checkpoint = CheckpointRef {
            epoch: 1,
            lsn: 9,
            chunks: 1,
            stored_bytes: 128,
            log_start_seq: 4,
            runs: vec![7],
        };
        let second = first.with_checkpoint(checkpoint, [3; 16]);
        let text = "{\"format\":1,\"id\":2,\
             \"put_id\":\"03030303030303030303030303030303\",\
             \"cluster_id\":\"01010101010101010101010101010101\",\"epoch\":1,\
             \"checkpoint\":{\"epoch\":1,\"lsn\":9,\"chunks\":1,\"stored_bytes\":128,\
             \"log_start_seq\":4,\"runs\":[7]},\"previous\":null}\ncrc32c 939fd933\n";
        let stored = second.encode();
        assert_eq!(String::from_utf8_lossy(&stored), text);
        assert_eq!(Manifest::decode(2, &stored).as_ref(), Ok(&second));
    }

    #[test]
    fn damage_is_found() {
        let stored = Manifest::first([1; 16], [2; 16]).encode();
        for at in 0..stored.len() {
            let mut damaged = stored.clone();
            damaged[at] ^= 1;
            assert!(Manifest::decode(1, &damaged).is_err(), "byte {at}");
            assert!(Manifest::decode(1, &stored[..at]).is_err(), "cut at {at}");
        }
        assert_eq!(
            Manifest::decode(2, &stored),
            Err("another manifest's bytes")
        );
        let mut newer = Manifest::first([1; 16], [2; 16]);
        newer.format = 2;
        assert_eq!(
            Manifest::decode(1, &newer.encode()),
            Err("written by a newer version")
        );
    }
}
