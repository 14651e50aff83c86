//! Contracts through their public doors: folders of files in, findings and verdicts out.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

mod avro_java;
mod diff;
mod evolution;
mod explain;
mod folder;
mod full_format;
mod guides;
mod laws;
mod lint;
mod small_set;

/// Returns the folders in a folder of cases, by name.
fn cases(folder: &str) -> Vec<(String, PathBuf)> {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it")
        .join(folder);
    let mut found: Vec<_> = std::fs::read_dir(cases)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .collect();
    found.sort();
    found
}
