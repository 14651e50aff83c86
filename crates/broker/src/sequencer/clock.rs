//! Log time: the clock by which things end: claims, retention, committed offsets, producers. It never
//! goes back, over restarts too, and it believes no leap of the wall clock before it has lasted, since
//! what has ended does not come back.
//!
//! Records are stamped by the wall clock, but never before log time: so a claim is held at least as
//! long as it says, and a record made after a long stand-still is not as old as the stand-still.

use super::Now;

/// How far log time follows the wall clock at once. More is a clock that was set wrong, a machine that
/// slept, or one that was off.
const LARGEST_STEP_MS: i64 = 60 * 60 * 1000;

/// How long a wall clock that is further ahead must go on like that, in time of this process, before it
/// is believed: long enough for time synchronisation, and for somebody who reads the log.
const BELIEVED_AFTER_MS: u64 = 60 * 60 * 1000;

/// How much the two clocks may drift apart meanwhile. More is a clock that was set again.
const DRIFT_MS: u64 = 60_000;

/// The log's clock.
#[derive(Clone, Copy, Debug)]
pub struct LogClock {
    time_ms: i64,
    elapsed_ms: u64,
    leap: Option<Leap>,
    news: Option<News>,
}

/// A wall clock far ahead that is not believed yet.
#[derive(Clone, Copy, Debug)]
struct Leap {
    ahead_ms: i64,
    since_ms: u64,
}

/// What an operator should know of the wall clock.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum News {
    /// It is far ahead.
    Leapt { ahead_ms: i64 },
    /// It was, for so long that it is believed.
    Believed { ahead_ms: i64 },
    /// It was, and is no longer.
    SetBack,
}

impl LogClock {
    /// Goes on from the log's last recorded time. An empty log, which has none, believes the wall clock.
    pub fn new(last_ms: i64, now: Now) -> Self {
        Self {
            time_ms: if last_ms == 0 { now.wall_ms } else { last_ms },
            elapsed_ms: now.elapsed_ms,
            leap: None,
            news: None,
        }
    }

    /// Returns log time, in milliseconds since 1970.
    pub fn read(&mut self, now: Now) -> i64 {
        let passed = now.elapsed_ms.saturating_sub(self.elapsed_ms).cast_signed();
        let paced = self.time_ms.saturating_add(passed);
        let ahead_ms = now.wall_ms.saturating_sub(paced);
        self.elapsed_ms = now.elapsed_ms;
        if ahead_ms <= LARGEST_STEP_MS {
            if self.leap.take().is_some() {
                self.news = Some(News::SetBack);
            }
            // Behind the wall clock: follow it. Ahead of it: stand still until it has caught up.
            self.time_ms = self.time_ms.max(now.wall_ms);
            return self.time_ms;
        }
        let same = |leap: &Leap| ahead_ms.abs_diff(leap.ahead_ms) <= DRIFT_MS;
        match self.leap.filter(same) {
            Some(leap) if now.elapsed_ms >= leap.since_ms + BELIEVED_AFTER_MS => {
                self.leap = None;
                self.news = Some(News::Believed { ahead_ms });
                self.time_ms = now.wall_ms;
            }
            Some(_) => self.time_ms = paced,
            None => {
                let since_ms = now.elapsed_ms;
                self.leap = Some(Leap { ahead_ms, since_ms });
                self.news = Some(News::Leapt { ahead_ms });
                self.time_ms = paced;
            }
        }
        self.time_ms
    }

    /// Returns the time for a record that is made now.
    pub fn stamp(&mut self, now: Now) -> i64 {
        self.read(now).max(now.wall_ms)
    }

    /// What is new of the wall clock since this was last asked.
    pub fn take_news(&mut self) -> Option<News> {
        self.news.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const YEAR: i64 = 365 * 24 * HOUR;

    /// Reads at each (wall, elapsed) and compares log time and stamp.
    fn check(last_ms: i64, readings: &[(i64, u64, i64, i64)]) {
        let now = |wall_ms, elapsed_ms| Now {
            wall_ms,
            elapsed_ms,
        };
        let (wall_ms, elapsed_ms, ..) = readings[0];
        let mut clock = LogClock::new(last_ms, now(wall_ms, elapsed_ms));
        for &(wall_ms, elapsed_ms, time_ms, stamp_ms) in readings {
            let now = now(wall_ms, elapsed_ms);
            assert_eq!(
                (clock.read(now), clock.stamp(now)),
                (time_ms, stamp_ms),
                "{readings:?}"
            );
        }
    }

    #[test]
    fn log_time_follows_the_wall_clock_and_never_goes_back() {
        check(
            0,
            &[
                (1_000, 0, 1_000, 1_000),
                (1_010, 10, 1_010, 1_010),
                (900, 20, 1_010, 1_010),
                (1_020, 30, 1_020, 1_020),
            ],
        );
        check(
            5_000,
            &[
                (1_000, 0, 5_000, 5_000),
                (1_010, 10, 5_000, 5_000),
                (5_001, 20, 5_001, 5_001),
            ],
        );
        // A short stand-still is made good at once.
        check(1_000, &[(1_000 + HOUR, 0, 1_000 + HOUR, 1_000 + HOUR)]);
    }

    #[test]
    fn a_leap_ends_nothing_before_it_has_lasted_an_hour() {
        // While the process runs, and at its start: there is no difference.
        for last_ms in [1_000, 1_000 - 5 * HOUR] {
            let (then, ahead) = (1_000 + YEAR, YEAR + 1_000 - last_ms);
            let mut clock = LogClock::new(
                last_ms,
                Now {
                    wall_ms: last_ms,
                    elapsed_ms: 0,
                },
            );
            for minute in 0..60 {
                let passed_ms = minute * 60_000;
                let now = Now {
                    wall_ms: then + passed_ms,
                    elapsed_ms: passed_ms.cast_unsigned(),
                };
                assert_eq!(clock.read(now), last_ms + passed_ms);
                assert_eq!(clock.stamp(now), then + passed_ms, "records are not as old");
            }
            assert_eq!(clock.take_news(), Some(News::Leapt { ahead_ms: ahead }));
            let now = Now {
                wall_ms: then + HOUR,
                elapsed_ms: HOUR.cast_unsigned(),
            };
            assert_eq!(clock.read(now), then + HOUR);
            assert_eq!(clock.take_news(), Some(News::Believed { ahead_ms: ahead }));
        }
    }

    #[test]
    fn a_clock_that_is_set_right_in_time_has_ended_nothing() {
        let minute = 60_000_i64;
        check(
            1_000,
            &[
                (1_000 + YEAR, 0, 1_000, 1_000 + YEAR),
                // Set again, to another wrong time: its hour begins anew.
                (
                    1_000 + 2 * YEAR,
                    59 * 60_000,
                    1_000 + 59 * minute,
                    1_000 + 2 * YEAR,
                ),
                (
                    1_000 + 2 * YEAR + 59 * minute,
                    118 * 60_000,
                    1_000 + 118 * minute,
                    1_000 + 2 * YEAR + 59 * minute,
                ),
                // Set right.
                (
                    1_000 + 119 * minute,
                    119 * 60_000,
                    1_000 + 119 * minute,
                    1_000 + 119 * minute,
                ),
                (
                    1_000 + 300 * minute,
                    300 * 60_000,
                    1_000 + 300 * minute,
                    1_000 + 300 * minute,
                ),
            ],
        );
    }
}
