//! Connections: how many, how long their handshakes and heads may take, and how they end.
//!
//! A handshake is the connection's own affair: one that is slow counts as a connection and holds up
//! no other.
//! Reaching a limit is an answer. A connection is closed only after its last response is out and
//! the peer has had a moment to read it: closing on unread bytes would reset it away.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service as _;

use crate::Gateway;
use crate::metrics::{DoorTls, Refused};
use crate::problem::{Kind, Occurrence, Problem};
use crate::registry;
use crate::tls::{PeerCertificate, Tls};
use crate::write_limit::WriteLimit;

/// The largest head; with the connection limit it bounds what heads can take of memory.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// How long a peer has to read the last response.
const LINGER: Duration = Duration::from_secs(2);
/// Out of file descriptors: others must close first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// One of the gateway's doors.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Door {
    Events,
    Registry,
    Operations,
}

impl Door {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Registry => "registry",
            Self::Operations => "operations",
        }
    }
}

/// A bound address, and the TLS that is spoken there.
#[derive(Debug)]
pub struct Listening {
    /// Bound, and not yet served.
    pub listener: TcpListener,
    /// Nothing: plain HTTP.
    pub tls: Option<Tls>,
}

impl From<TcpListener> for Listening {
    fn from(listener: TcpListener) -> Self {
        let tls = None;
        Self { listener, tls }
    }
}

/// Where a request comes from, beside each request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) door: Door,
}

/// What all connections of a door share.
struct Serving {
    http: http1::Builder,
    handshake_timeout: Duration,
    write_limit: Duration,
    router: Router,
    door: Door,
    tls: Option<Tls>,
    refused: Option<DoorTls>,
    stop: CancellationToken,
}

/// Accepts connections until `shutdown` ends, then waits for the running requests.
pub(crate) async fn serve(
    listening: Listening,
    router: Router,
    door: Door,
    gateway: Arc<Gateway>,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let Listening { listener, tls } = listening;
    let settings = &gateway.settings;
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(settings.header_timeout)
        .max_buf_size(MAX_HEAD_BYTES);
    let permits = Arc::new(Semaphore::new(settings.max_connections));
    let stop = CancellationToken::new();
    let connections = TaskTracker::new();
    let refused = tls.as_ref().map(|_| gateway.metrics.tls.door(door.name()));
    if let (Some(tls), Some(meters)) = (&tls, &refused) {
        let (every, clock) = (settings.tls_look_every, Arc::clone(&gateway.clock));
        let fresh = tls.clone().keep_fresh(every, clock, meters.clone());
        let stop = stop.clone();
        connections.spawn(async move { stop.run_until_cancelled(fresh).await });
    }
    let serving = Arc::new(Serving {
        http,
        // It comes before the head, and is as little work.
        handshake_timeout: settings.header_timeout,
        write_limit: 2 * settings.write_timeout,
        router,
        door,
        tls,
        refused,
        stop,
    });
    let mut shutdown = pin!(shutdown);
    loop {
        let (stream, address) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) if is_of_the_peer(&error) => continue,
                Err(error) => {
                    tracing::error!(error = %error, "connections cannot be accepted");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
            gateway.metrics.connections_refused.inc();
            // Where TLS is spoken, words come after a handshake, and there is no room for one.
            if serving.tls.is_none() {
                connections.spawn(turn_away(stream, door, Kind::Overloaded, TOO_MANY));
            }
            continue;
        };
        let (gateway, serving) = (Arc::clone(&gateway), Arc::clone(&serving));
        connections.spawn(async move {
            gateway.metrics.connections.inc();
            serving.greet(stream, address).await;
            gateway.metrics.connections.dec();
            drop(permit);
        });
    }
    drop(listener);
    serving.stop.cancel();
    connections.close();
    if timeout(gateway.settings.drain_timeout, connections.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            connections = connections.len(),
            "stopped with requests under way"
        );
    }
    Ok(())
}

fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    )
}

impl Serving {
    /// Serves a connection, after a handshake where TLS is spoken.
    async fn greet(&self, stream: TcpStream, address: SocketAddr) {
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let door = self.door;
        let peer = Peer { address, door };
        match (&self.tls, &self.refused) {
            // In a place of its own: it is large, and a connection without TLS does not pay for it.
            (Some(tls), Some(refused)) => {
                Box::pin(self.shake_hands(stream, peer, tls, refused)).await;
            }
            _ => self.run(stream, peer, None).await,
        }
    }

    /// Serves a connection once its handshake is through.
    async fn shake_hands(&self, stream: TcpStream, peer: Peer, tls: &Tls, refused: &DoorTls) {
        let shaken = async {
            if speaks_plainly(&stream).await {
                return Err((Refused::Plaintext, Some(stream)));
            }
            let shaken = tls.acceptor().accept(stream).await;
            shaken.map_err(|error| (why(&error), None))
        };
        let shaken = tokio::select! {
            shaken = timeout(self.handshake_timeout, shaken) => shaken,
            () = self.stop.cancelled() => return,
        };
        match shaken {
            Ok(Ok(stream)) => {
                let shown = stream.get_ref().1.peer_certificates();
                let shown = shown.and_then(|chain| chain.first());
                let certificate = shown.map(|certificate| PeerCertificate::of(certificate));
                self.run(stream, peer, certificate).await;
            }
            Ok(Err((why, plain))) => {
                refused.refuse(why);
                if let Some(stream) = plain {
                    turn_away(stream, self.door, Kind::BadRequest, PLAIN).await;
                }
            }
            Err(_) => refused.refuse(Refused::Timeout),
        }
    }

    async fn run<S>(&self, stream: S, peer: Peer, certificate: Option<PeerCertificate>)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin,
    {
        let service = service_fn(|mut request: Request<Incoming>| {
            let extensions = request.extensions_mut();
            extensions.insert(peer);
            if let Some(certificate) = &certificate {
                extensions.insert(certificate.clone());
            }
            // A router is always ready.
            self.router.clone().call(request)
        });
        let stream = WriteLimit::new(stream, self.write_limit);
        let mut connection = self.http.serve_connection(TokioIo::new(stream), service);
        let served = {
            let mut served = pin!(std::future::poll_fn(|context| {
                connection.poll_without_shutdown(context)
            }));
            tokio::select! {
                result = &mut served => Some(result),
                () = self.stop.cancelled() => None,
            }
        };
        let served = match served {
            Some(result) => result,
            None => {
                Pin::new(&mut connection).graceful_shutdown();
                std::future::poll_fn(|context| connection.poll_without_shutdown(context)).await
            }
        };
        let parts = connection.into_parts();
        let stream = parts.io.into_inner().into_inner();
        match served {
            // Part of a head came, the rest did not: the caller is told. An idle one is not.
            Err(error) if error.is_timeout() && !parts.read_buf.is_empty() => {
                turn_away(stream, self.door, Kind::RequestTimeout, TOO_SLOW).await;
            }
            _ => linger(stream).await,
        }
    }
}

/// Says whether the peer's first byte is of a request without TLS.
async fn speaks_plainly(stream: &TcpStream) -> bool {
    let mut first = [0];
    let seen = stream.peek(&mut first).await;
    // A method is in capitals (RFC 9110 §9.1); a TLS record begins with 22 (RFC 8446 §5.1).
    seen.is_ok_and(|count| count == 1) && first[0].is_ascii_uppercase()
}

/// Says why a handshake ended, for the metric.
fn why(error: &io::Error) -> Refused {
    let cause = error.get_ref();
    match cause.and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::NoCertificatesPresented | rustls::Error::InvalidCertificate(_)) => {
            Refused::Certificate
        }
        _ => Refused::Handshake,
    }
}

const TOO_SLOW: &str = "the head of the request did not arrive in time";
const TOO_MANY: &str = "too many connections are open";
const PLAIN: &str = "TLS is spoken here: the address begins with `https://`";

/// Answers without having read a request, and closes.
async fn turn_away<S>(mut stream: S, door: Door, kind: Kind, detail: &str)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (media_type, body) = match door {
        Door::Events | Door::Operations => {
            let problem = Problem::new(kind, detail);
            let id = Occurrence {
                request_id: "none",
                trace_id: None,
            };
            ("application/problem+json", problem.to_json(id))
        }
        Door::Registry => {
            let body = serde_json::json!({ "error_code": kind.status(), "message": detail });
            (registry::MEDIA_TYPE, body)
        }
    };
    let body = body.to_string();
    let status = hyper::StatusCode::from_u16(kind.status()).unwrap_or_default();
    let retry = if kind == Kind::Overloaded {
        "retry-after: 1\r\n"
    } else {
        ""
    };
    let response = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\n{retry}\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    if let Ok(Ok(())) = timeout(LINGER, stream.write_all(response.as_bytes())).await {
        linger(stream).await;
    }
}

/// Says that nothing more will be written and reads what still comes, for a moment.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut sink = [0; 4 * 1024];
    let drain = async { while stream.read(&mut sink).await.is_ok_and(|count| count > 0) {} };
    // Whether the peer closed in time or not, it is over.
    drop(timeout(LINGER, drain).await);
}
