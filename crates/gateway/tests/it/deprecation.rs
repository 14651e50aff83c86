//! Senders are told that a contract is on its way out, in headers of the answers they get anyway.

use crate::harness::{BATCH, Running, contracts_of, start};

const CONTRACT: &str = "
apiVersion: contract/v1
kind: EventContract
metadata: {name: orders, version: 1.0.0}
spec:
  class: fact
  event: {type: com.example.order}
  schema: {file: order.json}
  key: {from: $.customer}
";
const ACTIVE: &str = "---
apiVersion: contract/v1
kind: EventContract
metadata: {name: sales}
spec:
  class: fact
  schema: {file: order.json}
  key: {from: $.customer}
";
const BODY: &str = r#"{"total": 1, "customer": "c"}"#;

async fn start_under(more: &str) -> Running {
    let gateway = start().await;
    let contracts = contracts_of(&format!("{CONTRACT}{more}{ACTIVE}"));
    gateway.gateway.replace_contracts(&contracts).await.unwrap();
    gateway
}

#[tokio::test]
async fn an_accepted_event_of_a_deprecated_contract_says_when_it_ends() {
    let told = "  lifecycle: deprecated\n  deprecation: {since: 2026-03-31, sunset: 2026-12-31, successor: sales}\n";
    let gateway = start_under(told).await;
    let check = |answer: &crate::harness::Answer, expected: [&str; 3]| {
        let found = ["deprecation", "sunset", "link"].map(|name| answer.header(name));
        assert_eq!(found, expected, "{}", answer.text);
    };
    let all = [
        "@1774915200",
        "Thu, 31 Dec 2026 00:00:00 GMT",
        "</v1/events/sales>; rel=\"successor-version\"",
    ];
    check(gateway.order("a", BODY).await.accepted(false), all);
    // Also to a sender who repeats.
    check(gateway.order("a", BODY).await.accepted(true), all);
    check(
        gateway.plain("orders", None, BODY).await.accepted(false),
        all,
    );
    // The others are not on their way out, and what was refused has other troubles.
    let nothing = ["", "", ""];
    check(
        gateway.plain("sales", None, BODY).await.accepted(false),
        nothing,
    );
    check(
        gateway
            .order("b", "{}")
            .await
            .problem("contract-violation", 422),
        nothing,
    );
}

#[tokio::test]
async fn a_batch_of_one_contract_says_so_too() {
    let gateway =
        start_under("  lifecycle: deprecated\n  deprecation: {since: 2026-03-31}\n").await;
    let event = |id: &str, of: &str| {
        format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"/shop","type":"{of}","datacontenttype":"application/json","data":{BODY}}}"#
        )
    };
    let post = async |events: &[String]| {
        let body = format!("[{}]", events.join(","));
        gateway
            .post("/v1/events", &[("content-type", BATCH)], body)
            .await
    };
    let (orders, sales) = ("com.example.order", "sales");
    let answer = post(&[event("a", orders), event("b", orders)]).await;
    assert_eq!(
        (answer.status, answer.header("deprecation")),
        (202, "@1774915200")
    );
    assert_eq!((answer.header("sunset"), answer.header("link")), ("", ""));
    let answer = post(&[event("c", orders), event("d", sales)]).await;
    assert_eq!((answer.status, answer.header("deprecation")), (202, ""));
}

#[tokio::test]
async fn without_a_day_nothing_is_told() {
    let gateway = start_under("  lifecycle: deprecated\n").await;
    let answer = gateway.order("a", BODY).await;
    assert_eq!(answer.accepted(false).header("deprecation"), "");
}
