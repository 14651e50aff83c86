//! Replicas that share a quota, in a time of the test's own: messages are late, lost, or come twice.

use proptest::prelude::*;

use super::tests::{caller, contract, passes};
use super::*;

/// A limit of the contract, a second.
const LIMIT: u64 = 200;
const ROUND_MS: i64 = 100;
const STEP_MS: i64 = 5;

struct Replica {
    quotas: Quotas,
    lane: Box<[LaneQuota]>,
}

impl Replica {
    fn new(id: u64) -> Self {
        let quotas = Quotas::default();
        quotas.share(id);
        let lane = quotas.of(&contract(&LIMIT.to_string(), "1s"));
        Self { quotas, lane }
    }

    /// Asks a peer, as `tidegate_kafka_log::News` is used.
    fn ask(&self, name: &str, peer: &Self, peer_name: &str, now_ms: i64, is_lost: bool) {
        if let Some(told) = self.quotas.tell(peer_name, now_ms) {
            peer.quotas.hear(name, &told, now_ms);
            let answer = peer.quotas.answer(name, now_ms);
            if !is_lost {
                self.quotas.hear(peer_name, &answer, now_ms);
            }
        }
    }
}

/// Lets three replicas take all they can for some seconds and returns what passed at each step.
/// `shares` says how the callers are spread; a replica is killed and begins anew at the times given.
fn passed(shares: [u64; 3], kills: &[(i64, usize)], losses: &[bool], end_ms: i64) -> Vec<u64> {
    let mut replicas = [Replica::new(1), Replica::new(2), Replica::new(3)];
    let names = ["a", "b", "c"];
    let caller = caller("acme", "k");
    let mut passed = Vec::new();
    let mut losses = losses.iter().cycle();
    for step in 0..end_ms / STEP_MS {
        let now_ms = step * STEP_MS;
        for (_, who) in kills.iter().filter(|(at_ms, _)| at_ms / STEP_MS == step) {
            replicas[*who] = Replica::new(10 + now_ms.unsigned_abs());
            // A new one asks before it serves.
            for peer in (0..3).filter(|peer| peer != who) {
                let (new, peer_of) = (&replicas[*who], &replicas[peer]);
                new.ask(names[*who], peer_of, names[peer], now_ms, false);
            }
        }
        let mut count = 0;
        for (replica, share) in replicas.iter().zip(shares) {
            for _ in 0..share {
                count += u64::from(passes(&replica.lane, &caller, 1, now_ms));
            }
        }
        passed.push(count);
        for (at, replica) in replicas.iter().enumerate() {
            // They do not ask at the same moment.
            if now_ms % ROUND_MS == 30 * i64::try_from(at).unwrap() {
                for peer in (0..3).filter(|peer| *peer != at) {
                    let is_lost = *losses.next().unwrap_or(&false);
                    replica.ask(names[at], &replicas[peer], names[peer], now_ms, is_lost);
                }
            }
        }
    }
    passed
}

fn over_10_s(passed: &[u64]) -> f64 {
    // After the burst.
    let (from, to) = (2_000 / STEP_MS as usize, 12_000 / STEP_MS as usize);
    let sum: u64 = passed[from..to].iter().sum();
    sum as f64 / (10 * LIMIT) as f64
}

#[test]
fn three_replicas_pass_what_the_limit_allows_together() {
    for (shares, kills) in [
        ([2, 2, 2], &[][..]),
        ([6, 0, 0], &[][..]),
        ([5, 1, 0], &[][..]),
        ([2, 2, 2], &[(5_000, 1)][..]),
        ([2, 2, 2], &[(3_000, 0), (5_550, 1), (9_990, 2)][..]),
    ] {
        let ratio = over_10_s(&passed(shares, kills, &[], 12_000));
        assert!((0.9..=1.05).contains(&ratio), "{ratio} by {shares:?}");
    }
}

#[test]
fn a_replica_that_is_told_nothing_new_is_not_asked() {
    let (one, other) = (Replica::new(1), Replica::new(2));
    let caller = caller("acme", "k");
    assert!(passes(&one.lane, &caller, 1, 0));
    assert!(one.quotas.tell("other", 0).is_some(), "who is it?");
    one.ask("one", &other, "other", 0, false);
    assert_eq!(one.quotas.tell("other", 0), None);
    assert!(passes(&one.lane, &caller, 1, 0));
    assert!(one.quotas.tell("other", 0).is_some());
    // It begins anew and knows nothing.
    let other = Replica::new(3);
    one.ask("one", &other, "other", 0, false);
    let left = take(&other.lane, &caller, 1, 0).unwrap().left;
    assert!(left.contains("r=197;"), "{left}");
}

#[test]
fn what_is_no_news_is_passed_over() {
    let one = Replica::new(1);
    for told in ["", "{}", "[1]", "\u{0}", r#"{"from":1}"#] {
        one.quotas.hear("other", told.as_bytes(), 0);
    }
    assert!(one.quotas.tell("other", 0).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However the callers are spread and whatever is lost, more than the limit and what was under way does not pass.
    #[test]
    fn losses_and_new_beginnings_let_little_more_pass(
        shares in [0_u64..4, 0..4, 0..4],
        kills in prop::collection::vec((2_000_i64..12_000, 0_usize..3), 0..3),
        losses in prop::collection::vec(prop::bool::weighted(0.1), 1..40),
    ) {
        let ratio = over_10_s(&passed(shares, &kills, &losses, 12_000));
        let killed = kills.len() as f64;
        // One that is killed takes what it took since its last round with it.
        prop_assert!(ratio <= 1.03 + 0.01 * killed, "{}", ratio);
        if shares.iter().sum::<u64>() > 0 && kills.is_empty() {
            prop_assert!(ratio >= 0.9, "{}", ratio);
        }
    }
}
