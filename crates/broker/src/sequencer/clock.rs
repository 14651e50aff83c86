//! Log time: the clock by which claims expire. It never goes back, over restarts too, and a wall
//! clock that jumps ahead does not take it along, because that would end claims before their time.

use super::Now;

/// How far ahead of its own pace log time follows the wall clock within one process. More is a
/// clock that was set wrong, or a machine that slept; both wait for the next start.
const LARGEST_JUMP_MS: i64 = 60 * 60 * 1000;

/// The log's clock.
#[derive(Clone, Copy, Debug)]
pub struct LogClock {
    time_ms: i64,
    elapsed_ms: u64,
}

impl LogClock {
    /// Goes on from the log's last time, or from the wall clock if that is later.
    pub fn new(last_ms: i64, now: Now) -> Self {
        Self {
            time_ms: last_ms.max(now.wall_ms),
            elapsed_ms: now.elapsed_ms,
        }
    }

    /// Returns log time, in milliseconds since 1970.
    pub fn read(&mut self, now: Now) -> i64 {
        let passed = now.elapsed_ms.saturating_sub(self.elapsed_ms).cast_signed();
        let paced = self.time_ms.saturating_add(passed);
        let ahead = now.wall_ms.saturating_sub(paced);
        // Behind the wall clock: follow it. Ahead of it: stand still until it has caught up.
        self.time_ms = match ahead {
            1..=LARGEST_JUMP_MS => now.wall_ms,
            i64::MIN..=0 => self.time_ms.max(now.wall_ms),
            _ => paced,
        };
        self.elapsed_ms = now.elapsed_ms;
        self.time_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads at each (wall, elapsed) and compares log time.
    fn check(last_ms: i64, readings: &[(i64, u64, i64)]) {
        let (wall_ms, elapsed_ms, _) = readings[0];
        let mut clock = LogClock::new(
            last_ms,
            Now {
                wall_ms,
                elapsed_ms,
            },
        );
        for &(wall_ms, elapsed_ms, expected) in readings {
            assert_eq!(
                clock.read(Now {
                    wall_ms,
                    elapsed_ms
                }),
                expected,
                "{readings:?}"
            );
        }
    }

    #[test]
    fn log_time_follows_the_wall_clock_and_never_goes_back() {
        check(
            0,
            &[
                (1_000, 0, 1_000),
                (1_010, 10, 1_010),
                (900, 20, 1_010),
                (1_020, 30, 1_020),
            ],
        );
        check(
            5_000,
            &[(1_000, 0, 5_000), (1_010, 10, 5_000), (5_001, 20, 5_001)],
        );
    }

    #[test]
    fn a_leap_of_the_wall_clock_does_not_end_claims() {
        let year = 365 * 24 * 3_600_000;
        check(
            0,
            &[
                (1_000, 0, 1_000),
                (1_000 + year, 10, 1_010),
                (1_010 + year, 20, 1_020),
            ],
        );
    }
}
