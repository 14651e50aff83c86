//! Rules of topics: names, settings, identity, deletion.

use super::*;

pub(super) async fn a_topic_is_listed_as_it_was_created(subject: Subject) {
    let config = TopicConfig::from([
        ("max.message.bytes".to_owned(), "100000".to_owned()),
        ("retention.ms".to_owned(), "86400000".to_owned()),
    ]);
    let asked = TopicSpec {
        name: "b.c_d-9".to_owned(),
        partitions: Some(3),
        config,
    };
    let created = subject
        .log
        .create_topic(asked.clone())
        .await
        .expect("valid");
    assert_eq!((&created.name, created.partitions), (&asked.name, 3));
    assert_eq!((&created.config, created.internal), (&asked.config, false));
    let default = subject
        .log
        .create_topic(spec("a", None))
        .await
        .expect("valid");
    assert!(default.partitions >= 1);
    assert_ne!(created.id, default.id);
    let mut listed = subject.log.topics().await.expect("listed");
    listed.retain(|topic| !topic.internal);
    assert_eq!(listed, [default, created], "by name");
}

pub(super) async fn a_topic_name_is_taken_once(subject: Subject) {
    let first = subject.topic("t", 2).await;
    let error = subject
        .log
        .create_topic(spec("t", Some(3)))
        .await
        .expect_err("taken");
    assert!(matches!(error, LogError::Conflict(_)), "{error:?}");
    assert!(subject.log.topics().await.expect("listed").contains(&first));
}

pub(super) async fn concurrent_creates_of_one_topic_succeed_once(subject: Subject) {
    let answers = together((0..16).map(|_| {
        let log = Arc::clone(&subject.log);
        async move { log.create_topic(spec("t", Some(1))).await }
    }))
    .await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for error in answers.into_iter().filter_map(Result::err) {
        assert!(matches!(error, LogError::Conflict(_)), "{error:?}");
    }
}

pub(super) async fn bad_topics_are_refused(subject: Subject) {
    let long = "n".repeat(250);
    for name in ["", ".", "..", "a b", "a/b", "\u{fc}", "a\0", &long] {
        let error = subject
            .log
            .create_topic(spec(name, Some(1)))
            .await
            .expect_err("bad name");
        assert!(matches!(error, LogError::Invalid(_)), "{name:?}: {error:?}");
    }
    for partitions in [0, -1, i32::MAX] {
        let error = subject.log.create_topic(spec("t", Some(partitions))).await;
        assert!(
            matches!(error, Err(LogError::Invalid(_))),
            "{partitions}: {error:?}"
        );
    }
    for (name, value) in [("retention.ms", "soon"), ("no.such.setting", "1")] {
        let error = subject.log.create_topic(with_setting(name, value)).await;
        assert!(
            matches!(error, Err(LogError::Invalid(_))),
            "{name}={value}: {error:?}"
        );
    }
    subject.topic(&long[..249], 1).await;
}

pub(super) async fn internal_topics_are_marked(subject: Subject) {
    let topic = subject.topic("_tidegate.things", 1).await;
    assert!(topic.internal);
    assert!(subject.log.topics().await.expect("listed").contains(&topic));
    subject.stored(to("_tidegate.things", 0, value("v"))).await;
}

pub(super) async fn a_topic_created_again_is_another_one(subject: Subject) {
    let first = subject.topic("t", 1).await;
    subject.stored(to("t", 0, value("old"))).await;
    subject.log.delete_topic("t").await.expect("deleted");
    let second = subject.topic("t", 1).await;
    assert_ne!(first.id, second.id);
    assert!(subject.all("t", 0).await.is_empty());
    assert_eq!(
        subject.stored(to("t", 0, value("new"))).await.place.offset,
        0
    );
}

pub(super) async fn a_deleted_topic_is_gone(subject: Subject) {
    subject.topic("t", 1).await;
    subject.log.delete_topic("t").await.expect("deleted");
    assert!(
        subject
            .log
            .topics()
            .await
            .expect("listed")
            .iter()
            .all(|topic| topic.name != "t")
    );
    let errors = [
        subject.append(to("t", 0, value("v"))).await.map(|_| ()),
        subject.log.read("t", 0, 0, 1).await.map(|_| ()),
        subject.log.watermarks("t", 0).await.map(|_| ()),
        subject.log.offset_at("t", 0, 0).await.map(|_| ()),
        subject.log.delete_topic("t").await,
    ];
    for error in errors {
        assert!(matches!(error, Err(LogError::NotFound(_))), "{error:?}");
    }
}

pub(super) async fn the_bounds_are_those_that_hold(subject: Subject) {
    let bounds = subject.log.bounds().await.expect("told");
    for name in ["retention.ms", "retention.bytes", "max.message.bytes"] {
        let default = bounds.defaults.get(name).expect(name);
        assert!(default.parse::<i64>().is_ok(), "{name}={default}");
    }
    let largest = bounds.max_message_bytes;
    let spec = |name: &str, partitions, bytes: u64| TopicSpec {
        name: name.to_owned(),
        partitions: Some(partitions),
        config: TopicConfig::from([("max.message.bytes".to_owned(), bytes.to_string())]),
    };
    let most = bounds.partitions_a_topic;
    for refused in [spec("t", 1, largest + 1), spec("t", most + 1, largest)] {
        let error = subject.log.create_topic(refused).await;
        assert!(matches!(error, Err(LogError::Invalid(_))), "{error:?}");
    }
    let taken = subject.log.create_topic(spec("t", most, largest)).await;
    taken.expect("at the bounds");
}
