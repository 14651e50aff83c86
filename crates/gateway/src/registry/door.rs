//! What is the same for every route of the registry's door: media types, bodies, names in the path,
//! parameters, and addresses below `/contexts/{context}`.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, MatchedPath, Path, Request, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, Uri};
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tower_service::Service as _;

use super::MEDIA_TYPE as V1;
use super::error::{Code, Error};
use super::name::{self, Name};
use crate::Gateway;
use crate::ingress::body;

/// The media types there are, the preferred one first.
const MEDIA_TYPES: [&str; 3] = [
    V1,
    "application/vnd.schemaregistry+json",
    "application/json",
];
/// A schema's text is escaped in the body, and there is metadata beside it.
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// The route that was found; what has none is counted as this.
#[derive(Clone)]
struct Route(MatchedPath);
const NO_ROUTE: &str = "other";

/// Wraps the routes: the address is rewritten before they see it, and answers get their media type and
/// are counted.
pub(crate) fn wrap(routes: Router, gateway: Arc<Gateway>) -> Router {
    let routes = routes.layer(from_fn(note_route));
    Router::new().fallback(serve).with_state((routes, gateway))
}

async fn note_route(request: Request, next: Next) -> Response<Body> {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    if let Some(route) = route {
        response.extensions_mut().insert(Route(route));
    }
    response
}

async fn serve(
    State((routes, gateway)): State<(Router, Arc<Gateway>)>,
    request: Request,
) -> Response<Body> {
    let began = Instant::now();
    let method = request.method().clone();
    let response = dispatch(routes, request).await;
    let extensions = response.extensions();
    let route = match extensions.get::<Route>() {
        // A method that no route has is the caller's word.
        Some(Route(path)) if response.status() != StatusCode::METHOD_NOT_ALLOWED => {
            format!("{method} {}", path.as_str())
        }
        _ => NO_ROUTE.to_owned(),
    };
    let code = extensions.get::<Code>().map(|code| code.0);
    let status = response.status().as_u16();
    let seconds = began.elapsed().as_secs_f64();
    gateway.metrics.schemas.count(route, status, code, seconds);
    response
}

async fn dispatch(mut routes: Router, mut request: Request) -> Response<Body> {
    let Some(media_type) = negotiate(request.headers()) else {
        return finish(http_error(StatusCode::NOT_ACCEPTABLE).into_response(), V1);
    };
    match rewrite(request.uri()) {
        Ok(Some(uri)) => *request.uri_mut() = uri,
        Ok(None) => {}
        Err(error) => return finish(error.into_response(), media_type),
    }
    let Ok(response) = routes.call(request).await;
    finish(response, media_type)
}

fn finish(mut response: Response<Body>, media_type: &'static str) -> Response<Body> {
    let media_type = HeaderValue::from_static(media_type);
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}

/// An error of HTTP, worded as Jersey does.
pub(crate) fn http_error(status: StatusCode) -> Error {
    Error::http(status, format!("HTTP {status}"))
}

/// Picks the media type of the answer; `None` if the caller takes none of them.
fn negotiate(headers: &HeaderMap) -> Option<&'static str> {
    let mut best: Option<(f32, &'static str)> = None;
    let mut asked = false;
    for value in headers.get_all(ACCEPT) {
        for range in value.to_str().unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
            if essence.is_empty() {
                continue;
            }
            asked = true;
            let weight = parts
                .find_map(|part| part.strip_prefix("q="))
                .and_then(|weight| weight.parse().ok())
                .unwrap_or(1.0);
            let any = matches!(essence.as_str(), "*/*" | "application/*");
            let found = MEDIA_TYPES
                .into_iter()
                .find(|known| any || *known == essence);
            if let Some(found) = found
                && weight > 0.0
                && best.is_none_or(|(known, _)| weight > known)
            {
                best = Some((weight, found));
            }
        }
    }
    match asked {
        true => best.map(|(_, found)| found),
        false => Some(V1),
    }
}

/// Turns `/contexts/{context}/subjects/{subject}` into `/subjects/:.context:{subject}`, as
/// Confluent's registry does, and leaves a slash at the end out.
fn rewrite(uri: &Uri) -> Result<Option<Uri>, Error> {
    let path = uri.path();
    let trimmed = path.trim_end_matches('/');
    let invalid = || http_error(StatusCode::BAD_REQUEST);
    let Some(rest) = trimmed.strip_prefix("/contexts/") else {
        if trimmed == path || trimmed.is_empty() {
            return Ok(None);
        }
        let query = uri
            .query()
            .map_or(String::new(), |query| format!("?{query}"));
        let shorter = format!("{trimmed}{query}").parse();
        return shorter.map(Some).map_err(|_| invalid());
    };
    let (context, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let context = percent_decode_str(context)
        .decode_utf8()
        .map_err(|_| invalid())?;
    let Some(prefix) = name::context_of_path(&context) else {
        let message = format!("Context name '{context}' cannot contain a colon");
        return Err(Error::http(StatusCode::BAD_REQUEST, message));
    };
    if rest.is_empty() {
        // The context itself.
        return Ok(None);
    }
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let within = |text: &str| match text.starts_with(":.") || text.starts_with(name::WILDCARD) {
        true => text.to_owned(),
        false => format!("{prefix}{text}"),
    };
    let mut segments: Vec<String> = rest.split('/').map(str::to_owned).collect();
    let is_settings = matches!(segments[0].as_str(), "config" | "mode");
    let at = segments.iter().position(|segment| segment == "subjects");
    let at = if is_settings { Some(0) } else { at };
    match at.map(|at| at + 1) {
        Some(at) if at < segments.len() => {
            let subject = percent_decode_str(&segments[at]).decode_utf8();
            segments[at] = encode(&within(&subject.map_err(|_| invalid())?));
        }
        Some(_) if is_settings && !prefix.is_empty() => segments.push(encode(&prefix)),
        _ => {}
    }
    let mut query: Vec<String> = (uri.query().unwrap_or_default().split('&'))
        .filter(|pair| !pair.is_empty())
        .map(str::to_owned)
        .collect();
    let scope = match segments[0].as_str() {
        "schemas" if segments.get(1).is_some_and(|next| next == "ids") => Some("subject"),
        "schemas" | "subjects" if segments.len() == 1 => Some("subjectPrefix"),
        _ => None,
    };
    if let Some(scope) = scope {
        let given = query
            .iter()
            .position(|pair| pair.split('=').next() == Some(scope));
        let given = given.map(|at| query.swap_remove(at));
        let given = given.and_then(|pair| pair.split_once('=').map(|(_, value)| value.to_owned()));
        let given = given.unwrap_or_default().replace('+', " ");
        let given = percent_decode_str(&given)
            .decode_utf8()
            .map_err(|_| invalid())?;
        query.push(format!("{scope}={}", encode(&within(&given))));
    }
    let uri = format!("/{}?{}", segments.join("/"), query.join("&")).parse();
    uri.map(Some).map_err(|_| invalid())
}

/// The parameters of the query, by name; the last of a name counts.
pub(crate) struct Params(HashMap<String, String>);

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let invalid = || http_error(StatusCode::BAD_REQUEST);
        let mut params = HashMap::new();
        for pair in parts.uri.query().unwrap_or_default().split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text: &str| {
                let text = text.replace('+', " ");
                let text = percent_decode_str(&text).decode_utf8();
                text.map(std::borrow::Cow::into_owned)
                    .map_err(|_| invalid())
            };
            params.insert(decode(name)?, decode(value)?);
        }
        Ok(Self(params))
    }
}

impl Params {
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// `true` in any case is true and all else is not, as in Java.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.text(name)
            .is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    /// Returns how many to pass over and how many to take of a list; no limit, and one beyond
    /// `most`, is `most`.
    ///
    /// # Errors
    /// One of them is no number; Jersey answers 404 then.
    pub(crate) fn page(&self, most: usize) -> Result<(usize, usize), Error> {
        let number = |name| match self.text(name) {
            None => Ok(None),
            Some(text) => {
                (text.parse::<i64>().map(Some)).map_err(|_| http_error(StatusCode::NOT_FOUND))
            }
        };
        let offset = number("offset")?.and_then(|offset| usize::try_from(offset).ok());
        let limit = number("limit")?
            .and_then(|limit| usize::try_from(limit).ok())
            .filter(|limit| (1..=most).contains(limit));
        Ok((offset.unwrap_or(0), limit.unwrap_or(most)))
    }
}

/// What stands in the path.
pub(crate) struct InPath<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for InPath<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let path: Result<Path<T>, PathRejection> = Path::from_request_parts(parts, state).await;
        // What is no number where one belongs leads nowhere, as in Jersey.
        path.map(|Path(value)| Self(value))
            .map_err(|_| http_error(StatusCode::NOT_FOUND))
    }
}

/// Writes a subject from the path as it is stored.
pub(crate) fn subject_of(text: &str) -> String {
    Name::parse(text).qualified()
}

/// Reads a version: a number from 1 on, or `None` for `latest` and -1.
pub(crate) fn version_of(text: &str) -> Result<Option<i32>, Error> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("latest") {
        return Ok(None);
    }
    match text.parse::<i32>() {
        Ok(-1) => Ok(None),
        Ok(version) if version > 0 => Ok(Some(version)),
        _ => Err(Error::invalid_version(text)),
    }
}

/// Reads a body of JSON and says until when it has to be answered.
///
/// # Errors
/// 415, 413, 400 or 422 as Confluent's registry has them.
pub(crate) async fn read<T: DeserializeOwned>(
    gateway: &Arc<Gateway>,
    headers: &HeaderMap,
    body: Body,
) -> Result<(T, Instant), Error> {
    let media_type = headers
        .get(CONTENT_TYPE)
        .map(|value| value.to_str().unwrap_or_default());
    let essence = media_type.map(|media_type| media_type.split(';').next().unwrap_or_default());
    let known = |essence: &str| {
        let essence = essence.trim().to_ascii_lowercase();
        MEDIA_TYPES.contains(&essence.as_str()) || essence == "application/octet-stream"
    };
    if !essence.is_none_or(known) {
        return Err(http_error(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    let (bytes, _held) = body::read(gateway, headers, body, MAX_BODY_BYTES)
        .await
        .map_err(|problem| {
            let status = StatusCode::from_u16(problem.kind().status()).unwrap_or_default();
            http_error(status)
        })?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::http(
            StatusCode::UNPROCESSABLE_ENTITY,
            "request body may not be null",
        ));
    }
    let value = serde_json::from_slice(&bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let what = match error.classify() {
            serde_json::error::Category::Data => "has a member of the wrong type",
            _ => "is not JSON",
        };
        let message = format!("the body {what} (line {line}, column {column})");
        Error::http(StatusCode::BAD_REQUEST, message)
    })?;
    Ok((value, deadline(gateway)))
}

/// Says until when a request is answered from now on.
pub(crate) fn deadline(gateway: &Gateway) -> Instant {
    Instant::now() + gateway.settings.answer_deadline
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_below_a_context_are_rewritten() {
        for (address, expected) in [
            ("/subjects", None),
            ("/subjects/?deleted=true", Some("/subjects?deleted=true")),
            ("/contexts", None),
            ("/contexts/.eu", None),
            (
                "/contexts/.eu/subjects/a%2Fb/versions",
                Some("/subjects/%3A%2Eeu%3Aa%2Fb/versions?"),
            ),
            (
                "/contexts/eu/subjects",
                Some("/subjects?subjectPrefix=%3A%2Eeu%3A"),
            ),
            (
                "/contexts/.eu/schemas/ids/1?subject=a",
                Some("/schemas/ids/1?subject=%3A%2Eeu%3Aa"),
            ),
            ("/contexts/.eu/config", Some("/config/%3A%2Eeu%3A?")),
            ("/contexts/.eu/mode/a", Some("/mode/%3A%2Eeu%3Aa?")),
            (
                "/contexts/.eu/compatibility/subjects/a/versions",
                Some("/compatibility/subjects/%3A%2Eeu%3Aa/versions?"),
            ),
            ("/contexts/./config", Some("/config?")),
        ] {
            let uri = address.parse().unwrap();
            let found = rewrite(&uri).unwrap().map(|uri| uri.to_string());
            assert_eq!(found.as_deref(), expected, "{address}");
        }
        rewrite(&"/contexts/a:b/subjects".parse().unwrap()).unwrap_err();
    }

    #[test]
    fn the_caller_picks_the_media_type() {
        for (accept, expected) in [
            (None, Some(V1)),
            (Some("*/*"), Some(V1)),
            (Some("application/json"), Some("application/json")),
            (
                Some("application/vnd.schemaregistry+json;q=0.9, application/json;q=0.5"),
                Some("application/vnd.schemaregistry+json"),
            ),
            (Some("text/html, */*;q=0.1"), Some(V1)),
            (Some("text/html"), None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(ACCEPT, HeaderValue::from_static(accept));
            }
            assert_eq!(negotiate(&headers), expected, "{accept:?}");
        }
    }
}
