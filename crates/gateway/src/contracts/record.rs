//! What stands in topic `_tidegate.contracts`: texts by their hash, sets of what was in force by their
//! generation, approvals by the plan they are for.
//!
//! Stored format, stable: a key of the form `text/…`, `set/…` or `approval/…`; a text is its own value,
//! the others are JSON with the number of their format. Members may be added, none changes its meaning.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidegate_event_log::Record;

/// The newest format that is written, and read.
const FORMAT: u32 = 1;

/// The hash of a text, BLAKE3 in hexadecimal.
pub(crate) type Hash = String;

/// Returns the hash of a text.
pub(crate) fn hash_of(text: &str) -> Hash {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// The documents in force from one moment on. Its record is what puts them in force.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Set {
    pub(crate) format: u32,
    /// Counted from 1; 0 is the empty set before the first.
    pub(crate) generation: u64,
    /// By kind and name.
    pub(crate) documents: Vec<Document>,
    pub(crate) at_ms: i64,
    /// Who applied it, as declared.
    pub(crate) by: String,
    pub(crate) why: Why,
    /// The plan that led to it.
    pub(crate) plan: String,
    /// Who had approved of that.
    pub(crate) approved: Vec<String>,
}

/// What led to a set.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Why {
    #[default]
    Apply,
    Rollback,
}

/// A document in force.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Document {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) version: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) owner: String,
    /// Where it stood when it was applied.
    pub(crate) file: String,
    pub(crate) line: u32,
    pub(crate) text: Hash,
    /// Schema files by the path that the document asks for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) schemas: BTreeMap<String, Hash>,
    /// The topic that a contract governs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) topic: Option<String>,
}

/// Somebody approves of a plan.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Approval {
    pub(crate) format: u32,
    pub(crate) plan: String,
    /// As declared.
    pub(crate) name: String,
    pub(crate) at_ms: i64,
}

impl Approval {
    pub(crate) fn new(plan: String, name: String, at_ms: i64) -> Self {
        Self {
            format: FORMAT,
            plan,
            name,
            at_ms,
        }
    }
}

/// A record, read.
#[derive(Debug, PartialEq)]
pub(crate) enum Entry {
    Text(Hash),
    Set(Set),
    Approval(Approval),
}

impl Set {
    /// Returns all texts that the set names, each once.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &Hash> {
        let documents = self.documents.iter();
        documents
            .flat_map(|document| std::iter::once(&document.text).chain(document.schemas.values()))
    }

    pub(crate) fn record(&self) -> Record {
        let set = Self {
            format: FORMAT,
            ..self.clone()
        };
        record(format!("set/{}", self.generation), json(&set))
    }
}

pub(crate) fn text_record(hash: &Hash, text: &str) -> Record {
    let value = Bytes::copy_from_slice(text.as_bytes());
    record(format!("text/{hash}"), value)
}

pub(crate) fn approval_record(approval: &Approval) -> Record {
    let key = format!("approval/{}/{}", approval.plan, approval.name);
    record(key, json(approval))
}

fn json(value: &impl Serialize) -> Bytes {
    let bytes = serde_json::to_vec(value).expect("strings, numbers and maps by string only");
    bytes.into()
}

fn record(key: String, value: Bytes) -> Record {
    Record {
        key: Some(key.into()),
        value: Some(value),
        headers: Vec::new(),
    }
}

impl Entry {
    /// Reads a record.
    ///
    /// # Errors
    /// What is wrong with it; a format newer than this version is.
    pub(crate) fn parse(record: &Record) -> Result<Self, String> {
        let key = record.key.as_deref().map(std::str::from_utf8);
        let (Some(Ok(key)), Some(value)) = (key, &record.value) else {
            return Err("it has no key or no value".to_owned());
        };
        let (kind, rest) = key.split_once('/').unwrap_or((key, ""));
        let entry = match kind {
            "text" => return Ok(Self::Text(rest.to_owned())),
            "set" => read(value).map(|set: Set| (set.format, Self::Set(set))),
            "approval" => read(value).map(|it: Approval| (it.format, Self::Approval(it))),
            _ => Err(format!(
                "its key `{}` has an unknown kind",
                key.escape_debug()
            )),
        };
        match entry? {
            (1..=FORMAT, entry) => Ok(entry),
            (format, _) => Err(format!("it has format {format}, of a newer version")),
        }
    }
}

fn read<'a, T: Deserialize<'a>>(value: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(value).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> Set {
        Set {
            format: FORMAT,
            generation: 7,
            documents: vec![Document {
                kind: "EventContract".to_owned(),
                name: "a".to_owned(),
                version: "1.0.0".to_owned(),
                owner: "t".to_owned(),
                file: "a.yaml".to_owned(),
                line: 3,
                text: "00".to_owned(),
                schemas: [("a.json".to_owned(), "11".to_owned())].into(),
                topic: Some("a".to_owned()),
            }],
            at_ms: 5,
            by: "anna".to_owned(),
            why: Why::Rollback,
            plan: "22".to_owned(),
            approved: vec!["ben".to_owned()],
        }
    }

    #[test]
    fn stored_forms_are_stable() {
        let stored = r#"{"format":1,"generation":7,"documents":[{"kind":"EventContract","name":"a","version":"1.0.0","owner":"t","file":"a.yaml","line":3,"text":"00","schemas":{"a.json":"11"},"topic":"a"}],"at_ms":5,"by":"anna","why":"rollback","plan":"22","approved":["ben"]}"#;
        let record = set().record();
        assert_eq!(record.key.as_deref(), Some(&b"set/7"[..]));
        assert_eq!(record.value.as_deref(), Some(stored.as_bytes()));
        assert_eq!(Entry::parse(&record), Ok(Entry::Set(set())));
        let approval = Approval::new("22".to_owned(), "ben".to_owned(), 5);
        let record = approval_record(&approval);
        assert_eq!(record.key.as_deref(), Some(&b"approval/22/ben"[..]));
        let stored = r#"{"format":1,"plan":"22","name":"ben","at_ms":5}"#;
        assert_eq!(record.value.as_deref(), Some(stored.as_bytes()));
        assert_eq!(Entry::parse(&record), Ok(Entry::Approval(approval)));
        let hash = hash_of("x");
        let record = text_record(&hash, "x");
        assert_eq!(Entry::parse(&record), Ok(Entry::Text(hash)));
    }

    #[test]
    fn what_a_newer_version_wrote_is_refused_and_added_members_are_not() {
        let with = |from: &str, to: &str| {
            let record = set().record();
            let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
            let value = value.replacen(from, to, 1);
            Entry::parse(&super::record("set/7".to_owned(), value.into()))
        };
        let newer = with("\"format\":1", "\"format\":2").unwrap_err();
        assert_eq!(newer, "it has format 2, of a newer version");
        let added = with("{\"format\":1", "{\"later\":true,\"format\":1");
        assert_eq!(added, Ok(Entry::Set(set())));
        assert!(with("7,", "-7,").is_err());
        let unknown = super::record("other/1".to_owned(), Bytes::new());
        assert!(Entry::parse(&unknown).is_err());
    }
}
