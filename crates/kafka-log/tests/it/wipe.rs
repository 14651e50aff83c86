//! A cluster that is as good as new. Tests of other crates have this file too.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;

const LIMIT: Duration = Duration::from_secs(15);

/// Deletes every topic and group of the cluster, so that the next log finds it empty.
pub(crate) async fn wipe(bootstrap: &str) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
    let asked: BaseConsumer = config.set("group.id", "wipe").create().unwrap();
    let options = AdminOptions::new().operation_timeout(Some(LIMIT));
    let topics = || {
        let metadata = asked.fetch_metadata(None, LIMIT).unwrap();
        let names = metadata
            .topics()
            .iter()
            .map(|topic| topic.name().to_owned());
        names
            .filter(|name| !name.starts_with("__"))
            .collect::<Vec<_>>()
    };
    // The last log has to have left, or it would look for its topics.
    loop {
        let groups = asked.fetch_group_list(None, LIMIT).unwrap();
        let groups = groups.groups().iter().map(|group| group.name().to_owned());
        let groups: Vec<_> = groups.collect();
        if groups.is_empty() {
            break;
        }
        let groups: Vec<_> = groups.iter().map(String::as_str).collect();
        let deleted = admin.delete_groups(&groups, &options).await.unwrap();
        let gone = deleted.into_iter().all(|deleted| match deleted {
            Ok(_) | Err((_, RDKafkaErrorCode::GroupIdNotFound)) => true,
            Err((_, RDKafkaErrorCode::NonEmptyGroup)) => false,
            Err((group, code)) => panic!("{group}: {code}"),
        });
        if !gone {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let names = topics();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    if !names.is_empty() {
        for deleted in admin.delete_topics(&names, &options).await.unwrap() {
            deleted.unwrap();
        }
    }
    while !topics().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
