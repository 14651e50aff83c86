//! The addresses of the audit: newest first for people, and as it stands for those who verify it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tidegate_event_log::{LogError, Offset};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Audit;
use super::record::Entry;
use super::store::{PARTITION, TOPIC, text_of};
use crate::Gateway;
use crate::answer::{parameter, within};
use crate::clock::rfc3339;
use crate::openapi::problems;
use crate::problem::{Kind, Problem};
use crate::request::Call;

const DEFAULT_PAGE: usize = 50;
const MAX_PAGE: usize = 1_000;
/// Records that are looked at for one page; a filter may take none of them.
const MAX_LOOKED_AT: i64 = 10_000;
/// Records that are read at a time on the way back.
const STEP: i64 = 500;
const READ_BYTES: usize = 1024 * 1024;

pub(crate) fn router() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::default()
        .routes(routes!(get_audit))
        .routes(routes!(get_chain))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct AuditQuery {
    limit: Option<usize>,
    /// Only records before this offset.
    #[param(value_type = Option<i64>)]
    before: Option<Offset>,
    object: Option<String>,
    actor: Option<String>,
    verb: Option<String>,
    since: Option<String>,
    until: Option<String>,
}

/// Which records are wanted.
struct Wanted {
    object: Option<String>,
    actor: Option<String>,
    verb: Option<String>,
    /// Times in the form that records have, which sorts as time does.
    since: Option<String>,
    until: Option<String>,
}

impl Wanted {
    fn of(query: &AuditQuery) -> Result<Self, Problem> {
        let time = |name: &str, text: &Option<String>| {
            let Some(text) = text else { return Ok(None) };
            let parsed = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| {
                let detail = format!("`{name}` is not a time such as `2026-01-31T12:00:00Z`");
                Problem::new(Kind::BadRequest, detail)
            })?;
            let millis = parsed.unix_timestamp_nanos().div_euclid(1_000_000);
            Ok(i64::try_from(millis).ok().map(rfc3339))
        };
        Ok(Self {
            object: query.object.clone(),
            actor: query.actor.clone(),
            verb: query.verb.clone(),
            since: time("since", &query.since)?,
            until: time("until", &query.until)?,
        })
    }

    fn takes(&self, entry: &Entry) -> bool {
        let is =
            |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|it| it == found);
        is(&self.object, &entry.object)
            && is(&self.actor, &entry.actor.name)
            && is(&self.verb, &entry.verb)
            && self.since.as_ref().is_none_or(|since| entry.time >= *since)
            && self.until.as_ref().is_none_or(|until| entry.time < *until)
    }
}

#[derive(Serialize)]
struct View {
    offset: Offset,
    /// Whether it is what was written, by its own hash; its place in the chain is not looked at.
    intact: bool,
    #[serde(flatten)]
    entry: Entry,
}

#[derive(Serialize)]
struct Page {
    records: Vec<View>,
    /// Where earlier ones follow; nothing at the beginning.
    next: Option<Offset>,
}

impl Audit {
    async fn page(
        &self,
        wanted: &Wanted,
        before: Option<Offset>,
        limit: usize,
    ) -> Result<Page, LogError> {
        let log = &self.store.log;
        let marks = log.watermarks(TOPIC, PARTITION).await?;
        let newest = marks.high;
        let mut end = before.unwrap_or(newest).clamp(marks.log_start, newest);
        let stop = marks.log_start.max(end - MAX_LOOKED_AT);
        let mut records = Vec::new();
        while end > stop {
            let start = stop.max(end - STEP);
            for (offset, text) in self.texts(start, end).await?.into_iter().rev() {
                end = offset;
                let Some((entry, intact)) = text.as_deref().and_then(read) else {
                    continue;
                };
                if wanted.takes(&entry) {
                    records.push(View {
                        offset,
                        intact,
                        entry,
                    });
                }
                if records.len() == limit {
                    break;
                }
            }
            if records.len() == limit {
                break;
            }
            end = start;
        }
        let next = (end > marks.log_start).then_some(end);
        Ok(Page { records, next })
    }

    /// Reads the texts of records between two offsets.
    async fn texts(
        &self,
        start: Offset,
        end: Offset,
    ) -> Result<Vec<(Offset, Option<String>)>, LogError> {
        let mut texts = Vec::new();
        let mut at = start;
        while at < end {
            let read = self
                .store
                .log
                .read(TOPIC, PARTITION, at, READ_BYTES)
                .await?;
            let below = read.records.iter().filter(|stored| stored.offset < end);
            texts.extend(below.map(|it| (it.offset, text_of(&it.record).map(str::to_owned))));
            if read.next <= at {
                break;
            }
            at = read.next;
        }
        Ok(texts)
    }
}

/// Reads a record for people; one that was changed is shown too, and said to be.
fn read(text: &str) -> Option<(Entry, bool)> {
    match Entry::unseal(text) {
        Ok((entry, _)) => Some((entry, true)),
        Err(_) => serde_json::from_str(text).ok().map(|entry| (entry, false)),
    }
}

problems!(NotKept: NotFound);

/// Lists what was changed, newest first.
#[utoipa::path(
    get,
    path = "/v1/audit",
    tag = "audit",
    params(AuditQuery),
    responses((status = 200, description = "Records, and where the next page begins.", body = serde_json::Value))
)]
async fn get_audit(call: Call, query: Result<Query<AuditQuery>, QueryRejection>) -> Response<Body> {
    call.answer(async |gateway, context| {
        let Query(query) = parameter(query)?;
        let wanted = Wanted::of(&query)?;
        let limit = query.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
        let page = gateway.audit.page(&wanted, query.before, limit);
        within(context, page).await
    })
    .await
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ChainQuery {
    #[param(value_type = Option<i64>)]
    from: Option<Offset>,
}

/// Shows the records of the audit as they stand, for those who verify them.
#[utoipa::path(
    get,
    path = "/v1/audit/chain",
    tag = "audit",
    params(ChainQuery),
    responses(
        (status = 200, description = "Records as texts, and where to read on.", body = serde_json::Value),
        NotKept,
    )
)]
async fn get_chain(call: Call, query: Result<Query<ChainQuery>, QueryRejection>) -> Response<Body> {
    call.answer(async |gateway, context| {
        let Query(query) = parameter(query)?;
        let read = async {
            let log = &gateway.audit.store.log;
            let start = log.watermarks(TOPIC, PARTITION).await?.log_start;
            let from = query.from.unwrap_or(start).max(start);
            log.read(TOPIC, PARTITION, from, READ_BYTES).await
        };
        let read = within(context, read).await?;
        let records = read.records.iter();
        // As they stand, to the byte; one that is no text cannot be one of ours.
        let records: Vec<_> = records.map(|stored| text_of(&stored.record)).collect();
        let next = (read.next < read.high_watermark).then_some(read.next);
        Ok(json!({ "records": records, "next": next }))
    })
    .await
}
