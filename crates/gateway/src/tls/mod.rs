//! TLS at a door: its files, what is made of them, and how they are taken anew while it serves.
//!
//! Files are looked at every few seconds and when somebody asks for it. A connection keeps what it
//! began with. Files that cannot be used change nothing: the door serves with the ones before, says so
//! once, and a metric says it for as long as it lasts.

mod load;
mod name;
mod peer;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use self::load::Loaded;
pub use self::name::{CertificateName, NotAName};
pub use self::peer::PeerCertificate;
use crate::clock::Clock;
use crate::metrics::DoorTls;

/// The files of a door's TLS, all PEM.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Files {
    /// The door's certificate and those between it and its authority, in this order.
    pub certificate: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
    /// Whom callers' certificates must come from.
    pub client: Option<Client>,
}

/// How callers show certificates of their own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Client {
    /// The authorities that callers' certificates come from.
    pub authorities: PathBuf,
    /// Certificates that count no more, as those authorities list them.
    pub revoked: Option<PathBuf>,
    /// Whether one is served who shows none.
    pub need: Need,
}

/// Whether a caller shows a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Need {
    /// One without is served; one that is shown has to be right all the same.
    Optional,
    /// One without is not served.
    Required,
}

/// Why files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// It cannot be read.
    #[error("file `{}` cannot be read: {source}\nhint: it has to be readable by the user that tidegate runs as", path.display())]
    Unreadable {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It has not what is needed.
    #[error("file `{}` {why}\nhint: {hint}", path.display())]
    Unfit {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        why: String,
        /// What to do.
        hint: &'static str,
    },
}

/// The TLS of one door. Clones are the same one.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    files: Files,
    loaded: ArcSwap<Loaded>,
    asked: Notify,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// One cannot be read or used, key and certificate are no pair, or the certificate has ended.
    pub fn load(files: Files, clock: &dyn Clock) -> Result<Self, TlsError> {
        let contents = load::read(&files)?;
        let loaded = load::load(&files, &contents, clock.now_ms())?;
        Ok(Self(Arc::new(Shared {
            files,
            loaded: ArcSwap::from_pointee(loaded),
            asked: Notify::new(),
        })))
    }

    /// Has the files looked at soon.
    pub fn look_now(&self) {
        self.0.asked.notify_one();
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.0.loaded.load().acceptor.clone()
    }

    /// Takes changed files as they come, until it is dropped.
    pub(crate) async fn keep_fresh(self, every: Duration, clock: Arc<dyn Clock>, door: DoorTls) {
        let mut broken = Broken::default();
        door.serves_until(self.0.loaded.load().ends_s);
        door.is_broken(false);
        loop {
            // Asked or not: it is time to look.
            drop(timeout(every, self.0.asked.notified()).await);
            let (shared, clock) = (Arc::clone(&self.0), Arc::clone(&clock));
            let looked = tokio::task::spawn_blocking(move || shared.look(&*clock)).await;
            match looked {
                Ok(Ok(Some(ends_s))) => {
                    tracing::info!(door = door.name(), "tls files are taken anew");
                    door.serves_until(ends_s);
                    broken = Broken::default();
                }
                Ok(Ok(None)) => broken = Broken::default(),
                Ok(Err(error)) => {
                    let why = error.to_string();
                    if broken.is_news(&why) {
                        let door = door.name();
                        tracing::error!(
                            door,
                            why,
                            "tls files cannot be used, the earlier serve on"
                        );
                    }
                }
                Err(error) => tracing::error!(error = %error, "tls files were not looked at"),
            }
            door.is_broken(broken.lasts);
        }
    }
}

impl Shared {
    /// Takes the files if they are others than those that serve, and returns until when they do.
    fn look(&self, clock: &dyn Clock) -> Result<Option<i64>, TlsError> {
        let contents = load::read(&self.files)?;
        if contents.digest() == self.loaded.load().digest {
            return Ok(None);
        }
        let loaded = load::load(&self.files, &contents, clock.now_ms())?;
        let ends_s = loaded.ends_s;
        self.loaded.store(Arc::new(loaded));
        Ok(Some(ends_s))
    }
}

/// How long files have been of no use. Once may be between the writing of two files that belong together;
/// twice is a fault.
#[derive(Debug, Default)]
struct Broken {
    why: String,
    looks: u32,
    /// Until files are of use again.
    lasts: bool,
}

impl Broken {
    /// Notes a look that failed; says whether somebody is to be told.
    fn is_news(&mut self, why: &str) -> bool {
        if self.why != why {
            why.clone_into(&mut self.why);
            self.looks = 0;
        }
        self.looks = self.looks.saturating_add(1);
        self.lasts |= self.looks >= 2;
        self.looks == 2
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Tls")
            .field("files", &self.0.files)
            .finish_non_exhaustive()
    }
}
