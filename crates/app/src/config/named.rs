//! Settings below names of the operator's own: `sources.NAME.KEY` and its like. Which keys each of them
//! may have, its own file says; a name is part of addresses, records and variables, so it is plain.

use std::collections::BTreeMap;

use super::layers::Written;
use super::{certificates, issuers, sources};

const MAX_NAME_CHARACTERS: usize = 64;

/// Names of the operator's own, each with the same few keys.
#[derive(Debug)]
pub(super) struct Group {
    /// Where the names stand.
    pub(super) path: &'static str,
    /// What one of them is called.
    pub(super) one: &'static str,
    pub(super) keys: &'static [&'static str],
    /// Those that may be a list.
    pub(super) lists: &'static [&'static str],
    /// A key for one value, and the one under which it is kept.
    pub(super) single: Option<(&'static str, &'static str)>,
}

/// All of them.
const GROUPS: [&Group; 3] = [&sources::GROUP, &certificates::GROUP, &issuers::GROUP];

impl Group {
    /// Parts `{path}.NAME.KEY`.
    fn parts<'a>(&self, key: &'a str) -> Option<(&'a str, &'a str)> {
        let below = key.strip_prefix(self.path)?.strip_prefix('.')?;
        below.split_once('.')
    }

    fn full(&self, name: &str, own: &str) -> String {
        format!("{}.{name}.{own}", self.path)
    }

    /// Returns what is written below each name.
    pub(super) fn entries<'a>(
        &'static self,
        values: &'a BTreeMap<String, Written>,
    ) -> Vec<Entry<'a>> {
        let mut of_names: BTreeMap<&str, BTreeMap<&str, &Written>> = BTreeMap::new();
        for (key, written) in values {
            if let Some((name, own)) = self.parts(key) {
                of_names.entry(name).or_default().insert(own, written);
            }
        }
        let entry = |(name, keys)| Entry {
            group: self,
            name,
            keys,
        };
        of_names.into_iter().map(entry).collect()
    }
}

/// What is written below one name.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    group: &'static Group,
    pub(super) name: &'a str,
    pub(super) keys: BTreeMap<&'a str, &'a Written>,
}

impl Entry<'_> {
    /// Returns a key of it as settings know it.
    pub(super) fn full(&self, own: &str) -> String {
        self.group.full(self.name, own)
    }

    pub(super) fn text(&self, own: &str) -> Option<&str> {
        self.keys.get(own)?.text.as_deref()
    }

    /// Returns a key that is written, for what is wrong with all of it.
    pub(super) fn any(&self) -> String {
        let any = self.keys.keys().next();
        self.full(any.expect("an entry has what it was found by"))
    }
}

fn is_name(name: &str) -> bool {
    let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    (1..=MAX_NAME_CHARACTERS).contains(&name.len()) && name.bytes().all(known)
}

/// Returns the group that a key is of, its name there and its own part, whether they are known or not.
fn find(key: &str) -> Option<(&'static Group, &str, &str)> {
    GROUPS.into_iter().find_map(|group| {
        let (name, own) = group.parts(key)?;
        Some((group, name, own))
    })
}

/// Says whether names of the operator's own stand below a key.
pub(super) fn is_group(key: &str) -> bool {
    GROUPS.iter().any(|group| group.path == key)
}

/// Returns the key under which a setting is kept, if it is one.
pub(super) fn key(key: &str) -> Option<String> {
    let (group, name, own) = find(key)?;
    if !is_name(name) || !group.keys.contains(&own) {
        return None;
    }
    let kept = match group.single {
        Some((single, kept)) if single == own => kept,
        _ => own,
    };
    Some(group.full(name, kept))
}

/// Says what is wrong with a name, if a setting is below one.
pub(super) fn name_hint(key: &str) -> Option<String> {
    let (group, name, _) = find(key)?;
    let hint = format!(
        "{}'s name has up to {MAX_NAME_CHARACTERS} of `a` to `z`, `0` to `9`, `-` and `_`; `{name}` has not",
        group.one
    );
    (!is_name(name)).then_some(hint)
}

/// Says whether a setting may be a list.
pub(super) fn is_list(key: &str) -> bool {
    find(key).is_some_and(|(group, _, own)| group.lists.contains(&own))
}

/// Returns the keys that may stand beside one.
pub(super) fn keys_beside(key: &str) -> Vec<String> {
    let Some((group, name, _)) = find(key) else {
        return Vec::new();
    };
    group.keys.iter().map(|own| group.full(name, own)).collect()
}
