//! Keeps the order of a call whose records go different ways. Records of a partition that go out here keep their order
//! by themselves; what goes to a peer, or another way than its forerunner, waits until that is answered. Pure.

use std::collections::HashMap;
use std::sync::Arc;

/// A partition of a topic.
pub(crate) type Lane = (Arc<str>, i32);

/// How a record goes into the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    /// Without a claim.
    Straight,
    /// In a transaction of this replica.
    Here,
    /// In one of another replica, by a request of its own.
    Peer,
}

/// Records that may be under way at the same time.
#[derive(Default)]
pub(crate) struct Stage(HashMap<Lane, Way>);

impl Stage {
    /// Takes a record into the stage; if it has to wait for that, it begins the next one.
    pub(crate) fn takes(&mut self, lane: Lane, way: Way) -> bool {
        let before = self.0.get(&lane);
        let fits = before.is_none_or(|before| *before == way && way != Way::Peer);
        if !fits {
            self.0.clear();
        }
        self.0.insert(lane, way);
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_waits_for_one_of_its_partition_that_goes_another_way() {
        use Way::{Here, Peer, Straight};
        let mut stage = Stage::default();
        for (at, (partition, way, expected)) in [
            (0, Straight, true),
            (0, Straight, true),
            (1, Here, true),
            (2, Peer, true),
            (1, Here, true),
            (1, Straight, false),
            // Another stage: what was in the one before is answered.
            (2, Peer, true),
            (2, Peer, false),
            (0, Here, true),
            (0, Peer, false),
        ]
        .into_iter()
        .enumerate()
        {
            let taken = stage.takes(("t".into(), partition), way);
            assert_eq!(taken, expected, "step {at}");
        }
    }
}
