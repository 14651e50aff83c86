//! The full format, of which this version enforces a part: the rest is known and refused by name.

use tidegate_contract::load;

#[test]
fn every_key_of_the_full_format_is_in_force_or_refused_as_not_supported_yet() {
    let files = [(
        "full-format.yaml".to_owned(),
        include_str!("full-format.yaml").to_owned(),
    )];
    let found = load::sources(&files, &|_| Some("{}".to_owned())).unwrap_err();
    for finding in &found {
        assert!(
            finding.message.ends_with("is not supported yet"),
            "{finding}"
        );
    }
    let messages: Vec<String> = found
        .iter()
        .map(|f| format!("{}: {}", f.line, f.message))
        .collect();
    insta::assert_snapshot!(messages.join("\n"));
}
