//! `demo` on the sample set, as the bare binary runs it.

use crate::program::run;

#[test]
fn the_sample_set_adds_up() {
    let ran = run(&["demo", "-o", "json", "--progress", "none"]);
    assert_eq!(ran.code, 0, "{ran}");
    insta::assert_json_snapshot!(ran.json());
    assert_eq!(ran.stderr, "");
}

#[test]
fn it_starts_in_an_empty_directory_only() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("something"), "").unwrap();
    let path = directory.path().to_str().unwrap();
    insta::assert_snapshot!(run(&["demo", "--data", path]).redacted(&[(path, "DIR")]));
}

#[test]
fn an_account_that_does_not_add_up_ends_with_3() {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("input");
    copy(&crate::program::root().join("examples/small"), &input);
    let account = std::fs::read_to_string(input.join("demo.json")).unwrap();
    let wrong = account.replacen("\"accepted\": 17", "\"accepted\": 18", 1);
    assert_ne!(account, wrong);
    std::fs::write(input.join("demo.json"), wrong).unwrap();
    let ran = run(&[
        "demo",
        "--input",
        input.to_str().unwrap(),
        "--progress",
        "none",
    ]);
    assert_eq!(ran.code, 3, "{ran}");
    assert!(
        ran.stdout.contains("it does not add up:\n  first pass: "),
        "{ran}"
    );
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
