//! Runs the binary and takes down what it says.

use std::fmt;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use regex::Regex;
use rustix::process::{Pid, Signal, kill_process};

/// What a run of the binary left.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    /// Replaces what differs from run to run.
    pub(crate) fn redacted(mut self, what: &[(&str, &str)]) -> Self {
        for text in [&mut self.stdout, &mut self.stderr] {
            for (from, to) in what {
                *text = text.replace(from, to);
            }
            for (pattern, to) in [
                (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", "<time>"),
                (r"\b01[0-9A-Z]{24}\b", "<id>"),
            ] {
                *text = Regex::new(pattern)
                    .unwrap()
                    .replace_all(text, to)
                    .into_owned();
            }
        }
        self
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            code,
            stdout,
            stderr,
        } = self;
        write!(
            f,
            "exit code {code}\n--- stdout\n{stdout}--- stderr\n{stderr}"
        )
    }
}

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(arguments).current_dir(root());
    for (name, _) in std::env::vars_os() {
        // Nor may the CI that runs the tests, or the hook, have a say.
        let name_text = name.to_string_lossy();
        if ["TIDEGATE", "GITHUB_", "GIT_"]
            .iter()
            .any(|own| name_text.starts_with(own))
        {
            command.env_remove(name);
        }
    }
    command
}

/// The root of the repository, where the binary runs.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs to the end.
pub(crate) fn run(arguments: &[&str]) -> Ran {
    run_with(arguments, &[], "")
}

/// Runs to the end with variables of the environment and a text on stdin.
pub(crate) fn run_with(arguments: &[&str], environment: &[(&str, &str)], stdin: &str) -> Ran {
    let mut command = command(arguments);
    command.envs(environment.iter().copied());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // One that does not read its input may have ended before.
    drop(child.stdin.take().unwrap().write_all(stdin.as_bytes()));
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code().expect("it ends by itself"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Every door on a free port.
pub(crate) const FREE_DOORS: [&str; 8] = [
    "--http",
    "127.0.0.1:0",
    "--registry",
    "127.0.0.1:0",
    "--kafka",
    "127.0.0.1:0",
    "--ops",
    "127.0.0.1:0",
];

/// `serve`, running.
pub(crate) struct Served {
    child: Child,
    pub(crate) ready: String,
    pub(crate) url: String,
}

impl Served {
    /// Serves on free ports and waits for the ready line.
    pub(crate) fn start(data: &Path, more: &[&str]) -> Self {
        Self::start_at(FREE_DOORS[1], data, more)
    }

    /// Serves HTTP at an address, and the rest on free ports.
    pub(crate) fn start_at(http: &str, data: &Path, more: &[&str]) -> Self {
        let data = data.to_str().unwrap();
        let http = ["serve", "--data", data, "--http", http];
        Self::run(&[&http[..], &FREE_DOORS[2..], more].concat())
    }

    /// Runs a `serve` as it is and waits for the ready line.
    pub(crate) fn run(arguments: &[&str]) -> Self {
        let mut child = command(arguments)
            .env("TIDEGATE_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut ready)
            .unwrap();
        let http = ready
            .split_whitespace()
            .find_map(|part| part.strip_prefix("http="));
        let url = format!(
            "http://{}",
            http.unwrap_or_else(|| panic!("not ready: {ready}"))
        );
        Self { child, ready, url }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the address of a door.
    pub(crate) fn door(&self, name: &str) -> String {
        let mut parts = self.ready.split_whitespace();
        let found = parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        format!(
            "http://{}",
            found.unwrap_or_else(|| panic!("no {name} in `{}`", self.ready))
        )
    }

    /// Sends a signal.
    pub(crate) fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Sends a signal and waits for the end.
    pub(crate) fn signal(mut self, signal: Signal) -> ExitStatus {
        self.send(signal);
        self.child.wait().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
