//! Where fetches wait until there is enough to answer with.
//!
//! A fetch that finds too little notes the byte counter of each partition, reads, and parks with
//! what is missing. Counters only grow, so counting deltas never misses an append: a waiter enters
//! its partition's list before it looks at the counter, and the sequencer moves the counter before
//! it looks at the list. Dropping [`Parked`] takes the waiter off every list, whatever the reason.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::partition::Partition;

/// Locks that partitions share; enough that two connections seldom meet.
const SHARDS: usize = 64;

type Key = (u32, u32);
type Waiters = BTreeMap<u64, Waiter>;

/// All parked fetches.
#[derive(Debug)]
pub struct Purgatory {
    shards: Vec<Mutex<HashMap<Key, Waiters>>>,
    next_ticket: AtomicU64,
    parked: AtomicUsize,
}

#[derive(Debug)]
struct Waiter {
    ticket: Arc<Ticket>,
    seen_bytes: u64,
}

#[derive(Debug)]
struct Ticket {
    gathered_bytes: AtomicU64,
    missing_bytes: u64,
    done: AtomicBool,
    wake: Notify,
}

impl Default for Purgatory {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            next_ticket: AtomicU64::new(0),
            parked: AtomicUsize::new(0),
        }
    }
}

impl Purgatory {
    /// Parks until `missing_bytes` more are readable in `partitions` together, each given with the
    /// value its byte counter had before it was read.
    pub fn park<'a>(
        &'a self,
        partitions: impl IntoIterator<Item = (&'a Arc<Partition>, u64)>,
        missing_bytes: u64,
    ) -> Parked<'a> {
        let mut parked = self.ticket(missing_bytes);
        for (partition, seen_bytes) in partitions {
            parked.enter(partition, seen_bytes, Waiter::look);
        }
        parked
    }

    fn ticket(&self, missing_bytes: u64) -> Parked<'_> {
        self.parked.fetch_add(1, Ordering::Relaxed);
        Parked {
            purgatory: self,
            ticket: Arc::new(Ticket {
                gathered_bytes: AtomicU64::new(0),
                missing_bytes,
                done: AtomicBool::new(false),
                wake: Notify::new(),
            }),
            number: self.next_ticket.fetch_add(1, Ordering::Relaxed),
            keys: Vec::new(),
        }
    }

    /// Waits for the next time `partition` grows or goes. What happens after this call counts,
    /// even before the future is first polled.
    pub fn next_advance(&self, partition: &Partition) -> impl Future<Output = ()> + use<'_> {
        let mut parked = self.ticket(0);
        // No look: whatever is announced from now on is enough.
        parked.enter(partition, partition.appended_bytes(), |_, _| {});
        async move { parked.enough().await }
    }

    /// Tells those who wait that `partition` grew. Called after its counters moved.
    pub fn advanced(&self, partition: &Partition) {
        let key = (partition.topic, partition.index);
        if let Some(waiters) = self.shard(key).lock().get_mut(&key) {
            for waiter in waiters.values_mut() {
                // Counted before the waiter looked, but readable only now: how much is unknown.
                if waiter.seen_bytes == partition.appended_bytes() {
                    waiter.ticket.finish();
                }
                waiter.look(partition);
            }
        }
    }

    /// Wakes those who wait for a partition that was deleted. Called after it was marked so.
    pub fn deleted(&self, partition: &Partition) {
        self.advanced(partition);
    }

    /// Returns how many fetches are parked.
    pub fn parked(&self) -> usize {
        self.parked.load(Ordering::Relaxed)
    }

    fn shard(&self, (topic, index): Key) -> &Mutex<HashMap<Key, Waiters>> {
        let spread = (topic as usize)
            .wrapping_mul(31)
            .wrapping_add(index as usize);
        &self.shards[spread % SHARDS]
    }
}

impl Waiter {
    fn look(&mut self, partition: &Partition) {
        let now = partition.appended_bytes();
        let more = now.saturating_sub(self.seen_bytes);
        self.seen_bytes = now;
        let before = self
            .ticket
            .gathered_bytes
            .fetch_add(more, Ordering::Relaxed);
        if before + more >= self.ticket.missing_bytes || partition.is_deleted() {
            self.ticket.finish();
        }
    }
}

impl Ticket {
    fn finish(&self) {
        if !self.done.swap(true, Ordering::Relaxed) {
            self.wake.notify_one();
        }
    }
}

/// A parked fetch. Dropping it gives up the place.
#[derive(Debug)]
pub struct Parked<'a> {
    purgatory: &'a Purgatory,
    ticket: Arc<Ticket>,
    number: u64,
    keys: Vec<Key>,
}

impl Parked<'_> {
    fn enter(
        &mut self,
        partition: &Partition,
        seen_bytes: u64,
        look: impl FnOnce(&mut Waiter, &Partition),
    ) {
        let key = (partition.topic, partition.index);
        let mut waiter = Waiter {
            ticket: Arc::clone(&self.ticket),
            seen_bytes,
        };
        let mut shard = self.purgatory.shard(key).lock();
        look(&mut waiter, partition);
        shard.entry(key).or_default().insert(self.number, waiter);
        self.keys.push(key);
    }

    /// Waits until there is enough, or one of the partitions is gone.
    pub async fn enough(&self) {
        self.ticket.wake.notified().await;
    }
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        for &key in &self.keys {
            let mut shard = self.purgatory.shard(key).lock();
            if let Some(waiters) = shard.get_mut(&key) {
                waiters.remove(&self.number);
                if waiters.is_empty() {
                    shard.remove(&key);
                }
            }
        }
        self.purgatory.parked.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::super::partition::RecentBatch;
    use super::*;

    fn partition(index: u32) -> Arc<Partition> {
        Arc::new(Partition::new(1, index))
    }

    fn append(purgatory: &Purgatory, partition: &Partition, len: u32) {
        let base_offset = partition.high_watermark();
        partition.publish(
            RecentBatch {
                base_offset,
                last_offset: base_offset,
                max_timestamp: 0,
                group_no: 1,
                position: 0,
                len,
            },
            0,
        );
        purgatory.advanced(partition);
    }

    fn is_enough(parked: &Parked<'_>) -> bool {
        parked.enough().now_or_never().is_some()
    }

    #[test]
    fn bytes_of_all_partitions_count_together() {
        let purgatory = Purgatory::default();
        let (one, two, other) = (partition(0), partition(1), partition(2));
        let parked = purgatory.park([(&one, 0), (&two, 0)], 100);
        assert!(!is_enough(&parked));
        append(&purgatory, &one, 60);
        append(&purgatory, &other, 500);
        assert!(!is_enough(&parked));
        append(&purgatory, &two, 40);
        assert!(is_enough(&parked));
    }

    #[test]
    fn what_came_between_reading_and_parking_counts() {
        let purgatory = Purgatory::default();
        let one = partition(0);
        let seen = one.appended_bytes();
        append(&purgatory, &one, 60);
        assert!(is_enough(&purgatory.park([(&one, seen)], 60)));
        assert!(!is_enough(&purgatory.park([(&one, 60)], 1)));
    }

    #[test]
    fn the_next_advance_counts_from_the_call_on() {
        let purgatory = Purgatory::default();
        let one = partition(0);
        append(&purgatory, &one, 1);
        let next = purgatory.next_advance(&one);
        append(&purgatory, &one, 1);
        assert!(next.now_or_never().is_some());
        assert!(purgatory.next_advance(&one).now_or_never().is_none());
        assert_eq!(purgatory.parked(), 0);
    }

    #[test]
    fn deletion_wakes() {
        let purgatory = Purgatory::default();
        let one = partition(0);
        let parked = purgatory.park([(&one, 0)], 100);
        one.delete();
        purgatory.deleted(&one);
        assert!(is_enough(&parked));
    }

    #[test]
    fn nothing_is_left_behind() {
        let purgatory = Purgatory::default();
        let (one, two) = (partition(0), partition(1));
        let first = purgatory.park([(&one, 0), (&two, 0), (&one, 0)], 100);
        let second = purgatory.park([(&one, 0)], 100);
        assert_eq!(purgatory.parked(), 2);
        drop(first);
        append(&purgatory, &one, 100);
        assert!(is_enough(&second));
        drop(second);
        assert_eq!(purgatory.parked(), 0);
        assert!(purgatory.shards.iter().all(|shard| shard.lock().is_empty()));
    }
}
