//! Folders of files, as `--contracts DIR` names them.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use tidegate_contract::load;

const CONTRACT: &str = "apiVersion: contract/v1\nkind: EventContract\nmetadata: {name: NAME}\nspec:\n  \
                        class: fact\n  schema: {file: FILE}\n  key: {from: $.id}\n";

fn contract(name: &str, schema: &str) -> String {
    CONTRACT.replace("NAME", name).replace("FILE", schema)
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join("contracts").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn load(folder: &TempDir) -> Result<Vec<String>, String> {
    let root = folder.path().join("contracts");
    let names = |c: load::Diagnostics| {
        c.to_string()
            .replace(folder.path().to_str().unwrap(), "")
            .replace('\\', "/")
    };
    load::folder(&root)
        .map(|c| c.iter().map(|c| c.name.clone()).collect())
        .map_err(names)
}

#[test]
fn every_yaml_file_below_the_folder_is_read() {
    let folder = folder(&[
        ("b.yaml", &contract("b", "schemas/any.json")),
        ("a.yml", &contract("a", "./schemas/any.json#")),
        ("orders/c.yaml", &contract("c", "../schemas/any.json")),
        ("schemas/any.json", "{}"),
        (".hidden/x.yaml", "no: contract"),
        (".hidden.yaml", "no: contract"),
        ("README.md", "# no contract"),
    ]);
    assert_eq!(load(&folder).unwrap(), ["a", "b", "c"]);
}

#[test]
fn nothing_outside_of_the_folder_is_read() {
    let folder = folder(&[("a.yaml", &contract("a", "../outside.json"))]);
    fs::write(folder.path().join("outside.json"), "{}").unwrap();
    let expected = "error: /contracts/a.yaml:6:18: schema file `/outside.json` lies outside of the contracts' folder";
    assert!(load(&folder).unwrap_err().starts_with(expected));
    fs::write(
        folder.path().join("contracts/a.yaml"),
        contract("a", "link.json"),
    )
    .unwrap();
    std::os::unix::fs::symlink("../outside.json", folder.path().join("contracts/link.json"))
        .unwrap();
    let found = load(&folder).unwrap_err();
    assert!(
        found.contains("lies outside of the contracts' folder"),
        "{found}"
    );
}

#[test]
fn what_cannot_be_read_is_said() {
    let check = |change: &dyn Fn(&Path), expected: &str| {
        let folder = folder(&[("a.yaml", &contract("a", "any.json")), ("any.json", "{}")]);
        change(&folder.path().join("contracts"));
        let found = load(&folder).unwrap_err();
        assert!(found.starts_with(expected), "{found}");
    };
    check(
        &|root| fs::remove_dir_all(root).unwrap(),
        "error: /contracts: cannot read it: ",
    );
    check(
        &|root| fs::remove_file(root.join("any.json")).unwrap(),
        "error: /contracts/a.yaml:6:18: cannot read schema file `/contracts/any.json`: ",
    );
    check(
        &|root| fs::write(root.join("b.yaml"), b"\xff").unwrap(),
        "error: /contracts/b.yaml: is not UTF-8",
    );
    check(
        &|root| fs::write(root.join("b.yaml"), vec![b'#'; (4 << 20) + 1]).unwrap(),
        "error: /contracts/b.yaml: is larger than 4 MiB",
    );
}

#[test]
fn a_folder_without_contracts_is_an_empty_set() {
    assert_eq!(
        load(&folder(&[("README.md", "")])).unwrap(),
        Vec::<String>::new()
    );
}
