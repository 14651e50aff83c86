//! Rules of consumer groups' offsets.

use super::*;

impl Subject {
    async fn committed(&self, group: &str, topic: &str) -> Vec<Option<Offset>> {
        self.log.committed(group, topic).await.expect("a topic")
    }

    async fn commit(&self, group: &str, topic: &str, partition: i32, offset: Offset) {
        self.log
            .commit(group, topic, partition, offset)
            .await
            .expect("committed");
    }
}

pub(super) async fn a_committed_offset_comes_back(subject: Subject) {
    subject.topic("t", 3).await;
    assert_eq!(subject.committed("g", "t").await, [None, None, None]);
    subject.commit("g", "t", 1, 7).await;
    assert_eq!(subject.committed("g", "t").await, [None, Some(7), None]);
    // The last one counts, not the highest: a group may go back.
    for (partition, offset) in [(1, 9), (1, 3), (2, 0)] {
        subject.commit("g", "t", partition, offset).await;
    }
    assert_eq!(subject.committed("g", "t").await, [None, Some(3), Some(0)]);
}

pub(super) async fn groups_and_topics_are_apart(subject: Subject) {
    subject.topic("t", 1).await;
    subject.topic("u", 1).await;
    for (group, topic, offset) in [("g", "t", 1), ("g", "u", 2), ("h", "t", 3)] {
        subject.commit(group, topic, 0, offset).await;
    }
    for (group, topic, offset) in [
        ("g", "t", Some(1)),
        ("g", "u", Some(2)),
        ("h", "t", Some(3)),
        ("h", "u", None),
    ] {
        assert_eq!(subject.committed(group, topic).await, [offset]);
    }
}

pub(super) async fn a_bad_commit_is_refused(subject: Subject) {
    subject.topic("t", 1).await;
    let long = "g".repeat(1025);
    let cases = [("g", "u", 0, 0), ("g", "t", 1, 0), ("g", "t", -1, 0)];
    for (group, topic, partition, offset) in cases {
        let error = subject.log.commit(group, topic, partition, offset).await;
        assert!(matches!(error, Err(LogError::NotFound(_))), "{error:?}");
    }
    for (group, offset) in [("g", -1), ("", 0), (&*long, 0)] {
        let error = subject.log.commit(group, "t", 0, offset).await;
        assert!(matches!(error, Err(LogError::Invalid(_))), "{error:?}");
    }
    let error = subject.log.committed("g", "u").await;
    assert!(matches!(error, Err(LogError::NotFound(_))), "{error:?}");
    assert_eq!(subject.committed("g", "t").await, [None]);
    assert!(subject.log.groups().await.expect("listed").is_empty());
}

pub(super) async fn offsets_end_with_their_topic(subject: Subject) {
    subject.topic("t", 1).await;
    subject.commit("g", "t", 0, 5).await;
    subject.log.delete_topic("t").await.expect("deleted");
    subject.topic("t", 1).await;
    assert_eq!(subject.committed("g", "t").await, [None]);
}

pub(super) async fn new_partitions_have_no_offset(subject: Subject) {
    subject.topic("t", 1).await;
    subject.commit("g", "t", 0, 5).await;
    let grow = AlterTopic {
        partitions: Some(3),
        ..AlterTopic::default()
    };
    subject.log.alter_topic("t", grow).await.expect("grown");
    assert_eq!(subject.committed("g", "t").await, [Some(5), None, None]);
    subject.commit("g", "t", 2, 1).await;
    assert_eq!(subject.committed("g", "t").await, [Some(5), None, Some(1)]);
}

pub(super) async fn groups_are_listed_by_name(subject: Subject) {
    subject.topic("t", 2).await;
    assert!(subject.log.groups().await.expect("listed").is_empty());
    for (group, partition) in [("late", 0), ("early", 0), ("late", 1)] {
        subject.commit(group, "t", partition, 1).await;
    }
    let groups = subject.log.groups().await.expect("listed");
    assert_eq!(groups, ["early", "late"]);
}
