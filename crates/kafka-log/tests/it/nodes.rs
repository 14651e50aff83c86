//! A cluster of three nodes, each of which can be killed and started again. Tests of other crates have this file too.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;

use crate::held::Held;

pub(crate) const NODES: i32 = 3;
/// How long a question may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);
/// Three nodes that recover on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);
const PAUSE: Duration = Duration::from_millis(200);

pub(crate) struct Nodes {
    pub(crate) bootstrap: String,
    directory: PathBuf,
    _held: Held,
    /// There is one at a time: three nodes are enough for a machine.
    _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::new(());

impl Nodes {
    /// Starts one, with settings of the nodes beside their own.
    pub(crate) fn start(settings: &[&str]) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let name = format!("tidegate-kafka-{}", uuid::Uuid::new_v4());
        let directory = std::env::temp_dir().join(name);
        let (nodes, path) = (NODES.to_string(), directory.to_str().unwrap());
        let mut options = vec!["--nodes", &nodes, "--dir", path];
        options.extend(settings.iter().flat_map(|setting| ["--set", setting]));
        let held = Held::start(&options);
        Self {
            bootstrap: held.bootstrap.clone(),
            directory,
            _held: held,
            _turn: turn,
        }
    }

    fn tool(&self, subcommand: &str, node: i32) -> Child {
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/kafka");
        let mut command = Command::new(tool);
        command
            .env("KAFKA_HEAP_OPTS", "-Xms256m -Xmx512m")
            .env("KAFKA_START_TIMEOUT_S", PATIENCE.as_secs().to_string())
            .args([subcommand, &node.to_string(), "--dir"])
            .arg(&self.directory);
        command.spawn().unwrap()
    }

    /// Kills nodes, which are counted from 1, as a crash does.
    pub(crate) fn kill(&self, nodes: &[i32]) {
        for node in nodes {
            let killed = self.tool("kill-node", *node).wait().unwrap();
            assert!(killed.success(), "node {node}");
        }
    }

    /// Starts killed nodes again, and returns when every partition has all of its copies.
    pub(crate) fn restart(&self, nodes: &[i32]) {
        // All at once: none of them is ready before there are enough to decide.
        let started = nodes.iter().map(|node| self.tool("restart-node", *node));
        for mut started in started.collect::<Vec<_>>() {
            assert!(started.wait().unwrap().success(), "a node starts again");
        }
        self.until("all copies are in step", |client| {
            let metadata = client.fetch_metadata(None, LIMIT)?;
            let mut partitions = metadata
                .topics()
                .iter()
                .flat_map(|topic| topic.partitions());
            Ok(i32::try_from(metadata.brokers().len()) == Ok(NODES)
                && partitions.all(|at| at.isr().len() == at.replicas().len()))
        });
    }

    /// Asks until it is so; a cluster whose nodes are killed may have no answer.
    pub(crate) fn until(
        &self,
        what: &str,
        is_so: impl Fn(&BaseConsumer) -> Result<bool, KafkaError>,
    ) {
        let client = self.client("read_uncommitted");
        let limit = Instant::now() + PATIENCE;
        loop {
            let found = is_so(&client);
            if matches!(found, Ok(true)) {
                return;
            }
            assert!(Instant::now() < limit, "{what}: {found:?}");
            std::thread::sleep(PAUSE);
        }
    }

    /// Makes a client of the test's own, which reads.
    pub(crate) fn client(&self, isolation: &str) -> BaseConsumer {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("group.id", "check")
            .set("isolation.level", isolation)
            .set("enable.partition.eof", "true");
        config.create().unwrap()
    }
}
