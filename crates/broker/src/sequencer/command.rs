//! Commands into the open group: epochs, producer ids, log starts, log time.

use tokio::sync::oneshot;

use super::durable::{Answer, Effect};
use super::{Now, Refusal, Sequencer};
use crate::state::Entry;
use crate::state::command::{
    ClusterCreated, Command, EpochStarted, LogStartMoved, ProducerIdGiven, ProducersExpired,
    TimePassed,
};
use crate::wal::RecordKind;

/// Log starts moved by one command: 20 bytes each at most, so far below what a group takes.
const LOG_STARTS_A_COMMAND: usize = 50_000;

/// How often log time is recorded while records come, and while none come.
const TIME_IN_USE_MS: i64 = 10 * 60 * 1000;
const TIME_AT_REST_MS: i64 = 60 * 60 * 1000;

/// How exact the end of a claim is. So often at most a group tells the time for the sake of its claims.
const CLAIMS_TIME_GRAIN_MS: i64 = 100;

impl Sequencer {
    /// Starts the epoch of this process, and the cluster if the log is empty. To be called once, first.
    ///
    /// The answer comes when the epoch is durable. Before, nothing that recovery found may be shown:
    /// it is the epoch's first group that says that the groups before it count.
    pub fn start_epoch(
        &mut self,
        epoch: u32,
        cluster: Option<ClusterCreated>,
        now: Now,
    ) -> oneshot::Receiver<Result<(), Refusal>> {
        if let Some(cluster) = cluster {
            self.push_command(&Command::ClusterCreated(cluster), now);
        }
        let log_time_ms = self.clock.read(now);
        let started = EpochStarted { epoch, log_time_ms };
        self.push_command(&Command::EpochStarted(started), now);
        self.time_recorded(log_time_ms);
        for topic in self.state.topics() {
            let handles = self
                .topics
                .get(&topic.number)
                .into_iter()
                .flat_map(|t| &t.partitions);
            for (handle, lane) in handles.zip(&topic.partitions) {
                handle.set_epochs(lane.epochs.clone());
            }
        }
        let log_time_ms = self.claims_time(now);
        self.shared.set_log_time(log_time_ms);
        let (reply, durable) = oneshot::channel();
        self.answer_when_durable(Answer::Done(reply));
        self.flush(now);
        durable
    }

    /// Appends a command and applies it. Open batches go first, so that the command stands behind
    /// every record that was taken before it.
    pub(super) fn push_command(&mut self, command: &Command, now: Now) {
        let body = command.encode();
        self.make_room(body.len(), now);
        self.close_lanes();
        self.push_encoded(command, &body);
    }

    fn push_encoded(&mut self, command: &Command, body: &[u8]) {
        self.group
            .push(RecordKind::Meta, 0, 0, 0, &[], &[body, &[]])
            .expect("room was made, and commands are bounded where they are made");
        self.group_size.add_meta(body.len());
        self.state
            .apply(self.state.last_lsn + 1, &Entry::Meta(command))
            .expect("the command was decided on this very state");
    }

    pub(super) fn give_producer_id(
        &mut self,
        reply: oneshot::Sender<Result<i64, Refusal>>,
        now: Now,
    ) {
        let producer_id = self.state.next_producer_id;
        self.push_command(
            &Command::ProducerIdGiven(ProducerIdGiven { producer_id }),
            now,
        );
        self.answer_when_durable(Answer::ProducerId(reply, producer_id));
    }

    /// Moves log starts, as retention decided. Those without room are found again by the next check.
    pub(super) fn move_log_starts(&mut self, moves: &[(u32, u32, i64)], now: Now) {
        for moves in moves.chunks(LOG_STARTS_A_COMMAND) {
            if !self.has_room() {
                return;
            }
            let moves = moves.to_vec();
            let command = LogStartMoved { moves };
            self.push_command(&Command::LogStartMoved(command.clone()), now);
            for (topic, partition, log_start) in command.moves {
                let handle = self
                    .topics
                    .get(&topic)
                    .and_then(|t| t.partitions.get(partition as usize));
                if let Some(handle) = handle {
                    self.effects
                        .push(Effect::LogStartMoved(handle.clone(), log_start));
                }
            }
        }
    }

    /// Records log time, if enough of it has passed since it was last recorded.
    pub(super) fn record_time(&mut self, now: Now) {
        let log_time_ms = self.clock.read(now);
        let passed_ms = log_time_ms.saturating_sub(self.state.log_time_ms);
        let in_use = self.state.last_lsn > self.time_lsn;
        // A log at rest tells the time only as long as that lets something go.
        let expires = !self.shared.runs.load().is_empty() || !self.state.producers.is_empty();
        let due = in_use && passed_ms >= TIME_IN_USE_MS || expires && passed_ms >= TIME_AT_REST_MS;
        if due && self.has_room() {
            self.push_command(&Command::TimePassed(TimePassed { log_time_ms }), now);
            self.time_recorded(log_time_ms);
        }
    }

    /// The time by which claims end: log time as recorded, while that is not much behind.
    pub(super) fn claims_time(&mut self, now: Now) -> i64 {
        let log_time_ms = self.clock.read(now);
        if log_time_ms - self.state.log_time_ms < CLAIMS_TIME_GRAIN_MS {
            return self.state.log_time_ms;
        }
        log_time_ms
    }

    /// Has the open group tell the time by which a claim was found to be free. After a crash log time
    /// must not be before it: the claim that ended then would be held again, beside the new one.
    pub(super) fn record_claims_time(&mut self, log_time_ms: i64) {
        if log_time_ms > self.state.log_time_ms {
            self.group_time_ms = Some(log_time_ms);
        }
    }

    /// Ends the open group with the time, if claims in it need that.
    pub(super) fn close_with_time(&mut self) {
        if let Some(log_time_ms) = self.group_time_ms.take() {
            let command = Command::TimePassed(TimePassed { log_time_ms });
            self.push_encoded(&command, &command.encode());
            self.time_recorded(log_time_ms);
        }
    }

    fn time_recorded(&mut self, log_time_ms: i64) {
        self.time_lsn = self.state.last_lsn;
        self.effects.push(Effect::TimePassed(log_time_ms));
    }

    /// Forgets idempotent producers that have been silent for long.
    pub(super) fn expire_producers(&mut self, before_lsn: u64, now: Now) {
        if self.has_room() {
            self.push_command(
                &Command::ProducersExpired(ProducersExpired { before_lsn }),
                now,
            );
        }
    }
}
