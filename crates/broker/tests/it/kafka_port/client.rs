//! A Kafka client as far as the tests need one: requests by another codec, over a real socket.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    FetchRequest, FetchResponse, MetadataRequest, MetadataResponse, ProduceRequest,
    ProduceResponse, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use tempfile::TempDir;
use tidegate_broker::batch::{OpenBatch, encode_record, seal_crc};
use tidegate_broker::net::{KafkaPort, ListenOptions, listen};
use tidegate_broker::rules::RecordRules;
use tidegate_broker::{Broker, Options};
use tidegate_event_log::Record;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A broker with an open port, in a directory of its own.
pub(crate) struct Server {
    pub(crate) broker: Broker,
    pub(crate) port: KafkaPort,
    pub(crate) directory: TempDir,
}

impl Server {
    pub(crate) async fn start(settings: &[&str]) -> Self {
        Self::open(tempfile::tempdir().unwrap(), settings).await
    }

    /// A broker that keeps little in memory.
    pub(crate) async fn with_hot_budget(bytes: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = Options {
            hot_budget_bytes: bytes,
            ..options(&directory)
        };
        Self::run(directory, options, &[], None).await
    }

    /// A broker whose topics ask something of records.
    pub(crate) async fn with_rules(rules: Arc<dyn RecordRules>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = options(&directory);
        Self::run(directory, options, &[], Some(rules)).await
    }

    pub(crate) async fn open(directory: TempDir, settings: &[&str]) -> Self {
        let options = options(&directory);
        Self::run(directory, options, settings, None).await
    }

    async fn run(
        directory: TempDir,
        mut options: Options,
        settings: &[&str],
        rules: Option<Arc<dyn RecordRules>>,
    ) -> Self {
        options.kafka.group_initial_rebalance_delay_ms = 0;
        for setting in settings {
            options.kafka.assign(setting).unwrap();
        }
        let opened = tokio::task::spawn_blocking(move || Broker::open(options)).await;
        let broker = opened.unwrap().unwrap();
        let options = ListenOptions {
            address: "127.0.0.1:0".parse().unwrap(),
            advertised: None,
            rules,
        };
        let port = listen(broker.clone(), options).await.unwrap();
        Self {
            broker,
            port,
            directory,
        }
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::over(TcpStream::connect(self.port.address()).await.unwrap())
    }

    /// Stops everything and returns the directory.
    pub(crate) async fn stop(self) -> TempDir {
        self.port.stop().await;
        let broker = self.broker;
        let stopped = tokio::task::spawn_blocking(move || broker.stop()).await;
        stopped.unwrap();
        self.directory
    }
}

fn options(directory: &TempDir) -> Options {
    Options {
        wal_segment_bytes: 32 << 20,
        ..Options::new(directory.path())
    }
}

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    last_correlation_id: i32,
}

impl Client {
    pub(crate) fn over(stream: TcpStream) -> Self {
        Self {
            stream,
            last_correlation_id: 0,
        }
    }

    /// Sends a request and returns its correlation id.
    pub(crate) async fn send<R: Request>(&mut self, version: i16, request: &R) -> i32 {
        self.last_correlation_id += 1;
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.last_correlation_id)
            .with_client_id(Some(StrBytes::from_static_str("test")));
        header
            .encode(&mut frame, R::header_version(version))
            .unwrap();
        request.encode(&mut frame, version).unwrap();
        let len = u32::try_from(frame.len() - 4).unwrap();
        frame[..4].copy_from_slice(&len.to_be_bytes());
        self.stream.write_all(&frame).await.unwrap();
        self.last_correlation_id
    }

    /// Receives the next answer, which must be to a request of this kind.
    pub(crate) async fn receive<R: Request>(&mut self, version: i16) -> (i32, R::Response) {
        let mut frame = self.receive_frame().await.expect("an answer");
        let header_version = R::Response::header_version(version);
        let header = ResponseHeader::decode(&mut frame, header_version).unwrap();
        let response = R::Response::decode(&mut frame, version).unwrap();
        assert!(frame.is_empty(), "nothing follows the answer");
        (header.correlation_id, response)
    }

    /// Receives a frame; `None` if the connection ends first.
    pub(crate) async fn receive_frame(&mut self) -> Option<Bytes> {
        let receive = async {
            let len = self.stream.read_u32().await.ok()?;
            let mut frame = vec![0; len as usize];
            self.stream.read_exact(&mut frame).await.ok()?;
            Some(Bytes::from(frame))
        };
        let received = tokio::time::timeout(Duration::from_secs(20), receive).await;
        received.expect("an answer or an end in time")
    }

    /// Asks and receives the answer.
    pub(crate) async fn ask<R: Request>(&mut self, version: i16, request: R) -> R::Response {
        let asked = self.send(version, &request).await;
        let (answered, response) = self.receive::<R>(version).await;
        assert_eq!(asked, answered);
        response
    }

    /// Asks for a topic, which creates it.
    pub(crate) async fn topic(&mut self, topic: &str) -> MetadataResponse {
        let asked = kafka_protocol::messages::metadata_request::MetadataRequestTopic::default()
            .with_name(Some(name(topic)));
        let request = MetadataRequest::default()
            .with_topics(Some(vec![asked]))
            .with_allow_auto_topic_creation(true);
        self.ask(9, request).await
    }

    /// Produces a batch and returns the error and the base offset.
    pub(crate) async fn produce(&mut self, topic: &str, batch: Bytes) -> (i16, i64) {
        let response = self.ask(9, produce(topic, batch, -1)).await;
        produced(&response)
    }

    /// Fetches from partition 0.
    pub(crate) async fn fetch(&mut self, topic: &str, offset: i64, wait_ms: i32) -> Fetched {
        let response = self.ask(11, fetch(topic, offset, wait_ms)).await;
        fetched(&response)
    }
}

/// Waits until something holds, for ten seconds at most.
pub(crate) async fn until(holds: impl AsyncFn() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait)
        .await
        .expect("it holds in time");
}

pub(crate) fn name(topic: &str) -> TopicName {
    TopicName::from(StrBytes::from_string(topic.to_owned()))
}

pub(crate) fn produce(topic: &str, batch: Bytes, acks: i16) -> ProduceRequest {
    let partition = PartitionProduceData::default().with_records(Some(batch));
    let topic = TopicProduceData::default()
        .with_name(name(topic))
        .with_partition_data(vec![partition]);
    ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(1_000)
        .with_topic_data(vec![topic])
}

pub(crate) fn produced(response: &ProduceResponse) -> (i16, i64) {
    let partition = &response.responses[0].partition_responses[0];
    (partition.error_code, partition.base_offset)
}

pub(crate) fn fetch(topic: &str, offset: i64, wait_ms: i32) -> FetchRequest {
    let partition = FetchPartition::default()
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default()
        .with_topic(name(topic))
        .with_partitions(vec![partition]);
    FetchRequest::default()
        .with_max_wait_ms(wait_ms)
        .with_min_bytes(1)
        .with_max_bytes(50 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}

/// What one partition was answered.
#[derive(Debug, PartialEq)]
pub(crate) struct Fetched {
    pub(crate) error: i16,
    pub(crate) high_watermark: i64,
    pub(crate) log_start: i64,
    pub(crate) records: Bytes,
}

pub(crate) fn fetched(response: &FetchResponse) -> Fetched {
    let partition = &response.responses[0].partitions[0];
    Fetched {
        error: partition.error_code,
        high_watermark: partition.high_watermark,
        log_start: partition.log_start_offset,
        records: partition.records.clone().expect("empty, never null"),
    }
}

/// A batch of records with these values.
pub(crate) fn batch(values: &[&str]) -> Bytes {
    let mut open = OpenBatch::new(0, 1_000);
    for value in values {
        let record = Record {
            value: Some(Bytes::copy_from_slice(value.as_bytes())),
            ..Record::default()
        };
        open.push(&encode_record(&record), 1_000);
    }
    let mut batch = open.close(-1).to_vec();
    seal_crc(&mut batch);
    Bytes::from(batch)
}

/// Makes a batch one of an idempotent producer.
pub(crate) fn with_sequence(batch: &Bytes, producer_id: i64, epoch: i16, sequence: i32) -> Bytes {
    let mut batch = batch.to_vec();
    batch[43..51].copy_from_slice(&producer_id.to_be_bytes());
    batch[51..53].copy_from_slice(&epoch.to_be_bytes());
    batch[53..57].copy_from_slice(&sequence.to_be_bytes());
    seal_crc(&mut batch);
    Bytes::from(batch)
}

/// The values of fetched records.
pub(crate) fn values(records: &Bytes) -> Vec<String> {
    let mut values = Vec::new();
    let mut rest = &records[..];
    while !rest.is_empty() {
        let header = tidegate_broker::batch::BatchHeader::parse(rest).unwrap();
        for record in tidegate_broker::batch::records(rest, 1 << 20).unwrap() {
            let (_, _, record) = record.unwrap();
            values.push(String::from_utf8(record.value.unwrap().to_vec()).unwrap());
        }
        rest = &rest[header.total_bytes()..];
    }
    values
}
