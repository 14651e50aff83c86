//! The commands of the state machine, as the log stores them (META records).
//!
//! Stored format, stable: one kind byte, then the fields in postcard. A kind, once given, never
//! means anything else; an unknown one refuses to start, because skipping it would fork the state.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tidegate_event_log::TopicConfig;

/// A command, applied in log order.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// The first record of a cluster.
    ClusterCreated(ClusterCreated),
    /// A process opened the log. Leader epochs of all partitions follow it.
    EpochStarted(EpochStarted),
    TopicCreated(TopicCreated),
    TopicDeleted(TopicDeleted),
    LogStartMoved(LogStartMoved),
    ProducerIdGiven(ProducerIdGiven),
    ProducersExpired(ProducersExpired),
    OffsetsCommitted(OffsetsCommitted),
    TimePassed(TimePassed),
    GroupsSeen(GroupsSeen),
    OffsetsExpired(OffsetsExpired),
    TopicAltered(TopicAltered),
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ClusterCreated {
    pub cluster_id: [u8; 16],
    /// Keys the hash of claims, so that nobody outside can build colliding ones.
    pub claim_secret: [u8; 16],
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct EpochStarted {
    pub epoch: u32,
    pub log_time_ms: i64,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct TopicCreated {
    pub number: u32,
    pub id: [u8; 16],
    pub name: String,
    pub partitions: u32,
    pub config: TopicConfig,
    pub internal: bool,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct TopicDeleted {
    pub number: u32,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct LogStartMoved {
    /// Topic number, partition, new log start offset.
    pub moves: Vec<(u32, u32, i64)>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ProducerIdGiven {
    pub producer_id: i64,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ProducersExpired {
    /// Producers whose last batch is older than this record are forgotten.
    pub before_lsn: u64,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct OffsetsCommitted {
    pub group: String,
    pub generation: i32,
    pub commit_ms: i64,
    pub entries: Vec<OffsetEntry>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct OffsetEntry {
    pub topic: u32,
    pub partition: u32,
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: String,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct TimePassed {
    pub log_time_ms: i64,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct GroupsSeen {
    /// Log time then.
    pub at_ms: i64,
    /// Groups that have members again.
    pub occupied: Vec<String>,
    /// Groups that have none any more.
    pub empty: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct OffsetsExpired {
    /// Groups, and the topics and partitions of which they forget their offsets. A group without any
    /// offset left is forgotten itself.
    pub groups: Vec<(String, Vec<(u32, u32)>)>,
}

/// A topic as it is from now on.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct TopicAltered {
    pub number: u32,
    /// All of them, never fewer than before.
    pub partitions: u32,
    /// All settings, not only the changed ones.
    pub config: TopicConfig,
}

/// A META record that this version cannot read.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum CommandError {
    #[error("a command of unknown kind {0}: the log was written by a newer version")]
    UnknownKind(u8),
    #[error("a damaged command of kind {0}")]
    Damaged(u8),
    #[error("an empty command")]
    Empty,
}

impl Command {
    /// Encodes the command as a META record's body.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::ClusterCreated(fields) => body(1, fields),
            Self::EpochStarted(fields) => body(2, fields),
            Self::TopicCreated(fields) => body(3, fields),
            Self::TopicDeleted(fields) => body(4, fields),
            Self::LogStartMoved(fields) => body(5, fields),
            Self::ProducerIdGiven(fields) => body(6, fields),
            Self::ProducersExpired(fields) => body(7, fields),
            Self::OffsetsCommitted(fields) => body(8, fields),
            Self::TimePassed(fields) => body(9, fields),
            Self::GroupsSeen(fields) => body(10, fields),
            Self::OffsetsExpired(fields) => body(11, fields),
            Self::TopicAltered(fields) => body(12, fields),
        }
    }

    /// Decodes a META record's body.
    ///
    /// # Errors
    /// An unknown kind, or fields that do not fit it.
    pub fn decode(bytes: &[u8]) -> Result<Self, CommandError> {
        let (&kind, rest) = bytes.split_first().ok_or(CommandError::Empty)?;
        Ok(match kind {
            1 => Self::ClusterCreated(fields(kind, rest)?),
            2 => Self::EpochStarted(fields(kind, rest)?),
            3 => Self::TopicCreated(fields(kind, rest)?),
            4 => Self::TopicDeleted(fields(kind, rest)?),
            5 => Self::LogStartMoved(fields(kind, rest)?),
            6 => Self::ProducerIdGiven(fields(kind, rest)?),
            7 => Self::ProducersExpired(fields(kind, rest)?),
            8 => Self::OffsetsCommitted(fields(kind, rest)?),
            9 => Self::TimePassed(fields(kind, rest)?),
            10 => Self::GroupsSeen(fields(kind, rest)?),
            11 => Self::OffsetsExpired(fields(kind, rest)?),
            12 => Self::TopicAltered(fields(kind, rest)?),
            unknown => return Err(CommandError::UnknownKind(unknown)),
        })
    }
}

fn body(kind: u8, fields: &impl Serialize) -> Vec<u8> {
    postcard::to_extend(fields, vec![kind]).expect("plain data always encodes into a Vec")
}

fn fields<T: DeserializeOwned>(kind: u8, bytes: &[u8]) -> Result<T, CommandError> {
    match postcard::take_from_bytes(bytes) {
        Ok((fields, [])) => Ok(fields),
        _ => Err(CommandError::Damaged(kind)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(command: Command, stored: &[u8]) {
        assert_eq!(
            command.encode(),
            stored,
            "the stored form of {command:?} is stable"
        );
        assert_eq!(Command::decode(stored), Ok(command));
    }

    #[test]
    fn stored_forms_are_stable() {
        check(
            Command::EpochStarted(EpochStarted {
                epoch: 300,
                log_time_ms: 5,
            }),
            &[2, 172, 2, 10],
        );
        check(Command::TopicDeleted(TopicDeleted { number: 7 }), &[4, 7]);
        check(
            Command::LogStartMoved(LogStartMoved {
                moves: vec![(1, 2, 3)],
            }),
            &[5, 1, 1, 2, 6],
        );
        check(
            Command::ProducerIdGiven(ProducerIdGiven { producer_id: 1 }),
            &[6, 2],
        );
        check(
            Command::ProducersExpired(ProducersExpired { before_lsn: 9 }),
            &[7, 9],
        );
        check(Command::TimePassed(TimePassed { log_time_ms: 5 }), &[9, 10]);
        check(
            Command::GroupsSeen(GroupsSeen {
                at_ms: 5,
                occupied: vec!["a".into()],
                empty: vec!["b".into()],
            }),
            &[10, 10, 1, 1, b'a', 1, 1, b'b'],
        );
        check(
            Command::OffsetsExpired(OffsetsExpired {
                groups: vec![("a".into(), vec![(1, 2)])],
            }),
            &[11, 1, 1, b'a', 1, 1, 2],
        );
        check(
            Command::TopicAltered(TopicAltered {
                number: 7,
                partitions: 300,
                config: [("a".into(), "b".into())].into(),
            }),
            &[12, 7, 172, 2, 1, 1, b'a', 1, b'b'],
        );
        check(
            Command::OffsetsCommitted(OffsetsCommitted {
                group: "g".into(),
                generation: 1,
                commit_ms: 2,
                entries: vec![OffsetEntry {
                    topic: 1,
                    partition: 0,
                    offset: 4,
                    leader_epoch: -1,
                    metadata: "m".into(),
                }],
            }),
            &[8, 1, b'g', 2, 4, 1, 1, 0, 8, 1, 1, b'm'],
        );
    }

    #[test]
    fn unknown_kinds_and_damage_are_refused() {
        assert_eq!(Command::decode(&[]), Err(CommandError::Empty));
        assert_eq!(
            Command::decode(&[200, 1]),
            Err(CommandError::UnknownKind(200))
        );
        assert_eq!(Command::decode(&[4]), Err(CommandError::Damaged(4)));
        assert_eq!(
            Command::decode(&[4, 7, 7]),
            Err(CommandError::Damaged(4)),
            "bytes left over"
        );
    }
}
