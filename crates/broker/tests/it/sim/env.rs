//! Clock and randomness of the simulation.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate_broker::env::{Clock, Random, Sleeper};

/// splitmix64.
#[derive(Clone, Debug)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(
            seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .wrapping_add(0x1234_5678),
        )
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(super) fn chance(&mut self, wins: u64, of: u64) -> bool {
        self.below(of) < wins
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        (!from.is_empty()).then(|| &from[usize::try_from(self.below(from.len() as u64)).unwrap()])
    }
}

#[derive(Clone)]
pub(super) struct SimClock(pub(super) Arc<Mutex<(i64, Duration)>>);

impl SimClock {
    pub(super) fn advance(&self, by: Duration) {
        let mut time = self.0.lock().unwrap();
        time.0 += i64::try_from(by.as_millis()).unwrap();
        time.1 += by;
    }

    /// Sets the wall clock; time goes on as before.
    pub(super) fn jump(&self, ms: i64) {
        self.0.lock().unwrap().0 += ms;
    }
}

impl Clock for SimClock {
    fn wall_ms(&self) -> i64 {
        self.0.lock().unwrap().0
    }

    fn elapsed(&self) -> Duration {
        self.0.lock().unwrap().1
    }
}

#[async_trait::async_trait]
impl Sleeper for SimClock {
    async fn sleep(&self, duration: Duration) {
        self.advance(duration);
    }
}

pub(super) struct SimRandom(pub(super) Mutex<Rng>);

impl Random for SimRandom {
    fn fill(&self, bytes: &mut [u8]) {
        let mut rng = self.0.lock().unwrap();
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&rng.next().to_le_bytes()[..chunk.len()]);
        }
    }
}
