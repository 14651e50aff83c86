//! What replicas tell each other, in a compacted topic: a name and a text. Every replica folds it into a table.
//!
//! `topic/NAME` is the id of a topic that was made through a log: Kafka's client does not tell its own. Stored format,
//! stable.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;
use tidegate_event_log::{LogError, Offset, Record, TopicConfig, TopicSpec};

use crate::marks::Marks;
use crate::reading::Readers;
use crate::straight::{Prepared, Straight};
use crate::topics::Topics;

pub(crate) const TOPIC: &str = "_tidegate.cluster";
const PARTITION: i32 = 0;
const READ_BYTES: usize = 1024 * 1024;
/// An entry is a line; see `max.message.bytes` of Kafka's own default.
const LIMIT: usize = 1_048_588;

pub(crate) struct Bulletin {
    topic: Arc<str>,
    straight: Arc<Straight>,
    marks: Arc<Marks>,
    readers: Arc<Readers>,
    table: RwLock<BTreeMap<String, String>>,
    /// Where to read on.
    position: tokio::sync::Mutex<Offset>,
}

/// The name under which the id of a topic stands.
pub(crate) fn topic_entry(name: &str) -> String {
    format!("topic/{name}")
}

impl Bulletin {
    /// Makes the topic, if nobody has, and reads it.
    pub(crate) async fn open(
        topics: &Topics,
        straight: Arc<Straight>,
        marks: Arc<Marks>,
        readers: Arc<Readers>,
    ) -> Result<Self, LogError> {
        let compacted = ("cleanup.policy".to_owned(), "compact".to_owned());
        ensure(topics, TOPIC, 1, TopicConfig::from([compacted])).await?;
        let bulletin = Self {
            topic: TOPIC.into(),
            straight,
            marks,
            readers,
            table: RwLock::default(),
            position: tokio::sync::Mutex::new(0),
        };
        bulletin.read_on().await?;
        Ok(bulletin)
    }

    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.table.read().get(name).cloned()
    }

    /// Returns what stands behind a beginning of names.
    pub(crate) fn under(&self, beginning: &str) -> Vec<String> {
        let table = self.table.read();
        let from = table.range(beginning.to_owned()..);
        let found = from.map_while(|(name, _)| name.strip_prefix(beginning));
        found.map(str::to_owned).collect()
    }

    /// Folds all that was told by now.
    pub(crate) async fn read_on(&self) -> Result<(), LogError> {
        let mut position = self.position.lock().await;
        loop {
            let now = self.marks.of(TOPIC, PARTITION).await?;
            let from = (*position).max(now.log_start);
            let read = self
                .readers
                .read(TOPIC, PARTITION, from, READ_BYTES, now)
                .await?;
            let mut table = self.table.write();
            for stored in read.records {
                let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).ok();
                let Some(name) = stored.record.key.as_ref().and_then(text) else {
                    continue;
                };
                match stored.record.value.as_ref().and_then(text) {
                    Some(told) => table.insert(name, told),
                    None => table.remove(&name),
                };
            }
            *position = read.next;
            if read.next >= read.high_watermark {
                return Ok(());
            }
        }
    }

    /// Tells all replicas; `None` takes back.
    pub(crate) async fn tell(&self, name: &str, told: Option<&str>) -> Result<(), LogError> {
        let record = Record {
            key: Some(Bytes::copy_from_slice(name.as_bytes())),
            value: told.map(|told| Bytes::copy_from_slice(told.as_bytes())),
            headers: Vec::new(),
        };
        let prepared = Prepared {
            topic: Arc::clone(&self.topic),
            partition: PARTITION,
            limit: LIMIT,
            record,
        };
        let sent = self.straight.send(vec![&prepared]).into_iter().next();
        let place = sent.expect("one was sent").place().await?;
        self.marks.answered(&self.topic, place);
        Ok(())
    }
}

/// Makes one of the log's own topics, if nobody has.
pub(crate) async fn ensure(
    topics: &Topics,
    name: &str,
    partitions: i32,
    config: TopicConfig,
) -> Result<(), LogError> {
    if topics.view().await?.topics.contains_key(name) {
        return Ok(());
    }
    let spec = TopicSpec {
        name: name.to_owned(),
        partitions: Some(partitions),
        config,
    };
    match topics.create(&spec).await {
        Ok(_) | Err(LogError::Conflict(_)) => Ok(()),
        Err(error) => Err(error),
    }
}
