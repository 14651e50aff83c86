//! Where partitions end for this log's readers: at what is committed, and never before what this log has answered.
//!
//! Kafka answers a commit before every node shows it, and an open transaction hides what was appended after it began.
//! Whoever was given a place can read it, so a question waits until the cluster shows it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_event_log::{LogError, Offset, Place, Watermarks};
use tokio::time::{Instant, sleep};

use crate::cluster::{Cluster, blocking};

/// A commit is shown within a few milliseconds.
const PAUSE: Duration = Duration::from_millis(2);

pub(crate) struct Marks {
    cluster: Arc<Cluster>,
    /// Beyond the newest place that was answered, until it was seen to be shown.
    answered: Mutex<HashMap<(Arc<str>, i32), Offset>>,
}

impl Marks {
    pub(crate) fn new(cluster: Arc<Cluster>) -> Self {
        Self {
            cluster,
            answered: Mutex::default(),
        }
    }

    pub(crate) fn answered(&self, topic: &Arc<str>, place: Place) {
        let mut answered = self.answered.lock();
        let key = (Arc::clone(topic), place.partition);
        let beyond = answered.entry(key).or_default();
        *beyond = (*beyond).max(place.offset + 1);
    }

    pub(crate) fn forget(&self, topic: &str) {
        self.answered.lock().retain(|(name, _), _| **name != *topic);
    }

    /// Returns the range of a partition.
    pub(crate) async fn of(&self, topic: &str, partition: i32) -> Result<Watermarks, LogError> {
        let deadline = Instant::now() + self.cluster.options.deadline;
        let key = (Arc::from(topic), partition);
        loop {
            let (cluster, name) = (Arc::clone(&self.cluster), topic.to_owned());
            let marks = blocking(move || cluster.marks(&name, partition)).await?;
            {
                let mut answered = self.answered.lock();
                match answered.get(&key) {
                    Some(beyond) if *beyond > marks.high => {}
                    Some(_) => {
                        answered.remove(&key);
                        return Ok(marks);
                    }
                    None => return Ok(marks),
                }
            }
            if Instant::now() >= deadline {
                let reason = format!("partition {partition} of `{topic}` has an open transaction");
                return Err(LogError::not_stored(reason));
            }
            sleep(PAUSE).await;
        }
    }
}
