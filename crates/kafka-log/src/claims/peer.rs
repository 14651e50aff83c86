//! Asks the replica that owns a claim, and answers those who ask this one: one HTTP/1 request, one answer, both bounded.
//!
//! Whoever answers knows by itself whether it may. A request to the wrong replica, or one that is lost, costs another
//! look; the claim makes asking again safe.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::header::{AUTHORIZATION, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tidegate_event_log::LogError;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::wire;
use super::{Asked, Claims, Told};
use crate::options::MAX_MESSAGE_BYTES;

/// The largest event, and what is said about it.
const BODY_BYTES: usize = MAX_MESSAGE_BYTES + 1024 * 1024;
/// Connections of all peers at most.
const CONNECTIONS: usize = 1_024;
/// Connections to one peer that are kept for the next question.
const IDLE: usize = 64;
/// A peer that has begun a request sends it.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
const PATH: &str = "/claims";

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

/// Connections to peers.
pub(crate) struct Peers {
    proof: HeaderValue,
    idle: Mutex<HashMap<String, Vec<Connection>>>,
}

impl Peers {
    pub(crate) fn new(options: &PeerOptions) -> Self {
        let proof = proof(options.secret.as_deref()).to_hex();
        let mut proof = HeaderValue::from_str(&proof).expect("hexadecimal digits are a header");
        proof.set_sensitive(true);
        Self {
            proof,
            idle: Mutex::default(),
        }
    }

    /// Asks a peer.
    pub(crate) async fn ask(&self, address: &str, asked: &Asked) -> Told {
        let connection = timeout_at(asked.deadline, self.connection(address)).await;
        let Ok(Some(connection)) = connection else {
            return Told::NotMine;
        };
        let told = timeout_at(asked.deadline, self.exchange(address, connection, asked)).await;
        told.ok().flatten().unwrap_or(Told::Lost)
    }

    async fn exchange(
        &self,
        address: &str,
        mut connection: Connection,
        asked: &Asked,
    ) -> Option<Told> {
        let body = wire::from_asked(asked)?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(PATH)
            .header("host", address)
            .header(AUTHORIZATION, self.proof.clone())
            .body(Full::new(Bytes::from(body)));
        let response = connection.send_request(request.ok()?).await.ok()?;
        if response.status() != StatusCode::OK {
            tracing::warn!(address, status = %response.status(), "a peer refuses a question");
            return None;
        }
        let body = Limited::new(response.into_body(), BODY_BYTES).collect();
        let told = wire::to_told(&body.await.ok()?.to_bytes());
        let mut idle = self.idle.lock();
        let idle = idle.entry(address.to_owned()).or_default();
        if idle.len() < IDLE {
            idle.push(connection);
        }
        told
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

/// Listens for peers until the claims are gone, and returns how they reach it.
pub(crate) async fn listen(claims: Weak<Claims>, options: PeerOptions) -> Result<String, LogError> {
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
    tokio::spawn(accept(listener, claims, proof));
    Ok(options.advertised.unwrap_or(bound))
}

async fn accept(listener: TcpListener, claims: Weak<Claims>, proof: blake3::Hash) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    while claims.strong_count() > 0 {
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
        let claims = claims.clone();
        tokio::spawn(async move {
            let answer = service_fn(|request| answer(claims.clone(), proof, request));
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
    claims: Weak<Claims>,
    proof: blake3::Hash,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, body) = match told(claims, proof, request).await {
        Ok(told) => (StatusCode::OK, wire::from_told(&told)),
        Err(status) => (status, Vec::new()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    Ok(response)
}

async fn told(
    claims: Weak<Claims>,
    proof: blake3::Hash,
    request: Request<Incoming>,
) -> Result<Told, StatusCode> {
    let shown = request.headers().get(AUTHORIZATION);
    let shown = shown.and_then(|shown| blake3::Hash::from_hex(shown.as_bytes()).ok());
    if shown != Some(proof) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    if request.uri().path() != PATH || request.method() != Method::POST {
        return Err(StatusCode::NOT_FOUND);
    }
    let body = Limited::new(request.into_body(), BODY_BYTES).collect();
    let late = Instant::now() + HEADER_TIMEOUT;
    let body = timeout_at(late, body).await;
    let body = body.map_err(|_| StatusCode::REQUEST_TIMEOUT)?;
    let body = body.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?;
    let asked = wire::to_asked(&body.to_bytes()).ok_or(StatusCode::BAD_REQUEST)?;
    let claims = claims.upgrade().ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(claims.answer(&asked).await)
}
