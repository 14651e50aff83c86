//! Contracts through their public doors: folders of files in, findings and verdicts out.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod avro_java;
mod diff;
mod explain;
mod folder;
mod full_format;
mod lint;
mod small_set;
