//! Frames that are cut, oversized, random or lie: the connection ends, the broker does not.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::MetadataRequest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::client::{Server, batch, until};

/// Sends bytes and tells if the connection ended.
async fn ends(server: &Server, bytes: &[u8]) -> bool {
    let mut stream = TcpStream::connect(server.port.address()).await.unwrap();
    // The peer may have closed before all is sent.
    drop(stream.write_all(bytes).await);
    let mut answer = [0; 64];
    let read = timeout(Duration::from_secs(10), stream.read(&mut answer)).await;
    matches!(read, Ok(Ok(0) | Err(_)))
}

fn frame(body: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}

#[tokio::test]
async fn frames_that_cannot_be_end_their_connection_only() {
    let server = Server::start(&["socket.request.max.bytes=2048"]).await;
    let mut other = server.connect().await;
    other.topic("t").await;
    let metadata = [0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff];
    let cases: [(&str, Vec<u8>); 10] = [
        ("oversized", vec![0x7f, 0xff, 0xff, 0xff]),
        ("a little oversized", vec![0, 0, 8, 1]),
        ("negative", vec![0xff, 0xff, 0xff, 0xff]),
        ("empty", vec![0, 0, 0, 0]),
        ("HTTP", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("unknown api", frame(&[0x7f, 0, 0, 0, 0, 0, 0, 1])),
        (
            "unknown version",
            frame(&[0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff]),
        ),
        ("internal api", frame(&[0, 4, 0, 0, 0, 0, 0, 1, 0xff, 0xff])),
        (
            "array of 2^31",
            frame(&[&metadata[..], &[0x7f, 0xff, 0xff, 0xff]].concat()),
        ),
        ("cut body", frame(&metadata)),
    ];
    for (what, bytes) in cases {
        assert!(ends(&server, &bytes).await, "{what}");
    }
    assert_eq!(other.produce("t", batch(&["v"])).await, (0, 0));
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_is_cut_off_leaves_nothing_behind() {
    let server = Server::start(&[]).await;
    let mut client = server.connect().await;
    client.topic("t").await;
    let request = super::produce("t", batch(&["v"]), -1);
    let whole = {
        let mut recorder = Recorder::connect().await;
        recorder.client.send(9, &request).await;
        recorder.take().await
    };
    for cut in 0..whole.len() {
        let mut stream = TcpStream::connect(server.port.address()).await.unwrap();
        stream.write_all(&whole[..cut]).await.unwrap();
    }
    until(async || server.port.connections() == 1).await;
    assert_eq!(client.produce("t", batch(&["v"])).await, (0, 0));
    server.stop().await;
}

/// A socket that records what a client sends.
struct Recorder {
    client: super::client::Client,
    peer: TcpStream,
}

impl Recorder {
    async fn connect() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stream, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        Self {
            client: super::client::Client::over(stream.unwrap()),
            peer: accepted.unwrap().0,
        }
    }

    async fn take(self) -> Bytes {
        let Self { client, mut peer } = self;
        drop(client);
        let mut bytes = Vec::new();
        peer.read_to_end(&mut bytes).await.unwrap();
        Bytes::from(bytes)
    }
}

#[tokio::test]
async fn random_and_changed_requests_do_no_harm() {
    let server = Server::start(&["num.partitions=2"]).await;
    let mut client = server.connect().await;
    client.topic("t").await;
    let mut seed = 11_u64;
    let mut random = move |below: u64| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let apis = tidegate_broker::api::APIS;
    for _ in 0..400 {
        let api = apis[random(apis.len() as u64) as usize];
        let versions = u64::from((api.most - api.least).cast_unsigned()) + 1;
        let version = api.least + i16::try_from(random(versions)).unwrap();
        let mut body = Vec::new();
        body.extend_from_slice(&api.key.to_be_bytes());
        body.extend_from_slice(&version.to_be_bytes());
        body.extend_from_slice(&[0, 0, 0, 1, 0xff, 0xff, 0]);
        let zeros = 20 + random(75);
        for _ in 0..random(200) {
            let byte = if random(100) < zeros { 0 } else { random(256) };
            body.push(u8::try_from(byte).unwrap());
        }
        let mut stream = TcpStream::connect(server.port.address()).await.unwrap();
        stream.write_all(&frame(&body)).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let read = timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
        assert!(
            read.is_ok(),
            "{} {version} is answered or closed: {body:?}",
            api.name
        );
    }
    assert_eq!(server.broker.purgatory().parked(), 0);
    let all = MetadataRequest::default().with_topics(None);
    assert!(!client.ask(9, all).await.topics.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed() {
    let server = Server::start(&["max.connections=3"]).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut client = server.connect().await;
        client.topic("t").await;
        open.push(client);
    }
    assert!(ends(&server, &[]).await);
    drop(open.pop());
    until(async || server.port.connections() == 2).await;
    let mut client = server.connect().await;
    client.topic("t").await;
    server.stop().await;
}

#[tokio::test]
async fn a_silent_connection_ends() {
    let server = Server::start(&["connections.max.idle.ms=50"]).await;
    assert!(ends(&server, &[]).await);
    assert!(ends(&server, &[0, 0, 0, 50, 0, 3]).await);
    server.stop().await;
}
