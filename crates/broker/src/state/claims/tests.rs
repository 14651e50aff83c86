use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::object::tests::{in_memory, run};
use crate::object::{Key, ObjectError, Objects};

fn key(n: u64) -> ClaimKey {
    ClaimKey::of(b"a cluster secret", &n.to_le_bytes())
}

fn entry(n: u64, timestamp_ms: i64, window_s: u32) -> Entry {
    let fingerprint = [u8::try_from(n % 251).unwrap(); 16];
    Entry {
        fingerprint,
        topic: 1,
        partition: 2,
        offset: n.cast_signed(),
        timestamp_ms,
        window_s,
    }
}

async fn stored(objects: &Objects, id: u64, claims: &[(ClaimKey, Entry)]) -> Run {
    let mut memory = Claims::default();
    for (key, entry) in claims {
        memory.insert(*key, *entry);
    }
    memory
        .freeze()
        .unwrap()
        .store(objects, id, [9; 16])
        .await
        .unwrap()
}

#[test]
fn the_hash_is_stable() {
    let ClaimKey(hash) = ClaimKey::of(&std::array::from_fn(|at| at as u8), b"");
    // The first vector of SipHash-2-4-128's reference implementation.
    assert_eq!(hash, 0xa3817f04ba25a8e66df67214c7550293_u128.to_be_bytes());
}

#[test]
fn claims_beside_a_record_are_stable() {
    let mut bytes = Vec::new();
    encode_in_record(&mut bytes, ClaimKey([1; 16]), [2; 16], 3, 4);
    let expected = [[1; 16].as_slice(), &[2; 16], &[3, 0, 0, 0], &[4, 0, 0, 0]].concat();
    assert_eq!(bytes, expected);
    let claim = RecordClaim {
        key: ClaimKey([1; 16]),
        fingerprint: [2; 16],
        record_index: 3,
        window_s: 4,
    };
    assert_eq!(
        decode_in_record(&bytes).unwrap().collect::<Vec<_>>(),
        [claim]
    );
    assert!(decode_in_record(&[]).unwrap().next().is_none());
    assert!(decode_in_record(&bytes[1..]).is_none());
}

#[test]
fn a_claim_is_held_until_its_window_is_over() {
    let mut claims = Claims::default();
    claims.insert(key(1), entry(1, 1_000, 2));
    assert_eq!(claims.check(key(1), 2_999), Some(entry(1, 1_000, 2)));
    assert_eq!(claims.check(key(1), 3_000), None);
    assert_eq!(claims.check(key(2), 0), None);
    claims.insert(key(1), entry(5, 4_000, 2));
    assert_eq!(claims.check(key(1), 4_000), Some(entry(5, 4_000, 2)));
}

#[test]
fn a_frozen_table_is_asked_until_its_run_is_installed() {
    run(async {
        let objects = in_memory();
        let mut claims = Claims::default();
        let mut runs = Arc::new(Runs::open(&objects, &[]).await.unwrap());
        claims.runs_installed(&runs);
        assert!(claims.freeze().is_none(), "there is nothing to freeze");
        claims.insert(key(1), entry(1, 0, 100));
        let first = claims.freeze().unwrap();
        claims.insert(key(2), entry(2, 0, 100));
        let second = claims.freeze().unwrap();
        claims.insert(key(3), entry(3, 0, 100));
        assert_eq!(claims.held_bytes(), 3 * ENTRY_BYTES);

        let stored = first.store(&objects, 1, [1; 16]).await.unwrap();
        runs = Arc::new(runs.with(Arc::new(stored)));
        assert_eq!(
            claims.check(key(1), 1),
            Some(entry(1, 0, 100)),
            "its run is not installed"
        );
        assert_eq!(claims.runs_installed(&runs).len(), 1);
        assert_eq!(claims.runs_version(), 1);
        assert_eq!(claims.check(key(1), 1), None, "memory has let go of it");
        assert_eq!(
            runs.lookup(&objects, key(1), 1, |_| true).await.unwrap(),
            Some(entry(1, 0, 100))
        );
        assert_eq!(
            runs.lookup(&objects, key(1), 100_000, |_| true)
                .await
                .unwrap(),
            None
        );
        assert_eq!(claims.check(key(2), 1), Some(entry(2, 0, 100)));
        assert_eq!(claims.held_bytes(), 3 * ENTRY_BYTES);

        let merged = Arc::new(runs.replaced(&BTreeSet::new(), None));
        assert!(
            claims.runs_installed(&merged).is_empty(),
            "a merge takes nothing from memory"
        );
        let stored = second.store(&objects, 2, [1; 16]).await.unwrap();
        runs = Arc::new(runs.with(Arc::new(stored)));
        assert_eq!(claims.runs_installed(&runs).len(), 1);
        assert_eq!(
            claims
                .run_refs()
                .iter()
                .map(|run| run.id)
                .collect::<Vec<_>>(),
            [1, 2]
        );
        let opened = Runs::open(&objects, &claims.run_refs()).await.unwrap();
        assert_eq!(opened.refs(), claims.run_refs());
    });
}

#[test]
fn a_run_that_is_not_ours_is_left_alone() {
    run(async {
        let objects = in_memory();
        stored(&objects, 7, &[(key(1), entry(1, 0, 1))]).await;
        let mut claims = Claims::default();
        claims.insert(key(1), entry(1, 0, 1));
        let other = claims.freeze().unwrap().store(&objects, 7, [3; 16]).await;
        assert!(matches!(other, Err(ObjectError::Unexpected { .. })));
    });
}

/// Sizes around the ends of blocks and filters.
#[test]
fn a_run_finds_what_it_holds_and_nothing_else() {
    for count in [1, 67, 68, 69, 136, 17_407, 17_408, 17_409, 40_000] {
        run(async {
            let objects = in_memory();
            let claims: Vec<_> = (0..count).map(|n| (key(n), entry(n, 5, 10))).collect();
            let written = stored(&objects, 3, &claims).await;
            let opened = Run::open(&objects, written.place()).await.unwrap();
            assert_eq!(opened.place(), written.place());
            assert_eq!(opened.memory_bytes(), written.memory_bytes());
            let step = (count / 500).max(1);
            for n in (0..count)
                .step_by(usize::try_from(step).unwrap())
                .chain([count - 1])
            {
                let found = opened.lookup(&objects, &key(n)).await.unwrap();
                assert_eq!(found, Some(entry(n, 5, 10)), "{n} of {count}");
                assert!(written.may_hold(&key(n)));
                assert_eq!(
                    opened.lookup(&objects, &key(count + n)).await.unwrap(),
                    None
                );
            }
        });
    }
}

#[test]
fn keys_that_begin_alike_are_found_across_blocks() {
    run(async {
        let objects = in_memory();
        let alike = |n: u64| ClaimKey(u128::from(n).to_be_bytes());
        let claims: Vec<_> = (0..300).map(|n| (alike(n), entry(n, 0, 1))).collect();
        let run = stored(&objects, 1, &claims).await;
        for n in 0..300 {
            assert_eq!(
                run.lookup(&objects, &alike(n)).await.unwrap(),
                Some(entry(n, 0, 1))
            );
        }
        assert_eq!(run.lookup(&objects, &alike(301)).await.unwrap(), None);
    });
}

#[test]
fn the_stored_form_is_stable() {
    run(async {
        let objects = in_memory();
        let claims = [
            (ClaimKey([1; 16]), entry(7, 1_000, 60)),
            (ClaimKey([2; 16]), entry(8, 2_000, 30)),
        ];
        let run = stored(&objects, 5, &claims).await;
        let size = objects.size(Key::Claims(5)).await.unwrap();
        let (bytes, _) = objects.get(Key::Claims(5), 0..size).await.unwrap();
        let hex = |range: std::ops::Range<usize>| -> String {
            bytes[range]
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect()
        };
        let lines = [
            hex(0..60),
            hex(60..120),
            hex(4080..4096),
            hex(4096..4104),
            hex(4104..4136),
            hex(4136..4200),
            hex(4200..4264),
        ];
        assert!(bytes[120..4080].iter().all(|byte| *byte == 0));
        assert_eq!(size, 4264);
        assert_eq!(lines.join("\n"), include_str!("golden.hex").trim_end());
        assert_eq!(run.place().last_expiry_ms, 61_000);
    });
}

#[test]
fn a_run_in_a_checkpoint_is_stable() {
    let place = RunRef::invented(1, 200, 3..5, 1);
    let stored = [&[1][..], &[0; 16], &[200, 1, 6, 10, 218, 15, 1]].concat();
    assert_eq!(postcard::to_stdvec(&place).unwrap(), stored);
    assert_eq!(postcard::from_bytes::<RunRef>(&stored).unwrap(), place);
}

#[test]
fn damage_is_found_wherever_it_is() {
    run(async {
        let objects = in_memory();
        let claims: Vec<_> = (0..200).map(|n| (key(n), entry(n, 5, 10))).collect();
        let written = stored(&objects, 3, &claims).await;
        let size = objects.size(Key::Claims(3)).await.unwrap();
        let (bytes, _) = objects.get(Key::Claims(3), 0..size).await.unwrap();
        for at in (0..bytes.len()).step_by(53) {
            let damaged = in_memory();
            let mut copy = bytes.to_vec();
            copy[at] ^= 0x20;
            let body = crate::object::Body::new(vec![copy.into()], 0..1);
            crate::object::create::create(&damaged, Key::Claims(3), &body)
                .await
                .unwrap();
            let mut result = Ok(());
            match Run::open(&damaged, written.place()).await {
                Err(error) => result = Err(error),
                Ok(run) => {
                    for n in 0..200 {
                        match run.lookup(&damaged, &key(n)).await {
                            Ok(found) => assert_eq!(found, Some(entry(n, 5, 10)), "byte {at}"),
                            Err(error) => result = Err(error),
                        }
                    }
                }
            }
            assert!(
                matches!(result, Err(ObjectError::Corrupt { .. })),
                "byte {at}: {result:?}"
            );
        }
    });
}

#[test]
fn a_merge_keeps_the_latest_of_a_key_and_drops_what_expired() {
    run(async {
        let objects = in_memory();
        let old = stored(
            &objects,
            1,
            &[(key(1), entry(1, 0, 10)), (key(2), entry(2, 0, 1_000))],
        )
        .await;
        let new = stored(
            &objects,
            2,
            &[(key(1), entry(3, 20_000, 10)), (key(3), entry(4, 0, 1))],
        )
        .await;
        let runs = [Arc::new(new), Arc::new(old)];
        let topics = BTreeSet::from([1]);
        let merged = merge::merge(&objects, &runs, 3, [1; 16], 25_000, &topics)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(merged.place().entries, 2);
        assert_eq!(
            merged.lookup(&objects, &key(1)).await.unwrap(),
            Some(entry(3, 20_000, 10))
        );
        assert_eq!(
            merged.lookup(&objects, &key(2)).await.unwrap(),
            Some(entry(2, 0, 1_000))
        );
        assert_eq!(merged.lookup(&objects, &key(3)).await.unwrap(), None);
        let none = merge::merge(&objects, &runs, 4, [1; 16], i64::MAX, &topics)
            .await
            .unwrap();
        assert!(none.is_none());
    });
}

const HOUR: i64 = 3_600_000;

/// `runs`: entries, first hour and last hour in tenths, window in hours.
fn check_plan(runs: &[(u64, i64, i64, u32)], now_tenths: i64, drop: &[u64], merge: &[u64]) {
    let refs: Vec<_> = (1..)
        .zip(runs)
        .map(|(id, (entries, first, last, window_h))| {
            RunRef::invented(
                id,
                *entries,
                first * HOUR / 10..last * HOUR / 10,
                window_h * 3600,
            )
        })
        .collect();
    let plan = merge::plan(&refs, now_tenths * HOUR / 10);
    assert_eq!(
        (plan.drop.as_slice(), plan.merge.as_slice()),
        (drop, merge),
        "{runs:?}"
    );
}

#[test]
fn runs_are_merged_by_hour_then_by_longer_stretches() {
    check_plan(&[], 0, &[], &[]);
    check_plan(&[(9, 0, 5, 1)], 14, &[], &[]);
    check_plan(&[(9, 0, 5, 1)], 15, &[1], &[]);
    // The hour is over: all its runs become one.
    check_plan(&[(9, 0, 5, 24), (900, 5, 9, 24)], 10, &[], &[1, 2]);
    check_plan(&[(9, 0, 5, 24), (9, 10, 19, 24)], 21, &[], &[]);
    // It is not over: eight of a size.
    let seven = [(600, 0, 1, 24); 7];
    check_plan(&seven, 5, &[], &[]);
    check_plan(&[&seven[..], &[(9, 0, 1, 24)]].concat(), 5, &[], &[]);
    check_plan(
        &[&seven[..], &[(700, 0, 1, 24)]].concat(),
        5,
        &[],
        &[1, 2, 3, 4, 5, 6, 7, 8],
    );
    // Eight hours become one run if windows are a week long, not if they are a day long.
    let hours: Vec<_> = (0..8)
        .map(|hour| (9, hour * 10, hour * 10 + 9, 24 * 7))
        .collect();
    check_plan(&hours, 80, &[], &[1, 2, 3, 4, 5, 6, 7, 8]);
    check_plan(&hours, 79, &[], &[]);
    let hours: Vec<_> = (0..8)
        .map(|hour| (9, hour * 10, hour * 10 + 9, 24))
        .collect();
    check_plan(&hours, 80, &[], &[]);
}

/// A run every ten minutes for `hours`: how many remain, and how often a claim was copied.
fn simulate(hours: i64, window_h: u32) -> (usize, u64) {
    let (mut runs, mut next_id, mut copied, mut made) = (Vec::new(), 1, 0, 0);
    for ten_minutes in 0..hours * 6 {
        let now = ten_minutes * HOUR / 6;
        runs.push(RunRef::invented(
            next_id,
            1_000,
            now - HOUR / 6..now,
            window_h * 3600,
        ));
        (next_id, made) = (next_id + 1, made + 1_000);
        loop {
            let plan = merge::plan(&runs, now);
            if plan.is_empty() {
                break;
            }
            runs.retain(|run: &RunRef| !plan.drop.contains(&run.id));
            let (merged, rest): (Vec<_>, Vec<_>) =
                runs.drain(..).partition(|run| plan.merge.contains(&run.id));
            runs = rest;
            if let (Some(first), Some(last)) = (
                merged.iter().map(|run| run.first_ms).min(),
                merged.iter().map(|run| run.last_ms).max(),
            ) {
                let entries = merged.iter().map(|run| run.entries).sum();
                copied += entries;
                runs.push(RunRef::invented(
                    next_id,
                    entries,
                    first..last,
                    window_h * 3600,
                ));
                next_id += 1;
            }
        }
    }
    (runs.len(), copied / made)
}

/// A claim freed by the end of its topic may be made again at the same instant. Found by seed 122 of
/// the simulation.
#[test]
fn an_entry_of_a_deleted_topic_hides_no_other() {
    run(async {
        let objects = in_memory();
        let of_topic = |topic| Entry {
            topic,
            ..entry(1, 50, 1_000)
        };
        let dead = stored(&objects, 1, &[(key(1), of_topic(9))]).await;
        let alive = stored(&objects, 2, &[(key(1), of_topic(2))]).await;
        let (dead, alive) = (Arc::new(dead), Arc::new(alive));
        for order in [[dead.clone(), alive.clone()], [alive, dead]] {
            let mut runs = Runs::default();
            for run in &order {
                runs = runs.with(run.clone());
            }
            let found = runs
                .lookup(&objects, key(1), 60, |topic| topic == 2)
                .await
                .unwrap();
            assert_eq!(found, Some(of_topic(2)));
            let topics = BTreeSet::from([2]);
            let id = 3 + order[0].place().id;
            let merged = merge::merge(&objects, &order, id, [1; 16], 60, &topics)
                .await
                .unwrap();
            let found = merged.unwrap().lookup(&objects, &key(1)).await.unwrap();
            assert_eq!(found, Some(of_topic(2)));
        }
    });
}

#[test]
fn runs_stay_few_and_claims_are_copied_seldom() {
    for (window_h, most_runs) in [(1, 10), (24, 32), (24 * 7, 46), (24 * 90, 60)] {
        let (runs, copies) = simulate(24 * 120, window_h);
        assert!(
            runs <= most_runs,
            "{runs} runs for a window of {window_h} h"
        );
        assert!(copies <= 5, "{copies} copies for a window of {window_h} h");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Freezing, merging and expiry in any order never lose a claim that is held, nor find another.
    #[test]
    fn no_held_claim_is_ever_lost(
        steps in prop::collection::vec((0_u64..40, 1_u32..50, 0_i64..4_000, 0_u8..8), 1..80)
    ) {
        run(async {
            let objects = in_memory();
            let mut model: BTreeMap<u64, Entry> = BTreeMap::new();
            let mut claims = Claims::default();
            let mut runs = Arc::new(Runs::open(&objects, &[]).await.unwrap());
            claims.runs_installed(&runs);
            let topics = BTreeSet::from([1]);
            let mut log_time_ms = 0;
            for (at, (name, window_s, passes_ms, action)) in (0_u64..).zip(steps) {
                log_time_ms += passes_ms;
                let in_memory = claims.check(key(name), log_time_ms);
                let held = match in_memory {
                    Some(held) => Some(held),
                    None => runs.lookup(&objects, key(name), log_time_ms, |_| true).await.unwrap(),
                };
                let expected = model.get(&name).copied().filter(|e| e.is_held(log_time_ms));
                assert_eq!(held, expected, "claim {name} at {log_time_ms}");
                if held.is_none() {
                    let made = entry(at, log_time_ms, window_s);
                    claims.insert(key(name), made);
                    model.insert(name, made);
                }
                if action == 0 && let Some(frozen) = claims.freeze() {
                    let run = frozen.store(&objects, at, [1; 16]).await.unwrap();
                    runs = Arc::new(runs.with(Arc::new(run)));
                    claims.runs_installed(&runs);
                }
                if action == 1 && !runs.is_empty() {
                    let ids: Vec<_> = runs.refs().iter().map(|run| run.id).skip(1).collect();
                    let sources = runs.select(&ids);
                    let merged =
                        merge::merge(&objects, &sources, 1_000 + at, [1; 16], log_time_ms, &topics);
                    let merged = merged.await.unwrap().map(Arc::new);
                    runs = Arc::new(runs.replaced(&ids.into_iter().collect(), merged));
                    claims.runs_installed(&runs);
                }
                if action == 2 {
                    let mut opened = Runs::open(&objects, &runs.refs()).await.unwrap();
                    opened.version = runs.version;
                    runs = Arc::new(opened);
                    claims.runs_installed(&runs);
                }
            }
        });
    }
}
