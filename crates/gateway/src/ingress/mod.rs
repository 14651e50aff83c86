//! The door for events: three HTTP forms, plain bodies and providers' webhooks, each made an
//! event, checked against its contract, appended, and answered with a receipt.
//!
//! `accept.rs` is the one way onto the log: what it takes is in `submission.rs`, what it stores in
//! `draft.rs`, what it does not in `refusal.rs`. The other files turn requests into the first and
//! its answers into responses.

mod accept;
pub(crate) mod body;
pub(crate) mod claim;
pub(crate) mod cloudevent;
mod deprecation;
mod draft;
mod key;
pub(crate) mod lane;
mod original;
pub(crate) mod port;
pub(crate) mod quarantine;
pub(crate) mod quota;
mod reads;
pub(crate) mod receipt;
pub(crate) mod record;
mod refusal;
pub(crate) mod routes;
pub(crate) mod source;
mod submission;
#[cfg(test)]
mod tests;

pub(crate) use record::{
    CE_ID, CE_TIME, content_type_of, data_of, framed, header, is_of_request, tenant_of,
};
