//! Schemas, and what they promised.

use serde_json::json;

use super::{load, order, rules, set};
use crate::diff::{Severity, diff_earlier};

#[test]
fn the_schema_is_held_to_the_earlier_promise() {
    let with = |level: &str, file: &str| {
        let document = set(&order(), "spec.schema.compatibility", &json!(level));
        set(&document, "spec.schema.file", &json!(file))
    };
    assert_eq!(
        rules(
            [with("BACKWARD", "order.json")],
            [with("BACKWARD", "more.json")]
        ),
        ["schema-changed"]
    );
    assert_eq!(
        rules([with("FULL", "order.json")], [with("FULL", "other.json")]),
        ["schema-incompatible"; 2]
    );
    assert_eq!(
        rules([with("NONE", "order.json")], [with("NONE", "other.json")]),
        ["schema-unbound"]
    );
    // Weakening the promise in the same change does not help.
    let weakened = rules(
        [with("BACKWARD", "order.json")],
        [with("NONE", "other.json")],
    );
    assert_eq!(weakened, ["schema-incompatible", "compatibility-weakened"]);
    let avro = |file: &str| {
        set(
            &with("BACKWARD", file),
            "spec.schema.format",
            &json!("avro"),
        )
    };
    assert_eq!(
        rules([avro("order.avsc")], [avro("other.avsc")]),
        ["schema-incompatible"]
    );
    assert_eq!(
        rules([with("BACKWARD", "order.json")], [avro("order.avsc")]),
        ["schema-incompatible"]
    );
    let unbound = |document| set(&document, "spec.schema.compatibility", &json!("NONE"));
    let found = rules(
        [unbound(with("NONE", "order.json"))],
        [unbound(avro("order.avsc"))],
    );
    assert_eq!(found, ["format-changed", "schema-unbound"]);
}

#[test]
fn transitive_promises_look_further_back() {
    let version = |level: &str, file: &str| {
        let document = set(&order(), "spec.schema.compatibility", &json!(level));
        load(&[set(&document, "spec.schema.file", &json!(file))])
    };
    // The first had another type of id; the last before the new one promises to go on reading it.
    let first = version("BACKWARD", "other.json");
    for (level, expected) in [
        ("BACKWARD", 0),
        ("BACKWARD_TRANSITIVE", 1),
        ("FULL_TRANSITIVE", 2),
    ] {
        let (last, new) = (version(level, "order.json"), version(level, "order.json"));
        let changes = diff_earlier("v1", &first, &last, &new);
        assert_eq!(changes.len(), expected, "{level}");
        for change in changes {
            assert_eq!(change.severity, Severity::Breaking);
            let said = format!("the schema breaks `{level}` against `v1`: at `#/properties/id` ");
            assert!(
                change.finding.message.starts_with(&said),
                "{}",
                change.finding.message
            );
        }
    }
}
