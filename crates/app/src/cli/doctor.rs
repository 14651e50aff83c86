//! `doctor`: can this machine run tidegate as it is configured? Each check tries the thing itself,
//! leaves nothing behind, and says what to do.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use rustix::fs::{OFlags, statvfs};
use rustix::process::{Resource, getrlimit};
use serde_json::{Value, json};

use super::failure::{Exit, Failure};
use super::serve::Settings;
use crate::config::Config;
use crate::ui::{Answer, Column, Ui, column};

/// Check whether this machine can run tidegate; ends with 3 if something is wrong.
#[derive(Args, Debug)]
pub(crate) struct Doctor {
    #[command(flatten)]
    settings: Settings,
}

/// Writes that are timed; the slowest of them stands for the tail.
const TIMED_WRITES: usize = 64;
/// A write of the log is at least this large.
const BLOCK_BYTES: usize = 4096;
/// Slower than this, and 5 s for an answer is in danger under load.
const SYNC_WRONG: Duration = Duration::from_millis(250);
/// Network and rotating disks are slower than this.
const SYNC_SLOW: Duration = Duration::from_millis(30);
/// History needs room beside the write-ahead log.
const HISTORY_ROOM_BYTES: u64 = 1024 * 1024 * 1024;
/// Beside connections: segments, objects being read, and the process's own.
const OTHER_FILES: u64 = 512;
/// 2025-01-01; a clock before it was never set.
const EARLIEST: Duration = Duration::from_secs(1_735_689_600);
/// How far wall clock and steady clock may part while the disk is timed.
const CLOCK_TOLERANCE: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Eq, PartialEq)]
enum Verdict {
    Good,
    Warning,
    Wrong,
}

/// What a check found.
struct Check {
    name: &'static str,
    verdict: Verdict,
    found: String,
    fix: Option<String>,
}

impl Check {
    fn good(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            verdict: Verdict::Good,
            found: found.into(),
            fix: None,
        }
    }

    fn bad(
        name: &'static str,
        verdict: Verdict,
        found: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            name,
            verdict,
            found: found.into(),
            fix: Some(fix.into()),
        }
    }

    fn to_json(&self) -> Value {
        let verdict = match self.verdict {
            Verdict::Good => "good",
            Verdict::Warning => "warning",
            Verdict::Wrong => "wrong",
        };
        json!({ "check": self.name, "verdict": verdict, "found": self.found, "fix": self.fix })
    }
}

const COLUMNS: &[Column] = &[
    column("check", "/check"),
    column("verdict", "/verdict"),
    column("found", "/found"),
    column("fix", "/fix"),
];

impl Doctor {
    /// Checks and prints.
    ///
    /// # Errors
    /// `Found` if something is wrong.
    pub(crate) fn run(self, ui: &Ui) -> Result<(), Failure> {
        let config = self.settings.settle()?;
        let kafka = crate::wire::kafka_settings(&config)?;
        let data = config.data.clone().unwrap_or_else(|| PathBuf::from("."));
        let mut checks = vec![
            door("events door", config.ingress.listen.0, "--http"),
            door("registry door", config.registry.listen.0, "--registry"),
            door("kafka door", config.kafka.listen.0, "--kafka"),
            door("operations door", config.operations.listen.0, "--ops"),
        ];
        checks.extend(disk(&data, &config));
        let connections = u64::try_from(kafka.max_connections).unwrap_or(0);
        checks.push(open_files(&config, connections));
        let wrong = checks
            .iter()
            .filter(|check| check.verdict == Verdict::Wrong)
            .count();
        let checks: Vec<Value> = checks.iter().map(Check::to_json).collect();
        ui.print(&Answer::list(
            json!({ "checks": checks }),
            "checks",
            COLUMNS,
        ))?;
        match wrong {
            0 => Ok(()),
            1 => Err(Failure::new(Exit::Found, "1 check found something wrong")),
            count => Err(Failure::new(
                Exit::Found,
                format!("{count} checks found something wrong"),
            )),
        }
    }
}

fn door(name: &'static str, address: SocketAddr, flag: &str) -> Check {
    match TcpListener::bind(address) {
        Ok(_) => Check::good(name, format!("{address} is free")),
        Err(error) => {
            let fix = format!("stop what listens there, or choose another address with `{flag}`");
            Check::bad(name, Verdict::Wrong, format!("{address}: {error}"), fix)
        }
    }
}

/// Tries the directory that the log will be in, or the one it will be made in.
fn disk(data: &Path, config: &Config) -> Vec<Check> {
    let there = data
        .ancestors()
        .find(|path| path.is_dir())
        .unwrap_or(Path::new("."));
    let directory = match tempfile::Builder::new()
        .prefix(".tidegate-doctor-")
        .tempdir_in(there)
    {
        Ok(directory) => directory,
        Err(error) => {
            let found = format!("`{}` cannot be written: {error}", there.display());
            let fix = "make it writable for this user, or choose another with `--data`";
            return vec![Check::bad("data directory", Verdict::Wrong, found, fix)];
        }
    };
    let writable = format!("`{}` can be written", there.display());
    let (sync, clock) = sync_and_clock(directory.path());
    vec![
        Check::good("data directory", writable),
        space(there, config),
        direct(directory.path()),
        sync,
        clock.unwrap_or_else(|| clock_of_files(data)),
    ]
}

fn space(directory: &Path, config: &Config) -> Check {
    const NAME: &str = "disk space";
    let needed = config.log.wal_budget_bytes + HISTORY_ROOM_BYTES;
    match statvfs(directory) {
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let found = format!("{} MiB free, {} MiB needed", free >> 20, needed >> 20);
            if free >= needed {
                return Check::good(NAME, found);
            }
            let fix = "free some, choose another disk with `--data`, or lower `log.wal.budget`";
            Check::bad(NAME, Verdict::Wrong, found, fix)
        }
        Err(error) => Check::bad(NAME, Verdict::Warning, error.to_string(), "look at `df`"),
    }
}

/// Writes one block past the page cache, as the write-ahead log does.
fn direct(directory: &Path) -> Check {
    const NAME: &str = "direct writes";
    let write = || {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .custom_flags((OFlags::DIRECT | OFlags::DSYNC).bits().cast_signed())
            .open(directory.join("direct"))?;
        // Such a write asks for an aligned buffer.
        let buffer = vec![0; 2 * BLOCK_BYTES];
        let start = buffer.as_ptr().align_offset(BLOCK_BYTES);
        file.write_all_at(&buffer[start..start + BLOCK_BYTES], 0)
    };
    match write() {
        Ok(()) => Check::good(NAME, "O_DIRECT works"),
        Err(error) => {
            let fix = "nothing to fix: writes are as durable without it, with one more copy";
            Check::bad(NAME, Verdict::Warning, format!("O_DIRECT: {error}"), fix)
        }
    }
}

/// Times durable writes, and looks whether the clock of the day keeps pace meanwhile.
fn sync_and_clock(directory: &Path) -> (Check, Option<Check>) {
    const NAME: &str = "durable write";
    let (wall, steady) = (SystemTime::now(), Instant::now());
    let times = match time_writes(&directory.join("sync")) {
        Ok(times) => times,
        Err(error) => {
            let fix = "look at the system's log: a disk that cannot sync cannot keep events";
            return (
                Check::bad(NAME, Verdict::Wrong, error.to_string(), fix),
                None,
            );
        }
    };
    let clock = clock(wall, steady.elapsed());
    let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
    let found = format!(
        "4 KiB durable in {:.1} ms (median), {:.1} ms (slowest of {TIMED_WRITES})",
        median.as_secs_f64() * 1e3,
        slowest.as_secs_f64() * 1e3
    );
    let fix = "put `--data` on a local SSD: each receipt waits for such a write";
    let check = if median > SYNC_WRONG {
        Check::bad(NAME, Verdict::Wrong, found, fix)
    } else if median > SYNC_SLOW {
        Check::bad(NAME, Verdict::Warning, found, fix)
    } else {
        Check::good(NAME, found)
    };
    (check, clock)
}

fn time_writes(path: &Path) -> io::Result<Vec<Duration>> {
    let mut file = File::create(path)?;
    let mut times = Vec::with_capacity(TIMED_WRITES);
    for _ in 0..TIMED_WRITES {
        let start = Instant::now();
        file.write_all(&[0; BLOCK_BYTES])?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    times.sort();
    Ok(times)
}

const CLOCK: &str = "clock";
const CLOCK_FIX: &str = "let NTP set the clock: retention, dedup windows and receipts go by it";

/// Finds what is wrong with the clock of the day, if it is.
fn clock(wall: SystemTime, steady: Duration) -> Option<Check> {
    let wrong = |found: String| Some(Check::bad(CLOCK, Verdict::Wrong, found, CLOCK_FIX));
    let now = SystemTime::now();
    if now
        .duration_since(UNIX_EPOCH)
        .is_ok_and(|since| since < EARLIEST)
    {
        return wrong("it was never set".to_owned());
    }
    match now.duration_since(wall) {
        Ok(passed) if passed.abs_diff(steady) <= CLOCK_TOLERANCE => None,
        Ok(passed) => wrong(format!("it went {passed:?} in {steady:?}")),
        Err(error) => wrong(format!("it went back by {:?}", error.duration())),
    }
}

/// Files of an earlier run tell when the clock was further on.
fn clock_of_files(data: &Path) -> Check {
    let ahead = |path: PathBuf| {
        let modified = fs::metadata(path)
            .and_then(|metadata| metadata.modified())
            .ok()?;
        let ahead = modified.duration_since(SystemTime::now()).ok()?;
        (ahead > CLOCK_TOLERANCE).then_some(ahead)
    };
    match ["lock", "wal", "objects"]
        .iter()
        .find_map(|name| ahead(data.join(name)))
    {
        Some(ahead) => {
            let found = format!("it is {ahead:?} behind the last run");
            Check::bad(CLOCK, Verdict::Wrong, found, CLOCK_FIX)
        }
        None => Check::good(CLOCK, "it is set and steady"),
    }
}

fn open_files(config: &Config, kafka_connections: u64) -> Check {
    const NAME: &str = "open files";
    let connections = u64::try_from(config.ingress.max_connections).unwrap_or(u64::MAX);
    let needed = connections + kafka_connections + OTHER_FILES;
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < needed => {
            let found = format!("{limit} possible, {needed} when all connections are taken");
            let fix = "raise it with `ulimit -n`, or `LimitNOFILE=` of the service";
            let verdict = if limit < OTHER_FILES * 2 {
                Verdict::Wrong
            } else {
                Verdict::Warning
            };
            Check::bad(NAME, verdict, found, fix)
        }
        Some(limit) => Check::good(NAME, format!("{limit} possible")),
        None => Check::good(NAME, "no limit"),
    }
}
