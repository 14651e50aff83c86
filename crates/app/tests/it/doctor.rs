//! `doctor` on the machine the tests run on.

use std::net::TcpListener;

use crate::program::run;

const NAMES: [&str; 10] = [
    "events door",
    "registry door",
    "kafka door",
    "operations door",
    "data directory",
    "disk space",
    "direct writes",
    "durable write",
    "clock",
    "open files",
];

#[test]
fn it_tells_a_taken_port_from_free_ones() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let any = "127.0.0.1:0";
    let ran = run(&[
        "doctor",
        "--data",
        path,
        "--http",
        any,
        "--registry",
        any,
        "--kafka",
        &taken,
        "--ops",
        any,
        "-o",
        "json",
    ]);
    let checks = ran.json()["checks"].as_array().unwrap().clone();
    let names: Vec<&str> = checks
        .iter()
        .filter_map(|check| check["check"].as_str())
        .collect();
    assert_eq!(names, NAMES);
    assert_eq!(checks[0]["verdict"], "good", "{ran}");
    assert_eq!(checks[1]["verdict"], "good", "{ran}");
    assert_eq!(checks[2]["verdict"], "wrong", "{ran}");
    assert!(checks[2]["fix"].is_string(), "{ran}");
    assert_eq!(ran.code, 3, "{ran}");
    assert_eq!(
        std::fs::read_dir(directory.path()).unwrap().count(),
        0,
        "nothing is left behind"
    );
}

#[test]
fn a_directory_that_cannot_be_written_is_wrong() {
    let ran = run(&["doctor", "--data", "/proc/tidegate", "-o", "csv"]);
    let line = ran
        .stdout
        .lines()
        .find(|line| line.starts_with("data directory"))
        .unwrap();
    assert!(line.starts_with("data directory,wrong,"), "{ran}");
    assert_eq!(ran.code, 3, "{ran}");
}
