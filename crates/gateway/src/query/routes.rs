//! The addresses of the read models.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query};
use axum::http::Response;
use serde::{Deserialize, Serialize};
use tidegate_contract::{Contracts, EventContract};
use tidegate_event_log::{LogError, Topic, TopicConfig, Watermarks};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Gateway;
use crate::answer::{json, parameter, within};
use crate::clock::rfc3339;
use crate::openapi::problems;
use crate::problem::{Kind, Problem};
use crate::refusals::Refused;
use crate::request::Call;

/// A page of topics asks each partition for its marks.
const MAX_TOPICS: usize = 200;

pub(crate) fn router() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::default()
        .routes(routes!(get_contracts))
        .routes(routes!(get_contract))
        .routes(routes!(get_contract_called_check))
        .routes(routes!(super::readers::get_readers))
        .routes(routes!(get_status))
        .routes(routes!(get_topics))
        .routes(routes!(get_topic))
}

problems!(NoContract: ContractNotFound);
problems!(NothingThere: NotFound);

/// A contract in force.
#[derive(Serialize, ToSchema)]
#[schema(as = Contract)]
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

/// All contracts in force.
#[derive(Serialize, ToSchema)]
#[schema(as = Contracts)]
struct ContractsView<'a> {
    contracts: Vec<ContractView<'a>>,
}

/// Lists the contracts in force.
#[utoipa::path(
    get,
    path = "/v1/contracts",
    tag = "contracts",
    responses((status = 200, body = ContractsView))
)]
async fn get_contracts(call: Call) -> Response<Body> {
    let context = call.context();
    let in_force = call.gateway.contracts.contracts();
    let contracts = in_force
        .iter()
        .map(|contract| ContractView::of(contract, &in_force))
        .collect();
    json(&context, Ok(ContractsView { contracts }))
}

/// Reads a contract in force.
#[utoipa::path(
    get,
    path = "/v1/contracts/{name}",
    tag = "contracts",
    params(("name" = String, Path, description = "The contract's name.")),
    responses((status = 200, body = ContractView), NoContract)
)]
async fn get_contract(call: Call, name: Result<Path<String>, PathRejection>) -> Response<Body> {
    let context = call.context();
    let in_force = call.gateway.contracts.contracts();
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

/// Reads the contract whose name is `check`, beside the other method of this address.
#[utoipa::path(
    get,
    path = "/v1/contracts/check",
    tag = "contracts",
    responses((status = 200, body = ContractView), NoContract)
)]
async fn get_contract_called_check(call: Call) -> Response<Body> {
    get_contract(call, Ok(Path("check".to_owned()))).await
}

/// What became of events since the gateway started.
#[derive(Default, Serialize, ToSchema)]
struct Account {
    accepted: u64,
    repeated: u64,
    quarantined: u64,
    quarantine_repeated: u64,
}

/// The account of what came in.
#[derive(Serialize, ToSchema)]
struct Status {
    /// Since when.
    started: String,
    ready: bool,
    events: Account,
    /// By the problem's slug: what was refused and not kept.
    #[schema(value_type = BTreeMap<String, Refused>)]
    refused: BTreeMap<&'static str, Refused>,
    /// By the contract's name.
    contracts: BTreeMap<String, Account>,
}

/// Says what came in since the gateway started.
#[utoipa::path(
    get,
    path = "/v1/status",
    tag = "topics",
    responses((status = 200, body = Status))
)]
async fn get_status(call: Call) -> Response<Body> {
    let context = call.context();
    let gateway = &call.gateway;
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
    let status = Status {
        started: rfc3339(gateway.started_ms),
        ready: gateway.readiness().await.is_ok(),
        events: all,
        refused: gateway.refusals.view(),
        contracts,
    };
    json(&context, Ok(status))
}

/// A topic.
#[derive(Serialize, ToSchema)]
#[schema(as = Topic)]
struct TopicView {
    name: String,
    id: String,
    partitions: i32,
    internal: bool,
    contract: Option<String>,
    /// What was set.
    #[schema(value_type = BTreeMap<String, String>)]
    config: TopicConfig,
    /// What holds: where nothing was set, what the log does.
    #[schema(value_type = BTreeMap<String, String>)]
    settings: TopicConfig,
    /// Records kept now, over all partitions. Where a cluster keeps the log, the ends of transactions count too.
    records: i64,
    /// In the page of one topic only.
    #[serde(skip_serializing_if = "Option::is_none")]
    partition_offsets: Option<Vec<PartitionView>>,
}

/// Which offsets a partition has.
#[derive(Serialize, ToSchema)]
#[schema(as = PartitionOffsets)]
struct PartitionView {
    partition: i32,
    log_start_offset: i64,
    high_watermark: i64,
}

/// Topics by name.
#[derive(Serialize, ToSchema)]
struct TopicsPage {
    topics: Vec<TopicView>,
    /// Where the next page begins; `null` at the end.
    next: Option<String>,
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
        let lane = lanes.of_topic(&topic.name);
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

    async fn topics_page(&self, after: &str, limit: usize) -> Result<TopicsPage, LogError> {
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
        Ok(TopicsPage {
            topics: views,
            next,
        })
    }

    async fn topic_in_full(&self, name: &str) -> Result<TopicView, LogError> {
        let topics = self.log.topics().await?;
        let topic = topics.into_iter().find(|topic| topic.name == name);
        let topic = topic.ok_or_else(|| LogError::NotFound(format!("no topic `{name}`")))?;
        let defaults = self.log.bounds().await?.defaults;
        self.topic_view(topic, &defaults, true).await
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct TopicsQuery {
    /// `next` of the page before.
    cursor: Option<String>,
    /// How many at most.
    limit: Option<usize>,
}

/// Lists topics, internal ones included.
#[utoipa::path(
    get,
    path = "/v1/topics",
    tag = "topics",
    params(TopicsQuery),
    responses((status = 200, body = TopicsPage), NothingThere)
)]
async fn get_topics(
    call: Call,
    query: Result<Query<TopicsQuery>, QueryRejection>,
) -> Response<Body> {
    call.answer(async |gateway, context| {
        let Query(query) = parameter(query)?;
        let limit = query.limit.unwrap_or(MAX_TOPICS).clamp(1, MAX_TOPICS);
        let after = query.cursor.unwrap_or_default();
        within(context, gateway.topics_page(&after, limit)).await
    })
    .await
}

/// Reads a topic with its partitions' offsets.
#[utoipa::path(
    get,
    path = "/v1/topics/{topic}",
    tag = "topics",
    params(("topic" = String, Path, description = "The topic's name.")),
    responses((status = 200, body = TopicView), NothingThere)
)]
async fn get_topic(call: Call, topic: Result<Path<String>, PathRejection>) -> Response<Body> {
    call.answer(async |gateway, context| {
        let Path(topic) = parameter(topic)?;
        within(context, gateway.topic_in_full(&topic)).await
    })
    .await
}
