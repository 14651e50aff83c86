//! What live producers feel while others read all history.

use std::time::Duration;

use anyhow::Result;

use super::{COLD_RECORDS, HISTORY_TOPIC, PORT_TARGETS, RATE, Suites, WARM_UP_S, turns};
use crate::lab::output_of;

const READERS: usize = 10;

impl Suites<'_> {
    /// How long an acknowledgement takes while ten consumers read all history, and while none does.
    pub(crate) fn replay(&mut self) -> Result<()> {
        let targets = &PORT_TARGETS[..2];
        let history = self.effort.records(COLD_RECORDS);
        for target in turns(self.lab, targets, 0) {
            self.fill(target, HISTORY_TOPIC, history)?;
        }
        let seconds = self.effort.rate_seconds();
        self.port("replay-none", targets, |suites, sample, topic| {
            suites.produce(sample, topic, Some(RATE))
        })?;
        self.port("replay-ten", targets, |suites, sample, topic| {
            let mut readers = suites.lab.places.program("consume");
            readers
                .args(["--bootstrap", suites.lab.bootstrap(&sample.target)?])
                .args(["--topic", HISTORY_TOPIC])
                .args(["--consumers", &READERS.to_string()])
                // From before the clock starts until after it ends.
                .args(["--seconds", &(seconds + WARM_UP_S + 1.0).to_string()]);
            let work = suites.lab.places.work.join("readers");
            std::fs::create_dir_all(&work)?;
            let limit = Duration::from_secs_f64(seconds + 60.0);
            let reading = std::thread::spawn(move || output_of(&mut readers, limit, &work));
            let produced = suites.produce(sample, topic, Some(RATE));
            let printed = reading.join().expect("no thread panics")?;
            produced?;
            let read: serde_json::Value = serde_json::from_str(&printed)?;
            let records = read["records"].as_f64().unwrap_or(0.0);
            sample.set("read_per_s", records / (seconds + WARM_UP_S + 1.0));
            if records < history as f64 / 10.0 {
                sample
                    .problems
                    .push("the readers read next to nothing".to_owned());
            }
            Ok(())
        })
    }
}
