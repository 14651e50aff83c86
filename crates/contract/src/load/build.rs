//! A document whose every value has the right form, to a typed contract, reader or team. What a form
//! cannot say (is it CEL, is the field in the schema) is found here.

use std::str::FromStr;
use std::sync::Arc;

use super::settle::{Written, item_key, settle};
use super::{Document, File, Problem};
use crate::date::{Date, DateError};
use crate::event_type;
use crate::explain::Explained;
use crate::expression::{Expression, MESSAGE, REQUEST};
use crate::field_map::FieldMap;
use crate::format::keys::{CONSUMER_CONTRACT, EVENT_CONTRACT, TEAM};
use crate::migration::{Canary, Migration};
use crate::model::{
    Allowance, Approves, Audience, Deprecation, EventContract, EventRules, FieldRule, Idempotency,
    IngressRules, KeyRules, Lifecycle, Limit, OnFailure, OnInvalid, Peak, PersonalField, Quota,
    RequestRules, SchemaFormat, SchemaRules, SourceRule, Team, TimeRules, TopicRules,
};
use crate::path::Path;
use crate::privacy::{self, Guards};
use crate::reader::{DeadLetter, Duplicates, Reader, Requirement, Via};
use crate::schema::Schema;

/// Every form that the declaration lets through is one that the types read: tested word by word.
const FITS: &str = "the declaration checked its form";

/// What is wrong with the value of a key.
pub(super) type Wrong = (String, Problem);

/// Finds the schema of a format that a contract names, and its fingerprint.
pub(super) type FindSchema<'a> =
    &'a mut dyn FnMut(SchemaFormat, &str) -> Result<(Schema, u64), Problem>;

/// Makes a team of a document read by the declaration.
pub(super) fn team(written: &Written, file: &File<'_>) -> Arc<Team> {
    let explained = settle(TEAM, written);
    let values = Values(&explained);
    let team = Team {
        name: values.get("metadata.name"),
        pager: values.get("spec.pager"),
        approves: Approves {
            topic: values.get("spec.approves.topic"),
            breaking: values.get("spec.approves.breaking"),
            reader: values.get("spec.approves.reader"),
        },
        document: Document::new(file, written),
        explained: Vec::new(),
    };
    Arc::new(Team { explained, ..team })
}

/// Makes a reader of a document read by the declaration.
pub(super) fn reader(written: &Written, file: &File<'_>) -> Result<Arc<Reader>, Vec<Wrong>> {
    let explained = settle(CONSUMER_CONTRACT, written);
    let values = Values(&explained);
    let mut wrong = Vec::new();
    let group = values.maybe("spec.via.kafka.group");
    let connector: Option<String> = values.maybe("spec.via.connect.connector");
    let via = match (group, connector) {
        (Some(group), _) => Via::Kafka { group },
        (None, connector) => Via::Connect {
            connector: connector.expect("exactly one of them is written"),
        },
    };
    let requires = written.labels("spec.requires").iter().filter_map(|label| {
        let item = item_key("spec.requires", label);
        let name = values.maybe(&format!("{item}.name"));
        Some(Requirement {
            name: name.unwrap_or_else(|| format!("requires[{label}]")),
            expression: expression(&values, &format!("{item}.expr"), &mut wrong)?,
        })
    });
    let reader = Reader {
        requires: requires.collect(),
        name: values.get("metadata.name"),
        owner: values.get("metadata.owner"),
        domain: values.maybe("metadata.domain"),
        summary: values.maybe("spec.summary"),
        contract: values.get("spec.contract"),
        accepts: values.get("spec.accepts"),
        via,
        reads: values.items(written, "spec.reads"),
        duplicates: values
            .maybe("spec.duplicates.handling")
            .map(|handling| Duplicates {
                handling,
                by: values.maybe("spec.duplicates.by"),
            }),
        dead_letter: values
            .maybe("spec.failure.deadLetter.owner")
            .map(|owner| DeadLetter {
                owner,
                topic: values.get("spec.failure.deadLetter.topic"),
                retention: values.get("spec.failure.deadLetter.retention"),
            }),
        priority: values.get("spec.priority"),
        max_lag: values.maybe("spec.maxLag.time"),
        outage: values.maybe("spec.outage"),
        rebuild: values.maybe("spec.rebuild.target"),
        canary: values.get("spec.canary"),
        allows: allows(written, &values),
        document: Document::new(file, written),
        explained: Vec::new(),
    };
    match wrong.is_empty() {
        true => Ok(Arc::new(Reader {
            explained,
            ..reader
        })),
        false => Err(wrong),
    }
}

/// Makes a contract of a document read by the declaration; `schema` finds the schema that a
/// `schema.file` of this format names.
pub(super) fn event_contract(
    written: &Written,
    file: &File<'_>,
    schema: FindSchema<'_>,
) -> Result<Arc<EventContract>, Vec<Wrong>> {
    let explained = settle(EVENT_CONTRACT, written);
    let values = Values(&explained);
    let mut wrong = Vec::new();
    let name: String = values.get("metadata.name");
    let schema_file: String = values.get("spec.schema.file");
    let format = values.get("spec.schema.format");
    let found = schema(format, &schema_file);
    let on_invalid = values.get("spec.ingress.onInvalid");
    let rules = rules(written, &values, on_invalid, &mut wrong);
    let request = request(written, &values, schema, &mut wrong);
    let quotas = quotas(written, &values, &mut wrong);
    let migration = migration(written, &values, &mut wrong);
    event_type_of(&values, migration.is_some(), &mut wrong);
    identities_asked_of(&values, &mut wrong);
    let (schema, fingerprint) = match found {
        Ok(found) => found,
        Err(problem) => {
            wrong.push(("spec.schema.file".to_owned(), problem));
            return Err(wrong);
        }
    };
    let personal = personal(written, &values, &schema, &mut wrong);
    let guards = guards(&values, &personal, &schema, &mut wrong);
    let hiding = privacy::hiding(&personal, &schema);
    let lifecycle = values.get("spec.lifecycle");
    let deprecation = deprecation(&values, lifecycle, &name, &mut wrong);
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let source = match values.maybe("spec.event.source") {
        Some(source) => SourceRule::Only(source),
        None => SourceRule::Any {
            plain: format!("/{name}"),
        },
    };
    let contract = EventContract {
        name,
        version: values.get("metadata.version"),
        domain: values.maybe("metadata.domain"),
        owner: values.maybe("metadata.owner"),
        summary: values.maybe("spec.summary"),
        class: values.get("spec.class"),
        audience: values.get("spec.audience"),
        lifecycle,
        deprecation,
        allows: allows(written, &values),
        event: EventRules {
            event_type: values.get("spec.event.type"),
            source,
            id: values.maybe("spec.event.id"),
            time: TimeRules {
                from: values.maybe("spec.event.time.from"),
                max_skew: values.get("spec.event.time.maxSkew"),
                max_age: values.maybe("spec.event.time.maxAge"),
                on_missing: values.get("spec.event.time.onMissing"),
            },
            mode: values.get("spec.event.mode"),
        },
        schema: SchemaRules {
            format,
            schema,
            compatibility: values.get("spec.schema.compatibility"),
            policy: values.get("spec.schema.compatibilityPolicy"),
            subject: values.maybe("spec.schema.subject"),
            schema_id: values.maybe("spec.schema.schemaId"),
            rules,
            fingerprint,
            file: schema_file,
        },
        key: KeyRules {
            from: values.get("spec.key.from"),
            on_missing: values.get("spec.key.onMissing"),
            ordering: values.get("spec.key.ordering"),
        },
        topic: TopicRules {
            name: values.get("spec.topic.name"),
            partitions: values.get("spec.topic.partitions"),
            retention: values.get("spec.topic.retention"),
            cleanup: values.list("spec.topic.cleanup"),
            max_message: values.get("spec.topic.maxMessage"),
            enforce: values.list_or_none("spec.topic.enforce"),
            peak: Peak {
                events: values.maybe("spec.topic.peak.events"),
                bytes: values.maybe("spec.topic.peak.bytes"),
            },
        },
        ingress: IngressRules {
            auth: values.items(written, "spec.ingress.auth"),
            ack_after: values.get("spec.ingress.ackAfter"),
            quotas,
            idempotency: Idempotency {
                required: values.get("spec.ingress.idempotency.required"),
                window: values.get("spec.ingress.idempotency.window"),
                scope: values.list("spec.ingress.idempotency.scope"),
                fingerprint: values.get("spec.ingress.idempotency.fingerprint"),
            },
            on_invalid,
            request,
        },
        personal,
        classification: values.maybe("spec.privacy.classification"),
        regions: values.items(written, "spec.privacy.regions"),
        guards,
        hiding,
        replay_window: values.maybe("spec.replay.window"),
        migration,
        document: Document::new(file, written),
        explained: Vec::new(),
    };
    Ok(Arc::new(EventContract {
        explained,
        ..contract
    }))
}

fn rules(
    written: &Written,
    values: &Values<'_>,
    on_invalid: OnInvalid,
    wrong: &mut Vec<Wrong>,
) -> Vec<FieldRule> {
    let mut rules: Vec<FieldRule> = Vec::new();
    for label in written.labels("spec.schema.rules") {
        let item = item_key("spec.schema.rules", label);
        let name: String = values.get(&format!("{item}.name"));
        if rules.iter().any(|rule| rule.name == name) {
            let message = format!("there is a rule `{name}` already in this contract");
            let hint = "give one of them another name".to_owned();
            wrong.push((format!("{item}.name"), Problem::new(message, Some(hint))));
        }
        let on_failure = values.maybe(&format!("{item}.onFailure"));
        let as_invalid = match on_invalid {
            OnInvalid::Reject => OnFailure::Reject,
            OnInvalid::Quarantine => OnFailure::Quarantine,
        };
        if let Some(expression) = expression(values, &format!("{item}.expr"), wrong) {
            rules.push(FieldRule {
                name,
                expression,
                on_failure: on_failure.unwrap_or(as_invalid),
            });
        }
    }
    rules
}

fn quotas(written: &Written, values: &Values<'_>, wrong: &mut Vec<Wrong>) -> Vec<Quota> {
    const KEY: &str = "spec.ingress.quotas";
    let mut quotas: Vec<Quota> = Vec::new();
    for label in written.labels(KEY) {
        let item = item_key(KEY, label);
        let limit: Limit = values.get(&format!("{item}.limit"));
        let burst_key = format!("{item}.burst");
        let quota = Quota {
            name: values.get(&format!("{item}.name")),
            per: values.get(&format!("{item}.per")),
            limit,
            every: values.get(&format!("{item}.every")),
            burst: values.maybe(&burst_key).unwrap_or(limit),
        };
        if !quota.burst.is_like(limit) {
            let message = format!(
                "quota `{}` counts something else at once than over time",
                quota.name
            );
            let hint = "write both as numbers of events, or both as sizes".to_owned();
            wrong.push((burst_key, Problem::new(message, Some(hint))));
        }
        let name = &quota.name;
        if quotas.iter().any(|earlier| earlier.name == *name) {
            let message = format!("there is a quota `{name}` already in this contract");
            let hint = "give one of them another name".to_owned();
            wrong.push((format!("{item}.name"), Problem::new(message, Some(hint))));
        }
        quotas.push(quota);
    }
    quotas
}

fn expression(values: &Values<'_>, key: &str, wrong: &mut Vec<Wrong>) -> Option<Expression> {
    let text: String = values.get(key);
    match Expression::compile(&text, MESSAGE) {
        Ok(expression) => Some(expression),
        Err(error) => {
            let hint = "such as `message.total.amount > 0`".to_owned();
            wrong.push((
                key.to_owned(),
                Problem::new(format!("`{key}` {error}"), Some(hint)),
            ));
            None
        }
    }
}

fn request(
    written: &Written,
    values: &Values<'_>,
    schema: FindSchema<'_>,
    wrong: &mut Vec<Wrong>,
) -> Option<RequestRules> {
    const KEY: &str = "spec.ingress.request";
    let file: String = values.maybe(&format!("{KEY}.schema"))?;
    let hint = "a path such as `$.id`, or CEL such as `request.amount * 100`";
    let map = field_map(written, values, &format!("{KEY}.map"), REQUEST, hint, wrong);
    let schema = schema(SchemaFormat::Json, &file)
        .map_err(|problem| wrong.push((format!("{KEY}.schema"), problem)));
    Some(RequestRules {
        file,
        schema: schema.ok()?.0,
        map: map?,
        headers: values.items(written, &format!("{KEY}.headers")),
    })
}

fn allows(written: &Written, values: &Values<'_>) -> Vec<Allowance> {
    const KEY: &str = "metadata.allow";
    let items = written.labels(KEY).iter().map(|label| {
        let item = item_key(KEY, label);
        Allowance {
            rule: values.get(&format!("{item}.rule")),
            why: values.get(&format!("{item}.why")),
        }
    });
    items.collect()
}

fn deprecation(
    values: &Values<'_>,
    lifecycle: Lifecycle,
    name: &str,
    wrong: &mut Vec<Wrong>,
) -> Option<Deprecation> {
    const KEY: &str = "spec.deprecation";
    let mut date = |part: &str| -> Option<Date> {
        let key = format!("{KEY}.{part}");
        let text: String = values.maybe(&key)?;
        let hint = || Some("dates are written `2026-03-31`".to_owned());
        text.parse()
            .map_err(|error: DateError| {
                wrong.push((
                    key.clone(),
                    Problem::new(format!("`{key}` {error}"), hint()),
                ));
            })
            .ok()
    };
    let since_key = format!("{KEY}.since");
    values.maybe::<String>(&since_key)?;
    let (since, sunset) = (date("since"), date("sunset"));
    let successor: Option<String> = values.maybe(&format!("{KEY}.successor"));
    let mut add = |part: &str, message: String, hint: &str| {
        let problem = Problem::new(message, Some(hint.to_owned()));
        wrong.push((format!("{KEY}.{part}"), problem));
    };
    if !matches!(lifecycle, Lifecycle::Deprecated | Lifecycle::Retired) {
        let message =
            format!("`{KEY}` is of a contract on its way out, and this one is `{lifecycle}`");
        add(
            "since",
            message,
            "set `spec.lifecycle: deprecated`, or take the key out",
        );
    }
    if let (Some(since), Some(sunset)) = (since, sunset)
        && sunset <= since
    {
        let message = format!("`{KEY}.sunset`, `{sunset}`, is not after `since`, `{since}`");
        add("sunset", message, "give senders time between the two days");
    }
    if successor.as_deref() == Some(name) {
        let message = format!("contract `{name}` cannot be its own successor");
        add("successor", message, "name the contract to send to instead");
    }
    Some(Deprecation {
        since: since?,
        sunset,
        successor,
    })
}

/// Other companies send again what they have no answer to, and nobody here can mend their programs.
fn identities_asked_of(values: &Values<'_>, wrong: &mut Vec<Wrong>) {
    const KEY: &str = "spec.ingress.idempotency.required";
    let audience: Audience = values.get("spec.audience");
    let required: bool = values.get(KEY);
    if audience != Audience::Internal && !required {
        let message = format!("events for `{audience}` readers need identities: they come twice");
        let hint = format!("remove `required: false`: with `audience: {audience}` it is `true`");
        wrong.push((KEY.to_owned(), Problem::new(message, Some(hint))));
    }
}

/// Says what is wrong with the type or the family of types, if it is.
fn event_type_of(values: &Values<'_>, is_copied_to: bool, wrong: &mut Vec<Wrong>) {
    const KEY: &str = "spec.event.type";
    let rule: String = values.get(KEY);
    let mut refuse = |message: String, hint: &str| {
        let problem = Problem::new(message, Some(hint.to_owned()));
        wrong.push((KEY.to_owned(), problem));
    };
    if let Some(problem) = event_type::problem(&rule) {
        let hint = "write one type, or a family such as `com.github.*`";
        refuse(format!("`{KEY}`, `{rule}`, {problem}"), hint);
    } else if is_copied_to && event_type::family(&rule).is_some() {
        let message =
            format!("`{KEY}`, `{rule}`, is a family, and `spec.migration` needs one type");
        refuse(
            message,
            "a copied event has the type of its new contract; write that one",
        );
    }
}

fn migration(written: &Written, values: &Values<'_>, wrong: &mut Vec<Wrong>) -> Option<Migration> {
    const KEY: &str = "spec.migration";
    let from: String = values.maybe(&format!("{KEY}.from"))?;
    let hint = "a path such as `$.id`, or CEL such as `message.amount * 100`";
    let map = field_map(written, values, &format!("{KEY}.map"), MESSAGE, hint, wrong);
    let first = values.maybe(&format!("{KEY}.canary.first"));
    Some(Migration {
        from,
        map: map?,
        canary: first.map(|first| Canary {
            first,
            watch: values.get(&format!("{KEY}.canary.for")),
            max_quarantined_percent: values.get(&format!("{KEY}.canary.maxQuarantined")),
        }),
    })
}

/// Reads the map at `key`, whose expressions see the data as `variable`.
fn field_map(
    written: &Written,
    values: &Values<'_>,
    key: &str,
    variable: &'static str,
    hint: &str,
    wrong: &mut Vec<Wrong>,
) -> Option<FieldMap> {
    let texts: Vec<(String, String)> = written
        .labels(key)
        .iter()
        .map(|name| (name.clone(), values.get(&item_key(key, name))))
        .collect();
    let members = texts
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()));
    let map = FieldMap::compile(members, variable).map_err(|(name, error)| {
        let key = item_key(key, &name);
        let problem = Problem::new(format!("`{key}` {error}"), Some(hint.to_owned()));
        wrong.push((key, problem));
    });
    map.ok()
}

fn personal(
    written: &Written,
    values: &Values<'_>,
    schema: &Schema,
    wrong: &mut Vec<Wrong>,
) -> Vec<PersonalField> {
    const KEY: &str = "spec.privacy.fields";
    let mut fields = Vec::new();
    for label in written.labels(KEY) {
        let path: Path = label.parse().expect(FITS);
        let item = item_key(KEY, label);
        if !schema.may_hold(&path) {
            let message = format!("there is no field `{path}` in the schema");
            let hint =
                "a field about a person that nobody can find is protected by nobody".to_owned();
            wrong.push((
                format!("{item}.category"),
                Problem::new(message, Some(hint)),
            ));
        }
        fields.push(PersonalField {
            path,
            category: values.get(&format!("{item}.category")),
            protect: values.maybe(&format!("{item}.protect")),
        });
    }
    fields
}

/// Says what becomes of fields before they are stored, or why that cannot be.
fn guards(
    values: &Values<'_>,
    personal: &[PersonalField],
    schema: &Schema,
    wrong: &mut Vec<Wrong>,
) -> Guards {
    const KEY: &str = "spec.privacy.fields";
    let read = ["spec.key.from", "spec.event.id", "spec.event.time.from"];
    let read: Vec<(&str, Path)> = read
        .into_iter()
        .filter_map(|key| Some((key, values.maybe(key)?)))
        .collect();
    let read: Vec<(&str, &Path)> = read.iter().map(|(key, path)| (*key, path)).collect();
    let protected = || personal.iter().filter(|field| field.protect.is_some());
    for field in protected() {
        let path = &field.path;
        let protect = field.protect.expect("only those are left");
        let around = protected().find(|other| other.path != *path && other.path.meets(path));
        let found = match around {
            Some(other) => Some((
                format!(
                    "`{path}` and `{}` are protected, and one lies inside the other",
                    other.path
                ),
                "protect the outer one, or only inner ones",
            )),
            None => privacy::problem(path, protect, schema, &read),
        };
        if let Some((message, hint)) = found {
            let key = format!("{}.protect", item_key(KEY, &path.to_string()));
            wrong.push((key, Problem::new(message, Some(hint.to_owned()))));
        }
    }
    let is_copied_to = values.maybe::<String>("spec.migration.from").is_some();
    if let Some(field) = protected().find(|_| is_copied_to) {
        let message = "`spec.migration` copies events that are stored, and protecting them again would change what was protected";
        let hint =
            "protect the fields in the earlier contract, and name them here without `protect`";
        let key = format!("{}.protect", item_key(KEY, &field.path.to_string()));
        wrong.push((key, Problem::new(message.to_owned(), Some(hint.to_owned()))));
    }
    privacy::guards(personal, schema)
}

/// The values in force, read by their type.
struct Values<'e>(&'e [Explained]);

impl Values<'_> {
    fn maybe<T: FromStr>(&self, key: &str) -> Option<T> {
        let explained = self.0.iter().find(|e| e.key == key);
        let text = explained.and_then(|e| e.value.as_deref())?;
        Some(text.parse().ok().expect(FITS))
    }

    fn get<T: FromStr>(&self, key: &str) -> T {
        self.maybe(key)
            .expect("required keys are written and the others here have defaults")
    }

    fn list<T: FromStr>(&self, key: &str) -> Vec<T> {
        let list = self.list_or_none(key);
        assert!(!list.is_empty(), "{FITS}");
        list
    }

    fn list_or_none<T: FromStr>(&self, key: &str) -> Vec<T> {
        let Some(text) = self.maybe::<String>(key) else {
            return Vec::new();
        };
        text.split(", ")
            .map(|word| word.parse().ok().expect(FITS))
            .collect()
    }

    /// Returns the items of a list that may be absent.
    fn items<T: FromStr>(&self, written: &Written, key: &str) -> Vec<T> {
        let labels = written.labels(key).iter();
        labels
            .map(|label| self.get(&item_key(key, label)))
            .collect()
    }
}
