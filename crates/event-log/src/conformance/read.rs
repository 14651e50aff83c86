//! Rules of reading: limits, watermarks, waiting, finding a time.

use super::*;

pub(super) async fn a_read_keeps_its_limit_but_gives_one(subject: Subject) {
    subject.topic("t", 1).await;
    for _ in 0..10 {
        subject.stored(to("t", 0, value("x".repeat(100)))).await;
    }
    for max_bytes in [0, 1, 99, 100, 250, 899] {
        let read = subject
            .log
            .read("t", 0, 0, max_bytes)
            .await
            .expect("readable");
        let beyond_first: usize = read
            .records
            .iter()
            .skip(1)
            .map(|stored| stored.record.size_bytes())
            .sum();
        assert!(!read.records.is_empty(), "at least one, whatever the limit");
        assert!(
            beyond_first <= max_bytes,
            "{beyond_first} bytes for a limit of {max_bytes}"
        );
        assert_eq!(
            read.next,
            Offset::try_from(read.records.len()).expect("few")
        );
        assert_eq!(read.high_watermark, 10);
    }
}

pub(super) async fn a_read_outside_the_log_is_refused(subject: Subject) {
    subject.topic("t", 1).await;
    subject.stored(to("t", 0, value("v"))).await;
    let end = subject
        .log
        .read("t", 0, 1, 1_000)
        .await
        .expect("the high watermark is no error");
    assert_eq!((end.records.len(), end.next, end.high_watermark), (0, 1, 1));
    for from in [-1, 2, Offset::MAX] {
        let error = subject
            .log
            .read("t", 0, from, 1_000)
            .await
            .expect_err("outside");
        assert!(matches!(error, LogError::Invalid(_)), "{from}: {error:?}");
    }
    for (topic, partition) in [("u", 0), ("t", 1), ("t", -1)] {
        let error = subject
            .log
            .read(topic, partition, 0, 1_000)
            .await
            .expect_err("not there");
        assert!(
            matches!(error, LogError::NotFound(_)),
            "{topic}/{partition}: {error:?}"
        );
    }
}

pub(super) async fn what_was_read_is_read_the_same_again(subject: Subject) {
    subject.topic("t", 1).await;
    for n in 0..20 {
        subject.stored(to("t", 0, value(n.to_string()))).await;
    }
    let before = subject.all("t", 0).await;
    for n in 0..20 {
        subject
            .stored(to("t", 0, value(format!("later {n}"))))
            .await;
    }
    assert_eq!(subject.all("t", 0).await[..20], before[..]);
}

pub(super) async fn watermarks_grow_with_the_log(subject: Subject) {
    subject.topic("t", 2).await;
    for n in 0..5 {
        let marks = subject.log.watermarks("t", 1).await.expect("there");
        assert_eq!((marks.log_start, marks.high), (0, n));
        subject.stored(to("t", 1, value("v"))).await;
    }
    assert_eq!(subject.log.watermarks("t", 0).await.expect("there").high, 0);
    let error = subject.log.watermarks("t", 2).await.expect_err("not there");
    assert!(matches!(error, LogError::NotFound(_)), "{error:?}");
}

pub(super) async fn watch_returns_at_once_when_it_can(subject: Subject) {
    subject.topic("t", 1).await;
    subject.stored(to("t", 0, value("v"))).await;
    let high = subject.log.watch("t", 0, 0, Duration::from_hours(1)).await;
    assert_eq!(high, Ok(1));
    let error = subject.log.watch("t", 1, 0, Duration::from_hours(1)).await;
    assert!(matches!(error, Err(LogError::NotFound(_))), "{error:?}");
}

pub(super) async fn watch_wakes_on_an_append(subject: Subject) {
    subject.topic("t", 1).await;
    for beyond in 0..20 {
        let watch = subject.log.watch("t", 0, beyond, Duration::from_secs(60));
        let append = subject.stored(to("t", 0, value("v")));
        let (high, _) = tokio::join!(watch, append);
        assert_eq!(high, Ok(beyond + 1));
    }
}

pub(super) async fn watch_gives_up_in_time(subject: Subject) {
    subject.topic("t", 1).await;
    let high = subject.log.watch("t", 0, 0, Duration::from_millis(5)).await;
    assert_eq!(high, Ok(0));
}

pub(super) async fn watch_ends_with_the_topic(subject: Subject) {
    subject.topic("t", 1).await;
    let watch = subject.log.watch("t", 0, 0, Duration::from_secs(60));
    let (high, deleted) = tokio::join!(watch, subject.log.delete_topic("t"));
    deleted.expect("deleted");
    assert!(matches!(high, Err(LogError::NotFound(_))), "{high:?}");
}

pub(super) async fn an_offset_is_found_by_time(subject: Subject) {
    subject.topic("t", 1).await;
    assert_eq!(subject.log.offset_at("t", 0, 0).await, Ok(None));
    let mut times = Vec::new();
    for _ in 0..5 {
        times.push(
            subject
                .stored(to("t", 0, value("v")))
                .await
                .place
                .timestamp_ms,
        );
        if let Some(advance) = &subject.advance {
            advance(Duration::from_secs(10));
        }
    }
    for asked in times.iter().flat_map(|time| [time - 1, *time, time + 1]) {
        let expected = times.iter().position(|time| *time >= asked);
        let expected = expected.map(|index| Offset::try_from(index).expect("few"));
        assert_eq!(
            subject.log.offset_at("t", 0, asked).await,
            Ok(expected),
            "at {asked}"
        );
    }
    assert_eq!(subject.log.offset_at("t", 0, i64::MAX).await, Ok(None));
    let error = subject.log.offset_at("t", 1, 0).await;
    assert!(matches!(error, Err(LogError::NotFound(_))), "{error:?}");
}

pub(super) async fn timestamps_never_go_back(subject: Subject) {
    subject.topic("t", 1).await;
    for _ in 0..200 {
        subject.stored(to("t", 0, value("v"))).await;
    }
    let times: Vec<i64> = subject
        .all("t", 0)
        .await
        .iter()
        .map(|s| s.timestamp_ms)
        .collect();
    assert!(times.is_sorted(), "{times:?}");
}
