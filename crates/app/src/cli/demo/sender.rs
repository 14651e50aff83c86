//! Sends every event once over HTTP and takes down what became of each.
//!
//! Events of one type go one after the other, each after the answer to the one before: so the
//! caller's order is the log's. Different types go side by side.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::StatusCode;
use serde::Deserialize;

use super::input::{Counts, Delivery};
use crate::ui::Steps;

/// Types on their way at the same time.
const SIDE_BY_SIDE: usize = 16;

/// What the gateway answered to an event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// Stored now.
    Accepted(Receipt),
    /// Stored before.
    Repeated(Receipt),
    /// Refused and kept; the entry's address.
    Quarantined(String),
    /// Refused, nothing kept; the problem's type.
    Refused(String),
}

/// Where an event stands.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub(super) struct Receipt {
    id: String,
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offset: i64,
    time: String,
}

#[derive(Deserialize)]
struct Accepted {
    #[serde(flatten)]
    receipt: Receipt,
    duplicate: bool,
}

#[derive(Deserialize)]
struct Problem {
    r#type: String,
    quarantine: Option<String>,
}

impl Counts {
    pub(super) fn of(outcomes: &[Outcome]) -> Self {
        let mut counts = Self::default();
        for outcome in outcomes {
            *match outcome {
                Outcome::Accepted(_) => &mut counts.accepted,
                Outcome::Repeated(_) => &mut counts.repeated,
                Outcome::Quarantined(_) => &mut counts.quarantined,
                Outcome::Refused(_) => &mut counts.refused,
            } += 1;
        }
        counts
    }
}

/// Sends all; the outcomes are in the order of the deliveries.
///
/// # Errors
/// The gateway does not answer, or neither takes nor refuses an event.
pub(super) async fn send(
    client: &reqwest::Client,
    gateway: SocketAddr,
    deliveries: &[Delivery],
    steps: &Steps<'_>,
) -> anyhow::Result<Vec<Outcome>> {
    let mut lanes: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, delivery) in deliveries.iter().enumerate() {
        lanes.entry(&delivery.event_type).or_default().push(at);
    }
    let lanes = stream::iter(lanes.into_values().map(|lane| async move {
        let mut outcomes = Vec::with_capacity(lane.len());
        for at in lane {
            let delivery = &deliveries[at];
            let outcome = send_one(client, gateway, delivery).await;
            let about = || format!("event {} (`{}`)", at + 1, delivery.event_type);
            outcomes.push((at, outcome.with_context(about)?));
            steps.advance();
        }
        anyhow::Ok(outcomes)
    }));
    let mut outcomes: Vec<_> = lanes.buffer_unordered(SIDE_BY_SIDE).try_concat().await?;
    outcomes.sort_by_key(|(at, _)| *at);
    Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
}

async fn send_one(
    client: &reqwest::Client,
    gateway: SocketAddr,
    delivery: &Delivery,
) -> anyhow::Result<Outcome> {
    let url = format!("http://{gateway}{}", delivery.path);
    let mut request = client.post(url).body(delivery.body.clone());
    for (name, value) in &delivery.headers {
        request = request.header(*name, value);
    }
    let response = request.send().await?;
    let status = response.status();
    let body = response.bytes().await?;
    let answer = || {
        format!(
            "the gateway answered {status}: {}",
            String::from_utf8_lossy(&body)
        )
    };
    if status == StatusCode::ACCEPTED {
        let accepted: Accepted = serde_json::from_slice(&body).with_context(answer)?;
        return Ok(match accepted.duplicate {
            false => Outcome::Accepted(accepted.receipt),
            true => Outcome::Repeated(accepted.receipt),
        });
    }
    if status != StatusCode::UNPROCESSABLE_ENTITY {
        bail!(answer());
    }
    let problem: Problem = serde_json::from_slice(&body).with_context(answer)?;
    Ok(match problem.quarantine {
        Some(entry) => Outcome::Quarantined(entry),
        None => Outcome::Refused(problem.r#type),
    })
}
