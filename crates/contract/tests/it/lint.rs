//! Lint cases: a folder of contracts each, and what is found in it. A new case is a new folder.

use tidegate_contract::{lint, load};

use crate::cases;

#[test]
fn folders_are_found_as_they_are() {
    for (name, case) in cases("lint") {
        let findings = load::folder(&case).map_or_else(
            |findings| findings.to_string(),
            |contracts| lint::lint(&contracts).to_string(),
        );
        let findings = findings.replace(&format!("{}/", case.display()), "");
        insta::assert_snapshot!(name, findings);
    }
}
