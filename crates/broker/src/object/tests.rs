//! What the tests of this room share.

use std::sync::Arc;
use std::time::Duration;

use object_store::memory::InMemory;

use super::*;
use crate::env::Sleeper;

/// Does not wait.
pub(crate) struct Impatient;

#[async_trait::async_trait]
impl Sleeper for Impatient {
    async fn sleep(&self, _: Duration) {}
}

pub(crate) fn in_memory() -> Objects {
    Objects::new(
        Arc::new(InMemory::new()),
        "cluster/objects",
        Arc::new(Impatient),
    )
}

pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    futures::executor::block_on(work)
}
