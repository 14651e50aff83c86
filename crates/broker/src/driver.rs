//! Runs the sequencer on its own thread: takes inputs as they come, seals once the inputs at hand
//! are taken, and does what it wants done: group writes on the writers' threads, jobs on history,
//! upkeep and segments on a thread each.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use tokio::sync::OwnedSemaphorePermit;

use crate::env::Clock;
use crate::sequencer::{HistoryJob, Input, Now, Output, Sequencer};
use crate::state::claims::Frozen;
use crate::upkeep;
use crate::wal::{SegmentId, WriteJob};

/// Inputs taken between two looks at whether a group is worth sealing.
const INPUTS_A_TURN: usize = 512;

/// How often time is told while nothing comes in.
const TICK: Duration = Duration::from_millis(50);

/// A message to the sequencer's thread.
#[derive(Debug)]
pub(crate) enum Message {
    /// A command or completion. The permit bounds what waits; it ends when the input is executed.
    Input(Input, Option<OwnedSemaphorePermit>),
    /// Make durable what was taken, then end.
    Stop,
}

/// Work on the segments of the write-ahead log.
#[derive(Debug)]
pub(crate) enum SegmentChore {
    Grow(SegmentId),
    Shrink(SegmentId),
    /// Not about segments, but their thread mostly rests.
    Drop(Vec<Arc<Frozen>>),
}

/// Where outputs go.
pub(crate) struct Sinks {
    /// Hands a group to the writers.
    pub(crate) write: Box<dyn FnMut(WriteJob) + Send>,
    pub(crate) history: Sender<Box<HistoryJob>>,
    pub(crate) upkeep: Sender<Box<upkeep::Job>>,
    pub(crate) segments: Sender<SegmentChore>,
}

/// Reads both clocks.
pub(crate) fn now(clock: &dyn Clock) -> Now {
    Now {
        wall_ms: clock.wall_ms(),
        elapsed_ms: u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

/// Runs until it is told to stop and everything taken is durable.
pub(crate) fn run(
    mut sequencer: Sequencer,
    messages: &Receiver<Message>,
    clock: &Arc<dyn Clock>,
    mut sinks: Sinks,
) {
    let mut stopping = false;
    let mut next_tick = clock.elapsed() + TICK;
    let mut turn = Vec::new();
    dispatch(&mut sequencer, &mut sinks);
    loop {
        let first = match messages.recv_timeout(TICK) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        turn.extend(first);
        turn.extend(messages.try_iter().take(INPUTS_A_TURN));
        // When all of them have come: no record is stamped with a time before it was sent.
        let at = now(clock.as_ref());
        for message in turn.drain(..) {
            match message {
                Message::Input(input, permit) => {
                    sequencer.take_admitted(input, permit, at);
                }
                Message::Stop => stopping = true,
            }
        }
        if stopping {
            sequencer.stop(at);
        }
        sequencer.flush(at);
        if clock.elapsed() >= next_tick {
            sequencer.tick(at);
            next_tick = clock.elapsed() + TICK;
        }
        dispatch(&mut sequencer, &mut sinks);
        if stopping && sequencer.is_drained() {
            return;
        }
    }
}

fn dispatch(sequencer: &mut Sequencer, sinks: &mut Sinks) {
    while let Some(output) = sequencer.next_output() {
        // Those threads end only after this one.
        let outlives = "the threads of chores outlive the sequencer's";
        let segments = &sinks.segments;
        match output {
            Output::Write(job) => (sinks.write)(job),
            Output::GrowWal(segment) => {
                segments.send(SegmentChore::Grow(segment)).expect(outlives);
            }
            Output::ShrinkWal(segment) => {
                segments
                    .send(SegmentChore::Shrink(segment))
                    .expect(outlives);
            }
            Output::Drop(tables) => {
                segments.send(SegmentChore::Drop(tables)).expect(outlives);
            }
            Output::History(job) => sinks.history.send(job).expect(outlives),
            Output::Upkeep(job) => sinks.upkeep.send(job).expect(outlives),
        }
    }
}
