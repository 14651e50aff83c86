//! Quotas: how much a tenant, a caller or everybody may send to a contract.
//!
//! Each is a bucket that fills at the limit's rate up to its burst. An event takes from all buckets of
//! its contract or from none, so what one quota refuses is not counted by another. What is larger than
//! a burst passes when the bucket is full, and the bucket owes the rest: the rate holds all the same.
//!
//! State outlives a change of the contract. It lives in this process: a restart fills the buckets.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use parking_lot::Mutex;
use tidegate_contract::EventContract;
use tidegate_contract::model::{Limit, Quota, QuotaPer};

use crate::identity::Caller;

/// Buckets of a quota. Callers have identities, so there are not more without somebody's doing.
const MAX_BUCKETS: usize = 100_000;

/// The buckets of one quota, by what it counts together.
type Buckets = Arc<Mutex<HashMap<Arc<str>, Bucket>>>;

/// The buckets of all quotas, by contract and quota.
#[derive(Default)]
pub(crate) struct Quotas(Mutex<HashMap<(String, String), Buckets>>);

impl Quotas {
    /// Returns the quotas of a contract, with what was taken from them so far.
    pub(crate) fn of(&self, contract: &EventContract) -> Box<[LaneQuota]> {
        let mut known = self.0.lock();
        let quotas = contract.ingress.quotas.iter().map(|quota| {
            let key = (contract.name.clone(), quota.name.clone());
            LaneQuota {
                rules: Rules::of(quota),
                policy: policy(quota),
                quota: quota.clone(),
                buckets: Arc::clone(known.entry(key).or_default()),
            }
        });
        quotas.collect()
    }
}

/// A quota of a contract in force.
pub(crate) struct LaneQuota {
    pub(crate) quota: Quota,
    rules: Rules,
    /// As `RateLimit-Policy` has it.
    policy: String,
    buckets: Buckets,
}

/// A limit in whole numbers: a unit is one of what is counted, times the milliseconds of the limit's
/// time, so that a millisecond fills `amount` units.
#[derive(Clone, Copy, Debug)]
struct Rules {
    amount: i64,
    period_ms: i64,
    /// What a full bucket has, in units.
    full: i64,
}

impl Rules {
    fn of(quota: &Quota) -> Self {
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let period_ms = whole(quota.every.as_ms());
        Self {
            amount: whole(quota.limit.amount()),
            period_ms,
            full: whole(quota.burst.amount()).saturating_mul(period_ms),
        }
    }

    fn units(self, count: u64) -> i64 {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        count.saturating_mul(self.period_ms)
    }
}

/// What is left for one of those that a quota counts apart.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Below zero it owes.
    left: i64,
    at_ms: i64,
}

impl Bucket {
    fn full(rules: Rules, now_ms: i64) -> Self {
        Self {
            left: rules.full,
            at_ms: now_ms,
        }
    }

    /// Lets it fill until now. A clock that goes back fills nothing.
    fn fill(&mut self, rules: Rules, now_ms: i64) {
        let passed = now_ms.saturating_sub(self.at_ms).max(0);
        let filled = self
            .left
            .saturating_add(passed.saturating_mul(rules.amount));
        self.left = filled.min(rules.full);
        self.at_ms = self.at_ms.max(now_ms);
    }

    /// Says how many milliseconds it takes until there is enough for so many units; 0 is now.
    fn wait_ms(&self, rules: Rules, units: i64) -> i64 {
        let missing = units.min(rules.full).saturating_sub(self.left).max(0);
        // Rounded up: a moment too early would be refused again.
        missing.saturating_add(rules.amount - 1) / rules.amount
    }
}

/// What a caller is told of the quotas that its event met.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    policy: String,
    left: String,
    /// The quotas that refused it.
    pub(crate) violated: Vec<String>,
    /// When it would be taken.
    pub(crate) wait_ms: i64,
}

impl Told {
    /// Says when to come back: not before there is enough, and not all at once.
    pub(crate) fn retry_after(&self, request_id: &str) -> Duration {
        let seconds = whole_seconds(self.wait_ms).max(1).unsigned_abs();
        let spread = request_id.bytes().map(u64::from).sum::<u64>() % (seconds / 4 + 2);
        Duration::from_secs(seconds + spread)
    }

    /// Writes the headers of draft-ietf-httpapi-ratelimit-headers-10.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        for (name, text) in [
            ("ratelimit-policy", &self.policy),
            ("ratelimit", &self.left),
        ] {
            if let Ok(value) = HeaderValue::from_str(text) {
                headers.insert(name, value);
            }
        }
    }
}

/// Takes an event of so many bytes from all quotas, or from none, and says what is left; nothing if
/// there are no quotas.
pub(crate) fn take(
    quotas: &[LaneQuota],
    caller: &Caller,
    bytes: usize,
    now_ms: i64,
) -> Option<Told> {
    if quotas.is_empty() {
        return None;
    }
    // In the order of the contract, so that two events never wait for each other.
    let mut locked: Vec<_> = quotas.iter().map(|quota| quota.buckets.lock()).collect();
    let mut met = Vec::with_capacity(quotas.len());
    let mut told = Told::default();
    for (quota, buckets) in quotas.iter().zip(&mut locked) {
        let rules = quota.rules;
        let cost = rules.units(match quota.quota.limit {
            Limit::Events(_) => 1,
            Limit::Bytes(_) => bytes as u64,
        });
        let key = quota.key(caller);
        let mut bucket = match buckets.get(&key) {
            Some(bucket) => *bucket,
            None if buckets.len() < MAX_BUCKETS => Bucket::full(rules, now_ms),
            None => {
                forget_full(buckets, rules, now_ms);
                Bucket::full(rules, now_ms)
            }
        };
        bucket.fill(rules, now_ms);
        let wait_ms = match buckets.len() < MAX_BUCKETS || buckets.contains_key(&key) {
            true => bucket.wait_ms(rules, cost),
            // No room to count it: that is no reason to let it pass uncounted.
            false => rules.period_ms,
        };
        if wait_ms > 0 {
            told.violated.push(quota.quota.name.clone());
            told.wait_ms = told.wait_ms.max(wait_ms);
        }
        met.push((key, bucket, cost, wait_ms));
    }
    for ((quota, buckets), (key, mut bucket, cost, wait_ms)) in
        quotas.iter().zip(&mut locked).zip(met)
    {
        if told.violated.is_empty() {
            bucket.left = bucket.left.saturating_sub(cost);
            buckets.insert(key, bucket);
        }
        quota.tell(&bucket, wait_ms, &mut told);
    }
    Some(told)
}

fn forget_full(buckets: &mut HashMap<Arc<str>, Bucket>, rules: Rules, now_ms: i64) {
    buckets.retain(|_, bucket| {
        bucket.fill(rules, now_ms);
        bucket.left < rules.full
    });
}

impl LaneQuota {
    fn key(&self, caller: &Caller) -> Arc<str> {
        match self.quota.per {
            QuotaPer::Tenant => Arc::clone(&caller.tenant),
            // A name is its tenant's.
            QuotaPer::Key => format!("{}\0{}", caller.tenant, caller.name).into(),
            QuotaPer::Contract => "".into(),
        }
    }

    /// Says what is left, and when there is more: enough for the event if it was refused, else all.
    fn tell(&self, bucket: &Bucket, wait_ms: i64, told: &mut Told) {
        let rules = self.rules;
        let left = (bucket.left / rules.period_ms).max(0);
        let until = match wait_ms {
            0 => bucket.wait_ms(rules, rules.full),
            wait_ms => wait_ms,
        };
        let seconds = whole_seconds(until);
        let comma = if told.left.is_empty() { "" } else { ", " };
        let name = &self.quota.name;
        write!(told.left, "{comma}\"{name}\";r={left};t={seconds}")
            .expect("a string takes any text");
        write!(told.policy, "{comma}{}", self.policy).expect("a string takes any text");
    }
}

fn whole_seconds(ms: i64) -> i64 {
    ms.saturating_add(999) / 1_000
}

fn policy(quota: &Quota) -> String {
    let (name, limit) = (&quota.name, quota.limit);
    let unit = match limit {
        Limit::Events(_) => "",
        Limit::Bytes(_) => ";qu=\"content-bytes\"",
    };
    format!(
        "\"{name}\";q={};w={}{unit}",
        limit.amount(),
        quota.every.as_ms().div_ceil(1_000)
    )
}

#[cfg(test)]
mod tests {
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
            rules: Rules::of(&quota),
            policy: policy(&quota),
            quota,
            buckets: Buckets::default(),
        };
        quotas.into_iter().map(of).collect()
    }

    fn caller(tenant: &str, name: &str) -> Caller {
        Caller {
            tenant: tenant.into(),
            name: name.into(),
            ..Caller::anonymous()
        }
    }

    fn passes(quotas: &[LaneQuota], caller: &Caller, bytes: usize, now_ms: i64) -> bool {
        take(quotas, caller, bytes, now_ms)
            .unwrap()
            .violated
            .is_empty()
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
        let contract = |limit: &str| {
            let text = format!(
                "apiVersion: contract/v1\nkind: EventContract\nmetadata: {{name: a}}\nspec:\n  class: fact\n  \
                 schema: {{file: a.json}}\n  key: {{from: $.a}}\n  ingress: {{quotas: [{{name: q, per: contract, limit: {limit}, every: 1h}}]}}\n"
            );
            let files = [("a.yaml".to_owned(), text)];
            let contracts = tidegate_contract::load::sources(&files, &|_| Some("{}".to_owned()));
            Arc::clone(contracts.unwrap().iter().next().unwrap())
        };
        let all = Quotas::default();
        let caller = caller("a", "b");
        assert!(passes(&all.of(&contract("1")), &caller, 1, 0));
        assert!(!passes(&all.of(&contract("1")), &caller, 1, 0));
        assert!(!passes(&all.of(&contract("2")), &caller, 1, 0));
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
}
