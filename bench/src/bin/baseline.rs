//! What teams write by hand today: POST, produce to Kafka with acks=all, wait for the delivery,
//! answer with partition and offset. It takes the key from the event and checks nothing else.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use clap::Parser;
use futures::future::join_all;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::net::TcpListener;

#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    #[arg(long)]
    bootstrap: String,
    /// A setting of librdkafka, KEY=VALUE.
    #[arg(long = "set")]
    settings: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Order<'a> {
    #[serde(borrow)]
    customer_id: Cow<'a, str>,
}

#[derive(Deserialize)]
struct CloudEvent<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Serialize)]
struct Receipt {
    partition: i32,
    offset: i64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &arguments.bootstrap)
        .set("acks", "all")
        // A caller waits for every event: librdkafka's 5 ms of linger would be its answer time.
        .set("linger.ms", "0")
        .set("socket.nagle.disable", "true")
        .set("message.timeout.ms", "30000");
    for setting in &arguments.settings {
        let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
        config.set(key, value);
    }
    let producer: FutureProducer = config.create()?;
    tokio::task::spawn_blocking({
        let producer = producer.clone();
        move || {
            producer
                .client()
                .fetch_metadata(None, Duration::from_secs(10))
                .map(drop)
        }
    })
    .await??;
    let router = Router::new()
        .route("/topics/{topic}", post(one))
        .route("/topics/{topic}/batch", post(many))
        .layer(DefaultBodyLimit::max(10 << 20))
        .with_state(producer);
    let listener = TcpListener::bind(arguments.listen).await?;
    println!("ready http={}", listener.local_addr()?);
    axum::serve(listener, router).await?;
    Ok(())
}

async fn one(
    State(producer): State<FutureProducer>,
    Path(topic): Path<String>,
    body: Bytes,
) -> Response {
    let delivery = match produce(&producer, &topic, &body) {
        Ok(delivery) => delivery,
        Err(status) => return status.into_response(),
    };
    match delivered(delivery).await {
        Ok(receipt) => json(&receipt),
        Err(status) => status.into_response(),
    }
}

async fn many(
    State(producer): State<FutureProducer>,
    Path(topic): Path<String>,
    body: Bytes,
) -> Response {
    let Ok(events) = serde_json::from_slice::<Vec<CloudEvent<'_>>>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let deliveries: Result<Vec<_>, _> = events
        .iter()
        .map(|event| produce(&producer, &topic, event.data.get().as_bytes()))
        .collect();
    let deliveries = match deliveries {
        Ok(deliveries) => deliveries,
        Err(status) => return status.into_response(),
    };
    let receipts: Result<Vec<_>, _> = join_all(deliveries.into_iter().map(delivered))
        .await
        .into_iter()
        .collect();
    match receipts {
        Ok(receipts) => json(&receipts),
        Err(status) => status.into_response(),
    }
}

fn produce(
    producer: &FutureProducer,
    topic: &str,
    data: &[u8],
) -> Result<DeliveryFuture, StatusCode> {
    let order: Order<'_> = serde_json::from_slice(data).map_err(|_| StatusCode::BAD_REQUEST)?;
    let record = FutureRecord::to(topic)
        .key(order.customer_id.as_bytes())
        .payload(data);
    producer
        .send_result(record)
        .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
}

async fn delivered(delivery: DeliveryFuture) -> Result<Receipt, StatusCode> {
    match delivery.await {
        Ok(Ok(delivery)) => Ok(Receipt {
            partition: delivery.partition,
            offset: delivery.offset,
        }),
        _ => Err(StatusCode::SERVICE_UNAVAILABLE),
    }
}

fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => ([(CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
