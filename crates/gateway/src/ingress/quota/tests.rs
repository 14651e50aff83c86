//! Rates, headers, what is counted together.

use proptest::prelude::*;

use super::*;

/// A quota of so much every second, minute or hour.
fn quota(name: &str, per: QuotaPer, limit: &str, burst: Option<&str>) -> Quota {
    let (limit, every) = limit.split_once('/').unwrap();
    Quota {
        name: name.to_owned(),
        per,
        limit: limit.parse().unwrap(),
        every: format!("1{every}").parse().unwrap(),
        burst: burst.unwrap_or(limit).parse().unwrap(),
    }
}

fn lane(quotas: Vec<Quota>) -> Vec<LaneQuota> {
    let of = |quota: Quota| LaneQuota {
        buckets: Arc::new(Mutex::new(Buckets::new(Rules::of(&quota), false))),
        policy: policy(&quota),
        quota,
    };
    quotas.into_iter().map(of).collect()
}

pub(super) fn caller(tenant: &str, name: &str) -> Caller {
    Caller {
        tenant: tenant.into(),
        name: name.into(),
        ..Caller::anonymous()
    }
}

pub(super) fn passes(quotas: &[LaneQuota], caller: &Caller, bytes: usize, now_ms: i64) -> bool {
    take(quotas, caller, bytes, now_ms)
        .unwrap()
        .violated
        .is_empty()
}

/// A contract with one quota.
pub(super) fn contract(limit: &str, every: &str) -> Arc<EventContract> {
    let text = format!(
        "apiVersion: contract/v1\nkind: EventContract\nmetadata: {{name: a}}\nspec:\n  class: fact\n  \
         schema: {{file: a.json}}\n  key: {{from: $.a}}\n  ingress: {{quotas: [{{name: q, per: contract, limit: {limit}, every: {every}}}]}}\n"
    );
    let files = [("a.yaml".to_owned(), text)];
    let contracts = tidegate_contract::load::sources(&files, &|_| Some("{}".to_owned()));
    Arc::clone(contracts.unwrap().iter().next().unwrap())
}

#[test]
fn tenants_and_callers_are_counted_apart() {
    for (per, same_tenant, other_tenant) in [
        (QuotaPer::Tenant, false, true),
        (QuotaPer::Key, true, true),
        (QuotaPer::Contract, false, false),
    ] {
        let quotas = lane(vec![quota("q", per, "1/m", None)]);
        assert!(passes(&quotas, &caller("acme", "a"), 1, 0));
        assert!(!passes(&quotas, &caller("acme", "a"), 1, 0));
        assert_eq!(passes(&quotas, &caller("acme", "b"), 1, 0), same_tenant);
        assert_eq!(passes(&quotas, &caller("corp", "a"), 1, 0), other_tenant);
    }
}

#[test]
fn what_one_quota_refuses_the_others_do_not_count() {
    let quotas = lane(vec![
        quota("events", QuotaPer::Contract, "10/s", None),
        quota("bytes", QuotaPer::Contract, "100B/s", None),
    ]);
    let caller = caller("a", "b");
    assert!(passes(&quotas, &caller, 100, 0));
    for _ in 0..50 {
        let told = take(&quotas, &caller, 1, 0).unwrap();
        assert_eq!(told.violated, ["bytes"]);
        assert!(told.left.starts_with("\"events\";r=9;t=1"), "{}", told.left);
    }
}

#[test]
fn the_headers_are_those_of_the_draft() {
    let quotas = lane(vec![
        quota("rate", QuotaPer::Tenant, "200/s", Some("400")),
        quota("size", QuotaPer::Tenant, "1MiB/m", None),
    ]);
    let told = take(&quotas, &caller("a", "b"), 1024, 0).unwrap();
    assert_eq!(
        told.policy,
        r#""rate";q=200;w=1, "size";q=1048576;w=60;qu="content-bytes""#
    );
    assert_eq!(told.left, r#""rate";r=399;t=1, "size";r=1047552;t=1"#);
}

#[test]
fn what_is_larger_than_a_burst_passes_when_the_bucket_is_full() {
    let quotas = lane(vec![quota("size", QuotaPer::Contract, "100B/s", None)]);
    let caller = caller("a", "b");
    assert!(passes(&quotas, &caller, 250, 0));
    let told = take(&quotas, &caller, 1, 0).unwrap();
    assert_eq!(told.wait_ms, 1_510);
    assert!(!passes(&quotas, &caller, 1, 1_509));
    assert!(passes(&quotas, &caller, 1, 1_510));
}

#[test]
fn what_was_taken_counts_after_the_contract_changed() {
    let all = Quotas::default();
    let caller = caller("a", "b");
    assert!(passes(&all.of(&contract("1", "1h")), &caller, 1, 0));
    assert!(!passes(&all.of(&contract("1", "1h")), &caller, 1, 0));
    assert!(!passes(&all.of(&contract("2", "1h")), &caller, 1, 0));
}

#[test]
fn what_was_taken_counts_in_another_time_too() {
    let all = Quotas::default();
    let caller = caller("a", "b");
    let hour = all.of(&contract("60", "1h"));
    (0..60).for_each(|_| assert!(passes(&hour, &caller, 1, 0)));
    let minute = all.of(&contract("60", "1m"));
    assert!(!passes(&minute, &caller, 1, 999));
    assert!(passes(&minute, &caller, 1, 1_000));
}

proptest! {
    /// Somebody always waits, and the bucket never overflows: as much passes as the rate and one burst allow, no more and no less.
    #[test]
    fn a_rate_holds_over_any_time(
        amount in 1_u64..50,
        burst_s in 2_u64..5,
        gaps in prop::collection::vec(0_i64..400, 1..300),
    ) {
        let burst = (amount * burst_s).to_string();
        let quotas = lane(vec![quota("q", QuotaPer::Contract, &format!("{amount}/s"), Some(&burst))]);
        let caller = caller("a", "b");
        // The bucket is full until the first event comes.
        let (mut now_ms, mut passed) = (0, 0_u64);
        for gap in std::iter::once(0).chain(gaps) {
            now_ms += gap;
            // More than the bucket can have: somebody always waits.
            for _ in 0..=amount * burst_s {
                passed += u64::from(passes(&quotas, &caller, 1, now_ms));
            }
            let most = amount * burst_s + amount * now_ms.unsigned_abs() / 1_000;
            prop_assert_eq!(passed, most);
        }
    }

    #[test]
    fn who_waits_as_long_as_it_is_told_is_taken(amount in 1_u64..1_000, sent in 1_usize..2_000) {
        let quotas = lane(vec![quota("q", QuotaPer::Contract, &format!("{amount}B/s"), None)]);
        let caller = caller("a", "b");
        let mut now_ms = 0;
        for _ in 0..5 {
            let told = take(&quotas, &caller, sent, now_ms).unwrap();
            if !told.violated.is_empty() {
                prop_assert!(!passes(&quotas, &caller, sent, now_ms + told.wait_ms - 1));
                now_ms += told.wait_ms;
                prop_assert!(passes(&quotas, &caller, sent, now_ms));
            }
        }
    }
}
