//! The addresses of subjects, their versions and verdicts. Those of ids are in `schemas.rs`, those of
//! settings and modes in `settings.rs`.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, post};
use serde_json::json;

use super::answer::{Answer, Json, RegisteredView, SchemaView};
use super::delete as deletion;
use super::door::{self, InPath, Params, deadline, http_error, subject_of, version_of};
use super::error::Error;
use super::name::{self, Name};
use super::register::{self, Request};
use super::schemas::{formatted, show};
use super::table::{Filter, Stored, Table};
use super::{schemas, settings};
use crate::Gateway;
use crate::audit::{self, Act};
use crate::identity::door as door_of_callers;

/// Confluent's own default for schemas; its pages of names have no end, ours have.
pub(crate) const MAX_SCHEMAS: usize = 1000;
pub(crate) const MAX_NAMES: usize = 50_000;

pub(crate) type App = State<Arc<Gateway>>;

/// Returns the door's routes.
pub(crate) fn router(gateway: Arc<Gateway>) -> Router {
    let routes = Router::new()
        .route("/", get(get_root).post(get_root))
        .route("/subjects", get(get_subjects))
        .route("/subjects/{subject}", post(look_up).delete(delete_subject))
        .route("/subjects/{subject}/metadata", get(get_by_metadata))
        .route(
            "/subjects/{subject}/versions",
            get(get_versions).post(post_version),
        )
        .route(
            "/subjects/{subject}/versions/{version}",
            get(get_version).delete(delete_version),
        )
        .route(
            "/subjects/{subject}/versions/{version}/schema",
            get(get_version_schema),
        )
        .route(
            "/subjects/{subject}/versions/{version}/referencedby",
            get(get_referenced_by),
        )
        .route(
            "/compatibility/subjects/{subject}/versions",
            post(compare_with_all),
        )
        .route(
            "/compatibility/subjects/{subject}/versions/{version}",
            post(compare_with_one),
        )
        .route("/contexts", get(get_contexts))
        .route("/contexts/{context}", delete(delete_context))
        .route("/v1/metadata/id", get(get_server_id))
        .route("/v1/metadata/version", get(get_server_version))
        .merge(schemas::router())
        .merge(settings::router())
        .route_layer(from_fn_with_state(Arc::clone(&gateway), audit::watch))
        .route_layer(from_fn_with_state(
            Arc::clone(&gateway),
            door_of_callers::registry,
        ))
        .fallback(|| async { http_error(StatusCode::NOT_FOUND) })
        .method_not_allowed_fallback(|| async { http_error(StatusCode::METHOD_NOT_ALLOWED) })
        .with_state(Arc::clone(&gateway));
    door::wrap(routes, gateway)
}

async fn get_root() -> Answer {
    Json::of(&json!({}))
}

async fn get_subjects(State(gateway): App, params: Params) -> Answer {
    let filter = Filter::of(params.flag("deleted"), params.flag("deletedOnly"));
    let (offset, limit) = params.page(MAX_NAMES)?;
    let table = gateway.registry.table();
    let subjects: Vec<&str> = table
        .subjects(params.text("subjectPrefix").unwrap_or(name::WILDCARD))
        .filter(|(_, versions)| {
            // A subject is deleted when all its versions are.
            let deleted = versions.values().all(|stored| stored.value.deleted);
            filter.takes(deleted)
        })
        .map(|(name, _)| name)
        .skip(offset)
        .take(limit)
        .collect();
    Json::of(&subjects)
}

/// Returns the names under which a subject is looked for: its own, and if it has no context, the
/// same in every context.
fn names_of(table: &Table, subject: &str) -> Vec<String> {
    let name = Name::parse(subject);
    let mut names = vec![subject.to_owned()];
    if name.is_default() {
        let others = table.contexts().into_iter().skip(1);
        names.extend(others.map(|context| format!("{}{subject}", name::context_name(context))));
    }
    names
}

/// Returns a subject from the path, as it is stored and without alias.
fn resolve(table: &Table, subject: &str) -> String {
    table.resolve_alias(subject_of(subject))
}

async fn look_up(
    State(gateway): App,
    InPath(subject): InPath<String>,
    params: Params,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let (request, _) = door::read::<Request>(&gateway, &headers, body).await?;
    let (normalize, deleted) = (params.flag("normalize"), params.flag("deleted"));
    let filter = Filter::of(deleted, false);
    let work = move |table: &Table| {
        let subject = resolve(table, &subject);
        let own = table.config_in_scope(Some(&subject)).normalize == Some(true);
        for name in names_of(table, &subject) {
            let normalize = normalize || own;
            if let Some(found) = register::look_up(table, &name, &request, normalize, filter)? {
                let text = formatted(table, &found.value, &params)?;
                let mut view = SchemaView::of_lookup(&found);
                let asked = text.as_deref().or(request.compiled());
                view.schema = asked.unwrap_or(view.schema);
                return Json::of(&view);
            }
        }
        Err(match table.has_subject(&subject, deleted) {
            true => Error::schema_not_found(),
            false => Error::subject_not_found(&subject),
        })
    };
    gateway.registry.inspect(work).await
}

async fn delete_subject(
    State(gateway): App,
    act: Act,
    InPath(subject): InPath<String>,
    params: Params,
) -> Answer {
    let permanent = params.flag("permanent");
    let plan = move |table: &Table| deletion::subject(table, &resolve(table, &subject), permanent);
    let until = deadline(&gateway);
    Json::of(
        &gateway
            .registry
            .change("Delete subject", until, &act, plan)
            .await?,
    )
}

async fn get_by_metadata(
    State(gateway): App,
    InPath(subject): InPath<String>,
    params: Params,
) -> Answer {
    let table = gateway.registry.table();
    let subject = resolve(&table, &subject);
    let deleted = params.flag("deleted");
    let filter = Filter::of(deleted, false);
    let has = |stored: &Stored| match (params.text("key"), params.text("value")) {
        (Some(key), Some(value)) => {
            let metadata = stored.value.metadata.as_ref();
            metadata
                .is_some_and(|metadata| metadata.properties.get(key).is_some_and(|v| v == value))
        }
        _ => true,
    };
    let mut versions = table.versions(&subject).rev();
    match versions.find(|stored| filter.takes(stored.value.deleted) && has(stored)) {
        Some(stored) => Json::of(&SchemaView::of(stored)),
        None if table.has_subject(&subject, deleted) => Err(Error::schema_not_found()),
        None => Err(Error::subject_not_found(&subject)),
    }
}

async fn get_versions(
    State(gateway): App,
    InPath(subject): InPath<String>,
    params: Params,
) -> Answer {
    let (deleted, only) = (params.flag("deleted"), params.flag("deletedOnly"));
    let negative = params.flag("deletedAsNegative");
    let (offset, limit) = params.page(MAX_NAMES)?;
    let table = gateway.registry.table();
    let subject = resolve(&table, &subject);
    if !table.has_subject(&subject, deleted || only) {
        return Err(Error::subject_not_found(&subject));
    }
    let filter = Filter::of(deleted || negative, only && !negative);
    let versions: Vec<i32> = table
        .versions(&subject)
        .filter(|stored| filter.takes(stored.value.deleted))
        .map(|stored| match negative && stored.value.deleted {
            true => -stored.value.version,
            false => stored.value.version,
        })
        .skip(offset)
        .take(limit)
        .collect();
    Json::of(&versions)
}

async fn post_version(
    State(gateway): App,
    act: Act,
    InPath(subject): InPath<String>,
    params: Params,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let (request, until) = door::read::<Request>(&gateway, &headers, body).await?;
    if let Some(rules) = &request.rule_set {
        rules.check().map_err(Error::invalid_rule_set)?;
    }
    if !name::is_valid(&subject, false) {
        return Err(Error::invalid_subject(&subject));
    }
    let normalize = params.flag("normalize");
    let compiled = request.compiled().map(str::to_owned);
    let plan = move |table: &Table| {
        let subject = resolve(table, &subject);
        register::register(table, &subject, request.clone(), normalize)
    };
    let registered = gateway.registry.change("Register", until, &act, plan);
    let registered = registered.await?;
    let mut view = RegisteredView::of(&registered);
    view.schema = compiled.as_deref().unwrap_or(view.schema);
    Json::of(&view)
}

/// Finds a version of a subject for reading, in other contexts too.
fn version_in<'t>(
    table: &'t Table,
    subject: &str,
    version: &str,
    deleted: bool,
) -> Result<&'t Stored, Error> {
    let asked = version_of(version)?;
    let subject = resolve(table, subject);
    let names = names_of(table, &subject);
    let mut found = names.iter().filter_map(|name| table.get(name, asked));
    found
        .find(|stored| deleted || !stored.value.deleted)
        .map(|stored| &**stored)
        .ok_or_else(|| match table.has_subject(&subject, deleted) {
            true => Error::version_not_found(asked.unwrap_or(-1)),
            false => Error::subject_not_found(&subject),
        })
}

async fn get_version(
    State(gateway): App,
    InPath((subject, version)): InPath<(String, String)>,
    params: Params,
) -> Answer {
    let work = move |table: &Table, params: &Params| {
        let stored = version_in(table, &subject, &version, params.flag("deleted"))?;
        let mut view = SchemaView::of(stored);
        let qualified;
        if params.text("referenceFormat") == Some("qualified") {
            qualified = stored.qualified_references();
            view.references = &qualified;
        }
        let text = formatted(table, &stored.value, params)?;
        view.schema = text.as_deref().unwrap_or(view.schema);
        Json::of(&view)
    };
    show(&gateway, params, work).await
}

async fn get_version_schema(
    State(gateway): App,
    InPath((subject, version)): InPath<(String, String)>,
    params: Params,
) -> Answer {
    let work = move |table: &Table, params: &Params| {
        let stored = version_in(table, &subject, &version, params.flag("deleted"))?;
        let text = formatted(table, &stored.value, params)?;
        Ok(Json::raw(text.as_deref().unwrap_or(&stored.value.schema)))
    };
    show(&gateway, params, work).await
}

async fn get_referenced_by(
    State(gateway): App,
    InPath((subject, version)): InPath<(String, String)>,
    params: Params,
) -> Answer {
    let (offset, limit) = params.page(MAX_SCHEMAS)?;
    let table = gateway.registry.table();
    let (subject, version) = version_in(&table, &subject, &version, true)?.version();
    let filter = Filter::of(params.flag("deleted"), false);
    let referrers = table.referrers(&subject, version, filter);
    let ids: BTreeSet<i32> = referrers.map(|stored| stored.value.id).collect();
    let page: Vec<i32> = ids.into_iter().skip(offset).take(limit).collect();
    Json::of(&page)
}

async fn delete_version(
    State(gateway): App,
    act: Act,
    InPath((subject, version)): InPath<(String, String)>,
    params: Params,
) -> Answer {
    let asked = version_of(&version)?;
    let permanent = params.flag("permanent");
    let plan =
        move |table: &Table| deletion::version(table, &resolve(table, &subject), asked, permanent);
    let until = deadline(&gateway);
    let operation = "Delete Schema Version";
    let deleted = gateway.registry.change(operation, until, &act, plan);
    Json::of(&deleted.await?)
}

/// Answers a comparison; an invalid schema is an answer too when reasons are asked for.
fn verdict(found: Result<Vec<String>, Error>, verbose: bool) -> Answer {
    let messages = match found {
        Err(error) if error.code == 42201 && verbose => vec![error.message],
        found => found?,
    };
    let compatible = messages.is_empty();
    Json::of(&match verbose {
        true => json!({"is_compatible": compatible, "messages": messages}),
        false => json!({"is_compatible": compatible}),
    })
}

async fn compare_with_one(
    State(gateway): App,
    InPath((subject, version)): InPath<(String, String)>,
    params: Params,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    compare(gateway, subject, Some(version), params, headers, body).await
}

async fn compare_with_all(
    State(gateway): App,
    InPath(subject): InPath<String>,
    params: Params,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    compare(gateway, subject, None, params, headers, body).await
}

/// Compares with one version, or with all that are not deleted.
async fn compare(
    gateway: Arc<Gateway>,
    subject: String,
    version: Option<String>,
    params: Params,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let (request, _) = door::read::<Request>(&gateway, &headers, body).await?;
    let asked = version.as_deref().map(version_of).transpose()?;
    let (normalize, verbose) = (params.flag("normalize"), params.flag("verbose"));
    let work = move |table: &Table| {
        let subject = resolve(table, &subject);
        let live = |stored: &&Arc<Stored>| !stored.value.deleted;
        let with: Vec<&Stored> = match asked {
            None => {
                let versions = table.versions(&subject).filter(live);
                versions.map(|stored| &**stored).collect()
            }
            Some(asked) => match (table.get(&subject, asked).filter(live), asked) {
                (Some(stored), _) => vec![&**stored],
                // Nothing is the latest of a subject that is not there yet, and anything may follow it.
                (None, None) => Vec::new(),
                (None, Some(version)) => return Err(Error::version_not_found(version)),
            },
        };
        verdict(
            register::compare(table, &subject, &request, normalize, &with),
            verbose,
        )
    };
    gateway.registry.inspect(work).await
}

async fn get_contexts(State(gateway): App, params: Params) -> Answer {
    let (offset, limit) = params.page(MAX_NAMES)?;
    let prefix = params.text("contextPrefix").unwrap_or_default();
    let table = gateway.registry.table();
    let contexts = table.contexts().into_iter();
    let page: Vec<&str> = contexts
        .filter(|context| context.starts_with(prefix))
        .skip(offset)
        .take(limit)
        .collect();
    Json::of(&page)
}

async fn delete_context(
    State(gateway): App,
    act: Act,
    InPath(context): InPath<String>,
) -> Result<StatusCode, Error> {
    let prefix = name::context_of_path(&context).filter(|prefix| !prefix.is_empty());
    let prefix = prefix.ok_or_else(|| Error::not_permitted("The default context stays"))?;
    let until = deadline(&gateway);
    let plan = move |table: &Table| deletion::context(table, &prefix);
    gateway
        .registry
        .change("Delete context", until, &act, plan)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn get_server_id(State(gateway): App) -> Answer {
    let kafka = &gateway.settings.cluster_id;
    Json::of(&json!({
        "scope": {
            "path": [],
            "clusters": {"kafka-cluster": kafka, "schema-registry-cluster": "schema-registry"},
        },
    }))
}

async fn get_server_version() -> Answer {
    // The level of the protocol, then who speaks it.
    let version = concat!("8.1.0-tidegate-", env!("CARGO_PKG_VERSION"));
    Json::of(&json!({"version": version, "commitId": "unknown"}))
}
