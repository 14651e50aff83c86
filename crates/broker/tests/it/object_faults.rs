//! Objects over stores that fail: what was made is made once and is right, whatever happened on the
//! way; what is read is right or an error.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use tidegate_broker::batch::{self, BatchHeader, OpenBatch};
use tidegate_broker::env::real::RealNames;
use tidegate_broker::env::{Names, Sleeper};
use tidegate_broker::object::checkpoint::{self, Checkpoint, CheckpointRef};
use tidegate_broker::object::create::create;
use tidegate_broker::object::l0::{self, L0Body, L0Head, L0Kind, L0Object, L0Record};
use tidegate_broker::object::manifest::{self, Manifest};
use tidegate_broker::object::{Body, Folder, Key, ObjectError, Objects, Retry};
use tidegate_broker::state::claims::{ClaimKey, Claims, Entry, Run, Runs, merge};

use crate::support::store::{Fate, FaultyStore, Request};

struct Impatient;

#[async_trait::async_trait]
impl Sleeper for Impatient {
    async fn sleep(&self, _: Duration) {}
}

fn run<T>(work: impl Future<Output = T>) -> T {
    futures::executor::block_on(work)
}

fn plain(store: &Arc<dyn ObjectStore>) -> Objects {
    Objects::new(store.clone(), "objects", Arc::new(Impatient))
}

/// The store, every second request of which suffers one of `fates`, as `seed` decides.
fn faulty(store: &Arc<dyn ObjectStore>, seed: u64, fates: &'static [Fate]) -> Objects {
    let mut state = seed.wrapping_mul(2) + 1;
    let decide = move |_: Request| {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^= word >> 31;
        let at = usize::try_from((word >> 8) % fates.len() as u64).unwrap();
        if word & 1 == 0 { Fate::Good } else { fates[at] }
    };
    let store = FaultyStore::new(store.clone(), Arc::new(Impatient), decide);
    let retry = Retry {
        attempts: 3,
        ..Retry::default()
    };
    Objects::new(Arc::new(store), "objects", Arc::new(Impatient)).with_retry(retry)
}

/// Every fault that must not show in the outcome.
const HARMLESS: &[Fate] = &[
    Fate::FailsBefore,
    Fate::FailsAfter,
    Fate::Short,
    Fate::WrongRange,
    Fate::Slow(Duration::from_secs(30)),
];

/// Repeats what may pass, as the runner of history jobs does.
async fn persist<T>(mut attempt: impl AsyncFnMut() -> Result<T, ObjectError>) -> T {
    for _ in 0..1_000 {
        match attempt().await {
            Ok(done) => return done,
            Err(ObjectError::Unavailable { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    panic!("a thousand attempts failed");
}

fn object(number: u64) -> L0Object {
    let lsn = number * 2 - 1;
    let offset = i64::try_from(number).unwrap() - 1;
    let mut open = OpenBatch::new(offset, 1_000);
    open.push(
        &batch::encode_record(&tidegate_event_log::Record::default()),
        1_000,
    );
    let mut batch = open.close(1).to_vec();
    batch::seal_crc(&mut batch);
    let data = L0Body::Data {
        topic: 1,
        topic_id: [3; 16],
        partition: 0,
        flags: 0,
        header: BatchHeader::parse(&batch).unwrap(),
        batch: batch.into(),
        claims: Bytes::from_static(b"claims"),
    };
    let head = L0Head {
        kind: L0Kind::Log,
        cluster_id: [1; 16],
        put_id: [u8::try_from(number).unwrap(); 16],
        epoch: 1,
        number,
        first_lsn: lsn,
        last_lsn: lsn + 1,
        first_group: number,
        last_group: number,
    };
    let meta = L0Body::Meta(Bytes::from_static(b"command"));
    l0::build(
        &head,
        [
            L0Record { lsn, body: data },
            L0Record {
                lsn: lsn + 1,
                body: meta,
            },
        ],
    )
}

const OBJECTS: u64 = 4;
const IMAGE: &str = "the state";

fn entry(n: u64) -> Entry {
    let offset = i64::try_from(n).unwrap();
    Entry {
        fingerprint: [1; 16],
        topic: 1,
        partition: 0,
        offset,
        timestamp_ms: 0,
        window_s: 60,
    }
}

fn key(n: u64) -> ClaimKey {
    ClaimKey::of(&[5; 16], &n.to_le_bytes())
}

async fn store_claims(objects: &Objects, id: u64, claims: std::ops::Range<u64>) -> Run {
    let mut memory = Claims::default();
    claims.for_each(|n| memory.insert(key(n), entry(n)));
    let frozen = memory.freeze().unwrap();
    persist(async || {
        frozen
            .store(objects, id, [u8::try_from(id).unwrap(); 16])
            .await
    })
    .await
}

/// What a broker writes in its life, in little.
async fn write_history(objects: &Objects) {
    for number in 1..=OBJECTS {
        let object = object(number);
        persist(async || create(objects, object.key, &object.body).await).await;
    }
    let one = Arc::new(store_claims(objects, 1, 0..100).await);
    let two = Arc::new(store_claims(objects, 2, 100..200).await);
    let topics = [1].into();
    let sources = [one, two];
    let merged =
        persist(async || merge::merge(objects, &sources, 3, [3; 16], 0, &topics).await).await;
    let mut last = Manifest::first([1; 16], [0; 16]);
    persist(async || manifest::publish(objects, &last).await).await;
    for lsn in [4, 8] {
        let runs = vec![merged.as_ref().unwrap().place().id];
        let checkpoint = Checkpoint::encode(1, lsn, lsn / 2 + 1, runs, [9; 16], &IMAGE);
        let place: CheckpointRef = persist(async || checkpoint.store(objects).await).await;
        last = last.with_checkpoint(place, [u8::try_from(lsn).unwrap(); 16]);
        persist(async || manifest::publish(objects, &last).await).await;
    }
    persist(async || objects.delete(Key::Claims(1)).await).await;
    persist(async || objects.delete(Key::Claims(2)).await).await;
}

/// That all of it is there, read through `objects`, and nothing else.
async fn check_history(objects: &Objects) {
    let found = persist(async || manifest::latest(objects).await)
        .await
        .unwrap();
    assert_eq!((found.id, found.epoch), (3, 1));
    for place in found.checkpoints() {
        let (image, ()): (String, ()) =
            persist(async || checkpoint::load(objects, place).await).await;
        assert_eq!(image, IMAGE);
    }
    for number in 1..=OBJECTS {
        let (key, made) = (Key::Log(number), object(number));
        let tail = persist(async || l0::read_tail(objects, key).await).await;
        assert_eq!(tail.extents, made.extents);
        assert_eq!(tail.replay.len(), 2);
        let extent = &tail.extents[0];
        let index = persist(async || l0::read_batch_index(objects, key, extent).await).await;
        let batches = persist(async || l0::read_batches(objects, key, &index).await).await;
        assert_eq!(batches.len(), 1);
    }
    let none = l0::read_tail(objects, Key::Log(OBJECTS + 1))
        .await
        .map(drop);
    assert!(matches!(
        none,
        Err(ObjectError::NotFound { .. } | ObjectError::Unavailable { .. })
    ));
}

async fn check_claims(objects: &Objects, place: &tidegate_broker::state::claims::RunRef) {
    let runs = Runs::open(objects, std::slice::from_ref(place))
        .await
        .unwrap();
    for n in 0..200 {
        let found = runs.lookup(objects, key(n), 0, |_| true).await.unwrap();
        assert_eq!(found, Some(entry(n)));
    }
}

#[test]
fn history_is_written_once_and_right_whatever_fails() {
    for seed in 0..200 {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        run(async {
            write_history(&faulty(&store, seed, HARMLESS)).await;
            let objects = plain(&store);
            check_history(&objects).await;
            let keys = |folder| {
                let objects = objects.clone();
                async move {
                    let listed = objects.list(folder).await.unwrap();
                    listed
                        .into_iter()
                        .map(|listed| listed.key)
                        .collect::<Vec<_>>()
                }
            };
            assert_eq!(
                keys(Folder::Log).await,
                [1, 2, 3, 4].map(Key::Log),
                "seed {seed}"
            );
            assert_eq!(
                keys(Folder::Manifest).await,
                [1, 2, 3].map(Key::Manifest),
                "seed {seed}"
            );
            assert_eq!(keys(Folder::Claims).await, [Key::Claims(3)], "seed {seed}");
            assert_eq!(keys(Folder::Checkpoint).await.len(), 2, "seed {seed}");
            // The same bytes written again are the same history.
            write_history(&objects).await;
            check_history(&objects).await;
        });
    }
}

#[test]
fn history_is_read_right_whatever_fails() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    run(async {
        write_history(&plain(&store)).await;
        for seed in 0..200 {
            check_history(&faulty(&store, seed, HARMLESS)).await;
        }
    });
}

/// A bit that flips on the way is found, or hits bytes that say nothing.
#[test]
fn damaged_answers_never_pass_for_data() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    run(async {
        write_history(&plain(&store)).await;
        let right = l0::read_tail(&plain(&store), Key::Log(1)).await.unwrap();
        let index = l0::read_batch_index(&plain(&store), Key::Log(1), &right.extents[0])
            .await
            .unwrap();
        let batches = l0::read_batches(&plain(&store), Key::Log(1), &index)
            .await
            .unwrap();
        let mut found = 0;
        for seed in 0..100 {
            let objects = faulty(&store, seed, &[Fate::Damaged]);
            match l0::read_tail(&objects, Key::Log(1)).await {
                Ok(tail) => assert_eq!(tail.replay, right.replay),
                Err(ObjectError::Corrupt { .. }) => found += 1,
                Err(error) => panic!("{error:?}"),
            }
            match l0::read_batches(&objects, Key::Log(1), &index).await {
                Ok(read) => assert_eq!(read, batches),
                Err(ObjectError::Corrupt { .. }) => found += 1,
                Err(error) => panic!("{error:?}"),
            }
            match manifest::latest(&objects).await {
                Ok(found) => assert_eq!(found.unwrap().id, 3),
                Err(ObjectError::Corrupt { .. }) => found += 1,
                Err(error) => panic!("{error:?}"),
            }
        }
        assert!(found > 50, "{found} of 300 reads were damaged");
    });
}

#[test]
fn another_writers_object_is_noticed_whatever_fails() {
    for seed in 0..100 {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        run(async {
            let objects = faulty(&store, seed, HARMLESS);
            let body = |put_id: u8| Body::new(vec![Bytes::from(vec![put_id; 32])], 0..16);
            persist(async || create(&objects, Key::Log(1), &body(1)).await).await;
            let other = loop {
                match create(&objects, Key::Log(1), &body(2)).await {
                    Err(ObjectError::Unavailable { .. }) => {}
                    done => break done,
                }
            };
            assert!(
                matches!(other, Err(ObjectError::Unexpected { .. })),
                "seed {seed}: {other:?}"
            );
            let longer = Body::new(vec![Bytes::from(vec![1; 33])], 0..16);
            let other = create(&plain(&store), Key::Log(1), &longer).await;
            assert!(
                matches!(other, Err(ObjectError::Unexpected { .. })),
                "the size differs"
            );
        });
    }
}

/// A run of several parts, any of which may fail, as may its completion.
#[test]
fn a_large_run_is_written_once_and_right_whatever_fails() {
    for seed in 0..3 {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        run(async {
            let objects = faulty(&store, seed, &[Fate::FailsBefore, Fate::FailsAfter]);
            let run = store_claims(&objects, 1, 0..160_000).await;
            check_claims(&plain(&store), run.place()).await;
            let mut memory = Claims::default();
            (0..160_000).for_each(|n| memory.insert(key(n), entry(n)));
            let frozen = memory.freeze().unwrap();
            let other = loop {
                match frozen.store(&objects, 1, [77; 16]).await {
                    Err(ObjectError::Unavailable { .. }) => {}
                    done => break done,
                }
            };
            assert!(matches!(other, Err(ObjectError::Unexpected { .. })));
            check_claims(&plain(&store), run.place()).await;
        });
    }
}

#[test]
fn a_lagging_list_does_not_hide_the_latest_manifest() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    run(async {
        write_history(&plain(&store)).await;
        let objects = FaultyStore::new(
            store.clone(),
            Arc::new(Impatient),
            |request| match request {
                Request::List => Fate::Short,
                _ => Fate::Good,
            },
        );
        let objects = Objects::new(Arc::new(objects), "objects", Arc::new(Impatient));
        assert_eq!(manifest::latest(&objects).await.unwrap().unwrap().id, 3);
    });
}

#[test]
fn an_empty_store_has_no_manifest() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    assert_eq!(run(manifest::latest(&plain(&store))).unwrap(), None);
}

#[test]
fn files_keep_history_as_well() {
    let directory = tempfile::tempdir().unwrap();
    let open = || -> Arc<dyn ObjectStore> {
        let store = LocalFileSystem::new_with_prefix(directory.path()).unwrap();
        Arc::new(store.with_fsync(true))
    };
    run(async {
        write_history(&faulty(&open(), 1, HARMLESS)).await;
        check_history(&plain(&open())).await;
        let large = store_claims(&plain(&open()), 9, 0..160_000).await;
        check_claims(&plain(&open()), large.place()).await;
        let cut = plain(&open()).get(Key::Log(1), 0..1 << 20).await;
        assert!(
            matches!(cut, Err(ObjectError::Corrupt { .. })),
            "a range beyond the end: {cut:?}"
        );
        let beyond = plain(&open()).get(Key::Log(1), 1 << 20..1 << 21).await;
        assert!(
            matches!(beyond, Err(ObjectError::Corrupt { .. })),
            "{beyond:?}"
        );
    });
}

/// Names whose sync fails so often, and how often it was asked for.
struct FailingNames(std::sync::Mutex<(u32, u32)>);

impl Names for FailingNames {
    fn make_durable(&self, _: &str) -> std::io::Result<()> {
        let mut left = self.0.lock().unwrap();
        left.1 += 1;
        if left.0 == 0 {
            return Ok(());
        }
        left.0 -= 1;
        Err(std::io::Error::from_raw_os_error(5))
    }
}

/// The directory could not be synced: the object can be read, and is lost with the machine all the same.
#[test]
fn an_object_that_can_be_read_is_believed_only_once_its_name_is_durable() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let mut first = true;
    let faulty = FaultyStore::new(store, Arc::new(Impatient), move |request| {
        let fails = request == Request::Put && std::mem::take(&mut first);
        if fails { Fate::FailsAfter } else { Fate::Good }
    });
    let names = Arc::new(FailingNames(std::sync::Mutex::new((3, 0))));
    let objects = Objects::new(Arc::new(faulty), "", Arc::new(Impatient)).with_names(names.clone());
    let body = Body::new(vec![Bytes::from_static(b"object")], 0..6);
    run(async {
        for _ in 0..3 {
            let doubtful = create(&objects, Key::Log(1), &body).await;
            assert!(
                matches!(doubtful, Err(ObjectError::Unavailable { .. })),
                "{doubtful:?}"
            );
        }
        create(&objects, Key::Log(1), &body).await.unwrap();
        assert_eq!(names.0.lock().unwrap().1, 4);
        // Without a doubt the store has done so itself.
        create(&objects, Key::Log(2), &body).await.unwrap();
        assert_eq!(names.0.lock().unwrap().1, 4);
    });
}

/// The same with files: a name is made durable up to the root, and one that is not there is told.
#[test]
fn names_of_files_are_made_durable() {
    let directory = tempfile::tempdir().unwrap();
    let store = LocalFileSystem::new_with_prefix(directory.path()).unwrap();
    let objects = Objects::new(Arc::new(store), "", Arc::new(Impatient));
    let body = Body::new(vec![Bytes::from_static(b"object")], 0..6);
    run(create(&objects, Key::Log(1), &body)).unwrap();
    let names = RealNames::new(directory.path());
    names.make_durable(&Key::Log(1).to_string()).unwrap();
    let missing = names.make_durable(&Key::Log(2).to_string()).unwrap_err();
    assert_eq!(missing.kind(), std::io::ErrorKind::NotFound);
}

/// Of many that create one object at once, one wins and the others know that they did not.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_creators_one_wins() {
    let directory = tempfile::tempdir().unwrap();
    let files = LocalFileSystem::new_with_prefix(directory.path())
        .unwrap()
        .with_fsync(true);
    let stores: [Arc<dyn ObjectStore>; 2] = [Arc::new(files), Arc::new(InMemory::new())];
    for store in stores {
        for number in 0..10 {
            let racers: Vec<_> = (0..16)
                .map(|racer| {
                    let objects = plain(&store);
                    tokio::spawn(async move {
                        let body = Body::new(vec![Bytes::from(vec![racer; 64])], 0..16);
                        create(&objects, Key::Log(number), &body).await
                    })
                })
                .collect();
            let mut winners = 0;
            for racer in racers {
                match racer.await.unwrap() {
                    Ok(()) => winners += 1,
                    Err(ObjectError::Unexpected { .. }) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
            assert_eq!(winners, 1);
        }
    }
}
