//! Bridges: the events of an earlier type, copied into the topic of the later one until nobody reads
//! the earlier one any more. What is done next is decided in `decide.rs` and `copy.rs`, pure; `look.rs`
//! asks the log what that needs, `worker.rs` does it, one task a bridge; `state.rs` is what was decided,
//! kept in topic `_tidegate.bridges`.
//!
//! Invariants: one record for each earlier one, in the target or in quarantine, by a claim on its
//! place; the position is committed after the ack only; records of one key never overtake each other.

pub(crate) mod copy;
pub(crate) mod decide;
mod look;
pub(crate) mod routes;
pub(crate) mod spec;
pub(crate) mod state;
mod status;
pub(crate) mod worker;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_contract::Contracts;
use tidegate_event_log::{Log, LogError};
use tokio::sync::watch;
use tokio::task::{self, JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::spec::InForce;
use self::status::Status;
use self::worker::Worker;
use crate::clock::Clock;
use crate::ingress::lane::Lanes;
use crate::kept::Kept;
use crate::metrics::Metrics;

/// What the workers share.
pub(crate) struct Shared {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) states: Kept<state::Table>,
    status: Mutex<BTreeMap<String, Status>>,
}

/// All bridges of a gateway.
pub(crate) struct Bridges {
    pub(crate) shared: Arc<Shared>,
    in_force: watch::Sender<Arc<InForce>>,
    /// Gone when it was seen to end.
    watching: tokio::sync::Mutex<Option<JoinHandle<()>>>,
    stop: CancellationToken,
    /// A gateway that is dropped without having served leaves no task behind.
    _stop_on_drop: DropGuard,
}

impl Bridges {
    /// Reads what was decided and starts to watch for contracts.
    ///
    /// # Errors
    /// The states cannot be read.
    pub(crate) async fn start(
        log: Arc<dyn Log>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, LogError> {
        let states = Kept::open(Arc::clone(&log)).await?;
        let shared = Arc::new(Shared {
            log,
            clock,
            metrics,
            states,
            status: Mutex::default(),
        });
        let (in_force, changes) = watch::channel(Arc::default());
        let stop = CancellationToken::new();
        let watching = watch_contracts(Arc::clone(&shared), changes, stop.clone());
        let watching = tokio::spawn(watching);
        Ok(Self {
            shared,
            in_force,
            watching: tokio::sync::Mutex::new(Some(watching)),
            _stop_on_drop: stop.clone().drop_guard(),
            stop,
        })
    }

    /// Lets bridges go by other contracts from now on.
    pub(crate) fn put_in_force(&self, contracts: &Contracts, lanes: &Lanes) {
        let in_force = InForce::of(contracts, lanes);
        for name in in_force.bridges() {
            // Counters are there before the first event, so that a rise is one.
            self.shared.metrics.bridge(name);
        }
        self.in_force.send_replace(Arc::new(in_force));
    }

    pub(crate) fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.in_force.borrow())
    }

    /// Lets every bridge end the batch it is at, for so long, and stops.
    pub(crate) async fn stop(&self, at_most: Duration) {
        self.stop.cancel();
        let Some(watching) = self.watching.lock().await.take() else {
            return;
        };
        match timeout(at_most, watching).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(error = %error, "the bridges failed"),
            Err(_) => tracing::warn!("stopped with bridges under way"),
        }
    }
}

/// Keeps a worker running for each bridge in force, and ends when all of them have ended after `stop`.
/// A worker ends by itself when its bridge goes.
async fn watch_contracts(
    shared: Arc<Shared>,
    mut changes: watch::Receiver<Arc<InForce>>,
    stop: CancellationToken,
) {
    let mut workers = JoinSet::new();
    let mut running: HashMap<task::Id, String> = HashMap::new();
    while !stop.is_cancelled() {
        let in_force = Arc::clone(&changes.borrow_and_update());
        for name in in_force.bridges() {
            if running.values().any(|other| other == name) {
                continue;
            }
            let worker = Worker::new(Arc::clone(&shared), name.to_owned());
            let started = workers.spawn(worker.run(changes.clone(), stop.clone()));
            running.insert(started.id(), name.to_owned());
        }
        tokio::select! {
            () = stop.cancelled() => {}
            changed = changes.changed() => if changed.is_err() { return },
            // One that ended may be wanted again meanwhile.
            Some(ended) = workers.join_next_with_id() => match ended {
                Ok((id, ())) => drop(running.remove(&id)),
                Err(error) => {
                    tracing::error!(error = %error, "a bridge failed and starts anew");
                    running.remove(&error.id());
                    tokio::time::sleep(worker::POLL).await;
                }
            },
        }
    }
    while workers.join_next().await.is_some() {}
}
