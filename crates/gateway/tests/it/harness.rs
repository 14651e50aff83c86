//! A running gateway and the ways to talk to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Response, StatusCode};
use serde_json::Value;
use tidegate_contract::Contracts;
use tidegate_event_log::{Log, StoredRecord};
use tidegate_gateway::{
    ContractSource, Gateway, Parts, Provider, RandomIds, Secret, Settings, Source, serve_http,
    serve_ops, serve_registry,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::faults::{AUDIT, FaultyLog};
use crate::logs::{self, HandClock};

pub(crate) const STRUCTURED: &str = "application/cloudevents+json";
pub(crate) const BATCH: &str = "application/cloudevents-batch+json";
pub(crate) const SECRET: &str = "It's a Secret to Everybody";

/// `orders` is a fact with quarantine, `meters` telemetry that is rejected, `commands` requires a
/// key, `ids` has its ids in the data, `old` is retired.
const CONTRACTS: &str = r#"
apiVersion: contract/v1
kind: Team
metadata: {name: team}
spec: {pager: "mailto:team@example.com"}
---
apiVersion: contract/v1
kind: EventContract
metadata: {name: orders, owner: team, version: 1.2.0}
spec:
  class: fact
  event: {type: com.example.order}
  schema: {file: order.json}
  key: {from: $.customer}
---
apiVersion: contract/v1
kind: EventContract
metadata: {name: meters, owner: team}
spec:
  class: telemetry
  event: {type: com.example.meter}
  schema: {file: order.json}
  key: {from: $.customer}
  topic: {maxMessage: 4KiB}
---
apiVersion: contract/v1
kind: EventContract
metadata: {name: commands, owner: team}
spec:
  class: command
  schema: {file: order.json}
  key: {from: $.customer}
---
apiVersion: contract/v1
kind: EventContract
metadata: {name: ids, owner: team}
spec:
  class: fact
  event: {id: $.number, time: {from: $.at}}
  schema: {file: order.json}
  key: {from: $.customer}
---
apiVersion: contract/v1
kind: EventContract
metadata: {name: old, owner: team}
spec:
  class: fact
  lifecycle: retired
  schema: {file: order.json}
  key: {from: $.customer}
---
apiVersion: contract/v1
kind: EventContract
metadata: {name: github-push, owner: team}
spec:
  class: fact
  event: {type: com.github.push, source: "https://github.com"}
  schema: {file: push.json}
  key: {from: $.repository.full_name}
"#;

const ORDER: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "required": ["total"],
  "properties": {"total": {"type": "integer"}, "customer": {"type": "string"}}
}"#;

const PUSH: &str = r#"{
  "$schema": "http://json-schema.org/draft-07/schema#",
  "type": "object",
  "required": ["ref", "repository"]
}"#;

/// Reads the contracts above, with `schema` as that of the orders.
pub(crate) fn contracts(schema: &str) -> Contracts {
    load(CONTRACTS.to_owned(), schema)
}

/// Reads the contracts above, with another topic for the orders.
pub(crate) fn contracts_with_orders_in(topic: &str) -> Contracts {
    let orders = "event: {type: com.example.order}\n";
    assert!(CONTRACTS.contains(orders));
    let moved = format!("{orders}  topic: {{name: {topic}}}\n");
    load(CONTRACTS.replace(orders, &moved), ORDER)
}

/// Reads contracts of their own, over the same schemas.
pub(crate) fn contracts_of(text: &str) -> Contracts {
    load(text.to_owned(), ORDER)
}

fn load(text: String, schema: &str) -> Contracts {
    let files = [("all.yaml".to_owned(), text)];
    let schemas = |path: &str| match path {
        "order.json" => Some(schema.to_owned()),
        "push.json" => Some(PUSH.to_owned()),
        _ => None,
    };
    tidegate_contract::load::sources(&files, &schemas).unwrap_or_else(|found| panic!("{found}"))
}

/// A gateway that serves.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) ops: SocketAddr,
    pub(crate) registry: SocketAddr,
    pub(crate) log: Arc<FaultyLog>,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) client: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    served: tokio::task::JoinHandle<std::io::Result<()>>,
    /// The other doors close with it, so that nobody uses the log any more.
    _gone: DropGuard,
}

pub(crate) async fn start() -> Running {
    start_with(Settings::default()).await
}

pub(crate) async fn start_with(settings: Settings) -> Running {
    let (log, clock) = fresh_log().await;
    start_on(log, clock, settings).await
}

/// Starts a gateway whose contracts are in its log.
pub(crate) async fn start_from_log() -> Running {
    let (log, clock) = fresh_log().await;
    start_again_from_log(log, clock).await
}

/// Starts another gateway on the log of one.
pub(crate) async fn start_again_from_log(log: Arc<FaultyLog>, clock: Arc<HandClock>) -> Running {
    let settings = Settings {
        apply_deadline: Duration::from_secs(2),
        audit_deadline: Duration::from_secs(1),
        ..Settings::default()
    };
    start_from(log, clock, settings, ContractSource::Log).await
}

/// Starts a gateway with these contracts in force.
pub(crate) async fn start_under(contracts: Contracts, settings: Settings) -> Running {
    let (log, clock) = fresh_log().await;
    start_from(log, clock, settings, ContractSource::Folder(contracts)).await
}

/// Makes a source whose requests may be five minutes old.
pub(crate) fn source_of(provider: Provider, secrets: &[&str]) -> Source {
    let secrets = secrets.iter().map(|secret| Secret::new(*secret)).collect();
    Source::new(provider, secrets, Duration::from_secs(300)).unwrap()
}

/// Opens a log with nothing in it, which has the time of the clock.
pub(crate) async fn fresh_log() -> (Arc<FaultyLog>, Arc<HandClock>) {
    let clock = Arc::new(HandClock::new());
    let (log, keeper) = logs::open(&clock).await;
    (Arc::new(FaultyLog::over(log, keeper)), clock)
}

/// Starts a gateway on a log that may have served another one.
pub(crate) async fn start_on(
    log: Arc<FaultyLog>,
    clock: Arc<HandClock>,
    settings: Settings,
) -> Running {
    let source = ContractSource::Folder(contracts(ORDER));
    start_from(log, clock, settings, source).await
}

/// Starts a gateway of its own contracts on a log of its own.
pub(crate) async fn start_from_parts(settings: Settings, source: ContractSource) -> Running {
    let (log, clock) = fresh_log().await;
    start_from(log, clock, settings, source).await
}

pub(crate) async fn start_from(
    log: Arc<FaultyLog>,
    clock: Arc<HandClock>,
    mut settings: Settings,
    source: ContractSource,
) -> Running {
    settings.apply_deadline = logs::patience(settings.apply_deadline);
    settings.audit_deadline = logs::patience(settings.audit_deadline);
    settings
        .sources
        .insert("github".to_owned(), source_of(Provider::Github, &[SECRET]));
    let gateway = Gateway::start(Parts {
        log: log.clone(),
        contracts: source,
        settings,
        clock: clock.clone(),
        ids: Arc::new(RandomIds),
    })
    .await
    .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let stopped = async move { drop(stopped.await) };
    let served = tokio::spawn(serve_http(listener, Arc::clone(&gateway), stopped));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ops = listener.local_addr().unwrap();
    let gone = CancellationToken::new();
    let until = gone.clone().cancelled_owned();
    tokio::spawn(serve_ops(listener, Arc::clone(&gateway), until));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let registry = listener.local_addr().unwrap();
    let until = gone.clone().cancelled_owned();
    tokio::spawn(serve_registry(listener, Arc::clone(&gateway), until));
    let client = reqwest::Client::new();
    Running {
        address,
        ops,
        registry,
        log,
        clock,
        gateway,
        client,
        stop: Some(stop),
        served,
        _gone: gone.drop_guard(),
    }
}

impl Running {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let mut request = self.client.post(self.url(path)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request.send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.client.get(self.url(path)).send().await.unwrap()).await
    }

    /// Sends an order in binary mode.
    pub(crate) async fn order(&self, id: &str, body: &str) -> Answer {
        let headers = [
            ("content-type", "application/json"),
            ("ce-specversion", "1.0"),
            ("ce-id", id),
            ("ce-source", "/shop"),
            ("ce-type", "com.example.order"),
        ];
        self.post("/v1/events", &headers, body.to_owned()).await
    }

    pub(crate) async fn plain(&self, contract: &str, key: Option<&str>, body: &str) -> Answer {
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(key.map(|key| ("idempotency-key", key)));
        self.post(&format!("/v1/events/{contract}"), &headers, body.to_owned())
            .await
    }

    /// Writes bytes to a connection of their own and reads to its end.
    pub(crate) async fn raw(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        read_to_end(stream).await
    }

    /// Returns what the log has, whatever its faults.
    pub(crate) fn real_log(&self) -> &Arc<dyn Log> {
        self.log.real()
    }

    /// Reads every record of a topic.
    pub(crate) async fn records(&self, topic: &str) -> Vec<StoredRecord> {
        let log = self.log.real();
        let topics = log.topics().await.unwrap();
        let mut topics = topics.into_iter();
        let topic = topics.find(|found| found.name == topic).unwrap();
        let mut records = Vec::new();
        for partition in 0..topic.partitions {
            let mut from = 0;
            loop {
                let read = log.read(&topic.name, partition, from, usize::MAX);
                let read = read.await.unwrap();
                records.extend(read.records);
                from = read.next;
                if from >= read.high_watermark {
                    break;
                }
            }
        }
        records
    }

    /// Returns how many records there are in all topics but the audit, which has the refusals too, and those that the
    /// log keeps for itself.
    pub(crate) async fn count(&self) -> usize {
        let mut count = 0;
        let mut topics = self.log.real().topics().await.unwrap();
        topics.retain(|topic| topic.name != AUDIT && !logs::keeps_for_itself(&topic.name));
        for topic in topics {
            count += self.records(&topic.name).await.len();
        }
        count
    }

    /// Puts the same contracts in force again.
    pub(crate) async fn reload(&self) {
        self.gateway
            .replace_contracts(&contracts(ORDER))
            .await
            .unwrap();
    }

    pub(crate) async fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    pub(crate) async fn ended(self) {
        self.served.await.unwrap().unwrap();
    }
}

pub(crate) async fn read_to_end(mut stream: TcpStream) -> String {
    let mut response = Vec::new();
    // A reset after the answer is an end too.
    drop(stream.read_to_end(&mut response).await);
    String::from_utf8(response).unwrap()
}

/// An answer, read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) async fn of(response: Response) -> Self {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = response.text().await.unwrap();
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self {
            status,
            headers,
            text,
            json,
        }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Checks status and media type of an accepted event.
    pub(crate) fn accepted(&self, duplicate: bool) -> &Self {
        assert_eq!(self.status, StatusCode::ACCEPTED.as_u16(), "{}", self.text);
        assert_eq!(self.header("content-type"), "application/json");
        assert_eq!(self.json["duplicate"], duplicate, "{}", self.text);
        assert_eq!(
            self.header("idempotent-replayed"),
            if duplicate { "true" } else { "" }
        );
        let location = format!("/v1/receipts/{}", self.json["id"].as_str().unwrap());
        assert_eq!(self.header("location"), location);
        self
    }

    /// Checks that it is the problem of this slug, as RFC 9457 has problems.
    pub(crate) fn problem(&self, slug: &str, status: u16) -> &Self {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{}",
            self.text
        );
        assert_eq!(
            self.json["type"],
            format!("/problems/{slug}"),
            "{}",
            self.text
        );
        assert_eq!(self.json["status"], status);
        let instance = format!("/requests/{}", self.header("x-request-id"));
        assert_eq!(self.json["instance"], instance);
        self
    }

    /// Returns the receipt without the mark of a repeat.
    pub(crate) fn receipt(&self) -> Value {
        let mut receipt = self.json.clone();
        receipt.as_object_mut().unwrap().remove("duplicate");
        receipt
    }
}

/// Returns the text of a record's header.
pub(crate) fn header<'a>(record: &'a StoredRecord, name: &str) -> Option<&'a str> {
    let found = record
        .record
        .headers
        .iter()
        .find(|header| header.name == name.as_bytes())?;
    Some(std::str::from_utf8(found.value.as_deref().unwrap()).unwrap())
}

pub(crate) fn structured(id: &str, event_type: &str, data: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/shop","type":"{event_type}","data":{data}}}"#
    )
}
