//! What a change means of keys that hold many things: rules, fields about persons, the shape of
//! requests, the bridge from an earlier type. They are compared by their names, not by their places in the file.

use super::rules::{self, Rule};
use crate::model::{
    Auth, CompatibilityPolicy, EventContract, FieldRule, OnFailure, Protect, Quota,
};
use crate::path::Path;
use crate::schema::compatibility;

const RULES: &str = "spec.schema.rules";
const PERSONAL: &str = "spec.privacy.fields";
const REGIONS: &str = "spec.privacy.regions";
const REQUEST: &str = "spec.ingress.request";
const ALLOW: &str = "metadata.allow";
const DEPRECATION: &str = "spec.deprecation";
const MIGRATION: &str = "spec.migration";
const AUTH: &str = "spec.ingress.auth";
const QUOTAS: &str = "spec.ingress.quotas";

/// A change and the key it stands at.
pub(super) struct Found {
    pub(super) key: String,
    pub(super) rule: &'static Rule,
    pub(super) message: String,
}

/// Says whether a key is compared here.
pub(super) fn owns(key: &str) -> bool {
    let inside = |part: &str| {
        key.strip_prefix(part)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', '.']))
    };
    [
        RULES,
        PERSONAL,
        REGIONS,
        REQUEST,
        ALLOW,
        DEPRECATION,
        MIGRATION,
        AUTH,
        QUOTAS,
    ]
    .into_iter()
    .any(inside)
}

pub(super) fn compare(before: &EventContract, after: &EventContract) -> Vec<Found> {
    let mut found = Vec::new();
    field_rules(before, after, &mut found);
    personal_fields(before, after, &mut found);
    regions(before, after, &mut found);
    request(before, after, &mut found);
    deprecation(before, after, &mut found);
    auth(before, after, &mut found);
    quotas(before, after, &mut found);
    if before.allows != after.allows {
        found.push(Found {
            key: ALLOW.to_owned(),
            rule: &rules::DESCRIBED,
            message: "other lint findings are allowed".to_owned(),
        });
    }
    migration(before, after, &mut found);
    found
}

fn field_rules(before: &EventContract, after: &EventContract, found: &mut Vec<Found>) {
    let (old, new) = (&before.schema.rules, &after.schema.rules);
    let named = |rules: &[FieldRule], name: &str| rules.iter().position(|rule| rule.name == name);
    let refuses = |rule: &FieldRule| rule.on_failure != OnFailure::Warn;
    for (place, rule) in new.iter().enumerate() {
        let name = &rule.name;
        let earlier = named(old, name).map(|place| &old[place]);
        let (judged, message) = match earlier {
            None if refuses(rule) => (
                &rules::RULE_ADDED,
                format!("rule `{name}` is new: events that break it are refused"),
            ),
            None => (
                &rules::RELAXED,
                format!("rule `{name}` is new and only warns"),
            ),
            Some(earlier) if refuses(rule) && !refuses(earlier) => (
                &rules::RULE_ADDED,
                format!("rule `{name}` only warned: now events that break it are refused"),
            ),
            Some(earlier) if earlier.expression.as_str() != rule.expression.as_str() => {
                let (from, to) = (earlier.expression.as_str(), rule.expression.as_str());
                let message = format!("rule `{name}` was `{from}`, is `{to}`");
                match refuses(rule) {
                    true => (&rules::RULE_CHANGED, message),
                    false => (&rules::RELAXED, message),
                }
            }
            Some(earlier) if earlier.on_failure != rule.on_failure => {
                let (from, to) = (earlier.on_failure, rule.on_failure);
                let message = format!("events that break rule `{name}` met `{from}`, meet `{to}`");
                (&rules::RELAXED, message)
            }
            Some(_) => continue,
        };
        found.push(Found {
            key: format!("{RULES}[{place}].name"),
            rule: judged,
            message,
        });
    }
    for rule in old {
        if named(new, &rule.name).is_none() {
            let message = format!(
                "rule `{}` is gone: readers may have relied on it",
                rule.name
            );
            found.push(Found {
                key: RULES.to_owned(),
                rule: &rules::RULE_REMOVED,
                message,
            });
        }
    }
}

fn auth(before: &EventContract, after: &EventContract, found: &mut Vec<Found>) {
    let (old, new) = (&before.ingress.auth, &after.ingress.auth);
    let takes = |by: &[Auth], proof: &Auth| by.is_empty() || by.iter().any(|it| it.covers(proof));
    let is_narrower = match old.is_empty() {
        true => !new.is_empty(),
        false => old.iter().any(|proof| !takes(new, proof)),
    };
    let (rule, message) = match is_narrower {
        true => (
            &rules::AUTH_NARROWED,
            "senders that were taken may be refused",
        ),
        false if old == new => return,
        false => (&rules::RELAXED, "senders are taken that were refused"),
    };
    found.push(Found {
        key: AUTH.to_owned(),
        rule,
        message: message.to_owned(),
    });
}

fn quotas(before: &EventContract, after: &EventContract, found: &mut Vec<Found>) {
    let (old, new) = (&before.ingress.quotas, &after.ingress.quotas);
    let named = |quotas: &[Quota], name: &str| quotas.iter().position(|quota| quota.name == name);
    for (place, quota) in new.iter().enumerate() {
        let name = &quota.name;
        let earlier = named(old, name).map(|place| &old[place]);
        let (rule, message) = match earlier {
            Some(earlier) if quota.is_at_least(earlier) && earlier.is_at_least(quota) => continue,
            Some(earlier) if quota.is_at_least(earlier) => {
                (&rules::RELAXED, format!("quota `{name}` allows more"))
            }
            Some(_) => (
                &rules::QUOTA_LOWERED,
                format!("quota `{name}` allows less, or is counted in another way"),
            ),
            None => (&rules::QUOTA_LOWERED, format!("quota `{name}` is new")),
        };
        found.push(Found {
            key: format!("{QUOTAS}[{place}].name"),
            rule,
            message,
        });
    }
    for quota in old.iter().filter(|quota| named(new, &quota.name).is_none()) {
        found.push(Found {
            key: QUOTAS.to_owned(),
            rule: &rules::RELAXED,
            message: format!("quota `{}` is gone", quota.name),
        });
    }
}

fn personal_fields(before: &EventContract, after: &EventContract, found: &mut Vec<Found>) {
    for field in &before.personal {
        let path = &field.path;
        let kept = after.personal.iter().find(|other| other.path == *path);
        let protects = kept.and_then(|other| other.protect);
        if kept.is_some() && protects != field.protect {
            found.push(protection(path, field.protect, protects));
        }
        let (rule, message) = match kept {
            None if after.schema.schema.may_hold(path) => (
                &rules::PERSONAL_UNDECLARED,
                format!("`{path}` is still in the schema, and no longer said to be about persons"),
            ),
            None => (&rules::DESCRIBED, format!("`{path}` about persons is gone")),
            Some(other) if other.category != field.category => (
                &rules::DESCRIBED,
                format!("`{path}` was `{}`, is `{}`", field.category, other.category),
            ),
            Some(_) => continue,
        };
        found.push(Found {
            key: PERSONAL.to_owned(),
            rule,
            message,
        });
    }
    for field in &after.personal {
        if !before.personal.iter().any(|other| other.path == field.path) {
            if field.protect.is_some() {
                found.push(protection(&field.path, None, field.protect));
            }
            found.push(Found {
                key: format!("{PERSONAL}[{}].category", field.path),
                rule: &rules::DESCRIBED,
                message: format!("`{}` is said to be about persons", field.path),
            });
        }
    }
}

/// Tells that a field is stored in another way.
fn protection(path: &Path, from: Option<Protect>, to: Option<Protect>) -> Found {
    let said = |protect: Option<Protect>| match protect {
        Some(protect) => format!("protected by `{protect}`"),
        None => "stored as it is".to_owned(),
    };
    let rule = match to {
        Some(Protect::Reject) => &rules::FIELD_REJECTED,
        Some(_) => &rules::PROTECTION_CHANGED,
        None => &rules::PROTECTION_LOST,
    };
    Found {
        key: format!("{PERSONAL}[{path}].protect"),
        rule,
        message: format!("`{path}` was {}, is {}", said(from), said(to)),
    }
}

fn regions(before: &EventContract, after: &EventContract, found: &mut Vec<Found>) {
    if before.regions == after.regions {
        return;
    }
    let said = |regions: &[String]| match regions {
        [] => "anywhere".to_owned(),
        some => format!("in `{}`", some.join("`, `")),
    };
    let widened = before
        .regions
        .iter()
        .all(|region| after.regions.contains(region));
    let (rule, old) = match after.regions.is_empty() || (widened && !before.regions.is_empty()) {
        true => (&rules::RELAXED, said(&before.regions)),
        false => (&rules::REGIONS_CHANGED, said(&before.regions)),
    };
    found.push(Found {
        key: REGIONS.to_owned(),
        rule,
        message: format!(
            "events were kept {old}, may be kept {}",
            said(&after.regions)
        ),
    });
}

fn deprecation(before: &EventContract, after: &EventContract, found: &mut Vec<Found>) {
    let (old, new) = (before.deprecation.as_ref(), after.deprecation.as_ref());
    if old == new {
        return;
    }
    let ends = (old.and_then(|d| d.sunset), new.and_then(|d| d.sunset));
    let (part, rule, message) = match ends {
        (Some(old), Some(new)) if new < old => (
            ".sunset",
            &rules::SUNSET_NEARER,
            format!("events may be refused from `{new}` on, not only from `{old}` on"),
        ),
        (None, Some(new)) if old.is_some() => (
            ".sunset",
            &rules::SUNSET_NEARER,
            format!("events may be refused from `{new}` on; no end was set"),
        ),
        (_, Some(new)) => (
            "",
            &rules::DESCRIBED,
            format!("senders are told that it ends on `{new}`"),
        ),
        (_, None) if new.is_some() => (
            "",
            &rules::DESCRIBED,
            "senders are told that it is on its way out".to_owned(),
        ),
        (_, None) => (
            "",
            &rules::DESCRIBED,
            "senders are no longer told that it is on its way out".to_owned(),
        ),
    };
    found.push(Found {
        key: format!("{DEPRECATION}{part}"),
        rule,
        message,
    });
}

fn request(before: &EventContract, after: &EventContract, found: &mut Vec<Found>) {
    let mut add = |key: String, rule, message| found.push(Found { key, rule, message });
    let (old, new) = match (&before.ingress.request, &after.ingress.request) {
        (None, None) => return,
        (Some(old), Some(new)) => (old, new),
        (None, Some(_)) | (Some(_), None) => {
            let message = "plain bodies have another shape: what is sent today is refused";
            add(
                REQUEST.to_owned(),
                &rules::REQUEST_CHANGED,
                message.to_owned(),
            );
            return;
        }
    };
    let level = crate::model::Compatibility::Backward;
    let reasons = compatibility::check(
        level,
        CompatibilityPolicy::Lenient,
        &new.schema,
        &[&old.schema],
    );
    for reason in reasons {
        let message = format!(
            "bodies that are sent today may be refused: at `{}` {} ({})",
            reason.found.path, reason.found.detail, reason.found.rule
        );
        add(
            format!("{REQUEST}.schema"),
            &rules::REQUEST_CHANGED,
            message,
        );
    }
    if old.map.texts() != new.map.texts() {
        let message = "the data is made of the body in another way".to_owned();
        add(format!("{REQUEST}.map"), &rules::REQUEST_MAPPED, message);
    }
    if old.headers != new.headers {
        let message = "other headers are kept beside the original body".to_owned();
        add(format!("{REQUEST}.headers"), &rules::DESCRIBED, message);
    }
}

fn migration(before: &EventContract, after: &EventContract, found: &mut Vec<Found>) {
    let mut add = |key: &str, rule, message: String| {
        found.push(Found {
            key: key.to_owned(),
            rule,
            message,
        });
    };
    let (old, new) = match (&before.migration, &after.migration) {
        (None, None) => return,
        (Some(old), Some(new)) => (old, new),
        (None, Some(new)) => {
            let message = format!("events of `{}` will be copied into it", new.from);
            return add(MIGRATION, &rules::BRIDGE_ADDED, message);
        }
        (Some(old), None) => {
            let message = format!(
                "events of `{}` are no longer copied: who still sends them reaches nobody here",
                old.from
            );
            return add(MIGRATION, &rules::BRIDGE_REMOVED, message);
        }
    };
    if old.from != new.from {
        let message = format!(
            "events of `{}` are copied in place of those of `{}`",
            new.from, old.from
        );
        add("spec.migration.from", &rules::BRIDGE_REMOVED, message);
    }
    if old.map.texts() != new.map.texts() {
        let message = "events are copied in another way from now on".to_owned();
        add("spec.migration.map", &rules::BRIDGE_MAPPED, message);
    }
    if old.canary != new.canary {
        let message = "the first part for the canaries is another one".to_owned();
        add("spec.migration.canary", &rules::DESCRIBED, message);
    }
}
