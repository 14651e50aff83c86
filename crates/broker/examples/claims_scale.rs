//! Makes 50 million claims as a broker does in a day, and says what they cost: memory, lookups,
//! opening them again. Fails above 512 MiB of memory. Run by `make torture`; takes some minutes and
//! up to 7 GiB of disk, beside the program's own file, which it gives back.
//!
//! ```text
//! cargo run --release -p tidegate-broker --example claims_scale [claims]
//! ```
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use object_store::local::LocalFileSystem;
use tidegate_broker::env::Clock;
use tidegate_broker::env::real::{RealClock, RealSleeper};
use tidegate_broker::object::Objects;
use tidegate_broker::state::claims::{ClaimKey, Claims, Entry, Run, Runs, merge};

const CLAIMS: u64 = 50_000_000;
const MEMORY_LIMIT_MIB: u64 = 512;
/// A day of claims, each held for a day, so that none expires meanwhile.
const DAY_MS: u64 = 86_400_000;
/// As many as 64 MiB of claims in memory.
const CLAIMS_A_FREEZE: u64 = 1_000_000;
const SECRET: [u8; 16] = [7; 16];

struct World {
    objects: Objects,
    claims: Claims,
    runs: Arc<Runs>,
    next_id: u64,
    merged_claims: u64,
    clock: RealClock,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let count = std::env::args()
        .nth(1)
        .map_or(Ok(CLAIMS), |count| count.parse())?;
    let beside = std::env::current_exe()?;
    let directory = tempfile::tempdir_in(beside.parent().ok_or("no directory to write to")?)?;
    let store = LocalFileSystem::new_with_prefix(directory.path())?.with_fsync(true);
    let mut world = World {
        objects: Objects::new(Arc::new(store), "", Arc::new(RealSleeper)),
        claims: Claims::default(),
        runs: Arc::default(),
        next_id: 1,
        merged_claims: 0,
        clock: RealClock::new(),
    };

    let start = world.clock.elapsed();
    for n in 0..count {
        let log_time_ms = time_of(n, count);
        world.claims.insert(key(n), entry(n, log_time_ms));
        if (n + 1) % CLAIMS_A_FREEZE == 0 || n + 1 == count {
            world.freeze().await?;
            world.merge(log_time_ms).await?;
        }
    }
    let made = world.clock.elapsed() - start;
    println!(
        "{count} claims made in {:.0} s, each copied {:.1} times by merges; {} runs; peak {} MiB",
        made.as_secs_f64(),
        world.merged_claims as f64 / count as f64,
        world.runs.refs().len(),
        peak_mib()?,
    );
    world.look(count, "in the runs of a day").await?;

    let refs = world.runs.refs();
    let start = world.clock.elapsed();
    let reopened = Runs::open(&world.objects, &refs).await?;
    println!(
        "opened again in {:.2} s",
        (world.clock.elapsed() - start).as_secs_f64()
    );
    drop(reopened);

    let ids: Vec<u64> = refs.iter().map(|run| run.id).collect();
    let start = world.clock.elapsed();
    world.merge_runs(&ids, time_of(count, count) - 1).await?;
    println!(
        "merged into one run in {:.0} s; filters and fences {} MiB; peak {} MiB",
        (world.clock.elapsed() - start).as_secs_f64(),
        world.runs.memory_bytes() >> 20,
        peak_mib()?,
    );
    world.look(count, "in one run").await?;
    let peak = peak_mib()?;
    if peak > MEMORY_LIMIT_MIB {
        return Err(format!("{peak} MiB of memory, above {MEMORY_LIMIT_MIB} MiB").into());
    }
    Ok(())
}

impl World {
    /// What a checkpoint does: the claims in memory become a run.
    async fn freeze(&mut self) -> Result<(), Box<dyn Error>> {
        if let Some(frozen) = self.claims.freeze() {
            let id = self.fresh_id();
            let run = frozen.store(&self.objects, id, [1; 16]).await?;
            self.install(self.runs.with(Arc::new(run)));
        }
        Ok(())
    }

    /// What upkeep does: merges while there is something to merge.
    async fn merge(&mut self, log_time_ms: i64) -> Result<(), Box<dyn Error>> {
        loop {
            let plan = merge::plan(&self.runs.refs(), log_time_ms);
            if plan.merge.is_empty() {
                return Ok(());
            }
            self.merge_runs(&plan.merge, log_time_ms).await?;
        }
    }

    async fn merge_runs(&mut self, ids: &[u64], log_time_ms: i64) -> Result<(), Box<dyn Error>> {
        let sources = self.runs.select(ids);
        self.merged_claims += sources.iter().map(|run| run.place().entries).sum::<u64>();
        let (id, topics) = (self.fresh_id(), [1].into());
        let merged: Option<Run> =
            merge::merge(&self.objects, &sources, id, [1; 16], log_time_ms, &topics).await?;
        self.install(
            self.runs
                .replaced(&ids.iter().copied().collect(), merged.map(Arc::new)),
        );
        for run in sources {
            self.objects.delete(run.place().key()).await?;
        }
        Ok(())
    }

    fn install(&mut self, runs: Runs) {
        self.runs = Arc::new(runs);
        drop(self.claims.runs_installed(&self.runs));
    }

    fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Looks up claims that are held and claims that are not, one after the other.
    async fn look(&self, count: u64, place: &str) -> Result<(), Box<dyn Error>> {
        let now = time_of(count, count) - 1;
        let start = self.clock.elapsed();
        for at in 0..50_000 {
            // Spread over all claims, in no order.
            let n = at * 999_999_937 % count;
            let found = self
                .runs
                .lookup(&self.objects, key(n), now, |_| true)
                .await?;
            if found != Some(entry(n, time_of(n, count))) {
                return Err(format!("claim {n} is lost: {found:?}").into());
            }
        }
        let found = self.clock.elapsed() - start;
        let start = self.clock.elapsed();
        for n in count..count + 1_000_000 {
            if self
                .runs
                .lookup(&self.objects, key(n), now, |_| true)
                .await?
                .is_some()
            {
                return Err(format!("claim {n} was never made").into());
            }
        }
        let denied = self.clock.elapsed() - start;
        println!(
            "{place}: {:.0} lookups/s of held claims, {:.0} of new ones, by one task",
            rate(50_000, found),
            rate(1_000_000, denied),
        );
        Ok(())
    }
}

fn time_of(n: u64, count: u64) -> i64 {
    i64::try_from(DAY_MS * n / count).expect("within a day")
}

fn key(n: u64) -> ClaimKey {
    ClaimKey::of(&SECRET, &n.to_le_bytes())
}

fn entry(n: u64, timestamp_ms: i64) -> Entry {
    let fingerprint = u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    Entry {
        fingerprint: fingerprint.to_le_bytes(),
        topic: 1,
        partition: 0,
        offset: i64::try_from(n).expect("far below 2^63"),
        timestamp_ms,
        window_s: 86_400,
    }
}

fn rate(count: u32, took: Duration) -> f64 {
    f64::from(count) / took.as_secs_f64()
}

/// The most memory the process has had.
fn peak_mib() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .ok_or("no VmHWM")?;
    let kib: u64 = line.split_whitespace().nth(1).ok_or("no number")?.parse()?;
    Ok(kib / 1024)
}
