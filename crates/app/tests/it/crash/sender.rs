//! A sender on one connection, as careful as a real one: waits for each receipt, retries what is in
//! doubt with the same id until it knows, sometimes repeats itself, sometimes sends what is wrong.
//! Takes down what it was promised.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::Dice;
use super::account::{At, Fate, Sent};
use super::serving::{CONTRACT, EVENT_TYPE, SOURCE, TOPIC};

const KEYS: u64 = 50;
/// The gateway answers in 5 s whatever is slow; on a busy machine a little later.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// How long an event may stay in doubt: some starts and answers.
const DOUBT_LIMIT: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(50);

/// A process that serves, by its number among all.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) number: usize,
    pub(super) url: String,
}

/// What a sender leaves.
#[derive(Default)]
pub(super) struct Record {
    /// In the order in which they were first sent.
    pub(super) sent: Vec<Sent>,
    /// Entries of the quarantine that it was told of, and the bytes that are to be there.
    pub(super) quarantined: Vec<(String, String)>,
    /// The receipt read last.
    pub(super) last_receipt: Option<String>,
    pub(super) complaints: Vec<String>,
    /// The lives in which a connection broke.
    pub(super) broken: Vec<usize>,
    pub(super) repeats: usize,
    /// Events in doubt whose retry found them stored.
    pub(super) found_stored: usize,
    /// Events in doubt whose retry stored them.
    pub(super) stored_by_retry: usize,
}

pub(super) struct Sender {
    name: String,
    dice: Dice,
    client: reqwest::Client,
    life: watch::Receiver<Option<Life>>,
    /// Retries at once; else it goes on, and comes back to what is in doubt at the end.
    patient: bool,
    in_doubt: Vec<(usize, Request)>,
    record: Record,
}

#[derive(Clone, Debug)]
struct Request {
    path: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

/// How an event is written. The first three are one claim's, the last is another's.
#[derive(Clone, Copy)]
enum Form {
    Binary,
    Structured,
    Plain,
}

enum Answer {
    Is(u16, Value),
    /// No answer, or one that says to try again.
    Doubt,
}

impl Sender {
    pub(super) fn new(number: usize, dice: Dice, life: watch::Receiver<Option<Life>>) -> Self {
        let client = reqwest::Client::builder()
            .pool_max_idle_per_host(1)
            .timeout(ANSWER_LIMIT);
        Self {
            name: format!("{number:02}"),
            dice,
            client: client.build().unwrap(),
            life,
            patient: !number.is_multiple_of(4),
            in_doubt: Vec::new(),
            record: Record::default(),
        }
    }

    /// Sends until it is told to stop, and then until nothing is in doubt.
    pub(super) async fn run(mut self, stop: Arc<AtomicBool>) -> Record {
        while !stop.load(Ordering::Relaxed) {
            match self.dice.below(100) {
                0..10 => self.repeat().await,
                10..13 => self.reuse_an_id().await,
                13..16 => self.break_the_contract().await,
                16..18 => self.name_no_contract().await,
                18..30 => self.send_batch().await,
                _ => self.send_one().await,
            }
        }
        for (index, request) in std::mem::take(&mut self.in_doubt) {
            self.settle(index, 1, request, true).await;
        }
        self.record
    }

    async fn send_one(&mut self) {
        let form = match self.dice.below(3) {
            0 => Form::Binary,
            1 => Form::Structured,
            _ => Form::Plain,
        };
        let sent = self.new_event(matches!(form, Form::Plain));
        let request = request(form, EVENT_TYPE, &sent.id, &sent.data);
        self.record.sent.push(sent);
        let index = self.record.sent.len() - 1;
        self.settle(index, 1, request, false).await;
    }

    async fn send_batch(&mut self) {
        let first = self.record.sent.len();
        let count = 2 + self.dice.below(4);
        for _ in 0..count {
            let sent = self.new_event(false);
            self.record.sent.push(sent);
        }
        let events = &self.record.sent[first..];
        let texts: Vec<String> = events
            .iter()
            .map(|sent| structured(EVENT_TYPE, &sent.id, &sent.data))
            .collect();
        let request = Request {
            path: "/v1/events".to_owned(),
            headers: vec![("content-type", "application/cloudevents-batch+json".into())],
            body: format!("[{}]", texts.join(",")),
        };
        let count = texts.len();
        self.settle(first, count, request, true).await;
    }

    /// An accepted event once more: the first receipt.
    async fn repeat(&mut self) {
        let Some((sent, at)) = self.some_acked() else {
            return;
        };
        let form = match self.dice.below(2) {
            _ if sent.id.starts_with("key") => Form::Plain,
            0 => Form::Binary,
            _ => Form::Structured,
        };
        let request = request(form, EVENT_TYPE, &sent.id, &sent.data);
        let (status, body) = self.insist(&request).await;
        if (status, place(&body), &body["duplicate"]) != (202, Some(at), &Value::Bool(true)) {
            self.complain(&format!("{} at {at:?}, repeated", sent.id), status, &body);
        }
        self.record.repeats += 1;
    }

    /// Other data under the id of an accepted event.
    async fn reuse_an_id(&mut self) {
        let Some((sent, _)) = self.some_acked() else {
            return;
        };
        let form = match sent.id.starts_with("key") {
            true => Form::Plain,
            false => Form::Binary,
        };
        let other = self.new_event(false);
        let request = request(form, EVENT_TYPE, &sent.id, &other.data);
        let (status, body) = self.insist(&request).await;
        if status != 422 || !is_problem(&body, "idempotency-key-reused") {
            self.complain(&format!("{} with other data", sent.id), status, &body);
        }
    }

    /// An event that breaks its contract: refused and kept, once.
    async fn break_the_contract(&mut self) {
        let mut sent = self.new_event(false);
        sent.data = format!("{{\"key\": \"{}\",  \"text\": 7}}", sent.key);
        sent.fate = Fate::Refused;
        let request = request(Form::Binary, EVENT_TYPE, &sent.id, &sent.data);
        let (status, body) = self.insist(&request).await;
        match body["quarantine"].as_str() {
            Some(path) if status == 422 && is_problem(&body, "contract-violation") => {
                let entry = (path.to_owned(), sent.data.clone());
                self.record.quarantined.push(entry);
                let (_, again) = self.insist(&request).await;
                if again["quarantine"] != body["quarantine"] {
                    self.complain(&format!("{}, kept at {path}", sent.id), status, &again);
                }
            }
            _ => self.complain(&format!("{}, no event", sent.id), status, &body),
        }
        self.record.sent.push(sent);
    }

    /// An event of no known type: refused, nothing kept.
    async fn name_no_contract(&mut self) {
        let mut sent = self.new_event(false);
        sent.fate = Fate::Refused;
        let request = request(
            Form::Structured,
            "com.example.nothing",
            &sent.id,
            &sent.data,
        );
        let (status, body) = self.insist(&request).await;
        if status != 422 || !is_problem(&body, "unknown-event-type") {
            self.complain(&format!("{} without contract", sent.id), status, &body);
        }
        self.record.sent.push(sent);
    }

    fn new_event(&mut self, keyed: bool) -> Sent {
        let kind = if keyed { "key" } else { "evt" };
        let unique = self.dice.next();
        let id = format!("{kind}-{}-{unique:016x}", self.name);
        let key = format!("shelf-{}", self.dice.below(KEYS));
        let length = 100 + self.dice.below(1_900) as usize;
        let mut data = format!("{{ \"key\":\"{key}\" ,\n \"n\": 1.50e1, \"text\": \"\\u00e9\\/é");
        let text = self.dice.letters(length.saturating_sub(data.len() + 3));
        data.push_str(&text);
        data.push_str("\" }");
        Sent {
            id,
            key,
            data,
            fate: Fate::Unknown,
            in_order: true,
        }
    }

    fn some_acked(&mut self) -> Option<(Sent, At)> {
        let count = self.record.sent.len() as u64;
        if count == 0 {
            return None;
        }
        let sent = &self.record.sent[self.dice.below(count) as usize];
        match sent.fate {
            Fate::Acked(at) => Some((sent.clone(), at)),
            Fate::Refused | Fate::Unknown => None,
        }
    }

    /// Sends until it is known what became of the events from `first` on.
    async fn settle(&mut self, first: usize, count: usize, request: Request, insist: bool) {
        let limit = Instant::now() + DOUBT_LIMIT;
        let mut attempts = 0;
        let (status, body) = loop {
            attempts += 1;
            match self.attempt(&request).await {
                Answer::Is(status, body) => break (status, body),
                Answer::Doubt if !self.patient && !insist => {
                    self.record.sent[first].in_order = false;
                    return self.in_doubt.push((first, request));
                }
                Answer::Doubt if Instant::now() > limit => {
                    let id = self.record.sent[first].id.clone();
                    return self.complain(&format!("{id}, in doubt for too long"), 0, &Value::Null);
                }
                Answer::Doubt => {}
            }
        };
        let results = body["results"].as_array();
        let in_doubt_before = attempts > 1 || !self.record.sent[first].in_order;
        for index in 0..count {
            let receipt = match results {
                Some(results) => &results[index]["receipt"],
                None => &body,
            };
            let sent = &mut self.record.sent[first + index];
            let id = sent.id.clone();
            let duplicate = receipt["duplicate"] == true;
            match place(receipt) {
                Some(at)
                    if status == 202
                        && receipt["event"]["id"] == id
                        && receipt["topic"] == TOPIC
                        && (in_doubt_before || !duplicate) =>
                {
                    sent.fate = Fate::Acked(at);
                    self.record.last_receipt = receipt["id"].as_str().map(str::to_owned);
                    if in_doubt_before && duplicate {
                        self.record.found_stored += 1;
                    } else if in_doubt_before {
                        self.record.stored_by_retry += 1;
                    }
                }
                _ => self.complain(&format!("{id}, attempt {attempts}"), status, &body),
            }
        }
    }

    /// Sends until there is an answer.
    async fn insist(&mut self, request: &Request) -> (u16, Value) {
        let limit = Instant::now() + DOUBT_LIMIT;
        while Instant::now() < limit {
            if let Answer::Is(status, body) = self.attempt(request).await {
                return (status, body);
            }
        }
        (0, Value::Null)
    }

    async fn attempt(&mut self, request: &Request) -> Answer {
        let living = timeout(DOUBT_LIMIT, self.life.wait_for(Option::is_some)).await;
        let Ok(Ok(life)) = living.map(|life| life.map(|life| (*life).clone())) else {
            return Answer::Doubt;
        };
        let life = life.expect("it was waited for");
        let url = format!("{}{}", life.url, request.path);
        let mut post = self.client.post(url).body(request.body.clone());
        for (name, value) in &request.headers {
            post = post.header(*name, value);
        }
        let answer = async {
            let response = post.send().await?;
            Ok::<_, reqwest::Error>((response.status().as_u16(), response.bytes().await?))
        };
        match answer.await {
            Ok((503, _)) => {
                sleep(PAUSE).await;
                Answer::Doubt
            }
            Ok((status, body)) => match serde_json::from_slice(&body) {
                Ok(body) => Answer::Is(status, body),
                Err(error) => Answer::Is(status, Value::String(error.to_string())),
            },
            Err(_) => {
                self.record.broken.push(life.number);
                // The next life, if this one ended.
                let next = self
                    .life
                    .wait_for(|now| now.as_ref().is_some_and(|now| now.number != life.number));
                drop(timeout(PAUSE, next).await);
                Answer::Doubt
            }
        }
    }

    fn complain(&mut self, about: &str, status: u16, body: &Value) {
        let complaint = format!("{about}: answered {status} {body}");
        self.record.complaints.push(complaint);
    }
}

fn request(form: Form, event_type: &str, id: &str, data: &str) -> Request {
    let json = || "application/json".to_owned();
    let (path, headers, body) = match form {
        Form::Binary => {
            let headers = vec![
                ("ce-specversion", "1.0".to_owned()),
                ("ce-id", id.to_owned()),
                ("ce-source", SOURCE.to_owned()),
                ("ce-type", event_type.to_owned()),
                ("content-type", json()),
            ];
            ("/v1/events".to_owned(), headers, data.to_owned())
        }
        Form::Structured => {
            let media_type = "application/cloudevents+json".to_owned();
            let headers = vec![("content-type", media_type)];
            let body = structured(event_type, id, data);
            ("/v1/events".to_owned(), headers, body)
        }
        Form::Plain => {
            let headers = vec![
                ("idempotency-key", format!("\"{id}\"")),
                ("content-type", json()),
            ];
            (format!("/v1/events/{CONTRACT}"), headers, data.to_owned())
        }
    };
    Request {
        path,
        headers,
        body,
    }
}

fn structured(event_type: &str, id: &str, data: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"{SOURCE}","type":"{event_type}","datacontenttype":"application/json","data":{data}}}"#
    )
}

fn place(receipt: &Value) -> Option<At> {
    Some(At {
        partition: receipt["partition"].as_i64()?.try_into().ok()?,
        offset: receipt["offset"].as_i64()?,
    })
}

fn is_problem(body: &Value, slug: &str) -> bool {
    let kind = body["type"].as_str().unwrap_or_default();
    kind.ends_with(&format!("/problems/{slug}"))
}
