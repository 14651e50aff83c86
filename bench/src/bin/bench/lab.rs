//! The servers under measurement: started before, stopped after, whatever happens between. A child
//! dies with this program even if it is killed (`setpriv --pdeathsig`); Kafka, which its script
//! sends to the background, is also stopped by `bench/run`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tidegate_bench::usage::Watched;

const READY_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// Where things are.
pub(crate) struct Places {
    /// The repository.
    pub(crate) root: PathBuf,
    /// The programs of this crate.
    pub(crate) programs: PathBuf,
    /// The binary under measurement.
    pub(crate) tidegate: PathBuf,
    /// Data and logs; emptied at the start.
    pub(crate) work: PathBuf,
}

impl Places {
    pub(crate) fn program(&self, name: &str) -> Command {
        Command::new(self.programs.join(name))
    }

    /// Returns `tools/kafka` with its first words.
    pub(crate) fn kafka(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.root.join("tools/kafka"));
        command.args(words);
        command
    }
}

/// A process that said on which doors it serves.
pub(crate) struct Server {
    name: &'static str,
    child: Child,
    doors: BTreeMap<String, String>,
    pub(crate) ready_after: Duration,
}

impl Server {
    /// Starts a program and waits for its line `ready NAME=ADDRESS …`.
    pub(crate) fn start(places: &Places, name: &'static str, command: &Command) -> Result<Self> {
        let log = places.work.join(format!("{name}.log"));
        let mut bound = Command::new("setpriv");
        bound
            .args(["--pdeathsig", "KILL", "--"])
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::options().create(true).append(true).open(&log)?);
        let begun = Instant::now();
        let mut child = bound
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let stdout = child.stdout.take().expect("it is piped");
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            if BufReader::new(stdout).read_line(&mut line).is_ok() {
                // Nobody listens any longer if it took too long.
                drop(sender.send(line));
            }
        });
        let line = receiver.recv_timeout(READY_LIMIT).unwrap_or_default();
        let mut server = Self {
            name,
            child,
            doors: BTreeMap::new(),
            ready_after: begun.elapsed(),
        };
        let Some(doors) = line.trim().strip_prefix("ready ") else {
            let said = fs::read_to_string(&log).unwrap_or_default();
            let last: Vec<&str> = said.lines().rev().take(5).collect();
            server.stop();
            bail!("{name} is not ready; it said last: {last:?}");
        };
        server.doors = doors
            .split(' ')
            .filter_map(|door| door.split_once('='))
            .map(|(name, address)| (name.to_owned(), address.to_owned()))
            .collect();
        Ok(server)
    }

    pub(crate) fn http(&self) -> Result<SocketAddr> {
        Ok(self.door("http")?.parse()?)
    }

    pub(crate) fn door(&self, name: &str) -> Result<&str> {
        self.doors
            .get(name)
            .map(String::as_str)
            .with_context(|| format!("{} has no door `{name}`", self.name))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Tells it to end, and waits until it has.
    pub(crate) fn stop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        if let Some(pid) = Pid::from_raw(self.child.id() as i32)
            && kill_process(pid, Signal::TERM).is_err()
        {
            return;
        }
        let deadline = Instant::now() + STOP_LIMIT;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                eprintln!("bench: {} did not stop, so it is killed", self.name);
                self.child.kill().ok();
                self.child.wait().ok();
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Apache Kafka, one node.
pub(crate) struct Kafka<'a> {
    places: &'a Places,
    directory: PathBuf,
    pub(crate) bootstrap: String,
    pub(crate) ready_after: Duration,
    pub(crate) pid: u32,
}

impl<'a> Kafka<'a> {
    pub(crate) fn start(places: &'a Places, name: &str) -> Result<Self> {
        let directory = places.work.join(name);
        fs::create_dir_all(&directory)?;
        let port = free_ports(2)?[0].to_string();
        let begun = Instant::now();
        let mut start = places.kafka(&["start", "--port", &port, "--dir"]);
        // Its output goes to a file: a pipe would stay open as long as the broker lives.
        let said = directory.join("start.out");
        let status = start
            .arg(&directory)
            .stdin(Stdio::null())
            .stdout(File::create(&said)?)
            .status()?;
        let ready_after = begun.elapsed();
        let bootstrap = fs::read_to_string(&said)?.trim().to_owned();
        if !status.success() || bootstrap.is_empty() {
            bail!("Kafka did not start");
        }
        let pid = pid_in(&directory)?;
        Ok(Self {
            places,
            directory,
            bootstrap,
            ready_after,
            pid,
        })
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&self) -> Result<()> {
        self.node("kill-node")
    }

    /// Starts it again on the data it had.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.node("restart-node")?;
        self.pid = pid_in(&self.directory)?;
        Ok(())
    }

    fn node(&self, what: &str) -> Result<()> {
        let mut tool = self.places.kafka(&[what, "1", "--dir"]);
        let status = tool
            .arg(&self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()?;
        if !status.success() {
            bail!("`tools/kafka {what}` failed");
        }
        Ok(())
    }
}

fn pid_in(directory: &Path) -> Result<u32> {
    let pid = fs::read_to_string(directory.join("node-1/pid"))?;
    Ok(pid.trim().parse()?)
}

impl Drop for Kafka<'_> {
    fn drop(&mut self) {
        let mut stop = self.places.kafka(&["stop", "--dir"]);
        if !stop
            .arg(&self.directory)
            .status()
            .is_ok_and(|status| status.success())
        {
            eprintln!("bench: Kafka did not stop");
        }
    }
}

/// All servers of the main part, at work side by side and measured in turn.
pub(crate) struct Lab<'a> {
    pub(crate) places: &'a Places,
    pub(crate) tidegate: Option<Server>,
    /// Why there is no tidegate.
    pub(crate) missing: Option<String>,
    pub(crate) baseline: Server,
    pub(crate) bare: Server,
    pub(crate) kafka: Kafka<'a>,
}

impl<'a> Lab<'a> {
    pub(crate) fn start(places: &'a Places) -> Result<Self> {
        let kafka = Kafka::start(places, "kafka")?;
        let baseline = start_baseline(places, &kafka)?;
        let mut bare = places.program("bare");
        bare.args(["--listen", &format!("127.0.0.1:{}", free_ports(1)?[0])]);
        let bare = Server::start(places, "bare", &bare)?;
        // Without it the others are measured all the same.
        let (tidegate, missing) = match start_tidegate(places, "tidegate-data") {
            Ok(tidegate) => (Some(tidegate), None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        Ok(Self {
            places,
            tidegate,
            missing,
            baseline,
            bare,
            kafka,
        })
    }

    /// All processes whose use is taken: who is not the target still shares the machine.
    pub(crate) fn watched(&self) -> Vec<Watched> {
        let mut pids = vec![
            ("kafka", self.kafka.pid),
            ("baseline", self.baseline.pid()),
            ("bare", self.bare.pid()),
        ];
        pids.extend(self.tidegate.as_ref().map(|t| ("tidegate", t.pid())));
        pids.into_iter()
            .map(|(name, pid)| Watched {
                name: name.to_owned(),
                pid,
            })
            .collect()
    }

    /// Where the named broker's Kafka port is.
    pub(crate) fn bootstrap(&self, target: &str) -> Result<&str> {
        match (target, &self.tidegate) {
            ("tidegate", Some(tidegate)) => tidegate.door("kafka"),
            ("tidegate", None) => bail!("there is no tidegate"),
            _ => Ok(&self.kafka.bootstrap),
        }
    }
}

/// Starts tidegate as an operator would, with the contract of the bench.
pub(crate) fn start_tidegate(places: &Places, data: &str) -> Result<Server> {
    let command = tidegate_command(places, &places.work.join(data))?;
    Server::start(places, "tidegate", &command)
}

/// Makes the command that starts it, on free ports that stay the same when it is started again.
pub(crate) fn tidegate_command(places: &Places, data: &Path) -> Result<Command> {
    if !places.tidegate.is_file() {
        bail!("there is no `{}`", places.tidegate.display());
    }
    let ports = free_ports(4)?;
    let mut command = Command::new(&places.tidegate);
    command
        .args(["serve", "--data"])
        .arg(data)
        .arg("--contracts")
        .arg(places.root.join("bench/contracts"));
    for (flag, port) in ["--http", "--kafka", "--ops", "--registry"]
        .iter()
        .zip(ports)
    {
        command.args([flag, format!("127.0.0.1:{port}").as_str()]);
    }
    command.args(["--kafka-set", "num.partitions=6"]);
    Ok(command)
}

/// Starts the hand-written service in front of `kafka`.
pub(crate) fn start_baseline(places: &Places, kafka: &Kafka<'_>) -> Result<Server> {
    let mut baseline = places.program("baseline");
    let listen = format!("127.0.0.1:{}", free_ports(1)?[0]);
    baseline.args(["--listen", &listen, "--bootstrap", &kafka.bootstrap]);
    Server::start(places, "baseline", &baseline)
}

/// Finds neighbouring free ports below the ephemeral range, where nobody's outgoing connection is.
fn free_ports(count: u16) -> Result<Vec<u16>> {
    for _ in 0..200 {
        let first = fastrand::u16(18_000..32_000);
        let ports: Vec<u16> = (first..first + count).collect();
        let held: Vec<_> = ports
            .iter()
            .map_while(|&port| TcpListener::bind(("127.0.0.1", port)).ok())
            .collect();
        if held.len() == ports.len() {
            return Ok(ports);
        }
    }
    bail!("no free ports")
}

/// Runs a command to its end, at most `limit` long, and returns what it printed.
pub(crate) fn output_of(command: &mut Command, limit: Duration, work: &Path) -> Result<String> {
    let name = Path::new(command.get_program())
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    // Files, not pipes: nobody reads while it runs.
    let (out, err) = (work.join("command.out"), work.join("command.err"));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(File::create(&out)?)
        .stderr(File::create(&err)?)
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    let deadline = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            bail!("{name} did not end within {} s", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    if !status.success() {
        let said = fs::read_to_string(&err).unwrap_or_default();
        let last = said.lines().rev().find(|line| !line.trim().is_empty());
        bail!("{name} failed: {}", last.unwrap_or("it said nothing"));
    }
    Ok(fs::read_to_string(&out)?)
}
