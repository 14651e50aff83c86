//! Events read as they come: server-sent events, as a reader gets them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tidegate_gateway::Settings;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::harness::{Answer, Running, read_to_end, start, start_with};

const STREAM: [(&str, &str); 1] = [("accept", "text/event-stream")];
/// A test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);
const LARGE_BYTES: usize = 900_000;
const LARGE_COUNT: usize = 30;

/// A stream and what of it is not read yet.
struct Reader {
    response: reqwest::Response,
    text: String,
    id: String,
}

impl Reader {
    async fn open(gateway: &Running, path: &str, id: Option<&str>) -> Self {
        let mut headers = STREAM.to_vec();
        headers.extend(id.map(|id| ("last-event-id", id)));
        let response = ask(gateway, path, &headers).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            response,
            text: String::new(),
            id: id.unwrap_or_default().to_owned(),
        }
    }

    /// Reads the next block that is there in full; nothing at the end.
    async fn block(&mut self) -> Option<BTreeMap<String, String>> {
        let end = loop {
            match self.text.find("\n\n") {
                Some(end) => break end,
                None => {
                    let chunk = timeout(PATIENCE, self.response.chunk()).await.unwrap();
                    self.text
                        .push_str(std::str::from_utf8(&chunk.unwrap()?).unwrap());
                }
            }
        };
        let block: String = self.text.drain(..end + 2).collect();
        let fields = block.lines().filter(|line| !line.is_empty());
        let fields = fields.map(|line| line.split_once(": ").unwrap_or((line, "")));
        let block: BTreeMap<String, String> = fields
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        self.id = block.get("id").unwrap_or(&self.id).clone();
        Some(block)
    }

    async fn event(&mut self) -> Value {
        loop {
            let block = self.block().await.expect("the stream goes on");
            if let Some(data) = block.get("data") {
                return serde_json::from_str(data).unwrap();
            }
        }
    }

    /// Reads to the end and returns the last comment.
    async fn last_words(mut self) -> String {
        let mut last = BTreeMap::new();
        while let Some(block) = self.block().await {
            last = block;
        }
        assert!(last.contains_key("retry"), "{last:?}");
        last.get("").cloned().unwrap_or_default()
    }
}

async fn ask(gateway: &Running, path: &str, headers: &[(&str, &str)]) -> reqwest::Response {
    let mut request = gateway.client.get(gateway.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

async fn refused(gateway: &Running, path: &str, headers: &[(&str, &str)]) -> Answer {
    let headers = [&STREAM[..], headers].concat();
    Answer::of(ask(gateway, path, &headers).await).await
}

/// Sends orders of several customers, so that they are in several partitions.
async fn orders(gateway: &Running, numbers: std::ops::Range<usize>) {
    for n in numbers {
        let body = format!("{{\"total\":{n},\"customer\":\"c-{}\"}}", n % 7);
        gateway.order(&n.to_string(), &body).await.accepted(false);
    }
}

async fn open_streams(gateway: &Running) -> String {
    let url = format!("http://{}/metrics", gateway.ops);
    let text = gateway
        .client
        .get(url)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("tidegate_event_streams "));
    line.unwrap().split(' ').nth(1).unwrap().to_owned()
}

async fn until_no_stream_is_open(gateway: &Running) {
    let closed = async {
        while open_streams(gateway).await != "0" {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, closed).await.unwrap();
}

/// Asks for more than any buffer between two programs holds, and reads nothing of it.
async fn deaf_reader(gateway: &Running) -> TcpStream {
    let large = "x".repeat(LARGE_BYTES);
    for n in 0..LARGE_COUNT {
        let body = format!("{{\"total\":{n},\"customer\":\"c\",\"note\":\"{large}\"}}");
        gateway.order(&n.to_string(), &body).await.accepted(false);
    }
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let request = "GET /v1/topics/orders/events?from=earliest HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let opened = async {
        while open_streams(gateway).await != "1" {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, opened).await.unwrap();
    stream
}

#[tokio::test]
async fn a_reader_that_is_cut_off_again_and_again_gets_each_event_once() {
    const COUNT: usize = 60;
    let gateway = start().await;
    orders(&gateway, 0..COUNT / 2).await;
    let path = "/v1/topics/orders/events?from=earliest";
    let mut seen = Vec::new();
    let mut last_of_key = BTreeMap::new();
    let mut id: Option<String> = None;
    let reading = async {
        for round in 1.. {
            let mut reader = Reader::open(&gateway, path, id.as_deref()).await;
            for _ in 0..round % 5 {
                let event = reader.event().await;
                let total = event["data"]["total"].as_i64().unwrap();
                let key = event["key"].as_str().unwrap().to_owned();
                let before = last_of_key.insert(key, total);
                assert!(before < Some(total), "in the order of the key");
                seen.push(total);
                if seen.len() == COUNT {
                    return;
                }
            }
            id = Some(reader.id.clone()).filter(|id| !id.is_empty());
        }
    };
    let (_, ()) = tokio::join!(orders(&gateway, COUNT / 2..COUNT), async {
        timeout(PATIENCE, reading).await.unwrap()
    });
    seen.sort_unstable();
    assert_eq!(seen, (0..COUNT as i64).collect::<Vec<_>>());
    until_no_stream_is_open(&gateway).await;
}

#[tokio::test]
async fn a_reader_begins_where_it_says() {
    let gateway = start().await;
    orders(&gateway, 0..3).await;
    gateway.clock.advance(Duration::from_secs(60));
    let between = "2023-11-14T22:13:50Z";
    orders(&gateway, 3..4).await;
    let mut latest = Reader::open(&gateway, "/v1/topics/orders/events", None).await;
    // Where it stands is told before any event comes.
    assert!(latest.block().await.unwrap().contains_key("id"));
    orders(&gateway, 4..5).await;
    assert_eq!(latest.event().await["receipt"]["event"]["id"], "4");
    for (from, first) in [("earliest", None), (between, Some("3"))] {
        let path = format!("/v1/topics/orders/events?from={from}");
        let mut reader = Reader::open(&gateway, &path, None).await;
        let event = reader.event().await;
        if let Some(first) = first {
            assert_eq!(event["receipt"]["event"]["id"], first);
        }
    }
    let page = format!("/v1/topics/orders/events?from={between}&partition=");
    let mut found = 0;
    for partition in 0..3 {
        let page = gateway.get(&format!("{page}{partition}")).await;
        found += page.json["events"].as_array().map_or(0, Vec::len);
    }
    assert_eq!(found, 2, "pages too");
}

#[tokio::test]
async fn a_filter_leaves_out_what_is_not_wanted_and_the_reader_moves_on() {
    let gateway = start_with(Settings {
        stream_heartbeat: Duration::from_millis(50),
        ..Settings::default()
    })
    .await;
    orders(&gateway, 0..20).await;
    let filter = "filter=message.total%20%3E%3D%2018%20%26%26%20event.source%20%3D%3D%20'/shop'";
    let path = format!("/v1/topics/orders/events?from=earliest&{filter}");
    let mut reader = Reader::open(&gateway, &path, None).await;
    let mut totals = [0; 2];
    for total in &mut totals {
        *total = reader.event().await["data"]["total"].as_i64().unwrap();
    }
    totals.sort_unstable();
    assert_eq!(totals, [18, 19]);
    // A sign of life brings the id of where it stands: past all that was left out.
    let read_all = async {
        while reader
            .id
            .split('.')
            .map(|it| it.parse::<i64>().unwrap())
            .sum::<i64>()
            < 20
        {
            reader.block().await.unwrap();
        }
    };
    timeout(PATIENCE, read_all).await.unwrap();

    let mut found = Vec::new();
    for partition in 0..3 {
        let page = format!("/v1/topics/orders/events?partition={partition}&{filter}");
        let page = gateway.get(&page).await;
        assert_eq!(page.json["next"], page.json["high_watermark"]);
        found.extend(page.json["events"].as_array().unwrap().clone());
    }
    assert_eq!(found.len(), 2);
    for bad in ["nothing.a%20%3E%201", "message.a%20%3E"] {
        let path = format!("/v1/topics/orders/events?filter={bad}");
        gateway.get(&path).await.problem("bad-request", 400);
        refused(&gateway, &path, &[])
            .await
            .problem("bad-request", 400);
    }
}

#[tokio::test]
async fn what_is_no_stream_is_refused() {
    let gateway = start().await;
    orders(&gateway, 0..3).await;
    for (path, headers, slug, status) in [
        ("nothing/events", vec![], "not-found", 404),
        ("_schemas/events", vec![], "not-found", 404),
        ("orders/events?partition=99", vec![], "not-found", 404),
        ("orders/events?offset=1", vec![], "bad-request", 400),
        ("orders/events?limit=1", vec![], "bad-request", 400),
        ("orders/events?from=yesterday", vec![], "bad-request", 400),
        (
            "orders/events",
            vec![("last-event-id", "x")],
            "bad-request",
            400,
        ),
        (
            "orders/events?partition=0",
            vec![("last-event-id", "1.2")],
            "bad-request",
            400,
        ),
    ] {
        let answer = refused(&gateway, &format!("/v1/topics/{path}"), &headers).await;
        answer.problem(slug, status);
    }
    let page = gateway.get("/v1/topics/_schemas/events").await;
    page.problem("not-found", 404);
    // The log has no such place: the topic is another one than the reader knew.
    let path = "/v1/topics/orders/events?partition=0";
    let answer = refused(&gateway, path, &[("last-event-id", "999")]).await;
    answer.problem("bad-request", 400);
    assert!(answer.text.contains("made anew"), "{}", answer.text);
}

#[tokio::test]
async fn one_stream_more_than_there_may_be_is_told_to_come_back() {
    let gateway = start_with(Settings {
        max_event_streams: 1,
        ..Settings::default()
    })
    .await;
    let path = "/v1/topics/orders/events";
    let reader = Reader::open(&gateway, path, None).await;
    let answer = refused(&gateway, path, &[]).await;
    answer.problem("overloaded", 503);
    assert_eq!(answer.header("retry-after"), "5");
    drop(reader);
    until_no_stream_is_open(&gateway).await;
    Reader::open(&gateway, path, None).await;
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_ended_and_told_why() {
    let gateway = start_with(Settings {
        write_timeout: Duration::from_millis(1_500),
        ..Settings::default()
    })
    .await;
    let stream = deaf_reader(&gateway).await;
    until_no_stream_is_open(&gateway).await;
    let text = read_to_end(stream).await;
    assert!(
        text.len() < LARGE_COUNT * LARGE_BYTES,
        "not all of it was sent"
    );
    let end = &text[text.len().saturating_sub(200)..];
    assert!(
        end.contains(": closed: nothing was taken for too long"),
        "{end}"
    );
}

#[tokio::test]
async fn a_connection_that_takes_nothing_is_not_kept() {
    let mut gateway = start_with(Settings {
        write_timeout: Duration::from_millis(500),
        drain_timeout: Duration::from_secs(60),
        ..Settings::default()
    })
    .await;
    let stream = deaf_reader(&gateway).await;
    // It would be waited for, as long as requests may take to end.
    gateway.stop().await;
    timeout(PATIENCE, gateway.ended()).await.unwrap();
    drop(stream);
}

#[tokio::test]
async fn a_gateway_that_stops_ends_its_streams_with_a_hint() {
    let mut gateway = start().await;
    orders(&gateway, 0..3).await;
    let path = "/v1/topics/orders/events?from=earliest";
    let mut reader = Reader::open(&gateway, path, None).await;
    reader.event().await;
    gateway.stop().await;
    assert!(
        reader
            .last_words()
            .await
            .contains("the gateway is stopping")
    );
    timeout(PATIENCE, gateway.ended()).await.unwrap();
}
