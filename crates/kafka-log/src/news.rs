//! What replicas tell each other again and again, and can do without for a while: what was taken from a quota, say.
//!
//! Each asks every other several times a second and both learn by it, with no owner and no order between them. Who is
//! there stands in the bulletin; a replica that is not reached for a while is taken out of it by whoever noticed, and puts
//! itself back if it lives.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use hyper::StatusCode;
use tidegate_event_log::LogError;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use crate::bulletin::Bulletin;
use crate::peer::{Answering, Heard, Peers};

/// Names of replicas in the bulletin begin with it; their address follows.
const ENTRIES: &str = "replica/";
const PATH: &str = "/news";
/// Between two questions to a peer.
const PAUSE: Duration = Duration::from_millis(100);
/// A peer that was not reached is asked less often.
const LONG_PAUSE: Duration = Duration::from_secs(1);
const DEADLINE: Duration = Duration::from_secs(1);
/// So often it is looked who is there.
const LOOK_PAUSE: Duration = Duration::from_millis(250);
/// A replica that was not reached for so long is gone.
const GONE: Duration = Duration::from_secs(60);

/// News of a replica. Any of it may be lost, or be heard twice.
pub trait News: Send + Sync + 'static {
    /// What a peer, named by its address, has not heard yet; nothing if it need not be asked now.
    fn tell(&self, peer: &str) -> Option<Vec<u8>>;
    /// Takes in what a peer told.
    fn hear(&self, peer: &str, told: &[u8]);
    /// What a peer that asks is told, be it that there is nothing new.
    fn answer(&self, peer: &str) -> Vec<u8>;
}

/// Where news go out and come in.
pub(crate) struct Newsroom {
    bulletin: Arc<Bulletin>,
    peers: Arc<Peers>,
    served: OnceLock<AbortHandle>,
}

impl Newsroom {
    pub(crate) fn new(bulletin: Arc<Bulletin>, peers: Arc<Peers>) -> Self {
        Self {
            bulletin,
            peers,
            served: OnceLock::new(),
        }
    }

    /// Begins to exchange news; returns when all that are known were asked once.
    pub(crate) async fn open(&self, news: Arc<dyn News>) -> Result<(), LogError> {
        let (bulletin, peers) = (Arc::clone(&self.bulletin), Arc::clone(&self.peers));
        peers.answer(PATH, answering(Arc::downgrade(&news)));
        bulletin.read_on().await?;
        let exchange = Arc::new(Exchange {
            bulletin,
            peers,
            news,
        });
        let others = exchange.others();
        join_all(others.iter().map(|peer| exchange.ask(peer))).await;
        exchange.enter().await?;
        let serving = tokio::spawn(exchange.serve());
        if self.served.set(serving.abort_handle()).is_err() {
            serving.abort();
            return Err(LogError::Invalid("news are exchanged already".to_owned()));
        }
        Ok(())
    }

    /// Ends the exchange, so that no peer waits for this one.
    pub(crate) async fn leave(&self) {
        let Some(serving) = self.served.get() else {
            return;
        };
        serving.abort();
        let entry = format!("{ENTRIES}{}", self.peers.address());
        if let Err(error) = self.bulletin.tell(&entry, None).await {
            tracing::debug!(error = %error, "peers are not told that this one leaves");
        }
    }
}

impl Drop for Newsroom {
    fn drop(&mut self) {
        if let Some(serving) = self.served.get() {
            serving.abort();
        }
    }
}

struct Exchange {
    bulletin: Arc<Bulletin>,
    peers: Arc<Peers>,
    news: Arc<dyn News>,
}

/// A task that ends when it is forgotten.
struct Asking(AbortHandle);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Exchange {
    fn others(&self) -> Vec<String> {
        let mut there = self.bulletin.under(ENTRIES);
        there.retain(|address| address != self.peers.address());
        there
    }

    /// Tells the bulletin of this replica.
    async fn enter(&self) -> Result<(), LogError> {
        let entry = format!("{ENTRIES}{}", self.peers.address());
        self.bulletin.tell(&entry, Some("")).await
    }

    /// Has each of the others asked by a task of its own, so that nobody waits for a slow one.
    async fn serve(self: Arc<Self>) {
        let mut asking = BTreeMap::<String, Asking>::new();
        loop {
            let entry = format!("{ENTRIES}{}", self.peers.address());
            if self.bulletin.get(&entry).is_none()
                && let Err(error) = self.enter().await
            {
                tracing::warn!(error = %error, "peers are not told of this replica");
            }
            let others = self.others();
            asking.retain(|peer, _| others.contains(peer));
            for peer in others {
                asking.entry(peer).or_insert_with_key(|peer| {
                    let follow = Arc::clone(&self).follow(peer.clone());
                    Asking(tokio::spawn(follow).abort_handle())
                });
            }
            sleep(LOOK_PAUSE).await;
        }
    }

    /// Asks one peer over and over, until it is gone.
    async fn follow(self: Arc<Self>, peer: String) {
        let mut reached = Instant::now();
        while reached.elapsed() < GONE {
            if self.ask(&peer).await {
                reached = Instant::now();
                sleep(PAUSE).await;
            } else {
                sleep(LONG_PAUSE).await;
            }
        }
        tracing::info!(peer, "a replica is gone");
        self.peers.forget(&peer);
        let entry = format!("{ENTRIES}{peer}");
        if let Err(error) = self.bulletin.tell(&entry, None).await {
            tracing::debug!(error = %error, peer, "peers are not told of one that is gone");
        }
    }

    /// Says whether a peer was reached, or need not be.
    async fn ask(&self, peer: &str) -> bool {
        let Some(told) = self.news.tell(peer) else {
            return true;
        };
        let letter = letter(self.peers.address(), &told);
        let deadline = Instant::now() + DEADLINE;
        match self.peers.ask(peer, PATH, letter, deadline).await {
            Heard::Answer(body) => {
                self.news.hear(peer, &body);
                true
            }
            Heard::Unreachable | Heard::Lost => false,
        }
    }
}

/// Writes who asks before what it tells.
fn letter(from: &str, told: &[u8]) -> Vec<u8> {
    postcard::to_stdvec(&(from, told)).expect("a text and bytes are encoded always")
}

fn answering(news: Weak<dyn News>) -> Answering {
    let answer = move |letter: Bytes| {
        let (from, told): (&str, &[u8]) =
            postcard::from_bytes(&letter).map_err(|_| StatusCode::BAD_REQUEST)?;
        let news = news.upgrade().ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
        news.hear(from, told);
        Ok(news.answer(from))
    };
    Box::new(move |letter| Box::pin(std::future::ready(answer(letter))))
}
