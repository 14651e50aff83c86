//! Every allowance still allows something.

use super::super::subjects;
use super::super::{Findings, Rule};
use crate::load::Level;
use crate::model::Contracts;

pub(in super::super) static RULE: Rule = Rule {
    name: "allowance-used",
    level: Level::Warning,
    why: "an allowance that outlives its finding hides the next one of the same rule",
    bad: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders, allow: [{rule: retention-bounded, why: the tax law asks for eleven years}]}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
"##,
    good: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders, allow: [{rule: retention-bounded, why: the tax law asks for eleven years}]}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
  topic: {retention: 4018d}
"##,
    schemas: &[],
    check,
};

fn check(contracts: &Contracts, findings: &mut Findings) {
    for subject in subjects(contracts) {
        for (place, allowance) in subject.allows().iter().enumerate() {
            let name = &allowance.rule;
            // What is no warning is told by `allowance-known`.
            let allowable =
                super::super::rule(name).is_some_and(|rule| rule.level == Level::Warning);
            // A rule of the calendar may find nothing because nobody said which day it is.
            let unknown = findings.today.is_none() && *name == super::sunset_kept::RULE.name;
            if allowable && !unknown && !findings.was_allowed(subject, name) {
                let message = format!("`{name}` finds nothing here that could be allowed");
                let key = format!("metadata.allow[{place}].rule");
                findings.add(subject, &key, message, "take the allowance out");
            }
        }
    }
}
