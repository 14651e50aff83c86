//! Documents that are put, replaced, left alone and taken away.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_contract::load;

use super::{
    bounds, check, contract, drafted, in_force, lines, names, options, plain, team, texts, version,
};
use crate::contracts::action::Action;
use crate::contracts::plan::{Options, World, plan};
use crate::terms::Terms;

#[test]
fn documents_are_put_replaced_and_left_alone() {
    let set = [team(""), contract("a", "")];
    let topics = [plain("a"), plain("b"), plain("c")];
    let none = Options::default();
    let with_b = [team(""), contract("a", ""), contract("b", "")];
    check(
        &set,
        &topics,
        &with_b,
        &none,
        &["=topic b", "+b contract-added"],
    );
    check(
        &set,
        &topics[..1],
        &with_b,
        &none,
        &["+topic b 3", "+b contract-added"],
    );
    // What is not among them stays.
    let planned = check(
        &set,
        &topics,
        &[team(""), contract("b", "")],
        &none,
        &[
            "=topic b",
            "+b contract-added",
            "(in force and not among these documents, stays: `a`)",
        ],
    );
    let names: Vec<&str> = planned
        .documents
        .iter()
        .map(|it| it.name.as_str())
        .collect();
    assert_eq!(names, ["a", "b", "t"]);
    let raised = [team(""), version("a", "1.1.0", "")];
    let planned = check(&set, &topics, &raised, &none, &["~a described"]);
    let Action::ReplaceDocument(entry) = &planned.plan.actions[0] else {
        panic!("{:?}", planned.plan.actions);
    };
    assert_eq!(
        (entry.from.as_deref(), &*entry.version),
        (Some("1.0.0"), "1.1.0")
    );
    let broken = contract("a", "").replace("a.json", "b.json");
    let broken = [team(""), broken];
    check(&set, &topics, &broken, &none, &["~a schema-incompatible"]);
}

#[test]
fn only_those_that_are_named() {
    let set = [team(""), contract("a", "")];
    let wanted = [team(""), version("a", "1.1.0", ""), contract("b", "")];
    let topics = [plain("a"), plain("b")];
    let only = options(|it| it.only = names(&["b"]));
    check(
        &set,
        &topics,
        &wanted,
        &only,
        &["=topic b", "+b contract-added"],
    );
    let unknown = options(|it| it.only = names(&["c"]));
    check(&set, &topics, &wanted, &unknown, &["!c"]);
}

#[test]
fn nothing_goes_that_was_not_named() {
    let set = [team(""), contract("a", ""), contract("b", "")];
    let topics = [plain("a"), plain("b")];
    let others = [team(""), contract("a", "")];
    let delete = options(|it| it.delete = names(&["b"]));
    check(&set, &topics, &others, &delete, &["-b contract-removed"]);
    // One that is still in the folder would come back with the next apply.
    check(&set, &topics, &set, &delete, &["!b"]);
    let gone = options(|it| it.delete = names(&["c"]));
    check(&set, &topics, &set, &gone, &["(`c` is not in force)"]);
    let topic_too = options(|it| {
        it.delete = names(&["b"]);
        it.delete_topics = names(&["b"]);
    });
    check(
        &set,
        &topics,
        &others,
        &topic_too,
        &["-b contract-removed", "-topic b"],
    );
    let topic_alone = options(|it| it.delete_topics = names(&["b"]));
    let stays = "(in force and not among these documents, stays: `b`)";
    check(&set, &topics, &others, &topic_alone, &["!b", stays]);
    let foreign = options(|it| {
        it.delete = names(&["b"]);
        it.delete_topics = names(&["x"]);
    });
    let with_x = [plain("a"), plain("b"), plain("x")];
    check(
        &set,
        &with_x,
        &others,
        &foreign,
        &["-b contract-removed", "!x"],
    );
    // Applied again after a break: the contract went, its topic did not.
    let (mut current, folded) = in_force(&set);
    let after = drafted(&current, &folded, &topics, &others, &delete);
    (current.pieces, current.contracts) = (after.pieces, after.contracts);
    let again = drafted(&current, &folded, &topics, &others, &topic_too);
    assert_eq!(lines(&again.plan), ["-topic b", "(`b` is not in force)"]);
}

#[test]
fn schemas_are_tried_in_the_registry_before_anything_is_done() {
    let set = [team("")];
    let none = Options::default();
    let with = |name: &str, file: &str| {
        contract(name, "").replace("a.json", &format!("{file}, subject: s"))
    };
    let topics = [plain("a"), plain("b")];
    let one = [team(""), with("a", "a.json")];
    check(
        &set,
        &topics,
        &one,
        &none,
        &["=topic a", "+schema s 1", "+a contract-added"],
    );
    // Two of one subject: the second is judged by what the first leaves.
    let same = [team(""), with("a", "a.json"), with("b", "a.json")];
    let planned = check(
        &set,
        &topics,
        &same,
        &none,
        &[
            "=topic a",
            "=topic b",
            "+schema s 1",
            "+a contract-added",
            "+b contract-added",
        ],
    );
    assert_eq!(planned.plan.add, 3);
    let other = [team(""), with("a", "a.json"), with("b", "b.json")];
    check(
        &set,
        &topics,
        &other,
        &none,
        &[
            "=topic a",
            "=topic b",
            "+schema s 1",
            "+a contract-added",
            "+b contract-added",
            "!b",
        ],
    );
}

#[test]
fn a_set_that_does_not_hold_together_is_no_plan() {
    let (current, folded) = in_force(&[team(""), contract("a", "")]);
    let world = World {
        terms: Terms::default(),
        topics: BTreeMap::new(),
        bounds: bounds(),
        registry: Arc::default(),
    };
    let told = |documents: &[String], options: &Options| {
        let wanted = load::split(&texts(documents)).unwrap();
        let planned = plan(&current, &folded, &world, &wanted, options);
        planned.err().expect("it cannot be used").to_string()
    };
    let none = Options::default();
    // The team goes while its contract stays.
    let orphan = told(
        &[contract("a", "")],
        &options(|it| it.delete = names(&["t"])),
    );
    assert!(orphan.contains("owner `t` is no team"), "{orphan}");
    let same_type = contract("b", "  event: {type: a}\n");
    let twice = told(&[team(""), same_type], &none);
    assert!(
        twice.contains("the event type `a` already, at all.yaml:"),
        "{twice}"
    );
    let broken = contract("b", "").replace("a.json", "broken.json");
    let broken = told(&[team(""), broken], &none);
    assert!(broken.contains("schema-compiles"), "{broken}");
}
