//! Pacts of version 4 with asynchronous messages: what another team's tests say its reader needs. A pact
//! becomes a `ConsumerContract`, and its interactions are held against samples of events.
//!
//! The reference crates (`pact_models`, `pact_matching`) bring an HTTP client with a second TLS library,
//! which `deny.toml` bans, and two regular-expression engines; of them a reader of messages needs the
//! rules for JSON, which are in `matching`. A rule that is not known there is told, never passed over.

mod matching;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::homecoming::Draft;
use super::words::{slug, text};
use super::{ExchangeError, Imported, MAX_DOCUMENT_BYTES};
use crate::model::Contracts;
use crate::path::Path;

pub use self::matching::Mismatch;
use self::matching::{Matcher, Rules, Step};

/// More interactions a file help nobody.
const MAX_INTERACTIONS: usize = 1_000;
/// What one reader may say (`format/keys/consumer_contract.rs`).
const MAX_READS: usize = 200;
const MAX_REQUIRES: usize = 50;

/// A pact: what one consumer needs of the messages of one provider.
#[derive(Debug)]
pub struct Pact {
    /// The consumer's name.
    pub consumer: String,
    /// Its messages.
    pub interactions: Vec<Interaction>,
    /// Sentences on what of the file is not judged.
    pub told: Vec<String>,
}

/// One message that the consumer can process.
#[derive(Debug)]
pub struct Interaction {
    /// What it is, for people.
    pub description: String,
    /// Names by which the contract may be found: its own name, its event type, its topic.
    pub about: Vec<String>,
    contents: Value,
    rules: Rules,
}

/// Reads a pact. `name` tells people which one it is.
///
/// # Errors
/// It is no pact of version 4, or it has no message whose contents are JSON.
pub fn read(name: &str, text_: &str) -> Result<Pact, ExchangeError> {
    let wrong = |message: String| {
        ExchangeError::new(
            message,
            "a pact of specification 4 with `Asynchronous/Messages`",
        )
    };
    if text_.len() > MAX_DOCUMENT_BYTES {
        return Err(wrong(format!(
            "`{name}` is larger than {} MiB",
            MAX_DOCUMENT_BYTES >> 20
        )));
    }
    let document: Value = serde_json::from_str(text_)
        .map_err(|error| wrong(format!("`{name}` is not JSON: {error}")))?;
    let version = text(&document, "/metadata/pactSpecification/version").unwrap_or_default();
    let consumer = text(&document, "/consumer/name").unwrap_or_default();
    if !version.starts_with('4') || consumer.is_empty() {
        let found = if version.is_empty() { "none" } else { version };
        return Err(wrong(format!(
            "`{name}` is no pact of version 4: its specification is `{found}`"
        )));
    }
    let mut pact = Pact {
        consumer: consumer.to_owned(),
        interactions: Vec::new(),
        told: Vec::new(),
    };
    let all = document["interactions"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    if all.len() > MAX_INTERACTIONS {
        return Err(wrong(format!(
            "`{name}` has more than {MAX_INTERACTIONS} interactions"
        )));
    }
    for interaction in all {
        let description = text(interaction, "/description")
            .unwrap_or("a message")
            .to_owned();
        let tell = |why: &str| format!("interaction `{description}` is not judged: {why}");
        if text(interaction, "/type") != Some("Asynchronous/Messages") {
            pact.told.push(tell("it is no asynchronous message"));
            continue;
        }
        let kind = text(interaction, "/contents/contentType");
        let encoded = !matches!(
            &interaction["contents"]["encoded"],
            Value::Null | Value::Bool(false)
        );
        let contents = interaction.pointer("/contents/content");
        let (Some(contents), true, false) =
            (contents, kind.is_none_or(crate::event::is_json), encoded)
        else {
            pact.told.push(tell("its contents are not JSON"));
            continue;
        };
        let (rules, told) = Rules::read(&interaction["matchingRules"]["body"]);
        pact.told.extend(told.iter().map(|why| tell(why)));
        if !told.is_empty() {
            continue;
        }
        for (part, why) in [
            ("/matchingRules/metadata", "its metadata"),
            (
                "/providerStates",
                "its provider states: recorded events have none",
            ),
        ] {
            let there = interaction.pointer(part).is_some_and(|value| {
                value.as_array().map_or(0, Vec::len)
                    + value.as_object().map_or(0, serde_json::Map::len)
                    > 0
            });
            if there {
                pact.told
                    .push(format!("of interaction `{description}` not judged: {why}"));
            }
        }
        pact.interactions.push(Interaction {
            about: about(interaction),
            contents: contents.clone(),
            description,
            rules,
        });
    }
    if pact.interactions.is_empty() {
        let told = pact.told.join("; ");
        return Err(wrong(format!(
            "`{name}` has no message that can be judged: {told}"
        )));
    }
    Ok(pact)
}

/// What the metadata of a message says of where it belongs, by the names that teams use.
fn about(interaction: &Value) -> Vec<String> {
    const NAMES: [&str; 8] = [
        "contract",
        "ce_type",
        "ce-type",
        "type",
        "eventType",
        "topic",
        "kafka_topic",
        "kafkaTopic",
    ];
    let metadata = &interaction["metadata"];
    let named = NAMES.iter().filter_map(|name| metadata[*name].as_str());
    named.map(str::to_owned).collect()
}

impl Interaction {
    /// Compares the data of an event with what the consumer needs; nothing if it can process it.
    pub fn mismatches(&self, data: &Value) -> Vec<Mismatch> {
        self.rules.compare(&self.contents, data)
    }

    /// Returns the name of the contract that its metadata speaks of: one of `known`, if one there has this
    /// name, event type or topic; else the first name that can be a contract's.
    pub fn contract(&self, known: Option<&Contracts>) -> Option<String> {
        let of = |about: &String| {
            known?.iter().find(|contract| {
                [
                    &contract.name,
                    &contract.event.event_type,
                    &contract.topic.name,
                ]
                .contains(&about)
            })
        };
        match self.about.iter().find_map(of) {
            Some(contract) => Some(contract.name.clone()),
            None => slug(self.about.first()?),
        }
    }
}

/// Makes a reader of a pact. `contract` names what it reads; without it the pact's metadata does, by a
/// contract's name or by the event type or topic of one of `known`.
///
/// # Errors
/// Nobody says which contract it reads, or it reads several.
pub fn import(
    name: &str,
    text: &str,
    contract: Option<&str>,
    known: Option<&Contracts>,
) -> Result<Imported, ExchangeError> {
    let pact = read(name, text)?;
    let contracts: BTreeSet<String> = match contract {
        Some(contract) => [contract.to_owned()].into(),
        None => pact
            .interactions
            .iter()
            .filter_map(|interaction| interaction.contract(known))
            .collect(),
    };
    let mut contracts = contracts.into_iter();
    let (Some(contract), None) = (contracts.next(), contracts.next()) else {
        let message = format!("`{name}` does not say which one contract its messages are of");
        return Err(ExchangeError::new(message, "name it with `--contract`"));
    };
    let reader = slug(&pact.consumer).ok_or_else(|| {
        let message = format!("the consumer of `{name}` has no name that a reader can have");
        ExchangeError::new(message, "give it one of letters and digits")
    })?;
    // It was written against what is there; without that, against a first version.
    let version = known
        .and_then(|known| known.by_name(&contract))
        .map(|c| c.version);
    let (major, minor) = version.map_or((1, 0), |version| (version.major, version.minor));
    let accepts = format!(">={major}.{minor} <{}", major + 1);
    let mut draft = Draft {
        file: format!("{reader}.reader.yaml"),
        document: json!({
            "apiVersion": "contract/v1",
            "kind": "ConsumerContract",
            "metadata": { "name": reader, "owner": reader },
            "spec": {
                "summary": format!("From the pact of {}.", pact.consumer),
                "contract": contract,
                "accepts": accepts,
                "via": { "kafka": { "group": reader } },
            },
        }),
        told: pact.told.clone(),
        ..Draft::default()
    };
    let needs = Needs::of(&pact);
    if !needs.reads.is_empty() {
        draft.document["spec"]["reads"] = json!(needs.reads);
    }
    if !needs.requires.is_empty() {
        draft.document["spec"]["requires"] = Value::Array(needs.requires);
    }
    draft.told.extend(needs.told);
    draft.told.push(format!(
        "reader `{reader}`: a pact does not say them, so these were assumed: `accepts: \"{accepts}\"`, \
         consumer group `{reader}`, owner `{reader}`"
    ));
    draft.load().map_err(|problem| {
        let message = format!("`{name}` does not make a reader: {problem}");
        ExchangeError::new(message, "write the reader by hand")
    })?;
    let mut imported = Imported::default();
    draft.finish(&mut imported);
    Ok(imported)
}

/// What a pact asks of the data, in the words of a reader.
#[derive(Default)]
struct Needs {
    reads: Vec<String>,
    requires: Vec<Value>,
    told: Vec<String>,
}

impl Needs {
    fn of(pact: &Pact) -> Self {
        let mut needs = Self::default();
        // A reader's requirement is of every event; what only some messages ask is none.
        let mut asked: BTreeMap<String, usize> = BTreeMap::new();
        for interaction in &pact.interactions {
            let mut here = Vec::new();
            needs.value(
                interaction,
                &interaction.contents,
                &mut Vec::new(),
                &mut here,
            );
            here.sort();
            here.dedup();
            for expression in here {
                *asked.entry(expression).or_default() += 1;
            }
        }
        for (expression, count) in asked {
            if count == pact.interactions.len() && needs.requires.len() < MAX_REQUIRES {
                needs.requires.push(json!({ "expr": expression }));
            } else {
                needs.tell(format!(
                    "`{expression}` is asked of some messages only, or is one too many"
                ));
            }
        }
        needs
    }

    fn tell(&mut self, sentence: String) {
        if !self.told.contains(&sentence) {
            self.told.push(sentence);
        }
    }

    fn value(
        &mut self,
        of: &Interaction,
        value: &Value,
        at: &mut Vec<Step>,
        asked: &mut Vec<String>,
    ) {
        if let Value::Object(members) = value
            && !members.is_empty()
        {
            for (name, inner) in members {
                at.push(Step::Name(name.clone()));
                self.value(of, inner, at, asked);
                at.pop();
            }
            return;
        }
        let names = at.iter().map(|step| match step {
            Step::Name(name) => Some(name.as_str()),
            Step::Index(_) => None,
        });
        let names: Option<Vec<&str>> = names.collect();
        let path = format!("$.{}", names.unwrap_or_default().join("."));
        if path.parse::<Path>().is_err() {
            self.tell(format!("`{path}` is not a path that a reader can have"));
            return;
        }
        if !self.reads.contains(&path) && self.reads.len() < MAX_READS {
            self.reads.push(path.clone());
        }
        if value.as_array().is_some_and(|items| !items.is_empty()) {
            self.tell(format!("what is inside the list `{path}` is not said by `reads`; `contract test --pact` tries it"));
        }
        let field = format!("message{}", path.trim_start_matches('$'));
        // Names that CEL cannot spell stay unsaid.
        let spelt = path.trim_start_matches("$.").split('.').all(|name| {
            !name.starts_with(|c: char| c.is_ascii_digit())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        });
        for matcher in of.rules.at(at) {
            match matcher.expression(&field, value) {
                Some(expression) if spelt => asked.push(expression),
                Some(_) => self.tell(format!("what `{path}` must be has no form in CEL")),
                None if matcher == Matcher::Type => {}
                None => self.tell(format!(
                    "`{path}` {}: the schema must say that",
                    matcher.asks()
                )),
            }
        }
    }
}
