use serde_json::{Value, json};

use super::*;
use crate::{lint, load};

/// Loads and lints what was drafted, beside teams that are there.
fn findings(files: &Files, teams: &[String]) -> String {
    let mut texts = vec![files.contract.clone()];
    for team in teams {
        let text = format!(
            "apiVersion: contract/v1\nkind: Team\nmetadata: {{name: {team}}}\nspec: {{pager: \"mailto:a@example.com\"}}\n"
        );
        texts.push((format!("{team}.yaml"), text));
    }
    let schema = |path: &str| (path == files.schema.0).then(|| files.schema.1.clone());
    match load::sources(&texts, &schema) {
        Ok(contracts) => {
            assert_eq!(contracts.len(), 1);
            lint::lint(&contracts).to_string()
        }
        Err(found) => found.to_string(),
    }
}

/// Follows every path through the questions, with each choice, each sample and each default.
fn walk(known: &Known, answers: &Answers, drafts: &mut usize, refusals: &mut Vec<&'static str>) {
    match next(known, answers) {
        Step::Refuse(refusal) => refusals.push(refusal.why),
        Step::Write(draft) => {
            *drafts += 1;
            let files = draft.files();
            let found = findings(&files, &known.teams);
            assert_eq!(found, "", "{}", files.contract.1);
            for (question, answer) in &draft.because {
                // Each answer stands in the file, as a comment or as a value.
                let told = files.contract.1.contains(answer.as_str());
                let as_value = ["summary", "pager"].contains(question);
                let left_out = *question == "id" && draft.id.is_none()
                    || *question == "reader" && draft.reader.is_none();
                assert!(
                    told || as_value || left_out,
                    "{question} {answer}\n{}",
                    files.contract.1
                );
            }
        }
        Step::Ask(question) => {
            let typed: Vec<&str> = match &question.form {
                Form::Choice(choices) => choices.iter().map(|choice| choice.word).collect(),
                Form::Text {
                    sample, default, ..
                } => {
                    let mut typed = vec![*sample];
                    typed.extend(default.map(|_| ""));
                    typed
                }
            };
            for typed in typed {
                let mut answers = answers.clone();
                answers.add(question, question.read(typed).unwrap());
                walk(known, &answers, drafts, refusals);
            }
        }
    }
}

#[test]
fn every_path_ends_in_a_contract_without_a_finding_or_in_a_reason() {
    let known = Known {
        name: "order-note".to_owned(),
        ..Known::default()
    };
    let (mut drafts, mut refusals) = (0, Vec::new());
    walk(&known, &Answers::default(), &mut drafts, &mut refusals);
    // Three classes, two kinds of readers, three orders; twice does nothing, or harm with and without
    // an id; two peaks; no reader, or one with two lags and two outages.
    assert_eq!(drafts, 3 * 2 * 3 * 3 * 2 * (1 + 2 * 2));
    assert_eq!(refusals.len(), 4 + 3);
    refusals.sort_unstable();
    refusals.dedup();
    assert_eq!(refusals.len(), 6);
}

#[test]
fn a_team_that_is_there_is_not_asked_about_and_a_sample_makes_the_schema() {
    let known = Known {
        name: "order-note".to_owned(),
        teams: vec!["team-orders".to_owned()],
        samples: vec![
            json!({"orderId": "o-1", "paymentId": 7, "customer": {"email": "a@example.com", "clientIp": "::1"}}),
        ],
    };
    let mut answers = Answers::default();
    let mut asked = Vec::new();
    let draft = loop {
        match next(&known, &answers) {
            Step::Ask(question) => {
                asked.push(question.id);
                let typed = match &question.form {
                    Form::Choice(choices) => choices[0].word,
                    Form::Text { sample, .. } => sample,
                };
                answers.add(question, question.read(typed).unwrap());
            }
            Step::Write(draft) => break draft,
            Step::Refuse(refusal) => panic!("{refusal:?}"),
        }
    };
    assert!(!asked.contains(&"pager"), "{asked:?}");
    let files = draft.files();
    assert_eq!(findings(&files, &known.teams), "");
    assert!(
        files
            .contract
            .1
            .contains("\"$.customer.email\": {category: contact}"),
        "{}",
        files.contract.1
    );
    assert!(
        files
            .contract
            .1
            .contains("\"$.customer.clientIp\": {category: online-id}"),
        "{}",
        files.contract.1
    );
    insta::assert_snapshot!(format!("{}\n{}", files.contract.1, files.schema.1));
}

#[test]
fn answers_are_read_as_people_type_them() {
    let Step::Ask(what) = next(&Known::default(), &Answers::default()) else {
        panic!("the first question");
    };
    assert_eq!(what.read(" command "), Ok("command".to_owned()));
    assert_eq!(what.read("2"), Ok("command".to_owned()));
    let refused = what.read("8").unwrap_err();
    assert!(
        refused.starts_with("`8` is none of the answers: fact, command"),
        "{refused}"
    );
    assert!(what.read("").is_err());
}

#[test]
fn a_schema_holds_for_the_samples_it_was_made_of() {
    let check = |samples: Value, expected: Value| {
        let samples = samples.as_array().unwrap();
        let schema = infer("order-placed", samples);
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        for sample in samples {
            assert!(validator.is_valid(sample), "{sample} {schema}");
        }
        let mut found = schema;
        let found = found.as_object_mut().unwrap();
        found.remove("$schema");
        assert_eq!(found.remove("title"), Some(json!("OrderPlaced")));
        assert_eq!(Value::Object(found.clone()), expected);
    };
    check(
        json!([{"id": "a", "total": 1}, {"id": "b", "total": 1.5, "note": null}]),
        json!({"type": "object", "required": ["id", "total"],
            "properties": {"id": {"type": "string"}, "total": {"type": "number"}, "note": {}}}),
    );
    check(
        json!([{"at": "2026-01-15T09:00:07Z", "ref": "9b2d5bc4-3e6c-4a0e-8d5c-0f1e2d3c4b5a", "lines": [{"sku": "a"}, {"sku": "b", "n": 1}], "none": []}]),
        json!({"type": "object", "required": ["at", "ref", "lines", "none"], "properties": {
            "at": {"type": "string", "format": "date-time"},
            "ref": {"type": "string", "format": "uuid"},
            "lines": {"type": "array", "items": {"type": "object", "required": ["sku"],
                "properties": {"sku": {"type": "string"}, "n": {"type": "integer"}}}},
            "none": {"type": "array"}}}),
    );
    check(
        json!([{"a": 1}, {"a": "x"}, {"a": null}]),
        json!({"type": "object", "required": ["a"],
        "properties": {"a": {"type": ["integer", "null", "string"]}}}),
    );
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!({"a": deep});
    }
    let schema = infer("order-placed", std::slice::from_ref(&deep));
    assert!(
        jsonschema::draft202012::new(&schema)
            .unwrap()
            .is_valid(&deep)
    );
}

#[test]
fn a_stub_has_the_fields_that_the_contract_names() {
    let path = |text: &str| text.parse::<Path>().unwrap();
    let schema = stub("a", &[&path("$.order"), &path("$.order.id"), &path("$.id")]);
    assert_eq!(schema["required"], json!(["order", "id"]));
    assert_eq!(
        schema["properties"]["order"]["properties"]["id"]["type"],
        "string"
    );
    assert_eq!(
        paths(&[json!({"a": {"b": 1, "c": [1]}, "d e": 1, "f": null, "g": "x"})]),
        ["$.a.b", "$.g"]
    );
}
