//! The serving process as the crash tests need it: on any directory, under a wrapper such as
//! strace, killed at any moment, and never left behind.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// The type of the events that the crash tests send, its contract and topic.
pub(super) const EVENT_TYPE: &str = "com.example.parcel.moved";
pub(super) const SOURCE: &str = "/crash/senders";
pub(super) const CONTRACT: &str = "parcel-moved";
pub(super) const TOPIC: &str = "crash.parcel-moved";

const CONTRACT_YAML: &str = "\
apiVersion: contract/v1
kind: EventContract
metadata: {name: parcel-moved, owner: team-test}
spec:
  summary: A parcel was moved from one shelf to another.
  class: fact
  event: {type: com.example.parcel.moved, source: /crash/senders}
  schema: {format: json, file: schemas/parcel-moved.json}
  key: {from: $.key}
  topic: {name: crash.parcel-moved, partitions: 4}
  ingress: {onInvalid: quarantine}
---
apiVersion: contract/v1
kind: Team
metadata: {name: team-test}
spec: {pager: \"webhook:https://alerts.example.com/test\"}
";
const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "required": ["key", "text"],
  "properties": {
    "key": { "type": "string", "minLength": 1 },
    "text": { "type": "string" }
  }
}
"#;

/// How long a start may take before the test gives up; what it should take is for each test to say.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A directory with contracts, settings and data, used by one process after the other.
pub(super) struct Place {
    directory: TempDir,
    /// The flags that say which log it is.
    log: Vec<String>,
}

impl Place {
    /// Makes one with an embedded log; `settings` is the file for `--config`.
    pub(super) fn new(settings: &str) -> Self {
        Self::with(settings, &["--data=data", "--kafka=127.0.0.1:0"])
    }

    /// Makes one of a replica over a cluster.
    pub(super) fn over(bootstrap: &str) -> Self {
        Self::with("", &["--log=kafka", &format!("--brokers={bootstrap}")])
    }

    fn with(settings: &str, log: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let schemas = directory.path().join("contracts/schemas");
        fs::create_dir_all(&schemas).unwrap();
        fs::write(schemas.join("parcel-moved.json"), SCHEMA).unwrap();
        let contracts = directory.path().join("contracts");
        fs::write(contracts.join("parcel-moved.yaml"), CONTRACT_YAML).unwrap();
        let log = log.iter().map(|flag| (*flag).to_owned()).collect();
        let place = Self { directory, log };
        place.settle(settings);
        place
    }

    /// Writes other settings for the next process.
    pub(super) fn settle(&self, settings: &str) {
        fs::write(self.path("tidegate.yaml"), settings).unwrap();
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts the process and waits until it is ready.
    pub(super) fn serve(&self) -> Serving {
        self.serve_under(&[])
    }

    /// Starts the process as an argument of `wrapper` and waits until it is ready.
    pub(super) fn serve_under(&self, wrapper: &[&str]) -> Serving {
        Serving::start(self, wrapper).unwrap_or_else(|line| panic!("not ready: `{line}`"))
    }

    /// Starts the process, again whenever it gives up, as a supervisor does.
    pub(super) fn serve_at_last(&self, patience: Duration) -> Serving {
        let limit = Instant::now() + patience;
        loop {
            match Serving::start(self, &[]) {
                Ok(serving) => return serving,
                Err(line) => assert!(Instant::now() < limit, "not ready: `{line}`"),
            }
        }
    }

    /// Starts the process and kills it after `life`, ready or not.
    pub(super) fn serve_briefly(&self, life: Duration) {
        let mut child = Guard(self.command(&[]).spawn().unwrap());
        std::thread::sleep(life);
        child.0.kill().unwrap();
        child.0.wait().unwrap();
    }

    /// Returns the command that serves the directory, its stderr added to a file.
    pub(super) fn command(&self, wrapper: &[&str]) -> Command {
        let serve = [
            env!("CARGO_BIN_EXE_tidegate"),
            "serve",
            "--contracts=contracts",
            "--config=tidegate.yaml",
            "--http=127.0.0.1:0",
            "--registry=127.0.0.1:0",
            "--ops=127.0.0.1:0",
        ];
        let log = self.log.iter().map(String::as_str);
        let mut words = wrapper.iter().copied().chain(serve).chain(log);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).current_dir(self.directory.path());
        let of_ours = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("TIDEGATE");
        for (name, _) in std::env::vars_os().filter(|(name, _)| of_ours(name)) {
            command.env_remove(name);
        }
        let stderr = File::options()
            .append(true)
            .create(true)
            .open(self.path("stderr"))
            .unwrap();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr);
        command
    }

    /// The sizes of all files below a folder.
    pub(super) fn file_sizes(&self, folder: &str) -> Vec<u64> {
        let mut sizes = Vec::new();
        let mut folders = vec![self.path(folder)];
        while let Some(folder) = folders.pop() {
            let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
            for path in entries.map(|entry| entry.path()) {
                match fs::metadata(&path) {
                    Ok(metadata) if metadata.is_dir() => folders.push(path),
                    Ok(metadata) => sizes.push(metadata.len()),
                    // Removed since it was listed.
                    Err(_) => {}
                }
            }
        }
        sizes
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = fs::read_to_string(self.path("stderr")).unwrap_or_default();
            let lines: Vec<&str> = said.lines().collect();
            let last = &lines[lines.len().saturating_sub(60)..];
            eprintln!("--- last words of the processes\n{}", last.join("\n"));
        }
    }
}

/// A child that is killed when it goes out of scope.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A process that serves.
pub(super) struct Serving {
    child: Guard,
    /// The process that holds the directory; under a wrapper it is not the child.
    pid: Pid,
    pub(super) url: String,
    /// Empty where a cluster keeps the log.
    pub(super) kafka: String,
    /// From the start of the process to its ready line.
    pub(super) ready_after: Duration,
}

impl Serving {
    /// Starts a process; if it ends before it is ready, what it printed instead.
    fn start(place: &Place, wrapper: &[&str]) -> Result<Self, String> {
        let started = Instant::now();
        let mut child = Guard(place.command(wrapper).spawn().unwrap());
        let stdout = child.0.stdout.take().unwrap();
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = BufReader::new(stdout).read_line(&mut line);
            drop(sender.send(read.map(|_| line)));
        });
        let line = lines.recv_timeout(START_LIMIT);
        let line = line.expect("ready in time").unwrap();
        let ready_after = started.elapsed();
        let part = |name: &str| {
            let mut parts = line.split_whitespace();
            parts.find_map(|part| part.strip_prefix(name))
        };
        let http = part("http=").ok_or_else(|| line.clone())?;
        let url = format!("http://{http}");
        let kafka = part("kafka=").unwrap_or_default().to_owned();
        // Under strace the child is not the process; in another name space the lock is not seen.
        let pid = lock_holder(&place.path("data")).unwrap_or_else(|| Pid::from_child(&child.0));
        Ok(Self {
            child,
            pid,
            url,
            kafka,
            ready_after,
        })
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Ends it as a crash does, without a word.
    pub(super) fn kill_9(self) {
        self.end(Signal::KILL);
    }

    /// Ends it in order.
    pub(super) fn terminate(self) {
        self.end(Signal::TERM);
    }

    /// Stops it where it is, as a host that is suspended.
    pub(super) fn suspend(&self) {
        kill_process(self.pid, Signal::STOP).expect("it lives");
    }

    /// Lets it go on where it was.
    pub(super) fn resume(&self) {
        kill_process(self.pid, Signal::CONT).expect("it lives");
    }

    fn end(mut self, signal: Signal) {
        kill_process(self.pid, signal).expect("it lived until now");
        let limit = Instant::now() + START_LIMIT;
        while self.child.0.try_wait().unwrap().is_none() {
            assert!(Instant::now() < limit, "it did not end");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // A wrapper may leave it behind. If the child was waited for, its number may be another's.
        if self.child.0.id() != self.pid.as_raw_nonzero().get().cast_unsigned()
            && matches!(self.child.0.try_wait(), Ok(None))
        {
            // It may have ended meanwhile.
            kill_process(self.pid, Signal::KILL).unwrap_or_default();
        }
    }
}

fn lock_holder(data: &Path) -> Option<Pid> {
    let written = fs::read_to_string(data.join("lock")).ok()?;
    Pid::from_raw(written.trim().parse().ok()?)
}
