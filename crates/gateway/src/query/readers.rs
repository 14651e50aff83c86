//! Who reads what, and how far: the readers in force with what their consumer groups have committed.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Response};
use serde::{Deserialize, Serialize};
use tidegate_contract::Reader;
use tidegate_event_log::{LogError, Topic};

use crate::Gateway;
use crate::answer::{json, parameter, within};
use crate::request::Context;

/// A page of readers asks each partition of each one's topic.
const MAX_READERS: usize = 100;

#[derive(Deserialize)]
pub(super) struct ReadersQuery {
    contract: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct ReaderView<'a> {
    name: &'a str,
    owner: &'a str,
    domain: Option<&'a str>,
    contract: &'a str,
    /// The version in force; absent if there is no such contract.
    version: Option<String>,
    accepts: String,
    group: String,
    via: &'static str,
    priority: &'static str,
    /// Empty means any.
    reads: Vec<String>,
    requires: Vec<&'a str>,
    canary: bool,
    topic: Option<&'a str>,
    /// Whether the log knows the group.
    group_exists: bool,
    /// Absent where nothing was committed.
    #[serde(flatten)]
    progress: Option<Progress>,
}

/// How far a group is in a topic.
#[derive(Default, Serialize)]
struct Progress {
    /// The offset to go on from in each partition, as far as one was committed.
    committed: Vec<Option<i64>>,
    /// Records that are kept and not yet read, over all partitions.
    lag_records: i64,
    /// How old the oldest of them is; 0 if there is none.
    lag_ms: i64,
}

impl Gateway {
    async fn readers_page(&self, query: ReadersQuery) -> Result<serde_json::Value, LogError> {
        let contracts = self.contracts.contracts();
        let after = query.cursor.unwrap_or_default();
        let wanted = |reader: &&Arc<Reader>| {
            let of = query.contract.as_ref();
            reader.name > after && of.is_none_or(|contract| reader.contract == *contract)
        };
        let limit = query.limit.unwrap_or(MAX_READERS).clamp(1, MAX_READERS);
        let mut readers: Vec<_> = contracts.readers().filter(wanted).take(limit + 1).collect();
        let next = (readers.len() > limit).then(|| readers[limit - 1].name.clone());
        readers.truncate(limit);
        let groups: BTreeSet<String> = self.log.groups().await?.into_iter().collect();
        let topics = self.log.topics().await?.into_iter();
        let topics: HashMap<String, Topic> = topics.map(|it| (it.name.clone(), it)).collect();
        let mut views = Vec::with_capacity(readers.len());
        for reader in readers {
            let contract = contracts.by_name(&reader.contract);
            let topic = contract.map(|contract| contract.topic.name.as_str());
            let group = reader.via.group();
            let group_exists = groups.contains(&group);
            let known = topic.and_then(|topic| topics.get(topic));
            let progress = match known.filter(|_| group_exists) {
                Some(topic) => self.progress(&group, topic).await?,
                None => None,
            };
            views.push(serde_json::json!(ReaderView {
                name: &reader.name,
                owner: &reader.owner,
                domain: reader.domain.as_deref(),
                contract: &reader.contract,
                version: contract.map(|contract| contract.version.to_string()),
                accepts: reader.accepts.to_string(),
                group,
                via: reader.via.as_str(),
                priority: reader.priority.as_str(),
                reads: reader.reads.iter().map(ToString::to_string).collect(),
                requires: reader.requires.iter().map(|it| it.name.as_str()).collect(),
                canary: reader.canary,
                topic,
                group_exists,
                progress,
            }));
        }
        Ok(serde_json::json!({ "readers": views, "next": next }))
    }

    /// Says how far a group is in a topic; nothing if it never committed there. A partition in which it
    /// committed nothing it has yet to read from its start.
    async fn progress(&self, group: &str, topic: &Topic) -> Result<Option<Progress>, LogError> {
        let committed = match self.log.committed(group, &topic.name).await {
            Ok(committed) => committed,
            // Deleted since it was listed.
            Err(LogError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        if committed.iter().all(Option::is_none) {
            return Ok(None);
        }
        let now = self.clock.now_ms();
        let mut progress = Progress::default();
        for (partition, at) in (0..).zip(&committed) {
            let marks = self.log.watermarks(&topic.name, partition).await?;
            let from = at.unwrap_or(marks.log_start).max(marks.log_start);
            let behind = (marks.high - from).max(0);
            if behind > 0 {
                let oldest = self.log.read(&topic.name, partition, from, 0).await;
                let oldest = oldest.ok().and_then(|read| read.records.into_iter().next());
                let age = oldest.map_or(0, |record| now.saturating_sub(record.timestamp_ms));
                progress.lag_ms = progress.lag_ms.max(age);
            }
            progress.lag_records += behind;
        }
        progress.committed = committed;
        Ok(Some(progress))
    }
}

pub(super) async fn get_readers(
    State(gateway): State<Arc<Gateway>>,
    query: Result<Query<ReadersQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Response<Body> {
    let context = Context::new(&gateway, &headers);
    let read = async {
        let Query(query) = parameter(query)?;
        within(&gateway, &context, gateway.readers_page(query)).await
    };
    json(&context, read.await)
}
