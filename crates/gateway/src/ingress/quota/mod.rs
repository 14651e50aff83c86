//! Quotas: how much a tenant, a caller or everybody may send to a contract.
//!
//! Each is a bucket that fills at the limit's rate up to its burst. An event takes from all buckets of
//! its contract or from none, so what one quota refuses is not counted by another. What is larger than
//! a burst passes when the bucket is full, and the bucket owes the rest: the rate holds all the same.
//!
//! State outlives a change of the contract. It lives in memory: of a gateway by itself a restart fills the
//! buckets, of several replicas the others know (`share`).

mod bucket;
mod share;
#[cfg(test)]
mod share_tests;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use parking_lot::Mutex;
use tidegate_contract::EventContract;
use tidegate_contract::model::{Limit, Quota, QuotaPer};

use self::bucket::{Buckets, Rules};
use self::share::Sharing;
use crate::identity::Caller;

/// A contract and its quota.
type Name = (String, String);

/// The buckets of all quotas.
#[derive(Default)]
pub(crate) struct Quotas {
    known: Mutex<HashMap<Arc<Name>, Arc<Mutex<Buckets>>>>,
    sharing: OnceLock<Sharing>,
}

impl Quotas {
    /// Returns the quotas of a contract, with what was taken from them so far.
    pub(crate) fn of(&self, contract: &EventContract) -> Box<[LaneQuota]> {
        let mut known = self.known.lock();
        let is_shared = self.sharing.get().is_some();
        let quotas = contract.ingress.quotas.iter().map(|quota| {
            let name = (contract.name.clone(), quota.name.clone());
            let rules = Rules::of(quota);
            let buckets = known
                .entry(Arc::new(name))
                .or_insert_with(|| Arc::new(Mutex::new(Buckets::new(rules, is_shared))));
            buckets.lock().change(rules);
            LaneQuota {
                policy: policy(quota),
                quota: quota.clone(),
                buckets: Arc::clone(buckets),
            }
        });
        quotas.collect()
    }

    /// Begins to share what is taken with other replicas; `id` names this one until it ends.
    pub(crate) fn share(&self, id: u64) {
        let known = self.known.lock();
        if self.sharing.set(Sharing::new(id)).is_ok() {
            known.values().for_each(|buckets| buckets.lock().share());
        }
    }

    fn all(&self) -> Vec<(Arc<Name>, Arc<Mutex<Buckets>>)> {
        let known = self.known.lock();
        let all = known.iter();
        all.map(|(name, buckets)| (Arc::clone(name), Arc::clone(buckets)))
            .collect()
    }
}

/// A quota of a contract in force.
pub(crate) struct LaneQuota {
    pub(crate) quota: Quota,
    /// As `RateLimit-Policy` has it.
    policy: String,
    buckets: Arc<Mutex<Buckets>>,
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
        let count = match quota.quota.limit {
            Limit::Events(_) => 1,
            Limit::Bytes(_) => bytes as u64,
        };
        let key = quota.key(caller);
        let wait_ms = buckets.wait_ms(&key, count, now_ms);
        if wait_ms > 0 {
            told.violated.push(quota.quota.name.clone());
            told.wait_ms = told.wait_ms.max(wait_ms);
        }
        met.push((key, count, wait_ms));
    }
    for ((quota, buckets), (key, count, wait_ms)) in quotas.iter().zip(&mut locked).zip(met) {
        if told.violated.is_empty() {
            buckets.take(&key, count, now_ms);
        }
        let (left, until_full_ms) = buckets.left(&key, now_ms);
        // When there is more: enough for the event if it was refused, else all.
        let until_ms = if wait_ms > 0 { wait_ms } else { until_full_ms };
        quota.tell(left, until_ms, &mut told);
    }
    Some(told)
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

    fn tell(&self, left: u64, until_ms: i64, told: &mut Told) {
        let seconds = whole_seconds(until_ms);
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
