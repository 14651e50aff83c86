use super::*;

fn topic(name: &str, more: &[(&str, &str)]) -> ExistingTopic {
    let settings = [
        ("retention.ms", "604800000"),
        ("retention.bytes", "-1"),
        ("max.message.bytes", "1048588"),
    ];
    let settings = settings.iter().chain(more);
    ExistingTopic {
        name: name.to_owned(),
        partitions: 6,
        settings: settings
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    }
}

fn registered(format: SchemaFormat, text: &str, references: &[(&str, &str)]) -> ExistingSchema {
    ExistingSchema {
        subject: "shop.orders-value".to_owned(),
        version: 3,
        format,
        text: text.to_owned(),
        references: references
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect(),
        compatibility: Some("FULL".to_owned()),
    }
}

fn adopted(topic: &ExistingTopic, schema: Option<&ExistingSchema>) -> Adopted {
    let adopted = adopt(topic, schema, Some("team-shop"), &BTreeSet::new()).unwrap();
    adopted.load().unwrap();
    adopted
}

#[test]
fn a_topic_without_a_subject_takes_any_json_and_says_so() {
    let adopted = adopted(&topic("shop.orders", &[]), None);
    let (file, text) = adopted.file();
    assert_eq!(file, "shop.orders.yaml");
    let schema = &adopted.schemas["schemas/shop.orders.json"];
    let told = adopted.told.join("\n");
    insta::assert_snapshot!(format!("{text}---\n{schema}---\n{told}"));
}

#[test]
fn a_subject_gives_schema_key_and_compatibility() {
    let order = r#"{"type":"record","name":"Order","namespace":"shop","fields":[
        {"name":"note","type":"string"},{"name":"line","type":"shop.Line"},{"name":"orderId","type":"string"}]}"#;
    let line = r#"{"type":"record","name":"Line","namespace":"shop","fields":[{"name":"count","type":"long"}]}"#;
    // The reference is called something else than the type that it declares.
    let schema = registered(SchemaFormat::Avro, order, &[("line", line)]);
    let adopted = adopted(
        &topic("Shop.Orders", &[("retention.ms", "3600000")]),
        Some(&schema),
    );
    let paths: Vec<&String> = adopted.schemas.keys().collect();
    let name = &adopted.name;
    assert_eq!(
        paths,
        [
            &format!("schemas/{name}/shop.Line.avsc"),
            &format!("schemas/{name}/{name}.avsc")
        ]
    );
    insta::assert_snapshot!(adopted.file().1);
}

#[test]
fn every_format_comes_with_its_references() {
    let proto = "syntax = \"proto3\";\npackage shop;\nimport \"shop/line.proto\";\nmessage Order {\n  string id = 1;\n  Line line = 2;\n}\n";
    let line = "syntax = \"proto3\";\npackage shop;\nmessage Line {\n  int64 count = 1;\n}\n";
    let json =
        r#"{"type":"object","properties":{"id":{"type":"string"},"line":{"$ref":"line.json"}}}"#;
    let named = r#"{"$id":"https://x.example/order.json","type":"object","properties":{"line":{"$ref":"https://x.example/line.json"}}}"#;
    let object = r#"{"type":"object"}"#;
    for (format, text, references) in [
        (SchemaFormat::Protobuf, proto, [("shop/line.proto", line)]),
        (SchemaFormat::Json, json, [("line.json", object)]),
        (
            SchemaFormat::Json,
            named,
            [("https://x.example/line.json", object)],
        ),
    ] {
        let schema = registered(format, text, &references);
        let adopted = adopted(&topic("shop.orders", &[]), Some(&schema));
        assert_eq!(
            adopted.subject.as_deref(),
            Some("shop.orders-value"),
            "{:?}",
            adopted.told
        );
    }
}

#[test]
fn a_schema_that_cannot_be_used_is_told_and_leads_out_of_no_folder() {
    let line = r#"{"type":"object"}"#;
    let json = r#"{"properties":{"line":{"$ref":"../../line.json"}}}"#;
    for schema in [
        registered(
            SchemaFormat::Json,
            r#"{"$schema":"http://json-schema.org/draft-04/schema#"}"#,
            &[],
        ),
        registered(
            SchemaFormat::Protobuf,
            "syntax = \"proto3\";\nimport \"../x.proto\";\nmessage A {}\n",
            &[("../x.proto", "")],
        ),
        registered(SchemaFormat::Json, json, &[("../../line.json", line)]),
    ] {
        let adopted = adopted(&topic("shop.orders", &[]), Some(&schema));
        assert_eq!(adopted.schemas.len(), 1);
        assert!(adopted.schemas.contains_key("schemas/shop.orders.json"));
        if adopted.subject.is_none() {
            assert!(
                adopted.told[0].contains("cannot be used here"),
                "{:?}",
                adopted.told
            );
        }
    }
}

#[test]
fn what_a_contract_cannot_say_is_left_out_or_told() {
    let none = BTreeSet::new();
    for (name, settings, expected) in [
        ("a", ("retention.ms", "-1"), "for ever"),
        ("a", ("cleanup.policy", "compact,delete"), "compacted"),
        ("_a", ("x", ""), "no contract's topic"),
        ("a", ("retention.ms", "99999999999999999999"), "for ever"),
    ] {
        let why = adopt(&topic(name, &[settings]), None, None, &none).unwrap_err();
        assert!(why.contains(expected), "{why}");
    }
    let wide = ExistingTopic {
        partitions: 1_001,
        ..topic("a", &[])
    };
    assert!(
        adopt(&wide, None, None, &none)
            .unwrap_err()
            .contains("`1001` partitions")
    );

    for (setting, value, written, expected) in [
        (
            "max.message.bytes",
            "1000",
            "maxMessage: 1B",
            "`max.message.bytes=1000`; `apply` makes it 65537",
        ),
        ("max.message.bytes", "1114112", "maxMessage: 1MiB", ""),
        (
            "retention.ms",
            "1209600001",
            "retention: 1209601s",
            "`apply` makes it 1209601s",
        ),
        (
            "retention.ms",
            "0",
            "retention: 1ms",
            "`apply` makes it 1ms",
        ),
        (
            "retention.bytes",
            "1000",
            "retention: 7d",
            "`retention.bytes=1000` is lifted",
        ),
    ] {
        let adopted = adopted(&topic("a", &[(setting, value)]), None);
        let (text, told) = (adopted.file().1, adopted.told.join("\n"));
        assert!(text.contains(written), "{text}");
        assert!(told.contains(expected), "{told}");
        assert_eq!(told.contains("`apply`"), !expected.is_empty(), "{told}");
    }
}

#[test]
fn names_are_a_contracts_and_nobody_elses() {
    let taken = BTreeSet::from(["shop.orders".to_owned(), "shop.orders-2".to_owned()]);
    for (topic, expected) in [
        ("shop.orders", Some("shop.orders-3")),
        ("ShopOrders", Some("shop-orders")),
        ("shop_orders", Some("shop_orders")),
        ("shop-", Some("shop")),
        ("a".repeat(249).as_str(), Some("a".repeat(95).as_str())),
    ] {
        assert_eq!(name(topic, &taken).as_deref(), expected, "{topic}");
    }
}
