//! The floor: what no design can beat on this disk.

use std::time::Duration;

use anyhow::Result;

use super::{Effort, settle};
use crate::lab::{Places, output_of};

/// The floor of the disk.
pub(crate) fn floor(places: &Places, effort: Effort) -> Result<serde_json::Value> {
    settle();
    let mut floor = places.program("floor");
    floor
        .arg("--directory")
        .arg(&places.work)
        .args(["--seconds", &effort.floor_seconds().to_string()]);
    let printed = output_of(&mut floor, Duration::from_secs(120), &places.work)?;
    Ok(serde_json::from_str(&printed)?)
}
