//! A way to the cluster that can hold back requests of chosen kinds, so that a replica is late on purpose.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Kinds of requests, by Kafka's API keys.
pub(crate) const PRODUCE: i16 = 0;
pub(crate) const JOIN_GROUP: i16 = 11;
pub(crate) const HEARTBEAT: i16 = 12;

/// Requests that do not pass now.
#[derive(Clone)]
pub(crate) struct Proxy {
    held: watch::Sender<BTreeSet<i16>>,
    waiting: Arc<Mutex<BTreeSet<i16>>>,
}

impl Proxy {
    /// Passes connections on from `port` to `to`.
    pub(crate) async fn listen(port: u16, to: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let proxy = Self {
            held: watch::Sender::new(BTreeSet::new()),
            waiting: Arc::default(),
        };
        let passing = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let node = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                tokio::spawn(passing.clone().pass(client, node));
            }
        });
        proxy
    }

    /// Lets requests of these kinds wait, and all others pass.
    pub(crate) fn hold(&self, kinds: impl IntoIterator<Item = i16>) {
        self.held.send_replace(kinds.into_iter().collect());
    }

    /// Waits until a request of a kind waits.
    pub(crate) async fn until_waiting(&self, kind: i16) {
        while !self.waiting.lock().contains(&kind) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    async fn pass(self, client: TcpStream, node: TcpStream) {
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_node, mut to_node) = node.into_split();
        tokio::spawn(async move { tokio::io::copy(&mut from_node, &mut to_client).await.ok() });
        let mut held = self.held.subscribe();
        // A request is a length, then the kind and the rest.
        while let Ok(length) = from_client.read_u32().await {
            let mut request = vec![0; usize::try_from(length).unwrap()];
            if from_client.read_exact(&mut request).await.is_err() {
                return;
            }
            let kind = i16::from_be_bytes([request[0], request[1]]);
            if held.borrow().contains(&kind) {
                self.waiting.lock().insert(kind);
                held.wait_for(|held| !held.contains(&kind)).await.unwrap();
            }
            if to_node.write_u32(length).await.is_err()
                || to_node.write_all(&request).await.is_err()
            {
                return;
            }
        }
    }
}
