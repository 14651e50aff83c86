//! Lines to the gateway, and what became of each. What cannot be answered now is sent again: an event that
//! was stored all the same is not stored twice.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use reqwest::StatusCode;
use serde_json::Value;
use tokio::time::sleep;

use super::batch::{Line, Text};
use crate::cli::client::{Client, segment};
use crate::cli::failure::{Exit, Failure};

const TRIES: u32 = 6;
/// Twice as long after each try: 16 s in all.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// What became of a line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    Accepted,
    Repeated,
    Refused {
        problem: String,
        detail: String,
        quarantine: Option<String>,
    },
}

/// Where lines go.
pub(super) struct Door<'a> {
    client: Client,
    /// A plain body each, else a batch of CloudEvents.
    contract: Option<&'a str>,
}

/// What a request came to.
enum Answer {
    Outcomes(Vec<Outcome>),
    /// One of many lines was too much.
    TooLarge,
    /// Not now.
    Again,
}

impl<'a> Door<'a> {
    pub(super) fn new(client: Client, contract: Option<&'a str>) -> Self {
        Self { client, contract }
    }

    /// Says how many lines one request takes.
    pub(super) fn at_once(&self) -> usize {
        match self.contract {
            Some(_) => 1,
            None => usize::MAX,
        }
    }

    /// Sends lines and returns what became of each, in their order.
    ///
    /// # Errors
    /// The gateway is not there, or answers nothing that says what became of them.
    pub(super) async fn deliver(&self, lines: &[Line]) -> Result<Vec<Outcome>, Failure> {
        let mut outcomes = Vec::with_capacity(lines.len());
        let usable: Vec<(&Line, &str)> = lines
            .iter()
            .filter_map(|line| match &line.text {
                Text::Json(text) => Some((line, text.as_str())),
                Text::Unusable(_) => None,
            })
            .collect();
        let mut sent = self.send_all(&usable).await?.into_iter();
        for line in lines {
            outcomes.push(match &line.text {
                Text::Json(_) => sent.next().expect("an outcome for each line that was sent"),
                Text::Unusable(why) => Outcome::Refused {
                    problem: "unusable-line".to_owned(),
                    detail: (*why).to_owned(),
                    quarantine: None,
                },
            });
        }
        Ok(outcomes)
    }

    async fn send_all(&self, lines: &[(&Line, &str)]) -> Result<Vec<Outcome>, Failure> {
        let mut outcomes = Vec::with_capacity(lines.len());
        let mut waiting = vec![lines];
        while let Some(lines) = waiting.pop() {
            if lines.is_empty() {
                continue;
            }
            match self.send_until_answered(lines).await? {
                Answer::Outcomes(found) => outcomes.extend(found),
                _ => {
                    let (first, second) = lines.split_at(lines.len().div_ceil(2));
                    waiting.extend([second, first]);
                }
            }
        }
        Ok(outcomes)
    }

    async fn send_until_answered(&self, lines: &[(&Line, &str)]) -> Result<Answer, Failure> {
        let mut pause = FIRST_PAUSE;
        for tried in 1.. {
            let answer = match self.send(lines).await {
                Err(failure) if failure.exit == Exit::Unreachable && tried < TRIES => Answer::Again,
                answer => answer?,
            };
            match answer {
                Answer::Again if tried < TRIES => {}
                Answer::Again => break,
                answer => return Ok(answer),
            }
            sleep(pause).await;
            pause *= 2;
        }
        let message = "the gateway takes nothing now";
        Err(Failure::new(Exit::Unreachable, message))
    }

    async fn send(&self, lines: &[(&Line, &str)]) -> Result<Answer, Failure> {
        let (path, headers, body) = match (self.contract, lines) {
            (Some(contract), [(line, text), ..]) => {
                let headers = vec![
                    ("content-type", "application/json".to_owned()),
                    ("idempotency-key", format!("\"{}\"", key(line.number, text))),
                ];
                let path = format!("/v1/events/{}", segment(contract));
                (path, headers, (*text).to_owned())
            }
            _ => {
                let media_type = "application/cloudevents-batch+json".to_owned();
                let texts: Vec<&str> = lines.iter().map(|(_, text)| *text).collect();
                let body = format!("[{}]", texts.join(",\n"));
                (
                    "/v1/events".to_owned(),
                    vec![("content-type", media_type)],
                    body,
                )
            }
        };
        let sent = self.client.post_raw(&path, &headers, body.into()).await;
        let (status, answer) = sent?;
        let answer = answer.unwrap_or_default();
        let results = match answer["results"].as_array() {
            Some(results) => results.clone(),
            // A plain body has its own answer; a single event of a batch may be refused with it.
            None if lines.len() == 1 && says_of_event(status) => vec![result(status, &answer)],
            None => Vec::new(),
        };
        let found: Option<Vec<Outcome>> = results.iter().map(outcome).collect();
        match found {
            Some(found) if found.len() == lines.len() => Ok(Answer::Outcomes(found)),
            // Some are for later; those that were stored are then repeats.
            None => Ok(Answer::Again),
            Some(_) if is_later(status) => Ok(Answer::Again),
            Some(_) if status == StatusCode::PAYLOAD_TOO_LARGE => Ok(Answer::TooLarge),
            Some(_) => Err(self.client.refused_to_take(status, answer)),
        }
    }
}

fn is_later(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status.as_u16(), 408 | 409 | 429)
}

/// Whether the answer to one event is about the event, and not about the caller or the address.
fn says_of_event(status: StatusCode) -> bool {
    !is_later(status) && !matches!(status.as_u16(), 401 | 403 | 404)
}

/// Writes the answer to one event as the answers to many are.
fn result(status: StatusCode, answer: &Value) -> Value {
    let of = match status.is_success() {
        true => "receipt",
        false => "problem",
    };
    serde_json::json!({ "status": status.as_u16(), of: answer })
}

/// Says what became of an event; nothing if it is to be sent again.
fn outcome(result: &Value) -> Option<Outcome> {
    let problem = &result["problem"];
    match result["status"].as_u64()? {
        202 if result["receipt"]["duplicate"] == true => Some(Outcome::Repeated),
        202 => Some(Outcome::Accepted),
        status if status >= 500 || matches!(status, 408 | 409 | 429) => None,
        _ => Some(Outcome::Refused {
            problem: text(problem, "type")
                .trim_start_matches("/problems/")
                .to_owned(),
            detail: text(problem, "detail").to_owned(),
            quarantine: problem["quarantine"].as_str().map(str::to_owned),
        }),
    }
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

/// Makes the key of a plain body: the same line of the same file has the same one each time.
fn key(number: u64, text: &str) -> String {
    let hash = digest(&SHA256, text.as_bytes());
    let hex: String = hash.as_ref()[..16]
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    format!("import-{number}-{hex}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_became_of_an_event_is_in_its_result() {
        let refused = Outcome::Refused {
            problem: "contract-violation".to_owned(),
            detail: "why".to_owned(),
            quarantine: Some("/v1/quarantine/0-1-0a1b2c3d".to_owned()),
        };
        let problem = json!({
            "type": "/problems/contract-violation", "detail": "why", "quarantine": "/v1/quarantine/0-1-0a1b2c3d",
        });
        for (result, expected) in [
            (
                json!({ "status": 202, "receipt": { "duplicate": false } }),
                Some(Outcome::Accepted),
            ),
            (
                json!({ "status": 202, "receipt": { "duplicate": true } }),
                Some(Outcome::Repeated),
            ),
            (json!({ "status": 422, "problem": problem }), Some(refused)),
            (json!({ "status": 503, "problem": {} }), None),
            (json!({ "status": 429, "problem": {} }), None),
        ] {
            assert_eq!(outcome(&result), expected, "{result}");
        }
    }

    #[test]
    fn a_line_has_the_same_key_each_time_and_no_other_line_has_it() {
        assert_eq!(key(1, "{}"), key(1, "{}"));
        assert_ne!(key(1, "{}"), key(2, "{}"));
        assert_ne!(key(1, "{}"), key(1, "{ }"));
    }
}
