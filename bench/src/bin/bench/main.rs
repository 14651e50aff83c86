//! Runs the bench: the floor first, then each suite with its targets in turn, then the report.
//! `bench/run` builds what it needs and calls it; method and reading are in `bench/README.md`.

mod aims;
mod lab;
mod machine;
mod peers;
mod plan;
mod report;
mod samples;
mod suites;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clap::Parser;

use crate::lab::{Lab, Places};
use crate::machine::{Machine, load_average};
use crate::plan::{Plan, Suite};
use crate::report::Report;
use crate::samples::Samples;
use crate::suites::{Effort, Suites};

/// What the data of a whole run may take, with a good margin.
const DISK_GIB: u64 = 30;

/// Measures tidegate beside a hand-written service over Apache Kafka, and Apache Kafka itself.
#[derive(Parser)]
struct Arguments {
    /// Only these suites, with commas between them.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Suite>,
    /// The length of a window.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// How often everything is measured; the tables show medians.
    #[arg(long, default_value_t = 3)]
    repeat: u32,
    /// A suite that would end after so many minutes is left out.
    #[arg(long, default_value_t = 25.0)]
    minutes: f64,
    /// Where the report goes, without ending; by default `bench/results/DATE-COMMIT`, and for a part
    /// of the suites `bench/target/last`.
    #[arg(long)]
    out: Option<PathBuf>,
    /// The binary under measurement.
    #[arg(long)]
    tidegate: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    if arguments.repeat == 0 || arguments.seconds <= 0.0 {
        bail!("nothing to measure");
    }
    let programs = std::env::current_exe()?
        .parent()
        .context("a program is in a directory")?
        .to_owned();
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the bench is in the repository")?
        .to_owned();
    let places = Places {
        programs,
        tidegate: arguments
            .tidegate
            .clone()
            .unwrap_or_else(|| root.join("target/release/tidegate")),
        work: root.join("bench/target/work"),
        root,
    };
    if places.work.exists() {
        fs::remove_dir_all(&places.work)?;
    }
    fs::create_dir_all(&places.work)?;
    enough_disk(&places, &arguments)?;
    let machine = Machine::look(&places.work);
    let load_before = load_average();
    let effort = Effort {
        seconds: arguments.seconds,
        repeat: arguments.repeat,
    };
    let mut plan = Plan::new(&arguments.only, effort, arguments.minutes);
    let mut samples = Samples::default();
    let floor = measure(&mut plan, effort, &places, &mut samples);

    let date = time::OffsetDateTime::now_utc();
    let commit = commit(&places)?;
    let report = Report {
        date: format!(
            "{:04}-{:02}-{:02}",
            date.year(),
            u8::from(date.month()),
            date.day()
        ),
        command: command(&arguments),
        repeat: arguments.repeat,
        seconds: arguments.seconds,
        machine: &machine,
        load_before,
        load_after: load_average(),
        plan: &plan,
        floor,
        samples: &samples,
        commit,
    };
    let out = arguments.out.clone().unwrap_or_else(|| {
        let bench = places.root.join("bench");
        match arguments.only.is_empty() {
            true => bench.join(format!(
                "results/{}-{}",
                report.date,
                report.commit.replace(" with changes", "-changed")
            )),
            false => bench.join("target/last"),
        }
    });
    if let Some(directory) = out.parent() {
        fs::create_dir_all(directory)?;
    }
    let markdown = report.markdown();
    fs::write(out.with_extension("md"), &markdown)?;
    let json = serde_json::to_string_pretty(&report.json())?;
    fs::write(out.with_extension("json"), json + "\n")?;
    fs::remove_dir_all(&places.work)?;
    println!("{markdown}");
    eprintln!("bench: written to {}", out.with_extension("md").display());
    let failures = plan.failures().count();
    if failures > 0 {
        eprintln!("bench: {failures} of the suites are not whole");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures what was asked for; returns the disk's floor.
fn measure(
    plan: &mut Plan,
    effort: Effort,
    places: &Places,
    samples: &mut Samples,
) -> Option<serde_json::Value> {
    let floor = plan.run(Suite::Floor, || suites::floor(places, effort));
    plan.run(Suite::Check, || suites::check(places, samples, effort));
    plan.run(Suite::Rest, || suites::rest(places, samples, effort));
    plan.run(Suite::Answers, || suites::answers::answers(places, samples));
    let mut lab = None;
    plan.run(Suite::WarmUp, || {
        let lab = lab.insert(Lab::start(places)?);
        let mut suites = Suites {
            lab,
            samples,
            effort,
        };
        suites.prepare()
    });
    for suite in plan.suites().to_vec() {
        if suite.is_of_lab() {
            plan.run(suite, || {
                let lab = lab.as_ref().context("the servers did not start")?;
                let mut suites = Suites {
                    lab,
                    samples,
                    effort,
                };
                suites.run(suite)
            });
        }
    }
    floor
}

fn enough_disk(places: &Places, arguments: &Arguments) -> Result<()> {
    let space = rustix::fs::statvfs(&places.work)?;
    let free_gib = (space.f_bavail * space.f_frsize) >> 30;
    if arguments.only.is_empty() && free_gib < DISK_GIB {
        bail!("{free_gib} GiB of disk are free; a whole run wants {DISK_GIB}");
    }
    Ok(())
}

/// The commit under measurement, and whether the tree has changes that are in none.
fn commit(places: &Places) -> Result<String> {
    let git = |words: &[&str]| -> Result<String> {
        let output = Command::new("git")
            .arg("-C")
            .arg(&places.root)
            .args(words)
            .output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let short = git(&["rev-parse", "--short", "HEAD"])?;
    let changes = git(&["status", "--porcelain", "--", "crates", "Cargo.lock"])?;
    Ok(match changes.is_empty() {
        true => short,
        false => format!("{short} with changes"),
    })
}

/// What to type to have this again.
fn command(arguments: &Arguments) -> String {
    let mut command = "bench/run".to_owned();
    if !arguments.only.is_empty() {
        let names: Vec<String> = arguments.only.iter().map(|suite| suite.name()).collect();
        command += &format!(" --only {}", names.join(","));
    }
    command
        + &format!(
            " --seconds {} --repeat {}",
            arguments.seconds, arguments.repeat
        )
}
