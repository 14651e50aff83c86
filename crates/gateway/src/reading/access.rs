//! May this caller read this topic, and what of it? Pages and streams both ask here, before they read
//! anything and at each record.
//!
//! Offsets are places in a log that tenants share, as they are in receipts: their distance tells how much
//! lies between, and of nobody in particular. How much there is in all, only those are told who see it all.

use std::sync::Arc;

use tidegate_contract::EventContract;
use tidegate_event_log::{StoredRecord, Topic};

use crate::identity::Caller;
use crate::ingress::tenant_of;
use crate::problem::{Kind, Problem};
use crate::request::Context;

/// What a caller sees of a topic that it may read.
#[derive(Clone)]
pub(super) struct Sight(Arc<Caller>);

/// Says what the caller of a request sees of a topic's events.
///
/// # Errors
/// `NotFound`: the topic is internal. What stands there is shown by the addresses made for it.
pub(super) fn may_read(context: &Context<'_>, topic: &Topic) -> Result<Sight, Problem> {
    match topic.internal {
        false => Ok(Sight(Arc::clone(&context.caller))),
        true => {
            let detail = format!("topic `{}` is internal and not read here", topic.name);
            Err(Problem::new(Kind::NotFound, detail))
        }
    }
}

impl Sight {
    /// Says whether there is nothing that it leaves out.
    pub(super) fn is_whole(&self) -> bool {
        self.0.sees_every_tenant()
    }

    /// Says whether a record is of a tenant that is seen.
    pub(super) fn takes_in(&self, stored: &StoredRecord) -> bool {
        self.0.sees(tenant_of(stored))
    }

    /// Says whether the fields about persons that events of a contract have are hidden.
    pub(super) fn hides(&self, contract: &EventContract) -> bool {
        contract.is_about_persons() && !self.0.sees_persons()
    }
}
