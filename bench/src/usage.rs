//! What processes and the machine used: processor seconds and memory, from `/proc`.
//!
//! A process's seconds are user and system time of all its threads, in ticks of 10 ms. What the
//! kernel does outside of any process (interrupts, writing pages back) is nobody's and appears with
//! the strangers.

use std::fs;
use std::time::Instant;

use serde::{Deserialize, Serialize};

/// A process that is watched.
#[derive(Clone, Debug)]
pub struct Watched {
    pub name: String,
    pub pid: u32,
}

impl std::str::FromStr for Watched {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, pid) = text.split_once('=').ok_or("expected NAME=PID")?;
        Ok(Self {
            name: name.to_owned(),
            pid: pid.parse().map_err(|_| "expected NAME=PID".to_owned())?,
        })
    }
}

/// What one process used in a window of time.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ProcessUse {
    pub name: String,
    pub cpu_s: f64,
    pub rss_mib: f64,
}

/// What all used in a window of time.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Use {
    pub wall_s: f64,
    pub watched: Vec<ProcessUse>,
    /// The program that made the load.
    pub client_cpu_s: f64,
    /// Processors held, on average, by what is not part of the measurement.
    pub strangers_cpus: f64,
    /// Processors that the hypervisor gave to others.
    pub stolen_cpus: f64,
}

/// Whose time counts as the client's.
#[derive(Clone, Copy)]
pub enum Client {
    /// This process.
    Myself,
    /// Children that this process has waited for.
    Children,
}

/// Takes the time between two moments.
pub struct Meter {
    watched: Vec<Watched>,
    client: Client,
    at: Instant,
    before: Reading,
}

struct Reading {
    watched: Vec<f64>,
    client: f64,
    busy: f64,
    stolen: f64,
}

impl Meter {
    pub fn start(watched: &[Watched], client: Client) -> Self {
        Self {
            watched: watched.to_vec(),
            client,
            at: Instant::now(),
            before: Reading::take(watched, client),
        }
    }

    pub fn stop(self) -> Use {
        let wall_s = self.at.elapsed().as_secs_f64();
        let after = Reading::take(&self.watched, self.client);
        let watched: Vec<ProcessUse> = self
            .watched
            .iter()
            .zip(after.watched.iter().zip(&self.before.watched))
            .map(|(process, (after, before))| ProcessUse {
                name: process.name.clone(),
                cpu_s: (after - before).max(0.0),
                rss_mib: rss_mib(process.pid),
            })
            .collect();
        let client_cpu_s = after.client - self.before.client;
        let ours: f64 = watched.iter().map(|process| process.cpu_s).sum::<f64>() + client_cpu_s;
        Use {
            wall_s,
            watched,
            client_cpu_s,
            strangers_cpus: ((after.busy - self.before.busy - ours) / wall_s).max(0.0),
            stolen_cpus: (after.stolen - self.before.stolen) / wall_s,
        }
    }
}

impl Reading {
    fn take(watched: &[Watched], client: Client) -> Self {
        let (busy, stolen) = machine_seconds();
        Self {
            watched: watched
                .iter()
                .map(|process| cpu_seconds(&process.pid.to_string(), 11))
                .collect(),
            client: match client {
                Client::Myself => cpu_seconds("self", 11),
                Client::Children => cpu_seconds("self", 13),
            },
            busy,
            stolen,
        }
    }
}

/// Returns the processor seconds that a JVM has spent, and those its compilers have.
pub fn jvm_seconds(pid: u32) -> (f64, f64) {
    let mut compilers = 0.0;
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    for task in tasks.into_iter().flatten().flatten() {
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        if name.starts_with("C1 Comp") || name.starts_with("C2 Comp") {
            let thread = task.file_name();
            compilers += cpu_seconds(&format!("{pid}/task/{}", thread.to_string_lossy()), 11);
        }
    }
    (cpu_seconds(&pid.to_string(), 11), compilers)
}

fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

/// Adds two neighbours of `/proc/PID/stat`, counted from the field after the command's name.
fn cpu_seconds(process: &str, field: usize) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks: u64 = after_name
        .split(' ')
        .skip(field)
        .take(2)
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum();
    ticks as f64 / ticks_per_second()
}

/// Returns the processor seconds spent, and those stolen, since the machine started.
fn machine_seconds() -> (f64, f64) {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: Vec<f64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|ticks| ticks.parse().ok())
        .collect();
    let at = |index: usize| ticks.get(index).copied().unwrap_or(0.0) / ticks_per_second();
    // user nice system idle iowait irq softirq steal
    (at(0) + at(1) + at(2) + at(5) + at(6), at(7))
}

/// Returns the memory that a process holds, in MiB; 0 if it is gone.
pub fn rss_mib(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}
