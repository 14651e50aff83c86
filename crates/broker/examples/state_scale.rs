//! How long a checkpoint stops the sequencer: the state of 10,000 partitions, 500,000 idempotent
//! producers and 100,000 committed offsets, and a table of a million claims.
//!
//! `cargo run -p tidegate-broker --example state_scale`
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a measurement by hand"
)]

use std::time::{Duration, Instant};

use tidegate_broker::batch::{BatchHeader, OpenBatch};
use tidegate_broker::state::claims::{ClaimKey, Claims, Entry as Claim};
use tidegate_broker::state::command::{Command, OffsetEntry, OffsetsCommitted, TopicCreated};
use tidegate_broker::state::{Entry, State};

const TOPICS: u32 = 100;
const PARTITIONS: u32 = 100;
const PRODUCERS: i64 = 500_000;
const GROUPS: u32 = 1_000;
const CLAIMS: u64 = 1_000_000;

fn apply(state: &mut State, entry: &Entry<'_>) {
    state.apply(state.last_lsn + 1, entry).unwrap();
}

fn batch(state: &State, producer_id: i64) -> (u32, u32, BatchHeader) {
    let at = u32::try_from(producer_id).unwrap() % (TOPICS * PARTITIONS);
    let (topic, partition) = (1 + at / PARTITIONS, at % PARTITIONS);
    let mut open = OpenBatch::new(0, 0);
    open.push(&[1, 1, 0], 0);
    let mut header = BatchHeader::parse(open.close(1)).unwrap();
    header.base_offset = state.partition(topic, partition).unwrap().next_offset;
    header.producer_id = producer_id;
    header.producer_epoch = 0;
    header.base_sequence = 0;
    (topic, partition, header)
}

fn produce(state: &mut State, producer_id: i64) {
    let (topic, partition, header) = batch(state, producer_id);
    let header = &header;
    apply(
        state,
        &Entry::Data {
            topic,
            partition,
            header,
        },
    );
}

fn main() {
    let mut state = State::default();
    for number in 1..=TOPICS {
        let created = TopicCreated {
            number,
            id: [1; 16],
            name: format!("topic-{number}"),
            partitions: PARTITIONS,
            config: Default::default(),
            internal: false,
        };
        apply(&mut state, &Entry::Meta(&Command::TopicCreated(created)));
    }
    for id in 0..PRODUCERS {
        produce(&mut state, id);
    }
    for group in 0..GROUPS {
        let entry = |partition| OffsetEntry {
            topic: 1 + group % TOPICS,
            partition,
            offset: 1,
            leader_epoch: 1,
            metadata: String::new(),
        };
        let committed = OffsetsCommitted {
            group: format!("group-{group}"),
            generation: 1,
            commit_ms: 0,
            entries: (0..PARTITIONS).map(entry).collect(),
        };
        apply(
            &mut state,
            &Entry::Meta(&Command::OffsetsCommitted(committed)),
        );
    }
    let begun = Instant::now();
    let snapshot = state.snapshot();
    println!("snapshot: {:?}", begun.elapsed());
    let (mut longest, begun) = (Duration::ZERO, Instant::now());
    for id in 0..PRODUCERS / 10 {
        let one = Instant::now();
        produce(&mut state, id * 7 + 1_000_000);
        longest = longest.max(one.elapsed());
    }
    println!(
        "{} batches beside it: {:?}, the longest {longest:?}",
        PRODUCERS / 10,
        begun.elapsed()
    );
    let begun = Instant::now();
    drop(snapshot.image());
    println!("its image, elsewhere: {:?}", begun.elapsed());
    drop(snapshot);

    let mut claims = Claims::default();
    for number in 0..CLAIMS {
        let claim = Claim {
            fingerprint: [0; 16],
            topic: 1,
            partition: 0,
            offset: 1,
            timestamp_ms: 0,
            window_s: 60,
        };
        claims.insert(ClaimKey::of(&[1; 16], &number.to_le_bytes()), claim);
    }
    let begun = Instant::now();
    let frozen = claims.freeze();
    println!("freezing a million claims: {:?}", begun.elapsed());
    drop(claims);
    let begun = Instant::now();
    drop(frozen);
    println!("dropping them: {:?}", begun.elapsed());
}
