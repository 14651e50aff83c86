//! The addresses of API keys. A key's secret leaves once, with the answer that makes it.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use tidegate_contract::units::Duration;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::{DEFAULT_TENANT, Role};
use super::door::Admitted;
use super::keys::{Key, KeyRecord, Keys, MAX_KEYS, NewSecret, SecretRecord, new_id};
use crate::Gateway;
use crate::answer::{changed_within, json, parameter};
use crate::audit::{Act, Object};
use crate::clock::rfc3339;
use crate::openapi::problems;
use crate::problem::{Kind, Problem};
use crate::request::{Call, Context};

const MAX_NAME_CHARACTERS: usize = 100;
const MAX_CONTRACTS: usize = 100;
/// As long as both secrets hold where nothing is said.
const OVERLAP_MS: i64 = 24 * 60 * 60 * 1_000;

pub(crate) fn router() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::default()
        .routes(routes!(get_keys, post_key))
        .routes(routes!(get_key, delete_key))
        .routes(routes!(post_rotate))
}

problems!(NoKey: NotFound);
problems!(KeyProblems: NotFound OutcomeUnknown BodyTooLarge);

/// A key as people read it.
#[derive(Serialize, ToSchema)]
#[schema(as = Key)]
struct KeyView<'a> {
    id: &'a str,
    name: &'a str,
    tenant: &'a str,
    roles: &'a [Role],
    contracts: &'a [String],
    state: &'static str,
    created: String,
    created_by: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<String>,
    /// To the hour, if another process saw the use.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used: Option<String>,
    /// Until when the secret before the last one holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    earlier_secret_until: Option<String>,
    /// The key itself, once.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
}

impl<'a> KeyView<'a> {
    fn of(record: &'a KeyRecord, used_ms: i64, now_ms: i64) -> Self {
        let state = match record.revoked_ms {
            Some(_) => "revoked",
            None if record.is_over(now_ms) => "expired",
            None => "active",
        };
        let earlier = record.secrets.get(1).and_then(|secret| secret.until_ms);
        Self {
            id: &record.id,
            name: &record.name,
            tenant: &record.tenant,
            roles: &record.roles,
            contracts: &record.contracts,
            state,
            created: rfc3339(record.created_ms),
            created_by: &record.created_by,
            expires: record.expires_ms.map(rfc3339),
            revoked: record.revoked_ms.map(rfc3339),
            last_used: (used_ms > 0).then(|| rfc3339(used_ms)),
            earlier_secret_until: earlier.filter(|until| *until > now_ms).map(rfc3339),
            key: None,
        }
    }

    fn of_key(key: &'a Key, now_ms: i64) -> Self {
        Self::of(&key.record, key.used_ms(), now_ms)
    }
}

/// What a new key may do.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewKey {
    name: String,
    tenant: Option<String>,
    roles: Vec<Role>,
    #[serde(default)]
    contracts: Vec<String>,
    expires_in: Option<String>,
}

/// How a key changes its secret.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Rotation {
    /// How long both secrets hold, such as `24h`.
    overlap: Option<String>,
}

/// All keys, without their secrets.
#[derive(Serialize, ToSchema)]
#[schema(as = Keys)]
struct KeysView<'a> {
    keys: Vec<KeyView<'a>>,
}

/// Lists API keys, without their secrets.
#[utoipa::path(
    get,
    path = "/v1/keys",
    tag = "keys",
    responses((status = 200, body = KeysView))
)]
async fn get_keys(call: Call) -> Response<Body> {
    let context = call.context();
    let keys = call.gateway.identity.keys.now();
    let keys = keys
        .iter()
        .map(|key| KeyView::of_key(key, context.received_ms))
        .collect();
    json(&context, Ok(KeysView { keys }))
}

/// Reads an API key, without its secret.
#[utoipa::path(
    get,
    path = "/v1/keys/{id}",
    tag = "keys",
    params(("id" = String, Path, description = "The key's id.")),
    responses((status = 200, body = KeyView), NoKey)
)]
async fn get_key(call: Call, id: Result<Path<String>, PathRejection>) -> Response<Body> {
    let context = call.context();
    match parameter(id) {
        Ok(Path(id)) => show(&call.gateway, &context, &id, None),
        Err(problem) => context.problem(problem),
    }
}

/// Answers with a key as it stands now, and with its new secret if there is one.
fn show(
    gateway: &Gateway,
    context: &Context<'_>,
    id: &str,
    secret: Option<&NewSecret>,
) -> Response<Body> {
    let keys = gateway.identity.keys.now();
    let view = find(&keys, id).map(|key| KeyView {
        key: secret.map(|secret| secret.text.as_str()),
        ..KeyView::of_key(key, context.received_ms)
    });
    json(context, view)
}

/// Makes an API key. Its secret is in this answer and nowhere else.
#[utoipa::path(
    post,
    path = "/v1/keys",
    tag = "keys",
    request_body = NewKey,
    responses((status = 201, body = KeyView), KeyProblems)
)]
async fn post_key(
    call: Call,
    act: Act,
    caller: Admitted,
    body: Result<Bytes, BytesRejection>,
) -> Response<Body> {
    let context = call.context();
    let made = async {
        let new: NewKey = read(body)?;
        let now_ms = context.received_ms;
        let id = new_id(random()?);
        let secret = NewSecret::of(&id, random()?);
        let record = record_of(new, id, &secret, &caller.name, now_ms)?;
        let object = |_: &Keys, _: &_| object(None, &record, now_ms);
        let decide = |keys: &Keys| match keys.len() < MAX_KEYS {
            true => Ok(Some(record.record())),
            false => {
                let detail = format!("there are {MAX_KEYS} keys, which is all there can be");
                Err(Problem::new(Kind::BadRequest, detail))
            }
        };
        let made = call.gateway.identity.keys.change_by(&act, object, decide);
        changed_within(&context, made).await??;
        Ok((record, secret))
    };
    match made.await {
        Ok((record, secret)) => {
            let view = KeyView {
                key: Some(&secret.text),
                ..KeyView::of(&record, 0, context.received_ms)
            };
            (StatusCode::CREATED, json(&context, Ok(view))).into_response()
        }
        Err(problem) => context.problem(problem),
    }
}

/// Gives an API key another secret; the earlier one holds for a while.
#[utoipa::path(
    post,
    path = "/v1/keys/{id}/rotate",
    tag = "keys",
    params(("id" = String, Path, description = "The key's id.")),
    request_body = Option<Rotation>,
    responses((status = 200, body = KeyView), KeyProblems)
)]
async fn post_rotate(
    call: Call,
    act: Act,
    id: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Response<Body> {
    let context = call.context();
    let rotated = async {
        let Path(id) = parameter(id)?;
        let rotation: Rotation = match &body {
            Ok(bytes) if bytes.is_empty() => Rotation::default(),
            _ => read(body)?,
        };
        let overlap_ms = length(rotation.overlap.as_deref(), "overlap")?.unwrap_or(OVERLAP_MS);
        let now_ms = context.received_ms;
        let secret = NewSecret::of(&id, random()?);
        let after = |keys: &Keys| -> Result<KeyRecord, Problem> {
            let key = active(keys, &id, now_ms)?;
            let mut record = key.record.clone();
            // The earlier of two secrets that overlap ends now: at most two hold at a time.
            record.secrets.truncate(1);
            for earlier in &mut record.secrets {
                earlier.until_ms = Some(now_ms.saturating_add(overlap_ms));
            }
            record.secrets.insert(0, kept(&secret, now_ms));
            Ok(record)
        };
        let decide = |keys: &Keys| after(keys).map(|record| Some(record.record()));
        let object = |keys: &Keys, _: &_| {
            let before = keys.get(&id).map(|key| &key.record);
            match after(keys) {
                Ok(after) => object(before, &after, now_ms),
                Err(_) => Object::default(),
            }
        };
        let rotated = call.gateway.identity.keys.change_by(&act, object, decide);
        changed_within(&context, rotated).await??;
        Ok((id, secret))
    };
    match rotated.await {
        Ok((id, secret)) => show(&call.gateway, &context, &id, Some(&secret)),
        Err(problem) => context.problem(problem),
    }
}

/// Revokes an API key.
#[utoipa::path(
    delete,
    path = "/v1/keys/{id}",
    tag = "keys",
    params(("id" = String, Path, description = "The key's id.")),
    responses((status = 200, body = KeyView), KeyProblems)
)]
async fn delete_key(
    call: Call,
    act: Act,
    id: Result<Path<String>, PathRejection>,
) -> Response<Body> {
    let context = call.context();
    let revoked = async {
        let Path(id) = parameter(id)?;
        let now_ms = context.received_ms;
        let after = |record: &KeyRecord| KeyRecord {
            revoked_ms: Some(now_ms),
            ..record.clone()
        };
        let decide = |keys: &Keys| {
            let record = &find(keys, &id)?.record;
            let is_news = record.revoked_ms.is_none();
            Ok(is_news.then(|| after(record).record()))
        };
        let object = |keys: &Keys, _: &_| match find(keys, &id) {
            Ok(key) => object(Some(&key.record), &after(&key.record), now_ms),
            Err(_) => Object::default(),
        };
        let revoked = call.gateway.identity.keys.change_by(&act, object, decide);
        changed_within(&context, revoked).await??;
        Ok(id)
    };
    match revoked.await {
        Ok(id) => show(&call.gateway, &context, &id, None),
        Err(problem) => context.problem(problem),
    }
}

/// Says to the audit what is about to change: a key as people read it, so without its secrets.
fn object(before: Option<&KeyRecord>, after: &KeyRecord, now_ms: i64) -> Object {
    let shown = |record: &KeyRecord| {
        let secrets = record.secrets.len();
        let newest = record
            .secrets
            .first()
            .map(|secret| rfc3339(secret.created_ms));
        serde_json::json!({
            "key": KeyView::of(record, 0, now_ms), "secrets": secrets, "newest_secret": newest,
        })
    };
    Object {
        name: format!("key/{}", after.id),
        before: before.map(shown),
        after: Some(shown(after)),
    }
}

fn find<'k>(keys: &'k Keys, id: &str) -> Result<&'k Key, Problem> {
    keys.get(id).ok_or_else(no_key)
}

fn no_key() -> Problem {
    Problem::new(Kind::NotFound, "there is no key of this id")
}

fn active<'k>(keys: &'k Keys, id: &str, now_ms: i64) -> Result<&'k Key, Problem> {
    let key = find(keys, id)?;
    match key.record.is_over(now_ms) {
        true => Err(Problem::new(
            Kind::NotFound,
            "the key has ended; make a new one",
        )),
        false => Ok(key),
    }
}

fn record_of(
    new: NewKey,
    id: String,
    secret: &NewSecret,
    created_by: &str,
    now_ms: i64,
) -> Result<KeyRecord, Problem> {
    let wrong = |detail: String| Err(Problem::new(Kind::BadRequest, detail));
    let tenant = new.tenant.unwrap_or_else(|| DEFAULT_TENANT.to_owned());
    for (what, text) in [("name", &new.name), ("tenant", &tenant)] {
        if !is_name(text) {
            return wrong(format!(
                "`{what}` has 1 to {MAX_NAME_CHARACTERS} letters, digits and `.`, `_`, `-`, `:`"
            ));
        }
    }
    if new.roles.is_empty() {
        let all = Role::ALL.map(Role::as_str).join("`, `");
        return wrong(format!("`roles` names one or more of `{all}`"));
    }
    if new.contracts.len() > MAX_CONTRACTS || !new.contracts.iter().all(|name| is_name(name)) {
        return wrong(format!(
            "`contracts` has at most {MAX_CONTRACTS} names of contracts"
        ));
    }
    let expires_in = length(new.expires_in.as_deref(), "expires_in")?;
    let mut roles = new.roles;
    roles.sort_unstable();
    roles.dedup();
    Ok(KeyRecord {
        id,
        tenant,
        name: new.name,
        roles,
        contracts: new.contracts,
        secrets: vec![kept(secret, now_ms)],
        created_ms: now_ms,
        created_by: created_by.to_owned(),
        expires_ms: expires_in.map(|length| now_ms.saturating_add(length)),
        revoked_ms: None,
    })
}

fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:".contains(&byte);
    (1..=MAX_NAME_CHARACTERS).contains(&text.len()) && text.bytes().all(fits)
}

fn kept(secret: &NewSecret, now_ms: i64) -> SecretRecord {
    SecretRecord {
        hash: secret.hash.clone(),
        created_ms: now_ms,
        until_ms: None,
    }
}

/// Reads a length of time in milliseconds.
fn length(text: Option<&str>, what: &str) -> Result<Option<i64>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let length: Duration = text
        .parse()
        .map_err(|error| Problem::new(Kind::BadRequest, format!("`{what}`: {error}")))?;
    Ok(i64::try_from(length.as_ms()).ok())
}

fn read<T: for<'de> Deserialize<'de>>(body: Result<Bytes, BytesRejection>) -> Result<T, Problem> {
    let bytes = parameter(body)?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Problem::new(Kind::BadRequest, format!("the body: {error}")))
}

fn random<const N: usize>() -> Result<[u8; N], Problem> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| {
        tracing::error!("the system gives no random bytes");
        Problem::new(Kind::Internal, "no key could be made")
    })?;
    Ok(bytes)
}
