//! What it costs to hold an event against its contract, beside parsing the same JSON with serde_json:
//! `EventContract::check` for each language and encoding, over two families of 256 different bodies of
//! about 1 KiB. Prints JSON: microseconds of this thread's processor time an event. `--only TARGET`
//! runs one of them for a profiler.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use apache_avro::writer::datum::GenericDatumWriter;
use clap::Parser;
use prost_reflect::prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use serde_json::{Value, json};
use tidegate_bench::orders::{BODY_BYTES, EVENT_SOURCE, Orders};
use tidegate_contract::{Event, EventContract, load};

/// So many that no branch predictor knows them all, and that they stay near the processor.
const BODIES: u64 = 256;
const TIME: &str = "2026-01-01T00:00:00Z";
const RECEIVED_AT_MS: i64 = 1_767_225_600_000;

#[derive(Parser)]
struct Arguments {
    /// How long each target is measured in a repetition.
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
    #[arg(long, default_value_t = 3)]
    repeat: u32,
    /// One target, `avro binary`.
    #[arg(long)]
    only: Option<String>,
}

#[derive(Serialize)]
struct Measured {
    row: String,
    target: &'static str,
    repetition: u32,
    /// Microseconds of processor time an event.
    cpu_us: f64,
    /// The event's bytes, on average.
    bytes: f64,
}

/// What is done to every body of a family.
enum Work {
    Parse(Vec<Vec<u8>>),
    Check(Box<EventContract>, Vec<Event>),
}

struct Target {
    row: String,
    name: &'static str,
    work: Work,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut targets = family("orders", "customerId", &orders())?;
    targets.extend(family("readings", "device", &readings())?);
    if let Some(only) = &arguments.only {
        targets.retain(|target| target.name == only);
    }
    let mut measured = Vec::new();
    for repetition in 1..=arguments.repeat {
        // Another one begins each time.
        let shift = repetition as usize % targets.len().max(1);
        targets.rotate_left(shift);
        for target in &targets {
            measured.push(Measured {
                row: target.row.clone(),
                target: target.name,
                repetition,
                cpu_us: target.measure(Duration::from_secs_f64(arguments.seconds)),
                bytes: target.bytes(),
            });
        }
    }
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

impl Target {
    fn measure(&self, window: Duration) -> f64 {
        self.once();
        let (began, before) = (Instant::now(), cpu_s());
        let mut rounds = 0_u32;
        while began.elapsed() < window {
            self.once();
            rounds += 1;
        }
        (cpu_s() - before) * 1e6 / f64::from(rounds) / BODIES as f64
    }

    fn once(&self) {
        match &self.work {
            Work::Parse(bodies) => {
                for body in bodies {
                    let parsed: Result<Value, _> = serde_json::from_slice(black_box(body));
                    black_box(parsed.is_ok());
                }
            }
            Work::Check(contract, events) => {
                for event in events {
                    let checked = contract.check(black_box(event), RECEIVED_AT_MS);
                    black_box(checked.is_ok());
                }
            }
        }
    }

    fn bytes(&self) -> f64 {
        let total: usize = match &self.work {
            Work::Parse(bodies) => bodies.iter().map(Vec::len).sum(),
            Work::Check(_, events) => {
                let bodies = events.iter().filter_map(|event| event.data.as_ref());
                bodies.map(|data| data.len()).sum()
            }
        };
        total as f64 / BODIES as f64
    }
}

/// This thread's processor time; nobody else's work is in it.
fn cpu_s() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// Makes the targets of a family of bodies, and sees that every event keeps its contract.
fn family(name: &str, key: &str, bodies: &[Vec<u8>]) -> Result<Vec<Target>> {
    let row = format!("check-{name}");
    let mut targets = vec![Target {
        row: row.clone(),
        name: "serde_json",
        work: Work::Parse(bodies.to_vec()),
    }];
    for (target, format, encoding) in [
        ("JSON Schema", "json", "application/json"),
        ("Avro, as JSON", "avro", "application/json"),
        ("Avro, binary", "avro", "application/avro"),
        ("Protobuf, as JSON", "protobuf", "application/json"),
        ("Protobuf, binary", "protobuf", "application/protobuf"),
    ] {
        let contract = contract(name, format, key)?;
        let encoded = match encoding {
            "application/avro" => avro(name, bodies)?,
            "application/protobuf" => protobuf(name, bodies)?,
            _ => bodies.to_vec(),
        };
        let event = |body: Vec<u8>| Event {
            id: "1".to_owned(),
            source: EVENT_SOURCE.to_owned(),
            event_type: name.to_owned(),
            datacontenttype: Some(encoding.to_owned()),
            data: Some(body.into()),
            ..Event::default()
        };
        let events: Vec<Event> = encoded.into_iter().map(event).collect();
        for event in &events {
            contract
                .check(event, RECEIVED_AT_MS)
                .with_context(|| format!("{row}, {target}"))?;
        }
        targets.push(Target {
            row: row.clone(),
            name: target,
            work: Work::Check(Box::new(contract), events),
        });
    }
    Ok(targets)
}

fn schema(file: &str) -> Result<&'static str> {
    Ok(match file {
        "orders.json" => include_str!("../../contracts/schemas/bench-orders.json"),
        "orders.avro" => include_str!("../../check/orders.avsc"),
        "orders.protobuf" => include_str!("../../check/orders.proto"),
        "readings.json" => include_str!("../../check/readings.json"),
        "readings.avro" => include_str!("../../check/readings.avsc"),
        "readings.protobuf" => include_str!("../../check/readings.proto"),
        _ => bail!("there is no schema `{file}`"),
    })
}

fn contract(name: &str, format: &str, key: &str) -> Result<EventContract> {
    let text = format!(
        "apiVersion: contract/v1
kind: EventContract
metadata: {{name: {name}}}
spec:
  class: fact
  event: {{type: {name}, source: {EVENT_SOURCE}}}
  schema: {{format: {format}, file: {name}.{format}}}
  key: {{from: $.{key}}}
"
    );
    let find = |path: &str| schema(path).ok().map(str::to_owned);
    let set = load::sources(&[("bench.yaml".to_owned(), text)], &find)
        .map_err(|found| anyhow::anyhow!("{found}"))?;
    let contract = set.by_name(name).cloned();
    drop(set);
    contract
        .and_then(std::sync::Arc::into_inner)
        .context("the contract is there")
}

fn orders() -> Vec<Vec<u8>> {
    let orders = Orders::new(7, TIME);
    let one = |number| {
        let mut body = vec![0; BODY_BYTES];
        orders.write_body(number, &mut body);
        body
    };
    (0..BODIES).map(one).collect()
}

/// Little text and many small values: what a schema has most to say about.
fn readings() -> Vec<Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(11);
    let one = |number| {
        let mut readings: Vec<Value> = Vec::new();
        loop {
            let metric = ["temperature", "humidity", "pressure", "co2"][random.usize(..4)];
            let value = f64::from(random.i32(-4_000..110_000)) / 100.0;
            let at = 1_767_225_600 + random.u32(..86_400);
            let mut reading =
                json!({"metric": metric, "value": value, "at": at, "ok": random.bool()});
            if random.bool() {
                reading["raw"] = json!(random.u16(..));
            }
            readings.push(reading);
            let body = json!({
                "device": format!("dev-{number:06}"),
                "site": {"id": 1 + random.u8(..9), "zone": format!("north {}", random.u8(..9))},
                "firmware": format!("4.{}.{}", random.u8(..9), random.u8(..20)),
                "readings": readings,
            });
            let body = body.to_string();
            if body.len() >= BODY_BYTES - 60 {
                return body.into_bytes();
            }
        }
    };
    (0..BODIES).map(one).collect()
}

fn avro(name: &str, bodies: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
    let schema = apache_avro::Schema::parse_str(schema(&format!("{name}.avro"))?)?;
    let writer = GenericDatumWriter::builder(&schema).build()?;
    let encode = |body: &Vec<u8>| -> Result<Vec<u8>> {
        let value: Value = serde_json::from_slice(body)?;
        let value = untyped(&value).resolve(&schema)?;
        Ok(writer.write_value_to_vec(value)?)
    };
    bodies.iter().map(encode).collect()
}

/// JSON as Avro values that the schema then gives their types.
fn untyped(value: &Value) -> apache_avro::types::Value {
    use apache_avro::types::Value as Avro;
    match value {
        Value::Null => Avro::Null,
        Value::Bool(flag) => Avro::Boolean(*flag),
        Value::Number(number) => number.as_i64().map_or_else(
            || Avro::Double(number.as_f64().unwrap_or_default()),
            Avro::Long,
        ),
        Value::String(text) => Avro::String(text.clone()),
        Value::Array(items) => Avro::Array(items.iter().map(untyped).collect()),
        Value::Object(members) => {
            let members = members.iter();
            Avro::Map(
                members
                    .map(|(name, value)| (name.clone(), untyped(value)))
                    .collect(),
            )
        }
    }
}

fn protobuf(name: &str, bodies: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/check");
    let set = protox::compile([format!("{name}.proto")], [folder])?;
    let pool = DescriptorPool::from_file_descriptor_set(set)?;
    let message = pool.all_messages().next().context("a message")?;
    let encode = |body: &Vec<u8>| -> Result<Vec<u8>> {
        let mut json = serde_json::Deserializer::from_slice(body);
        let message = DynamicMessage::deserialize(message.clone(), &mut json)?;
        Ok(message.encode_to_vec())
    };
    bodies.iter().map(encode).collect()
}
