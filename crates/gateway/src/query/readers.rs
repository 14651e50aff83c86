//! Who reads what, and how far: the readers in force with what their consumer groups have committed.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::Response;
use serde::{Deserialize, Serialize};
use tidegate_contract::Reader;
use tidegate_event_log::{LogError, Read, Topic};
use utoipa::{IntoParams, ToSchema};

use super::routes::NothingThere;
use crate::Gateway;
use crate::answer::{parameter, within};
use crate::request::Call;

/// A page of readers asks each partition of each one's topic.
const MAX_READERS: usize = 100;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ReadersQuery {
    /// Of this contract only.
    contract: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// How many at most.
    limit: Option<usize>,
}

/// A reader in force, and how far it is.
#[derive(Serialize, ToSchema)]
#[schema(as = Reader)]
pub(super) struct ReaderView {
    name: String,
    owner: String,
    domain: Option<String>,
    contract: String,
    /// The version in force; absent if there is no such contract.
    version: Option<String>,
    accepts: String,
    group: String,
    via: &'static str,
    priority: &'static str,
    /// Empty means any.
    reads: Vec<String>,
    requires: Vec<String>,
    canary: bool,
    topic: Option<String>,
    /// Whether the log knows the group.
    group_exists: bool,
    /// Absent where nothing was committed.
    #[serde(flatten)]
    progress: Option<Progress>,
}

/// How far a group is in a topic.
#[derive(Default, Serialize, ToSchema)]
struct Progress {
    /// The offset to go on from in each partition, as far as one was committed.
    committed: Vec<Option<i64>>,
    /// Records that are kept and not yet read, over all partitions.
    lag_records: i64,
    /// How old the oldest of them is; 0 if there is none.
    lag_ms: i64,
}

/// Readers by name.
#[derive(Serialize, ToSchema)]
pub(super) struct ReadersPage {
    readers: Vec<ReaderView>,
    /// Where the next page begins; `null` at the end.
    next: Option<String>,
}

impl Gateway {
    async fn readers_page(&self, query: ReadersQuery) -> Result<ReadersPage, LogError> {
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
            views.push(ReaderView {
                name: reader.name.clone(),
                owner: reader.owner.clone(),
                domain: reader.domain.clone(),
                contract: reader.contract.clone(),
                version: contract.map(|contract| contract.version.to_string()),
                accepts: reader.accepts.to_string(),
                group,
                via: reader.via.as_str(),
                priority: reader.priority.as_str(),
                reads: reader.reads.iter().map(ToString::to_string).collect(),
                requires: reader.requires.iter().map(|it| it.name.clone()).collect(),
                canary: reader.canary,
                topic: topic.map(str::to_owned),
                group_exists,
                progress,
            });
        }
        Ok(ReadersPage {
            readers: views,
            next,
        })
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
            let mut behind = (marks.high - from).max(0);
            if behind > 0 {
                let rest = self.log.read(&topic.name, partition, from, 0).await;
                let rest = rest.unwrap_or_else(|_| Read {
                    records: Vec::new(),
                    next: from,
                    high_watermark: marks.high,
                });
                match rest.records.first() {
                    Some(oldest) => {
                        let age = now.saturating_sub(oldest.timestamp_ms);
                        progress.lag_ms = progress.lag_ms.max(age);
                    }
                    // Ends of transactions, on a cluster.
                    None if rest.next >= marks.high => behind = 0,
                    None => {}
                }
            }
            progress.lag_records += behind;
        }
        progress.committed = committed;
        Ok(Some(progress))
    }
}

/// Lists readers with their consumer groups' lag.
#[utoipa::path(
    get,
    path = "/v1/readers",
    tag = "contracts",
    params(ReadersQuery),
    responses((status = 200, body = ReadersPage), NothingThere)
)]
pub(super) async fn get_readers(
    call: Call,
    query: Result<Query<ReadersQuery>, QueryRejection>,
) -> Response<Body> {
    call.answer(async |gateway, context| {
        let Query(query) = parameter(query)?;
        within(context, gateway.readers_page(query)).await
    })
    .await
}
