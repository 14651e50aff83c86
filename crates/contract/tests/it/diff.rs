//! Diff cases: a folder of contracts before and after each, and what changed. A new case is a new
//! folder with `old` and `new` in it.

use tidegate_contract::{diff, load};

use crate::cases;

#[test]
fn folders_are_compared_as_they_are() {
    for (name, case) in cases("diff") {
        let load = |side: &str| load::folder(&case.join(side)).unwrap_or_else(|e| panic!("{e}"));
        let changes: Vec<String> = diff::diff(&load("old"), &load("new"))
            .iter()
            .map(|change| {
                change
                    .to_string()
                    .replace(&format!("{}/", case.display()), "")
            })
            .collect();
        insta::assert_snapshot!(name, changes.join("\n\n"));
    }
}
