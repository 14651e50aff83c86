//! Rules of appending: durable acks, dense offsets, order, errors that say what to do.

use super::*;

pub(super) async fn a_record_comes_back_as_it_was_given(subject: Subject) {
    subject.topic("t", 1).await;
    let header = |name: &'static str, value: Option<&'static [u8]>| Header {
        name: Bytes::from_static(name.as_bytes()),
        value: value.map(Bytes::from_static),
    };
    let records = vec![
        Record::default(),
        Record {
            key: Some(Bytes::new()),
            value: Some(Bytes::new()),
            headers: vec![header("", Some(b"")), header("", None)],
        },
        Record {
            key: Some(Bytes::from_static(b"\x00\xff")),
            value: Some(Bytes::from_static(b"{\"a\": 1}\r\n")),
            headers: vec![
                header("b", Some(b"1")),
                header("a", None),
                header("b", Some(b"\xff\x00")),
                header("\u{fc}", Some("\u{1f30a}".as_bytes())),
            ],
        },
        value("x".repeat(100_000)),
    ];
    for record in &records {
        subject.stored(to("t", 0, record.clone())).await;
    }
    let read: Vec<Record> = subject
        .all("t", 0)
        .await
        .into_iter()
        .map(|stored| stored.record)
        .collect();
    assert_eq!(read, records);
}

pub(super) async fn offsets_are_dense_in_each_partition(subject: Subject) {
    subject.topic("t", 2).await;
    subject.topic("u", 1).await;
    for offset in 0..5 {
        for (topic, partition) in [("t", 0), ("t", 1), ("u", 0)] {
            let place = subject.stored(to(topic, partition, value("v"))).await.place;
            assert_eq!((place.partition, place.offset), (partition, offset));
        }
    }
}

pub(super) async fn records_of_one_call_keep_their_order(subject: Subject) {
    subject.topic("t", 2).await;
    let appends = (0..100)
        .map(|n| to("t", n % 2, value(n.to_string())))
        .collect();
    let answers = subject.log.append(appends).await;
    for (n, answer) in (0..).zip(answers) {
        assert_eq!(answer.expect("stored").place.offset, n / 2);
    }
    for partition in 0..2 {
        let read: Vec<String> = subject.all("t", partition).await.iter().map(text).collect();
        let expected: Vec<String> = (0..50).map(|n| (2 * n + partition).to_string()).collect();
        assert_eq!(read, expected);
    }
}

pub(super) async fn concurrent_appends_are_dense_and_in_the_order_of_each_caller(subject: Subject) {
    const CALLERS: usize = 16;
    const EACH: usize = 25;
    subject.topic("t", 3).await;
    let tasks = (0..CALLERS).map(|caller| {
        let log = Arc::clone(&subject.log);
        async move {
            for n in 0..EACH {
                let partition = i32::try_from(n % 3).expect("small");
                let append = to("t", partition, value(format!("{caller}/{n:04}")));
                let answer = log.append(vec![append]).await.remove(0).expect("stored");
                assert_eq!(answer.place.partition, partition);
            }
        }
    });
    together(tasks).await;
    let mut count = 0;
    for partition in 0..3 {
        let mut last = BTreeMap::<String, String>::new();
        for stored in subject.all("t", partition).await {
            count += 1;
            let text = text(&stored);
            let (caller, n) = text.split_once('/').expect("as written");
            let before = last.insert(caller.to_owned(), n.to_owned());
            assert!(
                before.as_deref() < Some(n),
                "caller {caller}: {before:?} before {n}"
            );
        }
    }
    assert_eq!(count, CALLERS * EACH);
}

pub(super) async fn an_acked_record_is_readable_at_its_place(subject: Subject) {
    subject.topic("t", 1).await;
    for n in 0..20 {
        let place = subject.stored(to("t", 0, value(n.to_string()))).await.place;
        let read = subject
            .log
            .read("t", 0, place.offset, 1)
            .await
            .expect("readable at once");
        assert!(read.high_watermark > place.offset);
        let stored = &read.records[0];
        assert_eq!(
            (stored.offset, stored.timestamp_ms),
            (place.offset, place.timestamp_ms)
        );
        assert_eq!(text(stored), n.to_string());
    }
}

pub(super) async fn a_key_goes_where_kafka_puts_it(subject: Subject) {
    subject.topic("t", 7).await;
    for n in 0..50 {
        let key = Bytes::from(format!("key-{n}"));
        let expected = partitioner::for_key(&key, 7);
        let record = Record {
            key: Some(key),
            ..value("v")
        };
        let append = Append {
            partition: None,
            ..to("t", 0, record)
        };
        assert_eq!(subject.stored(append).await.place.partition, expected);
    }
    let keyless = Append {
        partition: None,
        ..to("t", 0, value("v"))
    };
    assert!((0..7).contains(&subject.stored(keyless).await.place.partition));
}

pub(super) async fn one_bad_append_does_not_hinder_its_neighbours(subject: Subject) {
    subject.topic("t", 1).await;
    let answers = subject
        .log
        .append(vec![
            to("t", 0, value("a")),
            to("missing", 0, value("b")),
            to("t", 1, value("c")),
            to("t", 0, value("d")),
        ])
        .await;
    assert_eq!(answers.len(), 4);
    assert_eq!(answers[0].as_ref().expect("stored").place.offset, 0);
    assert!(
        matches!(answers[1], Err(LogError::NotFound(_))),
        "{:?}",
        answers[1]
    );
    assert!(
        matches!(answers[2], Err(LogError::NotFound(_))),
        "{:?}",
        answers[2]
    );
    assert_eq!(answers[3].as_ref().expect("stored").place.offset, 1);
    assert!(subject.log.append(Vec::new()).await.is_empty());
}

pub(super) async fn errors_say_what_the_caller_can_do(subject: Subject) {
    subject
        .log
        .create_topic(with_setting("max.message.bytes", "1000"))
        .await
        .expect("valid");
    let too_large = to("t", 0, value("x".repeat(2_000)));
    let long_name = claimed("t", value("v"), claim(&"n".repeat(64 * 1024 + 1), 1));
    let mut long_window = claimed("t", value("v"), claim("n", 1));
    if let Some(claim) = &mut long_window.claim {
        claim.window = Duration::from_hours(401 * 24);
    }
    for append in [too_large, long_name, long_window] {
        let error = subject.append(append).await.expect_err("refused");
        assert!(matches!(error, LogError::Invalid(_)), "{error:?}");
        assert_eq!(error.outcome(), Outcome::NotStored);
    }
    for append in [
        to("u", 0, value("v")),
        to("t", 1, value("v")),
        to("t", -1, value("v")),
    ] {
        let error = subject.append(append).await.expect_err("refused");
        assert!(matches!(error, LogError::NotFound(_)), "{error:?}");
        assert_eq!(error.outcome(), Outcome::NotStored);
    }
    assert_eq!(
        subject.stored(to("t", 0, value("v"))).await.place.offset,
        0,
        "nothing before it"
    );
}
