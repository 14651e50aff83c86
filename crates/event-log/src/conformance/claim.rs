//! Rules of claims: stored once, first place for repeats, windows in log time.

use super::*;

pub(super) async fn a_refused_append_holds_no_claim(subject: Subject) {
    subject
        .log
        .create_topic(with_setting("max.message.bytes", "1000"))
        .await
        .expect("valid");
    let refused = [
        claimed("t", value("x".repeat(2_000)), claim("n", 1)),
        claimed("missing", value("v"), claim("n", 1)),
    ];
    for append in refused {
        subject.append(append).await.expect_err("refused");
    }
    assert_eq!(subject.log.lookup(&claim("n", 1)).await, Ok(None));
    subject
        .stored(claimed("t", value("v"), claim("n", 1)))
        .await;
}

pub(super) async fn a_repeat_gets_the_first_place(subject: Subject) {
    subject.topic("t", 1).await;
    subject.stored(to("t", 0, value("before"))).await;
    let first = subject
        .stored(claimed("t", value("v"), claim("n", 1)))
        .await;
    for _ in 0..3 {
        let repeat = subject
            .append(claimed("t", value("v"), claim("n", 1)))
            .await;
        let expected = Appended {
            disposition: Disposition::Repeated,
            ..first.clone()
        };
        assert_eq!(repeat, Ok(expected));
    }
    subject
        .stored(claimed("t", value("v"), claim("another", 1)))
        .await;
    assert_eq!(subject.all("t", 0).await.len(), 3);
}

pub(super) async fn other_data_under_a_claim_is_a_mismatch(subject: Subject) {
    subject.topic("t", 1).await;
    let first = subject
        .stored(claimed("t", value("v"), claim("n", 1)))
        .await;
    let other = subject
        .append(claimed("t", value("w"), claim("n", 2)))
        .await;
    assert_eq!(
        other,
        Ok(Appended {
            disposition: Disposition::Mismatched,
            ..first.clone()
        })
    );
    let again = subject
        .append(claimed("t", value("v"), claim("n", 1)))
        .await;
    assert_eq!(
        again,
        Ok(Appended {
            disposition: Disposition::Repeated,
            ..first.clone()
        })
    );
    assert_eq!(subject.all("t", 0).await.len(), 1);
}

pub(super) async fn one_call_with_a_claim_twice_stores_once(subject: Subject) {
    subject.topic("t", 1).await;
    let appends = vec![
        claimed("t", value("v"), claim("n", 1)),
        claimed("t", value("v"), claim("n", 1)),
        claimed("t", value("w"), claim("n", 2)),
    ];
    let answers: Vec<Appended> = subject
        .log
        .append(appends)
        .await
        .into_iter()
        .map(|a| a.expect("answered"))
        .collect();
    let dispositions: Vec<_> = answers.iter().map(|answer| answer.disposition).collect();
    assert_eq!(
        dispositions,
        [
            Disposition::Stored,
            Disposition::Repeated,
            Disposition::Mismatched
        ]
    );
    assert!(
        answers
            .iter()
            .all(|answer| answer.place == answers[0].place)
    );
    assert_eq!(subject.all("t", 0).await.len(), 1);
}

pub(super) async fn concurrent_appends_of_one_claim_store_once(subject: Subject) {
    subject.topic("t", 1).await;
    let answers = together((0..64).map(|_| {
        let log = Arc::clone(&subject.log);
        async move {
            let append = claimed("t", value("v"), claim("n", 1));
            let answer = log.append(vec![append]).await.remove(0).expect("answered");
            // Whoever is answered can read the record: a repeat waits for the first one's ack.
            let read = log
                .read("t", 0, answer.place.offset, 1)
                .await
                .expect("readable");
            assert_eq!(read.records.len(), 1);
            answer
        }
    }))
    .await;
    let stored = answers
        .iter()
        .filter(|answer| answer.disposition == Disposition::Stored)
        .count();
    assert_eq!(stored, 1);
    assert!(
        answers
            .iter()
            .all(|answer| answer.place == answers[0].place)
    );
    assert_eq!(subject.all("t", 0).await.len(), 1);
}

pub(super) async fn many_claims_at_once_store_each_once(subject: Subject) {
    subject.topic("t", 1).await;
    together((0..8).map(|_| {
        let log = Arc::clone(&subject.log);
        async move {
            for n in 0..100 {
                let append = claimed("t", value(n.to_string()), claim(&n.to_string(), 1));
                log.append(vec![append]).await.remove(0).expect("answered");
            }
        }
    }))
    .await;
    let read: Vec<String> = subject.all("t", 0).await.iter().map(text).collect();
    assert_eq!(read.len(), 100);
    assert_eq!(read.into_iter().collect::<BTreeSet<_>>().len(), 100);
}

pub(super) async fn a_claim_holds_across_topics(subject: Subject) {
    subject.topic("t", 1).await;
    subject.topic("u", 1).await;
    let first = subject
        .stored(claimed("t", value("v"), claim("n", 1)))
        .await;
    let repeat = subject
        .append(claimed("u", value("v"), claim("n", 1)))
        .await;
    assert_eq!(
        repeat,
        Ok(Appended {
            disposition: Disposition::Repeated,
            ..first.clone()
        })
    );
    assert!(subject.all("u", 0).await.is_empty());
}

pub(super) async fn lookup_finds_a_claim_and_makes_none(subject: Subject) {
    subject.topic("t", 1).await;
    assert_eq!(subject.log.lookup(&claim("n", 1)).await, Ok(None));
    let first = subject
        .stored(claimed("t", value("v"), claim("n", 1)))
        .await;
    for (data, disposition) in [(1, Disposition::Repeated), (2, Disposition::Mismatched)] {
        let found = subject.log.lookup(&claim("n", data)).await;
        assert_eq!(
            found,
            Ok(Some(Appended {
                disposition,
                ..first.clone()
            }))
        );
    }
    assert_eq!(subject.log.lookup(&claim("N", 1)).await, Ok(None));
}

pub(super) async fn a_claim_ends_with_its_window(subject: Subject) {
    let Some(advance) = &subject.advance else {
        return;
    };
    subject.topic("t", 1).await;
    let hour = |identity| Claim {
        window: Duration::from_hours(1),
        ..claim(identity, 1)
    };
    subject
        .stored(claimed("t", value("v"), hour("short")))
        .await;
    subject
        .stored(claimed("t", value("v"), claim("long", 1)))
        .await;
    advance(Duration::from_mins(59));
    let repeat = subject
        .append(claimed("t", value("v"), hour("short")))
        .await
        .expect("answered");
    assert_eq!(
        repeat.disposition,
        Disposition::Repeated,
        "a repeat does not renew it"
    );
    advance(Duration::from_mins(2));
    // Log time passes with the log, so something is written before it is asked.
    subject.stored(to("t", 0, value("later"))).await;
    assert_eq!(subject.log.lookup(&hour("short")).await, Ok(None));
    let again = subject
        .stored(claimed("t", value("v"), hour("short")))
        .await;
    let repeat = subject
        .append(claimed("t", value("v"), hour("short")))
        .await
        .expect("answered");
    assert_eq!(
        (repeat.disposition, repeat.place),
        (Disposition::Repeated, again.place)
    );
    let long = subject
        .append(claimed("t", value("v"), claim("long", 1)))
        .await
        .expect("answered");
    assert_eq!(long.disposition, Disposition::Repeated);
}

pub(super) async fn a_claim_ends_with_its_topic(subject: Subject) {
    subject.topic("t", 1).await;
    subject.topic("u", 1).await;
    subject
        .stored(claimed("t", value("v"), claim("gone", 1)))
        .await;
    subject
        .stored(claimed("u", value("v"), claim("kept", 1)))
        .await;
    subject.log.delete_topic("t").await.expect("deleted");
    assert_eq!(subject.log.lookup(&claim("gone", 1)).await, Ok(None));
    assert!(
        subject
            .log
            .lookup(&claim("kept", 1))
            .await
            .expect("answered")
            .is_some()
    );
    subject.topic("t", 1).await;
    let again = subject
        .stored(claimed("t", value("v"), claim("gone", 1)))
        .await;
    assert_eq!(again.place.offset, 0);
}
