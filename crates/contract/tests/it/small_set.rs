//! The project's small sample set adds up: what the gateway will accept is decided here.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use serde_json::Value;
use tidegate_contract::{Event, lint, load};

#[test]
fn the_small_sample_set_gives_the_verdicts_of_its_account() {
    let set = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/small");
    let contracts = load::folder(&set.join("contracts")).unwrap();
    assert!(lint::lint(&contracts).is_empty());
    let mut counts = BTreeMap::new();
    for line in fs::read_to_string(set.join("events.ndjson"))
        .unwrap()
        .lines()
    {
        let value: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        let event = Event {
            id: text("id").unwrap(),
            source: text("source").unwrap(),
            event_type: text("type").unwrap(),
            time: text("time"),
            datacontenttype: text("datacontenttype"),
            data: value.get("data").map(|data| Bytes::from(data.to_string())),
            ..Event::default()
        };
        event.validate().unwrap();
        let received_at_ms = event.time_ms().unwrap();
        let verdict = match contracts.by_type(&event.event_type) {
            None => "refused",
            Some(contract) => match contract.check(&event, received_at_ms) {
                Ok(_) => "accepted",
                Err(violation) => violation.on_invalid.as_str(),
            },
        };
        *counts.entry(verdict).or_insert(0) += 1;
    }
    let account: Value =
        serde_json::from_str(&fs::read_to_string(set.join("demo.json")).unwrap()).unwrap();
    let first = |name: &str| account["first"][name].as_u64().unwrap();
    assert_eq!(counts["accepted"], first("accepted"));
    assert_eq!(counts["quarantine"], first("quarantined"));
    assert_eq!(counts["refused"], first("refused"));
}
