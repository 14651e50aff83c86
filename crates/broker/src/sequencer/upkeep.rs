//! What becomes too old: when upkeep of history is looked for, what its jobs changed, when log starts
//! move and producers are forgotten.

use super::{Now, Output, Sequencer};
use crate::upkeep;

/// How often upkeep is looked for. Looking goes over all objects and runs, so a log at rest does not
/// do it every tick. After a job that helped it is looked for sooner, after as long as the job took:
/// what is behind catches up, and uses no more than half of the time of disk and store.
const UPKEEP_EVERY_MS: u64 = 1_000;

/// The job of upkeep in flight, by whether a checkpoint may be stored beside it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum UpkeepInFlight {
    Deletes,
    Makes,
}

impl Sequencer {
    pub(super) fn upkeep_tick(&mut self, now: Now) {
        // What a merge leaves out must be over after any crash too, so only time that is durable counts.
        let log_time_ms = self.durable_time_ms;
        let history = &mut self.history;
        history.upkeep_at_ms = now.elapsed_ms + UPKEEP_EVERY_MS;
        let runs = self.shared.runs.load_full();
        let topics = self.shared.topics();
        let job = history.upkeep.next_job(
            &history.extents,
            &runs,
            topics.iter().map(|topic| topic.number),
            log_time_ms,
            history.checkpoint_in_flight.is_none(),
            now,
        );
        if let Some(job) = job {
            history.upkeep_in_flight = Some(match job {
                upkeep::Job::Collect { .. } => UpkeepInFlight::Deletes,
                upkeep::Job::MergeClaims { .. } | upkeep::Job::Rewrite { .. } => {
                    UpkeepInFlight::Makes
                }
            });
            self.outputs.push_back(Output::Upkeep(Box::new(job)));
        }
    }

    /// Moves the log start of every partition whose oldest extents are past their retention.
    pub(super) fn retain(&mut self, now: Now) {
        let log_time_ms = self.clock.read(now);
        let moves: Vec<_> = self
            .history
            .extents
            .partitions()
            .filter_map(|((topic, partition), extents)| {
                let settings = self.topics.get(topic)?.settings;
                let start = upkeep::retain::log_start(extents, &settings, log_time_ms)?;
                (start > self.state.partition(*topic, *partition)?.log_start)
                    .then_some((*topic, *partition, start))
            })
            .collect();
        self.move_log_starts(&moves, now);
    }

    /// Takes the end of the job of upkeep in flight.
    pub(super) fn upkept(&mut self, done: upkeep::Done, now: Now) {
        self.history.upkeep_in_flight = None;
        let nothing = matches!(&done, upkeep::Done::Collected { objects } if objects.is_empty());
        if !nothing {
            let began_ms = self.history.upkeep_at_ms - UPKEEP_EVERY_MS;
            let took_ms = now.elapsed_ms.saturating_sub(began_ms);
            self.history.upkeep_at_ms = (now.elapsed_ms + took_ms).min(began_ms + UPKEEP_EVERY_MS);
        }
        match done {
            upkeep::Done::Rewritten { old, new, sections } => {
                self.history
                    .extents
                    .replace(old, new, &sections, now.wall_ms);
                self.readers_see_extents(&sections);
            }
            upkeep::Done::Collected { objects } => {
                for object in objects {
                    self.history.extents.forget(object);
                }
            }
            upkeep::Done::ClaimsMerged { gone, merged } => {
                // A checkpoint may have added a run meanwhile.
                let runs = self.shared.runs.load().replaced(&gone, merged);
                self.install(runs);
            }
        }
        // A checkpoint may have waited for it.
        self.history_durable(now);
    }

    /// Forgets producers that have been silent for long, and the most silent ones if there are too many:
    /// a repeat of what those sent last is no longer known.
    pub(super) fn forget_producers(&mut self, now: Now) {
        let settings = &self.history.settings;
        let producers = &self.state.producers;
        if producers.len() > settings.producers_limit {
            let before_lsn = producers.oldest_tenth();
            tracing::warn!(
                producers = producers.len(),
                "too many idempotent producers: those silent for longest are forgotten"
            );
            self.expire_producers(before_lsn, now);
        } else if !producers.is_empty() {
            let log_time_ms = self.clock.read(now);
            let old = self
                .state
                .record_of_age(log_time_ms, settings.producer_expiry_ms);
            if let Some(before_lsn) = old {
                self.expire_producers(before_lsn, now);
            }
        }
    }
}
