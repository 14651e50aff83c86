//! Contract tests: does an example of an event, written by people or recorded, keep its contract, and
//! can every reader read it? Pure: where samples come from is the caller's. A draft is tested like any
//! other contract, and the clock is the sample's own time.

use bytes::Bytes;
use serde_json::Value;

use crate::event::Event;
use crate::event_type;
use crate::exchange::pact::{Interaction, Mismatch};
use crate::model::EventContract;
use crate::path::Path;
use crate::reader::Reader;
use crate::tree::Tree;

/// A rule that samples are held to.
#[derive(Debug)]
pub struct Rule {
    /// Its name in findings.
    pub name: &'static str,
    /// What it asks.
    pub what: &'static str,
}

/// The rules, in the order of the guide.
pub static RULES: &[Rule] = &[
    Rule {
        name: "sample-unreadable",
        what: "a sample is the event's data in JSON, or a CloudEvent in JSON",
    },
    Rule {
        name: "sample-breaks-contract",
        what: "a sample keeps its contract: schema, rules, key, id and times",
    },
    Rule {
        name: "reader-lacks-field",
        what: "a field that a reader reads is there, unless the schema says that it may be absent",
    },
    Rule {
        name: "reader-requirement",
        what: "what a reader requires holds of every sample",
    },
    Rule {
        name: "reader-version",
        what: "a reader accepts the version of the contract",
    },
    Rule {
        name: "reader-field-unknown",
        what: "a field that a reader reads is declared by the schema",
    },
    Rule {
        name: "reader-field-unproven",
        what: "each field that a reader reads is in one sample at least",
    },
    Rule {
        name: "pact-unproven",
        what: "each message of a pact is like one sample at least",
    },
    Rule {
        name: "pact-not-judged",
        what: "all of a pact can be judged",
    },
    Rule {
        name: "no-samples",
        what: "a contract has a sample",
    },
];

/// Something that a sample or a reader does not keep.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// The name of the rule.
    pub rule: &'static str,
    /// The reader that cannot read; absent if the contract itself is broken.
    pub reader: Option<String>,
    /// Where in the event, `#/data/total`; empty if it is about no place in it.
    pub pointer: String,
    /// What is wrong, without values.
    pub detail: String,
    /// Whether something proves the contract wrong, or only nothing proves it right.
    pub is_error: bool,
}

impl Found {
    fn new(rule: &'static str, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            rule,
            reader: None,
            pointer: pointer.into(),
            detail: detail.into(),
            is_error: true,
        }
    }

    fn of(self, reader: &Reader) -> Self {
        Self {
            reader: Some(reader.name.clone()),
            ..self
        }
    }
}

/// What the samples of one contract have shown.
#[derive(Debug)]
pub struct Trial<'a> {
    contract: &'a EventContract,
    readers: Vec<&'a Reader>,
    count: usize,
    messages: Vec<Message<'a>>,
    /// The fields that readers read and no sample had.
    unproven: Vec<(&'a Reader, &'a Path)>,
}

/// A message of a pact, and the sample that is most like it so far.
#[derive(Debug)]
struct Message<'a> {
    consumer: &'a str,
    interaction: &'a Interaction,
    nearest: Option<Vec<Mismatch>>,
}

impl<'a> Trial<'a> {
    /// Begins the trial of a contract before its readers.
    pub fn new(contract: &'a EventContract, readers: impl Iterator<Item = &'a Reader>) -> Self {
        let readers: Vec<&Reader> = readers.collect();
        let unproven = readers
            .iter()
            .flat_map(|reader| reader.reads.iter().map(move |path| (*reader, path)))
            .collect();
        Self {
            contract,
            readers,
            count: 0,
            messages: Vec::new(),
            unproven,
        }
    }

    /// Adds a message of a pact: one sample at least must be like it. Not each must: a message is an
    /// example of one case («an order with a note»), and events do not say which case they are.
    pub fn expect(&mut self, consumer: &'a str, interaction: &'a Interaction) {
        self.messages.push(Message {
            consumer,
            interaction,
            nearest: None,
        });
    }

    /// Reads a sample: the data of an event, or a CloudEvent in its JSON form with its attributes.
    ///
    /// # Errors
    /// It is neither.
    pub fn read(&self, sample: &[u8]) -> Result<Event, Found> {
        let unreadable = |detail: String| Found::new("sample-unreadable", "", detail);
        let value: Value = serde_json::from_slice(sample)
            .map_err(|error| unreadable(format!("is not JSON: {error}")))?;
        let is_event = value["specversion"].is_string() && value["type"].is_string();
        match is_event {
            true => envelope(&value).map_err(unreadable),
            false => Ok(self.plain(sample)),
        }
    }

    /// Makes the event of data alone. What only an envelope has is not judged then.
    fn plain(&self, data: &[u8]) -> Event {
        let event = &self.contract.event;
        Event {
            source: event.source.for_plain_body().to_owned(),
            event_type: event_type::example(&event.event_type),
            time: event
                .time
                .from
                .is_none()
                .then(|| "2000-01-01T00:00:00Z".to_owned()),
            data: Some(Bytes::copy_from_slice(data)),
            ..Event::default()
        }
    }

    /// Tries one event; everything that is wrong with it for the contract and for each reader.
    pub fn try_event(&mut self, event: &Event) -> Vec<Found> {
        self.count += 1;
        let contract = self.contract;
        let mut found = Vec::new();
        let read = event.data.as_deref().map(|data| {
            let media_type = event.datacontenttype.as_deref();
            contract.schema.schema.read(media_type, data)
        });
        let data = read.and_then(Result::ok).map(|data| data.tree);
        let received_at_ms = contract.own_time_ms(event, data.as_ref());
        if let Err(violation) = contract.check_content(event, received_at_ms) {
            let rule = "sample-breaks-contract";
            found.extend(violation.errors.into_iter().map(|reason| {
                Found::new(
                    rule,
                    reason.pointer,
                    format!("{} ({})", reason.detail, reason.rule),
                )
            }));
            if violation.more > 0 {
                found.push(Found::new(
                    rule,
                    "",
                    format!("{} more reasons", violation.more),
                ));
            }
        }
        if let Some(data) = data {
            self.unproven.retain(|(_, path)| path.find(&data).is_none());
            for reader in &self.readers {
                found.extend(lacks(contract, reader, &data));
            }
            self.compare(&data);
        }
        found
    }

    fn compare(&mut self, data: &Tree<'_>) {
        let kept = |message: &Message<'_>| message.nearest.as_ref().is_some_and(Vec::is_empty);
        if self.messages.iter().all(kept) {
            return;
        }
        let value = data.to_value();
        for message in self.messages.iter_mut().filter(|message| !kept(message)) {
            let found = message.interaction.mismatches(&value);
            let nearest = message.nearest.as_ref();
            if nearest.is_none_or(|nearest| found.len() < nearest.len()) {
                message.nearest = Some(found);
            }
        }
    }

    /// Ends the trial: what no single sample can show.
    pub fn finish(self) -> Vec<Found> {
        let mut found = Vec::new();
        let contract = self.contract;
        if self.count == 0 {
            let detail = format!(
                "contract `{}` has no sample: nothing was tried",
                contract.name
            );
            found.push(Found {
                is_error: false,
                ..Found::new("no-samples", "", detail)
            });
        }
        for reader in &self.readers {
            if !reader.accepts.contains(contract.version) {
                let detail = format!(
                    "accepts `{}`; the contract is `{}`",
                    reader.accepts, contract.version
                );
                found.push(Found::new("reader-version", "", detail).of(reader));
            }
            for path in &reader.reads {
                if !contract.schema.schema.may_hold(path) {
                    let detail = format!("reads `{path}`, which the schema does not declare");
                    found.push(
                        Found::new("reader-field-unknown", path.pointer(), detail).of(reader),
                    );
                }
            }
        }
        found.extend(self.messages.iter().filter_map(Message::unproven));
        if self.count > 0 {
            found.extend(self.unproven.iter().map(|(reader, path)| {
                let detail = format!("reads `{path}`, which no sample has");
                let found = Found::new("reader-field-unproven", path.pointer(), detail);
                Found {
                    is_error: false,
                    ..found.of(reader)
                }
            }));
        }
        found
    }
}

impl Message<'_> {
    fn unproven(&self) -> Option<Found> {
        let what = &self.interaction.description;
        let (pointer, detail) = match self.nearest.as_deref() {
            Some([]) => return None,
            None => (
                String::new(),
                format!("no sample is like `{what}`: there is none"),
            ),
            Some([first, more @ ..]) => {
                let more = match more.len() {
                    0 => String::new(),
                    more => format!(", and {more} more"),
                };
                let Mismatch { path, detail } = first;
                (
                    path.clone(),
                    format!("no sample is like `{what}`; of the nearest `{path}` {detail}{more}"),
                )
            }
        };
        Some(Found {
            reader: Some(self.consumer.to_owned()),
            ..Found::new("pact-unproven", pointer, detail)
        })
    }
}

/// What one reader cannot read in data.
fn lacks(contract: &EventContract, reader: &Reader, data: &Tree<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for path in &reader.reads {
        if path.find(data).is_some() {
            continue;
        }
        let field = contract.schema.schema.field(path);
        if field.is_none_or(|field| field.required) {
            let detail = format!("reads `{path}`, which is not there");
            found.push(Found::new("reader-lacks-field", path.pointer(), detail).of(reader));
        }
    }
    for requirement in &reader.requires {
        let name = &requirement.name;
        let detail = match requirement.expression.holds(data) {
            Ok(true) => continue,
            Ok(false) => format!("`{name}` does not hold"),
            Err(why) => format!("`{name}` {why}"),
        };
        found.push(Found::new("reader-requirement", "#/data", detail).of(reader));
    }
    found
}

/// Reads a CloudEvent in its JSON form (CloudEvents JSON format 1.0.2 §3).
fn envelope(value: &Value) -> Result<Event, String> {
    let Value::Object(members) = value else {
        return Err("is no CloudEvent".to_owned());
    };
    let mut event = Event::default();
    for (name, value) in members {
        let text = || match value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
            _ => Err(format!("attribute `{name}` is no text, number or flag")),
        };
        match name.as_str() {
            "specversion" => {}
            "id" => event.id = text()?,
            "source" => event.source = text()?,
            "type" => event.event_type = text()?,
            "subject" => event.subject = Some(text()?),
            "time" => event.time = Some(text()?),
            "datacontenttype" => event.datacontenttype = Some(text()?),
            "dataschema" => event.dataschema = Some(text()?),
            "data" => {
                let data = event.data.insert(Bytes::from(value.to_string()));
                // A text as data of another type than JSON is that text.
                let is_json = members
                    .get("datacontenttype")
                    .and_then(Value::as_str)
                    .is_none_or(crate::event::is_json);
                if let (Value::String(text), false) = (value, is_json) {
                    *data = Bytes::from(text.clone());
                }
            }
            "data_base64" => {
                let bytes = base64(&text()?).ok_or("`data_base64` is no base64")?;
                event.data = Some(Bytes::from(bytes));
            }
            other => event.extensions.push((other.to_owned(), text()?)),
        }
    }
    event.validate().map_err(|error| error.to_string())?;
    Ok(event)
}

/// Reads data that no JSON can hold, as CloudEvents and our API write it.
pub fn base64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load;
    use crate::model::Contracts;

    const CONTRACT: &str = "apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, version: 2.1.0}
spec:
  class: fact
  lifecycle: draft
  event: {id: $.id, time: {from: $.at, maxAge: 1h}}
  schema: {file: order.json, rules: [{name: positive, expr: message.total > 0}]}
  key: {from: $.id, onMissing: reject}
---
apiVersion: contract/v1
kind: ConsumerContract
metadata: {name: billing, owner: team-billing}
spec:
  contract: order-placed
  accepts: \">=2\"
  via: {kafka: {group: billing}}
  reads: [$.id, $.total, $.note]
  requires: [{name: euros, expr: message.currency == 'EUR'}]
---
apiVersion: contract/v1
kind: ConsumerContract
metadata: {name: mail, owner: team-mail}
spec:
  contract: order-placed
  accepts: \"1\"
  via: {kafka: {group: mail}}
  reads: [$.customer.email, $.at]
";
    const SCHEMA: &str = r#"{"type": "object", "required": ["id", "total"], "properties": {
        "id": {"type": "string"}, "total": {"type": "integer"}, "currency": {"type": "string"},
        "at": {"type": "string"}, "note": {"type": "string"}}}"#;

    fn contracts() -> Contracts {
        let files = [("a.yaml".to_owned(), CONTRACT.to_owned())];
        load::sources(&files, &|_| Some(SCHEMA.to_owned())).unwrap()
    }

    fn told(found: Vec<Found>) -> Vec<String> {
        let found = found.into_iter().map(|f| {
            let level = if f.is_error { "" } else { "?" };
            let reader = f.reader.unwrap_or_else(|| "-".to_owned());
            format!("{level}{reader} {} {}: {}", f.rule, f.pointer, f.detail)
        });
        found.collect()
    }

    fn check(samples: &[&str], each: &[&[&str]], end: &[&str]) {
        let contracts = contracts();
        let contract = contracts.by_name("order-placed").unwrap();
        let mut trial = Trial::new(contract, contracts.readers_of("order-placed").map(|r| &**r));
        for (sample, expected) in samples.iter().zip(each) {
            let found = match trial.read(sample.as_bytes()) {
                Ok(event) => trial.try_event(&event),
                Err(found) => vec![found],
            };
            assert_eq!(told(found), *expected, "{sample}");
        }
        assert_eq!(told(trial.finish()), end);
    }

    const VERSION: &str = "mail reader-version : accepts `1`; the contract is `2.1.0`";
    const UNKNOWN: &str = "mail reader-field-unknown #/data/customer/email: reads `$.customer.email`, which the schema does not declare";

    #[test]
    fn each_reader_is_told_what_it_cannot_read() {
        let good = r#"{"id": "a", "total": 5, "currency": "EUR", "at": "2020-01-01T00:00:00Z", "note": "n", "customer": {"email": "e"}}"#;
        let no_email = "mail reader-lacks-field #/data/customer/email: reads `$.customer.email`, which is not there";
        check(
            &[
                good,
                r#"{"id": "a", "total": 0, "currency": "USD"}"#,
                r#"{"id": "a", "currency": "EUR", "customer": {"email": null}}"#,
                "nonsense",
            ],
            &[
                &[],
                &[
                    "- sample-breaks-contract #/data: breaks the rule `positive` (schema.rules.positive)",
                    "billing reader-requirement #/data: `euros` does not hold",
                    no_email,
                ],
                &[
                    "- sample-breaks-contract #/data/total: required (schema:required)",
                    "billing reader-lacks-field #/data/total: reads `$.total`, which is not there",
                    no_email,
                ],
                &["- sample-unreadable : is not JSON: expected ident at line 1 column 2"],
            ],
            &[VERSION, UNKNOWN],
        );
    }

    #[test]
    fn what_no_sample_shows_is_told_as_unproven() {
        check(
            &[r#"{"id": "a", "total": 5, "currency": "EUR", "customer": {"email": "e"}}"#],
            &[&[]],
            &[
                VERSION,
                UNKNOWN,
                "?billing reader-field-unproven #/data/note: reads `$.note`, which no sample has",
                "?mail reader-field-unproven #/data/at: reads `$.at`, which no sample has",
            ],
        );
        let none = "?- no-samples : contract `order-placed` has no sample: nothing was tried";
        check(&[], &[], &[none, VERSION, UNKNOWN]);
    }

    #[test]
    fn an_envelope_is_judged_too() {
        let event = |source: &str, time: &str| {
            format!(
                r#"{{"specversion": "1.0", "type": "{source}", "source": "/x", "id": "a", "time": "{time}",
                "data": {{"id": "a", "total": 5, "currency": "EUR", "at": "yesterday", "customer": {{"email": "e"}}, "note": ""}}}}"#
            )
        };
        check(
            &[
                &event("order-placed", "2020-01-01T00:00:00Z"),
                &event("other", ""),
                r#"{"specversion": "1.0", "type": "a"}"#,
            ],
            &[
                &[
                    "- sample-breaks-contract #/data/at: must be an RFC 3339 timestamp (event.time.from)",
                ],
                &["- sample-unreadable : attribute `time` is missing"],
                &["- sample-unreadable : attribute `id` is missing"],
            ],
            &[VERSION, UNKNOWN],
        );
    }
}
