//! Folds stored records, from objects and from the write-ahead log, into a state.

use crate::batch::BatchHeader;
use crate::object::l0::{self, ReplayRecord};
use crate::read::partition::RecentBatch;
use crate::state::claims::{self, Claims};
use crate::state::command::{Command, CommandError};
use crate::state::extents::{ExtentGap, Extents, ObjectName};
use crate::state::{ApplyError, Entry, State};
use crate::wal::{self, GroupPlace, RecordKind};

/// Why a record does not fit the ones before it.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("record {lsn}: {source}")]
    Command { lsn: u64, source: CommandError },
    #[error("record {lsn} has damaged claims")]
    Claims { lsn: u64 },
    #[error(transparent)]
    Extent(#[from] ExtentGap),
    #[error("records {first}..={last} follow record {after}")]
    Gap { after: u64, first: u64, last: u64 },
}

/// The state while it is folded.
#[derive(Default)]
pub(super) struct Fold {
    pub(super) state: State,
    pub(super) claims: Claims,
    pub(super) extents: Extents,
    pub(super) now_ms: i64,
}

impl Fold {
    pub(super) fn object(&mut self, seq: u64, tail: &l0::L0Tail) -> Result<(), ReplayError> {
        let after = self.state.last_lsn;
        let (first, last) = (tail.head.first_lsn, tail.head.last_lsn);
        if first != after + 1 {
            return Err(ReplayError::Gap { after, first, last });
        }
        for (lsn, record) in &tail.replay {
            match record {
                ReplayRecord::Data {
                    topic,
                    partition,
                    header,
                    claims,
                } => {
                    self.data(*lsn, *topic, *partition, header, claims)?;
                }
                ReplayRecord::Meta(body) => self.command(*lsn, body)?,
            }
        }
        if self.state.last_lsn != last {
            return Err(ReplayError::Gap {
                after: self.state.last_lsn,
                first: last,
                last,
            });
        }
        let now_ms = self.now_ms;
        let exists = |topic| self.state.topic(topic).is_some();
        self.extents
            .add(ObjectName::Log(seq), &tail.extents, exists, now_ms)?;
        for topic in self.state.topics() {
            for (index, lane) in (0..).zip(&topic.partitions) {
                self.extents
                    .move_log_start(topic.number, index, lane.log_start, now_ms);
            }
        }
        Ok(())
    }

    pub(super) fn record(
        &mut self,
        record: &wal::RawRecord<'_>,
        place: &GroupPlace,
        recent: &mut Vec<(u32, u32, RecentBatch)>,
    ) -> Result<(), ReplayError> {
        match record.kind {
            RecordKind::Meta => self.command(record.lsn, record.body),
            RecordKind::Data => {
                let header =
                    BatchHeader::parse(record.body).expect("the group's sums were checked");
                self.data(
                    record.lsn,
                    record.topic,
                    record.partition,
                    &header,
                    record.ext,
                )?;
                recent.push((
                    record.topic,
                    record.partition,
                    RecentBatch {
                        base_offset: header.base_offset,
                        last_offset: header.last_offset(),
                        max_timestamp: header.max_timestamp,
                        group_no: place.group_no,
                        position: record.body_position,
                        len: u32::try_from(record.body.len()).expect("smaller than a group"),
                    },
                ));
                Ok(())
            }
        }
    }

    fn data(
        &mut self,
        lsn: u64,
        topic: u32,
        partition: u32,
        header: &BatchHeader,
        claims: &[u8],
    ) -> Result<(), ReplayError> {
        self.state.apply(
            lsn,
            &Entry::Data {
                topic,
                partition,
                header,
            },
        )?;
        for claim in claims::decode_in_record(claims).ok_or(ReplayError::Claims { lsn })? {
            self.claims.insert(
                claim.key,
                claims::Entry {
                    fingerprint: claim.fingerprint,
                    topic,
                    partition,
                    offset: header.base_offset + i64::from(claim.record_index),
                    timestamp_ms: header.max_timestamp,
                    window_s: claim.window_s,
                },
            );
        }
        Ok(())
    }

    fn command(&mut self, lsn: u64, body: &[u8]) -> Result<(), ReplayError> {
        let command =
            Command::decode(body).map_err(|source| ReplayError::Command { lsn, source })?;
        self.state.apply(lsn, &Entry::Meta(&command))?;
        let now_ms = self.now_ms;
        match &command {
            Command::TopicDeleted(deleted) => self.extents.drop_topic(deleted.number, now_ms),
            Command::LogStartMoved(moved) => {
                for (topic, partition, log_start) in &moved.moves {
                    self.extents
                        .move_log_start(*topic, *partition, *log_start, now_ms);
                }
            }
            _ => {}
        }
        Ok(())
    }
}
