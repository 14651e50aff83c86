//! Whether an answer is true, and how long it takes, when what stands behind it is down.
//!
//! Each case has servers of its own. Callers send events one by one while something breaks and is
//! mended; the log is read; every event is sent again under the same key; the log is read again.

mod callers;
mod disk;
mod judge;

use std::process::{Child, Command};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tidegate_bench::kafka;
use tidegate_bench::orders::Orders;

use self::callers::Door;
use self::disk::Disk;
use super::{CONTRACT_TOPIC, HTTP_PARTITIONS, fresh_run};
use crate::lab::{self, Kafka, Places, Server};
use crate::samples::{Sample, Samples};

/// How long everything is well before it breaks.
const WELL: Duration = Duration::from_secs(1);
/// How long a disk hangs or is full: longer than any answer may take, twice.
const DISK_OUTAGE: Duration = Duration::from_secs(12);
/// How long Kafka is away: longer than `message.timeout.ms` of the hand-written service.
const KAFKA_OUTAGE: Duration = Duration::from_secs(36);
/// How long a process is away, and how often.
const PROCESS_OUTAGE: Duration = Duration::from_millis(500);
const PROCESS_OUTAGES: u32 = 4;
/// The smallest write-ahead log there is: it must be full before the disk matters.
const SMALL_WAL: &str = "\
log:
  wal:
    segment: 32MiB
    budget: 64MiB
";

/// What is done to a target.
#[derive(Clone, Copy)]
pub(crate) enum Case {
    DiskHangs,
    DiskFull,
    Stopped,
    Killed,
    KafkaStopped,
    KafkaKilled,
}

/// The cases of tidegate, which the aim is about.
pub(crate) const OURS: &[Case] = LANES[0];

impl Case {
    /// Who is hurt, and how: a line of the table.
    pub(crate) fn target(self) -> &'static str {
        match self {
            Self::DiskHangs => "tidegate, its disk hangs",
            Self::DiskFull => "tidegate, its disk is full",
            Self::Stopped => "tidegate, stopped and started again",
            Self::Killed => "tidegate, killed and started again",
            Self::KafkaStopped => "baseline, Kafka hangs",
            Self::KafkaKilled => "baseline, Kafka killed and started again",
        }
    }
}

/// What runs side by side, since most of the time goes by with waiting: the cases of tidegate, and
/// each of the service's.
const LANES: [&[Case]; 3] = [
    &[Case::DiskHangs, Case::DiskFull, Case::Stopped, Case::Killed],
    &[Case::KafkaStopped],
    &[Case::KafkaKilled],
];

/// Goes through all cases, once.
pub(crate) fn answers(places: &Places, samples: &mut Samples) -> Result<()> {
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for lane in LANES {
            let sender = sender.clone();
            scope.spawn(move || {
                for case in lane {
                    let mut sample = Sample::new("answers", case.target(), 1);
                    if let Err(error) = take(places, *case, &mut sample) {
                        sample.problems.push(format!("{error:#}"));
                    }
                    sender.send(sample).expect("somebody listens");
                }
            });
        }
        drop(sender);
        receiver.iter().for_each(|sample| samples.add(sample));
    });
    Ok(())
}

fn take(places: &Places, case: Case, sample: &mut Sample) -> Result<()> {
    match case {
        Case::DiskHangs => disk_hangs(places, sample),
        Case::DiskFull => disk_full(places, sample),
        Case::Stopped => process_away(places, sample, "answers-stopped", |server| {
            server.stop();
            Ok(())
        }),
        Case::Killed => process_away(places, sample, "answers-killed", Server::kill),
        Case::KafkaStopped => kafka_away(places, sample, "kafka-answers-stopped", |kafka| {
            let hanging = Hanging::new(kafka.pid)?;
            std::thread::sleep(KAFKA_OUTAGE);
            drop(hanging);
            Ok(())
        }),
        Case::KafkaKilled => kafka_away(places, sample, "kafka-answers-killed", |kafka| {
            kafka.kill()?;
            std::thread::sleep(KAFKA_OUTAGE);
            kafka.restart()
        }),
    }
}

/// Sends, hurts, reads, repeats, reads again and judges.
fn trial(sample: &mut Sample, door: &Door, hurt: impl FnOnce() -> Result<()>) -> Result<()> {
    let attempts = door.send_while(|| {
        std::thread::sleep(WELL);
        hurt()
    })?;
    let before = door.count()?;
    let refused = door.repeat(&attempts);
    if refused > 0 {
        bail!("{refused} events were refused until the end, long after the recovery");
    }
    let after = door.count()?;
    judge::judge(sample, &attempts, &before, &after);
    if sample.values["said_stored"] == sample.values["events"] {
        bail!("every event was stored at once: nothing was down");
    }
    Ok(())
}

fn tidegate_door(server: &Server) -> Result<Door> {
    let (run, time) = fresh_run()?;
    Ok(Door {
        address: server.http()?,
        path: "/v1/events".to_owned(),
        bootstrap: server.door("kafka")?.to_owned(),
        topic: CONTRACT_TOPIC.to_owned(),
        orders: Orders::new(run, &time),
    })
}

fn disk_hangs(places: &Places, sample: &mut Sample) -> Result<()> {
    let disk = Disk::ext4(&places.work, "answers-hangs")?;
    let command = lab::tidegate_command(places, &disk.place().join("data"))?;
    let server = Server::start(places, "tidegate", &command)?;
    trial(sample, &tidegate_door(&server)?, || {
        let frozen = disk.freeze()?;
        std::thread::sleep(DISK_OUTAGE);
        drop(frozen);
        Ok(())
    })
}

fn disk_full(places: &Places, sample: &mut Sample) -> Result<()> {
    let disk = Disk::tmpfs(&places.work, "answers-full")?;
    let config = places.work.join("small-wal.yaml");
    std::fs::write(&config, SMALL_WAL)?;
    let mut command = lab::tidegate_command(places, &disk.place().join("data"))?;
    command.arg("--config").arg(&config);
    let server = Server::start(places, "tidegate", &command)?;
    let door = tidegate_door(&server)?;
    kafka::create_topic(&door.bootstrap, "bench.filler", 1, &[])?;
    trial(sample, &door, || {
        let ballast = disk.fill()?;
        let filler = Filler::start(places, &door.bootstrap)?;
        std::thread::sleep(DISK_OUTAGE);
        drop(filler);
        drop(ballast);
        Ok(())
    })
}

/// Takes tidegate away amid requests, and brings it back on the same ports and data.
fn process_away(
    places: &Places,
    sample: &mut Sample,
    data: &str,
    end: impl Fn(&mut Server) -> Result<()>,
) -> Result<()> {
    let command = lab::tidegate_command(places, &places.work.join(data))?;
    let mut server = Server::start(places, "tidegate", &command)?;
    let door = tidegate_door(&server)?;
    trial(sample, &door, || {
        for _ in 0..PROCESS_OUTAGES {
            end(&mut server)?;
            std::thread::sleep(PROCESS_OUTAGE);
            server = Server::start(places, "tidegate", &command)?;
            std::thread::sleep(WELL);
        }
        Ok(())
    })
}

/// Takes Kafka away from under the hand-written service.
fn kafka_away(
    places: &Places,
    sample: &mut Sample,
    directory: &str,
    hurt: impl FnOnce(&mut Kafka<'_>) -> Result<()>,
) -> Result<()> {
    const TOPIC: &str = "bench.answers";
    let mut kafka = Kafka::start(places, directory)?;
    let baseline = lab::start_baseline(places, &kafka)?;
    kafka::create_topic(&kafka.bootstrap, TOPIC, HTTP_PARTITIONS, &[])?;
    let (run, time) = fresh_run()?;
    let door = Door {
        address: baseline.http()?,
        path: format!("/topics/{TOPIC}"),
        bootstrap: kafka.bootstrap.clone(),
        topic: TOPIC.to_owned(),
        orders: Orders::new(run, &time),
    };
    trial(sample, &door, || hurt(&mut kafka))
}

/// A process that is there and does nothing.
struct Hanging(Pid);

impl Hanging {
    fn new(pid: u32) -> Result<Self> {
        let pid = Pid::from_raw(pid as i32).context("a process has a number")?;
        kill_process(pid, Signal::STOP)?;
        Ok(Self(pid))
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        if let Err(error) = kill_process(self.0, Signal::CONT) {
            eprintln!("bench: a process still hangs: {error}");
        }
    }
}

/// Writes to a topic of nobody's interest, so that the write-ahead log is full soon.
struct Filler(Child);

impl Filler {
    fn start(places: &Places, bootstrap: &str) -> Result<Self> {
        let produce = places.programs.join("produce");
        let seconds = DISK_OUTAGE.as_secs().to_string();
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(produce)
            .args(["--bootstrap", bootstrap, "--topic", "bench.filler"])
            .args(["--time", "2026-01-01T00:00:00Z", "--seconds", &seconds])
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()?;
        Ok(Self(child))
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        if let Err(error) = self.0.kill().and_then(|()| self.0.wait()) {
            eprintln!("bench: the filler did not end: {error}");
        }
    }
}
