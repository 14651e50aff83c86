//! The simulated object store: fails before or after the effect, and can end the process in the
//! middle of a request.

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::env::Rng;

/// What the store does wrong.
#[derive(Debug)]
struct Faults {
    rng: Rng,
    /// One request in so many fails; 0 for none.
    one_in: u64,
    /// Requests until the process dies in the middle of one.
    die_after: Option<u64>,
    /// Requests that fail before the store is there.
    away_for: u64,
    /// Requests may be kept waiting.
    pauses: bool,
}

/// A store that outlives the process.
#[derive(Clone, Debug)]
pub(super) struct SimStore {
    inner: Arc<InMemory>,
    faults: Arc<Mutex<Faults>>,
    dead: Arc<AtomicBool>,
}

/// What becomes of one request.
enum Fate {
    Good,
    FailsBefore,
    FailsAfter,
    DiesBefore,
    DiesAfter,
}

impl SimStore {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            inner: Arc::new(InMemory::new()),
            faults: Arc::new(Mutex::new(Faults {
                rng: Rng::new(seed),
                one_in: 0,
                die_after: None,
                away_for: 0,
                pauses: false,
            })),
            dead: Arc::default(),
        }
    }

    /// Lets one request in `one_in` fail; 0 for none.
    pub(super) fn fail_one_in(&self, one_in: u64) {
        self.faults.lock().unwrap().one_in = one_in;
    }

    /// Lets requests wait for the next poll, some of them, or none.
    pub(super) fn pause(&self, pauses: bool) {
        self.faults.lock().unwrap().pauses = pauses;
    }

    fn waits(&self) -> bool {
        let mut faults = self.faults.lock().unwrap();
        faults.pauses && faults.rng.chance(1, 3)
    }

    /// Lets the next `requests` fail.
    pub(super) fn away_for(&self, requests: u64) {
        self.faults.lock().unwrap().away_for = requests;
    }

    /// Ends the process in the middle of a request to come.
    pub(super) fn die_after(&self, requests: u64) {
        self.faults.lock().unwrap().die_after = Some(requests);
    }

    /// Whether the process died. Its next life begins with this call.
    pub(super) fn take_death(&self) -> bool {
        self.faults.lock().unwrap().die_after = None;
        self.dead.swap(false, Ordering::SeqCst)
    }

    /// What is really stored, for those who do not suffer.
    pub(super) fn inner(&self) -> Arc<InMemory> {
        self.inner.clone()
    }

    fn fate(&self) -> Fate {
        let mut faults = self.faults.lock().unwrap();
        if faults.away_for > 0 {
            faults.away_for -= 1;
            return Fate::FailsBefore;
        }
        if let Some(left) = &mut faults.die_after {
            if *left == 0 {
                let after = faults.rng.chance(1, 2);
                return if after {
                    Fate::DiesAfter
                } else {
                    Fate::DiesBefore
                };
            }
            *left -= 1;
        }
        let one_in = faults.one_in;
        if one_in > 0 && faults.rng.chance(1, one_in) {
            if faults.rng.chance(1, 2) {
                Fate::FailsAfter
            } else {
                Fate::FailsBefore
            }
        } else {
            Fate::Good
        }
    }

    async fn through<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        if self.waits() {
            futures::pending!();
        }
        match self.fate() {
            Fate::Good => request.await,
            Fate::FailsBefore => Err(failure()),
            Fate::FailsAfter => {
                drop(request.await);
                Err(failure())
            }
            Fate::DiesBefore => self.die().await,
            Fate::DiesAfter => {
                drop(request.await);
                self.die().await
            }
        }
    }

    /// Never returns: the caller is gone.
    async fn die<T>(&self) -> T {
        self.dead.store(true, Ordering::SeqCst);
        std::future::pending().await
    }
}

fn failure() -> Error {
    Error::Generic {
        store: "simulated",
        source: "503 SlowDown".into(),
    }
}

impl fmt::Display for SimStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("simulated store")
    }
}

#[async_trait]
impl ObjectStore for SimStore {
    async fn put_opts(
        &self,
        at: &Path,
        bytes: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.through(self.inner.put_opts(at, bytes, options)).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.through(self.inner.put_multipart_opts(at, options))
            .await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        self.through(self.inner.get_opts(at, options)).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        locations
            .then(move |location| {
                let store = store.clone();
                async move {
                    let location = location?;
                    let one = futures::stream::once(async move { Ok(location) }).boxed();
                    let mut deleted = store.inner.delete_stream(one);
                    let request = async { deleted.next().await.unwrap_or_else(|| Err(failure())) };
                    store.through(request).await
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.fate() {
            Fate::FailsBefore | Fate::FailsAfter => {
                futures::stream::once(async { Err(failure()) }).boxed()
            }
            Fate::DiesBefore | Fate::DiesAfter => {
                let store = self.clone();
                futures::stream::once(async move { store.die().await }).boxed()
            }
            Fate::Good => self.inner.list(prefix),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.through(self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.through(self.inner.copy_opts(from, to, options)).await
    }
}
