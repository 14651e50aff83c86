//! The addresses of the read models.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tidegate_contract::{Contracts, EventContract};
use tidegate_event_log::{LogError, StoredRecord, Topic, TopicConfig, Watermarks};

use crate::Gateway;
use crate::answer::{Payload, json, parameter, within};
use crate::clock::rfc3339;
use crate::ingress::quarantine;
use crate::ingress::{content_type_of, data_of, receipt::Receipt};
use crate::problem::{Kind, Problem};
use crate::request::Context;

const DEFAULT_PAGE: usize = 50;
const MAX_PAGE: usize = 500;
/// A page of topics asks each partition for its marks.
const MAX_TOPICS: usize = 200;
/// A page of records is bounded by its bytes as well.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

pub(crate) fn router() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/v1/contracts", get(get_contracts))
        .route("/v1/contracts/{name}", get(get_contract))
        // Its other method checks contracts; a contract may have that name all the same.
        .route("/v1/contracts/check", get(get_contract_called_check))
        .route("/v1/readers", get(super::readers::get_readers))
        .route("/v1/status", get(get_status))
        .route("/v1/topics", get(get_topics))
        .route("/v1/topics/{topic}", get(get_topic))
        .route("/v1/topics/{topic}/events", get(get_events))
}

#[derive(Serialize)]
struct ContractView<'a> {
    name: &'a str,
    version: String,
    r#type: &'a str,
    topic: &'a str,
    class: &'static str,
    lifecycle: &'static str,
    owner: Option<&'a str>,
    domain: Option<&'a str>,
    summary: Option<&'a str>,
    on_invalid: &'static str,
    idempotency_window_ms: u64,
    max_message_bytes: u64,
    /// Their names.
    readers: Vec<&'a str>,
}

impl<'a> ContractView<'a> {
    fn of(contract: &'a EventContract, in_force: &'a Contracts) -> Self {
        let readers = in_force.readers_of(&contract.name);
        Self {
            name: &contract.name,
            version: contract.version.to_string(),
            r#type: &contract.event.event_type,
            topic: &contract.topic.name,
            class: contract.class.as_str(),
            lifecycle: contract.lifecycle.as_str(),
            owner: contract.owner.as_deref(),
            domain: contract.domain.as_deref(),
            summary: contract.summary.as_deref(),
            on_invalid: contract.ingress.on_invalid.as_str(),
            idempotency_window_ms: contract.ingress.idempotency.window.as_ms(),
            max_message_bytes: contract.topic.max_message.as_bytes(),
            readers: readers.map(|reader| reader.name.as_str()).collect(),
        }
    }
}

async fn get_contracts(State(gateway): State<Arc<Gateway>>, headers: HeaderMap) -> Response<Body> {
    let context = Context::new(&gateway, &headers);
    let in_force = gateway.contracts.contracts();
    let contracts: Vec<_> = in_force
        .iter()
        .map(|contract| ContractView::of(contract, &in_force))
        .collect();
    json(&context, Ok(serde_json::json!({ "contracts": contracts })))
}

async fn get_contract(
    State(gateway): State<Arc<Gateway>>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Response<Body> {
    let context = Context::new(&gateway, &headers);
    let in_force = gateway.contracts.contracts();
    let name = match parameter(name) {
        Ok(Path(name)) => name,
        Err(problem) => return context.problem(problem),
    };
    let found = in_force
        .by_name(&name)
        .map(|contract| ContractView::of(contract, &in_force));
    let missing = || {
        Problem::new(
            Kind::ContractNotFound,
            "no contract of this name is in force",
        )
    };
    json(&context, found.ok_or_else(missing))
}

async fn get_contract_called_check(
    gateway: State<Arc<Gateway>>,
    headers: HeaderMap,
) -> Response<Body> {
    get_contract(gateway, Ok(Path("check".to_owned())), headers).await
}

#[derive(Default, Serialize)]
struct Account {
    accepted: u64,
    repeated: u64,
    quarantined: u64,
    quarantine_repeated: u64,
}

async fn get_status(State(gateway): State<Arc<Gateway>>, headers: HeaderMap) -> Response<Body> {
    let context = Context::new(&gateway, &headers);
    let mut all = Account::default();
    let mut contracts = BTreeMap::new();
    for (name, lane) in gateway.metrics.all_lanes() {
        let account = Account {
            accepted: lane.accepted.get(),
            repeated: lane.repeated.get(),
            quarantined: lane.quarantined.get(),
            quarantine_repeated: lane.quarantine_repeated.get(),
        };
        all.accepted += account.accepted;
        all.repeated += account.repeated;
        all.quarantined += account.quarantined;
        all.quarantine_repeated += account.quarantine_repeated;
        contracts.insert(name, account);
    }
    let status = serde_json::json!({
        "started": rfc3339(gateway.started_ms),
        "ready": gateway.readiness().await.is_ok(),
        "events": all,
        "refused": gateway.refusals.view(),
        "contracts": contracts,
    });
    json(&context, Ok(status))
}

#[derive(Serialize)]
struct TopicView {
    name: String,
    id: String,
    partitions: i32,
    internal: bool,
    contract: Option<String>,
    /// What was set.
    config: TopicConfig,
    /// What holds: where nothing was set, what the log does.
    settings: TopicConfig,
    /// Records kept now, over all partitions.
    records: i64,
    /// In the page of one topic only.
    #[serde(skip_serializing_if = "Option::is_none")]
    partition_offsets: Option<Vec<PartitionView>>,
}

#[derive(Serialize)]
struct PartitionView {
    partition: i32,
    log_start_offset: i64,
    high_watermark: i64,
}

impl Gateway {
    async fn topic_view(
        &self,
        topic: Topic,
        defaults: &TopicConfig,
        in_full: bool,
    ) -> Result<TopicView, LogError> {
        let mut settings = defaults.clone();
        settings.extend(topic.config.clone());
        let mut partitions = Vec::new();
        for partition in 0..topic.partitions {
            let Watermarks { log_start, high } =
                self.log.watermarks(&topic.name, partition).await?;
            partitions.push(PartitionView {
                partition,
                log_start_offset: log_start,
                high_watermark: high,
            });
        }
        let lanes = self.lanes();
        let lane = lanes.iter().find(|lane| lane.topic() == topic.name);
        let hex = topic.id.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(TopicView {
            id: hex,
            partitions: topic.partitions,
            internal: topic.internal,
            contract: lane.map(|lane| lane.contract.name.clone()),
            config: topic.config,
            settings,
            records: partitions
                .iter()
                .map(|p| p.high_watermark - p.log_start_offset)
                .sum(),
            partition_offsets: in_full.then_some(partitions),
            name: topic.name,
        })
    }

    async fn topics_page(&self, after: &str, limit: usize) -> Result<serde_json::Value, LogError> {
        let mut topics = self.log.topics().await?;
        topics.retain(|topic| topic.name.as_str() > after);
        let next = topics
            .get(limit)
            .is_some()
            .then(|| topics[limit - 1].name.clone());
        topics.truncate(limit);
        let defaults = self.log.bounds().await?.defaults;
        let mut views = Vec::with_capacity(topics.len());
        for topic in topics {
            match self.topic_view(topic, &defaults, false).await {
                Ok(view) => views.push(view),
                // Deleted since it was listed.
                Err(LogError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(serde_json::json!({ "topics": views, "next": next }))
    }

    async fn topic_in_full(&self, name: &str) -> Result<TopicView, LogError> {
        let topics = self.log.topics().await?;
        let topic = topics.into_iter().find(|topic| topic.name == name);
        let topic = topic.ok_or_else(|| LogError::NotFound(format!("no topic `{name}`")))?;
        let defaults = self.log.bounds().await?.defaults;
        self.topic_view(topic, &defaults, true).await
    }
}

#[derive(Deserialize)]
struct TopicsQuery {
    cursor: Option<String>,
    limit: Option<usize>,
}

async fn get_topics(
    State(gateway): State<Arc<Gateway>>,
    query: Result<Query<TopicsQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Response<Body> {
    let context = Context::new(&gateway, &headers);
    let read = async {
        let Query(query) = parameter(query)?;
        let limit = query.limit.unwrap_or(MAX_TOPICS).clamp(1, MAX_TOPICS);
        let after = query.cursor.unwrap_or_default();
        within(&gateway, &context, gateway.topics_page(&after, limit)).await
    };
    json(&context, read.await)
}

async fn get_topic(
    State(gateway): State<Arc<Gateway>>,
    topic: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Response<Body> {
    let context = Context::new(&gateway, &headers);
    let read = async {
        let Path(topic) = parameter(topic)?;
        within(&gateway, &context, gateway.topic_in_full(&topic)).await
    };
    json(&context, read.await)
}

#[derive(Deserialize)]
struct EventsQuery {
    partition: Option<i32>,
    offset: Option<i64>,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct RecordView {
    offset: i64,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    headers: Vec<HeaderView>,
    /// If the gateway wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<Receipt>,
    #[serde(flatten)]
    payload: Payload,
}

#[derive(Serialize)]
struct HeaderView {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
}

impl RecordView {
    fn of(topic: &str, partition: i32, stored: &StoredRecord) -> Self {
        let (key, key_base64) = readable(stored.record.key.as_deref());
        let headers = stored.record.headers.iter().map(|header| {
            let (value, value_base64) = readable(header.value.as_deref());
            let name = String::from_utf8_lossy(&header.name).into_owned();
            HeaderView {
                name,
                value,
                value_base64,
            }
        });
        let data = data_of(stored).filter(|_| !quarantine::is_withheld(stored));
        Self {
            offset: stored.offset,
            time: rfc3339(stored.timestamp_ms),
            key,
            key_base64,
            headers: headers.collect(),
            receipt: Receipt::of(topic, partition, stored),
            payload: Payload::of_bytes(data.as_ref(), content_type_of(stored)),
        }
    }
}

/// Returns bytes as text if they are text, else in base64.
fn readable(bytes: Option<&[u8]>) -> (Option<String>, Option<String>) {
    match bytes.map(std::str::from_utf8) {
        None => (None, None),
        Some(Ok(text)) => (Some(text.to_owned()), None),
        Some(Err(_)) => (None, bytes.map(|bytes| STANDARD.encode(bytes))),
    }
}

#[derive(Serialize)]
struct EventsPage {
    topic: String,
    partition: i32,
    events: Vec<RecordView>,
    /// The offset to read on from.
    next: i64,
    log_start_offset: i64,
    high_watermark: i64,
}

impl Gateway {
    async fn events_page(&self, topic: String, query: EventsQuery) -> Result<EventsPage, LogError> {
        let partition = query.partition.unwrap_or(0);
        let limit = query.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
        let marks = self.log.watermarks(&topic, partition).await?;
        let from = query.offset.unwrap_or(marks.log_start);
        let max_bytes = if limit == 1 { 0 } else { PAGE_BYTES };
        let read = self.log.read(&topic, partition, from, max_bytes).await?;
        let events: Vec<_> = read
            .records
            .iter()
            .take(limit)
            .map(|stored| RecordView::of(&topic, partition, stored))
            .collect();
        let next = read
            .records
            .get(limit)
            .map_or(read.next, |stored| stored.offset);
        Ok(EventsPage {
            topic,
            partition,
            events,
            next,
            log_start_offset: marks.log_start,
            high_watermark: read.high_watermark,
        })
    }
}

async fn get_events(
    State(gateway): State<Arc<Gateway>>,
    topic: Result<Path<String>, PathRejection>,
    query: Result<Query<EventsQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Response<Body> {
    let context = Context::new(&gateway, &headers);
    let read = async {
        let (Path(topic), Query(query)) = (parameter(topic)?, parameter(query)?);
        within(&gateway, &context, gateway.events_page(topic, query)).await
    };
    json(&context, read.await)
}
