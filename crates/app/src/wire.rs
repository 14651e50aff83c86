//! Joins the parts: settings to the log, the log to the doors. The only file that names a backend.
//!
//! Start: contracts, then addresses, then the log, so that a mistake costs nothing. Stop: the doors
//! drain, then the log makes durable what it took, and operations see it to the end.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use tidegate_broker::env::real::{LockError, RealDisk};
use tidegate_broker::net::{KafkaPort, ListenOptions};
use tidegate_broker::rules::{RecordRef, RecordRules, TopicRules};
use tidegate_broker::sequencer::HistorySettings;
use tidegate_broker::wal::inspect;
use tidegate_broker::{Broker, OpenError, Options, net, settings};
use tidegate_contract::record::Incoming;
use tidegate_contract::{Contracts, load};
use tidegate_gateway::tls::{Files, Tls};
use tidegate_gateway::{
    ContractSource, Gateway, Listening, Log, Parts, RandomIds, Secret, Source, SystemClock,
    serve_http, serve_ops, serve_registry,
};
use tidegate_kafka_log::{KafkaLog, KafkaOptions, News, PeerOptions};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::cli::failure::{Exit, Failure};
use crate::config::{self, Config, Listen, SecretReference};

/// The parts, running.
pub(crate) struct Running {
    pub(crate) http: SocketAddr,
    pub(crate) registry: SocketAddr,
    pub(crate) ops: SocketAddr,
    events: Door,
    schemas: Door,
    operations: Door,
    /// Nothing where a cluster keeps the log.
    kafka_port: Option<KafkaPort>,
    backend: Backend,
    /// Doors that speak TLS, by the names they have in the ready line.
    tls: Vec<(&'static str, Tls)>,
}

/// The contracts in force, as the Kafka port asks for them.
struct PortRules(Arc<Gateway>);

impl RecordRules for PortRules {
    fn of_topic(&self, topic: &str) -> Option<Arc<dyn TopicRules>> {
        let rules = self.0.record_rules(topic)?;
        Some(Arc::new(ContractRules(rules)))
    }
}

impl fmt::Debug for PortRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PortRules")
    }
}

struct ContractRules(Arc<tidegate_gateway::RecordRules>);

impl TopicRules for ContractRules {
    fn check(&self, record: &RecordRef<'_>) -> Result<(), String> {
        self.0.check(&Incoming {
            key: record.key,
            value: record.value,
            headers: record.headers,
        })
    }
}

/// The quotas of the gateway, as replicas tell each other of them.
struct QuotaNews(Arc<Gateway>);

impl News for QuotaNews {
    fn tell(&self, peer: &str) -> Option<Vec<u8>> {
        self.0.tell_of_quotas(peer)
    }

    fn answer(&self, peer: &str) -> Vec<u8> {
        self.0.answer_of_quotas(peer)
    }

    fn hear(&self, peer: &str, told: &[u8]) {
        self.0.hear_of_quotas(peer, told);
    }
}

/// A door of the gateway on its task.
struct Door {
    stop: CancellationToken,
    /// Gone when it was seen to end.
    serving: Option<JoinHandle<std::io::Result<()>>>,
}

/// Reads the contracts that are to be in force; nothing without a folder, as the log has them then.
///
/// # Errors
/// All that is wrong in them.
pub(crate) fn contracts(config: &Config) -> Result<Option<Contracts>, Failure> {
    let Some(folder) = &config.contracts else {
        return Ok(None);
    };
    load::folder(folder)
        .map(Some)
        .map_err(|found| Failure::of_findings(Exit::Failed, found.iter().cloned().collect()))
}

/// Says what stands in the write-ahead log of a data directory, and each damage in it in a line.
/// Changes nothing.
///
/// # Errors
/// It cannot be read.
pub(crate) fn inspect_log(data: &Path) -> anyhow::Result<(Value, Vec<String>)> {
    let directory = data.join("wal");
    let about = || format!("`{}`", directory.display());
    let report = inspect::inspect(&RealDisk::look_at(&directory)).with_context(about)?;
    let damage = report.segments.iter().flat_map(|segment| {
        segment.damage.iter().map(|damage| {
            let (file, position) = (directory.join(&segment.file), damage.position);
            format!("`{}`, byte {position}: {}", file.display(), damage.what)
        })
    });
    Ok((serde_json::to_value(&report)?, damage.collect()))
}

/// What keeps the log.
enum Backend {
    Embedded(Broker),
    Kafka(Arc<KafkaLog>),
}

impl Backend {
    async fn open(config: &Config) -> Result<Self, Failure> {
        if let Some(cluster) = &config.kafka_log {
            let options = cluster_options(cluster, config.ingress.answer_deadline)?;
            let opened = KafkaLog::open(options).await;
            let log = opened.context("opening the log on the cluster")?;
            return Ok(Self::Kafka(Arc::new(log)));
        }
        let options = options(config)?;
        let open = tokio::task::spawn_blocking(move || Broker::open(options)).await;
        let broker = open.context("opening the log")?.map_err(not_opened)?;
        Ok(Self::Embedded(broker))
    }

    fn log(&self) -> Arc<dyn Log> {
        match self {
            Self::Embedded(broker) => Arc::new(broker.clone()),
            Self::Kafka(log) => Arc::clone(log) as Arc<dyn Log>,
        }
    }

    fn cluster_id(&self) -> &str {
        match self {
            Self::Embedded(broker) => broker.cluster_id(),
            Self::Kafka(log) => log.cluster_id(),
        }
    }

    async fn stop(self) -> anyhow::Result<()> {
        match self {
            Self::Embedded(broker) => {
                let stopped = tokio::task::spawn_blocking(move || broker.stop());
                stopped.await.context("stopping the log")
            }
            Self::Kafka(log) => {
                log.leave().await;
                Ok(())
            }
        }
    }
}

impl Running {
    /// Opens the log and all doors.
    ///
    /// # Errors
    /// Contracts, addresses, the data directory, or a secret; nothing runs then.
    pub(crate) async fn start(config: &Config) -> Result<Self, Failure> {
        let contracts = contracts(config)?.map_or(ContractSource::Log, ContractSource::Folder);
        let mut gateway_settings = gateway_settings(config)?;
        let (ingress, at_registry, at_ops) =
            (&config.ingress, &config.registry, &config.operations);
        let (events, http) = bind(ingress.listen, &ingress.tls, "--http").await?;
        let (schemas, registry) = bind(at_registry.listen, &at_registry.tls, "--registry").await?;
        let (operations, ops) = bind(at_ops.listen, &at_ops.tls, "--ops").await?;
        let doors = [
            ("http", &events),
            ("registry", &schemas),
            ("ops", &operations),
        ];
        let tls = doors.into_iter();
        let tls = tls.filter_map(|(name, door)| Some((name, door.tls.clone()?)));
        let tls = tls.collect();
        let backend = Backend::open(config).await?;
        gateway_settings.cluster_id = backend.cluster_id().to_owned();
        let started = async {
            let gateway = Gateway::start(Parts {
                log: backend.log(),
                contracts,
                settings: gateway_settings,
                clock: Arc::new(SystemClock),
                ids: Arc::new(RandomIds),
            });
            let gateway = gateway.await?;
            let broker = match &backend {
                Backend::Embedded(broker) => broker,
                Backend::Kafka(log) => {
                    gateway.share_quotas();
                    let news = Arc::new(QuotaNews(Arc::clone(&gateway)));
                    log.exchange(news).await?;
                    return anyhow::Ok((gateway, None));
                }
            };
            let options = ListenOptions {
                address: config.kafka.listen.0,
                advertised: None,
                rules: Some(Arc::new(PortRules(Arc::clone(&gateway)))),
            };
            let port = net::listen(broker.clone(), options).await?;
            Ok((gateway, Some(port)))
        };
        let (gateway, kafka_port) = match started.await {
            Ok(started) => started,
            Err(error) => {
                backend.stop().await?;
                return Err(error.into());
            }
        };
        let events = Door::open(|stop| serve_http(events, Arc::clone(&gateway), stop));
        let schemas = Door::open(|stop| serve_registry(schemas, Arc::clone(&gateway), stop));
        let operations = Door::open(|stop| serve_ops(operations, gateway, stop));
        Ok(Self {
            http,
            registry,
            ops,
            events,
            schemas,
            operations,
            kafka_port,
            backend,
            tls,
        })
    }

    /// Returns where Kafka clients connect, unless a cluster keeps the log.
    pub(crate) fn kafka(&self) -> Option<SocketAddr> {
        self.kafka_port.as_ref().map(KafkaPort::address)
    }

    /// Says where the doors are, in one line for scripts. Where a cluster keeps the log there is no Kafka
    /// port. A last word names those that speak TLS; without
    /// one the line is what it was before there was TLS.
    pub(crate) fn ready(&self) -> String {
        let mut line = format!("ready http={} registry={}", self.http, self.registry);
        if let Some(address) = self.kafka() {
            line.push_str(&format!(" kafka={address}"));
        }
        line.push_str(&format!(" ops={}", self.ops));
        let doors: Vec<&str> = self.tls.iter().map(|(name, _)| *name).collect();
        if !doors.is_empty() {
            line.push_str(" tls=");
            line.push_str(&doors.join(","));
        }
        line
    }

    /// Has the files of TLS looked at now.
    pub(crate) fn look_at_files(&self) {
        for (_, tls) in &self.tls {
            tls.look_now();
        }
    }

    /// Waits until a door ends by itself, which none should.
    pub(crate) async fn failed(&mut self) -> Failure {
        let (door, ended) = tokio::select! {
            ended = self.events.ended() => ("events", ended),
            ended = self.schemas.ended() => ("registry", ended),
            ended = self.operations.ended() => ("operations", ended),
        };
        let why = ended.map_or_else(|error| error.to_string(), |()| "it ended".to_owned());
        Failure::new(Exit::Failed, format!("the {door} door failed: {why}"))
    }

    /// Ends everything in order.
    ///
    /// # Errors
    /// A door or the log ended by a panic.
    pub(crate) async fn stop(self) -> Result<(), Failure> {
        let doors = tokio::join!(self.events.close(), self.schemas.close(), async {
            if let Some(port) = self.kafka_port {
                port.stop().await;
            }
        });
        let (events, schemas, ()) = doors;
        let log = self.backend.stop().await;
        let operations = self.operations.close().await;
        events
            .and(schemas)
            .and(operations)
            .context("a door of the gateway")?;
        Ok(log?)
    }
}

impl Door {
    fn open<S>(serve: impl FnOnce(WaitForCancellationFutureOwned) -> S) -> Self
    where
        S: Future<Output = std::io::Result<()>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let serving = Some(tokio::spawn(serve(stop.clone().cancelled_owned())));
        Self { stop, serving }
    }

    async fn ended(&mut self) -> anyhow::Result<()> {
        let Some(serving) = &mut self.serving else {
            return Ok(());
        };
        let ended = serving.await;
        self.serving = None;
        Ok(ended??)
    }

    async fn close(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.ended().await
    }
}

/// Says what to do, where the log does not say it itself.
fn not_opened(error: OpenError) -> Failure {
    let in_use = matches!(error, OpenError::Lock(LockError::InUse { .. }));
    let failure = Failure::from(anyhow::Error::from(error));
    if in_use {
        let hint = "a data directory has one process: stop that one, or name another with `--data`";
        return failure.with_hint(hint);
    }
    failure
}

async fn bind(
    listen: Listen,
    files: &Option<Files>,
    flag: &str,
) -> Result<(Listening, SocketAddr), Failure> {
    let tls = files.clone().map(|files| Tls::load(files, &SystemClock));
    let tls = tls.transpose().map_err(|error| {
        let text = error.to_string();
        let (message, hint) = text.split_once("\nhint: ").unwrap_or((&text, ""));
        Failure::new(Exit::Failed, format!("TLS: {message}")).with_hint(hint)
    })?;
    let Listen(address) = listen;
    let bound = TcpListener::bind(address).await;
    bound
        .and_then(|listener| {
            let bound = listener.local_addr()?;
            Ok((Listening { listener, tls }, bound))
        })
        .map_err(|error| {
            let message = format!("cannot listen on `{address}`: {error}");
            let hint = format!("stop what listens there, or name another address with `{flag}`");
            Failure::new(Exit::Failed, message).with_hint(hint)
        })
}

/// Puts together how a cluster is reached; a value that is a reference is fetched.
fn cluster_options(cluster: &config::KafkaLog, deadline: Duration) -> anyhow::Result<KafkaOptions> {
    let mut options = KafkaOptions::new(&cluster.brokers);
    let text = |reference: &SecretReference| -> anyhow::Result<String> {
        let text = reference.resolve()?.text().map(str::to_owned);
        text.context("it is not UTF-8")
    };
    for (name, value) in &cluster.settings {
        let value = match value.parse::<SecretReference>() {
            Ok(reference) => {
                text(&reference).with_context(|| format!("`kafka_log.settings.{name}`"))?
            }
            Err(_) => value.clone(),
        };
        options.settings.insert(name.clone(), value);
    }
    options.token_file = cluster.token_file.clone();
    options.replication = cluster.replication;
    options.min_insync = cluster.min_insync;
    options.deadline = deadline;
    options.peer = PeerOptions {
        listen: cluster.peer,
        advertised: cluster.peer_advertised.clone(),
        secret: cluster.peer_secret.as_ref().map(text).transpose()?,
    };
    options.check()?;
    Ok(options)
}

fn gateway_settings(config: &Config) -> Result<tidegate_gateway::Settings, Failure> {
    let ingress = &config.ingress;
    let mut settings = tidegate_gateway::Settings {
        max_connections: ingress.max_connections,
        header_timeout: ingress.header_timeout,
        body_timeout: ingress.body_timeout,
        answer_deadline: ingress.answer_deadline,
        drain_timeout: ingress.drain_timeout,
        write_timeout: ingress.write_timeout,
        max_event_streams: ingress.max_event_streams,
        max_event_bytes: ingress.max_event_bytes,
        max_batch_bytes: ingress.max_batch_bytes,
        max_batch_events: ingress.max_batch_events,
        max_inflight_bytes: ingress.max_inflight_bytes,
        ..tidegate_gateway::Settings::default()
    };
    let identity = &config.identity;
    let first_key = identity.first_key.as_ref();
    let first_key = first_key.map(|reference| {
        let secret = reference.resolve()?;
        anyhow::ensure!(
            secret.is_long_enough(),
            "it has fewer than {} bytes, and could be guessed",
            Secret::LONG_ENOUGH
        );
        Ok(secret)
    });
    settings.identity = tidegate_gateway::Identity {
        required: identity.required,
        first_key: first_key.transpose().context("the first key")?,
        issuers: identity.issuers.clone(),
        certificates: identity.certificates.clone(),
    };
    for source in &config.sources {
        let name = || format!("the secret of source `{}`", source.name);
        let secrets: anyhow::Result<Vec<_>> = source
            .secrets
            .iter()
            .map(SecretReference::resolve)
            .collect();
        let secrets = secrets.with_context(name)?;
        let made = Source::new(source.provider.clone(), secrets, source.tolerance);
        let made = made.with_context(name)?;
        settings.sources.insert(source.name.clone(), made);
    }
    settings.region.clone_from(&config.region);
    if let Some(reference) = &config.hash_key {
        let key = reference
            .resolve()
            .context("the key of `privacy.hash_key`")?;
        settings.hash_key = Some(key);
    }
    Ok(settings)
}

/// Returns Kafka's settings, those that differ from their defaults included.
///
/// # Errors
/// One that is unknown, or has a value that it cannot have.
pub(crate) fn kafka_settings(config: &Config) -> Result<settings::Settings, Failure> {
    let mut kafka = settings::Settings::default();
    for setting in &config.kafka.settings {
        kafka.set(&setting.name, &setting.value).map_err(|error| {
            let text = error.to_string();
            let (message, hint) = text.split_once("\nhint: ").unwrap_or((&text, ""));
            let failure = Failure::new(Exit::Usage, format!("{}: {message}", setting.origin));
            if hint.is_empty() {
                failure
            } else {
                failure.with_hint(hint)
            }
        })?;
    }
    Ok(kafka)
}

fn options(config: &Config) -> Result<Options, Failure> {
    let Some(data) = &config.data else {
        let message = "there is no data directory";
        return Err(Failure::new(Exit::Usage, message).with_hint("name one with `--data DIR`"));
    };
    let kafka = kafka_settings(config)?;
    let log = &config.log;
    let millis = |duration: std::time::Duration| {
        u64::try_from(duration.as_millis()).expect("a setting has nine digits of days at most")
    };
    let retention_check_ms = kafka.log_retention_check_interval_ms;
    let history = HistorySettings {
        ship_bytes: log.ship_bytes,
        ship_after_ms: millis(log.ship_after),
        wal_budget_bytes: log.wal_budget_bytes,
        checkpoint_bytes: log.checkpoint_bytes,
        checkpoint_after_ms: millis(log.checkpoint_after),
        checkpoint_objects: log.checkpoint_objects,
        retention_check_ms: u64::try_from(retention_check_ms).expect("it is at least 1"),
        delete_after_ms: millis(log.delete_after).cast_signed(),
        ..HistorySettings::default()
    };
    Ok(Options {
        wal_segment_bytes: log.wal_segment_bytes,
        wal_budget_bytes: log.wal_budget_bytes,
        writes_in_flight: log.writes_in_flight,
        hot_budget_bytes: log.hot_memory_bytes,
        claims_budget_bytes: log.claims_budget_bytes,
        history,
        kafka,
        ..Options::new(data)
    })
}

#[cfg(test)]
mod tests {
    use tidegate_broker::sequencer::GROUP_LIMIT_BYTES;

    use super::*;
    use crate::config::{LEAST_SEGMENT_BYTES, Layers};

    #[test]
    fn the_defaults_of_the_file_are_those_of_the_parts() {
        let config = Layers::default().flag("--data", "data", Some("data".to_owned()));
        let config = config.settle().unwrap();
        let of_parts = Options::new("data");
        assert_eq!(
            format!("{:?}", options(&config).unwrap()),
            format!("{of_parts:?}")
        );
        let of_parts = tidegate_gateway::Settings::default();
        assert_eq!(
            format!("{:?}", gateway_settings(&config).unwrap()),
            format!("{of_parts:?}")
        );
    }

    #[test]
    fn the_least_segment_has_room_for_what_the_sequencer_wants() {
        let wanted = 4 * GROUP_LIMIT_BYTES as u64;
        assert!(wanted < LEAST_SEGMENT_BYTES);
    }
}
