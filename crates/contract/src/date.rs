//! Days of the calendar as people write them in files, `2026-03-31`: always UTC, from its midnight.

use std::fmt;
use std::str::FromStr;

use time::{Date as Day, Month, OffsetDateTime, Time};

/// What a date looks like; whether its month has that many days, the parser says.
pub(crate) const DATE_PATTERN: &str = "^[1-9][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$";

/// A day of the calendar, from midnight UTC.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Date(Day);

/// A text that is no day of the calendar.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` is no day of the calendar such as `2026-03-31`")]
pub struct DateError(String);

impl Date {
    /// Returns the day that a time lies in.
    pub fn of_unix_seconds(seconds: i64) -> Option<Self> {
        let time = OffsetDateTime::from_unix_timestamp(seconds).ok()?;
        Some(Self(time.date()))
    }

    /// Returns the seconds from the epoch to its midnight.
    pub fn unix_seconds(self) -> i64 {
        self.at_midnight().unix_timestamp()
    }

    /// Returns its midnight as an HTTP date (RFC 9110 §5.6.7).
    pub fn http_date(self) -> String {
        let (day, month) = (self.0.weekday().to_string(), self.0.month().to_string());
        format!(
            "{}, {:02} {} {} 00:00:00 GMT",
            &day[..3],
            self.0.day(),
            &month[..3],
            self.0.year()
        )
    }

    fn at_midnight(self) -> OffsetDateTime {
        self.0.with_time(Time::MIDNIGHT).assume_utc()
    }
}

impl FromStr for Date {
    type Err = DateError;

    fn from_str(text: &str) -> Result<Self, DateError> {
        static PATTERN: crate::format::Pattern = crate::format::Pattern::new(DATE_PATTERN);
        let parse = || {
            let mut parts = text.split('-').map(str::parse::<u16>);
            let mut part = || parts.next()?.ok();
            let (year, month, day) = (part()?, part()?, part()?);
            let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
            Day::from_calendar_date(i32::from(year), month, u8::try_from(day).ok()?).ok()
        };
        let date = PATTERN.is_match(text).then(parse).flatten();
        date.map(Self).ok_or_else(|| DateError(text.to_owned()))
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.0.to_calendar_date();
        write!(f, "{year:04}-{:02}-{day:02}", u8::from(month))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_a_day_of_the_calendar() {
        let check = |text: &str, expected: Option<(i64, &str)>| {
            let date = text.parse::<Date>().ok();
            let found = date.map(|date| (date.unix_seconds(), date.http_date()));
            let expected = expected.map(|(seconds, text)| (seconds, text.to_owned()));
            assert_eq!(found, expected, "{text}");
            if let Some(date) = date {
                assert_eq!(date.to_string(), text);
                assert_eq!(
                    Date::of_unix_seconds(date.unix_seconds() + 86_399),
                    Some(date)
                );
            }
        };
        check(
            "2026-03-31",
            Some((1_774_915_200, "Tue, 31 Mar 2026 00:00:00 GMT")),
        );
        check(
            "2024-02-29",
            Some((1_709_164_800, "Thu, 29 Feb 2024 00:00:00 GMT")),
        );
        for bad in [
            "2026-02-29",
            "2026-13-01",
            "26-01-01",
            "2026-1-1",
            "2026-01-32",
            "today",
            "",
        ] {
            check(bad, None);
        }
    }
}
