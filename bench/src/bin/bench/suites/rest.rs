//! Doing nothing: how soon a server is ready, and what it holds when nobody asks for anything.

use std::time::Duration;

use anyhow::Result;
use tidegate_bench::usage::rss_mib;

use super::{Effort, settle};
use crate::lab::{self, Kafka, Places};
use crate::samples::{Sample, Samples};

const IDLE: Duration = Duration::from_secs(3);

/// From nothing to ready, and the memory that is held when nobody asks for anything.
pub(crate) fn rest(places: &Places, samples: &mut Samples, effort: Effort) -> Result<()> {
    for repetition in 1..=effort.repeat {
        for target in ["tidegate", "kafka"] {
            let mut sample = Sample::new("rest", target, repetition);
            let data = format!("rest-{target}-{repetition}");
            let done = match target {
                "tidegate" => tidegate(places, &mut sample, &data),
                _ => kafka(places, &mut sample, &data),
            };
            if let Err(error) = done {
                sample.problems.push(format!("{error:#}"));
            }
            samples.add(sample);
        }
    }
    Ok(())
}

fn tidegate(places: &Places, sample: &mut Sample, data: &str) -> Result<()> {
    settle();
    let tidegate = lab::start_tidegate(places, data)?;
    sample.set("start_s", tidegate.ready_after.as_secs_f64());
    std::thread::sleep(IDLE);
    sample.set("rss_mib", rss_mib(tidegate.pid()));
    drop(tidegate);
    settle();
    let again = lab::start_tidegate(places, data)?;
    sample.set("restart_s", again.ready_after.as_secs_f64());
    Ok(())
}

fn kafka(places: &Places, sample: &mut Sample, data: &str) -> Result<()> {
    settle();
    let kafka = Kafka::start(places, data)?;
    sample.set("start_s", kafka.ready_after.as_secs_f64());
    std::thread::sleep(IDLE);
    sample.set("rss_mib", rss_mib(kafka.pid));
    drop(kafka);
    settle();
    let again = Kafka::start(places, data)?;
    sample.set("restart_s", again.ready_after.as_secs_f64());
    Ok(())
}
