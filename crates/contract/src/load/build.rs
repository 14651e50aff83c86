//! A document whose every value has the right form, to a typed contract or team.

use std::str::FromStr;
use std::sync::Arc;

use super::settle::{Written, settle};
use super::{Document, File};
use crate::explain::Explained;
use crate::format::keys::EVENT_CONTRACT;
use crate::model::{
    EventContract, EventRules, Idempotency, IngressRules, KeyRules, SchemaFormat, SchemaRules,
    SourceRule, Team, TimeRules, TopicRules,
};
use crate::schema::Schema;

/// Every form that the declaration lets through is one that the types read: tested word by word.
const FITS: &str = "the declaration checked its form";

/// Makes a team of a document read by the declaration.
pub(crate) fn team(written: &Written) -> Team {
    let text = |key| written.get(key).expect(FITS).to_owned();
    Team {
        name: text("metadata.name"),
        pager: text("spec.pager"),
    }
}

/// Makes a contract of a document read by the declaration; `schema` finds the schema that
/// `schema.file` names.
pub(crate) fn event_contract<E>(
    written: &Written,
    file: &File<'_>,
    schema: impl FnOnce(SchemaFormat, &str) -> Result<(Schema, u64), E>,
) -> Result<Arc<EventContract>, E> {
    let name = written.get("metadata.name").expect(FITS);
    let class = written.get("spec.class").expect(FITS).parse().expect(FITS);
    let explained = settle(EVENT_CONTRACT, written, class, name);
    let values = Values(&explained);
    let schema_file: String = values.get("spec.schema.file");
    let format = values.get("spec.schema.format");
    let (schema, fingerprint) = schema(format, &schema_file)?;
    let source = match values.maybe("spec.event.source") {
        Some(source) => SourceRule::Only(source),
        None => SourceRule::Any {
            plain: format!("/{name}"),
        },
    };
    let contract = EventContract {
        name: name.to_owned(),
        version: values.get("metadata.version"),
        domain: values.maybe("metadata.domain"),
        owner: values.maybe("metadata.owner"),
        summary: values.maybe("spec.summary"),
        class,
        audience: values.get("spec.audience"),
        lifecycle: values.get("spec.lifecycle"),
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
        },
        ingress: IngressRules {
            idempotency: Idempotency {
                required: values.get("spec.ingress.idempotency.required"),
                window: values.get("spec.ingress.idempotency.window"),
                scope: values.list("spec.ingress.idempotency.scope"),
                fingerprint: values.get("spec.ingress.idempotency.fingerprint"),
            },
            on_invalid: values.get("spec.ingress.onInvalid"),
        },
        document: Document::new(file, written),
        explained: Vec::new(),
    };
    Ok(Arc::new(EventContract {
        explained,
        ..contract
    }))
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
        let text: String = self.get(key);
        text.split(", ")
            .map(|word| word.parse().ok().expect(FITS))
            .collect()
    }
}
