//! The object store as this room uses it: exact reads, bounded retries, errors by what to do.
//!
//! A read gives all the bytes that were asked for or an error; a read that came back short is tried
//! again. Waiting goes through a [`Sleeper`], so that a simulation decides how long it takes.

use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};

use super::{Folder, Key};
use crate::env::{Names, Sleeper};

/// What went wrong with an object, by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// It is not there.
    #[error("object `{key}` does not exist")]
    NotFound { key: Key },
    /// Its bytes are not those that were written. Reading again does not help.
    #[error("object `{key}` is damaged: {what}")]
    Corrupt { key: Key, what: &'static str },
    /// The store does not do its work now. A create may have happened; repeating it is safe.
    #[error("the object store does not answer for `{key}`")]
    Unavailable {
        key: Key,
        source: Box<dyn Error + Send + Sync>,
    },
    /// Something else stands where ours should be: two writers. Stop.
    #[error(
        "object `{key}` exists and is not ours\n\
         hint: another process writes to the same objects, or this directory is a copy"
    )]
    Unexpected { key: Key },
}

/// How often and how patiently a request is repeated.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    pub attempts: u32,
    /// The first wait; each later one is twice as long.
    pub first: Duration,
    pub longest: Duration,
}

impl Default for Retry {
    /// Eight attempts in about eleven seconds: a blip is bridged, an outage is reported.
    fn default() -> Self {
        Self {
            attempts: 8,
            first: Duration::from_millis(100),
            longest: Duration::from_secs(5),
        }
    }
}

impl Retry {
    /// How long to wait after the failed attempt number `attempt`, counted from 0.
    pub fn wait(&self, attempt: u32) -> Duration {
        self.first
            .saturating_mul(1 << attempt.min(20))
            .min(self.longest)
    }
}

/// An object as the store lists it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Listed {
    pub key: Key,
    pub bytes: u64,
    /// When it was written, by the store's clock, in milliseconds since 1970.
    pub modified_ms: i64,
}

/// The objects of one cluster.
#[derive(Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    sleeper: Arc<dyn Sleeper>,
    retry: Retry,
    names: Option<Arc<dyn Names>>,
}

/// A failed attempt: final, or worth another.
pub(super) enum Failure {
    Final(ObjectError),
    Again(Box<dyn Error + Send + Sync>),
}

impl Objects {
    /// Makes a view of `store` below `prefix`, which may be empty.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: &str, sleeper: Arc<dyn Sleeper>) -> Self {
        Self {
            store,
            prefix: Path::from(prefix),
            sleeper,
            retry: Retry::default(),
            names: None,
        }
    }

    /// Changes how patiently requests are repeated.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Says how names are made durable after a doubt: for stores of files.
    #[must_use]
    pub fn with_names(mut self, names: Arc<dyn Names>) -> Self {
        self.names = Some(names);
        self
    }

    /// Makes an object durable that was found to be ours after a doubt: that it can be read does not say
    /// that its name is on disk, if it was the sync of the directory that failed.
    pub(crate) fn make_durable(&self, key: Key) -> Result<(), ObjectError> {
        let Some(names) = &self.names else {
            return Ok(());
        };
        let path = self.path(key);
        names
            .make_durable(path.as_ref())
            .map_err(|error| ObjectError::Unavailable {
                key,
                source: Box::new(error),
            })
    }

    /// Reads `range` of an object, all of it, and the object's size.
    ///
    /// # Errors
    /// `NotFound`; `Corrupt` if the object ends before the range does; `Unavailable`.
    pub async fn get(&self, key: Key, range: Range<u64>) -> Result<(Bytes, u64), ObjectError> {
        self.retried(key, || self.get_once(key, range.clone()))
            .await
    }

    /// Reads a whole object of at most `limit_bytes`.
    ///
    /// # Errors
    /// `NotFound`; `Corrupt` if it is larger; `Unavailable`.
    pub async fn get_all(&self, key: Key, limit_bytes: u64) -> Result<Bytes, ObjectError> {
        let size = self.size(key).await?;
        if size > limit_bytes {
            return Err(ObjectError::Corrupt {
                key,
                what: "larger than it may be",
            });
        }
        if size == 0 {
            return Ok(Bytes::new());
        }
        Ok(self.get(key, 0..size).await?.0)
    }

    /// Returns the size of an object.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn size(&self, key: Key) -> Result<u64, ObjectError> {
        let path = self.path(key);
        self.retried(key, || async {
            Ok(self
                .store
                .head(&path)
                .await
                .map_err(|error| classify(key, error))?
                .size)
        })
        .await
    }

    /// Lists a folder in name order. Names that are not ours are left out.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn list(&self, folder: Folder) -> Result<Vec<Listed>, ObjectError> {
        let path = self.prefix.clone().join(folder.name());
        let depth = self.prefix.parts().count();
        // An error needs a name; that of the folder's first possible object will do.
        let key = first_of(folder);
        let mut listed = self
            .retried(key, || async {
                let found: Vec<_> = self
                    .store
                    .list(Some(&path))
                    .try_collect()
                    .await
                    .map_err(|error| classify(key, error))?;
                Ok(found)
            })
            .await?
            .into_iter()
            .filter_map(|meta| {
                let name: Vec<_> = meta.location.parts().skip(depth).collect();
                let name: Vec<&str> = name.iter().map(AsRef::as_ref).collect();
                Some(Listed {
                    key: Key::parse(&name.join("/"))?,
                    bytes: meta.size,
                    modified_ms: meta.last_modified.timestamp_millis(),
                })
            })
            .collect::<Vec<_>>();
        listed.sort_by_key(|listed| listed.key);
        listed.dedup_by_key(|listed| listed.key);
        Ok(listed)
    }

    /// Deletes an object. One that is not there is deleted.
    ///
    /// # Errors
    /// `Unavailable`: perhaps deleted; repeat it.
    pub async fn delete(&self, key: Key) -> Result<(), ObjectError> {
        let path = self.path(key);
        self.retried(key, || async {
            match self.store.delete(&path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(classify(key, error)),
            }
        })
        .await
    }

    /// Waits as long as the world's time says.
    pub async fn sleep(&self, duration: Duration) {
        self.sleeper.sleep(duration).await;
    }

    pub(crate) fn store(&self) -> &dyn ObjectStore {
        &*self.store
    }

    pub(crate) fn path(&self, key: Key) -> Path {
        key.to_string()
            .split('/')
            .fold(self.prefix.clone(), Path::join)
    }

    /// Waits after the failed attempt number `attempt`; `false` if it was the last one.
    pub(super) async fn back_off(&self, attempt: u32) -> bool {
        if attempt + 1 >= self.retry.attempts {
            return false;
        }
        self.sleeper.sleep(self.retry.wait(attempt)).await;
        true
    }

    /// Repeats `attempt` until it succeeds, fails for good, or has failed often enough.
    pub(super) async fn retried<T, F>(
        &self,
        key: Key,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, ObjectError>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let mut failed = 0;
        loop {
            match attempt().await {
                Ok(done) => return Ok(done),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Again(source)) => {
                    if !self.back_off(failed).await {
                        return Err(ObjectError::Unavailable { key, source });
                    }
                    failed += 1;
                }
            }
        }
    }

    async fn get_once(&self, key: Key, range: Range<u64>) -> Result<(Bytes, u64), Failure> {
        let path = self.path(key);
        let options = GetOptions {
            range: Some(GetRange::Bounded(range.clone())),
            ..Default::default()
        };
        let got = match self.store.get_opts(&path, options).await {
            Ok(got) => got,
            Err(error) => {
                let failure = classify(key, error);
                // Stores answer a range beyond the end in their own ways; the size tells.
                if let Failure::Again(_) = &failure
                    && self
                        .store
                        .head(&path)
                        .await
                        .is_ok_and(|meta| meta.size < range.end)
                {
                    return Err(Failure::Final(ends_early(key)));
                }
                return Err(failure);
            }
        };
        let (size, given) = (got.meta.size, got.range.clone());
        if size < range.end {
            return Err(Failure::Final(ends_early(key)));
        }
        let bytes = got.bytes().await.map_err(|error| classify(key, error))?;
        if given != range || bytes.len() as u64 != range.end - range.start {
            return Err(Failure::Again(
                "the answer has another range than was asked for".into(),
            ));
        }
        Ok((bytes, size))
    }
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Objects({} below `{}`)", self.store, self.prefix)
    }
}

fn ends_early(key: Key) -> ObjectError {
    ObjectError::Corrupt {
        key,
        what: "it ends too early",
    }
}

fn first_of(folder: Folder) -> Key {
    match folder {
        Folder::Log => Key::Log(0),
        Folder::Data => Key::Data(0),
        Folder::Claims => Key::Claims(0),
        Folder::Checkpoint => Key::Checkpoint {
            epoch: 0,
            lsn: 0,
            chunk: 0,
        },
        Folder::Manifest => Key::Manifest(0),
    }
}

/// Sorts an error of the store. Refused credentials are worth another try: they expire and return.
pub(super) fn classify(key: Key, error: object_store::Error) -> Failure {
    use object_store::Error as E;
    match error {
        E::NotFound { .. } => Failure::Final(ObjectError::NotFound { key }),
        E::InvalidPath { .. }
        | E::NotSupported { .. }
        | E::NotImplemented { .. }
        | E::UnknownConfigurationKey { .. } => Failure::Final(ObjectError::Unavailable {
            key,
            source: Box::new(error),
        }),
        other => Failure::Again(Box::new(other)),
    }
}
