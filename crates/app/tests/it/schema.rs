//! `tidegate schema` against the registry of a gateway that runs.

use std::fs;

use tempfile::tempdir;

use crate::program::{Served, run};

const ONE: &str = r#"{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"id","type":"string"}]}"#;
const TWO: &str = r#"{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"id","type":"string"},{"name":"note","type":"string","default":""}]}"#;
const BROKEN: &str = r#"{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"id","type":"long"},{"name":"count","type":"long"}]}"#;
const BASKET: &str = r#"{"type":"array","items":"shop.Order"}"#;

#[test]
fn a_registry_is_used_by_hand() {
    let directory = tempdir().unwrap();
    let served = Served::start(&directory.path().join("data"), &[]);
    let registry = served.door("registry");
    let folder = directory.path().to_str().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let one = file("one.avsc", ONE);
    let two = file("two.avsc", TWO);
    let broken = file("broken.avsc", BROKEN);
    let nonsense = file("nonsense.txt", "nonsense");
    let basket = file("basket.avsc", BASKET);
    let subject = "shop.orders-value";
    let reference = "--reference=shop.Order=shop.orders-value@2";
    let mut said = String::new();
    for line in [
        &["list"][..],
        &["check", subject, &one],
        &["register", subject, &one],
        &["register", subject, &one],
        &["check", subject, &two],
        &["register", subject, &two],
        &["check", subject, &broken],
        &["register", subject, &broken],
        &["register", subject, &nonsense],
        &["register", subject, &nonsense, "--type", "avro"],
        &["register", "baskets", &basket],
        &["register", "baskets", &basket, "--reference", "shop.Order"],
        &["register", "baskets", &basket, reference],
        &["list"],
        &["list", "--subject", subject],
        &["list", "--subject", "no"],
        &["get", subject],
        &["get", subject, "--version", "1"],
        &["get", subject, "--version", "7"],
        &["get", "--id", "2"],
        &["get", "--id", "99"],
        &["get", "no", "-o", "json"],
        &["get"],
        &["config"],
        &["config", subject],
        &["config", subject, "--level", "none"],
        &["config", subject],
        &["config", subject, "--level", "some"],
        &["check", subject, &broken],
        &["delete", subject],
        &["delete", subject, "--version", "2", "--yes"],
        &["delete", "baskets", "--yes"],
        &["delete", "baskets", "--yes"],
        &["delete", subject, "--permanent", "--yes"],
        &["delete", "baskets", "--permanent", "--yes"],
        &["list"],
    ] {
        let arguments = [&["schema"], line, &["--registry", &registry]].concat();
        let ran = run(&arguments).redacted(&[(&registry, "REGISTRY"), (folder, "DIR")]);
        let line = line.join(" ").replace(folder, "DIR");
        said.push_str(&format!("$ schema {line}\n{ran}\n"));
    }
    insta::assert_snapshot!("schema_by_hand", said);
    let unreachable = run(&["schema", "list", "--registry", "http://127.0.0.1:1"]);
    insta::assert_snapshot!("schema_unreachable", unreachable);
    let gateway = run(&["schema", "list", "--registry", &served.url]);
    insta::assert_snapshot!(
        "schema_no_registry",
        gateway.redacted(&[(&served.url, "URL")])
    );
}
