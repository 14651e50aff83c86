//! What the loader accepts and somebody will regret: rules over a whole set of contracts. Each rule
//! is a file in `rules/` with its reason and examples; the loader's own findings come before.
//! To add one: write its file and name it in [`RULES`]; its examples are its test.

mod rules;

use crate::load::{Diagnostic, Diagnostics, Level};
use crate::model::{Contracts, EventContract};

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
    check: fn(&Contracts, &mut Findings<'_>),
}

/// Every rule, by name.
pub static RULES: &[&Rule] = &[
    &rules::bridge_source_known::RULE,
    &rules::canary_reader_known::RULE,
    &rules::owner_declared::RULE,
    &rules::schema_compiles::RULE,
    &rules::topic_names_apart::RULE,
    &rules::window_within_retention::RULE,
];

/// Checks a set of contracts by every rule. Compiles every schema, which takes its time.
pub fn lint(contracts: &Contracts) -> Diagnostics {
    let mut found = Diagnostics::default();
    for rule in RULES {
        (rule.check)(
            contracts,
            &mut Findings {
                rule,
                found: &mut found,
            },
        );
    }
    found.sort();
    found
}

/// Where a rule puts what it finds.
struct Findings<'a> {
    rule: &'static Rule,
    found: &'a mut Diagnostics,
}

impl Findings<'_> {
    fn add(&mut self, contract: &EventContract, key: &str, message: String, hint: &str) {
        let finding = contract
            .document
            .finding(key, message, Some(hint.to_owned()));
        let (level, rule) = (self.rule.level, Some(self.rule.name));
        self.found.push(Diagnostic {
            level,
            rule,
            ..finding
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lint_text(text: &str) -> Diagnostics {
        let schema = |path: &str| match path {
            "schemas/any.json" => Some("{}".to_owned()),
            "schemas/lost.json" => Some(r##"{"$ref": "#/definitions/lost"}"##.to_owned()),
            _ => None,
        };
        let files = [("contracts.yaml".to_owned(), text.to_owned())];
        lint(&crate::load::sources(&files, &schema).unwrap_or_else(|e| panic!("{e}\n{text}")))
    }

    #[test]
    fn a_rule_finds_its_bad_example_and_leaves_its_good_one_alone() {
        for rule in RULES {
            let found = lint_text(rule.bad);
            assert!(!found.is_empty(), "{}", rule.name);
            for finding in &found {
                assert_eq!(finding.rule, Some(rule.name), "{finding}");
                assert_eq!(finding.level, rule.level);
                assert!(finding.line > 0, "{finding}");
            }
            let found = lint_text(rule.good);
            assert!(found.is_empty(), "{}: {found}", rule.name);
        }
    }

    #[test]
    fn rules_stand_by_name() {
        assert!(RULES.is_sorted_by_key(|rule| rule.name));
    }
}
