//! Bridges of the real binary: killed in the middle, halted by a canary's dead letters that a Kafka
//! client wrote, ended by the commits of groups that came through the Kafka port.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rskafka::client::ClientBuilder;
use rskafka::client::partition::{Compression, UnknownTopicHandling};
use rskafka::record::Record;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::tempdir;
use tokio::runtime::Runtime;

use crate::program::{Served, root, run};

const LIMIT: Duration = Duration::from_secs(60);
const BRIDGE: &str = "/v1/bridges/order-paid-2";

/// Writes the example's contracts, changed.
fn contracts(folder: &Path, changes: &[(&str, &str)]) {
    let example = root().join("examples/migration/contracts");
    fs::create_dir_all(folder.join("schemas")).unwrap();
    for name in [
        "orders.yaml",
        "readers.yaml",
        "schemas/order-paid.json",
        "schemas/order-paid-2.json",
    ] {
        let mut text = fs::read_to_string(example.join(name)).unwrap();
        for (from, to) in changes {
            text = text.replace(from, to);
        }
        fs::write(folder.join(name), text).unwrap();
    }
}

/// A client of a process that serves.
struct Asked<'s> {
    served: &'s Served,
    runtime: &'s Runtime,
}

impl Asked<'_> {
    fn get(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.served.url);
        self.runtime.block_on(async {
            let answer = reqwest::get(url).await.unwrap();
            serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
        })
    }

    /// Sends paid orders `from..to` of ten customers, in their order.
    fn send(&self, from: usize, to: usize) {
        let event = |number: usize| {
            json!({
                "specversion": "1.0", "id": format!("e-{number}"), "source": "/shop",
                "type": "com.example.order.paid", "data": {"id": format!("o-{}", number % 10), "cents": number + 1},
            })
        };
        for batch in (from..to).collect::<Vec<_>>().chunks(500) {
            let batch: Vec<Value> = batch.iter().map(|number| event(*number)).collect();
            let request = reqwest::Client::new()
                .post(format!("{}/v1/events", self.served.url))
                .header("content-type", "application/cloudevents-batch+json")
                .body(json!(batch).to_string());
            let answer = self.runtime.block_on(request.send()).unwrap();
            assert!(answer.status().is_success(), "{answer:?}");
        }
    }

    fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let limit = Instant::now() + LIMIT;
        loop {
            let told = self.get(BRIDGE);
            if holds(&told) {
                return told;
            }
            assert!(Instant::now() < limit, "{what}: {told}");
        }
    }

    fn until_state(&self, state: &str) -> Value {
        self.until(state, |told| told["state"] == state)
    }

    /// Reads all copied events: key, id and where each came from, in the order of their partition.
    fn copied(&self) -> Vec<(String, String, String)> {
        let mut found = Vec::new();
        for partition in 0..3 {
            let mut at = 0;
            loop {
                let path = format!(
                    "/v1/topics/order-paid-2/events?partition={partition}&limit=500&offset={at}"
                );
                let page = self.get(&path);
                for event in page["events"].as_array().unwrap() {
                    let header = |name: &str| {
                        let mut headers = event["headers"].as_array().unwrap().iter();
                        let found = headers.find(|header| header["name"] == name).unwrap();
                        found["value"].as_str().unwrap().to_owned()
                    };
                    let key = event["key"].as_str().unwrap().to_owned();
                    found.push((key, header("ce_id"), header("tidegate_bridge_source")));
                }
                at = page["next"].as_i64().unwrap();
                if at >= page["high_watermark"].as_i64().unwrap() {
                    break;
                }
            }
        }
        found
    }

    /// Lets a group commit all there is in a topic, as any Kafka client does.
    fn read_all(&self, group: &str, topic: &str) {
        let view = self.get(&format!("/v1/topics/{topic}"));
        let partitions = view["partition_offsets"].as_array().unwrap();
        let ends: Vec<i64> = partitions
            .iter()
            .map(|partition| partition["high_watermark"].as_i64().unwrap())
            .collect();
        let address = self.served.door("kafka");
        commit(address.trim_start_matches("http://"), group, topic, &ends);
    }
}

/// OffsetCommit (8), version 2, of a group without members, as Kafka's simple consumers send it.
fn commit(address: &str, group: &str, topic: &str, offsets: &[i64]) {
    fn text(into: &mut Vec<u8>, text: &str) {
        into.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
        into.extend(text.as_bytes());
    }
    let count = |count: usize| i32::try_from(count).unwrap().to_be_bytes();
    let mut request = Vec::new();
    request.extend([0, 8, 0, 2, 0, 0, 0, 7]);
    text(&mut request, "reader");
    text(&mut request, group);
    request.extend((-1i32).to_be_bytes());
    text(&mut request, "");
    request.extend((-1i64).to_be_bytes());
    request.extend(count(1));
    text(&mut request, topic);
    request.extend(count(offsets.len()));
    for (partition, offset) in offsets.iter().enumerate() {
        request.extend(count(partition));
        request.extend(offset.to_be_bytes());
        request.extend((-1i16).to_be_bytes());
    }
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(&count(request.len())).unwrap();
    stream.write_all(&request).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let length = usize::try_from(i32::from_be_bytes(length)).unwrap();
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).unwrap();
    // Behind the correlation id, the number of topics, the name and the number of partitions.
    let partitions = &answer[4 + 4 + 2 + topic.len() + 4..];
    assert_eq!(partitions.len(), 6 * offsets.len(), "{answer:?}");
    for partition in partitions.chunks(6) {
        assert_eq!(partition[4..], [0, 0], "{answer:?}");
    }
}

#[test]
fn killed_in_the_middle_it_copies_each_event_once_and_in_order() {
    const EVENTS: usize = 3_000;
    let (data, folder) = (tempdir().unwrap(), tempdir().unwrap());
    let runtime = Runtime::new().unwrap();
    // No canary, and at first no bridge: the events are there before it starts.
    contracts(folder.path(), &[("    canary: {first: 20, for: 1s}\n", "")]);
    let contracts = folder.path().to_str().unwrap();
    let draft = tempdir().unwrap();
    let example = fs::read_to_string(folder.path().join("orders.yaml")).unwrap();
    let (before, _) = example.split_once("---\n").unwrap();
    let team = "---\napiVersion: contract/v1\nkind: Team\nmetadata: {name: team-orders}\nspec: {pager: \"mailto:a@example.com\"}\n";
    fs::create_dir(draft.path().join("schemas")).unwrap();
    fs::write(draft.path().join("orders.yaml"), format!("{before}{team}")).unwrap();
    let schema = "schemas/order-paid.json";
    fs::copy(folder.path().join(schema), draft.path().join(schema)).unwrap();
    let arguments = ["--contracts", draft.path().to_str().unwrap()];
    let served = Served::start(data.path(), &arguments);
    let asked = Asked {
        served: &served,
        runtime: &runtime,
    };
    asked.send(0, EVENTS);
    served.signal(Signal::TERM);

    let mut kills = 0;
    let mut dealt_with = 0;
    while kills < 5 {
        let served = Served::start(data.path(), &["--contracts", contracts]);
        let asked = Asked {
            served: &served,
            runtime: &runtime,
        };
        let told = asked.until("goes on", |told| {
            told["dealt_with"].as_u64().unwrap_or(0) > dealt_with
        });
        dealt_with = told["dealt_with"].as_u64().unwrap();
        served.signal(Signal::KILL);
        if told["lag"] != 0 {
            kills += 1;
        } else {
            break;
        }
    }
    assert!(kills >= 2, "{kills} kills hit it in the middle");
    let served = Served::start(data.path(), &["--contracts", contracts]);
    let asked = Asked {
        served: &served,
        runtime: &runtime,
    };
    asked.until("all is copied", |told| told["dealt_with"] == EVENTS);
    let copied = asked.copied();
    let mut last: BTreeMap<&str, usize> = BTreeMap::new();
    let mut seen = vec![0; EVENTS];
    for (key, id, _) in &copied {
        let number = id
            .trim_start_matches("e-")
            .trim_end_matches("~order-paid-2");
        let number: usize = number.parse().unwrap();
        seen[number] += 1;
        let before = last.insert(key, number);
        assert!(before.is_none_or(|before| before < number), "{key}: {id}");
    }
    assert!(
        seen.iter().all(|count| *count == 1),
        "{} copies",
        copied.len()
    );
    eprintln!("{kills} kills in the middle of {EVENTS} events");
}

#[test]
fn a_canarys_dead_letter_halts_the_rollout_and_the_last_commit_ends_the_bridge() {
    let (data, folder) = (tempdir().unwrap(), tempdir().unwrap());
    let runtime = Runtime::new().unwrap();
    contracts(folder.path(), &[]);
    let arguments = ["--contracts", folder.path().to_str().unwrap()];
    let served = Served::start(data.path(), &arguments);
    let asked = Asked {
        served: &served,
        runtime: &runtime,
    };
    asked.send(0, 50);
    let told = asked.until_state("waits-for-canaries");
    assert_eq!(told["waits_for"], json!(["reports"]));
    assert_eq!(
        (&told["dealt_with"], &told["lag"]),
        (&json!(20), &json!(30))
    );
    assert_eq!(asked.copied().len(), 20);
    runtime.block_on(async {
        let kafka = served.door("kafka");
        let kafka = kafka.trim_start_matches("http://").to_owned();
        let client = ClientBuilder::new(vec![kafka]).build().await.unwrap();
        let topic = "reports.dead-letters";
        let controller = client.controller_client().unwrap();
        // `contract apply` may have made it.
        drop(controller.create_topic(topic, 1, 1, 5_000).await);
        let dead = client.partition_client(topic, 0, UnknownTopicHandling::Retry);
        let record = Record {
            key: None,
            value: Some(b"cannot be read".to_vec()),
            headers: BTreeMap::new(),
            timestamp: rskafka::chrono::Utc::now(),
        };
        let dead = dead.await.unwrap();
        let sent = dead.produce(vec![record], Compression::NoCompression);
        sent.await.unwrap();
    });
    // It has read all the same: one error is enough.
    asked.read_all("reports.orders", "order-paid-2");
    let told = asked.until_state("halted");
    let expected = json!({
        "cause": "dead-letters",
        "detail": "canary `reports` put events into its dead letters",
        "reader": "reports",
        "first": {"topic": "reports.dead-letters", "partition": 0, "offset": 0},
    });
    assert_eq!(told["halt"], expected);
    let url = served.url.clone();
    let lineage = run(&["contract", "lineage", "--from", &url]);
    insta::assert_snapshot!("lineage_halted", lineage);
    served.signal(Signal::TERM);

    let served = Served::start(data.path(), &arguments);
    let asked = Asked {
        served: &served,
        runtime: &runtime,
    };
    asked.until_state("halted");
    assert_eq!(asked.copied().len(), 20);
    let url = served.url.clone();
    let resumed = run(&[
        "contract",
        "rollout",
        "resume",
        "order-paid-2",
        "--url",
        &url,
    ]);
    assert_eq!(resumed.code, 0, "{resumed}");
    let told = asked.until_state("up-to-date");
    assert_eq!(told["dealt_with"], 50);
    assert_eq!(asked.copied().len(), 50);
    let again = run(&[
        "contract",
        "rollout",
        "resume",
        "order-paid-2",
        "--url",
        &url,
    ]);
    assert_eq!(again.code, 6, "{again}");
    let listed = run(&["contract", "rollout", "list", "--url", &url]);
    insta::assert_snapshot!("rollout_list", listed);
    served.signal(Signal::TERM);

    // The earlier type is retired; two readers are left, and commit one after the other.
    let second = "---\napiVersion: contract/v1\nkind: ConsumerContract\nmetadata: {name: audit, owner: team-billing}\nspec: {contract: order-paid, accepts: \"1\", via: {kafka: {group: audit.orders}}}\n";
    let retired = ("lifecycle: deprecated", "lifecycle: retired");
    contracts(folder.path(), &[retired]);
    fs::write(folder.path().join("audit.yaml"), second).unwrap();
    let served = Served::start(data.path(), &arguments);
    let asked = Asked {
        served: &served,
        runtime: &runtime,
    };
    let waits = |names: &[&str]| {
        asked.until("waits for readers", |told| {
            told["state"] == "waits-for-readers" && told["waits_for"] == json!(names)
        });
    };
    waits(&["audit", "billing"]);
    asked.read_all("billing.orders", "order-paid");
    waits(&["audit"]);
    asked.read_all("audit.orders", "order-paid");
    asked.until_state("ended");
}

#[test]
fn lineage_is_drawn_from_files_in_every_form() {
    let folder = "examples/migration/contracts";
    for form in ["text", "json", "mermaid", "dot"] {
        let drawn = run(&["contract", "lineage", folder, "--format", form]);
        assert_eq!(drawn.code, 0, "{drawn}");
        insta::assert_snapshot!(format!("lineage_{form}"), drawn);
    }
    let found = run(&["contract", "lint", folder]);
    assert_eq!(found.code, 0, "{found}");
}
