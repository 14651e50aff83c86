//! A disk that can be hurt: an ext4 in a file that can be frozen, a tmpfs that can be filled. It is
//! thawed, unmounted and gone afterwards, however the measurement ends; if this program is killed,
//! the helper that froze it thaws it, and `bench/run` unmounts.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// More than tidegate writes in the few seconds of a case.
const IMAGE_BYTES: u64 = 2 << 30;
const TMPFS: &str = "size=384m";
const UNMOUNT_LIMIT: Duration = Duration::from_secs(15);

/// Freezes, says so, and thaws when it is told to, when whoever started it is gone, or when it has
/// lasted too long: a frozen file system stops every `sync` of the machine.
const FREEZER: &str = r#"
trap 'timeout 20 fsfreeze --unfreeze "$1"' EXIT
trap 'exit 1' HUP INT TERM
timeout 20 fsfreeze --freeze "$1" || exit 1
echo frozen
read -r -t 60 _
"#;

/// A file system of its own.
pub(super) struct Disk {
    place: PathBuf,
    image: Option<PathBuf>,
}

impl Disk {
    /// An ext4 in a file on the disk that the bench is on, through a loop device.
    pub(super) fn ext4(work: &Path, name: &str) -> Result<Self> {
        let image = work.join(format!("{name}.image"));
        File::create(&image)?.set_len(IMAGE_BYTES)?;
        let mut mkfs = Command::new("mkfs.ext4");
        run(mkfs.args(["-q", "-E", "nodiscard"]).arg(&image))?;
        let mut mount = Command::new("mount");
        mount.args(["-o", "loop"]).arg(&image);
        Self::mount(mount, work.join(name), Some(image))
    }

    /// A small file system in memory.
    pub(super) fn tmpfs(work: &Path, name: &str) -> Result<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", TMPFS, "tmpfs"]);
        Self::mount(mount, work.join(name), None)
    }

    fn mount(mut mount: Command, place: PathBuf, image: Option<PathBuf>) -> Result<Self> {
        fs::create_dir_all(&place)?;
        run(mount.arg(&place)).context("a disk of its own needs root and loop devices")?;
        Ok(Self { place, image })
    }

    pub(super) fn place(&self) -> &Path {
        &self.place
    }

    /// Lets every write wait until the result is dropped.
    pub(super) fn freeze(&self) -> Result<Frozen> {
        let mut helper = Command::new("bash")
            .args(["-c", FREEZER, "freezer"])
            .arg(&self.place)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = helper.stdout.take().context("it is piped")?;
        let frozen = Frozen(helper);
        // It ends after 20 s if it cannot freeze, and its output with it.
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        if line.trim() != "frozen" {
            bail!("`{}` cannot be frozen", self.place.display());
        }
        Ok(frozen)
    }

    /// Takes all the space that is left, until the result is dropped.
    pub(super) fn fill(&self) -> Result<Ballast> {
        let ballast = Ballast(self.place.join("ballast"));
        let mut file = File::create(&ballast.0)?;
        for block in [1 << 20, 4096] {
            let zeros = vec![0; block];
            loop {
                match file.write_all(&zeros) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(ballast)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let deadline = Instant::now() + UNMOUNT_LIMIT;
        // A process that was killed may hold it a moment longer.
        while let Err(error) = run(Command::new("umount").arg(&self.place)) {
            if Instant::now() > deadline {
                eprintln!("bench: `{}` stays mounted: {error}", self.place.display());
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        // What is left goes with the work directory.
        fs::remove_dir(&self.place).ok();
        if let Some(image) = &self.image {
            fs::remove_file(image).ok();
        }
    }
}

/// A file system on which every write waits.
pub(super) struct Frozen(Child);

impl Drop for Frozen {
    fn drop(&mut self) {
        // Its end is what the helper waits for.
        drop(self.0.stdin.take());
        if !self.0.wait().is_ok_and(|_| true) {
            eprintln!("bench: the frozen disk may still be frozen");
        }
    }
}

/// A file that takes all the space there is.
pub(super) struct Ballast(PathBuf);

impl Drop for Ballast {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            eprintln!("bench: the ballast stays: {error}");
        }
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{:?}: {}", command.get_program(), said.trim());
    }
    Ok(())
}
