//! What the disk gives the write-ahead log: groups of several sizes, several writes in flight, a
//! new one begun whenever one has ended.
//!
//! `cargo run --release -p tidegate-broker --example wal_bench -- DIRECTORY`
#![expect(clippy::print_stdout, reason = "its table is what it is for")]

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::unbounded;
use tidegate_broker::env::real::{RealClock, RealDisk};
use tidegate_broker::env::{Clock, Disk};
use tidegate_broker::wal::{
    self, DEFAULT_SEGMENT_BYTES, GroupBuilder, GroupFrame, RecordKind, SegmentFiles, Segments,
    SegmentsConfig, WriteJob, Writers, file_name,
};

/// How long one line of the table runs.
const RUN: Duration = Duration::from_millis(1500);
const KIB: usize = 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = PathBuf::from(
        std::env::args()
            .nth(1)
            .ok_or("usage: wal_bench DIRECTORY")?,
    );
    let disk = Arc::new(RealDisk::open_directory(&directory)?);
    let clock = RealClock::new();

    let begun = clock.elapsed();
    for segment in 1..=2 {
        let at = clock.elapsed();
        disk.create(&file_name(segment), DEFAULT_SEGMENT_BYTES)?;
        println!(
            "created {} in {:?}",
            file_name(segment),
            clock.elapsed() - at
        );
    }
    println!("both in {:?}\n", clock.elapsed() - begun);

    println!(
        "{:>8} {:>7} {:>9} {:>8} {:>9} {:>9} {:>9}",
        "group", "flight", "groups/s", "MB/s", "p50 ms", "p99 ms", "max ms"
    );
    for group_bytes in [4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, 1024 * KIB] {
        for in_flight in [1, 2, 4, 8] {
            let took = run(&disk, &clock, group_bytes, in_flight)?;
            report(group_bytes, in_flight, took);
        }
    }
    for name in disk.list()? {
        disk.remove(&name)?;
    }
    Ok(())
}

/// Writes groups for a while and returns how long each took, from submission to durability.
fn run(
    disk: &Arc<RealDisk>,
    clock: &RealClock,
    group_bytes: usize,
    in_flight: usize,
) -> Result<Vec<Duration>, Box<dyn Error>> {
    let config = SegmentsConfig {
        cluster_id: [1; 16],
        epoch: 1,
        segment_bytes: DEFAULT_SEGMENT_BYTES,
        budget_bytes: 2 * DEFAULT_SEGMENT_BYTES,
        salt_seed: 1,
    };
    let mut segments = Segments::new(config, 1);
    segments.add_free(1, DEFAULT_SEGMENT_BYTES);
    segments.add_free(2, DEFAULT_SEGMENT_BYTES);
    let files = Arc::new(SegmentFiles::new(disk.clone()));
    let (done, ended) = unbounded();
    let writers = Writers::start(
        in_flight,
        &files,
        move |written| {
            done.send(written.group_no)
                .expect("the table waits for every group")
        },
        wal::abort,
    )?;
    let body = vec![7; group_bytes - wal::GROUP_HEADER_BYTES - wal::RECORD_HEADER_BYTES];
    let mut builder = GroupBuilder::new();
    let mut begun = Vec::new();
    let mut took = Vec::new();
    let end = clock.elapsed() + RUN;
    let mut open = 0;
    while open > 0 || clock.elapsed() < end {
        while open < in_flight && clock.elapsed() < end {
            let group_no = begun.len() as u64 + 1;
            begun.push(clock.elapsed());
            builder.push(RecordKind::Meta, 0, 0, 0, &[], &[&body])?;
            let placement = segments.place(builder.sealed_len_bytes(), group_no)?;
            let group = builder.seal(GroupFrame {
                group_no,
                committed_no: 0,
                epoch: 1,
                first_lsn: group_no,
                wall_ms: 0,
                salt: placement.salt,
            });
            writers.submit(WriteJob {
                segment: placement.segment,
                position: placement.position,
                open: placement.open,
                group_no,
                group,
            });
            open += 1;
        }
        let group_no = ended.recv()?;
        took.push(clock.elapsed() - begun[usize::try_from(group_no)? - 1]);
        segments.recycle(group_no.saturating_sub(in_flight as u64));
        open -= 1;
    }
    Ok(took)
}

fn report(group_bytes: usize, in_flight: usize, mut took: Vec<Duration>) {
    took.sort_unstable();
    let ms = |share: usize| took[(took.len() - 1) * share / 100].as_secs_f64() * 1e3;
    let per_second = took.len() as f64 / RUN.as_secs_f64();
    println!(
        "{:>4} KiB {in_flight:>7} {per_second:>9.0} {:>8.0} {:>9.3} {:>9.3} {:>9.3}",
        group_bytes / KIB,
        per_second * group_bytes as f64 / 1e6,
        ms(50),
        ms(99),
        ms(100),
    );
}
