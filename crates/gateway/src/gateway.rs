//! The gateway as a whole: the log, the contracts in force, and what its rooms share.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, Response};
use tidegate_contract::Contracts;
use tidegate_event_log::{Log, LogError, TopicSpec};
use tokio_util::sync::CancellationToken;

use crate::audit::{self, Act, Audit};
use crate::bridges::Bridges;
use crate::clock::{Clock, Ids};
use crate::contracts::check::Turn;
use crate::contracts::topics::dead_letter_spec;
use crate::contracts::{self, ContractSource, Current, LanesInForce, Room};
use crate::identity::Identity;
use crate::ingress::body::Inflight;
use crate::ingress::lane::{Lane, Lanes, Schemas, topic_spec};
use crate::ingress::port::RecordRules;
use crate::ingress::quarantine;
use crate::ingress::quota::Quotas;
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::reading::Streams;
use crate::refusals::Refusals;
use crate::registry::{self, store::Store};
use crate::request::Context;
use crate::settings::Settings;
use crate::terms::Terms;

/// How long `/readyz` waits for the log.
const READY_WITHIN: Duration = Duration::from_secs(1);

/// What a gateway is made of.
pub struct Parts {
    /// Where events go.
    pub log: Arc<dyn Log>,
    /// Where contracts come from.
    pub contracts: ContractSource,
    /// Limits, deadlines, sources.
    pub settings: Settings,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Ids of requests and of events without one.
    pub ids: Arc<dyn Ids>,
}

/// Why a gateway did not start, or did not take new contracts.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A topic that is needed cannot be made or changed.
    #[error("topic `{topic}` cannot be created or changed")]
    Topic {
        /// Its name.
        topic: String,
        /// What the log says.
        source: LogError,
    },
    /// The log does not say which topics there are.
    #[error("the log's topics cannot be listed")]
    Topics(#[source] LogError),
    /// The schemas cannot be read.
    #[error("the schemas in topic `_schemas` cannot be read")]
    Schemas(#[source] LogError),
    /// The registry refuses the schema of a contract.
    #[error(
        "contract `{contract}`: its schema cannot be registered under `{subject}`: {problem}\n\
         hint: mend the schema, or change the compatibility that the registry asks of the subject"
    )]
    Schema {
        /// The contract's name.
        contract: String,
        /// As the contract has it.
        subject: String,
        /// What the registry says.
        problem: String,
    },
    /// A contract may not be in force under these settings.
    #[error("contract `{contract}` cannot be in force here: {problem}\nhint: {hint}")]
    Terms {
        /// The contract's name.
        contract: String,
        /// Why not.
        problem: String,
        /// What to do.
        hint: &'static str,
    },
    /// The contracts cannot be read, or not be used.
    #[error(
        "the contracts in topic `_tidegate.contracts` cannot be used\nhint: start with `--contracts DIR` in their place"
    )]
    Contracts(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The states of bridges cannot be read.
    #[error("the states of bridges in topic `_tidegate.bridges` cannot be read")]
    Bridges(#[source] LogError),
    /// The API keys cannot be read.
    #[error("the API keys in topic `_tidegate.keys` cannot be read")]
    Keys(#[source] LogError),
    /// A setting cannot be used.
    #[error("`{0}` is not a header's name")]
    HeaderName(String),
}

/// Takes events in and answers for them.
pub struct Gateway {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) settings: Settings,
    pub(crate) terms: Terms,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) refusals: Refusals,
    pub(crate) inflight: Inflight,
    pub(crate) quotas: Quotas,
    pub(crate) kept_headers: Vec<HeaderName>,
    pub(crate) started_ms: i64,
    pub(crate) registry: Arc<Store>,
    pub(crate) audit: Arc<Audit>,
    pub(crate) contracts: Room,
    /// One check of contracts at a time.
    pub(crate) contract_checks: Turn,
    pub(crate) bridges: Bridges,
    pub(crate) identity: Identity,
    pub(crate) streams: Streams,
    pub(crate) draining: CancellationToken,
}

impl Gateway {
    /// Makes the topics that are missing and returns a gateway ready to serve.
    ///
    /// # Errors
    /// A topic cannot be created, or a setting cannot be used.
    pub async fn start(parts: Parts) -> Result<Arc<Self>, StartError> {
        let Parts {
            log,
            contracts,
            settings,
            clock,
            ids,
        } = parts;
        let kept_headers = settings
            .quarantine_headers
            .iter()
            .map(|name| {
                HeaderName::try_from(name).map_err(|_| StartError::HeaderName(name.clone()))
            })
            .collect::<Result<_, _>>()?;
        let started_ms = clock.now_ms();
        create_topic(&*log, audit::topic_spec()).await?;
        let streams = Streams::new(settings.max_event_streams);
        create_topic(&*log, registry::store::topic_spec()).await?;
        let registry = Store::open(Arc::clone(&log)).await;
        let is_folder = matches!(contracts, ContractSource::Folder(_));
        if !is_folder {
            create_topic(&*log, contracts::store::topic_spec()).await?;
        }
        let contracts = Room::open(&log, contracts).await;
        let contracts = contracts.map_err(|error| StartError::Contracts(Box::new(error)))?;
        let registry = registry.map_err(StartError::Schemas)?;
        let metrics = Arc::new(Metrics::new());
        let shared = (Arc::clone(&log), Arc::clone(&clock), Arc::clone(&metrics));
        let bridges = Bridges::start(shared.0, shared.1, shared.2).await;
        let (to_log, on_clock) = (Arc::clone(&log), Arc::clone(&clock));
        let identity = Identity::start(to_log, on_clock, settings.identity.clone()).await;
        let audit = Audit::new(
            Arc::clone(&log),
            Arc::clone(&clock),
            settings.audit_deadline,
        );
        let gateway = Arc::new(Self {
            audit: Arc::new(audit),
            log,
            terms: Terms::of(&settings),
            settings,
            clock,
            ids,
            metrics,
            refusals: Refusals::default(),
            inflight: Inflight::default(),
            quotas: Quotas::default(),
            kept_headers,
            started_ms,
            registry: Arc::new(registry),
            contracts,
            contract_checks: Turn::default(),
            bridges: bridges.map_err(StartError::Bridges)?,
            identity: identity.map_err(StartError::Keys)?,
            streams,
            draining: CancellationToken::new(),
        });
        gateway.create_topic(quarantine::topic_spec()).await?;
        if is_folder {
            gateway.widen_topics().await?;
        }
        gateway.make_ready(gateway.contracts.current()).await?;
        Ok(gateway)
    }

    /// Puts another set of contracts in force, once their topics are there and their schemas are
    /// registered. Requests that are under way end under the contracts they began with. Where the log
    /// is the source, the set that was applied last comes back with the next look at it.
    ///
    /// # Errors
    /// A topic cannot be created, or a schema is not registered; the old contracts stay in force.
    pub async fn replace_contracts(&self, contracts: &Contracts) -> Result<(), StartError> {
        let current = Current::of(contracts.clone());
        self.make_ready(Arc::new(current)).await
    }

    /// Makes the topics that are missing, registers schemas, and puts contracts in force.
    ///
    /// # Errors
    /// Those of [`Gateway::replace_contracts`].
    pub(crate) async fn make_ready(&self, current: Arc<Current>) -> Result<(), StartError> {
        let contracts = &*current.contracts;
        for contract in contracts {
            if let Some((problem, hint)) = self.terms.problem(contract) {
                return Err(StartError::Terms {
                    contract: contract.name.clone(),
                    problem,
                    hint,
                });
            }
        }
        let mut partitions = self.partitions().await?;
        for contract in contracts {
            let spec = topic_spec(contract);
            if !partitions.contains_key(&spec.name) {
                self.create_topic(spec).await?;
            }
        }
        if contracts
            .iter()
            .any(|contract| !partitions.contains_key(&contract.topic.name))
        {
            partitions = self.partitions().await?;
        }
        for letters in contracts
            .readers()
            .filter_map(|reader| dead_letter_spec(reader))
        {
            if !partitions.contains_key(&letters.name) {
                self.create_topic(letters).await?;
            }
        }
        let act = self.audit.own_act("schema.register");
        let schemas = self.register_schemas(contracts, &act).await?;
        self.put_in_force(current, &partitions, &schemas);
        Ok(())
    }

    /// Hands contracts to traffic; their topics are there, with so many partitions, and their schemas
    /// are registered.
    pub(crate) fn put_in_force(
        &self,
        current: Arc<Current>,
        partitions: &HashMap<String, i32>,
        schemas: &Schemas,
    ) {
        let contracts = Arc::clone(&current.contracts);
        let lanes = Lanes::new(
            &contracts,
            partitions,
            &self.metrics,
            &self.registry,
            schemas,
            &self.quotas,
        );
        let lanes = Arc::new(lanes);
        self.contracts.put(current, Arc::clone(&lanes));
        self.bridges.put_in_force(&contracts, &lanes);
    }

    /// Registers the schemas of contracts that have a subject and are in force.
    pub(crate) async fn register_schemas(
        &self,
        contracts: &Contracts,
        act: &Act,
    ) -> Result<Schemas, StartError> {
        let mut schemas = Schemas::new();
        for contract in contracts {
            let Some(subject) = &contract.schema.subject else {
                continue;
            };
            if !contract.lifecycle.accepts_events() {
                continue;
            }
            let registered =
                registry::subject::register(&self.registry, contract, subject, act).await;
            let registered = registered.map_err(|problem| StartError::Schema {
                contract: contract.name.clone(),
                subject: subject.clone(),
                problem,
            })?;
            schemas.insert(contract.name.clone(), registered);
        }
        Ok(schemas)
    }

    /// Returns what a topic asks of records that Kafka clients send; nothing: it takes any. What is
    /// in force now counts, so ask anew for each batch.
    pub fn record_rules(&self, topic: &str) -> Option<Arc<RecordRules>> {
        self.lanes().rules_of(topic).cloned()
    }

    /// Shares what quotas allow with other replicas from now on: each is told what the others took.
    pub fn share_quotas(&self) {
        self.quotas.share(rand::random());
    }

    /// Returns what to tell a replica of quotas, or that there is nothing new for it.
    pub fn tell_of_quotas(&self, peer: &str) -> Option<Vec<u8>> {
        self.quotas.tell(peer, self.clock.now_ms())
    }

    /// Returns what to tell a replica of quotas that asks.
    pub fn answer_of_quotas(&self, peer: &str) -> Vec<u8> {
        self.quotas.answer(peer, self.clock.now_ms())
    }

    /// Takes in what a replica told of quotas. It may come twice, or not at all.
    pub fn hear_of_quotas(&self, peer: &str, told: &[u8]) {
        self.quotas.hear(peer, told, self.clock.now_ms());
    }

    /// Returns how many partitions each topic has.
    async fn partitions(&self) -> Result<HashMap<String, i32>, StartError> {
        let topics = self.log.topics().await.map_err(StartError::Topics)?;
        Ok(topics
            .into_iter()
            .map(|topic| (topic.name, topic.partitions))
            .collect())
    }

    /// Makes a topic, unless it is there. One that is there keeps its settings.
    async fn create_topic(&self, spec: TopicSpec) -> Result<(), StartError> {
        create_topic(&*self.log, spec).await
    }

    pub(crate) fn lanes(&self) -> LanesInForce {
        self.contracts.lanes()
    }

    /// Makes the topics of a lane again after somebody deleted them.
    pub(crate) async fn restore_topics(&self, lane: &Lane) {
        for spec in [topic_spec(&lane.contract), quarantine::topic_spec()] {
            if let Err(error) = self.create_topic(spec).await {
                tracing::error!(error = %error, "a deleted topic cannot be made again");
            }
        }
    }

    /// Answers with a problem and counts it.
    pub(crate) fn refuse(&self, context: &Context<'_>, problem: Problem) -> Response<Body> {
        self.count_refusal(context, &problem);
        context.problem(problem)
    }

    /// Counts a refusal that left nothing behind; what is kept counts as quarantined.
    pub(crate) fn count_refusal(&self, context: &Context<'_>, problem: &Problem) {
        if !problem.is_kept() {
            let kind = problem.kind();
            self.metrics.count_refusal(kind.slug());
            let request = &context.request_id;
            self.refusals
                .count(kind, context.received_ms, request, problem.is_about());
        }
    }

    /// Says that no more requests should be sent here, and ends the streams.
    pub(crate) fn start_draining(&self) {
        self.draining.cancel();
    }

    /// Says whether requests can be served now, or why not.
    pub(crate) async fn readiness(&self) -> Result<(), String> {
        if self.draining.is_cancelled() {
            return Err("the gateway is stopping".to_owned());
        }
        let asked = self.log.watermarks(quarantine::TOPIC, 0);
        match tokio::time::timeout(READY_WITHIN, asked).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                tracing::warn!(error = %error, "not ready");
                Err("the log does not serve".to_owned())
            }
            Err(_) => Err("the log does not answer".to_owned()),
        }
    }
}

async fn create_topic(log: &dyn Log, spec: TopicSpec) -> Result<(), StartError> {
    let topic = spec.name.clone();
    match log.create_topic(spec).await {
        Ok(_) | Err(LogError::Conflict(_)) => Ok(()),
        Err(source) => Err(StartError::Topic { topic, source }),
    }
}
