//! The machine's facts: what a reader must know before a figure means anything. No names and no
//! paths of it.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct Machine {
    processors: usize,
    model: String,
    memory_gib: f64,
    kernel: String,
    hypervisor: bool,
    file_system: String,
    disk: String,
    java: String,
    rust: String,
    kcat: String,
}

impl Machine {
    /// Looks at the machine; `work` is on the disk that is measured.
    pub(crate) fn look(work: &Path) -> Self {
        let cpuinfo = read("/proc/cpuinfo");
        let field = |name: &str| {
            cpuinfo
                .lines()
                .find(|line| line.starts_with(name))
                .and_then(|line| line.split_once(':'))
                .map(|(_, value)| value.trim().to_owned())
                .unwrap_or_default()
        };
        let memory_kib: f64 = read("/proc/meminfo")
            .lines()
            .next()
            .and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
            .unwrap_or(0.0);
        let (device, file_system) = mount_of(work);
        Self {
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            model: field("model name"),
            memory_gib: memory_kib / 1_048_576.0,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            hypervisor: field("flags").split(' ').any(|flag| flag == "hypervisor"),
            file_system,
            disk: device.trim_start_matches("/dev/").to_owned(),
            java: first_line("java", "-version"),
            rust: first_line("rustc", "--version"),
            kcat: first_line("kcat", "-V"),
        }
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let virtual_machine = if self.hypervisor {
            ", a virtual machine"
        } else {
            ""
        };
        vec![
            format!(
                "{} processors ({}{virtual_machine}), {:.0} GiB of memory",
                self.processors, self.model, self.memory_gib
            ),
            format!(
                "Linux {}, {} on {}",
                self.kernel, self.file_system, self.disk
            ),
            format!(
                "{}; {}; {}; Apache Kafka 4.3.1",
                self.rust, self.java, self.kcat
            ),
        ]
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The averages of the run queue over 1, 5 and 15 minutes.
pub(crate) fn load_average() -> String {
    let text = read("/proc/loadavg");
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn mount_of(path: &Path) -> (String, String) {
    let mounts = read("/proc/mounts");
    let entry = mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.next()?, words.next()?))
        })
        .filter(|(_, place, _)| path.starts_with(place))
        .max_by_key(|(_, place, _)| place.len());
    entry.map_or_else(Default::default, |(device, _, kind)| {
        (device.to_owned(), kind.to_owned())
    })
}

fn first_line(program: &str, flag: &str) -> String {
    let Ok(output) = Command::new(program).arg(flag).output() else {
        return format!("no {program}");
    };
    let both = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&both);
    let has_version = |line: &&str| {
        line.as_bytes()
            .windows(3)
            .any(|w| w[0].is_ascii_digit() && w[1] == b'.' && w[2].is_ascii_digit())
    };
    let line = text.lines().find(has_version).unwrap_or_default();
    let line = line.split(" (").next().unwrap_or_default().trim();
    match line.starts_with("Version") {
        true => format!("{program} {}", line.trim_start_matches("Version").trim()),
        false => line.to_owned(),
    }
}
