//! The log as its readers know it: the trait, put together from its parts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use rdkafka::consumer::Consumer;
use rdkafka::topic_partition_list::{Offset as At, TopicPartitionList};
use tidegate_event_log::{
    AlterTopic, Append, Appended, Bounds, Claim, Disposition, Log, LogError, Offset, Place, Read,
    Topic, TopicSpec, Watermarks,
};
use tokio::time::Instant;

use crate::bulletin::{self, Bulletin};
use crate::check::{check_commit, check_name, is_internal};
use crate::claims::{Asked, Claims};
use crate::cluster::{Cluster, blocking};
use crate::error;
use crate::groups::Groups;
use crate::marks::Marks;
use crate::news::{News, Newsroom};
use crate::options::KafkaOptions;
use crate::peer::Peers;
use crate::reading::Readers;
use crate::stage::{Lane, Stage, Way};
use crate::straight::{Prepared, Straight};
use crate::topics::{Known, Topics};

/// So often a watch asks for the end of its partition.
const WATCH_PAUSE: Duration = Duration::from_millis(20);

/// A [`Log`] kept by a Kafka cluster.
pub struct KafkaLog {
    parts: Arc<Parts>,
}

type Answer = Result<Appended, LogError>;

struct Parts {
    cluster: Arc<Cluster>,
    topics: Arc<Topics>,
    marks: Arc<Marks>,
    readers: Arc<Readers>,
    groups: Groups,
    straight: Arc<Straight>,
    bulletin: Arc<Bulletin>,
    claims: Arc<Claims>,
    newsroom: Newsroom,
}

impl KafkaLog {
    /// Connects to a cluster and makes the log's own topics there, if nobody has.
    ///
    /// # Errors
    /// `Invalid` (a setting), `Unavailable` (no cluster there).
    pub async fn open(options: KafkaOptions) -> Result<Self, LogError> {
        Self::open_by(options, wall_ms).await
    }

    /// As [`Self::open`]; records are stamped with `now_ms`, milliseconds since 1970 (UTC).
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_by(
        options: KafkaOptions,
        now_ms: impl Fn() -> i64 + Send + Sync + 'static,
    ) -> Result<Self, LogError> {
        options
            .check()
            .map_err(|error| LogError::Invalid(error.to_string()))?;
        let connected = blocking(move || Cluster::connect(options, Arc::new(now_ms)));
        let cluster = Arc::new(connected.await?);
        let topics = Arc::new(Topics::new(Arc::clone(&cluster)));
        let marks = Arc::new(Marks::new(Arc::clone(&cluster)));
        let readers = Arc::new(Readers::new(Arc::clone(&cluster)));
        let straight = Arc::new(Straight::new(Arc::clone(&cluster))?);
        let bulletin = Bulletin::open(
            &topics,
            Arc::clone(&straight),
            Arc::clone(&marks),
            Arc::clone(&readers),
        );
        let bulletin = Arc::new(bulletin.await?);
        let peers = Peers::listen(cluster.options.peer.clone()).await?;
        let claims = Claims::open(
            Arc::clone(&cluster),
            Arc::clone(&topics),
            Arc::clone(&marks),
            Arc::clone(&readers),
            Arc::clone(&straight),
            Arc::clone(&bulletin),
            Arc::clone(&peers),
        );
        let parts = Parts {
            claims: claims.await?,
            topics,
            marks,
            readers,
            groups: Groups::new(Arc::clone(&cluster)),
            straight,
            newsroom: Newsroom::new(Arc::clone(&bulletin), peers),
            bulletin,
            cluster,
        };
        Ok(Self {
            parts: Arc::new(parts),
        })
    }

    /// Leaves the cluster in order: other replicas decide about this one's keys at once, where they would
    /// wait for some seconds if it just went. Appends with a claim are the others' from here on.
    pub async fn leave(&self) {
        let parts = Arc::clone(&self.parts);
        parts.newsroom.leave().await;
        let parts = Arc::clone(&self.parts);
        let left = tokio::task::spawn_blocking(move || parts.claims.leave());
        if left.await.is_err() {
            tracing::error!("the cluster was not left in order");
        }
    }

    /// Exchanges news with all other replicas from now on, and returns when those that are known were asked once.
    ///
    /// # Errors
    /// `Unavailable`: the cluster cannot be told of this replica.
    pub async fn exchange(&self, news: Arc<dyn News>) -> Result<(), LogError> {
        self.parts.newsroom.open(news).await
    }

    /// Returns the cluster's id.
    pub fn cluster_id(&self) -> &str {
        &self.parts.cluster.id
    }
}

fn wall_ms() -> i64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed();
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

impl Parts {
    /// Appends a stage: records among which those of a partition go the same way, in their order.
    async fn append_stage(
        self: &Arc<Self>,
        stage: Vec<(Prepared, Option<Claim>)>,
        deadline: Instant,
    ) -> Vec<Result<Appended, LogError>> {
        let (mut straight, mut claimed, mut claims) = (Vec::new(), Vec::new(), Vec::new());
        for (prepared, claim) in stage {
            claims.push(claim.is_some());
            match claim {
                Some(claim) => claimed.push(Asked {
                    claim,
                    prepared: Some(Arc::new(prepared)),
                    deadline,
                }),
                None => straight.push(prepared),
            }
        }
        let asked = claimed.into_iter().map(|asked| self.claims.ask(asked));
        let (straight, claimed) = tokio::join!(self.append_straight(straight), join_all(asked));
        let (mut straight, mut claimed) = (straight.into_iter(), claimed.into_iter());
        let answer = |is_claimed: bool| {
            let appended = if is_claimed {
                let answer = claimed.next().expect("every claim was asked for")?;
                answer.ok_or_else(|| LogError::in_doubt("an event was taken for a question"))?
            } else {
                straight.next().expect("every record was sent")?
            };
            self.marks.answered(&appended.topic, appended.place);
            Ok(appended)
        };
        claims.into_iter().map(answer).collect()
    }

    /// Appends records without claims, in their order.
    async fn append_straight(
        self: &Arc<Self>,
        prepared: Vec<Prepared>,
    ) -> Vec<Result<Appended, LogError>> {
        let mut places = self.send(prepared.iter().collect()).await;
        self.send_again(prepared.iter().collect(), &mut places)
            .await;
        let answer = |(prepared, place): (Prepared, Result<Place, LogError>)| {
            Ok(Appended {
                topic: prepared.topic,
                place: place?,
                disposition: Disposition::Stored,
            })
        };
        prepared.into_iter().zip(places).map(answer).collect()
    }

    /// How a record goes, and where to.
    fn way(&self, prepared: &Prepared, claim: Option<&Claim>) -> (Lane, Way) {
        let way = match claim {
            None => Way::Straight,
            Some(claim) if self.claims.owns(claim) => Way::Here,
            Some(_) => Way::Peer,
        };
        ((Arc::clone(&prepared.topic), prepared.partition), way)
    }

    async fn send(&self, records: Vec<&Prepared>) -> Vec<Result<Place, LogError>> {
        let sent = self.straight.send(records);
        let mut places = Vec::with_capacity(sent.len());
        for sent in sent {
            places.push(sent.place().await);
        }
        places
    }

    /// A producer learns of new partitions later than this log. What it did not find is sent once more after it
    /// looked: all records of such a partition, so their order stays.
    async fn send_again(
        self: &Arc<Self>,
        records: Vec<&Prepared>,
        places: &mut [Result<Place, LogError>],
    ) {
        let missed = |place: &Result<Place, LogError>| matches!(place, Err(LogError::NotFound(_)));
        let again: Vec<_> = (0..places.len())
            .filter(|at| missed(&places[*at]))
            .collect();
        let topics: BTreeSet<_> = again
            .iter()
            .map(|at| Arc::clone(&records[*at].topic))
            .collect();
        if topics.is_empty() {
            return;
        }
        let parts = Arc::clone(self);
        let learned = blocking(move || {
            topics
                .iter()
                .try_for_each(|topic| parts.straight.learn(topic))
        });
        if learned.await.is_err() {
            return;
        }
        let second = self
            .send(again.iter().map(|at| records[*at]).collect())
            .await;
        for (at, place) in again.into_iter().zip(second) {
            places[at] = place;
        }
    }

    fn named(&self, name: &str, known: &Known) -> Topic {
        Topic {
            id: self.topic_id(name),
            name: name.to_owned(),
            partitions: known.partitions,
            config: known.config.clone(),
            internal: is_internal(name),
        }
    }

    fn topic_id(&self, name: &str) -> [u8; 16] {
        let told = self.bulletin.get(&bulletin::topic_entry(name));
        self.cluster.topic_id(name, told.as_deref())
    }

    async fn tell(&self, entry: &str, told: Option<&str>) -> Result<(), LogError> {
        self.bulletin.tell(entry, told).await?;
        self.bulletin.read_on().await
    }

    async fn marks_of(&self, topic: &str, partition: i32) -> Result<Watermarks, LogError> {
        self.topics.check(topic, partition).await?;
        let marks = self.marks.of(topic, partition).await;
        if marks.is_err() {
            // Deleted by another than this log, perhaps.
            self.topics.look().await?;
            self.topics.check(topic, partition).await?;
        }
        marks
    }
}

/// Fills the answers of a stage into the gaps that were left for them.
fn fill(answers: &mut [Option<Answer>], done: Vec<Answer>) {
    let gaps = answers.iter_mut().filter(|answer| answer.is_none());
    for (gap, answer) in gaps.zip(done) {
        *gap = Some(answer);
    }
}

#[async_trait::async_trait]
impl Log for KafkaLog {
    async fn append(&self, appends: Vec<Append>) -> Vec<Result<Appended, LogError>> {
        let parts = &self.parts;
        let deadline = Instant::now() + parts.cluster.options.deadline;
        let mut answers = Vec::with_capacity(appends.len());
        let (mut stage, mut stages) = (Vec::new(), Stage::default());
        for append in appends {
            match parts.straight.prepare(&parts.topics, append).await {
                Ok((prepared, claim)) => {
                    let (lane, way) = parts.way(&prepared, claim.as_ref());
                    if !stages.takes(lane, way) {
                        let full = std::mem::take(&mut stage);
                        let done = parts.append_stage(full, deadline).await;
                        fill(&mut answers, done);
                    }
                    stage.push((prepared, claim));
                    answers.push(None);
                }
                Err(error) => answers.push(Some(Err(error))),
            }
        }
        let done = parts.append_stage(stage, deadline).await;
        fill(&mut answers, done);
        let answered = answers.into_iter();
        answered
            .map(|answer| answer.expect("every stage was appended"))
            .collect()
    }

    async fn lookup(&self, claim: &Claim) -> Result<Option<Appended>, LogError> {
        let parts = &self.parts;
        let asked = Asked {
            claim: claim.clone(),
            prepared: None,
            deadline: Instant::now() + parts.cluster.options.deadline,
        };
        let found = parts.claims.ask(asked).await?;
        if let Some(found) = &found {
            parts.marks.answered(&found.topic, found.place);
        }
        Ok(found)
    }

    async fn read(
        &self,
        topic: &str,
        partition: i32,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Read, LogError> {
        let marks = self.parts.marks_of(topic, partition).await?;
        let readers = &self.parts.readers;
        readers.read(topic, partition, from, max_bytes, marks).await
    }

    async fn watch(
        &self,
        topic: &str,
        partition: i32,
        beyond: Offset,
        at_most: Duration,
    ) -> Result<Offset, LogError> {
        let began = Instant::now();
        let deadline = began.checked_add(at_most);
        loop {
            let high = self.parts.marks_of(topic, partition).await?.high;
            let is_late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if high > beyond || is_late {
                return Ok(high);
            }
            let pause = Instant::now() + WATCH_PAUSE;
            let until = deadline.map_or(pause, |deadline| deadline.min(pause));
            tokio::time::sleep_until(until).await;
        }
    }

    async fn watermarks(&self, topic: &str, partition: i32) -> Result<Watermarks, LogError> {
        self.parts.marks_of(topic, partition).await
    }

    async fn offset_at(
        &self,
        topic: &str,
        partition: i32,
        timestamp_ms: i64,
    ) -> Result<Option<Offset>, LogError> {
        let marks = self.parts.marks_of(topic, partition).await?;
        let cluster = Arc::clone(&self.parts.cluster);
        let topic = topic.to_owned();
        blocking(move || {
            let failed = |error| error::question(&error, &topic);
            let mut list = TopicPartitionList::new();
            // Times below 0 are questions of another kind in Kafka's protocol.
            list.add_partition_offset(&topic, partition, At::Offset(timestamp_ms.max(0)))
                .map_err(failed)?;
            let found =
                cluster.ask_leader(|client, limit| client.offsets_for_times(list.clone(), limit));
            let found = found.map_err(failed)?;
            let element = found.find_partition(&topic, partition);
            let element = element.ok_or_else(|| LogError::not_stored("no answer"))?;
            element.error().map_err(failed)?;
            Ok(match element.offset() {
                At::Offset(offset) if offset < marks.high => Some(offset.max(marks.log_start)),
                _ => None,
            })
        })
        .await
    }

    async fn topics(&self) -> Result<Vec<Topic>, LogError> {
        let parts = &self.parts;
        let view = parts.topics.look().await?;
        parts.bulletin.read_on().await?;
        let topics = view.topics.iter();
        Ok(topics
            .map(|(name, known)| parts.named(name, known))
            .collect())
    }

    async fn bounds(&self) -> Result<Bounds, LogError> {
        self.parts.topics.bounds().await
    }

    async fn create_topic(&self, spec: TopicSpec) -> Result<Topic, LogError> {
        let parts = &self.parts;
        check_name(&spec.name)?;
        if !parts.topics.look().await?.topics.contains_key(&spec.name) {
            // Before anything can be stored in it: an event's claim names the topic by this id.
            let id = uuid::Uuid::new_v4().to_string();
            let entry = bulletin::topic_entry(&spec.name);
            parts.tell(&entry, Some(&id)).await?;
        }
        let known = parts.topics.create(&spec).await?;
        Ok(parts.named(&spec.name, &known))
    }

    async fn alter_topic(&self, name: &str, alter: AlterTopic) -> Result<Topic, LogError> {
        let known = self.parts.topics.alter(name, &alter).await?;
        Ok(self.parts.named(name, &known))
    }

    async fn delete_topic(&self, name: &str) -> Result<(), LogError> {
        let parts = &self.parts;
        parts.topics.delete(name).await?;
        parts.readers.forget(name);
        parts.marks.forget(name);
        parts.tell(&bulletin::topic_entry(name), None).await
    }

    async fn committed(&self, group: &str, topic: &str) -> Result<Vec<Option<Offset>>, LogError> {
        let known = self.parts.topics.known(topic).await?;
        let parts = Arc::clone(&self.parts);
        let (group, topic) = (group.to_owned(), topic.to_owned());
        blocking(move || parts.groups.committed(&group, &topic, known.partitions)).await
    }

    async fn commit(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
        offset: Offset,
    ) -> Result<(), LogError> {
        self.parts.topics.check(topic, partition).await?;
        check_commit(group, offset)?;
        let parts = Arc::clone(&self.parts);
        let (group, topic) = (group.to_owned(), topic.to_owned());
        blocking(move || parts.groups.commit(&group, &topic, partition, offset)).await
    }

    async fn groups(&self) -> Result<Vec<String>, LogError> {
        let parts = Arc::clone(&self.parts);
        blocking(move || parts.groups.names()).await
    }
}
