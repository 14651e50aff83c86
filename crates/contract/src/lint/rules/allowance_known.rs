//! Allowed findings are of a rule that exists, and of one that may be allowed.

use super::super::{Findings, Rule};
use super::super::{RULES, subjects};
use crate::load::Level;
use crate::model::Contracts;

pub(in super::super) static RULE: Rule = Rule {
    name: "allowance-known",
    level: Level::Error,
    why: "an allowance with a slip in it allows nothing, and what does not work cannot be meant",
    bad: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders, allow: [{rule: retention-bound, why: the tax law asks for eleven years}]}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
  topic: {retention: 30d}
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
            let key = format!("metadata.allow[{place}].rule");
            match super::super::rule(name) {
                None => {
                    let message = format!("there is no lint rule `{name}`");
                    let likeness =
                        |rule: &&&Rule| (1e6 * strsim::jaro_winkler(name, rule.name)) as u32;
                    let nearest = RULES.iter().max_by_key(likeness);
                    let hint = nearest.map_or_else(String::new, |rule| {
                        format!("the nearest one is `{}`", rule.name)
                    });
                    findings.add(subject, &key, message, &hint);
                }
                Some(rule) if rule.level == Level::Error => {
                    let message = format!("findings of `{name}` are errors and cannot be allowed");
                    let hint = "mend what it finds, and take the allowance out";
                    findings.add(subject, &key, message, hint);
                }
                Some(_) => {}
            }
        }
    }
}
