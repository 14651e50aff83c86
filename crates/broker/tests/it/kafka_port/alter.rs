//! Topics that grow and change through the port.

use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::{
    BrokerId, CreatePartitionsRequest, IncrementalAlterConfigsRequest, MetadataRequest,
};
use kafka_protocol::protocol::StrBytes;

use super::client::{Client, Server, batch, name};

const SET: i8 = 0;
const DELETE: i8 = 1;

async fn create(server: &Server, topic: &str, partitions: i32) {
    let new = tidegate_broker::NewTopic {
        name: topic.to_owned(),
        partitions,
        config: Default::default(),
    };
    server.broker.create_topic(new).await.unwrap();
}

fn growing(topics: &[(&str, i32)]) -> CreatePartitionsRequest {
    let topics = topics.iter().map(|(topic, count)| {
        CreatePartitionsTopic::default()
            .with_name(name(topic))
            .with_count(*count)
            .with_assignments(None)
    });
    CreatePartitionsRequest::default().with_topics(topics.collect())
}

async fn grown(client: &mut Client, version: i16, request: CreatePartitionsRequest) -> Vec<i16> {
    let response = client.ask(version, request).await;
    let results = response.results.iter();
    results.map(|result| result.error_code).collect()
}

fn altering(kind: i8, topic: &str, changes: &[(&str, i8, &str)]) -> AlterConfigsResource {
    let configs = changes.iter().map(|(key, operation, value)| {
        AlterableConfig::default()
            .with_name(StrBytes::from_string((*key).to_owned()))
            .with_config_operation(*operation)
            .with_value(Some(StrBytes::from_string((*value).to_owned())))
    });
    AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(StrBytes::from_string(topic.to_owned()))
        .with_configs(configs.collect())
}

async fn altered(client: &mut Client, resources: Vec<AlterConfigsResource>) -> Vec<i16> {
    let request = IncrementalAlterConfigsRequest::default().with_resources(resources);
    let response = client.ask(1, request).await;
    let responses = response.responses.iter();
    responses.map(|response| response.error_code).collect()
}

#[tokio::test]
async fn topics_grow_as_asked_or_are_refused_as_kafka_does() {
    let server = Server::start(&["max.partitions=20"]).await;
    let mut client = server.connect().await;
    create(&server, "t", 1).await;
    create(&server, "u", 2).await;
    create(&server, "_tidegate.own", 1).await;
    assert_eq!(client.produce("t", batch(&["v"])).await, (0, 0));
    for version in 0..=3 {
        let to = 2 + i32::from(version);
        assert_eq!(
            grown(&mut client, version, growing(&[("t", to)])).await,
            [0]
        );
        // Metadata tells at once.
        let told: MetadataRequest = MetadataRequest::default().with_topics(None);
        let told = client.ask(9, told).await;
        let partitions = &told
            .topics
            .iter()
            .find(|topic| topic.name == Some(name("t")))
            .unwrap();
        assert_eq!(partitions.partitions.len(), usize::try_from(to).unwrap());
    }
    assert_eq!(
        client.fetch("t", 0, 0).await.high_watermark,
        1,
        "what was there stays"
    );
    let cases = [
        (vec![("t", 5), ("u", 3)], vec![37, 0]),
        (vec![("t", 2)], vec![37]),
        (vec![("t", -1)], vec![37]),
        (vec![("t", 1_000_000)], vec![37]),
        (vec![("t", 19)], vec![44]),
        (vec![("none", 2), ("_tidegate.own", 2)], vec![3, 17]),
        (vec![("t", 6), ("t", 7)], vec![42, 42]),
    ];
    for (asked, expected) in cases {
        assert_eq!(
            grown(&mut client, 3, growing(&asked)).await,
            expected,
            "{asked:?}"
        );
    }
    let checked = growing(&[("t", 6)]).with_validate_only(true);
    assert_eq!(grown(&mut client, 3, checked).await, [0]);
    assert_eq!(
        server
            .broker
            .topics()
            .by_name("t")
            .unwrap()
            .partitions
            .len(),
        5
    );
    let one = CreatePartitionsAssignment::default().with_broker_ids(vec![BrokerId(1)]);
    for (assignments, expected) in [(vec![one.clone()], 39), (vec![one.clone(), one], 0)] {
        let mut request = growing(&[("t", 7)]);
        request.topics[0].assignments = Some(assignments);
        assert_eq!(grown(&mut client, 3, request).await, [expected]);
    }
    server.stop().await;
}

#[tokio::test]
async fn settings_change_as_asked_or_are_refused_as_kafka_does() {
    let server = Server::start(&[]).await;
    let mut client = server.connect().await;
    create(&server, "t", 1).await;
    create(&server, "_tidegate.own", 1).await;
    let topic = |changes: &[(&str, i8, &str)]| altering(2, "t", changes);
    let keep = topic(&[
        ("retention.ms", SET, "1000"),
        ("max.message.bytes", SET, "2000"),
    ]);
    assert_eq!(altered(&mut client, vec![keep]).await, [0]);
    let large = "x".repeat(4_000);
    assert_eq!(
        client.produce("t", batch(&[&large])).await.0,
        10,
        "holds at once"
    );
    let change = topic(&[
        ("retention.ms", DELETE, ""),
        ("max.message.bytes", SET, "9000"),
    ]);
    assert_eq!(altered(&mut client, vec![change]).await, [0]);
    assert_eq!(client.produce("t", batch(&[&large])).await, (0, 0));
    let config = || server.broker.topics().by_name("t").unwrap().config.clone();
    let expected = [("max.message.bytes".to_owned(), "9000".to_owned())].into();
    assert_eq!(config(), expected);
    let cases = [
        (topic(&[("retention.ms", SET, "soon")]), 40),
        // All of a topic's changes or none.
        (
            topic(&[("retention.bytes", SET, "1"), ("retention.mss", SET, "1")]),
            40,
        ),
        (topic(&[("cleanup.policy", SET, "compact")]), 40),
        (topic(&[("cleanup.policy", 2, "compact")]), 40),
        (topic(&[("cleanup.policy", 3, "delete")]), 40),
        (topic(&[("retention.ms", 2, "1")]), 40),
        (altering(2, "none", &[("retention.ms", SET, "1")]), 3),
        (
            altering(2, "_tidegate.own", &[("retention.ms", SET, "1")]),
            17,
        ),
        (altering(4, "1", &[("log.retention.ms", SET, "1")]), 42),
        (altering(8, "1", &[]), 42),
    ];
    for (asked, error) in cases {
        let told = format!("{asked:?}");
        assert_eq!(altered(&mut client, vec![asked]).await, [error], "{told}");
        assert_eq!(config(), expected);
    }
    let twice = vec![topic(&[("retention.ms", SET, "1")]), topic(&[])];
    assert_eq!(altered(&mut client, twice).await, [42, 42]);
    let checked = IncrementalAlterConfigsRequest::default()
        .with_resources(vec![topic(&[("retention.ms", SET, "1")])])
        .with_validate_only(true);
    assert_eq!(client.ask(0, checked).await.responses[0].error_code, 0);
    assert_eq!(config(), expected);
    // A restart finds topics as they were answered.
    let server = Server::open(server.stop().await, &[]).await;
    assert_eq!(
        server.broker.topics().by_name("t").unwrap().config,
        expected
    );
    server.stop().await;
}
