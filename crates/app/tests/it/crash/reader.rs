//! Reads a topic back whole, through the HTTP door and through the Kafka port.

use rskafka::BackoffConfig;
use rskafka::client::partition::{OffsetAt, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::account::{At, Stored};

const PAGE: usize = 500;
const FETCH_BYTES: i32 = 8 * 1024 * 1024;

#[derive(Deserialize)]
struct Page {
    events: Vec<Event>,
    next: i64,
    log_start_offset: i64,
    high_watermark: i64,
}

#[derive(Deserialize)]
struct Event {
    offset: i64,
    time: String,
    key: Option<String>,
    headers: Vec<Header>,
    data: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Header {
    name: String,
    value: Option<String>,
}

/// Reads all events of a topic's partition, page by page, and returns where it begins.
pub(super) async fn over_http(
    url: &str,
    topic: &str,
    partition: i32,
    mut see: impl FnMut(Stored),
) -> i64 {
    let client = reqwest::Client::new();
    let (mut begin, mut at) = (None, None);
    loop {
        let from = at.map_or(String::new(), |at: i64| format!("&offset={at}"));
        let address =
            format!("{url}/v1/topics/{topic}/events?partition={partition}&limit={PAGE}{from}");
        let response = client.get(address).send().await.unwrap();
        let response = response.error_for_status().unwrap();
        let page: Page = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        let begin = *begin.get_or_insert(page.log_start_offset);
        for event in page.events {
            let id = event.headers.into_iter().find(|h| h.name == "ce_id");
            see(Stored {
                at: At {
                    partition,
                    offset: event.offset,
                },
                id: id.and_then(|header| header.value).unwrap_or_default(),
                key: event.key.unwrap_or_default(),
                data: event
                    .data
                    .map_or(String::new(), |data| data.get().to_owned()),
                time_ms: time_ms(&event.time).expect("a time"),
            });
        }
        if page.next >= page.high_watermark {
            return begin;
        }
        assert!(
            at != Some(page.next),
            "{topic}: offset {at:?} leads nowhere"
        );
        at = Some(page.next);
    }
}

/// The milliseconds since 1970 of a time as the gateway writes it.
pub(super) fn time_ms(text: &str) -> Option<i64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()
}

/// Connects a stock Kafka client.
pub(super) async fn kafka(address: &str) -> Client {
    let backoff = BackoffConfig {
        deadline: Some(Duration::from_secs(20)),
        ..BackoffConfig::default()
    };
    let client = ClientBuilder::new(vec![address.to_owned()]).backoff_config(backoff);
    client.build().await.unwrap()
}

/// Reads all records of a topic's partition through the Kafka port, and returns where it begins.
pub(super) async fn over_kafka(
    client: &Client,
    topic: &str,
    partition: i32,
    mut see: impl FnMut(Stored),
) -> i64 {
    let unknown = UnknownTopicHandling::Error;
    let client = client.partition_client(topic, partition, unknown);
    let client = client.await.unwrap();
    let begin = client.get_offset(OffsetAt::Earliest).await.unwrap();
    let end = client.get_offset(OffsetAt::Latest).await.unwrap();
    let mut at = begin;
    while at < end {
        let fetched = client.fetch_records(at, 1..FETCH_BYTES, 1_000).await;
        let (records, _) = fetched.unwrap();
        let last = records.last().map(|record| record.offset);
        let Some(last) = last else {
            panic!("{topic}-{partition}: offset {at} of {end} is not there");
        };
        at = last + 1;
        let text = |bytes: Option<Vec<u8>>| {
            String::from_utf8(bytes.unwrap_or_default()).expect("the senders write UTF-8")
        };
        for mut found in records {
            see(Stored {
                at: At {
                    partition,
                    offset: found.offset,
                },
                id: text(found.record.headers.remove("ce_id")),
                key: text(found.record.key),
                data: text(found.record.value),
                time_ms: found.record.timestamp.timestamp_millis(),
            });
        }
    }
    begin
}
