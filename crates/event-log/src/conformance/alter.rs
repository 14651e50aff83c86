//! Rules of topics that change: in one step, only growing, seen at once.

use super::*;

fn set(name: &str, value: &str) -> AlterTopic {
    AlterTopic {
        set: TopicConfig::from([(name.to_owned(), value.to_owned())]),
        ..AlterTopic::default()
    }
}

fn grow_to(partitions: i32) -> AlterTopic {
    AlterTopic {
        partitions: Some(partitions),
        ..AlterTopic::default()
    }
}

impl Subject {
    async fn alter(&self, name: &str, alter: AlterTopic) -> Topic {
        let altered = self.log.alter_topic(name, alter).await.expect("altered");
        let listed = self.log.topics().await.expect("listed");
        assert!(listed.contains(&altered), "listed as answered");
        altered
    }
}

pub(super) async fn settings_change_and_the_rest_stays(subject: Subject) {
    let before = subject
        .log
        .create_topic(with_setting("retention.ms", "1000"))
        .await
        .expect("valid");
    subject.stored(to("t", 0, value("v"))).await;
    let altered = subject.alter("t", set("max.message.bytes", "9000")).await;
    let expected = TopicConfig::from([
        ("max.message.bytes".to_owned(), "9000".to_owned()),
        ("retention.ms".to_owned(), "1000".to_owned()),
    ]);
    assert_eq!((&altered.config, altered.partitions), (&expected, 1));
    assert_eq!((altered.id, altered.internal), (before.id, false));
    // What is forgotten and set again is set; what was never set is forgotten all the same.
    let both = AlterTopic {
        unset: ["max.message.bytes", "retention.ms", "retention.bytes"]
            .map(str::to_owned)
            .into(),
        ..set("retention.ms", "2000")
    };
    let altered = subject.alter("t", both).await;
    let expected = with_setting("retention.ms", "2000").config;
    assert_eq!(altered.config, expected);
    assert_eq!(subject.all("t", 0).await.len(), 1, "records stay");
}

pub(super) async fn a_topic_grows_and_keeps_what_it_has(subject: Subject) {
    subject.topic("t", 2).await;
    subject.topic("other", 1).await;
    subject.stored(to("t", 1, value("before"))).await;
    let grown = subject.alter("t", grow_to(5)).await;
    assert_eq!(grown.partitions, 5);
    subject.stored(to("t", 4, value("new"))).await;
    subject.stored(to("t", 1, value("after"))).await;
    let texts: Vec<_> = subject.all("t", 1).await.iter().map(text).collect();
    assert_eq!(texts, ["before", "after"]);
    assert_eq!(text(&subject.all("t", 4).await[0]), "new");
    let record = Record {
        key: Some(Bytes::from_static(b"a key")),
        ..value("v")
    };
    let keyed = Append {
        partition: None,
        ..to("t", 0, record)
    };
    let stored = subject.stored(keyed).await;
    let expected = partitioner::for_key(b"a key", 5);
    assert_eq!(stored.place.partition, expected, "keys follow the number");
    let error = subject.append(to("t", 5, value("v"))).await;
    assert!(matches!(error, Err(LogError::NotFound(_))), "{error:?}");
}

pub(super) async fn a_changed_limit_holds_at_once(subject: Subject) {
    subject.topic("t", 1).await;
    let large = || to("t", 0, value("x".repeat(2_000)));
    subject.stored(large()).await;
    subject.alter("t", set("max.message.bytes", "1000")).await;
    let error = subject.append(large()).await;
    assert!(matches!(error, Err(LogError::Invalid(_))), "{error:?}");
    let unset = AlterTopic {
        unset: ["max.message.bytes".to_owned()].into(),
        ..AlterTopic::default()
    };
    subject.alter("t", unset).await;
    subject.stored(large()).await;
}

pub(super) async fn a_change_that_cannot_be_changes_nothing(subject: Subject) {
    let before = subject.topic("t", 3).await;
    let bad = [
        grow_to(2),
        grow_to(0),
        grow_to(-1),
        grow_to(i32::MAX),
        set("retention.ms", "soon"),
        set("no.such.setting", "1"),
        AlterTopic {
            partitions: Some(2),
            ..set("retention.ms", "1000")
        },
        AlterTopic {
            partitions: Some(4),
            ..set("retention.ms", "soon")
        },
    ];
    for alter in bad {
        let error = subject.log.alter_topic("t", alter.clone()).await;
        assert!(
            matches!(error, Err(LogError::Invalid(_))),
            "{alter:?}: {error:?}"
        );
    }
    let error = subject.log.alter_topic("u", grow_to(4)).await;
    assert!(matches!(error, Err(LogError::NotFound(_))), "{error:?}");
    let listed = subject.log.topics().await.expect("listed");
    assert!(listed.contains(&before), "{listed:?}");
}

pub(super) async fn a_change_of_nothing_is_no_error(subject: Subject) {
    let before = subject
        .log
        .create_topic(with_setting("retention.ms", "1000"))
        .await
        .expect("valid");
    for alter in [
        AlterTopic::default(),
        grow_to(1),
        set("retention.ms", "1000"),
    ] {
        assert_eq!(subject.alter("t", alter).await, before);
    }
}

pub(super) async fn concurrent_changes_all_count(subject: Subject) {
    subject.topic("t", 1).await;
    let names = ["retention.ms", "retention.bytes", "max.message.bytes"];
    let changes = (2..10)
        .map(grow_to)
        .chain(names.map(|name| set(name, "1000")));
    let answers = together(changes.map(|alter| {
        let log = Arc::clone(&subject.log);
        async move { (alter.clone(), log.alter_topic("t", alter).await) }
    }))
    .await;
    for (alter, answer) in answers {
        match (alter.partitions, answer) {
            (_, Ok(_)) => {}
            // A larger number was there first.
            (Some(2..9), Err(LogError::Invalid(_))) => {}
            (_, error) => panic!("{alter:?}: {error:?}"),
        }
    }
    let last = subject.alter("t", AlterTopic::default()).await;
    assert_eq!(last.partitions, 9);
    assert!(
        last.config
            .keys()
            .eq(["max.message.bytes", "retention.bytes", "retention.ms"]),
        "{:?}",
        last.config
    );
}

pub(super) async fn growth_is_seen_by_those_who_append_meanwhile(subject: Subject) {
    subject.topic("t", 1).await;
    let log = Arc::clone(&subject.log);
    let appending = tokio::spawn(async move {
        let mut stored = BTreeMap::<i32, i64>::new();
        // Until records without a key have come to every new partition.
        while stored.len() < 4 {
            let append = Append {
                partition: None,
                ..to("t", 0, value("v"))
            };
            for answer in log.append(vec![append]).await {
                *stored
                    .entry(answer.expect("stored").place.partition)
                    .or_default() += 1;
            }
        }
        stored
    });
    for partitions in 2..=4 {
        subject.alter("t", grow_to(partitions)).await;
    }
    for (partition, records) in appending.await.expect("all were stored") {
        assert_eq!(
            subject.all("t", partition).await.len(),
            usize::try_from(records).expect("few")
        );
    }
}
