//! Every schema compiles. The loader checks a schema's form; what its references lead to shows when
//! it is compiled, which serving does on the first event.

use super::super::{Findings, Rule};
use crate::load::Level;
use crate::model::Contracts;

pub(in super::super) static RULE: Rule = Rule {
    name: "schema-compiles",
    level: Level::Error,
    why: "events under a broken schema cannot be judged, so all of them are refused",
    bad: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/lost.json}
  key: {from: $.orderId}
"##,
    good: r#"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
"#,
    schemas: &[("schemas/lost.json", r##"{"$ref": "#/definitions/lost"}"##)],
    check,
};

fn check(contracts: &Contracts, findings: &mut Findings) {
    for contract in contracts {
        if let Err(error) = contract.schema.schema.compile() {
            findings.add(
                contract.as_ref(),
                "spec.schema.file",
                error.to_string(),
                error.hint(),
            );
        }
    }
}
