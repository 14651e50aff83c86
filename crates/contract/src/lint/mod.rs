//! What the loader accepts and somebody will regret: rules over a whole set of contracts. Each rule
//! is a file in `rules/` with its reason and examples; the loader's own findings come before.
//! To add one: write its file and name it in [`RULES`]; its examples are its test. A false finding is
//! worse than a miss: what needs judgement is a warning, and `metadata.allow` says that one is meant.

mod rules;
mod words;

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use crate::date::Date;
use crate::load::{Diagnostic, Diagnostics, Document, Level};
use crate::model::{Allowance, Contracts, EventContract};
use crate::path::Path;
use crate::reader::Reader;
use crate::schema::Schema;

pub(crate) use self::rules::capacity_for_peak::EVENTS_A_PARTITION;

/// A rule and what people are told about it.
#[derive(Debug)]
pub struct Rule {
    /// What the rule demands, in a few words with `-`.
    pub name: &'static str,
    /// How much a finding weighs.
    pub level: Level,
    /// Why the rule is there.
    pub why: &'static str,
    /// A contract file that breaks it.
    pub bad: &'static str,
    /// The same one mended.
    pub good: &'static str,
    /// The schema files that the examples name, beside `schemas/any.json`, which is `{}`.
    pub schemas: &'static [(&'static str, &'static str)],
    check: fn(&Contracts, &mut Findings),
}

/// Every rule, by name.
pub static RULES: &[&Rule] = &[
    &rules::allowance_known::RULE,
    &rules::allowance_used::RULE,
    &rules::bridge_source_known::RULE,
    &rules::canary_reader_known::RULE,
    &rules::capacity_for_peak::RULE,
    &rules::dead_letter_owned::RULE,
    &rules::deprecated_unread::RULE,
    &rules::deprecation_told::RULE,
    &rules::fact_whole::RULE,
    &rules::key_not_random::RULE,
    &rules::key_spreads::RULE,
    &rules::named_as_class::RULE,
    &rules::names_alike::RULE,
    &rules::outside_described::RULE,
    &rules::owner_declared::RULE,
    &rules::personal_declared::RULE,
    &rules::reader_accepts_version::RULE,
    &rules::reader_contract_known::RULE,
    &rules::reader_fields_declared::RULE,
    &rules::reader_handles_duplicates::RULE,
    &rules::reader_owned::RULE,
    &rules::readers_apart::RULE,
    &rules::replay_within_retention::RULE,
    &rules::retention_bounded::RULE,
    &rules::retention_covers_readers::RULE,
    &rules::schema_compiles::RULE,
    &rules::sunset_kept::RULE,
    &rules::table_not_topic::RULE,
    &rules::topic_names_apart::RULE,
    &rules::topic_per_event::RULE,
    &rules::version_not_in_name::RULE,
    &rules::window_within_retention::RULE,
];

/// Checks a set of contracts by every rule that needs no calendar. Compiles every schema, which takes
/// its time.
pub fn lint(contracts: &Contracts) -> Diagnostics {
    lint_on(contracts, None)
}

/// Checks a set of contracts by every rule, as of a day.
pub fn lint_on(contracts: &Contracts, today: Option<Date>) -> Diagnostics {
    let mut findings = Findings {
        rule: RULES[0],
        today,
        found: Diagnostics::default(),
        allowed: HashSet::new(),
    };
    // Which allowances were used is known when all others are done.
    let last = &rules::allowance_used::RULE;
    let others = RULES.iter().filter(|rule| rule.name != last.name);
    for rule in others.copied().chain([last]) {
        findings.rule = rule;
        (rule.check)(contracts, &mut findings);
    }
    findings.found.sort();
    findings.found
}

/// Returns the paths that look like they are about persons, each with what it tells.
pub(crate) fn personal_fields(schema: &Schema) -> Vec<(String, &'static str)> {
    let fields = rules::personal_declared::personal_fields(schema);
    let fields = fields
        .into_iter()
        .map(|(field, category)| (field.path(), category));
    // A name with a blank in it has no path.
    fields
        .filter(|(path, _)| path.parse::<Path>().is_ok())
        .collect()
}

/// Finds a rule.
fn rule(name: &str) -> Option<&'static Rule> {
    RULES.iter().copied().find(|rule| rule.name == name)
}

/// A document that findings are about.
trait Subject {
    fn document(&self) -> &Document;
    fn allows(&self) -> &[Allowance];
    /// Its kind and name.
    fn label(&self) -> (&'static str, &str);
}

impl Subject for EventContract {
    fn document(&self) -> &Document {
        &self.document
    }

    fn allows(&self) -> &[Allowance] {
        &self.allows
    }

    fn label(&self) -> (&'static str, &str) {
        ("contract", &self.name)
    }
}

impl Subject for Reader {
    fn document(&self) -> &Document {
        &self.document
    }

    fn allows(&self) -> &[Allowance] {
        &self.allows
    }

    fn label(&self) -> (&'static str, &str) {
        ("reader", &self.name)
    }
}

/// Visits everything that findings may be about.
fn subjects(contracts: &Contracts) -> impl Iterator<Item = &dyn Subject> {
    let events = contracts.iter().map(|contract| &**contract as &dyn Subject);
    events.chain(contracts.readers().map(|reader| &**reader as &dyn Subject))
}

/// Where a rule puts what it finds.
struct Findings {
    rule: &'static Rule,
    today: Option<Date>,
    found: Diagnostics,
    /// The findings that were allowed, by document and rule.
    allowed: HashSet<(&'static str, String, &'static str)>,
}

impl Findings {
    fn add(&mut self, subject: &dyn Subject, key: &str, message: String, hint: &str) {
        let (level, name) = (self.rule.level, self.rule.name);
        let meant = subject
            .allows()
            .iter()
            .any(|allowance| allowance.rule == name);
        if level == Level::Warning && meant {
            let (kind, of) = subject.label();
            self.allowed.insert((kind, of.to_owned(), name));
            return;
        }
        let finding = subject
            .document()
            .finding(key, message, Some(hint.to_owned()));
        self.found.push(Diagnostic {
            level,
            rule: Some(name),
            ..finding
        });
    }

    fn was_allowed(&self, subject: &dyn Subject, rule: &str) -> bool {
        let (kind, of) = subject.label();
        self.allowed
            .iter()
            .any(|(k, o, r)| *k == kind && o == of && *r == rule)
    }
}

/// Says how many there are of something.
fn count(number: usize, one: &str, many: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        number => format!("{number} {many}"),
    }
}
