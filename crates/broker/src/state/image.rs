//! The state as checkpoints store it, and how it gets there without stopping the sequencer.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::producers::{Producer, Producers};
use super::{Committed, CommittedGroup, State, TimeMark, Topic};

/// The state at one record, shared with the one that goes on.
#[derive(Clone, Debug)]
pub struct Snapshot {
    cluster_id: [u8; 16],
    claim_secret: [u8; 16],
    epoch: u32,
    pub last_lsn: u64,
    log_time_ms: i64,
    marks: Vec<TimeMark>,
    next_topic: u32,
    next_producer_id: i64,
    topics: BTreeMap<u32, Arc<Topic>>,
    producers: Producers,
    groups: BTreeMap<String, Arc<CommittedGroup>>,
}

impl Snapshot {
    /// The snapshot as plain data. Takes a while: not for a thread others wait on.
    pub fn image(&self) -> Image {
        Image {
            cluster_id: self.cluster_id,
            claim_secret: self.claim_secret,
            epoch: self.epoch,
            last_lsn: self.last_lsn,
            log_time_ms: self.log_time_ms,
            next_topic: self.next_topic,
            next_producer_id: self.next_producer_id,
            topics: self
                .topics
                .values()
                .map(|topic| Topic::clone(topic))
                .collect(),
            producers: self.producers.image(),
            groups: self
                .groups
                .iter()
                .map(|(k, v)| (k.clone(), (**v).clone()))
                .collect(),
            later: Later {
                marks: self.marks.clone(),
                empty_groups: self.empty_groups(),
            },
        }
    }

    fn empty_groups(&self) -> Vec<(String, i64)> {
        let groups = self.groups.iter();
        groups
            .filter_map(|(name, group)| Some((name.clone(), group.empty_since_ms?)))
            .collect()
    }
}

impl State {
    /// The state as it stands, for a copy that costs the sequencer little: what is large is shared, and
    /// copied piece by piece when it changes.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            cluster_id: self.cluster_id,
            claim_secret: self.claim_secret,
            epoch: self.epoch,
            last_lsn: self.last_lsn,
            log_time_ms: self.log_time_ms,
            marks: self.marks.iter().copied().collect(),
            next_topic: self.next_topic,
            next_producer_id: self.next_producer_id,
            topics: self.topics.clone(),
            producers: self.producers.clone(),
            groups: self.groups.clone(),
        }
    }

    /// The state as plain data, equal for equal logs.
    pub fn image(&self) -> Image {
        self.snapshot().image()
    }

    /// The inverse of [`State::image`].
    pub fn from_image(mut image: Image) -> Self {
        let mut empty: HashMap<String, i64> = image.later.empty_groups.into_iter().collect();
        let mut groups_bytes = 0;
        for (name, group) in &mut image.groups {
            group.empty_since_ms = empty.remove(name);
            let offsets = group.offsets.values().map(Committed::memory_bytes);
            groups_bytes += CommittedGroup::memory_bytes(name) + offsets.sum::<u64>();
        }
        Self {
            groups_bytes,
            cluster_id: image.cluster_id,
            claim_secret: image.claim_secret,
            epoch: image.epoch,
            last_lsn: image.last_lsn,
            log_time_ms: image.log_time_ms,
            marks: image.later.marks.into(),
            next_topic: image.next_topic,
            next_producer_id: image.next_producer_id,
            names: image
                .topics
                .iter()
                .map(|topic| (topic.name.clone(), topic.number))
                .collect(),
            topics: image
                .topics
                .into_iter()
                .map(|topic| (topic.number, Arc::new(topic)))
                .collect(),
            producers: Producers::from_image(image.producers),
            groups: image
                .groups
                .into_iter()
                .map(|(k, v)| (k, Arc::new(v)))
                .collect(),
        }
    }
}

/// [`State`] as checkpoints store it. Stored format, stable: postcard, fields in this order.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Image {
    cluster_id: [u8; 16],
    claim_secret: [u8; 16],
    epoch: u32,
    last_lsn: u64,
    log_time_ms: i64,
    next_topic: u32,
    next_producer_id: i64,
    topics: Vec<Topic>,
    producers: Vec<((i64, u32, u32), Producer)>,
    groups: Vec<(String, CommittedGroup)>,
    /// Stored behind the whole image.
    #[serde(skip)]
    pub later: Later,
}

/// What versions after the first added to [`Image`]. Stored format, stable: postcard, fields in this
/// order, new ones at the end.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Later {
    marks: Vec<TimeMark>,
    /// Groups without members, and since when.
    empty_groups: Vec<(String, i64)>,
}
