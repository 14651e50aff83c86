//! Contracts with a subject: their schemas in the registry, the ids on their records, and what their
//! topics ask of the records of Kafka clients.

use std::sync::Arc;

use serde_json::{Value, json};
use tidegate_contract::Contracts;
use tidegate_contract::record::{Header, Incoming};
use tidegate_event_log::StoredRecord;
use tidegate_gateway::RecordRules;

use crate::harness::{Running, header, start};

const ALL_JSON: &str = r##"{"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {
    "order": {"type": "object", "required": ["id"], "properties": {
        "id": {"type": "string"}, "line": {"$ref": "#/definitions/line"}}},
    "line": {"type": "object", "properties": {"count": {"type": "integer"}}},
    "other": {"type": "string"}}}"##;
const ORDER_AVSC: &str = r#"{"type": "record", "name": "Order", "namespace": "shop", "fields": [
    {"name": "id", "type": "string"}, {"name": "line", "type": ["null", "shop.Line"], "default": null}]}"#;
const LINE_AVSC: &str = r#"{"type": "record", "name": "Line", "namespace": "shop", "fields": [{"name": "count", "type": "long"}]}"#;
/// What the two of them are together, as Avro's own writer has it.
const ORDER_AVRO: &str = r#"{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"id","type":"string"},{"name":"line","type":["null",{"type":"record","name":"Line","fields":[{"name":"count","type":"long"}]}],"default":null}]}"#;
const ORDER_PROTO: &str = "syntax = \"proto3\";\npackage shop;\n\nimport \"line.proto\";\n\n\
    message Other {\n  int32 a = 1;\n}\nmessage Order {\n  string id = 1;\n  Line line = 2;\n}\n";
const LINE_PROTO: &str =
    "syntax = \"proto3\";\npackage shop;\n\nmessage Line {\n  int64 count = 1;\n}\n";

/// A contract `order` whose schema is this, with more keys of `schema` and `topic`.
fn contracts(schema: &str, topic: &str) -> Contracts {
    contracts_with(schema, topic, |text| text.to_owned())
}

fn contracts_with(schema: &str, topic: &str, change: impl Fn(&str) -> String) -> Contracts {
    let yaml = format!(
        "apiVersion: contract/v1\nkind: Team\nmetadata: {{name: team}}\nspec: {{pager: \"mailto:a@example.com\"}}\n\
         ---\napiVersion: contract/v1\nkind: EventContract\nmetadata: {{name: order, owner: team}}\n\
         spec:\n  class: fact\n  schema: {{{schema}}}\n  key: {{from: $.id}}\n  topic: {{{topic}}}\n"
    );
    let files = [("all.yaml".to_owned(), yaml)];
    let find = |path: &str| {
        let text = match path {
            "all.json" => ALL_JSON,
            "order.avsc" => ORDER_AVSC,
            "shop.Line.avsc" => LINE_AVSC,
            "order.proto" => ORDER_PROTO,
            "line.proto" => LINE_PROTO,
            _ => return None,
        };
        Some(change(text))
    };
    tidegate_contract::load::sources(&files, &find).unwrap_or_else(|found| panic!("{found}"))
}

const JSON: &str = "file: all.json#/definitions/order, subject: order-value";
const AVRO: &str = "format: avro, file: order.avsc, subject: order-value";
const PROTOBUF: &str = "format: protobuf, file: order.proto#/Order, subject: order-value";

async fn started(schema: &str, topic: &str) -> Running {
    let running = start().await;
    let contracts = contracts(schema, topic);
    running.gateway.replace_contracts(&contracts).await.unwrap();
    running
}

impl Running {
    async fn latest(&self, subject: &str) -> Value {
        let path = format!("/subjects/{subject}/versions/latest");
        self.ask("GET", &path, Value::Null).await.json
    }

    /// Sends an order's data and returns its record.
    async fn sent(&self, media_type: &str, data: &[u8]) -> StoredRecord {
        let headers = [
            ("content-type", media_type),
            ("ce-specversion", "1.0"),
            ("ce-id", "e-1"),
            ("ce-source", "/shop"),
            ("ce-type", "order"),
        ];
        self.post("/v1/events", &headers, data.to_vec())
            .await
            .accepted(false);
        self.records("order").await.pop().unwrap()
    }

    fn rules(&self) -> Arc<RecordRules> {
        self.gateway.record_rules("order").unwrap()
    }

    /// Shows the data of the only record through the API.
    async fn shown(&self) -> Value {
        for partition in 0..3 {
            let path = format!("/v1/topics/order/events?partition={partition}");
            let page = self.get(&path).await.json;
            if let Some(event) = page["events"].get(0) {
                return event.clone();
            }
        }
        panic!("no event is shown");
    }
}

fn bytes_of<'r>(record: &'r StoredRecord, name: &str) -> Option<&'r [u8]> {
    let mut headers = record.record.headers.iter();
    headers
        .find(|header| header.name == name.as_bytes())?
        .value
        .as_deref()
}

fn check(rules: &RecordRules, value: &[u8], headers: &[Header<'_>]) -> String {
    let record = Incoming {
        key: Some(b"a"),
        value: Some(value),
        headers,
    };
    rules.check(&record).err().unwrap_or_default()
}

#[tokio::test]
async fn a_contracts_schema_stands_alone_in_the_registry() {
    let running = started(JSON, "").await;
    let json = running.latest("order-value").await;
    assert_eq!(json["schemaType"], "JSON");
    let text: Value = serde_json::from_str(json["schema"].as_str().unwrap()).unwrap();
    assert_eq!(
        text,
        json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object",
            "required": ["id"], "properties": {
                "id": {"type": "string"}, "line": {"$ref": "#/definitions/line"}},
            "definitions": {"line": {"type": "object", "properties": {"count": {"type": "integer"}}}}})
    );

    let running = started(AVRO, "").await;
    let avro = running.latest("order-value").await;
    assert_eq!(avro["schema"], ORDER_AVRO);

    let running = started(PROTOBUF, "").await;
    let protobuf = running.latest("order-value").await;
    assert_eq!(protobuf["schemaType"], "PROTOBUF");
    assert_eq!(protobuf["schema"], ORDER_PROTO);
    let reference = json!({"name": "line.proto", "subject": "line.proto", "version": 1});
    assert_eq!(protobuf["references"], json!([reference]));
    assert_eq!(running.latest("line.proto").await["schema"], LINE_PROTO);
}

#[tokio::test]
async fn the_same_contract_adds_nothing_and_another_schema_a_version() {
    let running = started(AVRO, "").await;
    let count = running.records("_schemas").await.len();
    let same = contracts(AVRO, "");
    running.gateway.replace_contracts(&same).await.unwrap();
    assert_eq!(running.records("_schemas").await.len(), count);
    let wider = contracts_with(AVRO, "", |text| {
        text.replace(
            "{\"name\": \"id\"",
            "{\"name\": \"note\", \"type\": \"string\", \"default\": \"\"}, {\"name\": \"id\"",
        )
    });
    running.gateway.replace_contracts(&wider).await.unwrap();
    assert_eq!(running.latest("order-value").await["version"], 2);
}

#[tokio::test]
async fn a_schema_that_the_registry_refuses_does_not_come_into_force() {
    let running = started(AVRO, "enforce: [schema]").await;
    let broken = contracts_with(AVRO, "", |text| {
        text.replace(
            "\"id\", \"type\": \"string\"",
            "\"key\", \"type\": \"string\"",
        )
    });
    let refused = running
        .gateway
        .replace_contracts(&broken)
        .await
        .unwrap_err()
        .to_string();
    let expected = "contract `order`: its schema cannot be registered under `order-value`: \
        Schema being registered is incompatible with an earlier schema for subject \"order-value\"";
    assert!(refused.starts_with(expected), "{refused}");
    assert!(
        refused.contains("READER_FIELD_MISSING_DEFAULT_VALUE"),
        "{refused}"
    );
    // The earlier contracts stay in force.
    assert_eq!(running.latest("order-value").await["version"], 1);
    assert!(running.gateway.record_rules("order").is_some());
}

#[tokio::test]
async fn a_contract_that_is_not_in_force_registers_nothing() {
    let running = start().await;
    let draft = contracts(
        &format!("{AVRO}}}\n  lifecycle: draft\n  ingress: {{onInvalid: reject"),
        "",
    );
    running.gateway.replace_contracts(&draft).await.unwrap();
    let path = "/subjects/order-value/versions/latest";
    running
        .fail("GET", path, Value::Null, 40401, "Subject")
        .await;
}

#[tokio::test]
async fn the_guid_goes_into_a_header() {
    let running = started(&format!("{JSON}, schemaId: header"), "").await;
    let latest = running.latest("order-value").await;
    let record = running.sent("application/json", br#"{"id":"a"}"#).await;
    assert_eq!(record.record.value.as_deref(), Some(&br#"{"id":"a"}"#[..]));
    let id = bytes_of(&record, "__value_schema_id").unwrap();
    assert_eq!((id[0], id.len()), (1, 17));
    let guid: String = id[1..].iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(guid, latest["guid"].as_str().unwrap().replace('-', ""));
    assert_eq!(
        header(&record, "tidegate_schema_id"),
        Some(&*latest["id"].to_string())
    );
    let path = format!("/schemas/guids/{}", latest["guid"].as_str().unwrap());
    let by_guid = running.ask("GET", &path, Value::Null).await;
    assert_eq!(by_guid.json["schema"], latest["schema"]);
}

#[tokio::test]
async fn the_number_goes_before_the_data_and_is_not_shown() {
    let running = started(&format!("{JSON}, schemaId: prefix"), "").await;
    let id = running.latest("order-value").await["id"].as_i64().unwrap();
    let id = i32::try_from(id).unwrap().to_be_bytes();
    let record = running.sent("application/json", br#"{"id":"a"}"#).await;
    let expected = [&[0], &id[..], br#"{"id":"a"}"#].concat();
    assert_eq!(record.record.value.as_deref(), Some(&expected[..]));
    assert_eq!(bytes_of(&record, "__value_schema_id"), None);
    let shown = running.shown().await;
    assert_eq!(shown["data"], json!({"id": "a"}));
    assert_eq!(shown["receipt"]["event"]["id"], "e-1");
    // The same event again is a repeat, by the bytes that the caller sent.
    let headers = [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "e-1"),
        ("ce-source", "/shop"),
        ("ce-type", "order"),
    ];
    let again = running.post("/v1/events", &headers, r#"{"id":"a"}"#).await;
    again.accepted(true);
}

#[tokio::test]
async fn json_under_an_id_becomes_what_the_id_says() {
    let avro = started(&format!("{AVRO}, schemaId: header"), "").await;
    let record = avro
        .sent("application/json", br#"{"id":"a","line":{"count":3}}"#)
        .await;
    assert_eq!(record.record.value.as_deref(), Some(&b"\x02a\x02\x06"[..]));
    assert_eq!(header(&record, "content-type"), Some("application/avro"));
    assert_eq!(record.record.key.as_deref(), Some(&b"a"[..]));

    let protobuf = started(&format!("{PROTOBUF}, schemaId: prefix"), "").await;
    let id = protobuf.latest("order-value").await["id"].as_i64().unwrap();
    let id = i32::try_from(id).unwrap().to_be_bytes();
    let record = protobuf
        .sent("application/json", br#"{"id":"a","line":{"count":"3"}}"#)
        .await;
    // `Order` is the second message of its file.
    let data = b"\x0a\x01a\x12\x02\x08\x03";
    let expected = [&[0], &id[..], &[2, 2], data].concat();
    assert_eq!(record.record.value.as_deref(), Some(&expected[..]));
    assert_eq!(
        header(&record, "content-type"),
        Some("application/protobuf")
    );
    let shown = protobuf.shown().await;
    assert_eq!(shown["data_base64"], "CgFhEgIIAw==");
    assert_eq!(shown["data"]["id"], "a", "{shown}");
    // What is in the encoding already stays as it is.
    let binary = started(&format!("{AVRO}, schemaId: prefix"), "").await;
    let record = binary.sent("avro/binary", b"\x02a\x00").await;
    assert_eq!(
        record.record.value.as_deref().map(|value| &value[5..]),
        Some(&b"\x02a\x00"[..])
    );
    assert_eq!(header(&record, "content-type"), Some("avro/binary"));
}

#[tokio::test]
async fn the_gateways_own_records_keep_the_rules_of_their_topic() {
    for (schema, data) in [
        (JSON, &br#"{"id":"a"}"#[..]),
        (AVRO, b"{\"id\":\"a\"}"),
        (PROTOBUF, b"{\"id\":\"a\"}"),
    ] {
        for place in ["header", "prefix"] {
            let schema = format!("{schema}, schemaId: {place}");
            let running = started(&schema, "enforce: [schema, key, headers, size]").await;
            let record = running.sent("application/json", data).await.record;
            let headers = record.headers.iter();
            let headers: Vec<Header<'_>> = headers
                .map(|header| (&header.name[..], header.value.as_deref()))
                .collect();
            let value = record.value.as_deref().unwrap();
            assert_eq!(check(&running.rules(), value, &headers), "", "{schema}");
        }
    }
}

#[tokio::test]
async fn an_id_is_one_of_the_subjects_versions() {
    let schema = format!("{AVRO}, schemaId: prefix");
    let running = started(&schema, "enforce: [schema]").await;
    let rules = running.rules();
    let prefixed =
        |id: i64, data: &[u8]| [&[0], &i32::try_from(id).unwrap().to_be_bytes()[..], data].concat();
    let own = running.latest("order-value").await["id"].as_i64().unwrap();
    assert_eq!(check(&rules, &prefixed(own, b"\x02a\x00"), &[]), "");
    let unknown = check(&rules, &prefixed(99, b"\x02a\x00"), &[]);
    assert_eq!(
        unknown,
        "the event breaks `order`: `#/schemaId` schema id `99` is not known (schema.subject)"
    );
    let other = running.id("other-value", r#""string""#).await;
    let refused = check(&rules, &prefixed(other, b"\x02a\x00"), &[]);
    assert!(
        refused.contains("is no version of subject `order-value`"),
        "{refused}"
    );
    // A version that somebody registers is allowed at once, and its bytes are read by it.
    let newer = ORDER_AVRO.replace(
        r#""fields":[{"name":"id""#,
        r#""fields":[{"name":"note","type":"string","default":""},{"name":"id""#,
    );
    let newer = running.id("order-value", &newer).await;
    assert_eq!(check(&rules, &prefixed(newer, b"\x02n\x02a\x00"), &[]), "");
    let refused = check(&rules, &prefixed(own, b"\x02n\x02a\x00"), &[]);
    assert!(refused.contains("`#/data`"), "{refused}");
    // One that is deleted is not.
    let path = "/subjects/order-value/versions/2";
    running.expect("DELETE", path, Value::Null, json!(2)).await;
    let refused = check(&rules, &prefixed(newer, b"\x02n\x02a\x00"), &[]);
    assert!(refused.contains("schema id"), "{refused}");
}

#[tokio::test]
async fn refusals_are_counted_by_contract_and_rule() {
    let running = started(AVRO, "enforce: [schema, key, size], maxMessage: 10B").await;
    let rules = running.rules();
    let counted = async || {
        let url = format!("http://{}/metrics", running.ops);
        let text = running
            .client
            .get(url)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let lines = text
            .lines()
            .filter(|line| line.starts_with("tidegate_records_refused_total"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(counted().await.is_empty());
    assert_eq!(check(&rules, b"\x02a\x00", &[]), "");
    assert!(!check(&rules, b"\x02b\x00", &[]).is_empty());
    assert!(!check(&rules, b"\x02", &[]).is_empty());
    assert!(!check(&rules, &[2; 11], &[]).is_empty());
    let mut lines = counted().await;
    lines.sort();
    let line = |rule: &str| {
        format!("tidegate_records_refused_total{{contract=\"order\",rule=\"{rule}\"}} 1")
    };
    assert_eq!(lines, ["key", "schema", "size"].map(line));
}

#[tokio::test]
async fn rules_are_those_of_the_contracts_in_force() {
    let running = started(JSON, "enforce: [schema]").await;
    assert!(!check(&running.rules(), b"{}", &[]).is_empty());
    let open = contracts(JSON, "");
    running.gateway.replace_contracts(&open).await.unwrap();
    assert!(running.gateway.record_rules("order").is_none());
    assert!(running.gateway.record_rules("no such topic").is_none());
}
