//! Bridges: the events of an earlier type, copied into the topic of the later one until nobody reads
//! the earlier one any more. What is copied and when is decided in `decide.rs` and `copy.rs`, pure;
//! `worker.rs` reads, appends and commits, one task a bridge; `state.rs` is what was decided, kept in
//! topic `_tidegate.bridges`.
//!
//! Invariants: one record for each earlier one, in the target or in quarantine, by a claim on its
//! place; the position is committed after the ack only; records of one key never overtake each other.

pub(crate) mod copy;
pub(crate) mod decide;
pub(crate) mod routes;
pub(crate) mod spec;
pub(crate) mod state;
mod status;
pub(crate) mod store;
pub(crate) mod worker;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_contract::Contracts;
use tidegate_event_log::{Log, LogError};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use self::spec::InForce;
use self::status::Status;
use self::store::Store;
use self::worker::Worker;
use crate::clock::Clock;
use crate::metrics::Metrics;

/// What the workers share.
pub(crate) struct Shared {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) store: Store,
    status: Mutex<BTreeMap<String, Status>>,
}

/// All bridges of a gateway.
pub(crate) struct Bridges {
    pub(crate) shared: Arc<Shared>,
    in_force: watch::Sender<Arc<InForce>>,
    tasks: TaskTracker,
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
        let store = Store::open(Arc::clone(&log)).await?;
        let shared = Arc::new(Shared {
            log,
            clock,
            metrics,
            store,
            status: Mutex::default(),
        });
        let (in_force, changes) = watch::channel(Arc::default());
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let watching = watch_contracts(Arc::clone(&shared), changes, tasks.clone(), stop.clone());
        tasks.spawn(watching);
        Ok(Self {
            shared,
            in_force,
            tasks,
            _stop_on_drop: stop.clone().drop_guard(),
            stop,
        })
    }

    /// Lets bridges go by other contracts from now on.
    pub(crate) fn put_in_force(&self, contracts: &Contracts) {
        self.in_force.send_replace(Arc::new(InForce::of(contracts)));
    }

    pub(crate) fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.in_force.borrow())
    }

    /// Lets every bridge end the batch it is at, for so long, and stops.
    pub(crate) async fn stop(&self, at_most: Duration) {
        self.stop.cancel();
        self.tasks.close();
        if timeout(at_most, self.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = self.tasks.len(), "stopped with bridges under way");
        }
    }
}

/// Keeps a worker running for each bridge in force. A worker ends when its bridge goes.
async fn watch_contracts(
    shared: Arc<Shared>,
    mut changes: watch::Receiver<Arc<InForce>>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let mut running: BTreeMap<String, tokio::task::JoinHandle<()>> = BTreeMap::new();
    loop {
        let in_force = Arc::clone(&changes.borrow_and_update());
        running.retain(|_, worker| !worker.is_finished());
        for name in in_force.bridges() {
            if running.contains_key(name) {
                continue;
            }
            let worker = Worker::new(Arc::clone(&shared), name.to_owned());
            let task = worker.run(changes.clone(), stop.clone());
            running.insert(name.to_owned(), tasks.spawn(task));
        }
        // One that is ending right now may be wanted again: it is looked at once more.
        let ending = running.keys().any(|name| in_force.bridge(name).is_none());
        let again = async {
            match ending {
                true => tokio::time::sleep(worker::POLL).await,
                false => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
            () = again => {}
        }
    }
}
