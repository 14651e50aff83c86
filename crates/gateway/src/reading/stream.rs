//! A topic as server-sent events, from a position on, for as long as its reader takes them.
//!
//! A task a stream reads the log and hands over one chunk at a time; it reads on when the chunk is taken,
//! so a slow reader costs a chunk and a read, never more. One that takes nothing for too long is ended,
//! as are all when the gateway stops. Whatever is lost on the way was not seen, so the reader's own id
//! brings it again.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Response};
use bytes::Bytes;
use futures::future::select_all;
use futures::stream::{StreamExt as _, once, unfold};
use tidegate_event_log::LogError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::access::Sight;
use super::event::Stands;
use super::filter::Filter;
use super::frame;
use super::positions::{MAX_PARTITIONS, Positions};
use crate::Gateway;
use crate::problem::{Kind, Problem};

pub(super) const MEDIA_TYPE: &str = "text/event-stream";
/// What one read brings into memory, beyond a record.
const READ_BYTES: usize = 256 * 1024;
/// A chunk is handed over when it is this large, or when there is nothing more to read.
const CHUNK_BYTES: usize = 64 * 1024;
/// Streams end; somebody else may do so first.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// So many streams at a time.
pub(crate) struct Streams(Arc<Semaphore>);

impl Streams {
    pub(crate) fn new(at_once: usize) -> Self {
        Self(Arc::new(Semaphore::new(at_once)))
    }
}

/// What a stream is of, and where it is.
pub(super) struct Followed {
    pub(super) topic: String,
    /// All partitions, those that come later included.
    pub(super) all: bool,
    pub(super) partitions: Vec<i32>,
    pub(super) at: Positions,
    pub(super) filter: Option<Filter>,
    pub(super) sight: Sight,
}

/// Why a stream ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ended {
    /// Nobody reads it any more.
    Gone,
    Stalled,
    Stopping,
    Deleted,
    /// The log does not have what the id says.
    Beyond,
    Unavailable,
}

impl Ended {
    fn why(self) -> &'static str {
        match self {
            Self::Gone => "",
            Self::Stalled => "closed: nothing was taken for too long; come back with the last id",
            Self::Stopping => "closed: the gateway is stopping; come back with the last id",
            Self::Deleted => "closed: the topic was deleted",
            Self::Beyond => "closed: the topic was made anew; come back without an id",
            Self::Unavailable => "closed: the log does not serve; come back with the last id",
        }
    }
}

/// Begins a stream.
///
/// # Errors
/// `Overloaded`: there are as many as there may be.
pub(super) fn answer(
    gateway: &Arc<Gateway>,
    followed: Followed,
) -> Result<Response<Body>, Problem> {
    let permit = Arc::clone(&gateway.streams.0).try_acquire_owned();
    let permit = permit.map_err(|_| {
        let detail = "as many streams are open as there may be";
        Problem::new(Kind::Overloaded, detail).with_retry_after(RETRY_AFTER)
    })?;
    let (chunks, taken) = mpsc::channel(1);
    let (last_words, last) = oneshot::channel();
    let worker = Worker {
        gateway: Arc::clone(gateway),
        followed,
        chunks,
        sent: Instant::now(),
    };
    tokio::spawn(worker.run(permit, last_words));
    let chunks = unfold(taken, async |mut taken| {
        let chunk = taken.recv().await?;
        Some((chunk, taken))
    });
    // They come after what is still on its way, however long that takes.
    let last = once(async { last.await.unwrap_or_default() });
    let body = chunks
        .chain(last)
        .map(Ok::<Bytes, std::convert::Infallible>);
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that know it hand events on as they come.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

struct Worker {
    gateway: Arc<Gateway>,
    followed: Followed,
    chunks: mpsc::Sender<Bytes>,
    /// When the reader was last sent anything.
    sent: Instant,
}

impl Worker {
    async fn run(mut self, permit: OwnedSemaphorePermit, last_words: oneshot::Sender<Bytes>) {
        let gateway = Arc::clone(&self.gateway);
        gateway.metrics.event_streams.inc();
        let ended = tokio::select! {
            biased;
            () = gateway.draining.cancelled() => Ended::Stopping,
            ended = self.follow() => ended,
        };
        gateway.metrics.event_streams.dec();
        drop(permit);
        tracing::debug!(
            topic = self.followed.topic,
            why = ended.why(),
            "a stream ended"
        );
        // Nobody may be there to hear it.
        drop(last_words.send(Bytes::from(frame::end(ended.why()))));
    }

    async fn follow(&mut self) -> Ended {
        let mut text = String::new();
        frame::begin(&mut text, &self.followed.at);
        loop {
            let ended = match self.read_round(&mut text).await {
                Err(ended) => Err(ended),
                Ok(true) => Ok(()),
                Ok(false) => self.rest(&mut text).await,
            };
            if let Err(ended) = ended {
                return ended;
            }
        }
    }

    /// Reads a piece of every partition; says whether there was anything.
    async fn read_round(&mut self, text: &mut String) -> Result<bool, Ended> {
        let mut found = false;
        for index in 0..self.followed.partitions.len() {
            found |= self.read(index, text).await?;
            if text.len() >= CHUNK_BYTES || self.is_heartbeat_due() {
                self.send(text).await?;
            }
            // Filtering may find nothing to send for long.
            tokio::task::yield_now().await;
        }
        Ok(found)
    }

    async fn read(&mut self, index: usize, text: &mut String) -> Result<bool, Ended> {
        let gateway = Arc::clone(&self.gateway);
        let topic = self.followed.topic.clone();
        let partition = self.followed.partitions[index];
        let from = self.followed.at.get(index);
        let read = match gateway.log.read(&topic, partition, from, READ_BYTES).await {
            Ok(read) => read,
            Err(LogError::Invalid(_)) => return self.find_again(index, text).await,
            Err(error) => return Err(ended_by(&error)),
        };
        for stored in &read.records {
            let event = {
                let lanes = gateway.lanes();
                let stands = Stands {
                    topic: &topic,
                    partition,
                    lane: lanes.of_topic(&topic),
                    sight: &self.followed.sight,
                };
                let wanted = stands.is_wanted(stored, self.followed.filter.as_ref());
                wanted.then(|| stands.show(stored))
            };
            self.followed.at.set(index, stored.offset + 1);
            if let Some(event) = event {
                let data = serde_json::to_string(&event).map_err(|_| Ended::Unavailable)?;
                frame::event(text, &self.followed.at, None, &data);
            }
            if text.len() >= CHUNK_BYTES {
                self.send(text).await?;
            }
        }
        self.followed.at.set(index, read.next);
        Ok(read.next > from)
    }

    /// Goes on at the first offset that is kept, and says what was skipped.
    async fn find_again(&mut self, index: usize, text: &mut String) -> Result<bool, Ended> {
        let partition = self.followed.partitions[index];
        let marks = self.gateway.log.watermarks(&self.followed.topic, partition);
        let marks = marks.await.map_err(|error| ended_by(&error))?;
        let from = self.followed.at.get(index);
        if from >= marks.log_start {
            return Err(Ended::Beyond);
        }
        self.followed.at.set(index, marks.log_start);
        let gap =
            serde_json::json!({ "partition": partition, "from": from, "to": marks.log_start });
        frame::event(text, &self.followed.at, Some("gap"), &gap.to_string());
        Ok(true)
    }

    /// Hands over what there is and waits for more.
    async fn rest(&mut self, text: &mut String) -> Result<(), Ended> {
        if !text.is_empty() {
            self.send(text).await?;
        }
        let log = Arc::clone(&self.gateway.log);
        let heartbeat = self.gateway.settings.stream_heartbeat;
        let Followed {
            topic,
            partitions,
            at,
            ..
        } = &self.followed;
        let watched = partitions.iter().enumerate();
        let watched = watched
            .map(|(index, partition)| log.watch(topic, *partition, at.get(index), heartbeat));
        tokio::select! {
            () = self.chunks.closed() => return Err(Ended::Gone),
            (seen, _, _) = select_all(watched) => {
                seen.map_err(|error| ended_by(&error))?;
            }
        }
        if self.is_heartbeat_due() {
            self.look_for_partitions().await?;
            self.send(text).await?;
        }
        Ok(())
    }

    async fn look_for_partitions(&mut self) -> Result<(), Ended> {
        if !self.followed.all {
            return Ok(());
        }
        let topics = self.gateway.log.topics().await;
        let topics = topics.map_err(|error| ended_by(&error))?;
        let mut named = topics.iter().filter(|it| it.name == self.followed.topic);
        let topic = named.next().ok_or(Ended::Deleted)?;
        let partitions = usize::try_from(topic.partitions).unwrap_or_default();
        let partitions = partitions.min(MAX_PARTITIONS);
        self.followed.at.grow(partitions);
        let known = i32::try_from(self.followed.at.len()).unwrap_or(i32::MAX);
        self.followed.partitions = (0..known).collect();
        Ok(())
    }

    fn is_heartbeat_due(&self) -> bool {
        self.sent.elapsed() >= self.gateway.settings.stream_heartbeat
    }

    /// Hands a chunk over, a sign of life if there is nothing in it, and waits until it is taken.
    async fn send(&mut self, text: &mut String) -> Result<(), Ended> {
        if text.is_empty() {
            frame::heartbeat(text, &self.followed.at);
        }
        let chunk = Bytes::from(std::mem::take(text));
        let limit = self.gateway.settings.write_timeout;
        match timeout(limit, self.chunks.send(chunk)).await {
            Ok(Ok(())) => {
                self.sent = Instant::now();
                Ok(())
            }
            Ok(Err(_)) => Err(Ended::Gone),
            Err(_) => Err(Ended::Stalled),
        }
    }
}

fn ended_by(error: &LogError) -> Ended {
    match error {
        LogError::NotFound(_) => Ended::Deleted,
        _ => {
            tracing::warn!(error = %error, "a stream cannot read the log");
            Ended::Unavailable
        }
    }
}
