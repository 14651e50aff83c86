//! Offsets of consumer groups. librdkafka wants a client a group, so the ones used last are kept.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset as At, TopicPartitionList};
use tidegate_event_log::{LogError, Offset};

use crate::cluster::{Client, Cluster};
use crate::error;

/// Clients at most; a group that is asked for again after so many others costs a new one.
const CLIENTS: usize = 16;
/// This log's own group; see `claims`.
pub(crate) const CLAIMS: &str = "_tidegate.claims";

pub(crate) struct Groups {
    cluster: Arc<Cluster>,
    /// The one used last at the back.
    clients: Mutex<VecDeque<(String, Arc<Client>)>>,
}

impl Groups {
    pub(crate) fn new(cluster: Arc<Cluster>) -> Self {
        Self {
            cluster,
            clients: Mutex::default(),
        }
    }

    fn client(&self, group: &str) -> Result<Arc<Client>, LogError> {
        let mut clients = self.clients.lock();
        let found = clients.iter().position(|(name, _)| name == group);
        let entry = match found.and_then(|index| clients.remove(index)) {
            Some(entry) => entry,
            None => {
                let client = self.cluster.reader(&[("group.id", group)]);
                let client = client.map_err(|error| error::question(&error, group))?;
                (group.to_owned(), Arc::new(client))
            }
        };
        let client = Arc::clone(&entry.1);
        clients.push_back(entry);
        if clients.len() > CLIENTS {
            clients.pop_front();
        }
        Ok(client)
    }

    /// Returns the offsets of a group in a topic of so many partitions. Blocks.
    pub(crate) fn committed(
        &self,
        group: &str,
        topic: &str,
        partitions: i32,
    ) -> Result<Vec<Option<Offset>>, LogError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_range(topic, 0, partitions - 1);
        let client = self.client(group)?;
        let found = client.committed_offsets(list, self.cluster.options.deadline);
        let found = found.map_err(|error| error::question(&error, group))?;
        let mut offsets = vec![None; usize::try_from(partitions).expect("it is positive")];
        for element in found.elements() {
            element
                .error()
                .map_err(|error| error::question(&error, group))?;
            let at = usize::try_from(element.partition()).expect("asked for from 0 on");
            if let At::Offset(offset) = element.offset() {
                offsets[at] = Some(offset);
            }
        }
        Ok(offsets)
    }

    /// Commits an offset. Blocks.
    pub(crate) fn commit(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
        offset: Offset,
    ) -> Result<(), LogError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, At::Offset(offset))
            .map_err(|error| error::question(&error, topic))?;
        let client = self.client(group)?;
        client.commit(&list, CommitMode::Sync).map_err(|error| {
            let has_members = error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownMemberId);
            if has_members {
                let message = format!("group `{group}` has members, which commit by themselves");
                return LogError::Conflict(message);
            }
            error::question(&error, group)
        })
    }

    /// Returns the names of all groups but this log's own. Blocks.
    pub(crate) fn names(&self) -> Result<Vec<String>, LogError> {
        let asked = self.cluster.asked();
        let list = asked.fetch_group_list(None, self.cluster.options.deadline);
        let list = list.map_err(|error: KafkaError| error::question(&error, "groups"))?;
        let there = list.groups().iter();
        let there = there.filter(|group| group.name() != CLAIMS && group.state() != "Dead");
        let mut names: Vec<_> = there.map(|group| group.name().to_owned()).collect();
        names.sort_unstable();
        Ok(names)
    }
}
