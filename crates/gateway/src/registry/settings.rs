//! The addresses of settings and modes: of all subjects, of a context, of one subject.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::get;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::answer::{Answer, Json};
use super::delete as deletion;
use super::door::{self, InPath, Params, deadline, subject_of};
use super::entity::{Config, Metadata, Mode, RuleSet};
use super::error::Error;
use super::name::{self, Name};
use super::record::Change;
use super::routes::App;
use super::schema;
use super::table::Table;
use crate::Gateway;
use crate::audit::Act;

pub(crate) fn router() -> Router<Arc<Gateway>> {
    Router::new()
        .route(
            "/config",
            get(get_config).put(put_config).delete(delete_config),
        )
        .route(
            "/config/{subject}",
            get(get_config_of)
                .put(put_config_of)
                .delete(delete_config_of),
        )
        .route("/mode", get(get_mode).put(put_mode).delete(delete_mode))
        .route(
            "/mode/{subject}",
            get(get_mode_of).put(put_mode_of).delete(delete_mode_of),
        )
}

/// A member that may be left out, be `null`, or have a value.
type Given<T> = Option<Option<T>>;

fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Given<T>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Settings as they are sent; what is left out stays, `null` takes back.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Update {
    #[serde(deserialize_with = "given")]
    alias: Given<String>,
    #[serde(deserialize_with = "given")]
    alias_for_deks: Given<String>,
    #[serde(deserialize_with = "given")]
    normalize: Given<bool>,
    #[serde(deserialize_with = "given")]
    validate_fields: Given<bool>,
    #[serde(deserialize_with = "given")]
    validate_new_schemas: Given<bool>,
    #[serde(deserialize_with = "given")]
    validate_rules: Given<bool>,
    #[serde(deserialize_with = "given")]
    compatibility: Given<String>,
    #[serde(deserialize_with = "given")]
    compatibility_policy: Given<String>,
    #[serde(deserialize_with = "given")]
    compatibility_group: Given<String>,
    #[serde(deserialize_with = "given")]
    default_metadata: Given<Metadata>,
    #[serde(deserialize_with = "given")]
    override_metadata: Given<Metadata>,
    #[serde(deserialize_with = "given")]
    default_rule_set: Given<RuleSet>,
    #[serde(deserialize_with = "given")]
    override_rule_set: Given<RuleSet>,
}

impl Update {
    /// Checks what is sent, and writes words as they are stored.
    fn checked(mut self) -> Result<Self, Error> {
        if let Some(Some(level)) = &mut self.compatibility {
            *level = schema::level_of(level).ok_or_else(Error::invalid_compatibility)?;
        }
        if let Some(Some(policy)) = &mut self.compatibility_policy {
            // LOGICAL, which asks for more, is not checked here and so is not promised.
            *policy = schema::policy_of(policy).ok_or_else(Error::invalid_compatibility)?;
        }
        for rules in [&self.default_rule_set, &self.override_rule_set] {
            if let Some(Some(rules)) = rules {
                rules.check().map_err(Error::invalid_rule_set)?;
            }
        }
        Ok(self)
    }

    fn over(self, old: Config) -> Config {
        Config {
            alias: self.alias.unwrap_or(old.alias),
            alias_for_deks: self.alias_for_deks.unwrap_or(old.alias_for_deks),
            normalize: self.normalize.unwrap_or(old.normalize),
            validate_fields: self.validate_fields.unwrap_or(old.validate_fields),
            validate_new_schemas: self
                .validate_new_schemas
                .unwrap_or(old.validate_new_schemas),
            validate_rules: self.validate_rules.unwrap_or(old.validate_rules),
            compatibility_level: self.compatibility.unwrap_or(old.compatibility_level),
            compatibility_policy: self
                .compatibility_policy
                .unwrap_or(old.compatibility_policy),
            compatibility_group: self.compatibility_group.unwrap_or(old.compatibility_group),
            default_metadata: self.default_metadata.unwrap_or(old.default_metadata),
            override_metadata: self.override_metadata.unwrap_or(old.override_metadata),
            default_rule_set: self.default_rule_set.unwrap_or(old.default_rule_set),
            override_rule_set: self.override_rule_set.unwrap_or(old.override_rule_set),
        }
    }
}

/// Reads what settings are about: `None` is the default context, whose settings are everybody's.
fn scope(text: &str) -> Option<String> {
    let name = Name::parse(text);
    let all = name.is_default() && name.is_context();
    (!all).then(|| subject_of(text))
}

async fn get_config(State(gateway): App, params: Params) -> Answer {
    show_config(&gateway, None, &params)
}

async fn get_config_of(
    State(gateway): App,
    InPath(subject): InPath<String>,
    params: Params,
) -> Answer {
    show_config(&gateway, scope(&subject).as_deref(), &params)
}

fn show_config(gateway: &Gateway, subject: Option<&str>, params: &Params) -> Answer {
    let table = gateway.registry.table();
    if params.flag("defaultToGlobal") {
        return Json::of(&table.config_in_scope(subject));
    }
    match (table.config(subject), subject) {
        (Some(config), _) => Json::of(&config.clone().with_level()),
        (None, Some(subject)) if !Name::parse(subject).is_global() => {
            Err(Error::no_subject_config(subject))
        }
        (None, _) => Json::of(&Config::default().with_level()),
    }
}

async fn put_config(State(gateway): App, act: Act, headers: HeaderMap, body: Body) -> Answer {
    update_config(gateway, act, None, headers, body).await
}

async fn put_config_of(
    State(gateway): App,
    act: Act,
    InPath(subject): InPath<String>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    update_config(gateway, act, Some(subject), headers, body).await
}

async fn update_config(
    gateway: Arc<Gateway>,
    act: Act,
    subject: Option<String>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let (update, until) = door::read::<Update>(&gateway, &headers, body).await?;
    let update = update.checked()?;
    check_name(subject.as_deref())?;
    let subject = subject.and_then(|subject| scope(&subject));
    let plan = move |table: &Table| {
        deletion::refuse_read_only(table, subject.as_deref())?;
        let old = table
            .config(subject.as_deref())
            .cloned()
            .unwrap_or_default();
        let new = update.clone().over(old);
        let change = Change::Config(subject.clone(), Some(new.clone()));
        Ok((vec![change], new))
    };
    let config = gateway
        .registry
        .change("Update config", until, &act, plan)
        .await?;
    // The level has another name here than where it is read.
    let mut shown = serde_json::to_value(&config).unwrap_or_default();
    if let Value::Object(members) = &mut shown
        && let Some(level) = members.shift_remove("compatibilityLevel")
    {
        members.insert("compatibility".to_owned(), level);
    }
    Json::of(&shown)
}

fn check_name(subject: Option<&str>) -> Result<(), Error> {
    match subject {
        Some(subject) if !name::is_valid(subject, true) => Err(Error::invalid_subject(subject)),
        _ => Ok(()),
    }
}

async fn delete_config(State(gateway): App, act: Act) -> Answer {
    remove_config(gateway, act, None).await
}

async fn delete_config_of(
    State(gateway): App,
    act: Act,
    InPath(subject): InPath<String>,
) -> Answer {
    remove_config(gateway, act, scope(&subject)).await
}

async fn remove_config(gateway: Arc<Gateway>, act: Act, subject: Option<String>) -> Answer {
    let until = deadline(&gateway);
    let plan = move |table: &Table| {
        let old = table.config(subject.as_deref()).cloned();
        let old = match (old, &subject) {
            (Some(old), _) => old,
            (None, None) => Config::default(),
            (None, Some(subject)) => return Err(Error::subject_not_found(subject)),
        };
        deletion::refuse_read_only(table, subject.as_deref())?;
        Ok((
            vec![Change::Config(subject.clone(), None)],
            old.with_level(),
        ))
    };
    Json::of(
        &gateway
            .registry
            .change("Delete config", until, &act, plan)
            .await?,
    )
}

async fn get_mode(State(gateway): App, params: Params) -> Answer {
    show_mode(&gateway, None, &params)
}

async fn get_mode_of(
    State(gateway): App,
    InPath(subject): InPath<String>,
    params: Params,
) -> Answer {
    show_mode(&gateway, scope(&subject).as_deref(), &params)
}

fn show_mode(gateway: &Gateway, subject: Option<&str>, params: &Params) -> Answer {
    let table = gateway.registry.table();
    let mode = match (table.mode(subject), subject) {
        _ if params.flag("defaultToGlobal") => table.mode_in_scope(subject),
        (Some(mode), _) => mode,
        (None, Some(subject)) if !Name::parse(subject).is_global() => {
            return Err(Error::no_subject_mode(subject));
        }
        (None, _) => Mode::Readwrite,
    };
    Json::of(&json!({ "mode": mode }))
}

#[derive(Deserialize)]
struct ModeUpdate {
    #[serde(default, deserialize_with = "given")]
    mode: Given<String>,
}

async fn put_mode(
    State(gateway): App,
    act: Act,
    params: Params,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    update_mode(gateway, act, None, params, headers, body).await
}

async fn put_mode_of(
    State(gateway): App,
    act: Act,
    InPath(subject): InPath<String>,
    params: Params,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    update_mode(gateway, act, Some(subject), params, headers, body).await
}

async fn update_mode(
    gateway: Arc<Gateway>,
    act: Act,
    subject: Option<String>,
    params: Params,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let (update, until) = door::read::<ModeUpdate>(&gateway, &headers, body).await?;
    check_name(subject.as_deref())?;
    let subject = subject.and_then(|subject| scope(&subject));
    let text = update.mode.flatten();
    let mode = match &text {
        Some(text) => Some(Mode::parse(text).ok_or_else(Error::invalid_mode)?),
        None => None,
    };
    if mode == Some(Mode::Forward) {
        // There is no other registry to forward to.
        return Err(Error::invalid_mode());
    }
    let force = params.flag("force");
    let plan = move |table: &Table| deletion::set_mode(table, subject.as_deref(), mode, force);
    gateway
        .registry
        .change("Update mode", until, &act, plan)
        .await?;
    match text {
        Some(text) => Json::of(&json!({ "mode": text })),
        None => Json::of(&json!({})),
    }
}

async fn delete_mode(State(gateway): App, act: Act, params: Params) -> Answer {
    remove_mode(gateway, act, None, params).await
}

async fn delete_mode_of(
    State(gateway): App,
    act: Act,
    InPath(subject): InPath<String>,
    params: Params,
) -> Answer {
    remove_mode(gateway, act, scope(&subject), params).await
}

async fn remove_mode(
    gateway: Arc<Gateway>,
    act: Act,
    subject: Option<String>,
    params: Params,
) -> Answer {
    let until = deadline(&gateway);
    let recursive = params.flag("recursive");
    let plan = move |table: &Table| deletion::mode(table, subject.as_deref(), recursive);
    match gateway
        .registry
        .change("Delete mode", until, &act, plan)
        .await?
    {
        Some(mode) => Json::of(&json!({ "mode": mode })),
        None => Json::of(&json!({})),
    }
}
