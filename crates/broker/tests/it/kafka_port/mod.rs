//! The Kafka port through a real socket: what clients rely on, and what nobody should send.

mod alter;
mod client;
mod groups;
mod hostile;
mod rules;

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::{
    ApiVersionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest,
    FetchRequest, InitProducerIdRequest, ListOffsetsRequest, ProduceRequest,
};
use kafka_protocol::protocol::StrBytes;
use tidegate_broker::net::{ListenError, ListenOptions, listen};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use client::{
    Server, batch, fetch, fetched, name, produce, produced, until, values, with_sequence,
};

#[tokio::test]
async fn a_batch_comes_back_as_it_was_sent() {
    let server = Server::start(&[]).await;
    let mut client = server.connect().await;
    client.topic("t").await;
    let sent = batch(&["one", "two"]);
    assert_eq!(client.produce("t", sent.clone()).await, (0, 0));
    assert_eq!(client.produce("t", sent.clone()).await, (0, 2));
    let fetched = client.fetch("t", 0, 0).await;
    assert_eq!(
        (fetched.error, fetched.high_watermark, fetched.log_start),
        (0, 4, 0)
    );
    assert_eq!(values(&fetched.records), ["one", "two", "one", "two"]);
    // Only the offset and the leader epoch are the broker's.
    assert_eq!(fetched.records[16..sent.len()], sent[16..]);
    // An offset inside a batch gives the batch whole.
    let fetched = client.fetch("t", 3, 0).await;
    assert_eq!(values(&fetched.records), ["one", "two"]);
    let beyond = client.fetch("t", 5, 0).await;
    assert_eq!(
        (beyond.error, beyond.high_watermark, beyond.log_start),
        (1, 4, 0)
    );
    assert!(beyond.records.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn topics_have_no_more_partitions_than_they_may_together() {
    let server = Server::start(&["max.partitions=3"]).await;
    let mut client = server.connect().await;
    for (topic, partitions, expected) in [("a", 2, 0), ("b", 2, 44), ("c", 1, 0), ("d", 1, 44)] {
        let mut request = CreateTopicsRequest::default();
        let mut asked = CreatableTopic::default();
        asked.name = name(topic);
        asked.num_partitions = partitions;
        asked.replication_factor = 1;
        request.topics = vec![asked];
        let response = client.ask(5, request).await;
        assert_eq!(response.topics[0].error_code, expected, "{topic}");
    }
    server.stop().await;
}

#[tokio::test]
async fn every_version_of_produce_and_fetch_works() {
    let server = Server::start(&[]).await;
    let mut client = server.connect().await;
    let metadata = client.topic("t").await;
    assert_eq!(metadata.topics[0].error_code, 0);
    let by_id = server.broker.topics().by_name("t").unwrap().id;
    let id = uuid_of(by_id);
    for version in 3..=13 {
        let mut request = produce("t", batch(&["v"]), -1);
        if version >= 13 {
            request.topic_data[0].name = name("");
            request.topic_data[0].topic_id = id;
        }
        let response = client.ask(version, request).await;
        assert_eq!(produced(&response), (0, i64::from(version) - 3));
    }
    for version in 4..=18 {
        let mut request = fetch("t", 0, 0);
        if version >= 13 {
            request.topics[0].topic = name("");
            request.topics[0].topic_id = id;
        }
        let answer = fetched(&client.ask::<FetchRequest>(version, request).await);
        assert_eq!(values(&answer.records).len(), 11, "version {version}");
    }
    server.stop().await;
}

fn uuid_of(id: [u8; 16]) -> uuid::Uuid {
    uuid::Uuid::from_bytes(id)
}

#[tokio::test]
async fn a_pipeline_keeps_its_order_and_its_answers() {
    let server = Server::start(&[]).await;
    let mut client = server.connect().await;
    client.topic("t").await;
    let mut asked = Vec::new();
    for at in 0..200 {
        let request = produce("t", batch(&[&at.to_string()]), -1);
        asked.push(client.send(9, &request).await);
    }
    for (asked, offset) in asked.into_iter().zip(0..) {
        let (answered, response) = client.receive::<ProduceRequest>(9).await;
        assert_eq!((answered, produced(&response)), (asked, (0, offset)));
    }
    let expected: Vec<String> = (0..200).map(|at: i32| at.to_string()).collect();
    assert_eq!(values(&client.fetch("t", 0, 0).await.records), expected);
    server.stop().await;
}

#[tokio::test]
async fn batches_that_cannot_be_are_refused_one_by_one() {
    let server = Server::start(&["message.max.bytes=500"]).await;
    let mut client = server.connect().await;
    client.topic("t").await;
    let good = batch(&["v"]);
    let changed = |at: usize, byte: u8| {
        let mut batch = good.to_vec();
        batch[at] = byte;
        Bytes::from(batch)
    };
    let sealed = |at: usize, byte: u8| {
        let mut batch = changed(at, byte).to_vec();
        tidegate_broker::batch::seal_crc(&mut batch);
        Bytes::from(batch)
    };
    let crowded = {
        let mut batch = good.to_vec();
        // 2^24 records in the bytes of one: last offset delta, then count.
        batch[23..27].copy_from_slice(&((1_i32 << 24) - 1).to_be_bytes());
        batch[57..61].copy_from_slice(&(1_i32 << 24).to_be_bytes());
        tidegate_broker::batch::seal_crc(&mut batch);
        Bytes::from(batch)
    };
    let cases = [
        ("more records than bytes", crowded, 87),
        ("wrong checksum", changed(good.len() - 1, 0xff), 2),
        ("cut off", good.slice(..good.len() - 1), 2),
        ("no batch", Bytes::new(), 87),
        ("two batches", [&good[..], &good[..]].concat().into(), 87),
        ("old format", changed(16, 1), 87),
        ("no records", sealed(60, 0), 87),
        ("unknown codec", sealed(22, 6), 76),
        ("transaction marker", sealed(22, 0x20), 87),
        ("transactional", sealed(22, 0x10), 48),
        (
            "sequence without number",
            with_sequence(&good, 7, 0, -1),
            87,
        ),
        ("too large", batch(&[&"x".repeat(600)]), 10),
    ];
    for (what, batch, error) in cases {
        assert_eq!(client.produce("t", batch).await, (error, -1), "{what}");
    }
    assert_eq!(client.produce("nowhere", good.clone()).await, (3, -1));
    let refused = client.ask(9, produce("t", good.clone(), 2)).await;
    assert_eq!(produced(&refused), (21, -1));
    // None of it took an offset.
    assert_eq!(client.produce("t", good).await, (0, 0));
    server.stop().await;
}

#[tokio::test]
async fn a_repeated_batch_gets_its_first_offset() {
    let server = Server::start(&[]).await;
    let mut client = server.connect().await;
    client.topic("t").await;
    let plain = InitProducerIdRequest::default().with_transactional_id(None);
    let given = client.ask(4, plain.clone()).await;
    assert_eq!((given.error_code, given.producer_epoch), (0, 0));
    let other = client.ask(4, plain).await;
    assert_ne!(given.producer_id, other.producer_id);
    let sequence = |sequence| with_sequence(&batch(&["v"]), given.producer_id.0, 0, sequence);
    assert_eq!(client.produce("t", sequence(0)).await, (0, 0));
    assert_eq!(client.produce("t", sequence(1)).await, (0, 1));
    assert_eq!(client.produce("t", sequence(0)).await, (0, 0));
    assert_eq!(client.produce("t", sequence(3)).await.0, 45);
    assert_eq!(client.produce("t", sequence(2)).await, (0, 2));
    let transactional = InitProducerIdRequest::default()
        .with_transactional_id(Some(StrBytes::from_static_str("tx").into()));
    assert_eq!(client.ask(4, transactional).await.error_code, 53);
    server.stop().await;
}

#[tokio::test]
async fn acks_0_gets_no_answer_and_a_mistake_ends_the_connection() {
    let server = Server::start(&[]).await;
    let mut client = server.connect().await;
    client.topic("t").await;
    client.send(9, &produce("t", batch(&["v"]), 0)).await;
    // The next answer is to the next request.
    let fetched = client.fetch("t", 0, 1_000).await;
    assert_eq!(values(&fetched.records), ["v"]);
    client.send(9, &produce("nowhere", batch(&["v"]), 0)).await;
    assert_eq!(client.receive_frame().await, None);
    server.stop().await;
}

#[tokio::test]
async fn a_fetch_waits_for_what_comes() {
    let server = Server::start(&[]).await;
    let mut reader = server.connect().await;
    let mut writer = server.connect().await;
    writer.topic("t").await;
    let began = Instant::now();
    assert!(reader.fetch("t", 0, 50).await.records.is_empty());
    assert!(began.elapsed() >= Duration::from_millis(50));
    reader.send(11, &fetch("t", 0, 60_000)).await;
    until(async || server.broker.purgatory().parked() == 1).await;
    writer.produce("t", batch(&["v"])).await;
    let (_, response) = reader.receive::<FetchRequest>(11).await;
    assert_eq!(values(&fetched(&response).records), ["v"]);
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(server.broker.purgatory().parked(), 0);
    server.stop().await;
}

#[tokio::test]
async fn what_no_longer_fits_memory_is_read_from_disk_and_objects() {
    let server = Server::with_hot_budget(1 << 20).await;
    let mut client = server.connect().await;
    client.topic("t").await;
    client.topic("hot").await;
    let large = "x".repeat(500_000);
    for at in 0..40 {
        client.produce("t", batch(&[&at.to_string(), &large])).await;
    }
    client.produce("hot", batch(&["now"])).await;
    let mut read = Vec::new();
    while read.len() < 40 {
        let offset = 2 * i64::try_from(read.len()).unwrap();
        let fetched = client.fetch("t", offset, 0).await;
        assert_eq!((fetched.error, fetched.high_watermark), (0, 80));
        let values = values(&fetched.records);
        assert!(!values.is_empty(), "nothing at {offset}");
        read.extend(values.into_iter().step_by(2));
    }
    let expected: Vec<String> = (0..40).map(|at: i32| at.to_string()).collect();
    assert_eq!(read, expected);
    // Beside a hot partition a cold one is read only if it is named first.
    for (first, second, counts) in [("hot", "t", (1, 0)), ("t", "hot", (2, 1))] {
        let mut request = fetch(first, 0, 0);
        request.topics.extend(fetch(second, 0, 0).topics);
        request.topics[0].partitions[0].partition_max_bytes = 1;
        let response = client.ask::<FetchRequest>(11, request).await;
        let count = |at: usize| {
            values(
                response.responses[at].partitions[0]
                    .records
                    .as_ref()
                    .unwrap(),
            )
            .len()
        };
        assert_eq!((count(0), count(1)), counts);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_fetch_does_not_outlive_its_client_nor_its_topic() {
    let server = Server::start(&[]).await;
    let mut reader = server.connect().await;
    reader.topic("t").await;
    let parked = async |count| until(async || server.broker.purgatory().parked() == count).await;
    reader.send(11, &fetch("t", 0, 60_000)).await;
    parked(1).await;
    drop(reader);
    parked(0).await;
    let mut reader = server.connect().await;
    reader.send(11, &fetch("t", 0, 60_000)).await;
    parked(1).await;
    let mut admin = server.connect().await;
    let request = DeleteTopicsRequest::default().with_topic_names(vec![name("t")]);
    assert_eq!(admin.ask(3, request).await.responses[0].error_code, 0);
    let (_, response) = reader.receive::<FetchRequest>(11).await;
    assert_eq!(fetched(&response).error, 3);
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_has_said_all_still_gets_its_answers() {
    let server = Server::start(&[]).await;
    let mut client = server.connect().await;
    client.topic("t").await;
    for _ in 0..3 {
        client.send(9, &produce("t", batch(&["v"]), -1)).await;
    }
    client.stream.shutdown().await.unwrap();
    for offset in 0..3 {
        let (_, response) = client.receive::<ProduceRequest>(9).await;
        assert_eq!(produced(&response), (0, offset));
    }
    assert_eq!(client.stream.read(&mut [0]).await.unwrap(), 0);
    server.stop().await;
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_restart() {
    let server = Server::start(&["num.partitions=3"]).await;
    let mut client = server.connect().await;
    let before = client.topic("t").await;
    assert_eq!(before.topics[0].partitions.len(), 3);
    client.produce("t", batch(&["kept"])).await;
    let directory = server.stop().await;
    let server = Server::open(directory, &[]).await;
    let mut client = server.connect().await;
    let after = client.topic("t").await;
    assert_eq!(after.cluster_id, before.cluster_id);
    assert_eq!(after.topics[0].partitions.len(), 3);
    assert!(
        after.topics[0].partitions[0].leader_epoch > before.topics[0].partitions[0].leader_epoch
    );
    assert_eq!(values(&client.fetch("t", 0, 0).await.records), ["kept"]);
    // A client that still believes in the old leader is told so.
    let mut request = fetch("t", 0, 0);
    request.topics[0].partitions[0].current_leader_epoch = 1;
    assert_eq!(fetched(&client.ask(11, request).await).error, 74);
    server.stop().await;
}

#[tokio::test]
async fn topics_are_created_as_asked_or_refused_as_kafka_does() {
    let server = Server::start(&["auto.create.topics.enable=false"]).await;
    let mut client = server.connect().await;
    assert_eq!(client.topic("t").await.topics[0].error_code, 3);
    let topic = |topic: &str, partitions: i32, config: &[(&'static str, &'static str)]| {
        let configs = config.iter().map(|(key, value)| {
            CreatableTopicConfig::default()
                .with_name(StrBytes::from_static_str(key))
                .with_value(Some(StrBytes::from_static_str(value)))
        });
        CreatableTopic::default()
            .with_name(name(topic))
            .with_num_partitions(partitions)
            .with_replication_factor(3)
            .with_configs(configs.collect())
    };
    let cases = [
        (topic("t", 2, &[("retention.ms", "1000")]), 0),
        (topic("t", 2, &[]), 36),
        (topic("default", -1, &[]), 0),
        (topic("bad name", 1, &[]), 17),
        (topic("_tidegate.own", 1, &[]), 17),
        (topic("zero", 0, &[]), 37),
        (topic("many", 1_000_000, &[]), 37),
        (topic("compacted", 1, &[("cleanup.policy", "compact")]), 40),
        (topic("misspelt", 1, &[("retention.mss", "1")]), 40),
    ];
    for (topic, error) in cases {
        let request = CreateTopicsRequest::default().with_topics(vec![topic]);
        let created = client.ask(7, request).await;
        let created = &created.topics[0];
        assert_eq!(created.error_code, error, "{:?}", created.error_message);
        assert_eq!(created.error_code == 0, created.replication_factor == 1);
    }
    let validate = CreateTopicsRequest::default()
        .with_topics(vec![topic("checked", 1, &[])])
        .with_validate_only(true);
    assert_eq!(client.ask(7, validate).await.topics[0].error_code, 0);
    assert!(server.broker.topics().by_name("checked").is_none());
    let twice = CreateTopicsRequest::default()
        .with_topics(vec![topic("twice", 1, &[]), topic("twice", 1, &[])]);
    let refused = client.ask(7, twice).await;
    assert!(refused.topics.iter().all(|topic| topic.error_code == 42));
    let resource =
        kafka_protocol::messages::describe_configs_request::DescribeConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(StrBytes::from_static_str("t"));
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let described = client.ask(4, request).await;
    let configs = &described.results[0].configs;
    let find = |key: &str| {
        configs
            .iter()
            .find(|config| config.name.as_str() == key)
            .unwrap()
    };
    assert_eq!(
        find("retention.ms").value.as_ref().unwrap().as_str(),
        "1000"
    );
    assert_eq!(
        (
            find("retention.ms").config_source,
            find("cleanup.policy").config_source
        ),
        (1, 5)
    );
    server.stop().await;
}

#[tokio::test]
async fn the_products_own_topics_are_read_only_here() {
    let server = Server::start(&[]).await;
    let new = tidegate_broker::NewTopic {
        name: "_tidegate.own".to_owned(),
        partitions: 1,
        config: Default::default(),
    };
    server.broker.create_topic(new).await.unwrap();
    let mut client = server.connect().await;
    let shown = client.topic("_tidegate.own").await;
    assert!(shown.topics[0].is_internal);
    assert_eq!(
        client.produce("_tidegate.own", batch(&["v"])).await,
        (17, -1)
    );
    assert_eq!(client.fetch("_tidegate.own", 0, 0).await.error, 0);
    let request = DeleteTopicsRequest::default().with_topic_names(vec![name("_tidegate.own")]);
    assert_eq!(client.ask(3, request).await.responses[0].error_code, 17);
    // Nor are others created by asking for them.
    assert_eq!(
        client.topic("_tidegate.other").await.topics[0].error_code,
        3
    );
    server.stop().await;
}

#[tokio::test]
async fn offsets_are_found_by_time_and_by_end() {
    use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
    let server = Server::start(&[]).await;
    let mut client = server.connect().await;
    client.topic("t").await;
    client.produce("t", batch(&["a", "b"])).await;
    let mut ask = async |version: i16, timestamp: i64| {
        let partition = ListOffsetsPartition::default().with_timestamp(timestamp);
        let topic = ListOffsetsTopic::default()
            .with_name(name("t"))
            .with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default().with_topics(vec![topic]);
        let response = client.ask(version, request).await;
        let found = &response.topics[0].partitions[0];
        (found.error_code, found.offset, found.timestamp)
    };
    for version in 1..=10 {
        assert_eq!(ask(version, -1).await, (0, 2, -1));
        assert_eq!(ask(version, -2).await, (0, 0, -1));
        assert_eq!(ask(version, 1_000).await, (0, 0, 1_000));
        assert_eq!(ask(version, 1_001).await, (0, -1, -1));
    }
    assert_eq!(ask(7, -3).await, (0, 0, 1_000));
    assert_eq!(ask(6, -3).await, (35, -1, -1));
    assert_eq!(ask(8, -4).await, (0, 0, -1));
    assert_eq!(ask(9, -5).await, (0, -1, -1));
    server.stop().await;
}

#[tokio::test]
async fn api_versions_answers_whatever_it_is_asked() {
    let server = Server::start(&[]).await;
    let mut client = server.connect().await;
    for version in 0..=4 {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str(if version < 3 {
                ""
            } else {
                "test"
            }))
            .with_client_software_version(StrBytes::from_static_str(if version < 3 {
                ""
            } else {
                "1.0"
            }));
        let answer = client.ask(version, request).await;
        assert_eq!(answer.error_code, 0);
        let produce = answer.api_keys.iter().find(|api| api.api_key == 0).unwrap();
        assert_eq!((produce.min_version, produce.max_version), (0, 13));
    }
    // A version of the future, with a body nobody knows: version 0 with error 35.
    client
        .stream
        .write_all(&[0, 0, 0, 10, 0, 18, 0, 99, 0, 0, 0, 77, 1, 2])
        .await
        .unwrap();
    let (correlation_id, answer) = client.receive::<ApiVersionsRequest>(0).await;
    assert_eq!((correlation_id, answer.error_code), (77, 35));
    assert!(
        answer
            .api_keys
            .iter()
            .any(|api| api.api_key == 18 && api.max_version == 4)
    );
    let unnamed = ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("-"))
        .with_client_software_version(StrBytes::from_static_str("1"));
    assert_eq!(client.ask(3, unnamed).await.error_code, 42);
    server.stop().await;
}

#[tokio::test]
async fn only_loopback_addresses_are_listened_on() {
    let server = Server::start(&[]).await;
    let options = ListenOptions {
        address: "0.0.0.0:0".parse().unwrap(),
        advertised: None,
        rules: None,
    };
    let refused = listen(server.broker.clone(), options).await;
    let error = refused.unwrap_err();
    assert!(matches!(error, ListenError::NotLoopback(_)));
    assert_eq!(
        error.to_string(),
        "Kafka address `0.0.0.0:0` is not a loopback address\n\
         hint: listen on `127.0.0.1`; other addresses follow with access control"
    );
    server.stop().await;
}
