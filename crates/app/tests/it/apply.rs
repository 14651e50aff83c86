//! Contracts applied to a running gateway: what people see, five hundred topics, a process that dies
//! in the middle, and a reader that lags through a rollback.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::{BufMut as _, Bytes, BytesMut};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{
    GroupId, OffsetCommitRequest, OffsetFetchRequest, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable as _, HeaderVersion, Request, StrBytes};
use regex::Regex;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Runtime;

use crate::program::{Ran, Served, run};

const SCHEMA: &str = r#"{"type": "object", "properties": {"id": {"type": "string"}}}"#;
const TEAM: &str = "apiVersion: contract/v1\nkind: Team\nmetadata: {name: team-shop}\nspec: {pager: \"mailto:shop@example.com\"}\n";

fn contract(name: &str, version: &str, more: &str) -> String {
    format!(
        "apiVersion: contract/v1\nkind: EventContract\nmetadata: {{name: {name}, owner: team-shop, version: {version}}}\nspec:\n  \
         class: fact\n  schema: {{file: any.json}}\n  key: {{from: $.id}}\n{more}"
    )
}

/// A folder of contracts, and the data of a gateway.
struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = Self { directory };
        fs::create_dir(place.folder()).unwrap();
        place.write("any.json", SCHEMA);
        place.write("team.yaml", TEAM);
        place
    }

    fn folder(&self) -> String {
        let folder = self.directory.path().join("contracts");
        folder.to_str().unwrap().to_owned()
    }

    fn data(&self) -> &Path {
        self.directory.path()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(Path::new(&self.folder()).join(name), text).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(Path::new(&self.folder()).join(name)).unwrap();
    }

    fn serve(&self) -> Served {
        Served::start(&self.data().join("data"), &[])
    }

    /// Runs `contract WORD FOLDER` against a gateway.
    fn contract(&self, served: &Served, word: &str, more: &[&str]) -> Ran {
        let folder = self.folder();
        let mut arguments = vec!["contract", word, &folder, "--to", &served.url];
        if word == "apply" {
            arguments.extend(["--as", "anna"]);
        }
        arguments.extend(more);
        tidy(run(&arguments), served, &folder)
    }
}

/// Replaces what differs from run to run.
fn tidy(ran: Ran, served: &Served, folder: &str) -> Ran {
    let mut ran = ran.redacted(&[(&served.url, "URL"), (folder, "DIR")]);
    let plan = Regex::new(r"\b[0-9a-f]{32}\b").unwrap();
    for text in [&mut ran.stdout, &mut ran.stderr] {
        *text = plan.replace_all(text, "<plan>").into_owned();
    }
    ran
}

fn get(served: &Served, path: &str) -> Value {
    let url = format!("{}{path}", served.url);
    runtime().block_on(async { reqwest::get(url).await.unwrap().json().await.unwrap() })
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// The contracts in force with their versions.
fn in_force(served: &Served) -> BTreeSet<String> {
    let listed = get(served, "/v1/contracts");
    let listed = listed["contracts"].as_array().unwrap().iter();
    let name = |it: &Value| format!("{}@{}", it["name"], it["version"]).replace('"', "");
    listed.map(name).collect()
}

fn topics(served: &Served) -> BTreeSet<String> {
    let ran = run(&["topic", "list", "--url", &served.url, "-o", "json"]).json();
    let listed = ran["topics"].as_array().unwrap().iter();
    listed
        .map(|it| it["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_plan_reads_like_what_it_does() {
    let place = Place::new();
    let served = place.serve();
    place.write(
        "order.yaml",
        &contract("order-placed", "1.0.0", "  topic: {name: shop.orders}\n"),
    );
    place.write(
        "refund.yaml",
        &contract(
            "refund",
            "1.0.0",
            "  topic: {partitions: 1, retention: 7d, maxMessage: 64KiB}\n",
        ),
    );
    insta::assert_snapshot!("plan_new", place.contract(&served, "plan", &[]));
    let found = place.contract(&served, "plan", &["--detailed-exitcode"]);
    assert_eq!(found.code, 3, "{found}");
    assert!(in_force(&served).is_empty(), "a plan does nothing");
    insta::assert_snapshot!("apply_new", place.contract(&served, "apply", &[]));
    insta::assert_snapshot!("apply_again", place.contract(&served, "apply", &[]));
    let nothing = place.contract(&served, "plan", &["--detailed-exitcode"]);
    assert_eq!(nothing.code, 0, "{nothing}");

    place.write(
        "order.yaml",
        &contract(
            "order-placed",
            "2.0.0",
            "  topic: {name: shop.orders, partitions: 6}\n",
        ),
    );
    place.write(
        "refund.yaml",
        &contract(
            "refund",
            "1.0.0",
            "  topic: {partitions: 1, retention: 1d}\n",
        ),
    );
    insta::assert_snapshot!("plan_refused", place.contract(&served, "plan", &[]));
    insta::assert_snapshot!("apply_refused", place.contract(&served, "apply", &[]));
    let flags = ["--migrating", "--allow-narrowing", "refund"];
    insta::assert_snapshot!("apply_allowed", place.contract(&served, "apply", &flags));
    place.remove("refund.yaml");
    let flags = ["--delete", "refund", "--delete-topic", "refund"];
    insta::assert_snapshot!("apply_deleted", place.contract(&served, "apply", &flags));
    let list = ["contract", "list", "--to", &served.url];
    insta::assert_snapshot!("list_in_force", run(&list));
    let history = [&list[..], &["--history"]].concat();
    insta::assert_snapshot!(
        "list_history",
        tidy(run(&history), &served, &place.folder())
    );
    let back = |what: &str, more: &[&str]| {
        let rollback = [
            "contract",
            "rollback",
            what,
            "--to",
            &served.url,
            "--as",
            "ben",
        ];
        tidy(
            run(&[&rollback[..], more].concat()),
            &served,
            &place.folder(),
        )
    };
    // Its topic is gone, and comes back empty.
    insta::assert_snapshot!("rollback_dry", back("refund@1.0.0", &["--dry-run"]));
    assert_eq!(back("refund@1.0.0", &[]).code, 0);
    insta::assert_snapshot!("rollback_never", back("refund@7.0.0", &[]));
    assert!(in_force(&served).contains("refund@1.0.0"));
}

#[test]
fn an_apply_waits_for_its_approvals() {
    let place = Place::new();
    let served = place.serve();
    let team = TEAM.replace(
        "shop@example.com\"",
        "shop@example.com\", approves: {topic: 2}",
    );
    place.write("team.yaml", &team);
    place.write("order.yaml", &contract("order-placed", "1.0.0", ""));
    insta::assert_snapshot!("approval_missing", place.contract(&served, "apply", &[]));
    let folder = place.folder();
    let plan = run(&[
        "contract",
        "plan",
        &folder,
        "--to",
        &served.url,
        "-o",
        "json",
    ])
    .json();
    let plan = plan["id"].as_str().unwrap().to_owned();
    for name in ["anna", "ben"] {
        let approve = [
            "contract",
            "approve",
            &plan,
            "--as",
            name,
            "--to",
            &served.url,
        ];
        let approved = run(&approve);
        assert_eq!(approved.code, 0, "{approved}");
    }
    insta::assert_snapshot!("approval_given", place.contract(&served, "plan", &[]));
    let applied = place.contract(&served, "apply", &["--plan", &plan]);
    assert_eq!(applied.code, 0, "{applied}");
}

#[test]
fn a_folder_at_start_takes_no_applies() {
    let place = Place::new();
    let folder = place.folder();
    let served = Served::start(&place.data().join("data"), &["--contracts", &folder]);
    insta::assert_snapshot!("apply_to_a_folder", place.contract(&served, "apply", &[]));
    let missing = place.contract(&served, "plan", &["--only"]);
    assert_eq!(missing.code, 2, "{missing}");
}

#[test]
fn a_wrong_file_is_told_before_anything_is_sent() {
    let place = Place::new();
    place.write("order.yaml", &contract("order-placed", "one", ""));
    let folder = place.folder();
    // Nobody listens there.
    let ran = run(&["contract", "apply", &folder, "--to", "http://127.0.0.1:1"]);
    insta::assert_snapshot!("apply_wrong", ran.redacted(&[(&folder, "DIR")]));
}

/// Writes contracts `NAME-000` and on, fifty a file.
fn write_many(place: &Place, name: &str, version: &str, count: usize) -> BTreeSet<String> {
    let numbers: Vec<usize> = (0..count).collect();
    for (at, numbers) in numbers.chunks(50).enumerate() {
        let documents = numbers.iter().map(|number| {
            let name = format!("{name}-{number:03}");
            contract(&name, version, "  topic: {partitions: 2}\n")
        });
        let text = documents.collect::<Vec<_>>().join("---\n");
        place.write(&format!("{name}-{at}.yaml"), &text);
    }
    numbers
        .iter()
        .map(|number| format!("{name}-{number:03}@{version}"))
        .collect()
}

#[test]
fn five_hundred_topics_are_right_repeatable_and_none_is_deleted() {
    let place = Place::new();
    let served = place.serve();
    let all = write_many(&place, "many", "1.0.0", 500);
    let begun = Instant::now();
    let applied = place.contract(&served, "apply", &["-o", "json"]);
    let took = begun.elapsed();
    assert_eq!(applied.code, 0, "{applied}");
    assert_eq!(
        applied.json()["plan"]["add"],
        1_001,
        "topics, contracts, a team"
    );
    assert_eq!(in_force(&served), all);
    let made = topics(&served);
    assert_eq!(made.len(), 500);
    let again = place.contract(&served, "apply", &["-o", "json"]).json();
    assert_eq!(
        (&again["applied"], &again["generation"]),
        (&json!(false), &json!(1))
    );

    // A file goes and another changes: the one stays in force, of the other one thing changes.
    place.remove("many-3.yaml");
    let text = fs::read_to_string(Path::new(&place.folder()).join("many-4.yaml")).unwrap();
    let changed = text.replacen("version: 1.0.0", "version: 1.1.0", 1);
    place.write("many-4.yaml", &changed);
    let applied = place.contract(&served, "apply", &["-o", "json"]).json();
    let plan = &applied["plan"];
    let counts = [&plan["add"], &plan["change"], &plan["remove"]];
    assert_eq!(counts, [&json!(0), &json!(1), &json!(0)], "{plan:#}");
    assert_eq!(topics(&served), made);
    let now = in_force(&served);
    assert_eq!(
        now.symmetric_difference(&all).count(),
        2,
        "one has another version"
    );

    assert_eq!(served.signal(Signal::KILL).code(), None);
    let served = place.serve();
    assert_eq!(in_force(&served), now);
    assert_eq!(topics(&served), made);
    let again = place.contract(&served, "apply", &["-o", "json"]).json();
    assert_eq!(again["applied"], false);
    eprintln!("500 topics in {took:?}");
}

#[test]
fn a_process_killed_in_the_middle_has_one_whole_set() {
    let mut middles = 0;
    for kill_at in [1, 40, 100] {
        let place = Place::new();
        let served = place.serve();
        let first = write_many(&place, "first", "1.0.0", 5);
        assert_eq!(place.contract(&served, "apply", &[]).code, 0);
        let mut both = write_many(&place, "second", "1.0.0", 100);
        both.extend(first.iter().cloned());
        let applying = {
            let (folder, url) = (place.folder(), served.url.clone());
            std::thread::spawn(move || run(&["contract", "apply", &folder, "--to", &url]).code)
        };
        // So many of its topics are there.
        let limit = Instant::now() + Duration::from_secs(60);
        let made = |served: &Served| {
            let page = get(served, "/v1/topics?limit=200");
            let listed = page["topics"].as_array().unwrap().iter();
            let name = |it: &&Value| it["name"].as_str().unwrap().starts_with("second");
            listed.filter(name).count()
        };
        while made(&served) < kill_at {
            assert!(Instant::now() < limit, "{kill_at} topics are not made");
        }
        served.signal(Signal::KILL);
        let code = applying.join().unwrap();
        let served = place.serve();
        let found = in_force(&served);
        assert!(
            found == first || found == both,
            "killed at {kill_at}: {found:?}"
        );
        assert!(
            code != 0 || found == both,
            "it was told that they are in force"
        );
        middles += u32::from(found == first);
        assert_eq!(place.contract(&served, "apply", &[]).code, 0);
        assert_eq!(in_force(&served), both);
        let again = place.contract(&served, "apply", &["-o", "json"]).json();
        assert_eq!(again["applied"], false);
        assert_eq!(topics(&served).len(), 105);
    }
    assert!(middles >= 1, "none of the kills hit an apply");
}

#[test]
fn a_lagging_reader_goes_on_through_a_rollback() {
    let place = Place::new();
    let served = place.serve();
    let one = "  topic: {name: shop.orders, partitions: 1}\n";
    place.write("order.yaml", &contract("order-placed", "1.0.0", one));
    assert_eq!(place.contract(&served, "apply", &[]).code, 0);
    let runtime = runtime();
    let publish = |id: &str| {
        let url = format!("{}/v1/events/order-placed", served.url);
        let request = reqwest::Client::new()
            .post(url)
            .header("content-type", "application/json")
            .header("idempotency-key", id)
            .body(json!({ "id": id }).to_string());
        runtime.block_on(async { request.send().await.unwrap().status().as_u16() })
    };
    for id in ["a", "b", "c"] {
        assert_eq!(publish(id), 202);
    }
    // A consumer group has read the first, through the Kafka port.
    let kafka = served.door("kafka").replace("http://", "");
    let topic = TopicName(StrBytes::from_static_str("shop.orders"));
    let group = GroupId(StrBytes::from_static_str("billing"));
    let commit = OffsetCommitRequest::default()
        .with_group_id(group.clone())
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![
            OffsetCommitRequestTopic::default()
                .with_name(topic.clone())
                .with_partitions(vec![
                    OffsetCommitRequestPartition::default().with_committed_offset(1),
                ]),
        ]);
    let committed = runtime.block_on(ask(&kafka, 7, &commit));
    assert_eq!(committed.topics[0].partitions[0].error_code, 0);

    let next = contract(
        "order-placed",
        "2.0.0",
        &format!("{one}  summary: Another.\n"),
    );
    place.write("order.yaml", &next);
    assert_eq!(place.contract(&served, "apply", &[]).code, 0);
    assert_eq!(publish("d"), 202);
    let back = [
        "contract",
        "rollback",
        "order-placed@1.0.0",
        "--to",
        &served.url,
    ];
    let back = run(&back);
    assert_eq!(back.code, 0, "{back}");
    assert_eq!(
        in_force(&served),
        BTreeSet::from(["order-placed@1.0.0".to_owned()])
    );
    assert_eq!(publish("e"), 202);

    let fetch = OffsetFetchRequest::default()
        .with_group_id(group)
        .with_topics(Some(vec![
            OffsetFetchRequestTopic::default()
                .with_name(topic)
                .with_partition_indexes(vec![0]),
        ]));
    let fetched = runtime.block_on(ask(&kafka, 5, &fetch));
    let from = fetched.topics[0].partitions[0].committed_offset;
    assert_eq!(from, 1, "where it was");
    let page = get(
        &served,
        &format!("/v1/topics/shop.orders/events?offset={from}"),
    );
    let rest: Vec<&str> = page["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["data"]["id"].as_str().unwrap())
        .collect();
    assert_eq!(rest, ["b", "c", "d", "e"]);
}

/// Asks the Kafka port one thing.
pub(crate) async fn ask<R: Request>(address: &str, version: i16, request: &R) -> R::Response {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version);
    header
        .encode(&mut frame, R::header_version(version))
        .unwrap();
    request.encode(&mut frame, version).unwrap();
    let len = u32::try_from(frame.len() - 4).unwrap();
    frame[..4].copy_from_slice(&len.to_be_bytes());
    stream.write_all(&frame).await.unwrap();
    let len = stream.read_u32().await.unwrap();
    let mut answer = vec![0; len as usize];
    stream.read_exact(&mut answer).await.unwrap();
    let mut answer = Bytes::from(answer);
    ResponseHeader::decode(&mut answer, R::Response::header_version(version)).unwrap();
    R::Response::decode(&mut answer, version).unwrap()
}
