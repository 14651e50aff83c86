//! One connection: frames in, answers out in request order.
//!
//! Two halves run side by side in one task. The reader handles requests in order and queues what
//! becomes of each; a Produce is queued before it is durable, so that the next can follow it. The
//! writer waits for the oldest, then sends it with all that are ready behind it. Other requests go
//! one at a time: the next begins when the answer is on its way, as with Kafka.
//!
//! While a request is at work the reader still looks for the end of the stream, so that a fetch
//! that nobody waits for any more does not stay parked.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::timeout;

use super::frames::{BadFrame, Frames};
use crate::api::{self, Caller, CloseReason, Port, Reply};
use crate::wire::Answer;

/// Requests of a connection that may be unanswered (log-design 3.3).
const IN_FLIGHT_REQUESTS: usize = 64;
const IN_FLIGHT_BYTES: usize = 16 * 1024 * 1024;
/// Pieces of one vectored write; Linux takes at most 1024.
const WRITE_PIECES: usize = 256;
/// How long answers may take to leave after the last request was read.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// Why a connection ended, other than by the peer's wish.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("{0}")]
    BadFrame(#[from] BadFrame),
    #[error("the peer went away in the middle of a request")]
    CutFrame,
    #[error("{0}")]
    Refused(#[from] CloseReason),
    #[error("nothing was heard for the longest idle time")]
    Idle,
    #[error("the peer did not take its answers")]
    Stuck,
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// What became of a request, and what it occupies until it is answered.
struct Queued {
    reply: Reply,
    _room: OwnedSemaphorePermit,
    _turn: Option<OwnedSemaphorePermit>,
}

/// Serves a connection to its end.
pub(super) async fn serve(
    stream: TcpStream,
    port: Arc<Port>,
    stopping: watch::Receiver<bool>,
) -> Result<(), Ended> {
    let host = stream.peer_addr()?.ip().to_string();
    let settings = port.broker.settings();
    let idle_ms = u64::try_from(settings.connections_max_idle_ms).unwrap_or(u64::MAX);
    let limit_bytes = usize::try_from(settings.socket_request_max_bytes).unwrap_or(0);
    let (hang_up, hung_up) = watch::channel(false);
    let (queue, queued) = mpsc::channel(IN_FLIGHT_REQUESTS);
    let (input, output) = stream.into_split();
    let idle = Duration::from_millis(idle_ms);
    let reader = Reader {
        input,
        frames: Frames::new(limit_bytes),
        ended: false,
        hang_up,
        caller: Caller {
            port,
            host,
            hung_up,
        },
        queue,
        room: Arc::new(Semaphore::new(IN_FLIGHT_BYTES)),
        turn: Arc::new(Semaphore::new(1)),
        idle,
        stopping,
    };
    let mut writing = Box::pin(write_answers(output, queued, idle));
    let mut reading = Box::pin(reader.run());
    let read = tokio::select! {
        read = &mut reading => read,
        written = &mut writing => return written,
    };
    // The reader is gone and its queue with it: the writer ends when it has sent the rest.
    drop(reading);
    match timeout(DRAIN_LIMIT, writing).await {
        Ok(written) => read.and(written),
        Err(_) => read.and(Err(Ended::Stuck)),
    }
}

struct Reader {
    input: OwnedReadHalf,
    frames: Frames,
    /// The peer has sent all it will.
    ended: bool,
    hang_up: watch::Sender<bool>,
    caller: Caller,
    queue: mpsc::Sender<Queued>,
    room: Arc<Semaphore>,
    turn: Arc<Semaphore>,
    idle: Duration,
    stopping: watch::Receiver<bool>,
}

impl Reader {
    async fn run(mut self) -> Result<(), Ended> {
        while let Some(frame) = self.next_frame().await? {
            let bytes = frame.len().min(IN_FLIGHT_BYTES);
            let permits = u32::try_from(bytes).expect("bounded by the limit");
            let room = acquire(&self.room, permits).await;
            let turn = if api::is_pipelined(&frame) {
                None
            } else {
                Some(acquire(&self.turn, 1).await)
            };
            let reply = self.handle(frame).await?;
            let queued = Queued {
                reply,
                _room: room,
                _turn: turn,
            };
            if self.queue.send(queued).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Returns the next request; `None` when there will be none.
    async fn next_frame(&mut self) -> Result<Option<Bytes>, Ended> {
        loop {
            if let Some(frame) = self.frames.take()? {
                return Ok(Some(frame));
            }
            if self.ended {
                return if self.frames.is_cut() {
                    Err(Ended::CutFrame)
                } else {
                    Ok(None)
                };
            }
            let read = tokio::select! {
                read = timeout(self.idle, self.input.read_buf(self.frames.room())) => read,
                _ = self.stopping.wait_for(|stopping| *stopping) => return Ok(None),
            };
            self.ended = read.map_err(|_| Ended::Idle)?? == 0;
        }
    }

    async fn handle(&mut self, frame: Bytes) -> Result<Reply, Ended> {
        let mut handling = Box::pin(api::handle(&self.caller, frame));
        loop {
            let ahead = !self.ended && self.frames.may_read_ahead();
            tokio::select! {
                biased;
                reply = &mut handling => return Ok(reply?),
                read = self.input.read_buf(self.frames.room()), if ahead => {
                    if !matches!(read, Ok(1..)) {
                        self.ended = true;
                        self.hang_up.send_replace(true);
                    }
                }
                _ = self.stopping.wait_for(|stopping| *stopping), if !*self.hang_up.borrow() => {
                    self.hang_up.send_replace(true);
                }
            }
        }
    }
}

async fn acquire(semaphore: &Arc<Semaphore>, permits: u32) -> OwnedSemaphorePermit {
    let acquired = Arc::clone(semaphore).acquire_many_owned(permits).await;
    acquired.expect("the semaphore is never closed")
}

async fn write_answers(
    mut output: OwnedWriteHalf,
    mut queue: mpsc::Receiver<Queued>,
    patience: Duration,
) -> Result<(), Ended> {
    let mut held: Option<Queued> = None;
    loop {
        let mut first = match held.take() {
            Some(queued) => queued,
            None => match queue.recv().await {
                Some(queued) => queued,
                None => return Ok(()),
            },
        };
        let mut pieces = Vec::new();
        // Held until the answers are written: they are what the limits are about.
        let mut written = Vec::new();
        pieces.extend(
            first
                .reply
                .answer()
                .await?
                .map(|answer: Answer| answer.pieces),
        );
        written.push(first);
        while pieces.len() < WRITE_PIECES {
            let Ok(mut next) = queue.try_recv() else {
                break;
            };
            let Some(answer) = next.reply.answer().now_or_never() else {
                held = Some(next);
                break;
            };
            pieces.extend(answer?.map(|answer| answer.pieces));
            written.push(next);
        }
        let pieces: Vec<Bytes> = pieces.into_iter().flatten().collect();
        for pieces in pieces.chunks(WRITE_PIECES) {
            write_all(&mut output, pieces, patience).await?;
        }
        drop(written);
    }
}

/// Writes all pieces; a peer that takes nothing for `patience` is given up.
async fn write_all(
    output: &mut OwnedWriteHalf,
    pieces: &[Bytes],
    patience: Duration,
) -> Result<(), Ended> {
    let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        let written = timeout(patience, output.write_vectored(rest)).await;
        let bytes = written.map_err(|_| Ended::Stuck)??;
        if bytes == 0 {
            return Err(io::Error::from(io::ErrorKind::WriteZero).into());
        }
        IoSlice::advance_slices(&mut rest, bytes);
    }
    Ok(())
}
