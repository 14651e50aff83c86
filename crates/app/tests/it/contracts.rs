//! `contract`: files in, findings and tables out.

use crate::program::run;

const SMALL: &str = "examples/small/contracts";

#[test]
fn good_contracts_are_listed_and_explained() {
    insta::assert_snapshot!("lint_good", run(&["contract", "lint", SMALL]));
    insta::assert_snapshot!("list", run(&["contract", "list", SMALL]));
    insta::assert_snapshot!("list_csv", run(&["contract", "list", SMALL, "-o", "csv"]));
    insta::assert_snapshot!(
        "explain",
        run(&["contract", "explain", "order-placed", SMALL])
    );
    insta::assert_snapshot!(
        "explain_unknown",
        run(&["contract", "explain", "order-placd", SMALL])
    );
}

#[test]
fn broken_contracts_end_with_3() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let text = "apiVersion: contract/v1\nkind: EventContract\nmetadata:\n  nam: order-placed\n";
    std::fs::write(directory.path().join("order.yaml"), text).unwrap();
    let ran = |arguments: &[&str]| run(arguments).redacted(&[(path, "DIR")]);
    insta::assert_snapshot!("lint_broken", ran(&["contract", "lint", path]));
    insta::assert_snapshot!(
        "lint_broken_json",
        ran(&["contract", "lint", path, "-o", "json"])
    );
    insta::assert_snapshot!("list_broken", ran(&["contract", "list", path]));
}

#[test]
fn the_schema_of_the_format_is_one_json_document() {
    let ran = run(&["contract", "schema"]);
    assert_eq!(ran.code, 0);
    assert_eq!(ran.json()["title"], "tidegate contracts, contract/v1");
}
