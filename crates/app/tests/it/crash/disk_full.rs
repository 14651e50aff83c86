//! A disk that is really full: writers are told to come back, nothing acked is lost, and it goes on
//! by itself once there is room.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::serving::{Place, Serving, TOPIC};
use super::written::Written;
use super::{Dice, reader};

const DISK: &str = "size=200m";
const BALLAST_BYTES: usize = 48 * 1024 * 1024;
const PARTITIONS: i32 = 4;
/// The promise is 5 s; a busy machine is given more.
const ANSWER_LIMIT: Duration = Duration::from_secs(8);
const PATIENCE: Duration = Duration::from_secs(40);

/// A small disk in memory that only this process sees, and that ends with it: mounted in a name
/// space of its own, whose root `/proc` shows.
struct SmallDisk {
    holder: Child,
    root: PathBuf,
}

impl SmallDisk {
    /// Mounts one, if the machine lets us.
    fn mount(at: &Path) -> Option<Self> {
        fs::create_dir(at).unwrap();
        let script = format!(
            "mount -t tmpfs -o {DISK} tidegate '{}' && echo mounted && exec sleep 600",
            at.display()
        );
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--map-root-user", "sh", "-c", &script]);
        let mut holder = unshare.stdout(Stdio::piped()).spawn().ok()?;
        let mut said = String::new();
        let stdout = holder.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut said).unwrap();
        let inside = at.strip_prefix("/").unwrap();
        let root = Path::new("/proc")
            .join(holder.id().to_string())
            .join("root")
            .join(inside);
        let disk = Self { holder, root };
        said.starts_with("mounted").then_some(disk)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}

#[test]
fn a_full_disk_is_backpressure_and_loses_nothing_that_was_acked() {
    let settings = "\
log:
  wal: {segment: 32MiB, budget: 1GiB}
  ship: {size: 8MiB, after: 1s}
  checkpoint: {after: 2s}
";
    let place = Place::new(settings);
    let Some(disk) = SmallDisk::mount(&place.path("disk")) else {
        return eprintln!("left out: no small disk can be mounted here");
    };
    let ballast = |name: &str| disk.root.join(name);
    for name in ["one", "two"] {
        fs::write(ballast(name), vec![7; BALLAST_BYTES]).unwrap();
    }
    symlink("disk", place.path("data")).unwrap();
    let holder = disk.holder.id().to_string();
    let cd = format!("cd '{}' && exec \"$@\"", place.path("").display());
    let enter = [
        "nsenter",
        "--preserve-credentials",
        "--user",
        "--mount",
        "--target",
        &holder,
        "sh",
        "-c",
        &cd,
        "sh",
    ];
    let runtime = Runtime::new().unwrap();
    let mut written = Written::new(Dice::thrown().next());

    let serving = place.serve_under(&enter);
    let before = runtime.block_on(fill(&serving, &mut written));
    runtime.block_on(check(&serving, &written));
    fs::remove_file(ballast("one")).unwrap();
    let waited = runtime.block_on(accepted_again(&serving, &mut written));
    let after = runtime.block_on(fill(&serving, &mut written));
    serving.kill_9();
    // A start on the full disk may be refused; with room it finds everything.
    fs::remove_file(ballast("two")).unwrap();
    let serving = place.serve_under(&enter);
    runtime.block_on(check(&serving, &written));
    runtime.block_on(accepted_again(&serving, &mut written));
    let acked = written.places.len();
    eprintln!(
        "full after {} MiB, taking events again {waited:.1?} after there was room, full after {} MiB \
         more; {acked} events acked and there",
        before >> 20,
        after >> 20
    );
    serving.kill_9();
}

/// Writes until the log, which waits for room as long as it may, takes no more; returns how much it took.
async fn fill(serving: &Serving, written: &mut Written) -> u64 {
    let client = reqwest::Client::new();
    let mut taken = 0;
    loop {
        let asked = Instant::now();
        let posted = written.post(&client, &serving.url).await;
        assert!(asked.elapsed() < ANSWER_LIMIT, "{:?}", asked.elapsed());
        match posted {
            Ok(bytes) => taken += bytes,
            Err(_) => return taken,
        }
    }
}

/// Repeats what was refused until it is taken; returns how long that was.
async fn accepted_again(serving: &Serving, written: &mut Written) -> Duration {
    let client = reqwest::Client::new();
    let began = Instant::now();
    while written.post(&client, &serving.url).await.is_err() {
        assert!(began.elapsed() < PATIENCE, "there is room, and it waits");
    }
    began.elapsed()
}

/// Everything that was acked is there, and what was refused at most once.
async fn check(serving: &Serving, written: &Written) {
    let mut found = 0;
    for partition in 0..PARTITIONS {
        let see = |stored| found += written.check(&stored);
        reader::over_http(&serving.url, TOPIC, partition, see).await;
    }
    assert_eq!(found, written.places.len());
}
