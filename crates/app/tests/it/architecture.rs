//! What ARCHITECTURE.md says is so: its paths and symbols exist, its arrows are the manifests'.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn architecture() -> String {
    fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap()
}

/// The walks by title; each step is a path and a symbol in it.
fn walks(text: &str) -> BTreeMap<String, Vec<(String, String)>> {
    let walks = text.split("## The walks").nth(1).unwrap();
    let walks = walks.split("\n## ").next().unwrap();
    let mut found = BTreeMap::new();
    for walk in walks.split("\n### ").skip(1) {
        let (title, steps) = walk.split_once('\n').unwrap();
        found.insert(title.to_owned(), listed(steps));
    }
    found
}

/// The paths of a numbered list, each with the symbol in it.
fn listed(text: &str) -> Vec<(String, String)> {
    let item = |line: &str| {
        let (_, line) = line.split_once(". `")?;
        let mut quoted = line.split('`');
        let path = quoted.next()?.to_owned();
        Some((path, quoted.nth(1)?.to_owned()))
    };
    text.lines().filter_map(item).collect()
}

/// Fails if a file does not define a symbol.
fn check_defined(about: &str, path: &str, symbol: &str) {
    let code = fs::read_to_string(root().join(path))
        .unwrap_or_else(|error| panic!("{about}: `{path}`: {error}"));
    let defined = ["fn", "struct", "enum", "trait"].iter().any(|kind| {
        let definition = format!("{kind} {symbol}");
        code.match_indices(&definition).any(|(at, _)| {
            let after = code[at + definition.len()..].chars().next();
            !after.is_some_and(|c| c.is_alphanumeric() || c == '_')
        })
    });
    assert!(defined, "{about}: `{path}` does not define `{symbol}`");
}

#[test]
fn every_step_of_a_walk_exists() {
    for (walk, steps) in walks(&architecture()) {
        assert!(steps.len() >= 3, "{walk} has {} steps", steps.len());
        for (path, symbol) in steps {
            check_defined(&walk, &path, &symbol);
        }
    }
}

#[test]
fn every_test_that_shows_what_a_202_means_exists() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let section = readme.split("### What a 202 means").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let tests = listed(section);
    assert!(tests.len() > 5, "{tests:?}");
    for (path, test) in tests {
        check_defined("README.md", &path, &test);
    }
}

#[test]
fn a_request_becomes_a_receipt_in_six_files() {
    let walks = walks(&architecture());
    let steps = &walks["HTTP request to receipt"];
    let files: BTreeSet<&String> = steps.iter().map(|(path, _)| path).collect();
    assert_eq!(files.len(), 6, "{files:?}");
}

#[test]
fn a_walk_that_names_what_is_not_there_is_noticed() {
    let text =
        "## The walks\n\n### A\n\n1. `no/such.rs` `gone`: x.\n2. `b.rs` `c`: y.\n\n## Next\n";
    let walks = walks(text);
    assert_eq!(walks["A"][0], ("no/such.rs".to_owned(), "gone".to_owned()));
    assert_eq!(walks["A"].len(), 2);
}

#[test]
fn the_arrows_are_those_of_the_manifests() {
    let text = architecture();
    let section = text.split("## Which way the arrows point").nth(1).unwrap();
    let listed = section.split("```").nth(1).unwrap();
    for line in listed.lines().filter(|line| line.contains("->")) {
        let (name, uses) = line.split_once("->").unwrap();
        let manifest = root().join("crates").join(name.trim()).join("Cargo.toml");
        let manifest = fs::read_to_string(manifest).unwrap();
        let dependencies = manifest.split("\n[dependencies]").nth(1).unwrap_or("");
        let dependencies = dependencies.split("\n[").next().unwrap();
        let found: BTreeSet<&str> = dependencies
            .lines()
            .filter_map(|line| line.strip_prefix("tidegate-"))
            .filter_map(|line| line.split(['.', ' ']).next())
            .collect();
        let uses: BTreeSet<&str> = uses.split_whitespace().collect();
        assert_eq!(found, uses, "what {name} uses");
    }
}
