//! The addresses of schemas by id and GUID, and of all schemas.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde_json::json;

use super::answer::{Answer, Json, SchemaStringView, SchemaView};
use super::door::{InPath, Params};
use super::error::Error;
use super::guid::Guid;
use super::name::Name;
use super::record::SchemaValue;
use super::register;
use super::routes::{App, MAX_NAMES, MAX_SCHEMAS};
use super::schema::TYPES;
use super::table::{Filter, Stored, Table};
use crate::Gateway;

pub(crate) fn router() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/schemas", get(get_schemas))
        .route("/schemas/types", get(get_types))
        .route("/schemas/ids/{id}", get(get_by_id))
        .route("/schemas/ids/{id}/schema", get(get_schema_by_id))
        .route("/schemas/ids/{id}/subjects", get(get_subjects_of_id))
        .route("/schemas/ids/{id}/versions", get(get_versions_of_id))
        .route("/schemas/guids/{guid}", get(get_by_guid))
        .route("/schemas/guids/{guid}/ids", get(get_ids_of_guid))
}

/// Answers about the table; in another form than the stored one it takes a while.
pub(crate) async fn show(
    gateway: &Gateway,
    params: Params,
    work: impl FnOnce(&Table, &Params) -> Answer + Send + 'static,
) -> Answer {
    match format_of(&params) {
        Some(_) => {
            gateway
                .registry
                .inspect(move |table| work(table, &params))
                .await
        }
        None => work(&gateway.registry.table(), &params),
    }
}

fn format_of(params: &Params) -> Option<&str> {
    params
        .text("format")
        .filter(|format| !format.trim().is_empty())
}

/// Writes the schema in the form that is asked for; `None` if that is the stored one.
pub(crate) fn formatted(
    table: &Table,
    value: &SchemaValue,
    params: &Params,
) -> Result<Option<String>, Error> {
    let format = format_of(params);
    format
        .map(|format| register::formatted(table, value, format))
        .transpose()
}

async fn get_types() -> Answer {
    Json::of(&TYPES)
}

async fn get_schemas(State(gateway): App, params: Params) -> Answer {
    let (offset, limit) = params.page(MAX_SCHEMAS)?;
    let filter = Filter::of(params.flag("deleted"), false);
    let rule_type = params.text("ruleType").filter(|text| !text.is_empty());
    let has_rule = |stored: &Stored| match rule_type {
        Some(rule_type) => {
            let rules = stored.value.rule_set.as_ref();
            rules.is_some_and(|rules| rules.has_type(rule_type))
        }
        None => true,
    };
    let latest_only = params.flag("latestOnly");
    let table = gateway.registry.table();
    let schemas: Vec<_> = table
        .subjects(params.text("subjectPrefix").unwrap_or_default())
        .flat_map(|(_, versions)| {
            let taken = versions
                .values()
                .filter(|stored| filter.takes(stored.value.deleted));
            let count = taken.clone().count();
            taken.skip(if latest_only {
                count.saturating_sub(1)
            } else {
                0
            })
        })
        .filter(|stored| has_rule(stored))
        .skip(offset)
        .take(limit)
        .map(|stored| SchemaView::of(stored))
        .collect();
    Json::of(&schemas)
}

async fn get_by_id(State(gateway): App, InPath(id): InPath<i32>, params: Params) -> Answer {
    let work = move |table: &Table, params: &Params| {
        let subject = params.text("subject");
        let found = table.find_id(id, subject);
        let stored = found.ok_or_else(|| Error::schema_named_not_found(id))?;
        let text = formatted(table, &stored.value, params)?;
        let mut view = SchemaStringView::of(stored);
        view.schema = text.as_deref().unwrap_or(view.schema);
        if subject.is_some() {
            view.subject = Some(&stored.value.subject);
            view.version = Some(stored.value.version);
        }
        if params.flag("fetchMaxId") {
            let context = Name::parse(&stored.value.subject).context;
            view.max_id = Some(table.max_id(context));
        }
        let qualified;
        if params.text("referenceFormat") == Some("qualified") {
            qualified = stored.qualified_references();
            view.references = &qualified;
        }
        Json::of(&view)
    };
    show(&gateway, params, work).await
}

async fn get_schema_by_id(State(gateway): App, InPath(id): InPath<i32>, params: Params) -> Answer {
    let work = move |table: &Table, params: &Params| {
        let found = table.find_id(id, params.text("subject"));
        let stored = found.ok_or_else(|| Error::schema_named_not_found(id))?;
        let text = formatted(table, &stored.value, params)?;
        Ok(Json::raw(text.as_deref().unwrap_or(&stored.value.schema)))
    };
    show(&gateway, params, work).await
}

/// Returns the versions that hold the schema of an id, each once.
fn versions_of_id<'t>(
    table: &'t Table,
    id: i32,
    params: &Params,
) -> Result<impl Iterator<Item = &'t Stored> + use<'t>, Error> {
    let found = table.find_id(id, params.text("subject"));
    let stored = found.ok_or_else(Error::schema_not_found)?;
    let context = Name::parse(&stored.value.subject).context;
    let filter = Filter::of(params.flag("deleted"), false);
    Ok(table
        .of_id(context, id)
        .map(|stored| &**stored)
        .filter(move |stored| filter.takes(stored.value.deleted)))
}

async fn get_subjects_of_id(
    State(gateway): App,
    InPath(id): InPath<i32>,
    params: Params,
) -> Answer {
    let (offset, limit) = params.page(MAX_NAMES)?;
    let table = gateway.registry.table();
    let versions = versions_of_id(&table, id, &params)?;
    let subjects: BTreeSet<&str> = versions
        .map(|stored| stored.value.subject.as_str())
        .collect();
    let page: Vec<&str> = subjects.into_iter().skip(offset).take(limit).collect();
    Json::of(&page)
}

async fn get_versions_of_id(
    State(gateway): App,
    InPath(id): InPath<i32>,
    params: Params,
) -> Answer {
    let (offset, limit) = params.page(MAX_NAMES)?;
    let table = gateway.registry.table();
    let versions = versions_of_id(&table, id, &params)?;
    let page: Vec<_> = versions
        .skip(offset)
        .take(limit)
        .map(|stored| json!({"subject": stored.value.subject, "version": stored.value.version}))
        .collect();
    Json::of(&page)
}

async fn get_by_guid(State(gateway): App, InPath(text): InPath<String>, params: Params) -> Answer {
    let work = move |table: &Table, params: &Params| {
        let ids = Guid::parse(&text).map(|guid| table.find_guid(guid));
        let ids = ids.unwrap_or_default();
        let mut found = ids
            .iter()
            .flat_map(|(context, id)| table.of_id(context, *id));
        let stored = found
            .next()
            .ok_or_else(|| Error::schema_named_not_found(&text))?;
        let text = formatted(table, &stored.value, params)?;
        let mut view = SchemaStringView::of(stored);
        view.schema = text.as_deref().unwrap_or(view.schema);
        Json::of(&view)
    };
    show(&gateway, params, work).await
}

async fn get_ids_of_guid(State(gateway): App, InPath(text): InPath<String>) -> Answer {
    let table = gateway.registry.table();
    let ids = Guid::parse(&text)
        .map(|guid| table.find_guid(guid))
        .unwrap_or_default();
    let view: Vec<_> = ids
        .into_iter()
        .map(|(context, id)| json!({"context": context, "id": id}))
        .collect();
    Json::of(&view)
}
