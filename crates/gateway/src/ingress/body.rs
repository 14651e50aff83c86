//! Reads a request's body: no more than its limit, no longer than its time, and no more at once
//! over all requests than the gateway has memory for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use tokio::time::timeout;

use crate::Gateway;
use crate::problem::{Kind, Problem};

/// A frame up to this size is cheaper copied than kept in the buffer it was read into.
const SMALL_BYTES: usize = 4 * 1024;

/// Bytes of bodies held at the moment, over all requests.
#[derive(Debug, Default)]
pub(crate) struct Inflight(AtomicUsize);

/// A share of the bytes in flight; given back when dropped.
pub(crate) struct Held<'a> {
    inflight: &'a Inflight,
    bytes: usize,
}

impl Inflight {
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Held<'_> {
    fn add(&mut self, bytes: usize, limit: usize) -> Result<(), Problem> {
        let before = self.inflight.0.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        if before + bytes > limit {
            let detail = "too many bytes are in flight; nothing was stored";
            return Err(
                Problem::new(Kind::Overloaded, detail).with_retry_after(Duration::from_secs(1))
            );
        }
        Ok(())
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.inflight.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Reads a body of at most `limit` bytes.
///
/// # Errors
/// `BodyTooLarge`, as soon as it is known; `RequestTimeout`; `BadRequest` for a body cut off;
/// `Overloaded`.
pub(crate) async fn read<'g>(
    gateway: &'g Gateway,
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<(Bytes, Held<'g>), Problem> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(too_large(limit));
    }
    let held = Held {
        inflight: &gateway.inflight,
        bytes: 0,
    };
    match timeout(
        gateway.settings.body_timeout,
        collect(gateway, body, limit, held),
    )
    .await
    {
        Ok(result) => result,
        Err(_) => Err(Problem::new(
            Kind::RequestTimeout,
            "the body did not arrive in time; nothing was stored",
        )),
    }
}

async fn collect<'g>(
    gateway: &'g Gateway,
    mut body: Body,
    limit: usize,
    mut held: Held<'g>,
) -> Result<(Bytes, Held<'g>), Problem> {
    let mut whole = Bytes::new();
    let mut joined = Vec::new();
    while !body.is_end_stream() {
        let Some(frame) = body.frame().await else {
            break;
        };
        let frame = frame.map_err(|_| {
            Problem::new(Kind::BadRequest, "the body ended early; nothing was stored")
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if whole.len() + joined.len() + data.len() > limit {
            return Err(too_large(limit));
        }
        held.add(data.len(), gateway.settings.max_inflight_bytes)?;
        if !joined.is_empty() {
            joined.extend_from_slice(&data);
        } else if !whole.is_empty() {
            joined.extend_from_slice(&whole);
            joined.extend_from_slice(&data);
            whole = Bytes::new();
        } else if data.len() <= SMALL_BYTES {
            // A slice would keep all of the buffer it was read into, and the connection would
            // need another for its next request.
            whole = Bytes::copy_from_slice(&data);
        } else {
            whole = data;
        }
    }
    Ok((
        if joined.is_empty() {
            whole
        } else {
            Bytes::from(joined)
        },
        held,
    ))
}

fn too_large(limit: usize) -> Problem {
    Problem::new(
        Kind::BodyTooLarge,
        format!("the body is over the limit of `{limit}` bytes"),
    )
}
