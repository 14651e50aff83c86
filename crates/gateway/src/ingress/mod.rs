//! The door for events: three HTTP forms, plain bodies and providers' webhooks, each made an
//! event, checked against its contract, appended, and answered with a receipt.
//!
//! `accept.rs` is the one way onto the log; the other files turn requests into what it takes and
//! its answers into responses.

pub(crate) mod accept;
pub(crate) mod body;
pub(crate) mod claim;
pub(crate) mod cloudevent;
mod deprecation;
mod key;
pub(crate) mod lane;
mod original;
pub(crate) mod port;
pub(crate) mod quarantine;
pub(crate) mod quota;
mod reads;
pub(crate) mod receipt;
pub(crate) mod record;
pub(crate) mod routes;
pub(crate) mod source;
#[cfg(test)]
mod tests;

pub(crate) use record::{CE_TIME, content_type_of, data_of, framed, header};
