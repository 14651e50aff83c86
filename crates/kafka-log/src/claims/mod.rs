//! Claims on a cluster: of all appends with one name inside its window exactly one is ever visible, whichever replicas
//! are asked. Decision 0012 has the proof.
//!
//! Claims are kept in the partitions of an internal topic. A consumer group gives each partition to one replica, its
//! owner: `tenure` says which are ours, `shard` and `table` know what is claimed, `writer` stores events and claims in
//! one transaction, `record` is the format, `standing` looks whether the record of a claim is still there. `wire` asks the owner, wherever it is.

mod record;
mod shard;
mod standing;
mod table;
mod tenure;
mod wire;
mod writer;

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::future::join_all;
use hyper::StatusCode;
use tidegate_event_log::{AlterTopic, Appended, Claim, LogError, TopicConfig};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use self::record::Key;
use self::shard::Shards;
use self::tenure::Tenure;
use self::writer::{Job, Reply, Writer};
use crate::bulletin::{self, Bulletin};
use crate::check::check_claim;
use crate::cluster::Cluster;
use crate::marks::Marks;
use crate::peer::{Answering, Heard, Peers};
use crate::reading::Readers;
use crate::straight::{Prepared, Straight};
use crate::topics::Topics;

/// Identities are spread over the partitions of this topic.
pub(crate) const TOPIC: &str = "_tidegate.claims";
/// More than replicas, so that each has a share. It never changes: a name's partition follows from it.
const PARTITIONS: i32 = 12;
const RETENTION: &str = "retention.ms";
/// Jobs that wait for the writer at most.
const WAITING: usize = 10_000;
/// The topic keeps claims a day longer than the longest window that anybody asked for, and a week at least: a new owner
/// has to read all of it.
const LEAST_RETENTION: Duration = Duration::from_hours(7 * 24);
const DAY: Duration = Duration::from_hours(24);
/// So often it is looked who owns a partition.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// So often one who waits for an owner looks whether it still is one.
const MOVED_PAUSE: Duration = Duration::from_millis(100);
/// Where peers ask.
const PATH: &str = "/claims";
/// So often the bulletin is read when nobody asks.
const FOLLOW_PAUSE: Duration = Duration::from_millis(500);

/// What an append or a question of this log needs to be sent to whoever owns its claim.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) claim: Claim,
    /// What to store; `None` only asks.
    pub(crate) prepared: Option<Arc<Prepared>>,
    pub(crate) deadline: Instant,
}

/// What an owner says.
pub(crate) enum Told {
    Stands(Appended),
    /// To a question only: nobody holds it.
    Free,
    Refused(LogError),
    NotMine,
    /// Asked, and the answer did not come.
    Lost,
}

pub(crate) struct Claims {
    cluster: Arc<Cluster>,
    bulletin: Arc<Bulletin>,
    shards: Arc<Shards>,
    jobs: mpsc::Sender<Job>,
    secret: [u8; 32],
    topics: Arc<Topics>,
    /// How long the topic is known to keep claims. Whoever holds it has it keep them longer.
    kept: tokio::sync::Mutex<Duration>,
    peers: Arc<Peers>,
    membership: tenure::Membership,
}

/// The name under which the owner of a partition says where it is.
fn owner_entry(partition: i32) -> String {
    format!("owner/{partition}")
}

impl Claims {
    /// Joins the group and begins to serve what this replica gets of the claims.
    pub(crate) async fn open(
        cluster: Arc<Cluster>,
        topics: Arc<Topics>,
        marks: Arc<Marks>,
        readers: Arc<Readers>,
        straight: Arc<Straight>,
        bulletin: Arc<Bulletin>,
        peers: Arc<Peers>,
    ) -> Result<Arc<Self>, LogError> {
        bulletin::ensure(&topics, TOPIC, PARTITIONS, topic_config()).await?;
        let partitions = topics.known(TOPIC).await?.partitions;
        let (current, membership) = tenure::join(&cluster)?;
        let shards = Arc::new(Shards::new(
            Arc::clone(&cluster),
            Arc::clone(&topics),
            marks,
            readers,
            Arc::clone(&bulletin),
            current.clone(),
            partitions,
        )?);
        let (jobs, waiting) = mpsc::channel(WAITING);
        let writer = Writer {
            cluster: Arc::clone(&cluster),
            straight,
            shards: Arc::clone(&shards),
            transactional_id: format!("_tidegate.claims.{}", uuid::Uuid::new_v4()),
            producer: None,
        };
        tokio::spawn(writer.run(waiting));
        // Not a secret to those who may ask the cluster for its id: it hides names from those who only read the topic.
        let secret = blake3::derive_key("tidegate 2026 claims on kafka", cluster.id.as_bytes());
        let claims = Arc::new(Self {
            peers,
            cluster,
            bulletin,
            shards,
            jobs,
            secret,
            topics,
            kept: tokio::sync::Mutex::default(),
            membership,
        });
        claims
            .peers
            .answer(PATH, answering(Arc::downgrade(&claims)));
        tokio::spawn(serve_tenures(Arc::downgrade(&claims), current));
        Ok(claims)
    }

    /// Leaves what this replica owns to the others; returns when the cluster was told.
    pub(crate) fn leave(&self) {
        self.membership.leave();
    }

    /// Stores an event once, or asks whether a claim is held, wherever it is kept.
    pub(crate) async fn ask(&self, asked: Asked) -> Result<Option<Appended>, LogError> {
        check_claim(&asked.claim)?;
        let key = Key::of(&self.secret, &asked.claim);
        let partition = key.partition(self.shards.partitions());
        let mut is_doubtful = false;
        loop {
            let told = if self.shards.owns(partition) {
                self.told_here(key, partition, &asked).await
            } else {
                match self.bulletin.get(&owner_entry(partition)) {
                    Some(address) if address != self.peers.address() => tokio::select! {
                        told = self.ask_peer(&address, &asked) => told,
                        () = self.moved(partition, &address) => Told::Lost,
                    },
                    _ => Told::NotMine,
                }
            };
            // The event may be stored; the claim makes another try safe.
            is_doubtful |= matches!(told, Told::Lost) && asked.prepared.is_some();
            let error = match told {
                Told::Stands(appended) => return Ok(Some(appended)),
                Told::Free => return Ok(None),
                Told::Refused(error) => error,
                Told::NotMine | Told::Lost if Instant::now() + LOOK_PAUSE < asked.deadline => {
                    sleep(LOOK_PAUSE).await;
                    self.read_bulletin().await;
                    continue;
                }
                Told::NotMine | Told::Lost => {
                    LogError::not_stored("nobody serves the claim now: its owner changes")
                }
            };
            return Err(if is_doubtful {
                LogError::in_doubt(error.to_string())
            } else {
                error
            });
        }
    }

    /// Asks the owner of a claim. A request to the wrong replica, or one that is lost, costs another look.
    async fn ask_peer(&self, address: &str, asked: &Asked) -> Told {
        let Some(body) = wire::from_asked(asked) else {
            return Told::Lost;
        };
        match self.peers.ask(address, PATH, body, asked.deadline).await {
            Heard::Answer(body) => wire::to_told(&body).unwrap_or(Told::Lost),
            Heard::Unreachable => Told::NotMine,
            Heard::Lost => Told::Lost,
        }
    }

    /// Waits until another than the owner at an address is known. A replica that is cut off does not answer, and those
    /// who wait for it need not wait as long as it does.
    async fn moved(&self, partition: i32, address: &str) {
        let entry = owner_entry(partition);
        while !self.shards.owns(partition) && self.bulletin.get(&entry).as_deref() == Some(address)
        {
            sleep(MOVED_PAUSE).await;
        }
    }

    /// Says whether this replica owns a claim.
    pub(crate) fn owns(&self, claim: &Claim) -> bool {
        let key = Key::of(&self.secret, claim);
        self.shards.owns(key.partition(self.shards.partitions()))
    }

    /// Answers for this replica's own partitions.
    pub(crate) async fn answer(&self, asked: &Asked) -> Told {
        let key = Key::of(&self.secret, &asked.claim);
        let partition = key.partition(self.shards.partitions());
        self.told_here(key, partition, asked).await
    }

    async fn told_here(&self, key: Key, partition: i32, asked: &Asked) -> Told {
        let Some(prepared) = &asked.prepared else {
            let tenure = self.shards.tenure();
            if !tenure.is_some_and(|tenure| self.shards.serves(partition, &tenure)) {
                return Told::NotMine;
            }
            if let Err(error) = self.shards.settle(&[(partition, key)]).await.remove(0) {
                return Told::Refused(error);
            }
            let now_ms = (self.cluster.now_ms)();
            return match self.shards.get(partition, key, &asked.claim, now_ms) {
                Some(Ok(appended)) => Told::Stands(appended),
                Some(Err(_)) | None => Told::Free,
            };
        };
        if let Err(error) = self.keep_for(asked.claim.window).await {
            return Told::Refused(LogError::not_stored(error.to_string()));
        }
        let (reply, answer) = oneshot::channel();
        let told = self.bulletin.get(&bulletin::topic_entry(&prepared.topic));
        let job = Job {
            key,
            partition,
            claim: asked.claim.clone(),
            topic_id: self.cluster.topic_id(&prepared.topic, told.as_deref()),
            prepared: Arc::clone(prepared),
            deadline: asked.deadline,
            reply,
        };
        if self.jobs.try_send(job).is_err() {
            return Told::Refused(LogError::not_stored("too many events wait to be stored"));
        }
        match timeout_at(asked.deadline, answer).await {
            Ok(Ok(Reply::Answered(Ok(appended)))) => Told::Stands(appended),
            Ok(Ok(Reply::Answered(Err(error)))) => Told::Refused(error),
            Ok(Ok(Reply::NotMine)) => Told::NotMine,
            Ok(Err(_)) => Told::Refused(LogError::in_doubt("the log is stopping")),
            Err(_) => Told::Refused(LogError::in_doubt("the event was not stored in time")),
        }
    }

    /// Has the topic keep claims for a window.
    async fn keep_for(&self, window: Duration) -> Result<(), LogError> {
        let wanted = window + DAY;
        let mut kept = self.kept.lock().await;
        if *kept >= wanted {
            return Ok(());
        }
        // Another owner may have had it keep them even longer.
        let view = self.topics.look().await?;
        let known = view
            .topics
            .get(TOPIC)
            .and_then(|known| known.config.get(RETENTION));
        let known = known.and_then(|millis| millis.parse().ok());
        *kept = known.map_or(Duration::ZERO, Duration::from_millis);
        if *kept < wanted {
            let set = TopicConfig::from([(RETENTION.to_owned(), wanted.as_millis().to_string())]);
            let alter = AlterTopic {
                set,
                ..AlterTopic::default()
            };
            self.topics.alter(TOPIC, &alter).await?;
            *kept = wanted;
        }
        Ok(())
    }

    async fn read_bulletin(&self) {
        if let Err(error) = self.bulletin.read_on().await {
            tracing::debug!(error = %error, "the bulletin cannot be read now");
        }
    }

    /// Reads the claims of a tenure, so that they can be served.
    fn begin(&self, tenure: &Tenure) {
        for partition in &tenure.partitions {
            tokio::spawn(Arc::clone(&self.shards).load(*partition, tenure.number));
        }
    }

    /// Says where the claims of a tenure are served, wherever the bulletin does not say so: nobody else would, and
    /// what an earlier owner says may come late.
    async fn announce(&self, tenure: &Tenure) {
        let address = self.peers.address();
        let mut untold: Vec<_> = tenure.partitions.iter().copied().map(owner_entry).collect();
        untold.retain(|entry| self.bulletin.get(entry).as_deref() != Some(address));
        let told = untold
            .iter()
            .map(|entry| self.bulletin.tell(entry, Some(address)));
        for told in join_all(told).await {
            if let Err(error) = told {
                tracing::warn!(error = %error, "peers are not told of an owner yet");
            }
        }
    }
}

/// Answers the questions of peers.
fn answering(claims: Weak<Claims>) -> Answering {
    Box::new(move |body| {
        let claims = claims.clone();
        Box::pin(async move {
            let asked = wire::to_asked(&body).ok_or(StatusCode::BAD_REQUEST)?;
            let claims = claims.upgrade().ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
            Ok(wire::from_told(&claims.answer(&asked).await))
        })
    })
}

/// The topic as it is made, whatever the cluster's defaults are: nothing ends early in it.
fn topic_config() -> TopicConfig {
    let setting = |name: &str, value: String| (name.to_owned(), value);
    TopicConfig::from([
        setting(RETENTION, LEAST_RETENTION.as_millis().to_string()),
        setting("retention.bytes", "-1".to_owned()),
        setting("cleanup.policy", "delete".to_owned()),
        setting("message.timestamp.type", "CreateTime".to_owned()),
        setting("segment.ms", DAY.as_millis().to_string()),
    ])
}

/// Begins each tenure, and follows the bulletin, until the log is gone.
async fn serve_tenures(claims: Weak<Claims>, mut current: tenure::Current) {
    let mut begun = 0;
    while let Some(claims) = claims.upgrade() {
        let tenure = current.borrow_and_update().clone();
        if let Some(tenure) = tenure.as_ref().filter(|tenure| tenure.number != begun) {
            begun = tenure.number;
            claims.begin(tenure);
        }
        claims.read_bulletin().await;
        // It may be another one by now.
        let tenure = current.borrow().clone();
        if let Some(tenure) = tenure {
            claims.announce(&tenure).await;
        }
        drop(claims);
        if let Ok(Err(_)) = timeout(FOLLOW_PAUSE, current.changed()).await {
            return;
        }
    }
}
