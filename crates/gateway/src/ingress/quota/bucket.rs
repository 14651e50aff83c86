//! The buckets of one quota, counted in whole numbers. Pure; time is passed in.

use std::collections::{HashMap, HashSet};
use std::mem;
use std::sync::Arc;

use tidegate_contract::model::Quota;

/// Buckets of a quota. Callers have identities, so there are not more without somebody's doing.
const MAX_BUCKETS: usize = 100_000;
/// Replicas of which a bucket knows what they took.
const MAX_HEARD: usize = 256;

/// A limit in whole numbers: a unit is one of what is counted, times the milliseconds of the limit's
/// time, so that a millisecond fills `amount` units.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    amount: i64,
    pub(super) period_ms: i64,
    /// What a full bucket has, in units.
    full: i64,
}

impl Rules {
    pub(super) fn of(quota: &Quota) -> Self {
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
#[derive(Debug)]
struct Bucket {
    /// Below zero it owes.
    left: i64,
    at_ms: i64,
    /// What this replica took since it began to count.
    taken: u64,
    /// What others took, as each told last.
    heard: Vec<(u64, u64)>,
}

/// What a replica tells of a bucket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Account {
    /// What it took since it began to count.
    pub(super) taken: u64,
    /// What the bucket lacks to be full.
    pub(super) missing: u64,
}

impl Bucket {
    fn full(rules: Rules, now_ms: i64) -> Self {
        Self {
            left: rules.full,
            at_ms: now_ms,
            taken: 0,
            heard: Vec::new(),
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

    fn wait_ms(&self, rules: Rules, units: i64) -> i64 {
        let missing = units.min(rules.full).saturating_sub(self.left).max(0);
        // Rounded up: a moment too early would be refused again.
        missing.saturating_add(rules.amount - 1) / rules.amount
    }

    /// Takes what another replica took since it told last.
    fn hear(&mut self, rules: Rules, from: u64, is_new: bool, told: Account) {
        let known = self.heard.iter_mut().find(|(replica, _)| *replica == from);
        let lacks = match known {
            // Less than before: it began to count anew.
            Some((_, before)) => {
                let more = told.taken.checked_sub(*before).unwrap_or(told.taken);
                *before = told.taken;
                more
            }
            None => {
                if self.heard.len() >= MAX_HEARD {
                    self.heard.remove(0);
                }
                self.heard.push((from, told.taken));
                if is_new {
                    // Both knew the same others, perhaps: whoever lacks more is right.
                    self.left = self.left.min(rules.full - rules.units(told.missing));
                    return;
                }
                // What is missing no more was taken long ago.
                told.taken.min(told.missing)
            }
        };
        self.left = self.left.saturating_sub(rules.units(lacks));
    }
}

/// The buckets of one quota, by what it counts together.
#[derive(Debug)]
pub(super) struct Buckets {
    pub(super) rules: Rules,
    by_key: HashMap<Arc<str>, Bucket>,
    /// What was taken from since it was told; nothing if nobody is to be told.
    changed: Option<HashSet<Arc<str>>>,
}

impl Buckets {
    pub(super) fn new(rules: Rules, is_shared: bool) -> Self {
        Self {
            rules,
            by_key: HashMap::new(),
            changed: is_shared.then(HashSet::new),
        }
    }

    /// Has other rules hold from now on. What is left is left, counted in the new units.
    pub(super) fn change(&mut self, rules: Rules) {
        let before = mem::replace(&mut self.rules, rules);
        if before.period_ms == rules.period_ms {
            return;
        }
        for bucket in self.by_key.values_mut() {
            let left = i128::from(bucket.left) * i128::from(rules.period_ms);
            let left = left / i128::from(before.period_ms.max(1));
            bucket.left = i64::try_from(left).unwrap_or(rules.full);
        }
    }

    /// Says how many milliseconds it takes until there is enough for so much; 0 is now.
    pub(super) fn wait_ms(&mut self, key: &str, count: u64, now_ms: i64) -> i64 {
        let rules = self.rules;
        if let Some(bucket) = self.bucket(key, now_ms) {
            return bucket.wait_ms(rules, rules.units(count));
        }
        // No room to count it: that is no reason to let it pass uncounted.
        if self.has_room(now_ms) {
            0
        } else {
            rules.period_ms
        }
    }

    /// Returns what is left, and the milliseconds until the bucket is full.
    pub(super) fn left(&mut self, key: &str, now_ms: i64) -> (u64, i64) {
        let rules = self.rules;
        let (left, until) = match self.bucket(key, now_ms) {
            Some(bucket) => (bucket.left, bucket.wait_ms(rules, rules.full)),
            None => (rules.full, 0),
        };
        ((left / rules.period_ms).max(0).unsigned_abs(), until)
    }

    /// Takes so much, whether there is enough or not.
    pub(super) fn take(&mut self, key: &Arc<str>, count: u64, now_ms: i64) {
        let rules = self.rules;
        let bucket = self
            .by_key
            .entry(Arc::clone(key))
            .or_insert_with(|| Bucket::full(rules, now_ms));
        bucket.left = bucket.left.saturating_sub(rules.units(count));
        bucket.taken = bucket.taken.wrapping_add(count);
        if let Some(changed) = &mut self.changed {
            changed.insert(Arc::clone(key));
        }
    }

    fn bucket(&mut self, key: &str, now_ms: i64) -> Option<&Bucket> {
        let bucket = self.by_key.get_mut(key)?;
        bucket.fill(self.rules, now_ms);
        Some(bucket)
    }

    /// Says whether there is room for one more bucket; full ones make room.
    fn has_room(&mut self, now_ms: i64) -> bool {
        if self.by_key.len() >= MAX_BUCKETS {
            let rules = self.rules;
            self.by_key.retain(|_, bucket| {
                bucket.fill(rules, now_ms);
                bucket.left < rules.full
            });
        }
        self.by_key.len() < MAX_BUCKETS
    }

    /// Begins to note what changes.
    pub(super) fn share(&mut self) {
        self.changed.get_or_insert_default();
    }

    /// Returns what was taken from since it was asked last.
    pub(super) fn changed(&mut self) -> HashSet<Arc<str>> {
        self.changed.as_mut().map(mem::take).unwrap_or_default()
    }

    /// Returns the keys of all buckets.
    pub(super) fn keys(&self) -> Vec<Arc<str>> {
        self.by_key.keys().cloned().collect()
    }

    /// Returns what to tell of a bucket.
    pub(super) fn account(&mut self, key: &str, now_ms: i64) -> Option<Account> {
        let rules = self.rules;
        let bucket = self.bucket(key, now_ms)?;
        let missing = rules.full.saturating_sub(bucket.left);
        // Rounded up, so that nobody thinks it fuller than it is.
        let missing = missing.saturating_add(rules.period_ms - 1) / rules.period_ms;
        Some(Account {
            taken: bucket.taken,
            missing: missing.max(0).unsigned_abs(),
        })
    }

    /// Takes in what a replica told of a bucket; `is_new` says that nothing was heard from it before.
    pub(super) fn hear(
        &mut self,
        key: Arc<str>,
        from: u64,
        is_new: bool,
        told: Account,
        now_ms: i64,
    ) {
        if !self.by_key.contains_key(&key) && !self.has_room(now_ms) {
            return;
        }
        let rules = self.rules;
        let bucket = self
            .by_key
            .entry(key)
            .or_insert_with(|| Bucket::full(rules, now_ms));
        bucket.fill(rules, now_ms);
        bucket.hear(rules, from, is_new, told);
    }
}
