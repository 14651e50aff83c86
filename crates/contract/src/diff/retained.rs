//! What the log's own events say of a new contract: each is held against it as its readers would read
//! it, and what fails is told with the first place. Pure; who reads the log hands the events over.
//!
//! An event that broke the earlier contract too does not owe that to the change: it is counted and
//! told to nobody but readers who are new. No finding repeats a value.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::readers::{at_reader, concerning, is_same, named};
use super::rules;
use super::{Change, EventPlace, Severity, change, same_schema};
use crate::check::{Reason, Violation};
use crate::event::{Event, is_json};
use crate::event_type;
use crate::model::{Contracts, EventContract, FieldRule, MissingTime, SourceRule};
use crate::path::Path;
use crate::reader::Reader;
use crate::schema::Schema;
use crate::tree::Tree;

/// An event as the log has it.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Where.
    pub place: EventPlace,
    /// When the log took it, milliseconds since 1970.
    pub at_ms: i64,
    /// The media type of the data; absent means JSON.
    pub media_type: Option<String>,
    /// The attribute `time`; absent where a Kafka client wrote the record.
    pub time: Option<String>,
    /// The data, without a schema id before it.
    pub data: Bytes,
}

/// How much of the window was looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Coverage {
    /// Events that were judged.
    pub looked_at: u64,
    /// Events that are there.
    pub of: u64,
}

impl Coverage {
    fn words(self) -> String {
        match self.looked_at == self.of {
            true => format!("{} events of the replay window", self.of),
            false => format!(
                "{} events looked at, of {} of the replay window",
                self.looked_at, self.of
            ),
        }
    }
}

/// One new contract and its readers, held against events.
#[derive(Clone, Debug)]
pub struct Judge {
    before: Option<Arc<EventContract>>,
    after: Arc<EventContract>,
    readers: Vec<ReaderJudge>,
    /// Whether events are held against the contract, not against readers' rules only.
    contract_changed: bool,
}

#[derive(Clone, Debug)]
struct ReaderJudge {
    reader: Arc<Reader>,
    /// It is new, or reads other fields than before.
    is_new: bool,
    /// Which of its rules are new.
    new_rules: Vec<bool>,
}

/// What was found so far.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    looked_at: u64,
    already: u64,
    contract: Failing,
    /// By reader, then by field; one without `reads` has the empty name.
    fields: BTreeMap<(usize, String), Failing>,
    /// By reader and rule.
    rules: BTreeMap<(usize, usize), Failing>,
}

#[derive(Clone, Debug, Default)]
struct Failing {
    count: u64,
    /// The earliest: when, where and why.
    first: Option<(i64, EventPlace, String)>,
}

impl Failing {
    fn add(&mut self, stored: &Stored, why: impl FnOnce() -> String) {
        self.count += 1;
        let key = (stored.at_ms, &stored.place);
        if self
            .first
            .as_ref()
            .is_none_or(|(at, place, _)| key < (*at, place))
        {
            self.first = Some((stored.at_ms, stored.place.clone(), why()));
        }
    }
}

impl Judge {
    /// Makes the judge of one contract of a new set; nothing if neither the contract nor a reader
    /// changed in a way that events could tell, or the contract takes none.
    pub fn new(old: &Contracts, new: &Contracts, after: &Arc<EventContract>) -> Option<Self> {
        let before = old.by_name(&after.name).cloned();
        if !after.lifecycle.accepts_events() {
            return None;
        }
        let contract_changed = before.as_ref().is_none_or(|before| differs(before, after));
        let readers = new.readers_of(&after.name).map(|reader| {
            let known = old.reader(&reader.name);
            let rules = reader.requires.iter().map(|rule| {
                let text = rule.expression.as_str();
                !known.is_some_and(|known| {
                    let mut rules = known.requires.iter();
                    rules.any(|other| other.expression.as_str() == text)
                })
            });
            ReaderJudge {
                is_new: !known.is_some_and(|known| {
                    is_same(Some(known), reader)
                        || (known.reads == reader.reads && known.contract == reader.contract)
                }),
                new_rules: rules.collect(),
                reader: Arc::clone(reader),
            }
        });
        let readers: Vec<ReaderJudge> = readers.collect();
        let of_readers = readers
            .iter()
            .any(|reader| reader.is_new || reader.new_rules.contains(&true));
        (contract_changed || of_readers).then_some(Self {
            before,
            after: Arc::clone(after),
            readers,
            contract_changed,
        })
    }

    /// Returns the contract that is judged.
    pub fn contract(&self) -> &EventContract {
        &self.after
    }

    /// Returns the contract whose topic has the events.
    pub fn in_force(&self) -> Option<&EventContract> {
        self.before.as_deref()
    }

    /// Judges one event; `writer` is the schema it was written under, where its record says so.
    pub fn judge(&self, tally: &mut Tally, stored: &Stored, writer: Option<&Schema>) {
        tally.looked_at += 1;
        // Without a word of the record, it was written under the contract in force.
        let in_force = self.before.as_ref().map(|before| &before.schema.schema);
        let writer = writer.or(in_force);
        let failed = violation(&self.after, writer, stored);
        let failed_before = || {
            let before = self.before.as_ref();
            before.is_some_and(|before| violation(before, writer, stored).is_some())
        };
        if let Some(failed) = &failed {
            let is_news = !failed_before();
            match is_news && self.contract_changed {
                true => tally.contract.add(stored, || words(failed.errors.first())),
                false => tally.already += 1,
            }
            for (place, judged) in self.readers.iter().enumerate() {
                if is_news || judged.is_new {
                    fields(tally, place, &judged.reader, failed, stored);
                }
            }
        }
        let has_rules = self.readers.iter().any(|it| !it.reader.requires.is_empty());
        if !has_rules {
            return;
        }
        // What cannot be read is told above.
        let schema = &self.after.schema.schema;
        let media_type = stored.media_type.as_deref();
        let Ok(value) = schema.as_reader(writer, media_type, &stored.data) else {
            return;
        };
        let data = Tree::from(value);
        for (place, judged) in self.readers.iter().enumerate() {
            for (rule, required) in judged.reader.requires.iter().enumerate() {
                let why = match required.expression.holds(&data) {
                    Ok(true) => continue,
                    Ok(false) => "it is not true".to_owned(),
                    Err(why) => format!("it {why}"),
                };
                let failing = tally.rules.entry((place, rule)).or_default();
                failing.add(stored, || why);
            }
        }
    }

    /// Returns what was found, as changes; `of` is how many events are there.
    pub fn findings(&self, tally: &Tally, of: u64) -> Vec<Change> {
        let coverage = Coverage {
            looked_at: tally.looked_at,
            of: of.max(tally.looked_at),
        };
        let mut changes = Vec::new();
        let key = "spec.schema.file";
        if let Some((count, place, why)) = tally.contract.told() {
            let message = format!("{count} of {} break the contract: {why}", coverage.words());
            let message = format!("{message}; the first is {}", at(&place));
            let (after, rule) = (&self.after, &rules::RETAINED_FAIL);
            let mut found = change(after, &after.name, key, rule, message);
            // Whoever promised nothing about what is kept may leave it behind.
            let promised = self.before.as_ref().is_none_or(|before| {
                let directions = before.schema.compatibility.directions();
                directions.contains(&crate::schema::compatibility::Direction::Backward)
            });
            if !promised {
                found.weigh(Severity::Risky);
            }
            found.first_offset = Some(place);
            changes.push(found);
        }
        for ((place, field), failing) in &tally.fields {
            let Some((count, first, why)) = failing.told() else {
                continue;
            };
            let judged = &self.readers[*place];
            let (reader, rule) = (&judged.reader, &rules::READER_EVENTS_FAIL);
            let what = match field.is_empty() {
                true => "reads any field".to_owned(),
                false => format!("reads `{field}`"),
            };
            let message = format!(
                "{} {what}, and {count} of {} fail there: {why}; the first is {}",
                named(reader),
                coverage.words(),
                at(&first)
            );
            let field = (!field.is_empty()).then(|| field.clone());
            let mut found = match judged.is_new && !self.contract_changed {
                true => at_reader(reader, "spec.contract", rule, message, field),
                false => {
                    let found = change(&self.after, &self.after.name, key, rule, message);
                    concerning(reader, field, found)
                }
            };
            found.first_offset = Some(first);
            changes.push(found);
        }
        for ((place, number), failing) in &tally.rules {
            let Some((count, first, why)) = failing.told() else {
                continue;
            };
            let judged = &self.readers[*place];
            let (reader, required) = (&judged.reader, &judged.reader.requires[*number]);
            let (rule, when) = match judged.new_rules[*number] || judged.is_new {
                true => (&rules::READER_EVENTS_FAIL, ""),
                false => (&rules::READER_EVENTS_FAILED, ", as before this change"),
            };
            let message = format!(
                "{} requires `{}`, and {count} of {} break that{when}: {why}; the first is {}",
                named(reader),
                required.name,
                coverage.words(),
                at(&first)
            );
            let key = format!("spec.requires[{number}].expr");
            let mut found = at_reader(reader, &key, rule, message, None);
            found.first_offset = Some(first);
            changes.push(found);
        }
        changes
    }
}

impl Tally {
    /// Returns how many events were judged.
    pub fn looked_at(&self) -> u64 {
        self.looked_at
    }

    /// Returns how many of them broke the contract in force too.
    pub fn broken_already(&self) -> u64 {
        self.already
    }
}

impl Failing {
    fn told(&self) -> Option<(u64, EventPlace, &str)> {
        let (_, place, why) = self.first.as_ref()?;
        Some((self.count, place.clone(), why))
    }
}

fn at(place: &EventPlace) -> String {
    let EventPlace {
        topic,
        partition,
        offset,
    } = place;
    format!("`{topic}` partition {partition} offset {offset}")
}

fn words(reason: Option<&Reason>) -> String {
    reason.map_or_else(String::new, |reason| {
        format!("`{}` {} ({})", reason.pointer, reason.detail, reason.rule)
    })
}

/// Says whether two contracts may judge an event in two ways.
fn differs(before: &EventContract, after: &EventContract) -> bool {
    let rules = |rules: &[FieldRule]| -> Vec<(String, bool)> {
        let warns = |rule: &FieldRule| rule.on_failure == crate::model::OnFailure::Warn;
        let rules = rules.iter();
        rules
            .map(|rule| (rule.expression.as_str().to_owned(), warns(rule)))
            .collect()
    };
    let (old, new) = (&before.event, &after.event);
    !same_schema(before, after)
        || rules(&before.schema.rules) != rules(&after.schema.rules)
        || before.key.from != after.key.from
        || before.key.on_missing != after.key.on_missing
        || old.id != new.id
        || old.time.from != new.time.from
        || old.time.on_missing != new.time.on_missing
        || old.time.max_age != new.time.max_age
        || old.time.max_skew != new.time.max_skew
}

/// Checks an event of the log; nothing if it keeps the contract.
fn violation(
    contract: &EventContract,
    writer: Option<&Schema>,
    stored: &Stored,
) -> Option<Violation> {
    if !contract.lifecycle.accepts_events() {
        return None;
    }
    let media_type = stored.media_type.as_deref();
    let schema = &contract.schema.schema;
    let readers_own = matches!(schema, Schema::Json(_)) && media_type.is_none_or(is_json);
    let (media_type, data) = match readers_own {
        true => (stored.media_type.clone(), stored.data.clone()),
        // What cannot be read is left to the check, which says why.
        false => match schema.as_reader(writer, media_type, &stored.data) {
            Ok(value) => (None, Bytes::from(value.to_string())),
            Err(_) => (stored.media_type.clone(), stored.data.clone()),
        },
    };
    let source = match &contract.event.source {
        SourceRule::Any { plain } => plain,
        SourceRule::Only(source) => source,
    };
    // A record of a Kafka client has the log's time.
    let time = stored.time.clone();
    let has_own_time = time.is_some() || contract.event.time.from.is_some();
    let event = Event {
        source: source.clone(),
        event_type: event_type::example(&contract.event.event_type),
        time,
        datacontenttype: media_type,
        data: Some(data),
        ..Event::default()
    };
    let mut found = contract.check(&event, stored.at_ms).err()?;
    found.errors.retain(|reason| match reason.rule.as_str() {
        // The data may have been smaller in its own encoding.
        "topic.maxMessage" => false,
        "event.time.onMissing" => {
            contract.event.time.on_missing == MissingTime::Reject && has_own_time
        }
        _ => true,
    });
    (!found.errors.is_empty()).then_some(found)
}

/// Counts for a reader each of its fields that an event fails at; for one that says none, any failure.
fn fields(tally: &mut Tally, place: usize, reader: &Reader, failed: &Violation, stored: &Stored) {
    let mut of_schema = failed
        .errors
        .iter()
        .filter(|reason| reason.rule.starts_with("schema:") || reason.rule == "schema.format");
    if reader.reads.is_empty() {
        if let Some(reason) = of_schema.next() {
            let failing = tally.fields.entry((place, String::new())).or_default();
            failing.add(stored, || words(Some(reason)));
        }
        return;
    }
    let reasons: Vec<&Reason> = of_schema.collect();
    for path in &reader.reads {
        let hit = reasons.iter().find(|reason| meets(&reason.pointer, path));
        if let Some(reason) = hit {
            let failing = tally.fields.entry((place, path.to_string())).or_default();
            failing.add(stored, || words(Some(reason)));
        }
    }
}

/// Says whether a reason stands at a field, inside it, or around it.
fn meets(pointer: &str, path: &Path) -> bool {
    let field = path.pointer();
    let inside = |outer: &str, inner: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    inside(pointer, &field) || inside(&field, pointer)
}
