//! Out and in again. The set under `tests/it/exchange/shop` has every language, references between
//! files, readers and teams; documents of strangers lie beside it.

use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::json;

use super::homecoming::set;
use super::*;
use crate::diff::diff;
use crate::format::keys::{CONSUMER_CONTRACT, EVENT_CONTRACT};
use crate::format::{Form, Key, Presence};
use crate::load;

fn directory(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/exchange")
        .join(name)
}

fn shop() -> (Contracts, Vec<Piece>) {
    read(&directory("shop"))
}

fn read(folder: &std::path::Path) -> (Contracts, Vec<Piece>) {
    let (contracts, texts) = load::texts(folder).unwrap_or_else(|found| panic!("{found}"));
    (contracts, load::split(&texts).unwrap())
}

/// Puts imported documents together, with teams that others have.
fn together(all: &[Imported], teams: &[Piece]) -> Contracts {
    let mut files: Vec<(String, String)> = Vec::new();
    let mut schemas = BTreeMap::new();
    for imported in all {
        for (name, text) in &imported.texts.files {
            assert!(text.starts_with("# yaml-language-server: $schema=./") || name.contains('/'));
            match files.iter().find(|(known, _)| known == name) {
                Some((_, known)) => assert_eq!(known, text),
                None => files.push((name.clone(), text.clone())),
            }
        }
        schemas.extend(imported.texts.schemas.clone());
    }
    for team in teams.iter().filter(|piece| piece.kind == "Team") {
        if !files
            .iter()
            .any(|(name, _)| *name == format!("{}.team.yaml", team.name))
        {
            files.push((format!("{}.other.yaml", team.name), team.text.to_string()));
        }
    }
    load::sources(&files, &|path| schemas.get(path).cloned())
        .unwrap_or_else(|found| panic!("{found}"))
}

/// Exports, imports each file, and returns what the new set differs in.
fn around(
    form: (ExportForm, ImportForm),
    contracts: &Contracts,
    pieces: &[Piece],
) -> (Contracts, Vec<String>) {
    let options = Options {
        servers: Servers {
            kafka: Some("broker.example.com:9092".to_owned()),
            http: Some("https://events.example.com".to_owned()),
            registry: Some("https://example.com/schemas".to_owned()),
        },
        contract: None,
    };
    let exported = export(form.0, contracts, pieces, &options).unwrap();
    let imported: Vec<Imported> = exported
        .files
        .iter()
        .map(|(name, text)| {
            import(form.1, name, text).unwrap_or_else(|e| panic!("{name}: {e}\n{text}"))
        })
        .collect();
    for imported in &imported {
        assert_eq!(imported.told, Vec::<String>::new());
    }
    let back = together(&imported, pieces);
    // A data contract has no readers: theirs are documents of their own.
    let has_readers = form.0 == ExportForm::Asyncapi;
    let changes = diff(contracts, &back).into_iter();
    let changes = changes
        .filter(|change| has_readers || change.rule != "reader-removed")
        .map(|change| change.to_string())
        .collect();
    (back, changes)
}

const FORMS: [(ExportForm, ImportForm); 2] = [
    (ExportForm::Asyncapi, ImportForm::Asyncapi),
    (ExportForm::Odcs, ImportForm::Odcs),
];

/// What `explain` says, without the lines at which values stand.
fn explained(all: &[crate::explain::Explained]) -> Vec<(String, Option<String>, bool)> {
    all.iter()
        .map(|e| {
            let written = matches!(e.origin, crate::explain::Origin::Written(_));
            (e.key.clone(), e.value.clone(), written)
        })
        .collect()
}

#[test]
fn what_comes_back_is_what_went_out() {
    let small = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/small/contracts");
    for (contracts, pieces) in [shop(), read(&small)] {
        for form in FORMS {
            let (back, changes) = around(form, &contracts, &pieces);
            assert_eq!(changes, Vec::<String>::new(), "{form:?}");
            assert_eq!(back.len(), contracts.len());
            for contract in &contracts {
                let other = back.by_name(&contract.name).unwrap();
                // Also which values are written and which are defaults.
                assert_eq!(explained(contract.explain()), explained(other.explain()));
                assert_eq!(contract.schema.fingerprint, other.schema.fingerprint);
            }
            if form.0 == ExportForm::Asyncapi {
                for reader in contracts.readers() {
                    let other = back.reader(&reader.name).unwrap();
                    assert_eq!(explained(reader.explain()), explained(other.explain()));
                }
            }
        }
    }
}

/// Values that a key may have, enough of each form.
fn values(form: &'static Form, depth: usize) -> BoxedStrategy<Value> {
    match form {
        Form::Map(keys) => members(keys, depth),
        Form::OneOf(keys) => {
            let known: Vec<&'static Key> = keys
                .iter()
                .filter(|key| !matches!(key.presence, Presence::NotYet))
                .collect();
            prop::sample::select(known)
                .prop_flat_map(move |key| {
                    values(&key.form, depth + 1).prop_map(move |value| json!({ key.name: value }))
                })
                .boxed()
        }
        Form::Text { pattern, .. } => {
            let texts = [
                "a",
                "b-c.d_e",
                "$.id",
                "$.total",
                "7d",
                "168h",
                "90s",
                "1MiB",
                "512B",
                "1.0.0",
                "2.10.3",
                ">=1",
                ">=1.2 <3",
                "a.json",
                "/a",
                "urn:x:y",
                "mailto:a@b",
                "api-key",
                "webhook:https://a",
                "it's: \"so\" #1",
                "true",
                "message.total > 0",
                "x-request-id",
                "no",
                "1/s",
                "1MiB/s",
                "2026-01-31",
                "12",
            ];
            let fits: Vec<&str> = texts
                .into_iter()
                .filter(|text| pattern.is_match(text))
                .collect();
            assert!(!fits.is_empty(), "{pattern:?}");
            prop::sample::select(fits)
                .prop_map(|text| json!(text))
                .boxed()
        }
        Form::Word(words) => {
            let known: Vec<&str> = words
                .iter()
                .filter(|w| w.supported)
                .map(|w| w.word)
                .collect();
            prop::sample::select(known)
                .prop_map(|word| json!(word))
                .boxed()
        }
        Form::Words(words) => {
            let known: Vec<&str> = words
                .iter()
                .filter(|w| w.supported)
                .map(|w| w.word)
                .collect();
            prop::sample::select(known)
                .prop_map(|word| json!([word]))
                .boxed()
        }
        Form::Amount => prop_oneof![
            (1..20_u32).prop_map(|count| json!(count)),
            Just(json!("5MiB")),
        ]
        .boxed(),
        Form::Count { min, max } => (*min..=(*max).min(20))
            .prop_map(|count| json!(count))
            .boxed(),
        Form::Flag => any::<bool>().prop_map(|flag| json!(flag)).boxed(),
        Form::List { item, .. } => prop::collection::vec(values(item, depth + 1), 1..3)
            .prop_map(Value::Array)
            .boxed(),
        Form::Entries { sample, item, .. } => values(item, depth + 1)
            .prop_map(move |value| {
                // A field about a person must be in the schema.
                let name = if *sample == "$.customer.email" {
                    "$.customer"
                } else {
                    sample
                };
                json!({ name: value })
            })
            .boxed(),
    }
}

fn members(keys: &'static [Key], depth: usize) -> BoxedStrategy<Value> {
    let mut all: BoxedStrategy<Vec<(String, Value)>> = Just(Vec::new()).boxed();
    for key in keys
        .iter()
        .filter(|key| !matches!(key.presence, Presence::NotYet))
    {
        let value = values(&key.form, depth + 1);
        let wanted = match key.presence {
            Presence::Required => Just(true).boxed(),
            _ => any::<bool>().boxed(),
        };
        all = (all, wanted, value)
            .prop_map(move |(mut all, wanted, value)| {
                let empty = value.as_object().is_some_and(serde_json::Map::is_empty);
                if wanted && !empty {
                    all.push((key.name.to_owned(), value));
                }
                all
            })
            .boxed();
    }
    all.prop_map(|all| all.into_iter().collect()).boxed()
}

fn generated(
    keys: &'static [Key],
    kind: &'static str,
    fixed: &'static [(&'static str, &'static str)],
) -> BoxedStrategy<Value> {
    members(keys, 0)
        .prop_map(move |mut document| {
            set(&mut document, "kind", json!(kind));
            for (key, value) in fixed {
                set(&mut document, key, json!(value));
            }
            document
        })
        .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Every key of the format there is, and each that will be: the generator reads the declaration.
    #[test]
    fn any_contract_comes_back(
        contract in generated(EVENT_CONTRACT, "EventContract", &[("metadata.name", "made"), ("metadata.owner", "team"),
            ("spec.schema.format", "json"), ("spec.schema.file", "schemas/made.json")]),
        reader in generated(CONSUMER_CONTRACT, "ConsumerContract", &[("metadata.name", "reads"), ("spec.contract", "made")]),
    ) {
        let mut contract = contract;
        // What only fits together: an end after its beginning, an id of a subject.
        if contract.pointer("/spec/deprecation").is_some() {
            set(&mut contract, "spec.lifecycle", json!("deprecated"));
            let deprecation = json!({ "since": "2026-01-31", "sunset": "2026-03-01", "successor": "next" });
            set(&mut contract, "spec.deprecation", deprecation);
        }
        if contract.pointer("/spec/schema/schemaId").is_some() {
            set(&mut contract, "spec.schema.subject", json!("made-value"));
        }
        if contract.pointer("/spec/audience").is_some_and(|audience| audience != "internal")
            && let Some(required) = contract.pointer_mut("/spec/ingress/idempotency/required")
        {
            *required = json!(true);
        }
        let rules = contract.pointer_mut("/spec/schema/rules").and_then(Value::as_array_mut);
        for (number, rule) in rules.into_iter().flatten().enumerate() {
            // One name, one rule.
            rule["name"] = json!(format!("rule-{number}"));
            rule["expr"] = json!("message.total > 0");
        }
        let quotas = contract.pointer_mut("/spec/ingress/quotas").and_then(Value::as_array_mut);
        for (number, quota) in quotas.into_iter().flatten().enumerate() {
            quota["name"] = json!(format!("quota-{number}"));
            if quota.get("burst").is_some() {
                quota["burst"] = quota["limit"].clone();
            }
        }
        for pointer in ["/spec/ingress/request/map", "/spec/ingress/request/schema", "/spec/migration/map"] {
            if let Some(value) = contract.pointer_mut(pointer) {
                *value = if pointer.ends_with("map") { json!({ "id": "$.id" }) } else { json!("schemas/made.json") };
            }
        }
        // Which fields can be protected, the schema says.
        let fields = contract.pointer_mut("/spec/privacy/fields").and_then(Value::as_object_mut);
        for field in fields.into_iter().flatten().filter_map(|(_, field)| field.as_object_mut()) {
            field.remove("protect");
        }
        let mut reader = reader;
        if let Some(value) = reader.pointer_mut("/spec/requires") {
            *value = json!([{ "name": "r", "expr": "message.total > 0" }]);
        }
        let schema = r#"{"type": "object", "properties": {"id": {"type": "string"}, "total": {"type": "integer"}, "customer": {}}}"#;
        let team = "apiVersion: contract/v1\nkind: Team\nmetadata: {name: team}\nspec: {pager: \"mailto:a@b\"}\n";
        let texts = Texts {
            files: vec![
                ("made.yaml".to_owned(), write_yaml(&contract)),
                ("reads.yaml".to_owned(), write_yaml(&reader)),
                ("team.yaml".to_owned(), team.to_owned()),
            ],
            schemas: [("schemas/made.json".to_owned(), schema.to_owned())].into(),
        };
        let contracts = load::sources(&texts.files, &|path| texts.schemas.get(path).cloned());
        let contracts = contracts.unwrap_or_else(|found| panic!("{found}"));
        let pieces = load::split(&texts).unwrap();
        for form in FORMS {
            let (back, changes) = around(form, &contracts, &pieces);
            prop_assert_eq!(changes, Vec::<String>::new());
            let (before, after) = (contracts.by_name("made").unwrap(), back.by_name("made").unwrap());
            prop_assert_eq!(explained(before.explain()), explained(after.explain()));
            if form.0 == ExportForm::Asyncapi {
                let (before, after) = (contracts.reader("reads").unwrap(), back.reader("reads").unwrap());
                prop_assert_eq!(explained(before.explain()), explained(after.explain()));
            }
        }
    }
}

/// The places of a document, as pointers.
fn places(value: &Value, at: &str, into: &mut Vec<String>) {
    into.push(at.to_owned());
    let mut inside = |name: &str, value: &Value| {
        places(value, &format!("{at}/{}", words::pointer_part(name)), into);
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| inside(name, value)),
        Value::Array(items) => {
            for (number, value) in items.iter().enumerate() {
                inside(&number.to_string(), value);
            }
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Whatever a document holds, reading it ends, and what comes of it can be used.
    #[test]
    fn a_document_with_anything_in_it_is_read_or_refused(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..8_usize), 1..4),
        keep in any::<bool>(),
    ) {
        let mut documents = Vec::new();
        for (form, name) in [(ImportForm::Asyncapi, "lights.asyncapi.yaml"), (ImportForm::Odcs, "sales.odcs.yaml")] {
            let text = std::fs::read_to_string(directory("strangers").join(name)).unwrap();
            documents.push((form, yaml::read(&text).unwrap()));
        }
        let (contracts, pieces) = shop();
        for (out, form) in FORMS {
            let exported = export(out, &contracts, &pieces, &Options::default()).unwrap();
            documents.extend(exported.files.values().map(|text| (form, yaml::read(text).unwrap())));
        }
        let (form, mut document) = documents.swap_remove(which.index(documents.len()));
        if !keep && let Value::Object(members) = &mut document {
            members.shift_remove("x-contract");
            members.shift_remove("customProperties");
        }
        let odd = [
            json!(null), json!({}), json!([]), json!(-1), json!("../../x"), json!({"$ref": "#/channels"}),
            json!({"$ref": "#"}), json!([{"name": "\u{0}"}]),
        ];
        for (place, value) in changes {
            let mut all = Vec::new();
            places(&document, "", &mut all);
            let place = &all[place.index(all.len())];
            if let Some(at) = document.pointer_mut(place) {
                *at = odd[value].clone();
            }
        }
        if let Ok(imported) = import(form, "a", &document.to_string()) {
            let paths = imported.texts.files.iter().map(|(path, _)| path).chain(imported.texts.schemas.keys());
            for path in paths {
                prop_assert!(homecoming::is_inside_path(path), "{}", path);
            }
            together(std::slice::from_ref(&imported), &pieces);
        }
    }
}

/// Changes a place in an export of `order-placed`, imports it, and tells what changed and was told.
fn edited(
    form: (ExportForm, ImportForm),
    pointer: &str,
    value: Value,
) -> (Vec<String>, Vec<String>) {
    let (contracts, pieces) = shop();
    let options = Options {
        contract: Some("order-placed".to_owned()),
        ..Options::default()
    };
    let exported = export(form.0, &contracts, &pieces, &options).unwrap();
    let text = exported
        .files
        .iter()
        .find(|(name, _)| name.starts_with("order-placed"))
        .unwrap()
        .1;
    let mut document = yaml::read(text).unwrap();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = document
        .pointer_mut(parent)
        .unwrap_or_else(|| panic!("{pointer}"));
    parent[name] = value;
    let imported = import(form.1, "edited", &document.to_string()).unwrap();
    let back = together(std::slice::from_ref(&imported), &pieces);
    let changes = diff(&contracts, &back);
    let keys = changes
        .iter()
        .filter(|change| change.contract == "order-placed" && change.rule != "reader-removed")
        .map(|change| format!("{} {}", change.rule, change.key))
        .collect();
    (keys, imported.told)
}

#[test]
fn what_somebody_changed_in_the_foreign_words_wins() {
    let check = |form, pointer: &str, value, changes: &[&str], told: &[&str]| {
        let (found, said) = edited(form, pointer, value);
        assert_eq!(found, changes, "{pointer}");
        assert_eq!(said, told, "{pointer}");
    };
    let [asyncapi, odcs] = FORMS;
    let kafka = "/channels/order-placed/bindings/kafka";
    let retention = format!("{kafka}/topicConfiguration/retention.ms");
    check(
        asyncapi,
        &retention,
        json!(86_400_000),
        &["retention-shortened spec.topic.retention"],
        &[],
    );
    check(
        asyncapi,
        &format!("{kafka}/partitions"),
        json!(24),
        &["partitions-reorder spec.topic.partitions"],
        &[],
    );
    check(
        asyncapi,
        "/info/version",
        json!("2.4.0"),
        &["described metadata.version"],
        &[],
    );
    check(
        asyncapi,
        "/info/version",
        json!("next"),
        &[],
        &[
            "`\"next\"` at `/info/version` was not taken: `metadata.version` is not a version of three numbers such as `2.3.0`, in quotes if need be",
        ],
    );
    check(
        asyncapi,
        "/operations/more",
        json!({"action": "receive", "channel": {"$ref": "#/channels/order-placed"}}),
        &[],
        &["`/operations/more` was not taken: a contract has no word for it"],
    );
    check(
        asyncapi,
        "/components/schemas/order-placed/schema/properties/orderId/minLength",
        json!(2),
        &["schema-incompatible spec.schema.file"],
        &[],
    );
    check(
        odcs,
        "/status",
        json!("deprecated"),
        &["lifecycle-moved spec.lifecycle"],
        &[],
    );
    check(
        odcs,
        "/slaProperties/0/value",
        json!(24),
        &["retention-shortened spec.topic.retention"],
        &[],
    );
    check(
        odcs,
        "/price",
        json!({"priceAmount": 1}),
        &[],
        &["`/price` was not taken: a contract has no word for it"],
    );
}

fn stranger(form: ImportForm, name: &str) -> (Imported, Contracts) {
    let text = std::fs::read_to_string(directory("strangers").join(name)).unwrap();
    let imported = import(form, name, &text).unwrap_or_else(|e| panic!("{e}"));
    let set = together(std::slice::from_ref(&imported), &[]);
    (imported, set)
}

#[test]
fn a_strangers_asyncapi_document_becomes_contracts_and_readers() {
    let (imported, set) = stranger(ImportForm::Asyncapi, "lights.asyncapi.yaml");
    insta::assert_snapshot!("lights", shown(&imported));
    let contract = set.by_name("light-measured").unwrap();
    assert_eq!(contract.key.from.to_string(), "$.lampId");
    assert_eq!(contract.topic.partitions, 6);
    assert!(
        contract
            .schema
            .schema
            .may_hold(&"$.sentAt".parse().unwrap())
    );
    assert_eq!(set.reader("city-lights-api").unwrap().via.group(), "lamps");
    let (imported, set) = stranger(ImportForm::Asyncapi, "account.asyncapi.json");
    insta::assert_snapshot!("account", shown(&imported));
    assert_eq!(set.len(), 2);
}

#[test]
fn a_strangers_data_contract_becomes_a_contract() {
    let (imported, set) = stranger(ImportForm::Odcs, "sales.odcs.yaml");
    insta::assert_snapshot!("sales", shown(&imported));
    let contract = set.by_name("sales-feed").unwrap();
    assert_eq!(contract.personal[0].path.to_string(), "$.buyer.email");
    assert_eq!(contract.topic.retention.to_string(), "730d");
    assert_eq!(contract.key.from.to_string(), "$.sale_id");
}

fn shown(imported: &Imported) -> String {
    let mut text = String::new();
    for (name, file) in imported
        .texts
        .files
        .iter()
        .map(|(name, text)| (name, text))
        .chain(&imported.texts.schemas)
    {
        text.push_str(&format!("=== {name}\n{file}"));
    }
    text.push_str(&format!("=== told\n{}\n", imported.told.join("\n")));
    text
}

#[test]
fn what_is_no_document_of_the_form_is_refused() {
    let check = |form, text: &str, expected: &str| {
        let error = import(form, "a.yaml", text).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert!(error.hint.is_some());
    };
    check(
        ImportForm::Asyncapi,
        "a: [",
        "`a.yaml` is neither YAML nor JSON: line 1: unclosed bracket '['",
    );
    check(
        ImportForm::Asyncapi,
        "asyncapi: 2.6.0",
        "`a.yaml` is AsyncAPI 2.6.0; 3.0 and 3.1 are read",
    );
    check(
        ImportForm::Asyncapi,
        "a: b",
        "`a.yaml` is no AsyncAPI document: it has no `asyncapi`",
    );
    check(
        ImportForm::Asyncapi,
        "asyncapi: 3.0.0\nchannels: {a: {messages: {b: {}}}}",
        "nothing in `a.yaml` can become a contract: `/channels/a/messages/b` did not become a contract: it has no payload that is in this document",
    );
    check(
        ImportForm::Odcs,
        "kind: DataContract\napiVersion: v2.2.2",
        "`a.yaml` is no data contract of ODCS 3: `kind` and `apiVersion` do not say so",
    );
    // References that end nowhere or in themselves.
    let ring = "asyncapi: 3.0.0\nchannels: {a: {$ref: '#/channels/b'}, b: {$ref: '#/channels/a'}}";
    check(
        ImportForm::Asyncapi,
        ring,
        "nothing in `a.yaml` can become a contract: ",
    );
    // Nothing is written outside of the folder.
    let (contracts, pieces) = shop();
    let exported = export(
        ExportForm::Asyncapi,
        &contracts,
        &pieces,
        &Options::default(),
    )
    .unwrap();
    let text = &exported.files["order-placed.asyncapi.yaml"];
    for (from, to) in [
        ("file: orders/orders.yaml", "file: ../orders/orders.yaml"),
        ("order-placed: orders/schemas/", "order-placed: /etc/"),
    ] {
        let hostile = text.replace(from, to);
        assert_ne!(hostile, *text);
        let error = import(ImportForm::Asyncapi, "a", &hostile).unwrap_err();
        assert!(
            error.to_string().contains("outside of the folder"),
            "{error}"
        );
    }
}

#[test]
fn json_schema_needs_no_other_file_and_says_the_same() {
    let (contracts, pieces) = shop();
    let exported = export(
        ExportForm::JsonSchema,
        &contracts,
        &pieces,
        &Options::default(),
    )
    .unwrap();
    let names: Vec<&String> = exported.files.keys().collect();
    assert_eq!(
        names,
        ["order-placed.schema.json", "stock-counted.schema.json"]
    );
    assert_eq!(exported.told.len(), 2, "{:?}", exported.told);
    let validator = |name: &str| {
        let schema: Value = serde_json::from_str(&exported.files[name]).unwrap();
        jsonschema::validator_for(&schema).unwrap()
    };
    let order = validator("order-placed.schema.json");
    let good = json!({"orderId": "a", "lines": [{"sku": "x", "price": {"amount": 1, "currency": "EUR"}}],
        "total": {"amount": 1, "currency": "EUR"}, "customer": {"email": "e"}});
    assert!(order.is_valid(&good));
    let mut bad = good.clone();
    bad["lines"][0]["price"]["currency"] = json!("GBP");
    assert!(!order.is_valid(&bad));
    let stock = validator("stock-counted.schema.json");
    assert!(stock.is_valid(&json!({"sku": "a", "count": 1})));
    assert!(!stock.is_valid(&json!({"sku": "a", "count": -1})));
    let only = Options {
        contract: Some("order-shipped".to_owned()),
        ..Options::default()
    };
    let error = export(ExportForm::JsonSchema, &contracts, &pieces, &only).unwrap_err();
    assert!(
        error.to_string().contains("its schema in `avro`"),
        "{error}"
    );
    let unknown = Options {
        contract: Some("orders".to_owned()),
        ..Options::default()
    };
    let error = export(ExportForm::Odcs, &contracts, &pieces, &unknown).unwrap_err();
    assert_eq!(error.to_string(), "there is no contract `orders`");
}

#[test]
fn pages_lead_to_pages_and_hold_no_markup_of_contracts() {
    let (contracts, pieces) = shop();
    for (form, ending) in [(ExportForm::Html, "html"), (ExportForm::Markdown, "md")] {
        let exported = export(form, &contracts, &pieces, &Options::default()).unwrap();
        // The index, four contracts, two readers, two teams.
        assert_eq!(exported.files.len(), 9);
        for (name, text) in &exported.files {
            // In Markdown a code span is text already.
            let mut parts = text.split('`').step_by(if ending == "md" { 2 } else { 1 });
            assert!(
                parts.all(|part| !part.contains("<b>not bold</b>")),
                "{name}"
            );
            assert!(
                !text.contains("<script") && !text.contains("src="),
                "{name}"
            );
            let marks: (&str, char) = if ending == "html" {
                ("href=\"", '"')
            } else {
                ("](", ')')
            };
            for link in text.split(marks.0).skip(1) {
                let link = link.split(marks.1).next().unwrap();
                if link.starts_with('#') {
                    continue;
                }
                let target = crate::schema::beside(name, link);
                assert!(exported.files.contains_key(&target), "{name}: {link}");
            }
        }
        let page = &exported.files[&format!("contracts/order-placed.{ending}")];
        for fact in [
            "$.lines[].parts[]",
            "positive-total",
            "contact",
            "billing",
            "spec.topic.retention",
            "720h",
        ] {
            assert!(page.contains(fact), "{fact}");
        }
    }
    let exported = export(
        ExportForm::Markdown,
        &contracts,
        &pieces,
        &Options::default(),
    )
    .unwrap();
    insta::assert_snapshot!("page", exported.files["contracts/order-placed.md"]);
    insta::assert_snapshot!("reader_page", exported.files["readers/billing.md"]);
}

#[test]
fn the_documents_are_as_people_would_write_them() {
    let (contracts, pieces) = shop();
    let export = |form| export(form, &contracts, &pieces, &Options::default()).unwrap();
    let asyncapi = export(ExportForm::Asyncapi);
    insta::assert_snapshot!("asyncapi", asyncapi.files["order-placed.asyncapi.yaml"]);
    insta::assert_snapshot!(
        "asyncapi_reader",
        asyncapi.files["billing.reader.asyncapi.yaml"]
    );
    insta::assert_snapshot!(
        "odcs",
        export(ExportForm::Odcs).files["order-placed.odcs.yaml"]
    );
}
