//! The document says what is served, and nothing else.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::harness::{Answer, BATCH, Running, start, structured};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

async fn document(gateway: &Running) -> Value {
    let answer = gateway.get("/openapi.json").await;
    assert_eq!(answer.header("content-type"), "application/json");
    answer.json
}

/// Each address with its methods and what is said of them.
fn operations(document: &Value) -> Vec<(String, &'static str, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &'_ Value)| {
        let path = path.clone();
        METHODS
            .into_iter()
            .filter(|method| item.get(method).is_some())
            .map(move |method| (path.clone(), method))
            .collect::<Vec<_>>()
    };
    let all: Vec<_> = paths.iter().flat_map(of_path).collect();
    all.into_iter()
        .map(|(path, method)| {
            let operation = &document["paths"][&path][method];
            (path, method, operation)
        })
        .collect()
}

#[tokio::test]
async fn every_address_that_is_described_takes_its_methods_and_no_other() {
    let gateway = start().await;
    let document = document(&gateway).await;
    let described = operations(&document);
    assert!(described.len() >= 25, "{} are described", described.len());
    let mut of_path: Vec<(String, BTreeSet<String>)> = Vec::new();
    for (path, method, _) in &described {
        match of_path.last_mut().filter(|(last, _)| last == path) {
            Some((_, methods)) => drop(methods.insert(method.to_uppercase())),
            None => of_path.push((path.clone(), BTreeSet::from([method.to_uppercase()]))),
        }
    }
    for (path, methods) in of_path {
        let address = path.replace(['{', '}'], "");
        let url = gateway.url(&address);
        let request = gateway.client.request(reqwest::Method::TRACE, url);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 405, "{path}");
        let allow = response.headers()["allow"].to_str().unwrap();
        let allowed: BTreeSet<String> = allow.split(',').map(str::to_owned).collect();
        let allowed: BTreeSet<String> = &allowed - &BTreeSet::from(["HEAD".to_owned()]);
        assert_eq!(allowed, methods, "{path}");
    }
}

#[tokio::test]
async fn every_operation_tells_its_success_and_its_problems() {
    let gateway = start().await;
    let document = document(&gateway).await;
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let at = format!("{method} {path}");
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id.to_owned()), "{at}: {id} is there twice");
        assert!(operation["summary"].is_string(), "{at} says what it does");
        let named: BTreeSet<&str> = path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .collect();
        let parameters = operation["parameters"].as_array();
        let parameters = parameters.into_iter().flatten();
        let described: BTreeSet<&str> = parameters
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        assert_eq!(named, described, "{at}");
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|it| it.starts_with('2')), "{at}");
        for status in ["400", "408", "500", "503"] {
            assert!(responses.contains_key(status), "{at} may answer {status}");
        }
        for (status, response) in responses {
            let content = response["content"].as_object().unwrap();
            let form = match (status.as_str(), path.as_str()) {
                // What a provider asked is answered with its own words.
                ("200", "/v1/sources/{source}") => "text/plain",
                (status, _) if status < "400" => "application/json",
                _ => "application/problem+json",
            };
            assert!(content.contains_key(form), "{at}: {status} is {form}");
        }
    }
}

#[tokio::test]
async fn every_name_that_is_referred_to_is_there() {
    let gateway = start().await;
    let document = document(&gateway).await;
    let mut open = vec![&document];
    let mut seen = 0;
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{reference}");
                    seen += 1;
                }
                open.extend(members.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    assert!(seen > 50, "{seen} references");
}

/// What stands in the document of an answer, for a validator.
fn schema_of(document: &Value, path: &str, method: &str, answer: &Answer) -> Value {
    let response = &document["paths"][path][method]["responses"][answer.status.to_string()];
    let content = &response["content"][answer.header("content-type")];
    assert!(
        content.is_object(),
        "{method} {path}: {} is not told",
        answer.status
    );
    let mut schema = content["schema"].clone();
    schema["components"] = document["components"].clone();
    schema
}

#[tokio::test]
async fn what_is_answered_is_what_the_document_says() {
    let gateway = start().await;
    let document = document(&gateway).await;
    let check = |path: &str, method: &str, answer: &Answer, status: u16| {
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        let schema = schema_of(&document, path, method, answer);
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let found: Vec<String> = validator
            .iter_errors(&answer.json)
            .map(|it| it.to_string())
            .collect();
        assert!(
            found.is_empty(),
            "{method} {path}: {found:?} in {}",
            answer.text
        );
        assert!(
            !validator.is_valid(&Value::Array(Vec::new())),
            "it refuses something"
        );
    };
    let accepted = gateway
        .order("o-1", "{\"total\":5,\"customer\":\"c\"}")
        .await;
    check("/v1/events", "post", &accepted, 202);
    let refused = gateway.order("o-2", "{}").await;
    check("/v1/events", "post", &refused, 422);
    let good = structured("b-1", "com.example.order", "{\"total\":1}");
    let bad = structured("b-2", "com.example.order", "{}");
    for (events, status) in [
        (format!("[{good}]"), 202),
        (format!("[{good},{bad}]"), 207),
        (format!("[{bad}]"), 422),
    ] {
        let answer = gateway
            .post("/v1/events", &[("content-type", BATCH)], events)
            .await;
        check("/v1/events", "post", &answer, status);
    }
    let plain = gateway
        .plain("commands", Some("k-1"), "{\"total\":1,\"customer\":\"c\"}")
        .await;
    check("/v1/events/{contract}", "post", &plain, 202);
    let partition = accepted.json["partition"].as_i64().unwrap();
    let receipt = accepted.header("location");
    let entry = refused.json["quarantine"].as_str().unwrap();
    let events = format!("/v1/topics/orders/events?partition={partition}");
    for (described, path) in [
        ("/v1/receipts/{id}", receipt),
        ("/v1/quarantine", "/v1/quarantine"),
        ("/v1/quarantine/{id}", entry),
        ("/v1/topics", "/v1/topics"),
        ("/v1/topics/{topic}", "/v1/topics/orders"),
        ("/v1/topics/{topic}/events", events.as_str()),
        ("/v1/contracts", "/v1/contracts"),
        ("/v1/contracts/{name}", "/v1/contracts/orders"),
        ("/v1/contract-sets", "/v1/contract-sets"),
        ("/v1/readers", "/v1/readers"),
        ("/v1/bridges", "/v1/bridges"),
        ("/v1/status", "/v1/status"),
    ] {
        check(described, "get", &gateway.get(path).await, 200);
    }
}
