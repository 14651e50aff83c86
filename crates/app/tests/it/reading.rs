//! Events in bulk and as they come, on the command line.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::program::{Ran, Served, command, run};

const CONTRACTS: [&str; 2] = ["--contracts", "examples/small/contracts"];
const TOPIC: &str = "shop.order-placed";
/// A test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);

fn order(number: usize) -> Value {
    json!({
        "orderId": "o-1001", "customer": "c-1",
        "lines": [{ "sku": "tea-250", "quantity": 2 }],
        "total": { "amount": number, "currency": "EUR" },
    })
}

fn event(number: usize) -> String {
    json!({
        "specversion": "1.0", "id": format!("e-{number}"), "source": "/shop/orders",
        "type": "com.example.order.placed", "data": order(number),
    })
    .to_string()
}

fn import(served: &Served, file: &Path, more: &[&str]) -> Ran {
    let file = file.to_str().unwrap();
    let arguments = ["event", "import", file, "--url", &served.url, "-o", "json"];
    run(&[&arguments[..], more].concat())
}

/// A command that runs until it is dropped.
struct Until(Child);

impl Until {
    fn started(arguments: &[&str]) -> (Self, mpsc::Receiver<String>) {
        let mut child = command(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (lines, read) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        (Self(child), read)
    }
}

impl Drop for Until {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn a_file_is_imported_once_however_often_it_is_sent() {
    let data = tempdir().unwrap();
    let served = Served::start(data.path(), &CONTRACTS);
    let file = data.path().join("orders.ndjson");
    let bad = event(7).replace("\"orderId\"", "\"order\"");
    let lines = [&event(1), &event(2), "", &bad, "no json", &event(3)];
    fs::write(&file, lines.join("\n")).unwrap();
    let first = import(&served, &file, &[]);
    assert_eq!(first.code, 6, "{first}");
    let found = first.json();
    assert_eq!(
        (&found["accepted"], &found["repeated"]),
        (&json!(3), &json!(0))
    );
    assert_eq!(found["refused"], 2);
    let named: Vec<_> = found["lines"].as_array().unwrap().iter().collect();
    assert_eq!(
        (&named[0]["line"], &named[0]["problem"]),
        (&json!(4), &json!("contract-violation"))
    );
    assert!(
        named[0]["quarantine"]
            .as_str()
            .unwrap()
            .starts_with("/v1/quarantine/")
    );
    assert_eq!(
        (&named[1]["line"], &named[1]["problem"]),
        (&json!(5), &json!("unusable-line"))
    );
    assert!(
        !data.path().join("orders.ndjson.import.json").exists(),
        "nothing stays behind"
    );

    fs::write(&file, [event(1), event(2), event(3), event(4)].join("\n")).unwrap();
    let again = import(&served, &file, &[]);
    assert_eq!(again.code, 0, "{again}");
    let found = again.json();
    assert_eq!(
        (&found["accepted"], &found["repeated"]),
        (&json!(1), &json!(3))
    );
}

#[test]
fn an_import_goes_on_where_an_earlier_one_stopped() {
    let data = tempdir().unwrap();
    let served = Served::start(data.path(), &CONTRACTS);
    let file = data.path().join("orders.ndjson");
    let plain: Vec<String> = (1..=3).map(|number| order(number).to_string()).collect();
    fs::write(&file, plain.join("\n")).unwrap();
    let state = data.path().join("orders.ndjson.import.json");
    let stopped = json!({
        "offset": plain[0].len() + 1, "line": 1, "accepted": 1, "repeated": 0, "refused": 0, "lines": [],
    });
    fs::write(&state, stopped.to_string()).unwrap();
    let contract = ["--contract", "order-placed"];
    let ran = import(&served, &file, &contract);
    assert_eq!(ran.code, 0, "{ran}");
    assert_eq!(ran.json()["accepted"], 3, "the first is counted, not sent");
    assert!(!state.exists());
    let all = import(&served, &file, &contract).json();
    assert_eq!((&all["accepted"], &all["repeated"]), (&json!(1), &json!(2)));
    let last = (plain[0].len() + plain[1].len() + 2).to_string();
    let ran = import(
        &served,
        &file,
        &["--contract", "order-placed", "--offset", &last],
    );
    let found = ran.json();
    assert_eq!(
        found["accepted"].as_u64().unwrap() + found["repeated"].as_u64().unwrap(),
        1
    );
    fs::write(&state, json!({ "offset": 9999, "line": 1, "accepted": 1, "repeated": 0, "refused": 0, "lines": [] }).to_string())
        .unwrap();
    let other = import(&served, &file, &contract);
    assert_eq!(other.code, 1, "{other}");
    assert!(other.stderr.contains("to begin anew"), "{other}");
}

#[test]
fn a_topic_is_printed_as_it_comes_and_after_the_gateway_was_away() {
    let data = tempdir().unwrap();
    let served = Served::start(data.path(), &CONTRACTS);
    let file = data.path().join("orders.ndjson");
    let send = |served: &Served, number: usize| {
        fs::write(&file, event(number)).unwrap();
        assert_eq!(import(served, &file, &[]).code, 0);
    };
    send(&served, 1);
    send(&served, 5);
    let address = served.url.strip_prefix("http://").unwrap().to_owned();
    let arguments = [
        "event",
        "tail",
        TOPIC,
        "--from",
        "earliest",
        "--filter",
        "message.total.amount > 3",
    ];
    let more = ["-o", "ndjson", "--url", &served.url];
    let (_tail, lines) = Until::started(&[&arguments[..], &more].concat());
    let next = || -> Value {
        let line = lines.recv_timeout(PATIENCE).unwrap();
        serde_json::from_str(&line).unwrap()
    };
    assert_eq!(next()["receipt"]["event"]["id"], "e-5");
    drop(served);
    let served = Served::start_at(&address, data.path(), &CONTRACTS);
    send(&served, 6);
    assert_eq!(
        next()["data"]["total"]["amount"],
        6,
        "it came back, and nothing came twice"
    );
    let wrong = run(&[
        "event",
        "tail",
        TOPIC,
        "--filter",
        "message.total >",
        "--url",
        &served.url,
    ]);
    assert_eq!(wrong.code, 6, "{wrong}");
    let wrong = run(&["event", "tail", "nothing", "--url", &served.url]);
    assert_eq!(wrong.code, 5, "{wrong}");
}

/// Takes requests one after the other, refuses the first, and hands over what came.
fn hook() -> (String, mpsc::Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (requests, read) = mpsc::channel();
    thread::spawn(move || {
        for (count, stream) in listener.incoming().enumerate() {
            let status = if count == 0 { "500 No" } else { "200 OK" };
            if requests.send(answer(stream.unwrap(), status)).is_err() {
                return;
            }
        }
    });
    (url, read)
}

fn answer(stream: TcpStream, status: &str) -> (String, String) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        reader.read_line(&mut head).unwrap();
    }
    let head = head.to_lowercase();
    let length = head.split("content-length: ").nth(1).unwrap();
    let length = length.lines().next().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    reader.get_mut().write_all(answer.as_bytes()).unwrap();
    (head, String::from_utf8(body).unwrap())
}

#[test]
fn a_program_on_this_machine_gets_each_event_in_order_even_if_it_fails() {
    let data = tempdir().unwrap();
    let served = Served::start(data.path(), &CONTRACTS);
    let file = data.path().join("orders.ndjson");
    fs::write(&file, [event(1), event(2), event(3)].join("\n")).unwrap();
    assert_eq!(import(&served, &file, &[]).code, 0);
    let (url, requests) = hook();
    let arguments = ["listen", TOPIC, "--from", "earliest", "--forward-to", &url];
    let (_listen, lines) =
        Until::started(&[&arguments[..], &["-o", "ndjson", "--url", &served.url]].concat());
    for (number, status) in [(1, 500), (2, 200), (3, 200)] {
        let (head, body) = requests.recv_timeout(PATIENCE).unwrap();
        assert!(head.starts_with("post /hook "), "{head}");
        for line in [
            &format!("ce-id: e-{number}"),
            "ce-type: com.example.order.placed",
            "ce-source: /shop/orders",
            "ce-specversion: 1.0",
            "content-type: application/json",
        ] {
            assert!(head.contains(&format!("{line}\r\n")), "{line} in {head}");
        }
        assert!(
            !head.contains("tidegate"),
            "what is not the event's stays here: {head}"
        );
        assert_eq!(body, order(number).to_string());
        let line = lines.recv_timeout(PATIENCE).unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (&line["id"], &line["status"]),
            (&json!(format!("e-{number}")), &json!(status))
        );
    }
}
