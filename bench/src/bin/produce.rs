//! Produces orders through librdkafka, as fast as it goes, a given number, or at a fixed rate, and
//! prints the outcome as JSON. At a fixed rate a time counts from the moment a record was due.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Parser;
use hdrhistogram::Histogram;
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::ThreadedProducer;
use rdkafka::producer::{BaseRecord, NoCustomPartitioner, Producer, ProducerContext};
use tidegate_bench::avro::AvroOrders;
use tidegate_bench::orders::{BODY_BYTES, EVENT_SOURCE, ID_BYTES, Orders};
use tidegate_bench::outcome::{self, Latency, Outcome};
use tidegate_bench::usage::{Client, Meter, Watched};

const DRAIN: Duration = Duration::from_secs(60);

#[derive(Parser)]
struct Arguments {
    #[arg(long)]
    bootstrap: String,
    #[arg(long)]
    topic: String,
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Ends after so many records instead.
    #[arg(long)]
    records: Option<u64>,
    /// Records a second; as many as go without.
    #[arg(long)]
    rate: Option<f64>,
    /// A setting of librdkafka, KEY=VALUE.
    #[arg(long = "set")]
    settings: Vec<String>,
    /// Part of every event's id; another for every run.
    #[arg(long, default_value_t = fastrand::u32(..))]
    run: u32,
    /// When the orders were placed.
    #[arg(long)]
    time: String,
    /// How the data is written.
    #[arg(long, value_enum, default_value = "json")]
    form: Form,
    /// Sends the headers of a CloudEvent of this type.
    #[arg(long)]
    event_type: Option<String>,
    /// NAME=PID of a process whose use is taken in the window.
    #[arg(long = "watch")]
    watched: Vec<Watched>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Form {
    Json,
    Avro,
}

/// Counts deliveries; a record carries when it was due, in microseconds since the start.
struct Deliveries {
    start: Instant,
    from: Duration,
    to: Duration,
    at_rate: bool,
    acked: AtomicU64,
    in_window: AtomicU64,
    failed: AtomicU64,
    histogram: Mutex<Histogram<u64>>,
}

struct Context(Arc<Deliveries>);

impl ClientContext for Context {}

impl ProducerContext<NoCustomPartitioner> for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, due_us: usize) {
        let deliveries = &*self.0;
        if result.is_err() {
            deliveries.failed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        deliveries.acked.fetch_add(1, Ordering::Relaxed);
        let now = deliveries.start.elapsed();
        let in_window = |at: Duration| at >= deliveries.from && at < deliveries.to;
        if in_window(now) {
            deliveries.in_window.fetch_add(1, Ordering::Relaxed);
        }
        let due = Duration::from_micros(due_us as u64);
        if deliveries.at_rate && in_window(due) {
            let mut histogram = deliveries.histogram.lock().expect("no thread panics");
            outcome::record(&mut histogram, now.saturating_sub(due));
        }
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let from = Duration::from_secs_f64(arguments.warm_up);
    let window = Duration::from_secs_f64(arguments.seconds);
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &arguments.bootstrap)
        .set("acks", "all")
        .set("enable.idempotence", "true");
    for setting in &arguments.settings {
        let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
        config.set(key, value);
    }
    let deliveries = Arc::new(Deliveries {
        start: Instant::now() + Duration::from_millis(300),
        from,
        to: from + window,
        at_rate: arguments.rate.is_some(),
        acked: AtomicU64::new(0),
        in_window: AtomicU64::new(0),
        failed: AtomicU64::new(0),
        histogram: Mutex::new(outcome::histogram()),
    });
    let context = Context(Arc::clone(&deliveries));
    let producer: ThreadedProducer<Context> = config.create_with_context(context)?;
    // The connection is there before the clock starts.
    producer
        .client()
        .fetch_metadata(Some(&arguments.topic), Duration::from_secs(10))?;
    sleep_until(deliveries.start);
    let used = match arguments.records {
        Some(records) => {
            let meter = Meter::start(&arguments.watched, Client::Myself);
            send(&producer, &arguments, &deliveries, Duration::MAX, records)?;
            producer.flush(DRAIN)?;
            deliveries
                .in_window
                .store(deliveries.acked.load(Ordering::Relaxed), Ordering::Relaxed);
            meter.stop()
        }
        None => std::thread::scope(|scope| -> Result<_> {
            let sender =
                scope.spawn(|| send(&producer, &arguments, &deliveries, deliveries.to, u64::MAX));
            sleep_until(deliveries.start + deliveries.from);
            let meter = Meter::start(&arguments.watched, Client::Myself);
            sleep_until(deliveries.start + deliveries.to);
            let used = meter.stop();
            sender.join().expect("no thread panics")?;
            producer.flush(DRAIN)?;
            Ok(used)
        })?,
    };
    let mut problems = Vec::new();
    let failed = deliveries.failed.load(Ordering::Relaxed);
    if failed > 0 {
        problems.push(format!("{failed} records were not delivered"));
    }
    let window_events = deliveries.in_window.load(Ordering::Relaxed);
    let wall_s = match arguments.records {
        Some(_) => used.wall_s,
        None => window.as_secs_f64(),
    };
    let outcome = Outcome {
        acked: deliveries.acked.load(Ordering::Relaxed),
        window_events,
        events_per_s: window_events as f64 / wall_s,
        latency: Latency::of(&deliveries.histogram.lock().expect("no thread panics")),
        used: Some(used),
        unsent: 0,
        problems,
    };
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

/// The headers of a CloudEvent (Kafka binding, binary mode).
fn envelope(id: &[u8], event_type: &str) -> OwnedHeaders {
    let headers = [
        ("ce_specversion", &b"1.0"[..]),
        ("ce_id", id),
        ("ce_source", EVENT_SOURCE.as_bytes()),
        ("ce_type", event_type.as_bytes()),
    ];
    let headers = headers.map(|(key, value)| Header {
        key,
        value: Some(value),
    });
    headers
        .into_iter()
        .fold(OwnedHeaders::new_with_capacity(4), OwnedHeaders::insert)
}

fn sleep_until(at: Instant) {
    std::thread::sleep(at.saturating_duration_since(Instant::now()));
}

fn send(
    producer: &ThreadedProducer<Context>,
    arguments: &Arguments,
    deliveries: &Deliveries,
    until: Duration,
    records: u64,
) -> Result<()> {
    let orders = Orders::new(arguments.run, &arguments.time);
    let interval = arguments
        .rate
        .map(|rate| Duration::from_secs_f64(1.0 / rate));
    let avro = AvroOrders::new(&orders);
    let mut body = [0; BODY_BYTES];
    let mut id = [0; ID_BYTES];
    for number in 0..records {
        let due = match interval {
            Some(interval) => {
                let due = interval.mul_f64(number as f64);
                sleep_until(deliveries.start + due);
                due
            }
            None => deliveries.start.elapsed(),
        };
        if due >= until {
            break;
        }
        match arguments.form {
            Form::Json => orders.write_body(number, &mut body),
            Form::Avro => avro.write_body(&orders, number, &mut body),
        }
        let key = orders.key(number);
        let mut record = BaseRecord::with_opaque_to(&arguments.topic, due.as_micros() as usize)
            .key(&key)
            .payload(&body);
        if let Some(event_type) = &arguments.event_type {
            orders.write_id(number, &mut id);
            record = record.headers(envelope(&id, event_type));
        }
        loop {
            match producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    std::thread::sleep(Duration::from_micros(200));
                }
                Err((error, _)) => bail!("librdkafka took no record: {error}"),
            }
        }
    }
    Ok(())
}
