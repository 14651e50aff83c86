//! Replicas over a real Apache Kafka: an event is stored once, whichever of them is asked, and whatever
//! becomes of the others.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::program::{Served, root, run, run_with};

const ORDER: &str = r#"{"orderId":"o-1001","customer":"c-17","lines":[{"sku":"tea-250","quantity":2}],"total":{"amount":1580,"currency":"EUR"}}"#;
const TOPIC: &str = "shop.order-placed";
/// Others own the keys of a replica that was killed after its session; then they read its claims.
const PATIENCE: Duration = Duration::from_secs(180);

/// Starts a cluster, says where it is, and stops it when nobody holds the other end of its input.
const SCRIPT: &str = r#"
set -euo pipefail
dir=$(mktemp -d)
trap 'tools/kafka stop --dir "$dir" >&2; rm -rf "$dir"' EXIT
trap '' INT TERM
tools/kafka start --dir "$dir" --port "$1"
exec >&-
cat >/dev/null
"#;

pub(crate) struct Kafka {
    bootstrap: String,
    script: Child,
    held: Option<ChildStdin>,
}

impl Kafka {
    pub(crate) fn start() -> Self {
        let mut ports = (20_500 + std::process::id() as u16 % 5_000..31_000).step_by(2);
        let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
        let port = ports.find(|port| is_free(port) && is_free(&(port + 1)));
        let mut script = Command::new("bash")
            .args(["-c", SCRIPT, "kafka", &port.unwrap().to_string()])
            .current_dir(root())
            .env("KAFKA_HEAP_OPTS", "-Xms256m -Xmx512m")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let held = script.stdin.take();
        let mut line = String::new();
        let mut output = BufReader::new(script.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "no kafka: run `tools/kafka install`");
        Self {
            bootstrap: line.trim().to_owned(),
            script,
            held,
        }
    }

    /// Starts a replica of the gateway over it.
    fn replica(&self) -> Served {
        self.replica_of("examples/small/contracts")
    }

    /// Starts a replica with the contracts of a folder.
    pub(crate) fn replica_of(&self, contracts: &str) -> Served {
        let doors = [
            "--http",
            "127.0.0.1:0",
            "--registry",
            "127.0.0.1:0",
            "--ops",
            "127.0.0.1:0",
        ];
        let serve = [
            "serve",
            "--log",
            "kafka",
            "--brokers",
            &self.bootstrap,
            "--contracts",
            contracts,
        ];
        Served::run(&[&serve[..], &doors].concat())
    }

    /// Reads what a Kafka client sees that wants committed records only.
    fn records(&self, topic: &str) -> Vec<String> {
        let mut read = Command::new("tools/kafka");
        read.args([
            "tool",
            "console-consumer",
            "--bootstrap-server",
            &self.bootstrap,
        ])
        .args(["--topic", topic, "--from-beginning", "--timeout-ms", "8000"])
        .args(["--isolation-level", "read_committed"])
        .current_dir(root());
        let read = read.output().unwrap();
        let text = String::from_utf8(read.stdout).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        drop(self.held.take());
        drop(self.script.wait());
    }
}

/// Sends the order until it is accepted, as a caller does that is told to come back.
fn accepted(replica: &Served, id: &str) -> Value {
    let began = Instant::now();
    let arguments = [
        "send",
        "com.example.order.placed",
        "--source",
        "/shop/orders",
        "--id",
        id,
        "--url",
        &replica.url,
        "-o",
        "json",
    ];
    loop {
        let sent = run_with(&arguments, &[], ORDER);
        if sent.code == 0 {
            return sent.json();
        }
        assert!(began.elapsed() < PATIENCE, "{sent}");
        sleep(Duration::from_millis(200));
    }
}

#[test]
fn replicas_store_an_event_once_whichever_is_asked() {
    let kafka = Kafka::start();
    let one = kafka.replica();
    let names: Vec<&str> = one
        .ready
        .split_whitespace()
        .filter_map(|part| part.split('=').next())
        .collect();
    assert_eq!(names, ["ready", "http", "registry", "ops"]);
    let two = kafka.replica();

    let first = accepted(&one, "e1");
    assert_eq!(first["duplicate"], false, "{first}");
    let again = accepted(&two, "e1");
    assert_eq!(
        (&again["duplicate"], &again["id"]),
        (&true.into(), &first["id"])
    );
    let shown = run(&[
        "event",
        "show",
        first["id"].as_str().unwrap(),
        "--url",
        &two.url,
    ]);
    assert_eq!(shown.code, 0, "{shown}");

    // Killed: the other one takes over what it decided about.
    drop(one);
    for id in ["e1", "e2", "e3", "e4"] {
        let sent = accepted(&two, id);
        assert_eq!(sent["duplicate"], id == "e1", "{sent}");
    }
    // Told to stop: a new one goes on at once.
    assert_eq!(two.signal(Signal::TERM).code(), Some(0));
    let three = kafka.replica();
    for id in ["e1", "e2", "e3", "e4"] {
        assert_eq!(accepted(&three, id)["duplicate"], true);
    }
    assert_eq!(kafka.records(TOPIC), [ORDER; 4]);
}

#[test]
fn the_kind_of_log_and_its_cluster_belong_together() {
    let ran = run(&["serve", "--log", "kafka"]);
    assert!(ran.code == 2 && ran.stderr.contains("--brokers"), "{ran}");
    let ran = run(&["serve", "--log", "embedded", "--brokers", "127.0.0.1:1"]);
    assert!(
        ran.code == 2 && ran.stderr.contains("kafka_log.brokers"),
        "{ran}"
    );
    let ran = run(&["serve", "--brokers", "127.0.0.1:1", "--data", "x"]);
    assert!(ran.code == 2 && ran.stderr.contains("--data"), "{ran}");
}

#[test]
fn a_setting_that_contradicts_a_promise_ends_it_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("tidegate.yaml");
    let check = |settings: &str, told: &str| {
        std::fs::write(&config, settings).unwrap();
        let ran = run(&["serve", "--config", config.to_str().unwrap()]);
        assert!(ran.code != 0 && ran.stderr.contains(told), "{ran}");
    };
    let pinned = "kafka_log:\n  brokers: 127.0.0.1:1\n  settings: {acks: 1}\n";
    check(
        pinned,
        "kafka setting `acks` cannot be `1`: it is `all`, because an ack means durable",
    );
    check(
        "kafka_log:\n  settings: {acks: all}\n",
        "name it in `kafka_log.brokers`",
    );
    let open = "kafka_log:\n  brokers: 127.0.0.1:1\n  peer: {listen: 0.0.0.0:0}\n";
    check(open, "set `kafka_log.peer.secret`");
}
