//! Accepts connections on a loopback address, up to a limit, and ends them when told to.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::connection;
use crate::api::Port;
use crate::broker::Broker;
use crate::rules::{Checks, RecordRules};

/// How long connections may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// How long to wait after the system refused a connection, most likely for want of descriptors.
const REFUSED_PAUSE: Duration = Duration::from_millis(50);
/// When a silent connection is probed, so that one whose peer is gone does not stay for ever.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);

/// Where clients find the port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    /// A host name or an address.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

/// Where to listen.
#[derive(Clone, Debug)]
pub struct ListenOptions {
    /// A loopback address; port 0 takes a free one.
    pub address: SocketAddr,
    /// What clients are told; `None` is the address itself.
    pub advertised: Option<Endpoint>,
    /// What topics ask of records; `None`: nothing.
    pub rules: Option<Arc<dyn RecordRules>>,
}

/// Why the port did not open.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is open to others.
    #[error(
        "Kafka address `{0}` is not a loopback address\nhint: listen on `127.0.0.1`; other addresses follow with access control"
    )]
    NotLoopback(SocketAddr),
    /// The system refused it.
    #[error("cannot listen on Kafka address `{address}`: {source}")]
    Refused {
        /// As asked for.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// An open Kafka port. Dropping it closes the port and ends its connections.
#[derive(Debug)]
pub struct KafkaPort {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
    free: Arc<Semaphore>,
    limit: usize,
}

/// Opens the Kafka port of `broker`.
///
/// # Errors
/// The address is not a loopback address, or cannot be had.
pub async fn listen(broker: Broker, options: ListenOptions) -> Result<KafkaPort, ListenError> {
    let address = options.address;
    if !address.ip().is_loopback() {
        return Err(ListenError::NotLoopback(address));
    }
    let refused = |source| ListenError::Refused { address, source };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    let advertised = options.advertised.unwrap_or_else(|| Endpoint {
        host: address.ip().to_string(),
        port: address.port(),
    });
    let limit = usize::try_from(broker.settings().max_connections).unwrap_or(1);
    let free = Arc::new(Semaphore::new(limit));
    let (stop, stopping) = watch::channel(false);
    let port = Arc::new(Port::start(broker, advertised, Checks::new(options.rules)));
    let accepting = tokio::spawn(accept(listener, port, Arc::clone(&free), stopping));
    Ok(KafkaPort {
        address,
        stop,
        accepting,
        free,
        limit,
    })
}

impl KafkaPort {
    /// Returns the address that is listened on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns how many clients are connected.
    pub fn connections(&self) -> usize {
        self.limit - self.free.available_permits()
    }

    /// Closes the port and ends its connections: requests that were read are answered first.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if self.accepting.await.is_err() {
            tracing::error!("the kafka port ended by a panic");
        }
    }
}

async fn accept(
    listener: TcpListener,
    port: Arc<Port>,
    free: Arc<Semaphore>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        // The sender being gone is a stop as well.
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stopping| *stopping) => break,
        };
        while connections.try_join_next().is_some() {}
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(error = %error, "kafka connection not accepted");
                tokio::time::sleep(REFUSED_PAUSE).await;
                continue;
            }
        };
        let Ok(slot) = Arc::clone(&free).try_acquire_owned() else {
            tracing::debug!("kafka connection refused: there are too many");
            continue;
        };
        if let Err(error) = prepare(&stream) {
            tracing::debug!(error = %error, "kafka connection not set up");
            continue;
        }
        let (port, stopping) = (Arc::clone(&port), stopping.clone());
        connections.spawn(async move {
            if let Err(reason) = connection::serve(stream, port, stopping).await {
                tracing::debug!(reason = %reason, "kafka connection ended");
            }
            drop(slot);
        });
    }
    drop(listener);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_LIMIT, all_ended).await.is_err() {
        tracing::debug!("kafka connections cut off");
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}
