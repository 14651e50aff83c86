//! May this caller read this topic? Pages and streams both ask here, before they read anything.

use tidegate_event_log::Topic;

use crate::problem::{Kind, Problem};
use crate::request::Context;

/// Says whether the caller of a request may read a topic's events.
///
/// # Errors
/// `NotFound`: the topic is internal. What stands there is shown by the addresses made for it.
pub(super) fn may_read(_caller: &Context<'_>, topic: &Topic) -> Result<(), Problem> {
    match topic.internal {
        false => Ok(()),
        true => {
            let detail = format!("topic `{}` is internal and not read here", topic.name);
            Err(Problem::new(Kind::NotFound, detail))
        }
    }
}
