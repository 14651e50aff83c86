//! Asks other replicas, and answers those who ask this one: one HTTP/1 request, one answer, both bounded.
//!
//! What is asked is a path and a body; whoever answers at a path knows by itself whether it may.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::header::{AUTHORIZATION, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::{Mutex, RwLock};
use tidegate_event_log::LogError;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::options::MAX_MESSAGE_BYTES;

/// The largest event, and what is said about it.
const BODY_BYTES: usize = MAX_MESSAGE_BYTES + 1024 * 1024;
/// Connections of all peers at most.
const CONNECTIONS: usize = 1_024;
/// Connections to one peer that are kept for the next question.
const IDLE: usize = 64;
/// A peer that has begun a request sends it.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// Where this replica answers its peers.
#[derive(Clone)]
pub struct PeerOptions {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How peers reach it, `host:port`, where that is another address.
    pub advertised: Option<String>,
    /// What every replica has to know. Required beyond loopback.
    pub secret: Option<String>,
}

impl Default for PeerOptions {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 0).into(),
            advertised: None,
            secret: None,
        }
    }
}

impl fmt::Debug for PeerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerOptions")
            .field("listen", &self.listen)
            .field("advertised", &self.advertised)
            .field("has_secret", &self.secret.is_some())
            .finish()
    }
}

/// The secret as both sides show it: a hash, so that comparing takes the same time whatever is sent.
fn proof(secret: Option<&str>) -> blake3::Hash {
    blake3::Hash::from_bytes(blake3::derive_key(
        "tidegate 2026 peer secret",
        secret.unwrap_or_default().as_bytes(),
    ))
}

type Connection = SendRequest<Full<Bytes>>;
/// Answers a body, or says why not.
pub(crate) type Answering =
    Box<dyn Fn(Bytes) -> BoxFuture<'static, Result<Vec<u8>, StatusCode>> + Send + Sync>;

/// What came of a question.
pub(crate) enum Heard {
    Answer(Bytes),
    /// The peer never got it.
    Unreachable,
    /// The peer may have got it.
    Lost,
}

/// This replica's place among its peers.
pub(crate) struct Peers {
    /// How peers reach it.
    address: String,
    proof: blake3::Hash,
    shown: HeaderValue,
    idle: Mutex<HashMap<String, Vec<Connection>>>,
    answering: RwLock<BTreeMap<&'static str, Arc<Answering>>>,
}

impl Peers {
    /// Listens for peers until nobody holds what is returned.
    pub(crate) async fn listen(options: PeerOptions) -> Result<Arc<Self>, LogError> {
        if !options.listen.ip().is_loopback() && options.secret.is_none() {
            let message = "peers beyond loopback need a secret that every replica knows";
            return Err(LogError::Invalid(message.to_owned()));
        }
        let failed = |error: std::io::Error| {
            let address = options.listen;
            LogError::Invalid(format!("cannot listen for peers on `{address}`: {error}"))
        };
        let listener = TcpListener::bind(options.listen).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?.to_string();
        let proof = proof(options.secret.as_deref());
        let mut shown =
            HeaderValue::from_str(&proof.to_hex()).expect("hexadecimal digits are a header");
        shown.set_sensitive(true);
        let peers = Arc::new(Self {
            address: options.advertised.unwrap_or(bound),
            proof,
            shown,
            idle: Mutex::default(),
            answering: RwLock::default(),
        });
        tokio::spawn(accept(listener, Arc::downgrade(&peers)));
        Ok(peers)
    }

    /// Returns how peers reach this replica.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Has the questions at a path answered from now on.
    pub(crate) fn answer(&self, path: &'static str, answering: Answering) {
        self.answering.write().insert(path, Arc::new(answering));
    }

    /// Asks a peer.
    pub(crate) async fn ask(
        &self,
        address: &str,
        path: &'static str,
        body: Vec<u8>,
        deadline: Instant,
    ) -> Heard {
        let connection = timeout_at(deadline, self.connection(address)).await;
        let Ok(Some(connection)) = connection else {
            return Heard::Unreachable;
        };
        let answer = timeout_at(deadline, self.exchange(address, connection, path, body)).await;
        answer.ok().flatten().map_or(Heard::Lost, Heard::Answer)
    }

    async fn exchange(
        &self,
        address: &str,
        mut connection: Connection,
        path: &'static str,
        body: Vec<u8>,
    ) -> Option<Bytes> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header("host", address)
            .header(AUTHORIZATION, self.shown.clone())
            .body(Full::new(Bytes::from(body)));
        let response = connection.send_request(request.ok()?).await.ok()?;
        if response.status() != StatusCode::OK {
            tracing::warn!(address, status = %response.status(), "a peer refuses a question");
            return None;
        }
        let body = Limited::new(response.into_body(), BODY_BYTES).collect();
        let body = body.await.ok()?.to_bytes();
        let mut idle = self.idle.lock();
        let idle = idle.entry(address.to_owned()).or_default();
        if idle.len() < IDLE {
            idle.push(connection);
        }
        Some(body)
    }

    /// Closes the connections to a peer that is gone.
    pub(crate) fn forget(&self, address: &str) {
        self.idle.lock().remove(address);
    }

    async fn connection(&self, address: &str) -> Option<Connection> {
        loop {
            let idle = self.idle.lock().get_mut(address).and_then(Vec::pop);
            match idle {
                Some(connection) if connection.is_ready() => return Some(connection),
                Some(_) => {}
                None => break,
            }
        }
        let stream = TcpStream::connect(address).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (connection, driver) = shaken.ok()?;
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(error = %error, "a connection to a peer ended");
            }
        });
        Some(connection)
    }
}

async fn accept(listener: TcpListener, peers: Weak<Peers>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    while peers.strong_count() > 0 {
        let accepted = tokio::time::timeout(Duration::from_millis(500), listener.accept()).await;
        let stream = match accepted {
            Ok(Ok((stream, _))) => stream,
            // Too many open files, perhaps: they close meanwhile.
            Ok(Err(_)) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
            Err(_) => continue,
        };
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
            continue;
        };
        let peers = peers.clone();
        tokio::spawn(async move {
            let answer = service_fn(|request| answer(peers.clone(), request));
            let served = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(stream), answer);
            if let Err(error) = served.await {
                tracing::debug!(error = %error, "a connection of a peer ended");
            }
            drop(permit);
        });
    }
}

async fn answer(
    peers: Weak<Peers>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, body) = match answered(peers, request).await {
        Ok(body) => (StatusCode::OK, body),
        Err(status) => (status, Vec::new()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    Ok(response)
}

async fn answered(peers: Weak<Peers>, request: Request<Incoming>) -> Result<Vec<u8>, StatusCode> {
    let gone = StatusCode::SERVICE_UNAVAILABLE;
    let answering = {
        let peers = peers.upgrade().ok_or(gone)?;
        let shown = request.headers().get(AUTHORIZATION);
        let shown = shown.and_then(|shown| blake3::Hash::from_hex(shown.as_bytes()).ok());
        if shown != Some(peers.proof) {
            return Err(StatusCode::UNAUTHORIZED);
        }
        let answering = peers.answering.read().get(request.uri().path()).cloned();
        let answering = answering.filter(|_| request.method() == Method::POST);
        answering.ok_or(StatusCode::NOT_FOUND)?
    };
    let body = Limited::new(request.into_body(), BODY_BYTES).collect();
    let late = Instant::now() + HEADER_TIMEOUT;
    let body = timeout_at(late, body).await;
    let body = body.map_err(|_| StatusCode::REQUEST_TIMEOUT)?;
    let body = body.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?;
    answering(body.to_bytes()).await
}
