//! What replicas say to each other. Replicas of one release understand each other; a body of another one is refused, and
//! the caller looks again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidegate_event_log::{
    Appended, Claim, Disposition, Fingerprint, Header, LogError, Outcome, Place, Record,
};
use tokio::time::Instant;

use super::{Asked, Told};
use crate::straight::Prepared;

/// The first byte of every body.
const VERSION: u8 = 1;

#[derive(Deserialize, Serialize)]
struct Question<'a> {
    #[serde(borrow)]
    identity: &'a [u8],
    fingerprint: [u8; 16],
    window_ms: u64,
    left_ms: u64,
    event: Option<Event<'a>>,
}

#[derive(Deserialize, Serialize)]
struct Event<'a> {
    topic: &'a str,
    partition: i32,
    limit: u64,
    #[serde(borrow)]
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: Vec<(&'a [u8], Option<&'a [u8]>)>,
}

#[derive(Deserialize, Serialize)]
enum Answer {
    Stands {
        topic: String,
        partition: i32,
        offset: i64,
        timestamp_ms: i64,
        said: Said,
    },
    Free,
    Unavailable {
        reason: String,
        is_doubtful: bool,
    },
    Invalid(String),
    NotFound(String),
    NotMine,
}

#[derive(Deserialize, Serialize)]
enum Said {
    Stored,
    Repeated,
    Mismatched,
}

pub(crate) fn from_asked(asked: &Asked) -> Option<Vec<u8>> {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let event = asked.prepared.as_deref().map(|prepared| Event {
        topic: &prepared.topic,
        partition: prepared.partition,
        limit: prepared.limit as u64,
        key: prepared.record.key.as_deref(),
        value: prepared.record.value.as_deref(),
        headers: prepared
            .record
            .headers
            .iter()
            .map(|header| (&*header.name, header.value.as_deref()))
            .collect(),
    });
    let question = Question {
        identity: &asked.claim.identity,
        fingerprint: asked.claim.fingerprint.0,
        window_ms: millis(asked.claim.window),
        left_ms: millis(asked.deadline.saturating_duration_since(Instant::now())),
        event,
    };
    postcard::to_extend(&question, vec![VERSION]).ok()
}

pub(crate) fn to_asked(body: &[u8]) -> Option<Asked> {
    let (&VERSION, body) = body.split_first()? else {
        return None;
    };
    let question: Question<'_> = postcard::from_bytes(body).ok()?;
    let bytes = Bytes::copy_from_slice;
    let prepared = question.event.map(|event| {
        let headers = event.headers.into_iter().map(|(name, value)| Header {
            name: bytes(name),
            value: value.map(bytes),
        });
        Arc::new(Prepared {
            topic: event.topic.into(),
            partition: event.partition,
            limit: usize::try_from(event.limit).unwrap_or(usize::MAX),
            record: Record {
                key: event.key.map(bytes),
                value: event.value.map(bytes),
                headers: headers.collect(),
            },
        })
    });
    Some(Asked {
        claim: Claim {
            identity: bytes(question.identity),
            fingerprint: Fingerprint(question.fingerprint),
            window: Duration::from_millis(question.window_ms),
        },
        prepared,
        // A minute is longer than any caller waits.
        deadline: Instant::now() + Duration::from_millis(question.left_ms.min(60_000)),
    })
}

pub(crate) fn from_told(told: &Told) -> Vec<u8> {
    let answer = match told {
        Told::Stands(appended) => Answer::Stands {
            topic: appended.topic.to_string(),
            partition: appended.place.partition,
            offset: appended.place.offset,
            timestamp_ms: appended.place.timestamp_ms,
            said: match appended.disposition {
                Disposition::Stored => Said::Stored,
                Disposition::Repeated => Said::Repeated,
                Disposition::Mismatched => Said::Mismatched,
            },
        },
        Told::Free => Answer::Free,
        Told::NotMine | Told::Lost => Answer::NotMine,
        Told::Refused(LogError::Invalid(what)) => Answer::Invalid(what.clone()),
        Told::Refused(LogError::NotFound(what)) => Answer::NotFound(what.clone()),
        Told::Refused(error) => Answer::Unavailable {
            reason: error.to_string(),
            is_doubtful: error.outcome() == Outcome::Unknown,
        },
    };
    postcard::to_extend(&answer, vec![VERSION]).expect("texts and numbers are encoded always")
}

pub(crate) fn to_told(body: &[u8]) -> Option<Told> {
    let (&VERSION, body) = body.split_first()? else {
        return None;
    };
    Some(match postcard::from_bytes(body).ok()? {
        Answer::Stands {
            topic,
            partition,
            offset,
            timestamp_ms,
            said,
        } => Told::Stands(Appended {
            topic: topic.into(),
            place: Place {
                partition,
                offset,
                timestamp_ms,
            },
            disposition: match said {
                Said::Stored => Disposition::Stored,
                Said::Repeated => Disposition::Repeated,
                Said::Mismatched => Disposition::Mismatched,
            },
        }),
        Answer::Free => Told::Free,
        Answer::NotMine => Told::NotMine,
        Answer::Invalid(what) => Told::Refused(LogError::Invalid(what)),
        Answer::NotFound(what) => Told::Refused(LogError::NotFound(what)),
        Answer::Unavailable {
            reason,
            is_doubtful: true,
        } => Told::Refused(LogError::in_doubt(reason)),
        Answer::Unavailable { reason, .. } => Told::Refused(LogError::not_stored(reason)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_arrives_as_it_was_asked() {
        let prepared = Prepared {
            topic: "orders".into(),
            partition: 3,
            limit: 1_000,
            record: Record {
                key: Some(Bytes::new()),
                value: None,
                headers: vec![Header {
                    name: Bytes::from_static(b"a"),
                    value: None,
                }],
            },
        };
        let asked = Asked {
            claim: Claim {
                identity: Bytes::from_static(b"\x00name"),
                fingerprint: Fingerprint([9; 16]),
                window: Duration::from_hours(1),
            },
            prepared: Some(Arc::new(prepared)),
            deadline: Instant::now() + Duration::from_secs(3),
        };
        let body = from_asked(&asked).unwrap();
        let arrived = to_asked(&body).unwrap();
        assert_eq!(arrived.claim, asked.claim);
        assert_eq!(
            format!("{:?}", arrived.prepared),
            format!("{:?}", asked.prepared)
        );
        assert!(arrived.deadline <= asked.deadline + Duration::from_millis(100));
        for cut in 0..body.len() {
            assert!(to_asked(&body[..cut]).is_none(), "cut at {cut}");
        }
    }
}
