//! The partitions carry the declared peak.

use super::super::{Findings, Rule};
use crate::load::Level;
use crate::model::{Contracts, Ordering};

pub(in super::super) static RULE: Rule = Rule {
    name: "capacity-for-peak",
    level: Level::Warning,
    why: "a group reads a partition with one reader at a time: at 1 ms an event that is 1,000 events a second, and more than 10 MiB/s fills the buffers of a client",
    bad: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
  topic: {partitions: 3, peak: {events: 8000/s}}
"##,
    good: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
  topic: {partitions: 8, peak: {events: 8000/s}}
"##,
    schemas: &[],
    check,
};

/// What one reader does with one partition when an event costs it a millisecond, a write to a database.
pub(crate) const EVENTS_A_PARTITION: u64 = 1_000;
/// Ten fetches a second of the 1 MiB that Kafka's clients take of a partition at a time
/// (`max.partition.fetch.bytes`).
const BYTES_A_PARTITION: u64 = 10 << 20;

fn check(contracts: &Contracts, findings: &mut Findings) {
    for contract in contracts {
        let (peak, partitions) = (contract.topic.peak, u64::from(contract.topic.partitions));
        let events = peak.events.map(|rate| {
            let needed = rate.per_second().div_ceil(EVENTS_A_PARTITION);
            let sum = format!("a reader that spends 1 ms an event does 1000/s of a partition: `{rate}` take {needed}");
            (needed, "spec.topic.peak.events", sum)
        });
        let bytes = peak.bytes.map(|rate| {
            let needed = rate.per_second().div_ceil(BYTES_A_PARTITION);
            let sum =
                format!("a reader takes about 10MiB/s of a partition: `{rate}` take {needed}");
            (needed, "spec.topic.peak.bytes", sum)
        });
        let most = events
            .into_iter()
            .chain(bytes)
            .max_by_key(|(needed, ..)| *needed);
        let Some((_, key, sum)) = most.filter(|(needed, ..)| *needed > partitions) else {
            continue;
        };
        let message = format!(
            "topic `{}` has {partitions} partitions for its peak; {sum}",
            contract.topic.name
        );
        let hint = match contract.key.ordering {
            Ordering::PerKey => {
                "raise `topic.partitions` now: later it sends keys to other partitions, and their order breaks"
            }
            Ordering::PerPartition | Ordering::None => {
                "raise `topic.partitions`, or allow it if the readers are faster than that"
            }
        };
        findings.add(contract.as_ref(), key, message, hint);
    }
}
