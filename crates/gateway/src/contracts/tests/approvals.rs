//! Who is asked before a plan is done, and of what they approved.

use std::sync::Arc;

use tidegate_event_log::Topic;

use super::{check, contract, drafted, in_force, plain, team, version};
use crate::contracts::plan::{Current, Options};
use crate::contracts::record::{Approval, approval_record};
use crate::contracts::store::Folded;

#[test]
fn owners_are_asked_for_what_concerns_them() {
    let ask = "topic: 1, breaking: 2, reader: 1";
    let set = [team(ask), contract("a", "")];
    let topics = [plain("a")];
    let none = Options::default();
    let new = [team(ask), contract("a", ""), contract("b", "")];
    check(
        &set,
        &topics,
        &new,
        &none,
        &["+topic b 3", "+b contract-added", "?t topic 0/1"],
    );
    // One that is there needs no leave to exist.
    let there = [plain("a"), plain("b")];
    check(
        &set,
        &there,
        &new,
        &none,
        &["=topic b", "+b contract-added"],
    );
    let breaking = [team(ask), contract("a", "").replace("a.json", "b.json")];
    let expected = ["~a schema-incompatible", "?t breaking 0/2"];
    check(&set, &topics, &breaking, &none, &expected);
    let safe = [team(ask), version("a", "1.1.0", "")];
    check(&set, &topics, &safe, &none, &["~a described"]);
    // No plan lowers its own bar, nor the next one's.
    let lowered = [team(""), contract("a", "").replace("a.json", "b.json")];
    let expected = ["~a schema-incompatible", "~t", "?t breaking 0/2"];
    check(&set, &topics, &lowered, &none, &expected);
    check(
        &set,
        &topics,
        &[team("")],
        &none,
        &[
            "~t",
            "?t breaking 0/2",
            "(in force and not among these documents, stays: `a`)",
        ],
    );
    // A reader concerns those whose events it reads.
    let reader = "apiVersion: contract/v1\nkind: ConsumerContract\nmetadata: {name: r, owner: t}\nspec:\n  contract: a\n  accepts: \">=1\"\n  via: {kafka: {group: r}}\n";
    let with_reader = [team(ask), contract("a", ""), reader.to_owned()];
    check(&set, &topics, &with_reader, &none, &["+r", "?t reader 0/1"]);
    let raised = [team("topic: 5, breaking: 2, reader: 1")];
    let stays = "(in force and not among these documents, stays: `a`)";
    check(&set, &topics, &raised, &none, &["~t", stays]);
}

#[test]
fn an_approval_is_for_one_plan() {
    let ask = [team("breaking: 2"), contract("a", "")];
    let (current, mut folded) = in_force(&ask);
    let topics = [plain("a")];
    let none = Options::default();
    let breaking = [
        team("breaking: 2"),
        contract("a", "").replace("a.json", "b.json"),
    ];
    let draft = |folded: &Folded, topics: &[Topic], documents: &[String]| {
        drafted(&current, folded, topics, documents, &none).plan
    };
    let first = draft(&folded, &topics, &breaking);
    assert_eq!(
        first.id,
        draft(&folded, &topics, &breaking).id,
        "the same plan"
    );
    for (at, name) in ["anna", "anna", "ben"].into_iter().enumerate() {
        let approval = Approval::new(first.id.clone(), name.to_owned(), 5);
        let record = approval_record(&approval);
        folded
            .apply(&record, i64::try_from(at).unwrap() + 2_000)
            .unwrap();
        let missing = draft(&folded, &topics, &breaking).approvals[0].is_missing();
        assert_eq!(missing, at < 2, "different names count");
    }
    // Another text, another topic to be made, another state: another plan.
    let other = [team("breaking: 2"), breaking[1].clone() + "# a note\n"];
    for plan in [
        draft(&folded, &topics, &other),
        draft(&folded, &[], &breaking),
    ] {
        assert_ne!(plan.id, first.id);
        assert!(plan.approvals[0].is_missing());
    }
    let mut later = Current {
        set: current.set.clone(),
        pieces: current.pieces.clone(),
        contracts: Arc::clone(&current.contracts),
    };
    later.set.generation = 2;
    let plan = drafted(&later, &folded, &topics, &breaking, &none).plan;
    assert_ne!(plan.id, first.id);
}
