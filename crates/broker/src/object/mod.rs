//! History in objects: the dense log, rewritten objects, claim runs, checkpoints and manifests.
//!
//! Everything here is create-only: an object, once there, never changes, and an object that is
//! already there under another name than ours stops the process. Stored bytes are checked before
//! they are believed. Nothing here waits by itself or reads a clock: see [`Objects`].

pub mod checkpoint;
pub mod create;
pub mod key;
pub mod l0;
pub mod manifest;
pub mod store;

pub use self::create::Body;
pub use self::key::{Folder, Key};
pub use self::store::{Listed, ObjectError, Objects, Retry};

#[cfg(test)]
pub(crate) mod tests;
