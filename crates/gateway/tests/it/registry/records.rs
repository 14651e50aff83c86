//! What stands in `_schemas`, byte by byte, and what another start makes of it.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tidegate_event_log::{Append, Log as _, Record};
use tidegate_gateway::Settings;

use super::{USER, USER_2, USER_STORED};
use crate::harness::{Running, start, start_on};

const NO: Value = Value::Null;

/// What the records are, as Confluent's registry 8 writes them (`SchemaKey`, `SchemaValue` …).
fn written() -> Vec<(String, Option<String>)> {
    let quoted = Value::from(USER_STORED).to_string();
    let schema = |deleted: bool| {
        format!(
            r#"{{"subject":"a","version":1,"id":1,"schemaType":"AVRO","schema":{quoted},"deleted":{deleted}}}"#
        )
    };
    let version = r#"{"keytype":"SCHEMA","subject":"a","version":1,"magic":1}"#;
    let pairs = [
        (version, Some(schema(false))),
        (
            r#"{"keytype":"SCHEMA","subject":"b","version":1,"magic":1}"#,
            Some(r#"{"subject":"b","version":1,"id":2,"schemaType":"JSON","references":[{"name":"r","subject":"a","version":1}],"metadata":{"properties":{"k":"v"}},"ruleSet":{"domainRules":[{"name":"n","type":"CEL","disabled":false}]},"schema":"{}","deleted":false}"#.to_owned()),
        ),
        (
            r#"{"keytype":"CONFIG","magic":0}"#,
            Some(r#"{"compatibilityLevel":"FULL"}"#.to_owned()),
        ),
        (
            r#"{"keytype":"CONFIG","subject":"a","magic":0}"#,
            Some(r#"{"subject":"a","normalize":false,"compatibilityLevel":"NONE"}"#.to_owned()),
        ),
        (
            r#"{"keytype":"MODE","subject":"a","magic":0}"#,
            Some(r#"{"subject":"a","mode":"READWRITE"}"#.to_owned()),
        ),
        (
            r#"{"keytype":"DELETE_SUBJECT","subject":"b","magic":0}"#,
            Some(r#"{"subject":"b","version":1}"#.to_owned()),
        ),
        (
            r#"{"keytype":"SCHEMA","subject":"b","version":1,"magic":1}"#,
            None,
        ),
        (version, Some(schema(true))),
        (version, None),
        (r#"{"keytype":"MODE","subject":"a","magic":0}"#, None),
        (r#"{"keytype":"CONFIG","subject":"a","magic":0}"#, None),
        (
            r#"{"keytype":"CONTEXT","tenant":"default","context":".c","magic":0}"#,
            Some(r#"{"tenant":"default","context":".c"}"#.to_owned()),
        ),
    ];
    pairs.map(|(key, value)| (key.to_owned(), value)).to_vec()
}

#[tokio::test]
async fn records_have_confluents_form() {
    let running = start().await;
    running.id("a", USER).await;
    let body = json!({
        "schema": "{}", "schemaType": "JSON", "metadata": {"properties": {"k": "v"}},
        "references": [{"name": "r", "subject": "a", "version": 1}],
        "ruleSet": {"domainRules": [{"name": "n", "type": "CEL"}]},
    });
    assert_eq!(
        running
            .ask("POST", "/subjects/b/versions", body)
            .await
            .status,
        200
    );
    running
        .ask("PUT", "/config", json!({"compatibility": "FULL"}))
        .await;
    let own = json!({"compatibility": "NONE", "normalize": false});
    running.ask("PUT", "/config/a", own).await;
    running
        .ask("PUT", "/mode/a", json!({"mode": "READWRITE"}))
        .await;
    running
        .expect("DELETE", "/subjects/b", NO, json!([1]))
        .await;
    running
        .expect("DELETE", "/subjects/b?permanent=true", NO, json!([1]))
        .await;
    running
        .expect("DELETE", "/subjects/a/versions/1", NO, json!(1))
        .await;
    running
        .expect(
            "DELETE",
            "/subjects/a/versions/1?permanent=true",
            NO,
            json!(1),
        )
        .await;
    running.id(":.c:a", USER).await;
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let mut found: Vec<_> = running
        .records("_schemas")
        .await
        .iter()
        .map(|stored| {
            let record = &stored.record;
            (
                text(record.key.as_ref().unwrap()),
                record.value.as_ref().map(text),
            )
        })
        .collect();
    let last = found.pop().unwrap();
    assert!(last.0.contains(r#""subject":":.c:a""#), "{last:?}");
    for (found, expected) in found.iter().zip(written()) {
        assert_eq!(*found, expected);
    }
    assert_eq!(found.len(), written().len());
}

async fn restarted(running: &Running) -> Running {
    let (log, clock) = (Arc::clone(&running.log), Arc::clone(&running.clock));
    start_on(log, clock, Settings::default()).await
}

#[tokio::test]
async fn another_start_gives_the_same_answers() {
    let running = start().await;
    running.id("a", USER).await;
    running.id("a", USER_2).await;
    running.id("b", USER).await;
    running.id(":.c:b", USER_2).await;
    running
        .expect("DELETE", "/subjects/a/versions/1", NO, json!(1))
        .await;
    running.id("d", "\"string\"").await;
    running
        .expect("DELETE", "/subjects/d", NO, json!([1]))
        .await;
    running
        .expect("DELETE", "/subjects/d?permanent=true", NO, json!([1]))
        .await;
    running
        .ask("PUT", "/config/a", json!({"compatibility": "NONE"}))
        .await;
    running
        .ask(
            "PUT",
            "/config",
            json!({"compatibility": "FULL_TRANSITIVE"}),
        )
        .await;
    running
        .ask("PUT", "/mode/b", json!({"mode": "READONLY"}))
        .await;
    let again = restarted(&running).await;
    assert_eq!(again.all_answers().await, running.all_answers().await);
    assert_eq!(
        again.id("new", "\"string\"").await,
        4,
        "an id is not given twice"
    );
}

#[tokio::test]
async fn a_topic_that_another_registry_wrote_is_read() {
    let running = start().await;
    let records = [
        (r#"{"keytype":"NOOP","magic":0}"#, None),
        // As older ones wrote it: no type, a null subject, members in another order.
        (
            r#"{"keytype":"SCHEMA","subject":"old","version":1,"magic":0}"#,
            Some(r#"{"subject":"old","version":1,"id":9,"schema":"\"string\"","deleted":false}"#),
        ),
        (
            r#"{"keytype":"CONFIG","subject":null,"magic":0}"#,
            Some(r#"{"compatibilityLevel":"NONE"}"#),
        ),
        // As Karapace writes it.
        (
            r#"{"subject":"karapace","version":1,"magic":1,"keytype":"SCHEMA"}"#,
            Some(
                r#"{"subject":"karapace","version":1,"id":10,"schema":"\"int\"","deleted":false,"schemaType":"AVRO","references":[]}"#,
            ),
        ),
        (r#"{"keytype":"FUTURE","magic":7}"#, Some("{}")),
        ("not json", Some("{}")),
        (
            r#"{"keytype":"SCHEMA","subject":"bad","version":1,"magic":1}"#,
            Some("{}"),
        ),
        // Another schema under an id that is taken is left out.
        (
            r#"{"keytype":"SCHEMA","subject":"thief","version":1,"magic":1}"#,
            Some(r#"{"subject":"thief","version":1,"id":9,"schema":"\"long\"","deleted":false}"#),
        ),
        (
            r#"{"keytype":"MODE","subject":"karapace","magic":0}"#,
            Some(r#"{"subject":"karapace","mode":"READONLY"}"#),
        ),
    ];
    let appends = records.map(|(key, value)| Append {
        topic: "_schemas".into(),
        partition: Some(0),
        record: Record {
            key: Some(Bytes::from(key)),
            value: value.map(Bytes::from),
            headers: Vec::new(),
        },
        claim: None,
    });
    for answer in running.log.append(appends.to_vec()).await {
        answer.unwrap();
    }
    let again = restarted(&running).await;
    again
        .expect("GET", "/subjects", NO, json!(["karapace", "old"]))
        .await;
    again
        .expect("GET", "/config", NO, json!({"compatibilityLevel": "NONE"}))
        .await;
    again
        .expect("GET", "/mode/karapace", NO, json!({"mode": "READONLY"}))
        .await;
    assert_eq!(again.id("old", "\"int\"").await, 10);
    assert_eq!(again.id("old", "\"long\"").await, 11);
    // The first one has not read on; before it writes, it does.
    assert_eq!(running.id("late", "\"double\"").await, 12);
    assert_eq!(running.all_answers().await, {
        let third = restarted(&running).await;
        third.all_answers().await
    });
}

/// Nothing compacts the topic yet, so a start reads all that was ever written. `cargo test --release … -- --ignored a_start_reads`
/// prints how long that takes.
#[tokio::test]
#[ignore = "takes a while: `make torture` runs it"]
async fn a_start_reads_a_hundred_thousand_records() {
    for count in [10_000, 100_000] {
        let running = start().await;
        // Half of them are taken back.
        let records = (0..count / 2)
            .map(|n| (n, false))
            .chain((0..count / 2).map(|n| (n, true)));
        let appends: Vec<Append> = records
            .map(|(n, deleted)| version_record(n, deleted))
            .collect();
        for batch in appends.chunks(1000) {
            for answer in running.log.append(batch.to_vec()).await {
                answer.unwrap();
            }
        }
        let began = std::time::Instant::now();
        let again = restarted(&running).await;
        println!("{count} records: {} ms", began.elapsed().as_millis());
        let limit = "/subjects?deleted=true&limit=3";
        let expected = json!(["s0", "s1", "s10"]);
        again.expect("GET", limit, NO, expected).await;
        again.expect("GET", "/subjects", NO, json!([])).await;
        assert_eq!(again.id("next", USER).await, count / 2 + 1);
    }
}

fn version_record(n: i64, deleted: bool) -> Append {
    let (subject, version) = (format!("s{}", n / 5), n % 5 + 1);
    let schema = format!(
        r#"{{"type":"record","name":"R{n}","fields":[{{"name":"a","type":["null","string"],"default":null,"doc":"{}"}}]}}"#,
        "words ".repeat(60)
    );
    let key = json!({"keytype": "SCHEMA", "subject": subject, "version": version, "magic": 1});
    let value = json!({"subject": subject, "version": version, "id": n + 1, "schema": schema, "deleted": deleted});
    Append {
        topic: "_schemas".into(),
        partition: Some(0),
        record: Record {
            key: Some(Bytes::from(key.to_string())),
            value: Some(Bytes::from(value.to_string())),
            headers: Vec::new(),
        },
        claim: None,
    }
}
