//! Asks a running gateway through its HTTP API, as anyone does, and says what its refusals mean.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use clap::Args;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Certificate, ClientBuilder, Identity, Method, Response, StatusCode, Url};
use serde_json::Value;

use super::failure::{Exit, Failure};
use crate::ui::printable;

/// The gateway answers in 5 s whatever is slow; the rest is for the way there and back.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A plan or an apply of contracts ends within 30 s.
const LONG_TIMEOUT: Duration = Duration::from_secs(40);
/// A stream has no end; who reads it notices when it falls silent.
const STREAM_TIMEOUT: Duration = Duration::from_hours(24 * 365);
/// The gateway's largest page has 4 MiB of records, which base64 and headers may double.
const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;
/// The variable of the environment that holds an API key or a token.
const API_KEY: &str = "TIDEGATE_API_KEY";
/// What a path cannot hold.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}');
/// What a segment of a path cannot hold.
const SEGMENT: &AsciiSet = &PATH.add(b'/');
/// What a value in a query cannot hold.
const QUERY: &AsciiSet = &SEGMENT.add(b'&').add(b'+').add(b'=');

/// Which gateway is asked.
#[derive(Args, Clone, Debug)]
pub(crate) struct Server {
    /// The gateway's address.
    #[arg(
        long,
        visible_alias = "to",
        env = "TIDEGATE_URL",
        default_value = "http://127.0.0.1:8080"
    )]
    url: String,
    #[command(flatten)]
    trust: Trust,
}

/// Whom a client trusts over TLS, and what it shows of itself.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Trust {
    /// The authorities that the gateway's certificate may come from, PEM; without it those of this machine.
    #[arg(long, value_name = "FILE", env = CA)]
    ca: Option<PathBuf>,
    /// A certificate to show to the gateway, PEM.
    #[arg(long, value_name = "FILE", env = CERTIFICATE, requires = "key")]
    cert: Option<PathBuf>,
    /// The private key of that certificate.
    #[arg(long, value_name = "FILE", env = KEY, requires = "cert")]
    key: Option<PathBuf>,
}

const CA: &str = "TIDEGATE_CA";
const CERTIFICATE: &str = "TIDEGATE_CERT";
const KEY: &str = "TIDEGATE_KEY";

/// A connection to a gateway.
pub(crate) struct Client {
    base: Url,
    http: reqwest::Client,
    /// The option that names the address.
    option: &'static str,
}

/// What a refusal of an address means for the command.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Asked {
    /// It looked for something.
    ForData,
    /// It wanted something done.
    ToTake,
}

impl Server {
    /// Names a gateway by its address; whom to trust, the environment says.
    pub(crate) fn at(url: &str) -> Self {
        let file = |name| std::env::var_os(name).map(PathBuf::from);
        Self {
            url: url.to_owned(),
            trust: Trust {
                ca: file(CA),
                cert: file(CERTIFICATE),
                key: file(KEY),
            },
        }
    }

    /// Makes a client for it.
    ///
    /// # Errors
    /// The address is none.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let wrong = |why: String| {
            let message = format!("`{}` is not a gateway's address: {why}", self.url);
            Failure::new(Exit::Usage, message)
        };
        let base = Url::parse(&self.url).map_err(|error| wrong(error.to_string()))?;
        let http = match base.scheme() {
            "http" => client_of(plain(), api_key()?)?,
            "https" => client_of(self.trust.client()?, api_key()?)?,
            _ => {
                return Err(wrong("it begins with `http://` or `https://`".to_owned()));
            }
        };
        Ok(Client {
            base,
            http,
            option: "--url",
        })
    }
}

impl Trust {
    /// Begins an HTTP client that speaks TLS.
    fn client(&self) -> Result<ClientBuilder, Failure> {
        let read = |file: &Path| {
            let name = || format!("`{}`", file.display());
            std::fs::read(file).with_context(name)
        };
        let mut client = straight();
        if let Some(file) = &self.ca {
            let authorities = Certificate::from_pem_bundle(&read(file)?);
            let none = || format!("`{}` has no certificate", file.display());
            let authorities = authorities.ok().filter(|all| !all.is_empty());
            client = client.tls_certs_only(authorities.with_context(none)?);
        }
        if let (Some(certificate), Some(key)) = (&self.cert, &self.key) {
            let pair = [read(certificate)?, read(key)?].join(&b'\n');
            let (certificate, key) = (certificate.display(), key.display());
            // The error may repeat what it read, so it is not told.
            let pair = Identity::from_pem(&pair).ok();
            let none = || format!("`{certificate}` and `{key}` are no certificate and key");
            client = client.identity(pair.with_context(none)?);
        }
        Ok(client)
    }
}

/// Makes an HTTP client for doors that speak no TLS.
///
/// # Errors
/// The system gives no randomness or the like.
pub(crate) fn http_client() -> Result<reqwest::Client, Failure> {
    client_of(plain(), None)
}

/// Makes a client that shows this credential with every request.
fn client_of(
    client: ClientBuilder,
    credential: Option<HeaderValue>,
) -> Result<reqwest::Client, Failure> {
    let shown = credential.map(|credential| (AUTHORIZATION, credential));
    let client = client.default_headers(shown.into_iter().collect());
    Ok(client.build().context("the HTTP client cannot be made")?)
}

/// Returns the credential of the environment: no flag has it, since others see a process's flags.
fn api_key() -> Result<Option<HeaderValue>, Failure> {
    let Some(key) = std::env::var_os(API_KEY).filter(|key| !key.is_empty()) else {
        return Ok(None);
    };
    let shown = key.to_str().map(|key| format!("Bearer {}", key.trim()));
    let value = shown.and_then(|shown| HeaderValue::try_from(shown).ok());
    let Some(mut value) = value else {
        let message = format!("`{API_KEY}` holds neither an API key nor a token");
        return Err(Failure::new(Exit::Usage, message));
    };
    value.set_sensitive(true);
    Ok(Some(value))
}

/// Begins a client that speaks no TLS, which a machine without authorities of its own can make too.
fn plain() -> ClientBuilder {
    straight().tls_certs_only([])
}

/// No proxy is between a gateway and those who run it.
fn straight() -> ClientBuilder {
    reqwest::Client::builder().no_proxy().timeout(TIMEOUT)
}

/// Writes a path.
pub(crate) fn path(text: &str) -> String {
    utf8_percent_encode(text, PATH).to_string()
}

/// Writes a segment of a path.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// Writes a value in a query.
pub(crate) fn query(text: &str) -> String {
    utf8_percent_encode(text, QUERY).to_string()
}

impl Client {
    /// Says with which option its address is named.
    pub(crate) fn named_with(self, option: &'static str) -> Self {
        Self { option, ..self }
    }

    /// Returns the address.
    pub(crate) fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Sends a JSON document, if there is one, and returns the status and the JSON that answers.
    ///
    /// # Errors
    /// `Unreachable`, `Failed`.
    pub(crate) async fn send_json(
        &self,
        method: Method,
        path: &str,
        value: Option<&Value>,
    ) -> Result<(StatusCode, Option<Value>), Failure> {
        let mut request = self.http.request(method, self.at(path)?);
        if let Some(value) = value {
            request = request
                .header("content-type", "application/json")
                .body(value.to_string());
        }
        self.send(request).await
    }

    /// Reads what stands at a path.
    ///
    /// # Errors
    /// `NotFound`, `Credentials`, `Refused`, `Unreachable`, `Failed`.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        let request = self.http.request(Method::GET, self.at(path)?);
        self.answer(request, Asked::ForData).await
    }

    /// Ends what stands at a path, and returns what is left of it.
    ///
    /// # Errors
    /// Those of [`Client::get`].
    pub(crate) async fn delete(&self, path: &str) -> Result<Value, Failure> {
        let request = self.http.request(Method::DELETE, self.at(path)?);
        self.answer(request, Asked::ForData).await
    }

    /// Sends a body to a path.
    ///
    /// # Errors
    /// `Credentials`, `Refused`, `Unreachable`, `Failed`.
    pub(crate) async fn post(
        &self,
        path: &str,
        headers: &[(&str, String)],
        body: Bytes,
    ) -> Result<Value, Failure> {
        let mut request = self.http.request(Method::POST, self.at(path)?).body(body);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        self.answer(request, Asked::ToTake).await
    }

    /// Sends a body to a path and returns the status and the JSON that answers, whatever they mean.
    ///
    /// # Errors
    /// `Unreachable`, `Failed`.
    pub(crate) async fn post_raw(
        &self,
        path: &str,
        headers: &[(&str, String)],
        body: Bytes,
    ) -> Result<(StatusCode, Option<Value>), Failure> {
        let mut request = self.http.request(Method::POST, self.at(path)?).body(body);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        self.send(request).await
    }

    /// Says what an answer means that took nothing in.
    pub(crate) fn refused_to_take(&self, status: StatusCode, problem: Value) -> Failure {
        self.refused(status, Asked::ToTake, problem)
    }

    /// Opens a stream of server-sent events, after the event of an id if there is one.
    ///
    /// # Errors
    /// `NotFound`, `Credentials`, `Refused`, `Unreachable`, `Failed`.
    pub(crate) async fn open_stream(
        &self,
        path: &str,
        last_id: Option<&str>,
    ) -> Result<Response, Failure> {
        let request = self.http.request(Method::GET, self.at(path)?);
        let mut request = request
            .header("accept", "text/event-stream")
            .timeout(STREAM_TIMEOUT);
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let mut response = request.send().await.map_err(|it| self.unreachable(&it))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = read(&mut response).await.ok().flatten();
        let problem = serde_json::from_slice(&body.unwrap_or_default()).unwrap_or_default();
        Err(self.refused(status, Asked::ForData, problem))
    }

    /// Sends a JSON document that takes its time, and waits for what becomes of it.
    ///
    /// # Errors
    /// Those of [`Client::post`].
    pub(crate) async fn post_long(&self, path: &str, value: &Value) -> Result<Value, Failure> {
        self.post_within(path, value, LONG_TIMEOUT).await
    }

    /// Sends a JSON document that takes its time, and waits so long for what becomes of it.
    ///
    /// # Errors
    /// Those of [`Client::post`].
    pub(crate) async fn post_within(
        &self,
        path: &str,
        value: &Value,
        timeout: Duration,
    ) -> Result<Value, Failure> {
        let request = self.http.request(Method::POST, self.at(path)?);
        let request = request
            .timeout(timeout)
            .header("content-type", "application/json")
            .body(value.to_string());
        self.answer(request, Asked::ToTake).await
    }

    fn at(&self, path: &str) -> Result<Url, Failure> {
        let base = self.base.as_str().trim_end_matches('/');
        Ok(Url::parse(&format!("{base}{path}")).context("the address cannot be built")?)
    }

    async fn send(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<(StatusCode, Option<Value>), Failure> {
        let mut response = request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let body = read(&mut response)
            .await
            .map_err(|error| self.unreachable(&error))?;
        let Some(body) = body else {
            let message = format!("the answer is larger than {MAX_ANSWER_BYTES} bytes");
            return Err(Failure::new(Exit::Failed, message));
        };
        Ok((status, serde_json::from_slice(&body).ok()))
    }

    async fn answer(
        &self,
        request: reqwest::RequestBuilder,
        asked: Asked,
    ) -> Result<Value, Failure> {
        let (status, value) = self.send(request).await?;
        match value {
            Some(value) if status.is_success() => Ok(value),
            Some(problem) if problem["title"].is_string() => {
                Err(self.refused(status, asked, problem))
            }
            _ => {
                let message = format!(
                    "`{}` answered {status}, but not as a gateway does",
                    self.base
                );
                Err(Failure::new(Exit::Failed, message)
                    .with_hint("is it tidegate that listens there?"))
            }
        }
    }

    fn refused(&self, status: StatusCode, asked: Asked, problem: Value) -> Failure {
        let exit = match (status.as_u16(), asked) {
            (401 | 403, _) => Exit::Credentials,
            (404, Asked::ForData) => Exit::NotFound,
            (400..=499, _) => Exit::Refused,
            (503 | 504, _) => Exit::Unreachable,
            _ => Exit::Failed,
        };
        let text = |name: &str| printable(problem[name].as_str().unwrap_or_default());
        let mut message = format!("{} ({})", text("title"), status.as_u16());
        if !text("detail").is_empty() {
            message.push_str(&format!(": {}", text("detail")));
        }
        let base = self.base.as_str().trim_end_matches('/');
        let mut hint = format!("see {base}{}", text("docs"));
        if status == StatusCode::UNAUTHORIZED {
            hint = format!("set `{API_KEY}` to an API key or a token; {hint}");
        }
        if let Some(entry) = problem["quarantine"].as_str() {
            hint.push_str(&format!("; the event is kept at {base}{entry}"));
        }
        Failure::new(exit, message)
            .with_hint(hint)
            .with_problem(problem)
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let why = if error.is_timeout() {
            "no answer in time".to_owned()
        } else {
            // The innermost cause says it; those around it repeat the address.
            let mut cause: &dyn std::error::Error = error;
            while let Some(inner) = cause.source() {
                cause = inner;
            }
            cause.to_string()
        };
        Failure::new(
            Exit::Unreachable,
            format!("cannot reach `{}`: {why}", self.base),
        )
        .with_hint(format!(
            "start `tidegate serve --data DIR`, or name another address with `{}`",
            self.option
        ))
    }
}

/// Reads a body; nothing if it is too large.
async fn read(response: &mut Response) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}
