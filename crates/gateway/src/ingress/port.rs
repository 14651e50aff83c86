//! What a contract asks of records that come through the Kafka port. The rules are
//! `contract::record`'s; here they meet the registry and the counters, and become a line for a
//! producer's log.

use std::sync::Arc;

use tidegate_contract::EventContract;
use tidegate_contract::check::Violation;
use tidegate_contract::record::Incoming;

use crate::metrics::PortRefusals;
use crate::registry::subject::SubjectIds;

/// A producer's log is read by people.
const MAX_REASON_CHARS: usize = 500;

/// The rules of one topic.
pub struct RecordRules {
    contract: Arc<EventContract>,
    ids: Option<Arc<SubjectIds>>,
    refusals: PortRefusals,
}

impl RecordRules {
    /// Returns the rules of a contract's topic, if it has any.
    pub(crate) fn of(
        contract: &Arc<EventContract>,
        ids: Option<Arc<SubjectIds>>,
        refusals: PortRefusals,
    ) -> Option<Arc<Self>> {
        let enforces = !contract.topic.enforce.is_empty();
        enforces.then(|| {
            Arc::new(Self {
                contract: Arc::clone(contract),
                ids,
                refusals,
            })
        })
    }

    /// Checks a record, and counts it if it is refused.
    ///
    /// # Errors
    /// Why it is refused, in a line that repeats no value.
    pub fn check(&self, record: &Incoming<'_>) -> Result<(), String> {
        let checked = self.contract.check_record(record, &|id| match &self.ids {
            Some(ids) => ids.find(id),
            None => Err(format!("schema id `{id}` is not known")),
        });
        checked.map_err(|violation| {
            self.refusals
                .count(&self.contract.name, rule_of(&violation));
            reason_of(&violation)
        })
    }
}

/// Names the word of `topic.enforce` that stands behind the first reason.
fn rule_of(violation: &Violation) -> &'static str {
    let rule = violation.errors.first().map_or("", |reason| &reason.rule);
    match rule.split(['.', ':']).next().unwrap_or_default() {
        "key" => "key",
        "event" => "headers",
        "lifecycle" => "lifecycle",
        "topic" if rule == "topic.maxMessage" => "size",
        _ => "schema",
    }
}

fn reason_of(violation: &Violation) -> String {
    let mut text = violation.to_string();
    if let Some(first) = violation.errors.first() {
        text.push_str(&format!(" ({})", first.rule));
    }
    if let Some((end, _)) = text.char_indices().nth(MAX_REASON_CHARS) {
        text.truncate(end);
        text.push('…');
    }
    text
}
