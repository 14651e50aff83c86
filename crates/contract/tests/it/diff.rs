//! Diff cases: a folder of contracts before and after each, and what changed. A new case is a new
//! folder with `old` and `new` in it.

use std::fs;
use std::path::Path;

use tidegate_contract::{diff, load};

#[test]
fn folders_are_compared_as_they_are() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/diff");
    let mut names: Vec<_> = fs::read_dir(&cases)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    names.sort();
    for name in names {
        let case = cases.join(&name);
        let load = |side: &str| load::folder(&case.join(side)).unwrap_or_else(|e| panic!("{e}"));
        let changes: Vec<String> = diff::diff(&load("old"), &load("new"))
            .iter()
            .map(|change| {
                change
                    .to_string()
                    .replace(&format!("{}/", case.display()), "")
            })
            .collect();
        insta::assert_snapshot!(name.to_str().unwrap(), changes.join("\n\n"));
    }
}
