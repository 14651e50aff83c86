//! `serve` and the commands that ask it.

use rustix::process::Signal;
use tempfile::tempdir;

use crate::program::{FREE_DOORS, Served, run, run_with};

const CONTRACTS: [&str; 2] = ["--contracts", "examples/small/contracts"];
const ORDER: &str = r#"{"orderId":"o-1001","customer":"c-17","lines":[{"sku":"tea-250","quantity":2}],"total":{"amount":1580,"currency":"EUR"}}"#;

#[test]
fn it_says_where_it_serves_and_ends_with_0_when_told_to() {
    for signal in [Signal::TERM, Signal::INT] {
        let data = tempdir().unwrap();
        let served = Served::start(data.path(), &[]);
        let parts: Vec<&str> = served.ready.split_whitespace().collect();
        let names: Vec<&str> = parts
            .iter()
            .filter_map(|part| part.split('=').next())
            .collect();
        assert_eq!(names, ["ready", "http", "registry", "kafka", "ops"]);
        assert!(
            parts[1..].iter().all(|part| !part.ends_with(":0")),
            "{}",
            served.ready
        );
        assert_eq!(served.signal(signal).code(), Some(0));
    }
}

#[test]
fn a_second_process_on_the_same_directory_is_refused_with_the_firsts_pid() {
    let data = tempdir().unwrap();
    let served = Served::start(data.path(), &[]);
    let path = data.path().to_str().unwrap();
    let second = run(&[&["serve", "--data", path], &FREE_DOORS[..]].concat());
    let pid = served.pid().to_string();
    insta::assert_snapshot!(second.redacted(&[(path, "DIR"), (&pid, "PID")]));
}

#[test]
fn a_taken_address_is_refused() {
    let (one, two) = (tempdir().unwrap(), tempdir().unwrap());
    let served = Served::start(one.path(), &[]);
    let address = served.url.strip_prefix("http://").unwrap();
    let path = two.path().to_str().unwrap();
    let second = run(&["serve", "--data", path, "--http", address]);
    insta::assert_snapshot!(second.redacted(&[(address, "HOST:PORT")]));
}

#[test]
fn what_was_sent_is_shown_and_survives_the_process() {
    let data = tempdir().unwrap();
    let served = Served::start(data.path(), &CONTRACTS);
    let send = |served: &Served, more: &[&str]| {
        let event = [
            "send",
            "com.example.order.placed",
            "--source",
            "/shop/orders",
        ];
        let arguments = [&event[..], &["--url", &served.url], more].concat();
        run_with(&arguments, &[], ORDER).redacted(&[(&served.url, "URL")])
    };
    insta::assert_snapshot!("sent", send(&served, &["--id", "e1"]));
    let repeat = send(&served, &["--id", "e1", "-o", "json"]).json();
    assert_eq!(repeat["duplicate"], true);
    let plain = ["send", "--contract", "order-placed", "--url", &served.url];
    let plain = run_with(
        &[&plain[..], &["--idempotency-key", "o-1001"]].concat(),
        &[],
        ORDER,
    );
    assert_eq!(plain.code, 0, "{plain}");

    assert_eq!(served.signal(Signal::TERM).code(), Some(0));
    let served = Served::start(data.path(), &CONTRACTS);
    let receipt = repeat["id"].as_str().unwrap();
    let place = format!(
        "{}/{}/{}",
        repeat["topic"].as_str().unwrap(),
        repeat["partition"],
        repeat["offset"]
    );
    let show = |what: &str| {
        let ran = run(&["event", "show", what, "--url", &served.url]);
        ran.redacted(&[(&served.url, "URL")])
    };
    insta::assert_snapshot!("shown", show(receipt));
    assert_eq!(show(&place).stdout, show(receipt).stdout);
    insta::assert_snapshot!("no_such_receipt", show("shop.order-placed-0-0-00000000"));
    assert_eq!(
        send(&served, &["--id", "e1", "-o", "json"]).json()["duplicate"],
        true
    );

    let topics = run(&["topic", "list", "--url", &served.url]);
    insta::assert_snapshot!("topics", topics);
    let topic = run(&["topic", "show", "shop.order-placed", "--url", &served.url]);
    insta::assert_snapshot!("topic", topic);
    let none = run(&["topic", "show", "nope", "--url", &served.url]);
    insta::assert_snapshot!("no_such_topic", none.redacted(&[(&served.url, "URL")]));
}

#[test]
fn schemas_survive_the_process() {
    let data = tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    let client = reqwest::Client::new();
    let ask = |request: reqwest::RequestBuilder| {
        runtime.block_on(async { request.send().await.unwrap().text().await.unwrap() })
    };
    let mut before = Vec::new();
    // Told to stop, then killed: what was answered is there.
    for signal in [Signal::TERM, Signal::KILL] {
        let served = Served::start(data.path(), &[]);
        let registry = served.door("registry");
        for (id, text) in &before {
            let url = format!("{registry}/schemas/ids/{id}/schema");
            assert_eq!(ask(client.get(url)), *text);
        }
        for size in 1..4 {
            let id = before.len() + 1;
            let text = format!(r#"{{"type":"fixed","name":"F","size":{}}}"#, 10 * id + size);
            let url = format!("{registry}/subjects/s{id}/versions");
            let body = serde_json::json!({ "schema": text }).to_string();
            let request = client.post(url).header("content-type", "application/json");
            let answer = ask(request.body(body));
            assert!(
                answer.starts_with(&format!(r#"{{"id":{id},"version":1,"#)),
                "{answer}"
            );
            before.push((id, text));
        }
        served.signal(signal);
    }
    let served = Served::start(data.path(), &[]);
    let url = format!("{}/subjects", served.door("registry"));
    assert_eq!(ask(client.get(url)), r#"["s1","s2","s3","s4","s5","s6"]"#);
}

#[test]
fn a_refused_event_ends_with_6_and_names_what_is_wrong() {
    let data = tempdir().unwrap();
    let served = Served::start(data.path(), &CONTRACTS);
    let send = |arguments: &[&str]| {
        let arguments = [&["send", "--url", &served.url], arguments].concat();
        run_with(&arguments, &[], "{\"orderId\": 7}").redacted(&[(&served.url, "URL")])
    };
    let order = [
        "com.example.order.placed",
        "--source",
        "/shop/orders",
        "--id",
        "e2",
    ];
    insta::assert_snapshot!("violation", send(&order));
    insta::assert_snapshot!(
        "violation_json",
        send(&[&order[..], &["-o", "json"]].concat())
    );
    insta::assert_snapshot!("unknown_type", send(&["com.example.nope"]));
    insta::assert_snapshot!("unknown_contract", send(&["--contract", "nope"]));
}

#[test]
fn broken_contracts_are_told_before_anything_starts() {
    let directory = tempdir().unwrap();
    let (data, contracts) = (
        directory.path().join("data"),
        directory.path().join("contracts"),
    );
    std::fs::create_dir(&contracts).unwrap();
    std::fs::write(contracts.join("a.yaml"), "kind: EventContrakt\n").unwrap();
    let (data_text, contracts) = (data.to_str().unwrap(), contracts.to_str().unwrap());
    let ran = run(&["serve", "--data", data_text, "--contracts", contracts]);
    insta::assert_snapshot!(ran.redacted(&[(directory.path().to_str().unwrap(), "DIR")]));
    assert!(!data.exists(), "nothing was started");
}

#[test]
fn the_log_is_inspected_without_a_gateway() {
    let data = tempdir().unwrap();
    let path = data.path().to_str().unwrap();
    let nothing = run(&["log", "inspect", path]);
    insta::assert_snapshot!("no_log", nothing.redacted(&[(path, "DIR")]));
    let served = Served::start(data.path(), &CONTRACTS);
    assert_eq!(served.signal(Signal::TERM).code(), Some(0));
    let ran = run(&["log", "inspect", path, "-o", "json"]);
    assert_eq!(ran.code, 0, "{ran}");
    let segments = ran.json()["segments"].as_array().unwrap().clone();
    let records: u64 = segments
        .iter()
        .filter_map(|s| s["groups"]["records"].as_u64())
        .sum();
    assert!(records > 0, "the topics of the contracts were made: {ran}");

    // The first group, behind the segment's header block.
    let segment = data.path().join("wal/wal-000001.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[4096 + 100] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let damaged = run(&["log", "inspect", path, "-o", "csv"]);
    assert_eq!(damaged.code, 3, "{damaged}");
    assert!(
        damaged.stderr.contains("wal-000001.seg`, byte 4096: "),
        "{damaged}"
    );
    let refused = run(&[&["serve", "--data", path], &FREE_DOORS[..]].concat());
    assert_eq!(refused.code, 1, "{refused}");
    assert!(
        refused.stderr.contains("`tidegate log inspect DATA`"),
        "{refused}"
    );
}
