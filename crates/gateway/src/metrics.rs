//! What is counted: each metric's name, unit and help, in one place.
//!
//! A contract's counters are looked up once, when its lane is made. Sums and samples for people
//! are in `/v1/status`; this is what Prometheus scrapes from the operations door.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::problem::Kind;
use crate::server::Door;

/// From a memory log to the deadline.
const APPEND_SECONDS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ContractLabel {
    contract: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RuleLabel {
    contract: String,
    rule: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RouteLabel {
    route: String,
    status: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct CodeLabel {
    code: u32,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct EnforceLabel {
    contract: String,
    rule: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct DoorLabel {
    door: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct DoorReasonLabel {
    door: &'static str,
    reason: &'static str,
}

/// Counts what the Kafka port refuses.
#[derive(Clone, Debug, Default)]
pub(crate) struct PortRefusals(Family<EnforceLabel, Counter>);

impl PortRefusals {
    pub(crate) fn count(&self, contract: &str, rule: &'static str) {
        let contract = contract.to_owned();
        self.0.get_or_create(&EnforceLabel { contract, rule }).inc();
    }
}

/// What became of the events of one contract.
#[derive(Clone, Debug)]
pub(crate) struct LaneCounters {
    pub(crate) accepted: Counter,
    pub(crate) repeated: Counter,
    pub(crate) quarantined: Counter,
    pub(crate) quarantine_repeated: Counter,
}

/// What a bridge does; its contract is the later one.
#[derive(Clone, Debug)]
pub(crate) struct BridgeMeters {
    pub(crate) copied: Counter,
    pub(crate) quarantined: Counter,
    pub(crate) lag: Gauge,
    pub(crate) halted: Gauge,
}

/// Why a TLS handshake did not end well.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refused {
    /// No TLS was spoken.
    Plaintext,
    /// The caller's certificate is missing or not right.
    Certificate,
    /// It took too long.
    Timeout,
    /// Versions, suites, broken messages, or the caller went away.
    Handshake,
}

/// What TLS does at all doors.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsMetrics {
    ends: Family<DoorLabel, Gauge>,
    broken: Family<DoorLabel, Gauge>,
    refused: Family<DoorReasonLabel, Counter>,
}

/// What TLS does at one door.
#[derive(Clone, Debug)]
pub(crate) struct DoorTls {
    metrics: TlsMetrics,
    door: &'static str,
}

impl TlsMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "tls_certificate_expiry_timestamp",
            "When the certificate that a door serves with ends, since 1970, by door",
            Unit::Seconds,
            self.ends.clone(),
        );
        registry.register(
            "tls_files_broken",
            "Whether a door's newest TLS files cannot be used, so that the earlier serve on (1), or not (0), by door",
            self.broken.clone(),
        );
        registry.register(
            "tls_handshakes_refused",
            "Connections that ended before a request because of TLS, by door and reason",
            self.refused.clone(),
        );
    }

    pub(crate) fn door(&self, door: &'static str) -> DoorTls {
        DoorTls {
            metrics: self.clone(),
            door,
        }
    }
}

impl DoorTls {
    pub(crate) fn name(&self) -> &'static str {
        self.door
    }

    pub(crate) fn serves_until(&self, ends_s: i64) {
        let label = DoorLabel { door: self.door };
        self.metrics.ends.get_or_create(&label).set(ends_s);
    }

    pub(crate) fn is_broken(&self, broken: bool) {
        let label = DoorLabel { door: self.door };
        let gauge = self.metrics.broken.get_or_create(&label);
        gauge.set(i64::from(broken));
    }

    pub(crate) fn refuse(&self, why: Refused) {
        let reason = match why {
            Refused::Plaintext => "plaintext",
            Refused::Certificate => "certificate",
            Refused::Timeout => "timeout",
            Refused::Handshake => "handshake",
        };
        let door = self.door;
        let label = DoorReasonLabel { door, reason };
        self.metrics.refused.get_or_create(&label).inc();
    }
}

/// All metrics of the gateway.
pub(crate) struct Metrics {
    registry: Registry,
    lanes: Mutex<BTreeMap<String, LaneCounters>>,
    accepted: Family<ContractLabel, Counter>,
    repeated: Family<ContractLabel, Counter>,
    quarantined: Family<ContractLabel, Counter>,
    quarantine_repeated: Family<ContractLabel, Counter>,
    warned: Family<RuleLabel, Counter>,
    refused: Family<ReasonLabel, Counter>,
    turned_away: Family<DoorReasonLabel, Counter>,
    pub(crate) port_refusals: PortRefusals,
    bridge_copied: Family<ContractLabel, Counter>,
    bridge_quarantined: Family<ContractLabel, Counter>,
    bridge_lag: Family<ContractLabel, Gauge>,
    bridge_halted: Family<ContractLabel, Gauge>,
    pub(crate) append_seconds: Histogram,
    pub(crate) connections: Gauge,
    pub(crate) connections_refused: Counter,
    pub(crate) event_streams: Gauge,
    inflight_bytes: Gauge,
    pub(crate) schemas: SchemaMetrics,
    pub(crate) tls: TlsMetrics,
}

/// What the schema registry's door does, and what is behind it.
#[derive(Default)]
pub(crate) struct SchemaMetrics {
    requests: Family<RouteLabel, Counter>,
    refused: Family<CodeLabel, Counter>,
    seconds: RequestSeconds,
    subjects: Gauge,
    schemas: Gauge,
    bytes: Gauge,
}

#[derive(Clone)]
struct RequestSeconds(Histogram);

impl Default for RequestSeconds {
    fn default() -> Self {
        Self(Histogram::new(APPEND_SECONDS))
    }
}

impl SchemaMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "registry_requests",
            "Requests to the schema registry, by route and class of status",
            self.requests.clone(),
        );
        registry.register(
            "registry_refused",
            "Requests that the schema registry refused, by error code (409: incompatible, 42201: invalid schema)",
            self.refused.clone(),
        );
        registry.register_with_unit(
            "registry_request_duration",
            "Time from a request to the schema registry to its answer",
            Unit::Seconds,
            self.seconds.0.clone(),
        );
        registry.register(
            "registry_subjects",
            "Subjects of the schema registry, softly deleted ones too",
            self.subjects.clone(),
        );
        registry.register(
            "registry_schemas",
            "Schemas with an id of their own",
            self.schemas.clone(),
        );
        registry.register_with_unit(
            "registry_texts",
            "Texts of all schema versions in memory",
            Unit::Bytes,
            self.bytes.clone(),
        );
    }

    /// Counts one answer: to a route by its method and shape, with an error's code if it is one.
    pub(crate) fn count(&self, route: String, status: u16, code: Option<u32>, seconds: f64) {
        let status = match status {
            200..300 => "2xx",
            400..500 => "4xx",
            _ => "5xx",
        };
        self.requests
            .get_or_create(&RouteLabel { route, status })
            .inc();
        if let Some(code) = code {
            self.refused.get_or_create(&CodeLabel { code }).inc();
        }
        self.seconds.0.observe(seconds);
    }

    /// Notes what the registry holds.
    pub(crate) fn hold(&self, subjects: usize, schemas: usize, bytes: usize) {
        for (gauge, value) in [
            (&self.subjects, subjects),
            (&self.schemas, schemas),
            (&self.bytes, bytes),
        ] {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("tidegate");
        let metrics = Self {
            lanes: Mutex::default(),
            accepted: Family::default(),
            repeated: Family::default(),
            quarantined: Family::default(),
            quarantine_repeated: Family::default(),
            warned: Family::default(),
            refused: Family::default(),
            turned_away: Family::default(),
            port_refusals: PortRefusals::default(),
            bridge_copied: Family::default(),
            bridge_quarantined: Family::default(),
            bridge_lag: Family::default(),
            bridge_halted: Family::default(),
            append_seconds: Histogram::new(APPEND_SECONDS),
            connections: Gauge::default(),
            connections_refused: Counter::default(),
            event_streams: Gauge::default(),
            inflight_bytes: Gauge::default(),
            schemas: SchemaMetrics::default(),
            tls: TlsMetrics::default(),
            registry: Registry::default(),
        };
        // A rise from nothing is seen by those who saw the nothing.
        for door in [Door::Events, Door::Registry] {
            for reason in [Kind::Unauthenticated, Kind::Forbidden] {
                let (door, reason) = (door.name(), reason.slug());
                let label = DoorReasonLabel { door, reason };
                drop(metrics.turned_away.get_or_create(&label));
            }
        }
        let add = &mut registry;
        add.register(
            "events_accepted",
            "Events stored in their topic",
            metrics.accepted.clone(),
        );
        add.register(
            "events_repeated",
            "Events that had been accepted before and got their first receipt",
            metrics.repeated.clone(),
        );
        add.register(
            "events_quarantined",
            "Events that broke their contract and were kept",
            metrics.quarantined.clone(),
        );
        add.register(
            "events_quarantine_repeated",
            "Events that broke their contract and had been kept before",
            metrics.quarantine_repeated.clone(),
        );
        add.register(
            "events_warned",
            "Events accepted although they break a rule that only warns, by contract and rule",
            metrics.warned.clone(),
        );
        add.register(
            "events_refused",
            "Requests and events refused with nothing kept, by type of problem",
            metrics.refused.clone(),
        );
        add.register(
            "callers_refused",
            "Requests turned away because of who sent them, by door and type of problem",
            metrics.turned_away.clone(),
        );
        add.register(
            "records_refused",
            "Records of Kafka clients that broke the contract of their topic, by contract and rule; none of their batches is stored",
            metrics.port_refusals.0.clone(),
        );
        metrics.register_bridges(add);
        add.register_with_unit(
            "append_duration",
            "Time from handing a request's events to the log to its ack",
            Unit::Seconds,
            metrics.append_seconds.clone(),
        );
        add.register(
            "http_connections",
            "Open HTTP connections",
            metrics.connections.clone(),
        );
        add.register(
            "http_connections_refused",
            "HTTP connections turned away at the limit",
            metrics.connections_refused.clone(),
        );
        add.register(
            "event_streams",
            "Streams of server-sent events being read",
            metrics.event_streams.clone(),
        );
        add.register_with_unit(
            "http_inflight",
            "Bodies held in memory",
            Unit::Bytes,
            metrics.inflight_bytes.clone(),
        );
        metrics.schemas.register(add);
        metrics.tls.register(add);
        Self {
            registry,
            ..metrics
        }
    }

    fn register_bridges(&self, add: &mut Registry) {
        add.register(
            "bridge_events_copied",
            "Events of an earlier type stored in the topic of the later contract",
            self.bridge_copied.clone(),
        );
        add.register(
            "bridge_events_quarantined",
            "Events of an earlier type that cannot be events of the later contract and were kept",
            self.bridge_quarantined.clone(),
        );
        add.register_with_unit(
            "bridge_lag",
            "Events of the earlier type not yet copied",
            Unit::Other("records".to_owned()),
            self.bridge_lag.clone(),
        );
        add.register(
            "bridge_halted",
            "Whether the rollout halted because a canary failed (1) or not (0)",
            self.bridge_halted.clone(),
        );
    }

    /// Returns the meters of a contract's bridge.
    pub(crate) fn bridge(&self, contract: &str) -> BridgeMeters {
        let label = ContractLabel {
            contract: contract.to_owned(),
        };
        BridgeMeters {
            copied: self.bridge_copied.get_or_create(&label).clone(),
            quarantined: self.bridge_quarantined.get_or_create(&label).clone(),
            lag: self.bridge_lag.get_or_create(&label).clone(),
            halted: self.bridge_halted.get_or_create(&label).clone(),
        }
    }

    /// Returns the counters of a contract, the same for every version of it.
    pub(crate) fn lane(&self, contract: &str) -> LaneCounters {
        let label = ContractLabel {
            contract: contract.to_owned(),
        };
        let counter =
            |family: &Family<ContractLabel, Counter>| family.get_or_create(&label).clone();
        let counters = || LaneCounters {
            accepted: counter(&self.accepted),
            repeated: counter(&self.repeated),
            quarantined: counter(&self.quarantined),
            quarantine_repeated: counter(&self.quarantine_repeated),
        };
        self.lanes
            .lock()
            .entry(contract.to_owned())
            .or_insert_with(counters)
            .clone()
    }

    /// Counts an event that breaks a rule that only warns; contracts bound the labels.
    pub(crate) fn count_warning(&self, contract: &str, rule: &str) {
        let label = RuleLabel {
            contract: contract.to_owned(),
            rule: rule.to_owned(),
        };
        self.warned.get_or_create(&label).inc();
    }

    pub(crate) fn count_turned_away(&self, door: &'static str, reason: &'static str) {
        let label = DoorReasonLabel { door, reason };
        self.turned_away.get_or_create(&label).inc();
    }

    pub(crate) fn count_refusal(&self, reason: &'static str) {
        self.refused.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Returns the counters of every contract there has been, by name.
    pub(crate) fn all_lanes(&self) -> Vec<(String, LaneCounters)> {
        self.lanes
            .lock()
            .iter()
            .map(|(name, lane)| (name.clone(), lane.clone()))
            .collect()
    }

    /// Writes all metrics in OpenMetrics text.
    pub(crate) fn encode(&self, inflight_bytes: usize) -> String {
        self.inflight_bytes
            .set(i64::try_from(inflight_bytes).unwrap_or(i64::MAX));
        let mut text = String::with_capacity(8 * 1024);
        encode(&mut text, &self.registry).expect("a string takes any text");
        text
    }
}
