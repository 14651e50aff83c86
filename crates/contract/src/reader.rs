//! Readers as data: what a `ConsumerContract` says of one reader of an event. Whom a change breaks is
//! told by `diff`; how far a reader is, its consumer group's offsets on the log say.

use std::fmt;
use std::str::FromStr;

use crate::explain::Explained;
use crate::expression::Expression;
use crate::load::Document;
use crate::model::{Allowance, UnknownWord, Version, words};
use crate::path::Path;
use crate::units::Duration;

/// What one reader of an event type relies on.
#[derive(Debug)]
pub struct Reader {
    /// Unique in its set.
    pub name: String,
    /// The `Team` that answers for it.
    pub owner: String,
    /// The business area.
    pub domain: Option<String>,
    /// What it does with the events, for people.
    pub summary: Option<String>,
    /// The name of the contract whose events it reads.
    pub contract: String,
    /// The versions of the contract that it can read.
    pub accepts: VersionRange,
    /// How the events reach it.
    pub via: Via,
    /// The fields it uses; empty means any.
    pub reads: Vec<Path>,
    /// What must hold of every event it reads.
    pub requires: Vec<Requirement>,
    /// What it does with an event it meets twice.
    pub duplicates: Option<Duplicates>,
    /// Where it puts what it cannot process.
    pub dead_letter: Option<DeadLetter>,
    /// How much weighs what breaks it.
    pub priority: Priority,
    /// How old its oldest unread event may be.
    pub max_lag: Option<Duration>,
    /// The longest outage it must survive.
    pub outage: Option<Duration>,
    /// How long reading all history again may take.
    pub rebuild: Option<Duration>,
    /// Whether it gets a new version first.
    pub canary: bool,
    /// The lint findings about it that are meant to be.
    pub allows: Vec<Allowance>,
    pub(crate) explained: Vec<Explained>,
    pub(crate) document: Document,
}

/// How events reach a reader.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Via {
    /// A consumer group of any Kafka client.
    Kafka {
        /// Its id.
        group: String,
    },
    /// A sink connector of Kafka Connect.
    Connect {
        /// Its name.
        connector: String,
    },
}

impl Via {
    /// Returns the key of it, as contract files have it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Kafka { .. } => "kafka",
            Self::Connect { .. } => "connect",
        }
    }

    /// Returns the consumer group whose committed offsets say how far the reader is.
    pub fn group(&self) -> String {
        match self {
            Self::Kafka { group } => group.clone(),
            // As Kafka Connect names the groups of its sinks.
            Self::Connect { connector } => format!("connect-{connector}"),
        }
    }
}

words! {
    /// How much weighs what breaks a reader.
    Priority {
        /// Its failure is the company's.
        Critical = "critical",
        /// Its failure makes reports late.
        Analytical = "analytical",
        /// Reads to mend something.
        Repair = "repair",
        /// May break.
        Experimental = "experimental",
    }
}

/// A rule that must hold of every event a reader reads.
#[derive(Debug)]
pub struct Requirement {
    /// What findings call it.
    pub name: String,
    /// True of events that the reader can read.
    pub expression: Expression,
}

/// What a reader does with an event it meets twice.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Duplicates {
    /// What happens.
    pub handling: Handling,
    /// The field by which it knows a repeat.
    pub by: Option<Path>,
}

words! {
    /// What a reader does with an event it meets twice.
    Handling {
        /// Doing it twice is doing it once.
        Idempotent = "idempotent",
        /// Twice does harm that somebody accepted.
        Tolerated = "tolerated",
        /// Nothing.
        None = "none",
    }
}

/// Where a reader puts what it cannot process.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeadLetter {
    /// The topic.
    pub topic: String,
    /// The `Team` that looks after them.
    pub owner: String,
    /// How long they are kept.
    pub retention: Duration,
}

/// A range of versions, `>=2.1 <3`: all of its parts must hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VersionRange {
    text: String,
    requirement: semver::VersionReq,
}

impl VersionRange {
    /// Says whether a version lies in it.
    pub fn contains(&self, version: Version) -> bool {
        let part = u64::from;
        let Version {
            major,
            minor,
            patch,
        } = version;
        let version = semver::Version::new(part(major), part(minor), part(patch));
        self.requirement.matches(&version)
    }

    /// Says whether it leaves out a version that `earlier` had. Looks at versions at and around the
    /// numbers that the two name, where ranges begin and end.
    pub fn narrows(&self, earlier: &Self) -> bool {
        let around = |number: u64| [number.saturating_sub(1), number, number + 1];
        let both = [&self.requirement, &earlier.requirement];
        let named = both.into_iter().flat_map(|range| &range.comparators);
        let mut edges = named.flat_map(|part| {
            let (minor, patch) = (part.minor.unwrap_or(0), part.patch.unwrap_or(0));
            around(part.major).into_iter().flat_map(move |major| {
                let minors = [0].into_iter().chain(around(minor));
                minors.flat_map(move |minor| {
                    let patches = [0].into_iter().chain(around(patch));
                    patches.map(move |patch| semver::Version::new(major, minor, patch))
                })
            })
        });
        edges.any(|version| {
            earlier.requirement.matches(&version) && !self.requirement.matches(&version)
        })
    }
}

impl FromStr for VersionRange {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        // A number alone means itself here, as in the format's examples; the library reads `^`.
        let parts = text.split(' ').map(|part| match part.as_bytes().first() {
            Some(b'0'..=b'9') => format!("={part}"),
            _ => part.to_owned(),
        });
        let joined = parts.collect::<Vec<_>>().join(",");
        let requirement = semver::VersionReq::parse(&joined).map_err(|_| UnknownWord::new(text))?;
        Ok(Self {
            text: text.to_owned(),
            requirement,
        })
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Reader {
    /// Returns every key of the format with the value in force, in the format's order.
    pub fn explain(&self) -> &[Explained] {
        &self.explained
    }

    /// Returns the file that the reader stands in, as the loader was given it.
    pub fn file(&self) -> &str {
        &self.document.file
    }

    /// Returns how far back it may have to read: its outage, its lag and the time to start over.
    pub fn needs_ms(&self) -> u64 {
        let parts = [self.outage, self.max_lag, self.rebuild];
        parts.into_iter().flatten().map(Duration::as_ms).sum()
    }

    /// Says whether it uses the field at `path`, something inside it, or all around it.
    pub fn uses(&self, path: &Path) -> bool {
        self.reads.is_empty() || self.reads.iter().any(|read| read.meets(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_when_all_of_its_parts_do() {
        let check = |range: &str, version: &str, expected: bool| {
            let range: VersionRange = range.parse().unwrap();
            assert_eq!(
                range.contains(version.parse().unwrap()),
                expected,
                "{range} {version}"
            );
        };
        check(">=2.1 <3", "2.1.0", true);
        check(">=2.1 <3", "2.0.9", false);
        check(">=2.1 <3", "3.0.0", false);
        check("2", "2.9.1", true);
        check("2", "3.0.0", false);
        check("=2.1.0", "2.1.1", false);
        check("^1.2", "1.9.0", true);
        check("~1.2", "1.3.0", false);
        check(">1", "2.0.0", true);
        assert!("two".parse::<VersionRange>().is_err());
    }

    #[test]
    fn a_range_that_leaves_out_a_version_narrows() {
        let check = |earlier: &str, later: &str, expected: bool| {
            let range = |text: &str| text.parse::<VersionRange>().unwrap();
            assert_eq!(range(later).narrows(&range(earlier)), expected, "{later}");
        };
        check(">=2.1 <3", ">=2.1 <4", false);
        check(">=2.1 <3", ">=2.0.0 <3", false);
        check(">=2.1 <3", ">=2.2 <3", true);
        check(">=2.1 <3", ">=2.1 <2.9", true);
        check("2", "2.1", true);
        check("2", ">=2 <3", false);
        check(">=1", "1", true);
        check("^1.2", "~1.2", true);
    }
}
