//! What contracts cost: an event held against its contract beside parsing the same bytes, and
//! `contract check` over a set of 500.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tidegate_bench::usage::{Client, Meter};

use super::{Effort, settle};
use crate::lab::{Places, output_of};
use crate::samples::{Sample, Samples};

/// As many as `plan` and `apply` are shown with.
const CONTRACTS: usize = 500;

/// What `src/bin/check.rs` prints.
#[derive(Deserialize)]
struct Measured {
    row: String,
    target: String,
    repetition: u32,
    cpu_us: f64,
    bytes: f64,
}

/// Measures both.
pub(crate) fn check(places: &Places, samples: &mut Samples, effort: Effort) -> Result<()> {
    let mut program = places.program("check");
    program
        .args(["--seconds", &effort.check_seconds().to_string()])
        .args(["--repeat", &effort.repeat.to_string()]);
    let printed = output_of(&mut program, Duration::from_secs(300), &places.work)?;
    let measured: Vec<Measured> = serde_json::from_str(&printed)?;
    for Measured {
        row,
        target,
        repetition,
        cpu_us,
        bytes,
    } in measured
    {
        let mut sample = Sample::new(&row, &target, repetition);
        sample.set("cpu_us", cpu_us);
        sample.set("bytes", bytes);
        samples.add(sample);
    }
    for repetition in 1..=effort.repeat {
        samples.add(command(places, repetition)?);
    }
    Ok(())
}

/// Holds a set of contracts against another in which each schema has one property more.
fn command(places: &Places, repetition: u32) -> Result<Sample> {
    let folders = ["old", "new"].map(|name| places.work.join(format!("contracts-{name}")));
    for (folder, property) in folders
        .iter()
        .zip(["", ", \"more\": {\"type\": \"string\"}"])
    {
        write_set(folder, property)?;
    }
    settle();
    let (began, meter) = (Instant::now(), Meter::start(&[], Client::Children));
    let output = Command::new(&places.tidegate)
        .args(["contract", "check"])
        .arg(&folders[1])
        .arg("--against")
        .arg(&folders[0])
        .output()?;
    let (wall_s, used) = (began.elapsed().as_secs_f64(), meter.stop());
    ensure!(
        output.status.success(),
        "`contract check` ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let mut sample = Sample::new("check-command", "tidegate", repetition);
    sample.set("contracts", CONTRACTS as f64);
    sample.set("wall_s", wall_s);
    sample.set("cpu_s", used.client_cpu_s);
    Ok(sample)
}

fn write_set(folder: &Path, property: &str) -> Result<()> {
    fs::create_dir_all(folder.join("schemas"))?;
    let schema = include_str!("../../../../contracts/schemas/bench-orders.json");
    // Behind the last property of the order itself.
    let note = "\"note\": { \"type\": \"string\", \"maxLength\": 1000 }";
    let (before, after) = schema.split_once(note).context("an order has a note")?;
    let schema = format!("{before}{note}{property}{after}");
    for number in 0..CONTRACTS {
        let contract = format!(
            "apiVersion: contract/v1
kind: EventContract
metadata: {{name: bench-{number}}}
spec:
  class: fact
  event: {{type: com.example.bench.n{number}}}
  schema: {{format: json, file: schemas/{number}.json}}
  key: {{from: $.customerId}}
  topic: {{name: bench.n{number}}}
"
        );
        fs::write(folder.join(format!("{number}.yaml")), contract)?;
        fs::write(folder.join(format!("schemas/{number}.json")), &schema)?;
    }
    Ok(())
}
