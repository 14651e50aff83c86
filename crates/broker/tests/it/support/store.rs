//! An object store that does what stores do to those who trust them: requests fail before or after
//! their effect, answers are cut, shifted, damaged or late, and lists lag. What happens to which
//! request is decided by a function that is passed in, so a seed can decide it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, Result, UploadPart,
};
use parking_lot::Mutex;
use tidegate_broker::env::Sleeper;

/// What is asked of the store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Request {
    Put,
    Get,
    List,
    Delete,
    /// A part of an upload.
    Part,
    /// The end of an upload.
    Complete,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fate {
    Good,
    /// It fails and had no effect.
    FailsBefore,
    /// It fails and had its effect.
    FailsAfter,
    /// It takes so long, then it is good.
    Slow(Duration),
    /// A body ends early: the connection was reset. A list lacks its last entry.
    Short,
    /// A body of another range, and the answer says so.
    WrongRange,
    /// A body with a flipped bit: nothing tells but a checksum.
    Damaged,
}

type Decide = dyn FnMut(Request) -> Fate + Send;

/// A store that suffers the fates it is dealt.
#[derive(Clone)]
pub(crate) struct FaultyStore {
    inner: Arc<dyn ObjectStore>,
    sleeper: Arc<dyn Sleeper>,
    decide: Arc<Mutex<Box<Decide>>>,
}

impl FaultyStore {
    pub(crate) fn new(
        inner: Arc<dyn ObjectStore>,
        sleeper: Arc<dyn Sleeper>,
        decide: impl FnMut(Request) -> Fate + Send + 'static,
    ) -> Self {
        let decide: Box<Decide> = Box::new(decide);
        Self {
            inner,
            sleeper,
            decide: Arc::new(Mutex::new(decide)),
        }
    }

    fn fate(&self, request: Request) -> Fate {
        (self.decide.lock())(request)
    }

    /// Does a request that has no body to spoil.
    async fn suffer<T>(
        &self,
        request: Request,
        effect: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        match self.fate(request) {
            Fate::FailsBefore | Fate::Short => Err(failure()),
            Fate::FailsAfter => effect.await.and(Err(failure())),
            Fate::Slow(duration) => {
                self.sleeper.sleep(duration).await;
                effect.await
            }
            Fate::Good | Fate::WrongRange | Fate::Damaged => effect.await,
        }
    }
}

fn failure() -> Error {
    Error::Generic {
        store: "faulty",
        source: "503 SlowDown".into(),
    }
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultyStore({:?})", self.inner)
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faulty {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, at: &Path, body: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.suffer(Request::Put, self.inner.put_opts(at, body, opts))
            .await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = self
            .suffer(Request::Put, self.inner.put_multipart_opts(at, opts))
            .await?;
        Ok(Box::new(FaultyUpload {
            store: self.clone(),
            upload,
        }))
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        let head = options.head;
        let fate = self.fate(Request::Get);
        match fate {
            Fate::FailsBefore | Fate::FailsAfter => return Err(failure()),
            Fate::Slow(duration) => self.sleeper.sleep(duration).await,
            _ => {}
        }
        let mut got = match (fate, options.range.clone()) {
            (Fate::WrongRange, Some(GetRange::Bounded(range))) if !head && range.start > 0 => {
                let shifted = GetRange::Bounded(range.start - 1..range.end - 1);
                let options = GetOptions {
                    range: Some(shifted),
                    ..options
                };
                self.inner.get_opts(at, options).await?
            }
            _ => self.inner.get_opts(at, options).await?,
        };
        if !head && matches!(fate, Fate::Short | Fate::Damaged) {
            let (meta, range) = (got.meta.clone(), got.range.clone());
            let (attributes, extensions) = (got.attributes.clone(), got.extensions.clone());
            let mut body = got.bytes().await?.to_vec();
            match fate {
                Fate::Short => body.truncate(body.len() / 2),
                _ => {
                    let middle = body.len() / 2;
                    body[middle] ^= 1;
                }
            }
            let body = stream::once(async move { Ok(Bytes::from(body)) }).boxed();
            let payload = GetResultPayload::Stream(body);
            got = GetResult {
                payload,
                meta,
                range,
                attributes,
                extensions,
            };
        }
        Ok(got)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let delete = move |location: Result<Path>| {
            let store = store.clone();
            async move {
                let location = location?;
                store
                    .suffer(Request::Delete, store.inner.delete(&location))
                    .await?;
                Ok(location)
            }
        };
        locations.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let fate = self.fate(Request::List);
        let listed = self.inner.list(prefix);
        match fate {
            Fate::FailsBefore | Fate::FailsAfter => listed
                .take(1)
                .chain(stream::once(async { Err(failure()) }))
                .boxed(),
            Fate::Short => {
                let lagging = async move {
                    let mut all: Vec<ObjectMeta> = listed.try_collect().await?;
                    all.sort_by(|one, other| one.location.cmp(&other.location));
                    all.pop();
                    Ok::<_, Error>(stream::iter(all.into_iter().map(Ok)))
                };
                stream::once(lagging).try_flatten().boxed()
            }
            _ => listed,
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.suffer(Request::List, self.inner.list_with_delimiter(prefix))
            .await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.suffer(Request::Put, self.inner.copy_opts(from, to, options))
            .await
    }
}

struct FaultyUpload {
    store: FaultyStore,
    upload: Box<dyn MultipartUpload>,
}

impl fmt::Debug for FaultyUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultyUpload({:?})", self.upload)
    }
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let part = self.upload.put_part(data);
        let store = self.store.clone();
        Box::pin(async move { store.suffer(Request::Part, part).await })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let store = self.store.clone();
        store
            .suffer(Request::Complete, self.upload.complete())
            .await
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}
