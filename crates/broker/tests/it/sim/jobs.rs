//! Jobs on history: both lanes at once, each stopped at any request to the store while the other and
//! the sequencer go on.

use std::pin::Pin;
use std::task::Poll;

use tidegate_broker::history::Fatal;
use tidegate_broker::sequencer::{self, Input};
use tidegate_broker::upkeep;

use super::world::{Process, World};

/// A job that has begun and not ended.
pub(super) type UnderWay = Pin<Box<dyn Future<Output = Result<Input, Fatal>>>>;

impl World {
    /// Does the history job at hand, and what is under way, to its end.
    pub(super) fn run_history(&mut self, process: &mut Process) {
        self.begin_history(process);
        self.end_all_jobs(process);
    }

    pub(super) fn run_upkeep(&mut self, process: &mut Process) {
        self.begin_upkeep(process);
        self.end_all_jobs(process);
    }

    pub(super) fn begin_history(&mut self, process: &mut Process) {
        if let Some(job) = process.history.take() {
            let runner = process.log.runner.clone();
            let run = async move { runner.run(*job).await.map(Input::from) };
            process.under_way.push(Box::pin(run));
        }
    }

    pub(super) fn begin_upkeep(&mut self, process: &mut Process) {
        if let Some(job) = process.upkeep.take() {
            let runner = process.log.upkeep.clone();
            let run = async move { runner.run(*job).await.map(Input::from) };
            process.under_way.push(Box::pin(run));
        }
    }

    /// Lets one job go on to some request; the sequencer hears of its end later.
    pub(super) fn go_on_with_a_job(&mut self, process: &mut Process) {
        if !process.under_way.is_empty() {
            let at = self.rng.below(process.under_way.len() as u64);
            self.store.pause(true);
            self.go_on(process, usize::try_from(at).unwrap());
            self.store.pause(false);
        }
    }

    /// Says whether the job has ended. One whose process died in the middle is noticed by whoever called.
    fn go_on(&mut self, process: &mut Process, at: usize) -> bool {
        let job = &mut process.under_way[at];
        let poll = self.runtime.block_on(async { futures::poll!(job) });
        let Poll::Ready(done) = poll else {
            return false;
        };
        drop(process.under_way.swap_remove(at));
        process
            .done
            .push(done.unwrap_or_else(|error| panic!("history cannot go on: {error}")));
        true
    }

    /// Tells the sequencer of one job that has ended.
    pub(super) fn hear_of_a_job(&mut self, process: &mut Process) {
        if !process.done.is_empty() {
            let at = self.rng.below(process.done.len() as u64);
            let done = process.done.swap_remove(usize::try_from(at).unwrap());
            *self.jobs_done.entry(kind_of(&done)).or_default() += 1;
            process.log.sequencer.take(done, self.now());
            self.drain(process);
        }
    }

    fn end_all_jobs(&mut self, process: &mut Process) {
        while !process.under_way.is_empty() && self.go_on(process, 0) {}
        while !process.done.is_empty() {
            self.hear_of_a_job(process);
        }
    }
}

fn kind_of(done: &Input) -> &'static str {
    match done {
        Input::HistoryDone(sequencer::Done::Shipped { .. }) => "shipped",
        Input::HistoryDone(sequencer::Done::Checkpointed { .. }) => "checkpointed",
        Input::UpkeepDone(upkeep::Done::Collected { objects }) if objects.is_empty() => "listed",
        Input::UpkeepDone(upkeep::Done::Collected { .. }) => "collected",
        Input::UpkeepDone(upkeep::Done::Rewritten { .. }) => "rewritten",
        Input::UpkeepDone(upkeep::Done::ClaimsMerged { .. }) => "merged",
        _ => "no job",
    }
}
