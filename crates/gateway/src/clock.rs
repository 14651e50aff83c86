//! Time and ids as the gateway takes them: passed in, so that tests decide what they are.

use std::time::{SystemTime, UNIX_EPOCH};

use ulid::Ulid;

/// The time of day.
pub trait Clock: Send + Sync + 'static {
    /// Returns the time in milliseconds since 1970 (UTC).
    fn now_ms(&self) -> i64;
}

/// A source of ids that no two callers get alike.
pub trait Ids: Send + Sync + 'static {
    /// Returns a new id; ids of a later `now_ms` sort later.
    fn next(&self, now_ms: i64) -> Ulid;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

/// Ids from the process's random generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct RandomIds;

impl Ids for RandomIds {
    fn next(&self, now_ms: i64) -> Ulid {
        Ulid::from_parts(u64::try_from(now_ms).unwrap_or(0), rand::random())
    }
}

/// Writes a time as RFC 3339 with milliseconds, the one form the gateway answers in.
pub(crate) fn rfc3339(time_ms: i64) -> String {
    use std::fmt::Write as _;

    let nanos = i128::from(time_ms) * 1_000_000;
    let Ok(at) = time::OffsetDateTime::from_unix_timestamp_nanos(nanos) else {
        return time_ms.to_string();
    };
    let mut text = String::with_capacity(24);
    let (date, clock) = (at.date(), at.time());
    write!(
        text,
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        clock.hour(),
        clock.minute(),
        clock.second(),
        clock.millisecond()
    )
    .expect("a string takes any text");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_with_milliseconds() {
        for (time_ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(rfc3339(time_ms), expected);
        }
    }
}
