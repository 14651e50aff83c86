//! Contracts as typed, checked data: what `load.rs` makes of the files and the rest reads. Every
//! value here is effective, written or default; `explain.rs` tells which. Immutable once loaded.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::date::Date;
use crate::event_type::ByType;
use crate::explain::Explained;
use crate::expression::Expression;
use crate::field_map::FieldMap;
use crate::load::Document;
use crate::migration::Migration;
use crate::path::Path;
use crate::privacy::Guards;
use crate::reader::Reader;
use crate::schema::Schema;
use crate::units::{ByteRate, ByteSize, Duration, Rate, UnitError};

/// Room for key and headers in a record, beside the data: `topic.maxMessage` speaks of the data alone.
pub const ENVELOPE_BYTES: u64 = 64 * 1024;

/// Declares an enum of words, each as it stands in a contract file.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            /// Returns the word as contract files have it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownWord(text.to_owned())),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

/// A word that the format does not have in this place.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` is not a word of this key")]
pub struct UnknownWord(String);

impl UnknownWord {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }
}

words! {
    /// What kind of event it is; chooses the defaults.
    Class {
        /// Something that happened.
        Fact = "fact",
        /// A request to do something.
        Command = "command",
        /// A measurement.
        Telemetry = "telemetry",
    }
}

words! {
    /// Who may read the events.
    Audience {
        /// Readers of one company.
        Internal = "internal",
        /// Readers of known other companies.
        Partner = "partner",
        /// Anybody.
        Public = "public",
    }
}

words! {
    /// Whether the contract is in force.
    Lifecycle {
        /// Not yet: events are refused and nothing is kept.
        Draft = "draft",
        /// In force.
        Active = "active",
        /// In force, on its way out.
        Deprecated = "deprecated",
        /// No longer: events are refused and nothing is kept.
        Retired = "retired",
    }
}

impl Lifecycle {
    /// Says whether the edge takes events under a contract in this state.
    pub fn accepts_events(self) -> bool {
        matches!(self, Self::Active | Self::Deprecated)
    }
}

words! {
    /// How events stand in the log's records (CloudEvents Kafka binding 1.0.2 §3).
    ContentMode {
        /// Attributes as headers, the data as the value.
        Binary = "binary",
    }
}

words! {
    /// What becomes of an event that has no time.
    MissingTime {
        /// The time of receipt stands in for it.
        Receipt = "receipt",
        /// The event is refused.
        Reject = "reject",
    }
}

words! {
    /// The language of a schema.
    SchemaFormat {
        /// JSON Schema, draft-07 or 2020-12.
        Json = "json",
        /// Apache Avro.
        Avro = "avro",
        /// Protocol Buffers.
        Protobuf = "protobuf",
    }
}

words! {
    /// What a new version of a schema owes the earlier ones (Confluent Schema Registry).
    Compatibility {
        /// Nothing.
        None = "NONE",
        /// Its readers read what was written under the last one.
        Backward = "BACKWARD",
        /// Its readers read what was written under any earlier one.
        BackwardTransitive = "BACKWARD_TRANSITIVE",
        /// Readers of the last one read what is written under it.
        Forward = "FORWARD",
        /// Readers of any earlier one read what is written under it.
        ForwardTransitive = "FORWARD_TRANSITIVE",
        /// Both ways with the last one.
        Full = "FULL",
        /// Both ways with any earlier one.
        FullTransitive = "FULL_TRANSITIVE",
    }
}

words! {
    /// How the compatibility of JSON Schemas is judged (Confluent Schema Registry).
    CompatibilityPolicy {
        /// By what any document could hold: an open object may hold any new property already.
        Strict = "STRICT",
        /// By what people mean: nobody wrote a property before it was declared.
        Lenient = "LENIENT",
    }
}

words! {
    /// What becomes of an event whose data lacks the key.
    MissingKey {
        /// The record has no key and stands in no order with others.
        Keyless = "keyless",
        /// The event is refused.
        Reject = "reject",
    }
}

words! {
    /// Which events readers see in the order they were accepted.
    Ordering {
        /// Those with the same key.
        PerKey = "per-key",
        /// Those of the same partition.
        PerPartition = "per-partition",
        /// None: a record may go to any partition, whatever its key.
        None = "none",
    }
}

words! {
    /// What becomes of an event that breaks a rule of its contract.
    OnFailure {
        /// Nothing is kept; the answer is 422.
        Reject = "reject",
        /// The event is kept for its owner; the answer is 422.
        Quarantine = "quarantine",
        /// The event is accepted and counted.
        Warn = "warn",
    }
}

words! {
    /// How much weighs what breaks a reader.
    Priority {
        /// Its failure is the company's.
        Critical = "critical",
        /// Its failure makes reports late.
        Analytical = "analytical",
        /// Reads to mend something.
        Repair = "repair",
        /// May break.
        Experimental = "experimental",
    }
}

words! {
    /// What a reader does with an event it meets twice.
    Handling {
        /// Doing it twice is doing it once.
        Idempotent = "idempotent",
        /// Twice does harm that somebody accepted.
        Tolerated = "tolerated",
        /// Nothing.
        None = "none",
    }
}

words! {
    /// How a topic is cleaned.
    Cleanup {
        /// Events go when their retention ends.
        Delete = "delete",
    }
}

words! {
    /// What is asked of records that Kafka clients send.
    Enforce {
        /// The data keeps the schema, and its schema id is allowed.
        Schema = "schema",
        /// The key is the one in the data.
        Key = "key",
        /// The CloudEvents headers are there and the contract's.
        Headers = "headers",
        /// The data is not too large.
        Size = "size",
    }
}

words! {
    /// Where records carry the id of their schema (Confluent's wire formats).
    SchemaIdPlace {
        /// The GUID in the header `__value_schema_id`.
        Header = "header",
        /// 0x00 and the number before the data.
        Prefix = "prefix",
    }
}

words! {
    /// Within what an identity is unique.
    Scope {
        /// One tenant.
        Tenant = "tenant",
    }
}

words! {
    /// What tells a repeat from a reused identity.
    Fingerprint {
        /// The bytes of the data.
        Body = "body",
    }
}

words! {
    /// What becomes of an event that breaks its contract; the answer is 422 either way.
    OnInvalid {
        /// Nothing is kept.
        Reject = "reject",
        /// The bytes and every reason are kept for the owner.
        Quarantine = "quarantine",
    }
}

words! {
    /// What becomes of a field about a person before the event is stored.
    Protect {
        /// It is taken out.
        Drop = "drop",
        /// Of its text the last characters stay.
        Mask = "mask",
        /// Its keyed hash stands in its place.
        Hash = "hash",
        /// An event that has it is refused and not kept.
        Reject = "reject",
    }
}

words! {
    /// How sensitive the data is (CloudEvents extension `dataclassification`, its recommended labels).
    Classification {
        /// Anybody may know it.
        Public = "public",
        /// Anybody in the company may.
        Internal = "internal",
        /// Who needs it may.
        Confidential = "confidential",
        /// Few may.
        Restricted = "restricted",
    }
}

/// The version of a promise, ordered number by number.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Version {
    /// Raised when consumers must change.
    pub major: u32,
    /// Raised when something was added.
    pub minor: u32,
    /// Raised when nothing that is promised changed.
    pub patch: u32,
}

impl FromStr for Version {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let numbers: Option<Vec<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[major, minor, patch]) => Ok(Self {
                major,
                minor,
                patch,
            }),
            _ => Err(UnknownWord(text.to_owned())),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// What producer and consumers agreed on one event type.
#[derive(Debug)]
pub struct EventContract {
    /// Unique in its set.
    pub name: String,
    /// The version of the promise.
    pub version: Version,
    /// The business area.
    pub domain: Option<String>,
    /// The name of a [`Team`] in the same set.
    pub owner: Option<String>,
    /// What the event means, for people.
    pub summary: Option<String>,
    /// What kind of event it is.
    pub class: Class,
    /// Who may read it.
    pub audience: Audience,
    /// Whether events are taken.
    pub lifecycle: Lifecycle,
    /// Since when it is on its way out.
    pub deprecation: Option<Deprecation>,
    /// The lint findings about it that are meant to be.
    pub allows: Vec<Allowance>,
    /// The envelope's attributes.
    pub event: EventRules,
    /// What the data looks like.
    pub schema: SchemaRules,
    /// What is ordered against what.
    pub key: KeyRules,
    /// Where the events are kept.
    pub topic: TopicRules,
    /// What happens at the edge.
    pub ingress: IngressRules,
    /// The fields that are about persons.
    pub personal: Vec<PersonalField>,
    /// How sensitive the data is.
    pub classification: Option<Classification>,
    /// Where the events may be kept; nothing means anywhere.
    pub regions: Vec<String>,
    pub(crate) guards: Guards,
    /// How far back events must stay readable; absent means the whole retention.
    pub replay_window: Option<Duration>,
    /// The earlier event type that this one takes over from.
    pub migration: Option<Migration>,
    pub(crate) explained: Vec<Explained>,
    pub(crate) document: Document,
}

impl EventContract {
    /// Returns the file that the contract stands in, as the loader was given it.
    pub fn file(&self) -> &str {
        &self.document.file
    }
}

/// Since when a contract is on its way out, and what comes after.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Deprecation {
    /// From when nobody should start to send it.
    pub since: Date,
    /// From when events may be refused; later than `since`.
    pub sunset: Option<Date>,
    /// The contract to send to instead.
    pub successor: Option<String>,
}

/// A lint rule whose findings about one document are meant to be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Allowance {
    /// The rule.
    pub rule: String,
    /// The reason, for people.
    pub why: String,
}

/// The CloudEvents attributes of a contract.
#[derive(Debug)]
pub struct EventRules {
    /// The `type` attribute, or a family of them with `*` at its end ([`crate::event_type`]); unique in
    /// its set.
    pub event_type: String,
    /// The `source` attribute.
    pub source: SourceRule,
    /// Where the data holds the event's id.
    pub id: Option<Path>,
    /// Which time the event has.
    pub time: TimeRules,
    /// How it stands in the log.
    pub mode: ContentMode,
}

/// Which sources a contract takes events from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SourceRule {
    /// Any; a plain body gets the one named here.
    Any {
        /// `/` and the contract's name.
        plain: String,
    },
    /// This one only.
    Only(String),
}

impl SourceRule {
    /// Returns the source of an event made of a plain body.
    pub fn for_plain_body(&self) -> &str {
        match self {
            Self::Any { plain } => plain,
            Self::Only(source) => source,
        }
    }
}

/// Which time an event has and how far off it may be.
#[derive(Debug)]
pub struct TimeRules {
    /// Where the data holds it; absent means the `time` attribute.
    pub from: Option<Path>,
    /// How far it may lie ahead of its receipt.
    pub max_skew: Duration,
    /// How far it may lie behind its receipt; absent means any age.
    pub max_age: Option<Duration>,
    /// What becomes of an event without one.
    pub on_missing: MissingTime,
}

/// What the data looks like.
#[derive(Debug)]
pub struct SchemaRules {
    /// The schema's language.
    pub format: SchemaFormat,
    /// The file as written, with its pointer.
    pub file: String,
    /// The schema itself.
    pub schema: Schema,
    /// What a new version of the schema owes this one.
    pub compatibility: Compatibility,
    /// How that is judged for JSON Schema.
    pub policy: CompatibilityPolicy,
    /// The registry subject that holds it.
    pub subject: Option<String>,
    /// Where records carry its id; only with a subject.
    pub schema_id: Option<SchemaIdPlace>,
    /// What must hold of the data beyond the schema.
    pub rules: Vec<FieldRule>,
    /// Tells whether the text is another; good within one process.
    pub(crate) fingerprint: u64,
}

/// A rule of a contract over the data.
#[derive(Debug)]
pub struct FieldRule {
    /// Names it in problems and metrics; unique in its contract.
    pub name: String,
    /// True of good data.
    pub expression: Expression,
    /// What becomes of an event that breaks it.
    pub on_failure: OnFailure,
}

/// A field that tells something about a person.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PersonalField {
    /// Where the data holds it.
    pub path: Path,
    /// What it tells.
    pub category: String,
    /// What becomes of it before the event is stored; absent means that it is stored as it is.
    pub protect: Option<Protect>,
}

/// The record's key.
#[derive(Debug)]
pub struct KeyRules {
    /// Where the data holds it.
    pub from: Path,
    /// What becomes of an event without it.
    pub on_missing: MissingKey,
    /// Which events stay in order.
    pub ordering: Ordering,
}

/// The topic of a contract.
#[derive(Debug)]
pub struct TopicRules {
    /// Its name on the log; unique in its set.
    pub name: String,
    /// How many partitions it is made with.
    pub partitions: u32,
    /// How long it keeps events.
    pub retention: Duration,
    /// How it is cleaned.
    pub cleanup: Vec<Cleanup>,
    /// How large the data of one event may be, without headers.
    pub max_message: ByteSize,
    /// What is asked of records that Kafka clients send; nothing: any are taken.
    pub enforce: Vec<Enforce>,
    /// The most that is expected.
    pub peak: Peak,
}

/// The most that is expected of a topic's senders.
#[derive(Clone, Copy, Debug)]
pub struct Peak {
    /// In events.
    pub events: Option<Rate>,
    /// In bytes of data.
    pub bytes: Option<ByteRate>,
}

/// What a proof of identity looks like in a contract.
pub(crate) const AUTH_PATTERN: &str = r"^(api-key|mtls|signature|oauth2(:[!#-\[\]-~]{1,100})?)$";

/// A way in which a caller may prove who it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Auth {
    /// By an API key.
    ApiKey,
    /// By a token of a trusted issuer.
    Oauth2 {
        /// The scope that the token must have.
        scope: Option<String>,
    },
    /// By the signature of a provider's webhook.
    Signature,
}

impl Auth {
    /// Says whether whoever proves the other has proved this.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let any_token = matches!(self, Self::Oauth2 { scope: None });
        self == other || any_token && matches!(other, Self::Oauth2 { .. })
    }
}

impl FromStr for Auth {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Ok(match text {
            "api-key" => Self::ApiKey,
            "signature" => Self::Signature,
            "oauth2" => Self::Oauth2 { scope: None },
            _ => match text.strip_prefix("oauth2:") {
                Some(scope) if !scope.is_empty() => Self::Oauth2 {
                    scope: Some(scope.to_owned()),
                },
                _ => return Err(UnknownWord::new(text)),
            },
        })
    }
}

words! {
    /// What has happened to an event before its sender hears that it is accepted.
    AckAfter {
        /// The log has made it durable.
        Log = "log",
    }
}

words! {
    /// Whose events a quota counts together.
    QuotaPer {
        /// Those of a tenant.
        Tenant = "tenant",
        /// Those of a caller: an API key, or a token's subject.
        Key = "key",
        /// All of the contract.
        Contract = "contract",
    }
}

/// The largest limit that is written as a number.
pub(crate) const MAX_AMOUNT: u64 = 999_999_999;

/// What a quota counts, and how much of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Limit {
    /// Events.
    Events(u64),
    /// Bytes of data.
    Bytes(ByteSize),
}

impl Limit {
    /// Returns how much it is.
    pub fn amount(self) -> u64 {
        match self {
            Self::Events(events) => events,
            Self::Bytes(bytes) => bytes.as_bytes(),
        }
    }

    /// Says whether both count the same.
    pub fn is_like(self, other: Self) -> bool {
        matches!(self, Self::Events(_)) == matches!(other, Self::Events(_))
    }
}

impl FromStr for Limit {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let events = text.parse().map(Self::Events);
        events.or_else(|_| text.parse().map(Self::Bytes))
    }
}

/// How much may be sent.
#[derive(Clone, Debug)]
pub struct Quota {
    /// Unique in its contract; callers read it in headers and problems.
    pub name: String,
    /// What is counted together.
    pub per: QuotaPer,
    /// How much may come.
    pub limit: Limit,
    /// In which time.
    pub every: Duration,
    /// How much may come at once; it counts what the limit counts.
    pub burst: Limit,
}

impl Quota {
    /// Says whether it allows all that another does.
    pub(crate) fn is_at_least(&self, other: &Self) -> bool {
        // Crosswise, so that `1` every second and `60` every minute are the same rate.
        let rate =
            |limit: Limit, every: Duration| u128::from(limit.amount()) * u128::from(every.as_ms());
        self.per == other.per
            && self.limit.is_like(other.limit)
            && rate(self.limit, other.every) >= rate(other.limit, self.every)
            && self.burst.amount() >= other.burst.amount()
    }
}

/// What happens at the edge.
#[derive(Debug)]
pub struct IngressRules {
    /// By what a caller may have proved who it is; empty means by anything.
    pub auth: Vec<Auth>,
    /// What has happened to an event before it is said to be accepted.
    pub ack_after: AckAfter,
    /// How much may be sent.
    pub quotas: Vec<Quota>,
    /// How a repeat is known.
    pub idempotency: Idempotency,
    /// What becomes of an event that breaks the contract.
    pub on_invalid: OnInvalid,
    /// The shape of plain bodies, where it is another one than the event's.
    pub request: Option<RequestRules>,
}

/// The shape of plain bodies and how the event's data is made of it.
#[derive(Debug)]
pub struct RequestRules {
    /// The file as written, with its pointer.
    pub file: String,
    /// The JSON Schema of the body.
    pub schema: Schema,
    /// How the data is made of the body.
    pub map: FieldMap,
    /// The names of the headers that are kept beside the original body, in lower case.
    pub headers: Vec<String>,
}

/// How an event sent twice is known.
#[derive(Debug)]
pub struct Idempotency {
    /// Whether an event must bring an identity. If not, one that it brings counts all the same.
    pub required: bool,
    /// How long a repeat gets its first receipt.
    pub window: Duration,
    /// Within what an identity is unique.
    pub scope: Vec<Scope>,
    /// What tells a repeat from a reused identity.
    pub fingerprint: Fingerprint,
}

/// Who answers for contracts.
#[derive(Debug)]
pub struct Team {
    /// Unique in its set.
    pub name: String,
    /// Where it is reached, `webhook:https://…` or `mailto:…`.
    pub pager: String,
    /// How many of it must approve a change.
    pub approves: Approves,
    pub(crate) explained: Vec<Explained>,
    pub(crate) document: Document,
}

/// How many approvals of a team a change needs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Approves {
    /// A new topic.
    pub topic: u32,
    /// A breaking change of its contracts.
    pub breaking: u32,
    /// A new or changed reader of its events.
    pub reader: u32,
}

/// An immutable set of contracts, readers and teams: no two of a kind share a name, no two
/// contracts an event type or a topic, and every owner of a contract is a team of the set. The
/// contract of a reader need not be there: readers live in repositories of their own.
#[derive(Clone, Debug, Default)]
pub struct Contracts {
    contracts: Vec<Arc<EventContract>>,
    by_name: HashMap<String, Arc<EventContract>>,
    by_type: ByType<Arc<EventContract>>,
    readers: BTreeMap<String, Arc<Reader>>,
    teams: BTreeMap<String, Arc<Team>>,
}

impl Contracts {
    /// Makes a set of what the loader has found free of conflicts.
    pub(crate) fn new(
        mut contracts: Vec<Arc<EventContract>>,
        readers: Vec<Arc<Reader>>,
        teams: Vec<Arc<Team>>,
    ) -> Self {
        contracts.sort_by(|a, b| a.name.cmp(&b.name));
        let by_name = contracts.iter().map(|c| (c.name.clone(), Arc::clone(c)));
        let by_name = by_name.collect();
        let by_type = contracts
            .iter()
            .map(|c| (c.event.event_type.clone(), Arc::clone(c)));
        let by_type = by_type.collect();
        Self {
            contracts,
            by_name,
            by_type,
            readers: readers.into_iter().map(|r| (r.name.clone(), r)).collect(),
            teams: teams.into_iter().map(|t| (t.name.clone(), t)).collect(),
        }
    }

    /// Lays this set over another one: of a kind, documents of the same name are replaced, and all
    /// others stay. A contract below whose event type or topic one of these takes is gone.
    #[must_use]
    pub fn over(&self, below: &Self) -> Self {
        let stays = |old: &&Arc<EventContract>| {
            self.by_name(&old.name).is_none()
                && self.with_type(&old.event.event_type).is_none()
                && !self.iter().any(|new| new.topic.name == old.topic.name)
        };
        let contracts = below.iter().filter(stays).chain(self.iter());
        let readers = below.readers.iter().chain(&self.readers);
        let teams = below.teams.iter().chain(&self.teams);
        // Of two with one name the later counts.
        let readers: BTreeMap<_, _> = readers.collect();
        let teams: BTreeMap<_, _> = teams.collect();
        Self::new(
            contracts.cloned().collect(),
            readers.into_values().cloned().collect(),
            teams.into_values().cloned().collect(),
        )
    }

    /// Takes from another set what this one has nothing of: its contracts if this is a set of readers,
    /// its readers if this has none.
    #[must_use]
    pub fn completed_by(&self, other: &Self) -> Self {
        let (mut contracts, mut teams) = (self.contracts.clone(), self.teams.clone());
        if contracts.is_empty() && !self.readers.is_empty() {
            contracts.clone_from(&other.contracts);
            for (name, team) in &other.teams {
                teams
                    .entry(name.clone())
                    .or_insert_with(|| Arc::clone(team));
            }
        }
        let mut readers = &self.readers;
        if readers.is_empty() {
            readers = &other.readers;
        }
        Self::new(
            contracts,
            readers.values().cloned().collect(),
            teams.into_values().collect(),
        )
    }

    /// Returns the contract of this name.
    pub fn by_name(&self, name: &str) -> Option<&Arc<EventContract>> {
        self.by_name.get(name)
    }

    /// Returns the contract that governs events of this CloudEvents `type`.
    pub fn by_type(&self, event_type: &str) -> Option<&Arc<EventContract>> {
        self.by_type.find(event_type)
    }

    /// Returns the contract whose `event.type` is written like this, a family's too.
    pub fn with_type(&self, rule: &str) -> Option<&Arc<EventContract>> {
        self.by_type.of_rule(rule)
    }

    /// Visits the contracts by name.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<EventContract>> {
        self.contracts.iter()
    }

    /// Returns how many contracts there are.
    pub fn len(&self) -> usize {
        self.contracts.len()
    }

    /// Says whether there is no contract.
    pub fn is_empty(&self) -> bool {
        self.contracts.is_empty()
    }

    /// Returns the reader of this name.
    pub fn reader(&self, name: &str) -> Option<&Arc<Reader>> {
        self.readers.get(name)
    }

    /// Visits the readers by name.
    pub fn readers(&self) -> impl Iterator<Item = &Arc<Reader>> {
        self.readers.values()
    }

    /// Visits the readers of one contract by name.
    pub fn readers_of<'c>(&'c self, contract: &'c str) -> impl Iterator<Item = &'c Arc<Reader>> {
        self.readers()
            .filter(move |reader| reader.contract == contract)
    }

    /// Returns the team of this name.
    pub fn team(&self, name: &str) -> Option<&Arc<Team>> {
        self.teams.get(name)
    }

    /// Visits the teams by name.
    pub fn teams(&self) -> impl Iterator<Item = &Arc<Team>> {
        self.teams.values()
    }
}

impl<'a> IntoIterator for &'a Contracts {
    type Item = &'a Arc<EventContract>;
    type IntoIter = std::slice::Iter<'a, Arc<EventContract>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
