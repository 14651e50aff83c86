//! Applies on a log that breaks in the middle, and by two gateways at once: one whole set is left.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    PLANS, SCHEMA, SETS, apply, contract, in_force, publish, send, set, team, topics, upload, with,
};
use crate::faults::{Break, Fault};
use crate::harness::{start_again_from_log, start_from_log};

/// The second of two states: a topic more, a wider one, a document replaced and one more.
fn second() -> Value {
    let documents = [
        team(""),
        contract("a", "1.1.0", "  topic: {retention: 60d}\n"),
        contract("b", "1.0.0", ""),
    ];
    upload(&documents, SCHEMA)
}

#[tokio::test]
async fn two_gateways_on_one_log_never_both_win_a_generation() {
    let one = start_from_log().await;
    let two = start_again_from_log(one.log.clone(), one.clock.clone()).await;
    let body = |name: String| upload(&[team(""), contract(&name, "1.0.0", "")], SCHEMA);
    let mut names = BTreeMap::new();
    for round in 0..8 {
        let bodies = [body(format!("a{round}")), body(format!("b{round}"))];
        let answers = tokio::join!(send(&one, SETS, &bodies[0]), send(&two, SETS, &bodies[1]));
        for (answer, name) in [(answers.0, "a"), (answers.1, "b")] {
            match answer.status {
                200 => drop(names.insert(format!("{name}{round}"), "1.0.0".to_owned())),
                _ => drop(answer.problem("plan-changed", 409)),
            }
        }
    }
    // Each sees what the other did once it looks, and nothing that was answered is lost.
    for gateway in [&one, &two] {
        let plan = send(gateway, PLANS, &upload(&[team("")], SCHEMA))
            .await
            .json;
        assert_eq!(plan["changes"], false, "{plan:#}");
        assert_eq!(in_force(gateway).await, names);
        let sets = gateway.get(SETS).await.json;
        let sets = sets["sets"].as_array().unwrap();
        assert_eq!(sets.len(), names.len(), "a generation each");
    }
    assert!(names.len() >= 8, "{names:?}");
}

#[tokio::test]
async fn a_set_that_turns_up_late_is_in_force_with_the_next_look() {
    let gateway = start_from_log().await;
    for version in ["1.0.0", "2.0.0"] {
        apply(
            &gateway,
            &upload(&[team(""), contract("a", version, "")], SCHEMA),
        )
        .await;
    }
    // All texts are there, so the set is all that is written.
    let back = json!({"rollback": {"name": "a", "version": "1.0.0"}});
    gateway.log.set(Fault::StoresLate);
    let answer = send(&gateway, SETS, &back).await;
    answer.problem("contracts-in-doubt", 503);
    assert_eq!(in_force(&gateway).await, set([("a", "2.0.0")]));
    gateway.log.landed.notified().await;
    gateway.log.set(Fault::None);
    let plan = send(&gateway, PLANS, &back).await.json;
    assert_eq!(
        (&plan["generation"], &plan["changes"]),
        (&json!(3), &json!(false))
    );
    assert_eq!(in_force(&gateway).await, set([("a", "1.0.0")]));
}

#[tokio::test]
async fn a_look_that_breaks_at_what_others_applied_is_made_up_for_by_the_next() {
    let one = start_from_log().await;
    let two = start_again_from_log(one.log.clone(), one.clock.clone()).await;
    let mut names = BTreeMap::new();
    let mut broken = 0;
    for step in 0.. {
        let name = format!("a{step}");
        let body = upload(&[team(""), contract(&name, "1.0.0", "")], SCHEMA);
        apply(&one, &body).await;
        let before = names.clone();
        names.insert(name, "1.0.0".to_owned());
        one.log.break_in(Some(Break {
            after: step,
            done: false,
            stays: false,
        }));
        let answer = send(&two, PLANS, &body).await;
        let reached = one.log.is_broken();
        one.log.break_in(None);
        match answer.status {
            200 => assert_eq!(in_force(&two).await, names, "step {step}"),
            _ => {
                answer.problem("log-unavailable", 503);
                broken += 1;
                let here = in_force(&two).await;
                assert!(here == before || here == names, "step {step}: {here:?}");
            }
        }
        let plan = send(&two, PLANS, &body).await.json;
        assert_eq!(plan["changes"], false, "step {step}: {plan:#}");
        assert_eq!(in_force(&two).await, names, "step {step}");
        if !reached {
            break;
        }
    }
    assert!(broken >= 3, "{broken}");
}

#[tokio::test]
async fn whatever_breaks_in_the_middle_leaves_one_whole_set_and_goes_on() {
    let before = set([("a", "1.0.0")]);
    let after = set([("a", "1.1.0"), ("b", "1.0.0")]);
    for (done, stays) in [(false, true), (false, false), (true, true), (true, false)] {
        let (mut broken, mut won) = (0, 0);
        for step in 0.. {
            let told = format!("step {step}, done: {done}, stays: {stays}");
            let gateway = start_from_log().await;
            apply(
                &gateway,
                &upload(&[team(""), contract("a", "1.0.0", "")], SCHEMA),
            )
            .await;
            assert_eq!(publish(&gateway, "a", r#"{"id": "x"}"#).await, 202);
            let event = gateway.records("a").await;
            gateway.log.break_in(Some(Break {
                after: step,
                done,
                stays,
            }));
            let answer = send(&gateway, SETS, &second()).await;
            let reached = gateway.log.is_broken();
            gateway.log.break_in(None);

            let here = in_force(&gateway).await;
            match (answer.status, answer.json["type"].as_str()) {
                (200, _) => assert_eq!(here, after, "{told}"),
                (503, Some("/problems/log-unavailable")) => assert_eq!(here, before, "{told}"),
                (503, Some("/problems/contracts-in-doubt")) => assert_eq!(here, before, "{told}"),
                (409, Some("/problems/plan-changed")) if done => assert_eq!(here, before, "{told}"),
                _ => panic!("{told}: {}", answer.text),
            }
            broken += u32::from(answer.status != 200);
            won += u32::from(answer.status == 200);
            // Nothing was taken away, and what was there is at least as wide.
            let left = topics(gateway.real_log()).await;
            let kept: i64 = left["a"].config["retention.ms"].parse().unwrap();
            assert!(kept >= 2_592_000_000, "{told}");
            assert_eq!(gateway.records("a").await, event, "{told}");
            // A start finds one of the two, whole: that of the answer, unless nobody knew.
            let next = start_again_from_log(gateway.log.clone(), gateway.clock.clone()).await;
            let found = in_force(&next).await;
            let in_doubt = answer.json["type"] == "/problems/contracts-in-doubt";
            assert!(
                found == here || in_doubt && found == after,
                "{told}: {found:?}"
            );

            let again = apply(&next, &second()).await;
            assert_eq!(again["generation"], 2, "{told}");
            assert_eq!(again["applied"], found == before, "{told}");
            assert_eq!(in_force(&next).await, after, "{told}");
            assert_eq!(publish(&next, "b", r#"{"id": "x"}"#).await, 202, "{told}");
            let last = apply(&next, &second()).await;
            assert_eq!(last["applied"], false, "{told}");
            if !reached {
                break;
            }
        }
        eprintln!("done: {done}, stays: {stays}: {broken} broken, {won} went well");
        assert!(broken >= 6 && won >= 1, "{broken} broken, {won} went well");
    }
}

#[tokio::test]
async fn what_takes_away_comes_last_and_is_finished_by_the_next() {
    for step in 0.. {
        let gateway = start_from_log().await;
        let month = contract("a", "1.0.0", "  topic: {retention: 30d}\n");
        let first = [team(""), month, contract("b", "1.0.0", "")];
        apply(&gateway, &upload(&first, SCHEMA)).await;
        let week = [
            team(""),
            contract("a", "1.1.0", "  topic: {retention: 7d}\n"),
        ];
        let options = json!({"allow_narrowing": ["a"], "delete": ["b"], "delete_topics": ["b"]});
        let week = with(upload(&week, SCHEMA), "options", options);
        let breaks = Break {
            after: step,
            done: false,
            stays: true,
        };
        gateway.log.break_in(Some(breaks));
        let answer = send(&gateway, SETS, &week).await;
        let reached = gateway.log.is_broken();
        gateway.log.break_in(None);
        let left = topics(gateway.real_log()).await;
        let narrowed = left["a"].config["retention.ms"] == "604800000";
        if narrowed || !left.contains_key("b") {
            // Only after the set that allows it.
            assert_eq!(
                in_force(&gateway).await,
                set([("a", "1.1.0")]),
                "step {step}"
            );
        }
        assert_eq!(
            answer.status == 200,
            narrowed && !left.contains_key("b"),
            "step {step}"
        );
        let next = start_again_from_log(gateway.log.clone(), gateway.clock.clone()).await;
        apply(&next, &week).await;
        let left = topics(next.real_log()).await;
        assert_eq!(left["a"].config["retention.ms"], "604800000", "step {step}");
        assert!(!left.contains_key("b"), "step {step}");
        assert_eq!(apply(&next, &week).await["applied"], false, "step {step}");
        if !reached {
            break;
        }
    }
}
