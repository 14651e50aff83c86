//! A running gateway and the ways to talk to it.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::{Response, StatusCode};
use serde_json::Value;
use tidegate_contract::Contracts;
use tidegate_event_log::{
    AlterTopic, Append, Appended, Bounds, Claim, Log, LogError, MemoryLog, Offset, Read,
    StoredRecord, Topic, TopicSpec, Watermarks,
};
use tidegate_gateway::{
    Clock, ContractSource, Gateway, Parts, RandomIds, Secret, Settings, Source, serve_http,
    serve_ops, serve_registry,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};

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

/// A clock that stands until it is moved.
pub(crate) struct HandClock(AtomicI64);

impl HandClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.0
            .fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What goes wrong in the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Fault {
    None = 0,
    /// Appends are taken and never answered.
    StoresAndHangs = 1,
    /// Nothing is answered, nothing is taken.
    Hangs = 2,
    /// Refuses, having stored nothing.
    NotStored = 3,
    /// Fails, and nobody knows.
    InDoubt = 4,
    /// Appends are taken, stored a while later, and never answered.
    StoresLate = 5,
}

/// The log goes away in the middle of something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Break {
    /// Calls that still go well.
    pub(crate) after: usize,
    /// Whether the first call that fails does its work all the same, and nobody hears of it.
    pub(crate) done: bool,
    /// Whether all calls fail from then on.
    pub(crate) stays: bool,
}

/// What becomes of a call.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Call {
    Fine,
    Lost,
    DoneAndLost,
}

/// How much later.
const LATE: Duration = Duration::from_millis(600);

const FAULTS: [Fault; 6] = [
    Fault::None,
    Fault::StoresAndHangs,
    Fault::Hangs,
    Fault::NotStored,
    Fault::InDoubt,
    Fault::StoresLate,
];

/// A real log that can be made to fail.
pub(crate) struct FaultyLog {
    inner: Arc<MemoryLog>,
    fault: AtomicU8,
    breaks: Mutex<Option<Break>>,
    /// Told of each append that was late, once it was tried.
    pub(crate) landed: Arc<Notify>,
}

impl FaultyLog {
    pub(crate) fn set(&self, fault: Fault) {
        self.fault.store(fault as u8, Ordering::Relaxed);
    }

    /// Breaks the log in so many calls; nothing mends it.
    pub(crate) fn break_in(&self, breaks: Option<Break>) {
        *self.breaks.lock() = breaks;
    }

    /// Whether the break has come.
    pub(crate) fn is_broken(&self) -> bool {
        self.breaks.lock().is_none_or(|it| it.after == 0)
    }

    fn call(&self) -> Call {
        let mut breaks = self.breaks.lock();
        match *breaks {
            Some(Break {
                after: 0,
                done,
                stays,
            }) => {
                *breaks = stays.then_some(Break {
                    after: 0,
                    done: false,
                    stays,
                });
                if done { Call::DoneAndLost } else { Call::Lost }
            }
            Some(Break { after, .. }) => {
                breaks.as_mut().unwrap().after = after - 1;
                Call::Fine
            }
            None => Call::Fine,
        }
    }

    /// Does something, unless the log is broken.
    async fn unless_broken<T>(
        &self,
        work: impl Future<Output = Result<T, LogError>>,
    ) -> Result<T, LogError> {
        match self.call() {
            Call::Fine => work.await,
            Call::Lost => Err(LogError::not_stored("broken")),
            Call::DoneAndLost => {
                drop(work.await);
                Err(LogError::in_doubt("broken"))
            }
        }
    }

    async fn fail(&self) -> Result<(), LogError> {
        match FAULTS[usize::from(self.fault.load(Ordering::Relaxed))] {
            Fault::None | Fault::StoresAndHangs | Fault::StoresLate => Ok(()),
            Fault::Hangs => std::future::pending().await,
            Fault::NotStored => Err(LogError::not_stored("no room")),
            Fault::InDoubt => Err(LogError::in_doubt("the device is gone")),
        }
    }
}

#[async_trait::async_trait]
impl Log for FaultyLog {
    async fn append(&self, appends: Vec<Append>) -> Vec<Result<Appended, LogError>> {
        if let Err(error) = self.fail().await {
            return vec![Err(error); appends.len()];
        }
        match self.call() {
            Call::Fine => {}
            Call::Lost => return vec![Err(LogError::not_stored("broken")); appends.len()],
            Call::DoneAndLost => {
                let count = self.inner.append(appends).await.len();
                return vec![Err(LogError::in_doubt("broken")); count];
            }
        }
        if self.fault.load(Ordering::Relaxed) == Fault::StoresLate as u8 {
            let (log, landed) = (Arc::clone(&self.inner), Arc::clone(&self.landed));
            tokio::spawn(async move {
                tokio::time::sleep(LATE).await;
                drop(log.append(appends).await);
                landed.notify_one();
            });
            std::future::pending::<()>().await;
            return Vec::new();
        }
        let answers = self.inner.append(appends).await;
        if self.fault.load(Ordering::Relaxed) == Fault::StoresAndHangs as u8 {
            std::future::pending::<()>().await;
        }
        answers
    }

    async fn lookup(&self, claim: &Claim) -> Result<Option<Appended>, LogError> {
        self.fail().await?;
        self.inner.lookup(claim).await
    }

    async fn read(
        &self,
        topic: &str,
        partition: i32,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Read, LogError> {
        self.fail().await?;
        let read = self.inner.read(topic, partition, from, max_bytes);
        self.unless_broken(read).await
    }

    async fn watch(
        &self,
        topic: &str,
        partition: i32,
        beyond: Offset,
        at_most: Duration,
    ) -> Result<Offset, LogError> {
        self.inner.watch(topic, partition, beyond, at_most).await
    }

    async fn watermarks(&self, topic: &str, partition: i32) -> Result<Watermarks, LogError> {
        self.fail().await?;
        self.inner.watermarks(topic, partition).await
    }

    async fn offset_at(
        &self,
        topic: &str,
        partition: i32,
        timestamp_ms: i64,
    ) -> Result<Option<Offset>, LogError> {
        self.inner.offset_at(topic, partition, timestamp_ms).await
    }

    async fn topics(&self) -> Result<Vec<Topic>, LogError> {
        self.fail().await?;
        self.unless_broken(self.inner.topics()).await
    }

    async fn bounds(&self) -> Result<Bounds, LogError> {
        self.fail().await?;
        self.unless_broken(self.inner.bounds()).await
    }

    async fn create_topic(&self, spec: TopicSpec) -> Result<Topic, LogError> {
        self.unless_broken(self.inner.create_topic(spec)).await
    }

    async fn alter_topic(&self, name: &str, alter: AlterTopic) -> Result<Topic, LogError> {
        self.fail().await?;
        self.unless_broken(self.inner.alter_topic(name, alter))
            .await
    }

    async fn delete_topic(&self, name: &str) -> Result<(), LogError> {
        self.unless_broken(self.inner.delete_topic(name)).await
    }

    async fn committed(&self, group: &str, topic: &str) -> Result<Vec<Option<Offset>>, LogError> {
        self.fail().await?;
        self.inner.committed(group, topic).await
    }

    async fn commit(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
        offset: Offset,
    ) -> Result<(), LogError> {
        self.fail().await?;
        self.inner.commit(group, topic, partition, offset).await
    }

    async fn groups(&self) -> Result<Vec<String>, LogError> {
        self.fail().await?;
        self.inner.groups().await
    }
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
}

pub(crate) async fn start() -> Running {
    start_with(Settings::default()).await
}

pub(crate) async fn start_with(settings: Settings) -> Running {
    let (log, clock) = fresh_log();
    start_on(log, clock, settings).await
}

/// Starts a gateway whose contracts are in its log.
pub(crate) async fn start_from_log() -> Running {
    let (log, clock) = fresh_log();
    start_again_from_log(log, clock).await
}

/// Starts another gateway on the log of one.
pub(crate) async fn start_again_from_log(log: Arc<FaultyLog>, clock: Arc<HandClock>) -> Running {
    let settings = Settings {
        apply_deadline: Duration::from_millis(700),
        ..Settings::default()
    };
    start_from(log, clock, settings, ContractSource::Log).await
}

fn fresh_log() -> (Arc<FaultyLog>, Arc<HandClock>) {
    let clock = Arc::new(HandClock(AtomicI64::new(1_700_000_000_000)));
    let log_clock = Arc::clone(&clock);
    let log = Arc::new(FaultyLog {
        inner: Arc::new(MemoryLog::new(move || log_clock.now_ms())),
        fault: AtomicU8::new(0),
        breaks: Mutex::default(),
        landed: Arc::default(),
    });
    (log, clock)
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

pub(crate) async fn start_from(
    log: Arc<FaultyLog>,
    clock: Arc<HandClock>,
    mut settings: Settings,
    source: ContractSource,
) -> Running {
    let secret = Secret::new(SECRET);
    settings
        .sources
        .insert("github".to_owned(), Source::Github { secret });
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
    tokio::spawn(serve_ops(
        listener,
        Arc::clone(&gateway),
        std::future::pending(),
    ));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let registry = listener.local_addr().unwrap();
    tokio::spawn(serve_registry(
        listener,
        Arc::clone(&gateway),
        std::future::pending(),
    ));
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
    pub(crate) fn real_log(&self) -> &Arc<MemoryLog> {
        &self.log.inner
    }

    /// Reads every record of a topic.
    pub(crate) async fn records(&self, topic: &str) -> Vec<StoredRecord> {
        let topics = self.log.inner.topics().await.unwrap();
        let topic = topics
            .into_iter()
            .find(|found| found.name == topic)
            .unwrap();
        let mut records = Vec::new();
        for partition in 0..topic.partitions {
            let read = self
                .log
                .inner
                .read(&topic.name, partition, 0, usize::MAX)
                .await
                .unwrap();
            records.extend(read.records);
        }
        records
    }

    /// Returns how many records there are in all topics.
    pub(crate) async fn count(&self) -> usize {
        let mut count = 0;
        for topic in self.log.inner.topics().await.unwrap() {
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
