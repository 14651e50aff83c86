//! Does this event keep this contract? Pure: the same event, contract and time of receipt give the
//! same answer. Well-formed attributes are `event.rs`'s matter, idempotency the gateway's. The data
//! is parsed once; a violation names every rule that was broken and where, and repeats no value.

use std::borrow::Cow;

use bytes::Bytes;

use crate::event::{Event, timestamp_ms};
use crate::event_type;
use crate::field_map::Unmade;
use crate::model::{
    EventContract, MissingKey, MissingTime, OnFailure, OnInvalid, Ordering, RequestRules,
    SourceRule,
};
use crate::path::Path;
use crate::schema::{Data, Schema};
use crate::tree::Tree;

/// More reasons help nobody; the rest is counted.
const MAX_REASONS: usize = 32;
/// Data may hold names of any length.
const MAX_POINTER_CHARS: usize = 256;
/// CloudEvents extension «Data Classification».
pub const CLASSIFICATION: &str = "dataclassification";
/// An id is a header of the record and half of the event's identity; CloudEvents sets no limit.
const MAX_ID_BYTES: usize = 1024;

/// What an event that keeps its contract means for the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Checked {
    /// The record's key, if the data has one.
    pub key: Option<Bytes>,
    /// How the record finds its partition.
    pub placement: Placement,
    /// The id at the contract's `event.id`; absent if the contract has no such path.
    pub id: Option<String>,
    /// When it happened, milliseconds since 1970; absent means that the time of receipt stands in.
    pub time_ms: Option<i64>,
    /// The names of the rules it breaks that only warn.
    pub warnings: Vec<String>,
}

/// How a record finds its partition.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Placement {
    /// The same key goes to the same partition; without a key, to any.
    ByKey,
    /// To any partition, whatever the key.
    Any,
}

/// Why an event breaks its contract.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the event breaks `{contract}`: {}", self.summary())]
pub struct Violation {
    /// The contract's name.
    pub contract: String,
    /// Every rule that was broken, as far as the limit goes; at least one.
    pub errors: Vec<Reason>,
    /// How many more there are.
    pub more: usize,
    /// The id at the contract's `event.id`, if the data has one that may be an id: a repeat of the
    /// same bad event has it too.
    pub id: Option<String>,
    /// What becomes of the event. `Reject` also where the contract says `quarantine` but the event
    /// is not one to keep: the contract is not in force, or the data is larger than it allows.
    pub on_invalid: OnInvalid,
}

impl Violation {
    fn summary(&self) -> String {
        let first = self.errors.first();
        let text = first
            .map(|r| format!("`{}` {}", r.pointer, r.detail))
            .unwrap_or_default();
        match self.errors.len() + self.more {
            0 | 1 => text,
            all => format!("{text}, and {} more", all - 1),
        }
    }
}

/// One broken rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reason {
    /// Where in the event, as a JSON Pointer fragment (RFC 6901 §6): `#/data/total`, `#/source`.
    /// It may hold names of properties, never values, and is cut at 256 characters.
    pub pointer: String,
    /// What is wrong there, lower case.
    pub detail: String,
    /// The contract's key that forbids it, `event.time.maxAge`, or the schema's keyword,
    /// `schema:required`.
    pub rule: String,
}

impl Reason {
    pub(crate) fn new(
        pointer: impl Into<String>,
        detail: impl Into<String>,
        rule: impl Into<String>,
    ) -> Self {
        let mut pointer = pointer.into();
        if let Some((end, _)) = pointer.char_indices().nth(MAX_POINTER_CHARS) {
            pointer.truncate(end);
            pointer.push('…');
        }
        Self {
            pointer,
            detail: detail.into(),
            rule: rule.into(),
        }
    }
}

/// Reasons up to the limit, and how many did not fit.
#[derive(Debug, Default)]
pub(crate) struct Reasons {
    kept: Vec<Reason>,
    more: usize,
}

impl Reasons {
    pub(crate) fn push(&mut self, reason: Reason) {
        if self.is_full() {
            self.more += 1;
        } else if !self.kept.contains(&reason) {
            self.kept.push(reason);
        }
    }

    /// Counts one that was not even made.
    pub(crate) fn more(&mut self) {
        self.more += 1;
    }

    pub(crate) fn is_full(&self) -> bool {
        self.kept.len() >= MAX_REASONS
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Returns how many there are, those that did not fit included.
    pub(crate) fn total(&self) -> usize {
        self.kept.len() + self.more
    }

    #[cfg(test)]
    pub(crate) fn more_than_kept(&self) -> usize {
        self.more
    }
}

#[cfg(test)]
impl std::fmt::Display for Reasons {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let texts = self
            .kept
            .iter()
            .map(|r| format!("{} {} ({})", r.pointer, r.detail, r.rule));
        f.write_str(&texts.collect::<Vec<_>>().join("; "))
    }
}

impl EventContract {
    /// Checks an event received at `received_at_ms`, milliseconds since 1970.
    ///
    /// An empty `event.id` means that the caller gave none, as with a plain body: it is then not
    /// compared with the id in the data.
    ///
    /// # Errors
    /// Every rule that the event breaks, and what the contract says is to become of it.
    pub fn check(&self, event: &Event, received_at_ms: i64) -> Result<Checked, Violation> {
        if !self.lifecycle.accepts_events() {
            let detail = format!("the contract is `{}` and takes no events", self.lifecycle);
            return Err(self.refuse(Reason::new("#", detail, "lifecycle"), OnInvalid::Reject));
        }
        self.check_content(event, received_at_ms)
    }

    /// Checks as [`EventContract::check`] does, whether or not the contract is in force.
    pub(crate) fn check_content(
        &self,
        event: &Event,
        received_at_ms: i64,
    ) -> Result<Checked, Violation> {
        let Data { tree, fits } = self.parse(event)?;
        let mut reasons = Reasons::default();
        self.check_attributes(event, &mut reasons);
        let key = self.key_text(&tree, &mut reasons);
        let key = key.map(|key| Bytes::from(key.into_owned()));
        let id = self.id_of(&event.id, &tree, &mut reasons);
        let time_ms = self.time_of(event, &tree, received_at_ms, &mut reasons);
        let before_schema = reasons.total();
        // Last, so that its many reasons cannot crowd out the few of the others.
        if !fits {
            Self::check_schema(&self.schema.schema, &tree, &mut reasons);
        }
        let mut on_invalid = self.ingress.on_invalid;
        let never_kept = self.check_rejected(&tree, &mut reasons);
        let mut warnings = Vec::new();
        // A rule is written for data of the schema's shape.
        if reasons.total() == before_schema && !self.schema.rules.is_empty() {
            let only_rules = reasons.is_empty();
            let failed = self.check_rules(&tree, &mut reasons, &mut warnings);
            if let Some(failed) = failed.filter(|_| only_rules) {
                on_invalid = failed;
            }
        }
        if never_kept {
            on_invalid = OnInvalid::Reject;
        }
        if !reasons.is_empty() {
            return Err(self.violation(reasons, id, on_invalid));
        }
        let placement = match self.key.ordering {
            Ordering::PerKey | Ordering::PerPartition => Placement::ByKey,
            Ordering::None => Placement::Any,
        };
        Ok(Checked {
            key,
            placement,
            id,
            time_ms,
            warnings,
        })
    }

    /// Checks the rules beyond the schema; says what becomes of the event if one that refuses is
    /// broken. If one of several keeps the event, it is kept.
    pub(crate) fn check_rules(
        &self,
        data: &Tree<'_>,
        reasons: &mut Reasons,
        warnings: &mut Vec<String>,
    ) -> Option<OnInvalid> {
        let mut outcome = None;
        for rule in &self.schema.rules {
            let name = &rule.name;
            let detail = match rule.expression.holds(data) {
                Ok(true) => continue,
                Ok(false) => format!("breaks the rule `{name}`"),
                Err(why) => format!("breaks the rule `{name}`, which {why}"),
            };
            let failed = match rule.on_failure {
                OnFailure::Warn => {
                    warnings.push(name.clone());
                    continue;
                }
                OnFailure::Reject => OnInvalid::Reject,
                OnFailure::Quarantine => OnInvalid::Quarantine,
            };
            if outcome != Some(OnInvalid::Quarantine) {
                outcome = Some(failed);
            }
            reasons.push(Reason::new(
                "#/data",
                detail,
                format!("schema.rules.{name}"),
            ));
        }
        outcome
    }

    /// Makes the data of an event of a plain body, where the contract has another shape for those;
    /// nothing if it has not, and the body is the data.
    ///
    /// # Errors
    /// The body is not of that shape, or the data cannot be made of it.
    pub fn data_of_request(
        &self,
        media_type: Option<&str>,
        body: &[u8],
    ) -> Option<Result<Bytes, Violation>> {
        let rules = self.ingress.request.as_ref()?;
        let mut reasons = Reasons::default();
        let made = self.make_data(rules, media_type, body, &mut reasons);
        Some(made.ok_or_else(|| {
            // The rules of schemas speak of data; this is the request that it is made of.
            for reason in &mut reasons.kept {
                if let Some(rest) = reason.pointer.strip_prefix("#/data") {
                    reason.pointer = format!("#/request{rest}");
                }
            }
            self.violation(reasons, None, self.ingress.on_invalid)
        }))
    }

    fn make_data(
        &self,
        rules: &RequestRules,
        media_type: Option<&str>,
        body: &[u8],
        reasons: &mut Reasons,
    ) -> Option<Bytes> {
        let read = rules.schema.read(media_type, body);
        let request = read.map_err(|reason| reasons.push(reason)).ok()?.tree;
        if rules.schema.check(&request, reasons).is_err() {
            let detail = "the contract's request schema does not compile";
            reasons.push(Reason::new("#", detail, "ingress.request.schema"));
        }
        if !reasons.is_empty() {
            return None;
        }
        let made = rules.map.apply(&request).map_err(|unmade| {
            for Unmade { member, detail } in unmade {
                let detail = format!("cannot make `{member}` of the data: it {detail}");
                reasons.push(Reason::new("#/data", detail, "ingress.request.map"));
            }
        });
        made.ok()
    }

    /// Returns the data in the schema's own encoding: what came as JSON under Avro or Protobuf is
    /// written anew. Nothing if it is in it already.
    ///
    /// # Errors
    /// The data does not keep the contract, or has no form in the encoding.
    pub fn in_own_encoding(&self, event: &Event) -> Result<Option<Bytes>, Violation> {
        let schema = &self.schema.schema;
        let media_type = event
            .datacontenttype
            .as_deref()
            .unwrap_or("application/json");
        let Some(data) = event.data.as_ref() else {
            return Ok(None);
        };
        if schema.is_own_encoding(media_type) {
            return Ok(None);
        }
        let encoded = schema.encode(data).map_err(|detail| {
            let reason = Reason::new("#/data", detail, "schema.schemaId");
            self.refuse(reason, self.ingress.on_invalid)
        })?;
        Ok(Some(encoded.into()))
    }

    /// Checks data by the contract's schema, or by another version of it.
    pub(crate) fn check_schema(schema: &Schema, data: &Tree<'_>, reasons: &mut Reasons) {
        if schema.check(data, reasons).is_err() {
            // Loading checks schemas, so this is a schema that only compiling finds broken. The
            // event cannot be judged: it is kept if the contract keeps such, and its owner learns.
            reasons.push(Reason::new(
                "#",
                "the contract's schema does not compile",
                "schema",
            ));
        }
    }

    fn parse<'e>(&'e self, event: &'e Event) -> Result<Data<'e>, Violation> {
        let on_invalid = self.ingress.on_invalid;
        let Some(data) = &event.data else {
            return Err(self.refuse(
                Reason::new("#/data", "required", "schema.format"),
                on_invalid,
            ));
        };
        let max = self.topic.max_message;
        if data.len() as u64 > max.as_bytes() {
            let detail = format!("has {} bytes; {max} are allowed", data.len());
            let reason = Reason::new("#/data", detail, "topic.maxMessage");
            return Err(self.refuse(reason, OnInvalid::Reject));
        }
        let media_type = event.datacontenttype.as_deref();
        let read = self.schema.schema.read(media_type, data);
        read.map_err(|reason| self.refuse(reason, on_invalid))
    }

    fn check_attributes(&self, event: &Event, reasons: &mut Reasons) {
        if !event_type::covers(&self.event.event_type, &event.event_type) {
            let detail = format!("must be `{}`", self.event.event_type);
            reasons.push(Reason::new("#/type", detail, "event.type"));
        }
        if let Some(classification) = self.classification
            && let Some(said) = event.extension(CLASSIFICATION)
            && said != classification.as_str()
        {
            let detail = format!("must be `{classification}`, or absent");
            let pointer = format!("#/{CLASSIFICATION}");
            reasons.push(Reason::new(pointer, detail, "privacy.classification"));
        }
        if let SourceRule::Only(source) = &self.event.source
            && event.source != *source
        {
            reasons.push(Reason::new(
                "#/source",
                format!("must be `{source}`"),
                "event.source",
            ));
        }
    }

    /// Finds the record's key in the data.
    pub(crate) fn key_text<'d>(
        &self,
        data: &'d Tree<'_>,
        reasons: &mut Reasons,
    ) -> Option<Cow<'d, str>> {
        let from = &self.key.from;
        let Some(value) = from.find(data) else {
            if self.key.on_missing == MissingKey::Reject {
                reasons.push(Reason::new(from.pointer(), "required", "key.onMissing"));
            }
            return None;
        };
        named(value, from, "key.from", reasons)
    }

    /// Finds the event's id in the data, if that is where it is; `given` is the one it came with.
    pub(crate) fn id_of(
        &self,
        given: &str,
        data: &Tree<'_>,
        reasons: &mut Reasons,
    ) -> Option<String> {
        let from = self.event.id.as_ref()?;
        let Some(value) = from.find(data) else {
            reasons.push(Reason::new(from.pointer(), "required", "event.id"));
            return None;
        };
        let id = named(value, from, "event.id", reasons)?;
        if id.is_empty() || id.len() > MAX_ID_BYTES || id.chars().any(char::is_control) {
            let detail = format!("must have 1 to {MAX_ID_BYTES} bytes and no control characters");
            reasons.push(Reason::new(from.pointer(), detail, "event.id"));
            return None;
        }
        if !given.is_empty() && given != id {
            reasons.push(Reason::new(
                "#/id",
                format!("must be the value of `{from}`"),
                "event.id",
            ));
        }
        Some(id.into_owned())
    }

    fn time_of(
        &self,
        event: &Event,
        data: &Tree<'_>,
        received_at_ms: i64,
        reasons: &mut Reasons,
    ) -> Option<i64> {
        let rules = &self.event.time;
        let pointer = || {
            rules
                .from
                .as_ref()
                .map_or_else(|| "#/time".to_owned(), Path::pointer)
        };
        let text = match &rules.from {
            None => event.time.as_deref(),
            Some(from) => match from.find(data) {
                Some(Tree::Text(text)) => Some(&**text),
                Some(_) => Some(""),
                None => None,
            },
        };
        let Some(text) = text else {
            if rules.on_missing == MissingTime::Reject {
                reasons.push(Reason::new(pointer(), "required", "event.time.onMissing"));
            }
            return None;
        };
        let Some(time_ms) = timestamp_ms(text) else {
            let detail = "must be an RFC 3339 timestamp";
            reasons.push(Reason::new(pointer(), detail, "event.time.from"));
            return None;
        };
        let ahead_ms = time_ms.saturating_sub(received_at_ms);
        if exceeds(ahead_ms, rules.max_skew.as_ms()) {
            let detail = format!("lies more than {} ahead of its receipt", rules.max_skew);
            reasons.push(Reason::new(pointer(), detail, "event.time.maxSkew"));
        }
        if let Some(max_age) = rules.max_age
            && exceeds(ahead_ms.saturating_neg(), max_age.as_ms())
        {
            let detail = format!("lies more than {max_age} behind its receipt");
            reasons.push(Reason::new(pointer(), detail, "event.time.maxAge"));
        }
        Some(time_ms)
    }

    /// Returns the time that an event says it has; 1970 if it says none.
    pub(crate) fn own_time_ms(&self, event: &Event, data: Option<&Tree<'_>>) -> i64 {
        let time_ms = match &self.event.time.from {
            None => event.time_ms(),
            Some(from) => match data.and_then(|data| from.find(data)) {
                Some(Tree::Text(text)) => timestamp_ms(text),
                _ => None,
            },
        };
        time_ms.unwrap_or_default()
    }

    pub(crate) fn refuse(&self, reason: Reason, on_invalid: OnInvalid) -> Violation {
        let reasons = Reasons {
            kept: vec![reason],
            more: 0,
        };
        self.violation(reasons, None, on_invalid)
    }

    pub(crate) fn violation(
        &self,
        reasons: Reasons,
        id: Option<String>,
        on_invalid: OnInvalid,
    ) -> Violation {
        let Reasons { kept: errors, more } = reasons;
        Violation {
            contract: self.name.clone(),
            errors,
            more,
            id,
            on_invalid,
        }
    }
}

fn exceeds(distance_ms: i64, limit_ms: u64) -> bool {
    u64::try_from(distance_ms).is_ok_and(|distance| distance > limit_ms)
}

/// Reads a value that names something, or says that it does not.
fn named<'d>(
    value: &'d Tree<'_>,
    from: &Path,
    rule: &str,
    reasons: &mut Reasons,
) -> Option<Cow<'d, str>> {
    let name = value.as_name();
    if name.is_none() {
        let detail = "must be a string, a 64-bit integer, or true or false";
        reasons.push(Reason::new(from.pointer(), detail, rule));
    }
    name
}

/// Appends a name to a JSON Pointer fragment: `~` and `/` as RFC 6901 §3 says, then percent.
pub(crate) fn push_pointer_name(pointer: &mut String, name: &str) {
    pointer.push('/');
    push_escaped(pointer, &name.replace('~', "~0").replace('/', "~1"));
}

/// Appends text to a URI fragment, percent-encoded where RFC 3986 §3.5 wants it.
pub(crate) fn push_escaped(fragment: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(&byte) {
            fragment.push(char::from(byte));
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            fragment.push('%');
            fragment.push(char::from(HEX[usize::from(byte >> 4)]));
            fragment.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}
