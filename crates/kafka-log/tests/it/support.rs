//! An Apache Kafka of one node, shared by the tests of this binary. It ends with the process, however that ends.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use tokio::sync::{Mutex, MutexGuard};

const LIMIT: Duration = Duration::from_secs(15);

pub(crate) struct Kafka {
    pub(crate) bootstrap: String,
    /// The port of a second listener, which sends its clients to the port above it: a proxy's.
    pub(crate) detour: u16,
    _holder: Child,
    _held: ChildStdin,
}

/// Returns the cluster of this process, and the turn to use it: a test that empties it is alone.
pub(crate) async fn kafka() -> (&'static Kafka, MutexGuard<'static, ()>) {
    static TURN: Mutex<()> = Mutex::const_new(());
    static KAFKA: OnceLock<Kafka> = OnceLock::new();
    let turn = TURN.lock().await;
    let kafka = KAFKA.get_or_init(|| {
        let port = free_ports();
        let detour = port + 2;
        let settings = [
            format!(
                "listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{},DETOUR://127.0.0.1:{detour}",
                port + 1
            ),
            format!(
                "advertised.listeners=PLAINTEXT://127.0.0.1:{port},DETOUR://127.0.0.1:{}",
                detour + 1
            ),
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,DETOUR:PLAINTEXT".to_owned(),
            "inter.broker.listener.name=PLAINTEXT".to_owned(),
            "log.message.timestamp.after.max.ms=9223372036854775807".to_owned(),
            "group.min.session.timeout.ms=1000".to_owned(),
        ];
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/kafka");
        let mut hold = Command::new(tool);
        hold.args(["hold", "--port", &port.to_string()]);
        for setting in &settings {
            hold.args(["--set", setting]);
        }
        let mut holder = hold
            .env("KAFKA_HEAP_OPTS", "-Xms256m -Xmx512m")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let held = holder.stdin.take().unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(holder.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "no kafka: run `tools/kafka install`");
        Kafka {
            bootstrap: line.trim().to_owned(),
            detour,
            _holder: holder,
            _held: held,
        }
    });
    (kafka, turn)
}

/// Finds four ports in a row, below those that the system gives to outgoing connections.
fn free_ports() -> u16 {
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let mut ports = (first..31_000).step_by(4);
    ports.find(|port| (*port..port + 4).all(is_free)).unwrap()
}

/// Deletes every topic and group of the cluster, so that the next log finds it empty.
pub(crate) async fn wipe(bootstrap: &str) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
    let asked: BaseConsumer = config.set("group.id", "wipe").create().unwrap();
    let options = AdminOptions::new().operation_timeout(Some(LIMIT));
    let topics = || {
        let metadata = asked.fetch_metadata(None, LIMIT).unwrap();
        let names = metadata
            .topics()
            .iter()
            .map(|topic| topic.name().to_owned());
        names
            .filter(|name| !name.starts_with("__"))
            .collect::<Vec<_>>()
    };
    // The last log has to have left, or it would look for its topics.
    loop {
        let groups = asked.fetch_group_list(None, LIMIT).unwrap();
        let groups = groups.groups().iter().map(|group| group.name().to_owned());
        let groups: Vec<_> = groups.collect();
        if groups.is_empty() {
            break;
        }
        let groups: Vec<_> = groups.iter().map(String::as_str).collect();
        let deleted = admin.delete_groups(&groups, &options).await.unwrap();
        let gone = deleted.into_iter().all(|deleted| match deleted {
            Ok(_) | Err((_, RDKafkaErrorCode::GroupIdNotFound)) => true,
            Err((_, RDKafkaErrorCode::NonEmptyGroup)) => false,
            Err((group, code)) => panic!("{group}: {code}"),
        });
        if !gone {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let names = topics();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    if !names.is_empty() {
        for deleted in admin.delete_topics(&names, &options).await.unwrap() {
            deleted.unwrap();
        }
    }
    while !topics().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
