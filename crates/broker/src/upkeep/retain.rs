//! Which records are past their retention: whole extents from the oldest on, never part of one.

use crate::state::extents::Extent;
use crate::topic_settings::TopicSettings;

/// Returns the new log start of a partition, if its retention moves it.
///
/// An extent goes when its newest record is older than `retention.ms`, or when the extents after it
/// alone hold `retention.bytes`. An extent that stays keeps all after it.
pub fn log_start(extents: &[Extent], settings: &TopicSettings, now_ms: i64) -> Option<i64> {
    let mut after: u64 = extents.iter().map(|extent| extent.section.bytes).sum();
    let mut start = None;
    for extent in extents {
        after -= extent.section.bytes;
        let age_ms = now_ms.saturating_sub(extent.section.max_timestamp);
        let old = settings.retention_ms >= 0 && age_ms > settings.retention_ms;
        let much = u64::try_from(settings.retention_bytes).is_ok_and(|kept| after >= kept);
        if !(old || much) {
            break;
        }
        start = Some(extent.section.last_offset + 1);
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::l0::ObjectExtent;
    use crate::state::extents::ObjectName;

    /// Each extent has ten records: (its bytes, its newest timestamp).
    fn check(
        retention_ms: i64,
        retention_bytes: i64,
        extents: &[(u64, i64)],
        expected: Option<i64>,
    ) {
        let extents: Vec<Extent> = (0..)
            .zip(extents)
            .map(|(at, (bytes, max_timestamp))| Extent {
                object: ObjectName::Log(1),
                section: ObjectExtent {
                    topic: 1,
                    partition: 0,
                    first_offset: at * 10,
                    last_offset: at * 10 + 9,
                    bytes: *bytes,
                    max_timestamp: *max_timestamp,
                    data_position: 0,
                    index_position: 0,
                    batches: 1,
                    first_lsn: 1,
                },
            })
            .collect();
        let settings = TopicSettings {
            retention_ms,
            retention_bytes,
            ..TopicSettings::default()
        };
        assert_eq!(
            log_start(&extents, &settings, 1_000),
            expected,
            "{extents:?}"
        );
    }

    #[test]
    fn whole_extents_go_by_age_and_by_size() {
        check(-1, -1, &[(5, 0), (5, 0)], None);
        check(100, -1, &[], None);
        check(100, -1, &[(5, 899), (5, 900)], Some(10));
        check(100, -1, &[(5, 900), (5, 0)], None);
        check(100, -1, &[(5, 0), (5, 0)], Some(20));
        check(-1, 10, &[(5, 0), (5, 0), (5, 0)], Some(10));
        check(-1, 11, &[(5, 0), (5, 0), (5, 0)], None);
        check(-1, 0, &[(5, 0), (5, 0)], Some(20));
        check(100, 10, &[(5, 0), (5, 0), (5, 950), (5, 950)], Some(20));
    }
}
