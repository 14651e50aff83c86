//! Reading events over HTTP: a page of one partition, or a stream of all of them as server-sent events
//! that goes on where its reader stopped (`Last-Event-ID`).
//!
//! `access.rs` is asked whether a caller may read a topic; `event.rs` is the one place where a record
//! becomes what a reader sees. `filter.rs`, `positions.rs` and `frame.rs` are pure. A stream holds one
//! chunk and no more: it reads on when the chunk is taken.

mod access;
mod event;
mod filter;
mod frame;
mod page;
mod positions;
pub(crate) mod routes;
mod stream;

pub(crate) use stream::Streams;
