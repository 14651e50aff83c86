//! Lint cases: a folder of contracts each, and what is found in it. A new case is a new folder.

use std::fs;
use std::path::Path;

use tidegate_contract::{lint, load};

#[test]
fn folders_are_found_as_they_are() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/lint");
    let mut names: Vec<_> = fs::read_dir(&cases)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    names.sort();
    for name in names {
        let case = cases.join(&name);
        let findings = load::folder(&case).map_or_else(
            |findings| findings.to_string(),
            |contracts| lint::lint(&contracts).to_string(),
        );
        let findings = findings.replace(&format!("{}/", case.display()), "");
        insta::assert_snapshot!(name.to_str().unwrap(), findings);
    }
}
