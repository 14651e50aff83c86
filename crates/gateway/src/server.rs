//! Connections: how many, how long their heads may take, and how they end.
//!
//! Reaching a limit is an answer. A connection is closed only after its last response is out and
//! the peer has had a moment to read it: closing on unread bytes would reset it away.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Gateway;
use crate::problem::{Kind, Occurrence, Problem};
use crate::registry;

/// The largest head; with the connection limit it bounds what heads can take of memory.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// How long a peer has to read the last response.
const LINGER: Duration = Duration::from_secs(2);
/// Out of file descriptors: others must close first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How a door words what is answered before a request was read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wording {
    /// RFC 9457.
    Problem,
    /// The schema registry's own.
    Registry,
}

/// Accepts connections until `shutdown` ends, then waits for the running requests.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    wording: Wording,
    gateway: Arc<Gateway>,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(gateway.settings.header_timeout)
        .max_buf_size(MAX_HEAD_BYTES);
    let permits = Arc::new(Semaphore::new(gateway.settings.max_connections));
    let stop = CancellationToken::new();
    let connections = TaskTracker::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let stream = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
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
            connections.spawn(turn_away(stream, wording, Kind::Overloaded));
            continue;
        };
        let (http, router) = (http.clone(), router.clone());
        let (gateway, stop) = (Arc::clone(&gateway), stop.clone());
        connections.spawn(async move {
            gateway.metrics.connections.inc();
            run(stream, &http, router, wording, &stop).await;
            gateway.metrics.connections.dec();
            drop(permit);
        });
    }
    drop(listener);
    stop.cancel();
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

async fn run(
    stream: TcpStream,
    http: &http1::Builder,
    router: Router,
    wording: Wording,
    stop: &CancellationToken,
) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let mut connection =
        http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let served = {
        let mut served = pin!(std::future::poll_fn(|context| {
            connection.poll_without_shutdown(context)
        }));
        tokio::select! {
            result = &mut served => Some(result),
            () = stop.cancelled() => None,
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
    let stream = parts.io.into_inner();
    match served {
        // Part of a head came, the rest did not: the caller is told. An idle one is not.
        Err(error) if error.is_timeout() && !parts.read_buf.is_empty() => {
            turn_away(stream, wording, Kind::RequestTimeout).await;
        }
        _ => linger(stream).await,
    }
}

/// Answers without having read a request, and closes.
async fn turn_away(mut stream: TcpStream, wording: Wording, kind: Kind) {
    let detail = match kind {
        Kind::RequestTimeout => "the head of the request did not arrive in time",
        _ => "too many connections are open",
    };
    let (media_type, body) = match wording {
        Wording::Problem => {
            let problem = Problem::new(kind, detail);
            let id = Occurrence {
                request_id: "none",
                trace_id: None,
            };
            ("application/problem+json", problem.to_json(id))
        }
        Wording::Registry => {
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
async fn linger(mut stream: TcpStream) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut sink = [0; 4 * 1024];
    let drain = async { while stream.read(&mut sink).await.is_ok_and(|count| count > 0) {} };
    // Whether the peer closed in time or not, it is over.
    drop(timeout(LINGER, drain).await);
}
