//! The questions that come before a topic, as a table and a tree: what is it, who reads it, which order
//! matters, what happens when it comes twice, who lags and how long, who answers for it. Some answers
//! end in «not with tidegate», with what fits instead. Pure: a terminal asks, this decides.

use super::{Draft, FirstReader, Order, infer, stub};
use crate::model::Class;
use crate::path::Path;
use crate::units::{Duration, Rate};

/// A question.
#[derive(Debug)]
pub struct Question {
    /// Names it among the answers.
    pub id: &'static str,
    /// What people read.
    pub text: &'static str,
    /// Why it is asked, in a line.
    pub why: &'static str,
    /// What may be answered.
    pub form: Form,
}

/// What may be answered.
#[derive(Debug)]
pub enum Form {
    /// One of these.
    Choice(&'static [Choice]),
    /// A text of a kind.
    Text {
        /// What it is, with an example.
        what: &'static str,
        /// An answer that fits.
        sample: &'static str,
        /// What an empty answer means; without one, there has to be an answer.
        default: Option<&'static str>,
        /// Says whether an answer fits.
        check: fn(&str) -> bool,
    },
}

/// One of the answers of a choice.
#[derive(Debug)]
pub struct Choice {
    /// What is typed.
    pub word: &'static str,
    /// What it means.
    pub text: &'static str,
}

/// What is known without asking.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The contract's name.
    pub name: String,
    /// The teams that are there.
    pub teams: Vec<String>,
    /// Samples of the data.
    pub samples: Vec<serde_json::Value>,
}

/// What was answered so far, in order.
#[derive(Clone, Debug, Default)]
pub struct Answers(Vec<(&'static Question, String)>);

/// What comes next.
#[derive(Debug)]
pub enum Step {
    /// This question.
    Ask(&'static Question),
    /// Nothing: this is to be written.
    Write(Box<Draft>),
    /// Nothing: this is no work for tidegate.
    Refuse(&'static Refusal),
}

/// Why something is no work for tidegate.
#[derive(Debug)]
pub struct Refusal {
    /// What speaks against it.
    pub why: &'static str,
    /// What fits.
    pub instead: &'static str,
}

const fn choice(word: &'static str, text: &'static str) -> Choice {
    Choice { word, text }
}

static WHAT: Question = Question {
    id: "what",
    text: "What is it?",
    why: "an event, a job, a question and a file want different homes",
    form: Form::Choice(&[
        choice("fact", "something happened, and others may want to know"),
        choice(
            "command",
            "somebody shall do something, and the sender does not wait for it",
        ),
        choice("telemetry", "a measurement, one of very many"),
        choice("job", "work that my own service does later"),
        choice("call", "a question whose answer the sender waits for"),
        choice("file", "a picture, a document, anything of many megabytes"),
        choice("query", "a way to look up how things are now"),
    ]),
};

static WHO: Question = Question {
    id: "who",
    text: "Who reads it?",
    why: "a contract is between two; one alone needs none",
    form: Form::Choice(&[
        choice(
            "others",
            "services of others, some of which nobody knows yet",
        ),
        choice("one", "one other service"),
        choice("self", "only the service that sends it"),
    ]),
};

static ORDER: Question = Question {
    id: "order",
    text: "Which of them must be read in the order they came?",
    why: "order costs: what is ordered is read by one reader at a time",
    form: Form::Choice(&[
        choice("thing", "those about the same thing, such as one order"),
        choice("all", "all of them, one after the other"),
        choice("none", "each stands for itself"),
    ]),
};

static KEY: Question = Question {
    id: "key",
    text: "What is it about? Name the field of the data that holds its id.",
    why: "the key decides what is in one order and which partition it goes to",
    form: Form::Text {
        what: "a path such as `$.orderId`",
        sample: "$.orderId",
        default: None,
        check: |text| text.parse::<Path>().is_ok(),
    },
};

static TWICE: Question = Question {
    id: "twice",
    text: "What happens when it comes twice?",
    why: "networks repeat; delivery is at least once",
    form: Form::Choice(&[
        choice("nothing", "the second one changes nothing"),
        choice("harm", "something is paid, sent or counted twice"),
    ]),
};

static ID: Question = Question {
    id: "id",
    text: "Which field of the data tells one event from every other? Empty: the sender brings a key of its own.",
    why: "a repeat is known by it at the door, and gets its first receipt",
    form: Form::Text {
        what: "a path such as `$.paymentId`, or nothing",
        sample: "$.paymentId",
        default: Some(""),
        check: |text| text.is_empty() || text.parse::<Path>().is_ok(),
    },
};

static PEAK: Question = Question {
    id: "peak",
    text: "How many come at the busiest time?",
    why: "partitions cannot be taken away, and adding them breaks the order of keys",
    form: Form::Text {
        what: "a rate such as `200/s` or `50/m`",
        sample: "2500/s",
        default: Some("100/s"),
        check: |text| {
            text.parse()
                .is_ok_and(|rate: Rate| rate.per_second() <= 1_000_000)
        },
    },
};

static ONE_LANE_PEAK: Question = Question {
    id: "peak",
    text: "How many come at the busiest time? One lane carries about 1000/s.",
    why: "all in one order is one partition with one reader; for more, order by what it is about",
    form: Form::Text {
        what: "a rate of at most `1000/s`",
        sample: "200/s",
        default: Some("100/s"),
        check: |text| {
            text.parse()
                .is_ok_and(|rate: Rate| rate.per_second() <= 1_000)
        },
    },
};

static READER: Question = Question {
    id: "reader",
    text: "Who reads it first? A name for that reader; empty if nobody is there yet.",
    why: "a reader that is written down is asked before a change breaks it",
    form: Form::Text {
        what: "a name of lower-case letters, digits and `-`, or nothing",
        sample: "billing",
        default: Some(""),
        check: |text| text.is_empty() || is_name(text),
    },
};

static LAG: Question = Question {
    id: "lag",
    text: "How fast must it be? How old its oldest unread event may become.",
    why: "beyond that somebody is told",
    form: Form::Text {
        what: "a duration such as `30s`, `5m` or `4h`, at most `30d`",
        sample: "30s",
        default: Some("5m"),
        check: |text| at_most_days(text, 30),
    },
};

static OUTAGE: Question = Question {
    id: "outage",
    text: "Who lags, and how long? The longest that it may be down without losing events.",
    why: "the log keeps events at least that long; count weekends and holidays",
    form: Form::Text {
        what: "a duration such as `12h` or `4d`, at most `50d`",
        sample: "45d",
        default: Some("4d"),
        check: |text| at_most_days(text, 50),
    },
};

static OWNER: Question = Question {
    id: "owner",
    text: "Who answers for it? The name of a team.",
    why: "events that break the contract wait for somebody",
    form: Form::Text {
        what: "a team's name such as `team-orders`",
        sample: "team-orders",
        default: None,
        check: is_name,
    },
};

static PAGER: Question = Question {
    id: "pager",
    text: "That team is new here. How is it reached?",
    why: "an owner that nobody can reach is none",
    form: Form::Text {
        what: "`mailto:…` or `webhook:https://…`",
        sample: "mailto:orders@example.com",
        default: None,
        check: |text| {
            let rest = text.strip_prefix("mailto:");
            let rest = rest.or_else(|| text.strip_prefix("webhook:https://"));
            let fits = |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic());
            rest.is_some_and(fits) && text.len() <= 500
        },
    },
};

static SUMMARY: Question = Question {
    id: "summary",
    text: "In a sentence: what does it mean when this event is there?",
    why: "whoever meets it in five years reads this first",
    form: Form::Text {
        what: "a sentence of at most 500 characters",
        sample: "A customer's order was accepted: \"it\" will be charged.",
        default: None,
        check: |text| {
            !text.trim().is_empty()
                && text.chars().count() <= 500
                && !text.contains(char::is_control)
        },
    },
};

static JOB: Refusal = Refusal {
    why: "work of one service has one reader, needs no history, and nobody has to agree on its shape",
    instead: "a table of jobs in the service's own database (`for update skip locked`), in the transaction that makes \
              the job; or cron, if it is time that starts it",
};
static CALL: Refusal = Refusal {
    why: "whoever waits for an answer needs it or an error now; a log has neither, and the waiting turns every delay of a \
          reader into one of the sender",
    instead: "HTTP or gRPC, with a timeout; tell others by an event when it is done",
};
static FILE: Refusal = Refusal {
    why: "every reader, every copy and every replay carries the bytes; the log's limit is meant for events",
    instead: "an object store, and an event that says where the file is and what its checksum is (CloudEvents `dataref`)",
};
static QUERY: Refusal = Refusal {
    why: "a log tells what happened, in order; it finds nothing by a field and does not know how things are now",
    instead: "a database or a search index that reads the events and answers from its own tables",
};
static OWN: Refusal = Refusal {
    why: "nobody else reads it, so there is nobody to promise anything to",
    instead: "the service's own database: a table of jobs, or of what happened; come back when a second reader does",
};
static OWN_MEASUREMENTS: Refusal = Refusal {
    why: "nobody else reads the measurements, and one that is lost is no loss",
    instead: "a metrics system such as Prometheus, which asks the service itself",
};

/// Decides what comes after these answers.
pub fn next(known: &Known, answers: &Answers) -> Step {
    let mut tree = Tree {
        answers,
        open: None,
    };
    let found = tree.walk(known);
    match (tree.open, found) {
        (Some(question), _) => Step::Ask(question),
        (None, Some(Ok(draft))) => Step::Write(Box::new(draft)),
        (None, Some(Err(refusal))) => Step::Refuse(refusal),
        (None, None) => Step::Ask(&WHAT),
    }
}

struct Tree<'a> {
    answers: &'a Answers,
    open: Option<&'static Question>,
}

impl<'a> Tree<'a> {
    /// Returns the answer to a question; without one, the question is what comes next.
    fn ask(&mut self, question: &'static Question) -> Option<&'a str> {
        let found = self.answers.get(question.id);
        if found.is_none() {
            self.open = Some(question);
        }
        found
    }

    fn walk(&mut self, known: &Known) -> Option<Result<Draft, &'static Refusal>> {
        let class = match self.ask(&WHAT)? {
            "job" => return Some(Err(&JOB)),
            "call" => return Some(Err(&CALL)),
            "file" => return Some(Err(&FILE)),
            "query" => return Some(Err(&QUERY)),
            word => word.parse::<Class>().ok()?,
        };
        if self.ask(&WHO)? == "self" {
            return Some(Err(match class {
                Class::Telemetry => &OWN_MEASUREMENTS,
                Class::Fact | Class::Command => &OWN,
            }));
        }
        let order = match self.ask(&ORDER)? {
            "all" => Order::All,
            "none" => Order::None,
            _ => Order::Key,
        };
        let key: Path = self.ask(&KEY)?.parse().ok()?;
        let harm = self.ask(&TWICE)? == "harm";
        let id: Option<Path> = match harm {
            true => self.ask(&ID)?.parse().ok(),
            false => None,
        };
        let peak = match order {
            Order::All => &ONE_LANE_PEAK,
            Order::Key | Order::None => &PEAK,
        };
        let peak = self.ask(peak)?.parse().ok();
        let reader = match self.ask(&READER)? {
            "" => None,
            name => Some(FirstReader {
                name: name.to_owned(),
                max_lag: self.ask(&LAG)?.parse().ok()?,
                outage: self.ask(&OUTAGE)?.parse().ok()?,
            }),
        };
        let owner = self.ask(&OWNER)?.to_owned();
        let pager = match known.teams.contains(&owner) {
            true => None,
            false => Some(self.ask(&PAGER)?.to_owned()),
        };
        let summary = Some(self.ask(&SUMMARY)?.to_owned());
        let schema = match known.samples.as_slice() {
            [] => stub(
                &known.name,
                &[Some(&key), id.as_ref()]
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>(),
            ),
            samples => infer(&known.name, samples),
        };
        Some(Ok(Draft {
            name: known.name.clone(),
            class,
            owner,
            pager,
            summary,
            key,
            order,
            id,
            identity_required: harm,
            peak,
            reader,
            schema,
            because: self.answers.because(),
        }))
    }
}

impl Question {
    /// Reads what was typed: the answer, or what is wrong with it. A choice is named or counted.
    ///
    /// # Errors
    /// What would fit.
    pub fn read(&self, typed: &str) -> Result<String, String> {
        let typed = typed.trim();
        match &self.form {
            Form::Choice(choices) => {
                let counted = typed.parse::<usize>().ok();
                let found = choices
                    .iter()
                    .enumerate()
                    .find(|(at, choice)| choice.word == typed || counted == Some(at + 1));
                let words: Vec<&str> = choices.iter().map(|choice| choice.word).collect();
                found
                    .map(|(_, choice)| choice.word.to_owned())
                    .ok_or_else(|| {
                        format!(
                            "`{}` is none of the answers: {}",
                            short(typed),
                            words.join(", ")
                        )
                    })
            }
            Form::Text {
                what,
                default,
                check,
                ..
            } => match (typed, default) {
                ("", Some(default)) => Ok((*default).to_owned()),
                (typed, _) if check(typed) => Ok(typed.to_owned()),
                (typed, _) => Err(format!("`{}` is not {what}", short(typed))),
            },
        }
    }
}

impl Answers {
    /// Adds an answer that `Question::read` gave.
    pub fn add(&mut self, question: &'static Question, answer: String) {
        self.0.push((question, answer));
    }

    fn get(&self, id: &str) -> Option<&str> {
        let found = self.0.iter().find(|(question, _)| question.id == id);
        found.map(|(_, answer)| answer.as_str())
    }

    /// Returns each question with its answer, as a comment.
    fn because(&self) -> Vec<(&'static str, String)> {
        let lines = self.0.iter().map(|(question, answer)| {
            let meant = match &question.form {
                Form::Choice(choices) => choices
                    .iter()
                    .find(|choice| choice.word == answer)
                    .map_or(answer.as_str(), |choice| choice.text),
                Form::Text { .. } => answer,
            };
            let text = question
                .text
                .split_inclusive('?')
                .next()
                .unwrap_or_default();
            (question.id, format!("{text} {meant}."))
        });
        lines.collect()
    }
}

fn is_name(text: &str) -> bool {
    let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    let ends = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = text.as_bytes();
    bytes.len() <= 100
        && bytes.iter().all(|b| inside(*b))
        && ends(bytes.first())
        && ends(bytes.last())
}

fn at_most_days(text: &str, days: u64) -> bool {
    text.parse()
        .is_ok_and(|time: Duration| time.as_ms() <= days * super::DAY_MS)
}

fn short(typed: &str) -> String {
    typed.chars().filter(|c| !c.is_control()).take(60).collect()
}
