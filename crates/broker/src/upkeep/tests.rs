use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::env::Random;
use crate::object::checkpoint::Checkpoint;
use crate::object::create::create;
use crate::object::l0::{self, L0Body, L0Kind, L0Record};
use crate::object::tests::{in_memory, run};
use crate::object::{Body, Folder, Key, Listed, manifest};

const DAY_MS: i64 = 86_400_000;
const DELAY_MS: i64 = 900_000;

struct Zeros;

impl Random for Zeros {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

/// Everything of history that a broker has: what is stored, and what it knows of it.
struct World {
    objects: Objects,
    extents: Extents,
    manifest: Manifest,
    /// The extents of the kept checkpoints, newest first.
    kept: Vec<Extents>,
    upkeep: Upkeep,
    runs: Arc<Runs>,
    /// All batches ever stored, by partition and first offset.
    batches: BTreeMap<(u32, u32, i64), Bytes>,
    next_offset: BTreeMap<(u32, u32), i64>,
    next_seq: u64,
    next_lsn: u64,
    made: u64,
    wall_ms: i64,
}

impl World {
    fn new() -> Self {
        Self {
            objects: in_memory(),
            extents: Extents::default(),
            manifest: Manifest::first([1; 16], [0; 16]),
            kept: Vec::new(),
            upkeep: Upkeep::new(DELAY_MS, 1024 * 1024),
            runs: Arc::default(),
            batches: BTreeMap::new(),
            next_offset: BTreeMap::new(),
            next_seq: 1,
            next_lsn: 1,
            made: 0,
            wall_ms: 10 * DAY_MS,
        }
    }

    /// Stores an object with a batch of `kib` KiB for each partition named.
    async fn ship(&mut self, batches: &[(u32, u32, usize)]) {
        let first_lsn = self.next_lsn;
        let mut records = Vec::new();
        for (topic, partition, kib) in batches {
            let offset = self.next_offset.entry((*topic, *partition)).or_default();
            let fill = u8::try_from(self.next_lsn % 256).unwrap();
            let payload = vec![fill; kib * 1024];
            let record = l0::tests::data(
                self.next_lsn,
                (*topic, *partition),
                *offset,
                2,
                &payload,
                b"",
            );
            let L0Body::Data { batch, .. } = &record.body else {
                unreachable!("data")
            };
            self.batches
                .insert((*topic, *partition, *offset), batch.clone());
            *offset += 2;
            records.push(record);
            self.next_lsn += 1;
        }
        records.push(L0Record {
            lsn: self.next_lsn,
            body: L0Body::Meta(Bytes::new()),
        });
        let head = l0::tests::head(L0Kind::Log, self.next_seq, first_lsn, self.next_lsn);
        self.next_lsn += 1;
        let object = l0::build(&head, records);
        create(&self.objects, object.key, &object.body)
            .await
            .unwrap();
        let name = ObjectName::Log(self.next_seq);
        self.extents
            .add(name, &object.extents, |_| true, self.wall_ms)
            .unwrap();
        self.next_seq += 1;
    }

    async fn checkpoint(&mut self) {
        self.upkeep.checkpoint_cut(&self.extents);
        let (lsn, seq) = (self.next_lsn - 1, self.next_seq);
        let runs = self.runs.refs().iter().map(|run| run.id).collect();
        let checkpoint = Checkpoint::encode(1, lsn, seq, runs, [0; 16], &self.extents);
        let place = checkpoint.store(&self.objects).await.unwrap();
        self.manifest = self.manifest.with_checkpoint(place, [0; 16]);
        manifest::publish(&self.objects, &self.manifest)
            .await
            .unwrap();
        self.kept.insert(0, self.extents.clone());
        self.kept.truncate(2);
        self.upkeep.checkpointed();
        self.next_lsn += 1;
    }

    /// Does all jobs there are and returns how many.
    async fn upkeep(&mut self) -> usize {
        let mut jobs = 0;
        loop {
            let elapsed_ms = u64::try_from(self.wall_ms).unwrap();
            let now = Now {
                wall_ms: self.wall_ms,
                elapsed_ms,
            };
            let job =
                self.upkeep
                    .next_job(&self.extents, &self.runs, 0..100, self.wall_ms, true, now);
            let Some(job) = job else { return jobs };
            jobs += 1;
            self.made += 1;
            let context = Context {
                objects: &self.objects,
                random: &Zeros,
                manifest: &self.manifest,
                fresh_id: self.made,
                wall_ms: self.wall_ms,
            };
            match super::run(context, job).await.unwrap() {
                Done::Collected { objects } => {
                    objects
                        .into_iter()
                        .for_each(|object| self.extents.forget(object));
                }
                Done::Rewritten { old, new, sections } => {
                    assert!(self.extents.replace(old, new, &sections, self.wall_ms));
                }
                Done::ClaimsMerged { gone, merged } => {
                    self.runs = Arc::new(self.runs.replaced(&gone, merged));
                }
            }
        }
    }

    async fn stored(&self, folder: Folder) -> Vec<Key> {
        self.objects
            .list(folder)
            .await
            .unwrap()
            .into_iter()
            .map(|listed| listed.key)
            .collect()
    }

    /// Every batch that `extents` names is there, byte for byte.
    async fn check_readable(&self, extents: &Extents) {
        for ((topic, partition), extents) in extents.partitions() {
            for extent in extents.iter() {
                let key = Key::from(extent.object);
                let index = l0::read_batch_index(&self.objects, key, &extent.section)
                    .await
                    .unwrap();
                let batches = l0::read_batches(&self.objects, key, &index).await.unwrap();
                for (entry, batch) in index.iter().zip(batches) {
                    let place = (*topic, *partition, entry.base_offset());
                    assert_eq!(self.batches[&place], batch, "{place:?} in {key}");
                }
            }
        }
    }

    /// What recovery from either kept checkpoint would read.
    async fn check_recoverable(&self) {
        for kept in &self.kept {
            self.check_readable(kept).await;
        }
        if !self.kept.is_empty() {
            for sequence in self.manifest.first_needed_sequence()..self.next_seq {
                l0::read_tail(&self.objects, Key::Log(sequence))
                    .await
                    .unwrap();
            }
        }
    }
}

#[test]
fn an_object_mostly_dead_is_rewritten_and_the_old_one_goes_when_no_checkpoint_names_it() {
    run(async {
        let mut world = World::new();
        world
            .ship(&[(1, 0, 2048), (2, 0, 600), (2, 0, 600), (3, 1, 100)])
            .await;
        world.checkpoint().await;
        world.checkpoint().await;
        assert_eq!(world.upkeep().await, 1, "a look for orphans, nothing else");
        world.extents.drop_topic(1, world.wall_ms);
        assert_eq!(world.upkeep().await, 1);
        assert_eq!(world.extents.of(2, 0)[0].object, ObjectName::Data(2));
        assert_eq!(world.extents.of(3, 1)[0].object, ObjectName::Data(2));
        world.check_readable(&world.extents).await;
        let old = Key::Log(1);
        for _ in 0..2 {
            world.wall_ms += 2 * DELAY_MS;
            world.upkeep().await;
            assert_eq!(
                world.stored(Folder::Log).await,
                [old],
                "a kept checkpoint names it"
            );
            world.check_recoverable().await;
            world.checkpoint().await;
        }
        world.upkeep().await;
        assert!(world.stored(Folder::Log).await.is_empty());
        assert_eq!(world.stored(Folder::Data).await, [Key::Data(2)]);
        world.check_recoverable().await;
    });
}

#[test]
fn a_retired_object_outlives_the_delay() {
    run(async {
        let mut world = World::new();
        world.ship(&[(1, 0, 1)]).await;
        world.extents.drop_topic(1, world.wall_ms);
        world.checkpoint().await;
        world.checkpoint().await;
        world.wall_ms += DELAY_MS - 1;
        world.upkeep().await;
        assert_eq!(world.stored(Folder::Log).await.len(), 1);
        world.wall_ms += 1;
        world.upkeep().await;
        assert!(world.stored(Folder::Log).await.is_empty());
        assert!(world.extents.objects().is_empty());
    });
}

#[test]
fn a_damaged_object_is_left_as_it_is() {
    run(async {
        let mut world = World::new();
        world.ship(&[(1, 0, 2048), (2, 0, 600)]).await;
        let size = world.objects.size(Key::Log(1)).await.unwrap();
        let mut bytes = world
            .objects
            .get(Key::Log(1), 0..size)
            .await
            .unwrap()
            .0
            .to_vec();
        let place = world.extents.of(2, 0)[0].section.data_position + 100;
        bytes[usize::try_from(place).unwrap()] ^= 1;
        world.objects.delete(Key::Log(1)).await.unwrap();
        create(
            &world.objects,
            Key::Log(1),
            &Body::new(vec![bytes.into()], 0..1),
        )
        .await
        .unwrap();
        world.extents.drop_topic(1, world.wall_ms);
        assert_eq!(world.upkeep().await, 2, "orphans and one try");
        assert_eq!(world.upkeep().await, 0, "it is not tried again at once");
        assert_eq!(world.extents.of(2, 0)[0].object, ObjectName::Log(1));
        assert!(world.stored(Folder::Data).await.is_empty());
    });
}

#[test]
fn orphans_are_what_nothing_names() {
    let place = |lsn, log_start_seq, runs| {
        let checkpoint = Checkpoint::encode(1, lsn, log_start_seq, runs, [0; 16], &());
        run(checkpoint.store(&in_memory())).unwrap()
    };
    let manifest = Manifest::first([1; 16], [0; 16])
        .with_checkpoint(place(10, 3, vec![1]), [0; 16])
        .with_checkpoint(place(20, 6, vec![2]), [0; 16]);
    let known = BTreeSet::from([ObjectName::Log(1), ObjectName::Data(7)]);
    let chunk = |lsn| Key::Checkpoint {
        epoch: 1,
        lsn,
        chunk: 0,
    };
    let check = |key: Key, age_ms: i64, expected: bool| {
        let listed = [Listed {
            key,
            bytes: 1,
            modified_ms: 10 * DAY_MS - age_ms,
        }];
        let found = collect::orphans(&listed, &known, &Runs::default(), &manifest, 10 * DAY_MS);
        assert_eq!(!found.is_empty(), expected, "{key} of age {age_ms}");
    };
    check(Key::Log(1), DAY_MS, false);
    check(Key::Log(2), DAY_MS, true);
    check(Key::Log(2), DAY_MS - 1, false);
    check(Key::Log(3), DAY_MS, false);
    check(Key::Data(7), DAY_MS, false);
    check(Key::Data(8), DAY_MS, true);
    check(Key::Data(8), 0, false);
    check(Key::Claims(1), 0, false);
    check(Key::Claims(2), 0, false);
    check(Key::Claims(3), 0, true);
    check(chunk(10), 0, false);
    check(chunk(20), 0, false);
    check(chunk(15), 0, true);
    check(Key::Manifest(1), 0, true);
    check(Key::Manifest(2), 0, false);
    check(Key::Manifest(3), 0, false);
    check(Key::Manifest(4), 0, false);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whatever dies and whenever checkpoints are cut, no live batch is lost, nor one that a kept
    /// checkpoint names; and in the end nothing is left but what is named.
    #[test]
    fn upkeep_never_loses_a_live_batch(
        steps in prop::collection::vec((0_u8..7, 1_u32..5, 0_u32..2, 1_usize..900), 1..40)
    ) {
        run(async {
            let mut world = World::new();
            for (action, topic, partition, kib) in steps {
                match action {
                    0 | 1 => {
                        let other = topic % 4 + 1;
                        world.ship(&[(topic, partition, kib), (other, 0, 900), (topic, 1, 3)]).await;
                    }
                    2 => {
                        let end = world.next_offset.get(&(topic, partition)).copied().unwrap_or(0);
                        let start = end * i64::try_from(kib).unwrap() / 900;
                        world.extents.move_log_start(topic, partition, start, world.wall_ms);
                    }
                    3 => world.extents.drop_topic(topic, world.wall_ms),
                    4 => world.checkpoint().await,
                    5 => world.wall_ms += DELAY_MS,
                    _ => { world.upkeep().await; }
                }
                world.check_readable(&world.extents).await;
                world.check_recoverable().await;
            }
            for _ in 0..3 {
                world.wall_ms += DAY_MS;
                world.upkeep().await;
                world.checkpoint().await;
            }
            world.wall_ms += DAY_MS;
            world.upkeep().await;
            world.check_recoverable().await;
            for (name, usage) in world.extents.objects() {
                assert!(usage.live_bytes > 0, "{name:?} holds nothing and is still there");
            }
            let stored = world.stored(Folder::Log).await.len() + world.stored(Folder::Data).await.len();
            assert_eq!(stored, world.extents.objects().len());
            assert_eq!(world.stored(Folder::Manifest).await.len(), 2);
            assert_eq!(world.stored(Folder::Checkpoint).await.len(), 2);
        });
    }
}
