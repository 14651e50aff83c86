//! The tests every [`Log`] passes: each promise of the trait is at least one rule here.
//!
//! A backend calls [`run_all`] from one test of its own with a way to make a fresh, empty log.
//! Rules that need time to pass ask the [`Subject`] to advance it and are left out without a
//! clock. How a log survives a crash is for each backend's own tests: it knows its device.

mod alter;
mod append;
mod claim;
mod group;
mod read;
mod topic;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::{
    AlterTopic, Append, Appended, Claim, Disposition, Fingerprint, Header, Log, LogError, Offset,
    Outcome, Record, StoredRecord, Topic, TopicConfig, TopicSpec, partitioner,
};

/// A fresh, empty log under test and what belongs to it.
pub struct Subject {
    log: Arc<dyn Log>,
    advance: Option<Box<dyn Fn(Duration) + Send + Sync>>,
    is_dense: bool,
    _keep: Option<Box<dyn Any + Send + Sync>>,
}

impl Subject {
    /// Makes a subject without a clock of its own.
    pub fn new(log: Arc<dyn Log>) -> Self {
        Self {
            log,
            advance: None,
            is_dense: true,
            _keep: None,
        }
    }

    /// Gives the way to let log time pass; more rules run then.
    #[must_use]
    pub fn with_clock(mut self, advance: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        self.advance = Some(Box::new(advance));
        self
    }

    /// Says that offsets may have gaps, as Kafka's have where a transaction ends: promise 2 in its weaker form.
    #[must_use]
    pub fn with_gaps(mut self) -> Self {
        self.is_dense = false;
        self
    }

    /// Keeps something alive as long as the log: its directory, its threads.
    #[must_use]
    pub fn keeping(mut self, keep: impl Any + Send + Sync) -> Self {
        self._keep = Some(Box::new(keep));
        self
    }

    async fn topic(&self, name: &str, partitions: i32) -> Topic {
        self.log
            .create_topic(spec(name, Some(partitions)))
            .await
            .expect("a valid topic")
    }

    async fn append(&self, append: Append) -> Result<Appended, LogError> {
        let mut answers = self.log.append(vec![append]).await;
        assert_eq!(answers.len(), 1, "one answer for each append");
        answers.remove(0)
    }

    async fn stored(&self, append: Append) -> Appended {
        let appended = self.append(append).await.expect("a good append");
        assert_eq!(appended.disposition, Disposition::Stored);
        appended
    }

    /// Reads a partition to its end, page by page, and checks each page.
    async fn all(&self, topic: &str, partition: i32) -> Vec<StoredRecord> {
        let mut records = Vec::new();
        let mut from = 0;
        loop {
            let read = self
                .log
                .read(topic, partition, from, 1_000)
                .await
                .expect("readable");
            let offsets: Vec<Offset> = read.records.iter().map(|record| record.offset).collect();
            if self.is_dense {
                let dense: Vec<_> = (from..read.next).collect();
                assert_eq!(offsets, dense, "dense, from the place asked");
            }
            assert!(
                offsets.is_sorted_by(|before, after| before < after)
                    && offsets
                        .iter()
                        .all(|offset| (from..read.next).contains(offset)),
                "in order, from the place asked: {offsets:?}"
            );
            records.extend(read.records);
            if read.next == read.high_watermark {
                return records;
            }
            assert!(
                read.next > from,
                "at least one record below the high watermark"
            );
            from = read.next;
        }
    }
}

fn spec(name: &str, partitions: Option<i32>) -> TopicSpec {
    TopicSpec {
        name: name.to_owned(),
        partitions,
        config: TopicConfig::new(),
    }
}

fn with_setting(name: &str, value: &str) -> TopicSpec {
    let config = TopicConfig::from([(name.to_owned(), value.to_owned())]);
    TopicSpec {
        name: "t".to_owned(),
        partitions: Some(1),
        config,
    }
}

fn value(text: impl Into<String>) -> Record {
    Record {
        value: Some(Bytes::from(text.into())),
        ..Record::default()
    }
}

fn to(topic: &str, partition: i32, record: Record) -> Append {
    Append {
        topic: topic.into(),
        partition: Some(partition),
        record,
        claim: None,
    }
}

fn claim(identity: &str, data: u8) -> Claim {
    Claim {
        identity: Bytes::copy_from_slice(identity.as_bytes()),
        fingerprint: Fingerprint([data; 16]),
        window: Duration::from_hours(24),
    }
}

fn claimed(topic: &str, record: Record, claim: Claim) -> Append {
    Append {
        claim: Some(claim),
        ..to(topic, 0, record)
    }
}

fn text(stored: &StoredRecord) -> String {
    String::from_utf8(stored.record.value.clone().expect("a value").to_vec()).expect("text")
}

/// Runs rules, each on a log of its own.
macro_rules! run {
    ($make:expr, $($rule:path),* $(,)?) => {$(
        eprintln!("rule: {}", stringify!($rule));
        $rule($make().await).await;
    )*};
}

/// Runs every rule, each on a log of its own, and panics at the first that is broken.
pub async fn run_all<M>(make: M)
where
    M: AsyncFn() -> Subject,
{
    run_claims(&make).await;
    run_without_claims(&make).await;
}

/// Runs the rules of claims.
async fn run_claims<M>(make: &M)
where
    M: AsyncFn() -> Subject,
{
    run!(
        make,
        claim::a_refused_append_holds_no_claim,
        claim::a_repeat_gets_the_first_place,
        claim::other_data_under_a_claim_is_a_mismatch,
        claim::one_call_with_a_claim_twice_stores_once,
        claim::concurrent_appends_of_one_claim_store_once,
        claim::many_claims_at_once_store_each_once,
        claim::a_claim_holds_across_topics,
        claim::lookup_finds_a_claim_and_makes_none,
        claim::a_claim_ends_with_its_window,
        claim::a_claim_ends_with_its_topic,
    );
}

/// Runs all other rules.
async fn run_without_claims<M>(make: &M)
where
    M: AsyncFn() -> Subject,
{
    run!(
        make,
        append::a_record_comes_back_as_it_was_given,
        append::offsets_are_dense_in_each_partition,
        append::records_of_one_call_keep_their_order,
        append::concurrent_appends_are_dense_and_in_the_order_of_each_caller,
        append::an_acked_record_is_readable_at_its_place,
        append::a_key_goes_where_kafka_puts_it,
        append::one_bad_append_does_not_hinder_its_neighbours,
        append::errors_say_what_the_caller_can_do,
        read::a_read_keeps_its_limit_but_gives_one,
        read::a_read_outside_the_log_is_refused,
        read::what_was_read_is_read_the_same_again,
        read::watermarks_grow_with_the_log,
        read::watch_returns_at_once_when_it_can,
        read::watch_wakes_on_an_append,
        read::watch_gives_up_in_time,
        read::watch_ends_with_the_topic,
        read::an_offset_is_found_by_time,
        read::timestamps_never_go_back,
        topic::a_topic_is_listed_as_it_was_created,
        topic::a_topic_name_is_taken_once,
        topic::concurrent_creates_of_one_topic_succeed_once,
        topic::bad_topics_are_refused,
        topic::internal_topics_are_marked,
        topic::a_topic_created_again_is_another_one,
        topic::a_deleted_topic_is_gone,
        topic::the_bounds_are_those_that_hold,
        alter::settings_change_and_the_rest_stays,
        alter::a_topic_grows_and_keeps_what_it_has,
        alter::a_changed_limit_holds_at_once,
        alter::a_change_that_cannot_be_changes_nothing,
        alter::a_change_of_nothing_is_no_error,
        alter::concurrent_changes_all_count,
        alter::growth_is_seen_by_those_who_append_meanwhile,
        group::a_committed_offset_comes_back,
        group::groups_and_topics_are_apart,
        group::a_bad_commit_is_refused,
        group::offsets_end_with_their_topic,
        group::new_partitions_have_no_offset,
        group::groups_are_listed_by_name,
    );
}

/// Runs `tasks` at the same time, each in a task of its own, and returns what they return.
async fn together<T, F>(tasks: impl Iterator<Item = F>) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let tasks: Vec<_> = tasks.map(tokio::spawn).collect();
    let mut results = Vec::with_capacity(tasks.len());
    for task in tasks {
        results.push(task.await.expect("the task keeps its rule"));
    }
    results
}
