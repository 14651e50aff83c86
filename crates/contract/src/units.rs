//! Durations and sizes as people write them in files: a whole number and a unit, `7d`, `256KiB`.
//! They print back as they were written and compare by what they mean, so `24h` equals `1d`.

use std::fmt;
use std::str::FromStr;

/// What a duration looks like, for the reader of contracts and for the format's own schema.
pub(crate) const DURATION_PATTERN: &str = "^[1-9][0-9]{0,8}(ms|s|m|h|d)$";
/// What a size looks like, likewise.
pub(crate) const SIZE_PATTERN: &str = "^[1-9][0-9]{0,8}(B|KiB|MiB|GiB)$";

/// Nine digits of the largest unit stay far below `i64::MAX`, so no arithmetic here can overflow.
const MAX_DIGITS: usize = 9;

const DURATION_UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];
const SIZE_UNITS: [(&str, u64); 4] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// A text that is not a whole number followed by a known unit.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{text}` is not {what}")]
pub struct UnitError {
    text: String,
    what: &'static str,
}

#[derive(Clone, Copy, Debug)]
struct Amount {
    count: u64,
    unit: &'static str,
    factor: u64,
}

impl Amount {
    fn parse(text: &str, units: &[(&'static str, u64)]) -> Option<Self> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (count, unit) = text.split_at(digits);
        if count.len() > MAX_DIGITS || count.starts_with('0') {
            return None;
        }
        let count = count.parse().ok()?;
        let (unit, factor) = units.iter().find(|(name, _)| *name == unit)?;
        Some(Self {
            count,
            unit,
            factor: *factor,
        })
    }

    fn total(self) -> u64 {
        self.count * self.factor
    }
}

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident, $units:ident, $total:ident, $total_doc:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name(Amount);

        impl $name {
            #[doc = $total_doc]
            pub fn $total(self) -> u64 {
                self.0.total()
            }
        }

        impl FromStr for $name {
            type Err = UnitError;

            fn from_str(text: &str) -> Result<Self, UnitError> {
                let amount = Amount::parse(text, &$units);
                amount.map(Self).ok_or_else(|| UnitError { text: text.to_owned(), what: $what })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", self.0.count, self.0.unit)
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.total() == other.0.total()
            }
        }

        impl Eq for $name {}

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.0.total().cmp(&other.0.total())
            }
        }
    };
}

unit!(
    /// A length of time, such as `7d` or `500ms`; never zero.
    Duration,
    DURATION_UNITS,
    as_ms,
    "Returns the length in milliseconds; it fits an `i64`.",
    "a duration such as `500ms`, `30s`, `15m`, `24h` or `7d`"
);
unit!(
    /// A number of bytes, such as `256KiB`; never zero.
    ByteSize,
    SIZE_UNITS,
    as_bytes,
    "Returns the size in bytes.",
    "a size such as `512B`, `256KiB`, `1MiB` or `1GiB`"
);

/// What a rate of events looks like.
pub(crate) const RATE_PATTERN: &str = "^[1-9][0-9]{0,8}/(s|m|h)$";
/// What a rate of bytes looks like.
pub(crate) const BYTE_RATE_PATTERN: &str = "^[1-9][0-9]{0,8}(B|KiB|MiB|GiB)/(s|m|h)$";

/// Seconds of the units that a rate may be written with.
const RATE_UNITS: [(&str, u64); 3] = [("s", 1), ("m", 60), ("h", 3_600)];

/// Takes the part behind `/` off a rate.
fn per(text: &str) -> Option<(&str, &'static str, u64)> {
    let (amount, unit) = text.split_once('/')?;
    let (unit, seconds) = RATE_UNITS.iter().find(|(name, _)| *name == unit)?;
    Some((amount, unit, *seconds))
}

macro_rules! rate {
    ($(#[$doc:meta])* $name:ident, $units:expr, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name {
            amount: Amount,
            unit: &'static str,
            seconds: u64,
        }

        impl $name {
            /// Returns how much of it comes in a second, rounded up.
            pub fn per_second(self) -> u64 {
                self.amount.total().div_ceil(self.seconds)
            }
        }

        impl FromStr for $name {
            type Err = UnitError;

            fn from_str(text: &str) -> Result<Self, UnitError> {
                let parse = || {
                    let (amount, unit, seconds) = per(text)?;
                    let amount = Amount::parse(amount, $units)?;
                    Some(Self { amount, unit, seconds })
                };
                parse().ok_or_else(|| UnitError { text: text.to_owned(), what: $what })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}/{}", self.amount.count, self.amount.unit, self.unit)
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.cmp(other).is_eq()
            }
        }

        impl Eq for $name {}

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                // Crosswise, so that `1/m` and `60/h` are the same.
                let cross = |rate: &Self, seconds| u128::from(rate.amount.total()) * u128::from(seconds);
                cross(self, other.seconds).cmp(&cross(other, self.seconds))
            }
        }
    };
}

rate!(
    /// How many events come in a time, such as `2000/s`; never zero.
    Rate,
    &[("", 1)],
    "a rate such as `2000/s` or `50/m`"
);
rate!(
    /// How many bytes come in a time, such as `5MiB/s`; never zero.
    ByteRate,
    &SIZE_UNITS,
    "a rate such as `5MiB/s`"
);

impl From<Duration> for std::time::Duration {
    fn from(duration: Duration) -> Self {
        Self::from_millis(duration.as_ms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_carry_their_unit() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(
                text.parse::<Duration>().ok().map(Duration::as_ms),
                expected,
                "{text}"
            );
        };
        check("1ms", Some(1));
        check("5s", Some(5_000));
        check("2m", Some(120_000));
        check("24h", Some(86_400_000));
        check("7d", Some(604_800_000));
        check("999999999d", Some(86_399_999_913_600_000));
        for bad in [
            "",
            "d",
            "7",
            "7 d",
            "0s",
            "07d",
            "-1d",
            "1.5h",
            "7D",
            "1w",
            "1000000000s",
            "7dd",
            "٣d",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn sizes_carry_their_unit() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(
                text.parse::<ByteSize>().ok().map(ByteSize::as_bytes),
                expected,
                "{text}"
            );
        };
        check("512B", Some(512));
        check("256KiB", Some(262_144));
        check("1MiB", Some(1_048_576));
        check("2GiB", Some(2_147_483_648));
        for bad in ["1KB", "1kib", "1", "0B", "1 MiB", "MiB"] {
            check(bad, None);
        }
    }

    #[test]
    fn rates_say_what_comes_in_which_time() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(
                text.parse::<Rate>().ok().map(Rate::per_second),
                expected,
                "{text}"
            );
            let pattern = regex::Regex::new(RATE_PATTERN).unwrap();
            assert_eq!(pattern.is_match(text), expected.is_some(), "{text}");
        };
        check("2000/s", Some(2_000));
        check("90/m", Some(2));
        check("3600/h", Some(1));
        for bad in ["2000", "0/s", "1/d", "1KiB/s", "/s", "1/", "1 /s"] {
            check(bad, None);
        }
        let bytes: ByteRate = "5MiB/s".parse().unwrap();
        assert_eq!(
            (bytes.per_second(), bytes.to_string()),
            (5 << 20, "5MiB/s".to_owned())
        );
        assert!("5/s".parse::<ByteRate>().is_err());
        let rate = |text: &str| text.parse::<Rate>().unwrap();
        assert_eq!(rate("1/m"), rate("60/h"));
        assert!(rate("1/m") < rate("1/s"));
    }

    #[test]
    fn a_unit_prints_back_as_written_and_compares_by_meaning() {
        let (day, hours): (Duration, Duration) = ("1d".parse().unwrap(), "24h".parse().unwrap());
        assert_eq!(
            (day.to_string(), hours.to_string()),
            ("1d".into(), "24h".into())
        );
        assert_eq!(day, hours);
        assert!("1h".parse::<Duration>().unwrap() < day);
    }

    #[test]
    fn the_patterns_accept_what_the_parsers_accept() {
        let agree = |pattern: &str, text: &str, parsed: bool| {
            assert_eq!(
                regex::Regex::new(pattern).unwrap().is_match(text),
                parsed,
                "{text}"
            );
        };
        for text in [
            "1ms",
            "0s",
            "07d",
            "999999999d",
            "1000000000s",
            "7",
            "7 d",
            "1GiB",
            "1KB",
            "512B",
            "",
        ] {
            agree(DURATION_PATTERN, text, text.parse::<Duration>().is_ok());
            agree(SIZE_PATTERN, text, text.parse::<ByteSize>().is_ok());
        }
    }
}
