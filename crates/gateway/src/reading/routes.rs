//! The address of a topic's events: a page, or a stream for whoever asks for server-sent events.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query};
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, Response};
use serde::Deserialize;
use tidegate_contract::event::timestamp_ms;
use tidegate_event_log::{LogError, Topic};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access::{Sight, may_read};
use super::filter::Filter;
use super::page::{Asked, EventsPage};
use super::positions::{MAX_PARTITIONS, Positions};
use super::stream::{self, Followed};
use crate::Gateway;
use crate::answer::{json, parameter, within};
use crate::openapi::problems;
use crate::problem::{Kind, Problem};
use crate::request::{Call, Context};

const DEFAULT_PAGE: usize = 50;
const MAX_PAGE: usize = 500;

pub(crate) fn router() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::default().routes(routes!(get_events))
}

problems!(NothingThere: NotFound);

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct EventsQuery {
    /// The partition. Without it a page is of partition 0, and a stream of all partitions.
    partition: Option<i32>,
    /// The first offset; for pages.
    offset: Option<i64>,
    /// How many at most; for pages.
    limit: Option<usize>,
    /// `earliest`, `latest`, or a time (RFC 3339). Without it a page begins with the first event that is
    /// kept, and a stream with the next event that comes.
    from: Option<String>,
    /// An expression in CEL over `event`, the CloudEvents attributes, and `message`, the data. Events of
    /// which it is not true, or cannot be told, are left out. A page may then be empty and not the last.
    #[param(max_length = 1000)]
    filter: Option<String>,
}

/// Where a reader begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum From {
    Earliest,
    Latest,
    Time(i64),
}

impl From {
    fn parse(text: &str) -> Result<Self, Problem> {
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            time => timestamp_ms(time).map(Self::Time).ok_or_else(|| {
                let detail =
                    "`from` is `earliest`, `latest`, or a time such as `2026-01-01T00:00:00Z`";
                Problem::new(Kind::BadRequest, detail)
            }),
        }
    }
}

/// Reads events of a topic: a page of one partition or, with `Accept: text/event-stream`, all of it from
/// then on. The `id` of a streamed event says where the reader stands in every partition; sent back as
/// `Last-Event-ID` it goes on exactly there. An event of type `gap` says which offsets were no longer kept.
#[utoipa::path(
    get,
    path = "/v1/topics/{topic}/events",
    tag = "topics",
    params(
        ("topic" = String, Path, description = "The topic's name."),
        EventsQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "Where a stream goes on; wins over `from`.")
    ),
    responses(
        (status = 200, description = "A page, or a stream.", content(
            (EventsPage = "application/json"),
            (String = "text/event-stream"),
        )),
        NothingThere,
    )
)]
async fn get_events(
    call: Call,
    topic: Result<Path<String>, PathRejection>,
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Response<Body> {
    let context = call.context();
    let gateway = &call.gateway;
    let asked = async {
        let (Path(topic), Query(query)) = (parameter(topic)?, parameter(query)?);
        let topic = within(&context, gateway.topic(&topic)).await?;
        let sight = may_read(&context, &topic)?;
        Ok((topic, sight, query))
    };
    let (topic, sight, query) = match asked.await {
        Ok(asked) => asked,
        Err(problem) => return context.problem(problem),
    };
    if wants_stream(&call.headers) {
        let followed = gateway.followed(&context, topic, sight, query).await;
        let stream = followed.and_then(|followed| stream::answer(gateway, followed));
        return stream.unwrap_or_else(|problem| gateway.refuse(&context, problem));
    }
    json(&context, gateway.page(&context, topic, sight, query).await)
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter();
    let mut accepted = accepted.filter_map(|value| value.to_str().ok());
    accepted.any(|value| {
        let mut ranges = value.split(',').map(|range| range.split(';').next());
        ranges
            .any(|range| range.is_some_and(|it| it.trim().eq_ignore_ascii_case(stream::MEDIA_TYPE)))
    })
}

fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(Kind::BadRequest, detail)
}

impl Gateway {
    async fn topic(&self, name: &str) -> Result<Topic, LogError> {
        let topics = self.log.topics().await?.into_iter();
        let mut named = topics.filter(|topic| topic.name == name);
        let missing = || LogError::NotFound(format!("no topic `{name}`"));
        named.next().ok_or_else(missing)
    }

    async fn page(
        &self,
        context: &Context<'_>,
        topic: Topic,
        sight: Sight,
        query: EventsQuery,
    ) -> Result<EventsPage, Problem> {
        let partition = query.partition.unwrap_or(0);
        let filter = query.filter.as_deref().map(Filter::compile).transpose()?;
        let from = query.from.as_deref().map(From::parse).transpose()?;
        let from = match (from, query.offset) {
            (Some(_), Some(_)) => {
                return Err(bad("it has `from` and `offset`; one of them counts"));
            }
            (None, offset) => offset,
            (Some(from), None) => {
                let found = self.offset_of(&topic.name, partition, from);
                Some(within(context, found).await?)
            }
        };
        let asked = Asked {
            topic: topic.name,
            partition,
            from,
            limit: query.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE),
            filter,
            sight,
        };
        within(context, self.events_page(asked)).await
    }

    /// Works out what a stream is of, and where it begins.
    async fn followed(
        &self,
        context: &Context<'_>,
        topic: Topic,
        sight: Sight,
        query: EventsQuery,
    ) -> Result<Followed, Problem> {
        if query.offset.is_some() || query.limit.is_some() {
            return Err(bad(
                "`offset` and `limit` are of pages; a stream has `from`",
            ));
        }
        let filter = query.filter.as_deref().map(Filter::compile).transpose()?;
        let from = query.from.as_deref().map(From::parse).transpose()?;
        let partitions: Vec<i32> = match query.partition {
            None => (0..topic.partitions).collect(),
            Some(partition) if (0..topic.partitions).contains(&partition) => vec![partition],
            Some(partition) => {
                let detail = format!("topic `{}` has no partition `{partition}`", topic.name);
                return Err(Problem::new(Kind::NotFound, detail));
            }
        };
        if partitions.len() > MAX_PARTITIONS {
            let detail = format!(
                "the topic has more than `{MAX_PARTITIONS}` partitions: read one of them with `partition`"
            );
            return Err(bad(detail));
        }
        let at = match context.headers.get("last-event-id") {
            Some(id) => {
                let text = id.to_str().unwrap_or_default();
                let known = Positions::parse(text, partitions.len());
                let at = known.ok_or_else(|| bad("`Last-Event-ID` is not an id of this stream"))?;
                let beyond = self.is_beyond(&topic.name, &partitions, &at);
                if within(context, beyond).await? {
                    let detail = "`Last-Event-ID` is beyond the end: the topic was made anew; read it without";
                    return Err(bad(detail));
                }
                at
            }
            None => {
                let from = from.unwrap_or(From::Latest);
                let start = async {
                    let mut next = Vec::with_capacity(partitions.len());
                    for partition in &partitions {
                        next.push(self.offset_of(&topic.name, *partition, from).await?);
                    }
                    Ok(Positions::new(next))
                };
                within(context, start).await?
            }
        };
        Ok(Followed {
            topic: topic.name,
            all: query.partition.is_none(),
            partitions,
            at,
            filter,
            sight,
        })
    }

    /// Says whether a position is one that the log cannot have told.
    async fn is_beyond(
        &self,
        topic: &str,
        partitions: &[i32],
        at: &Positions,
    ) -> Result<bool, LogError> {
        for (index, partition) in partitions.iter().enumerate() {
            if at.get(index) > self.log.watermarks(topic, *partition).await?.high {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn offset_of(&self, topic: &str, partition: i32, from: From) -> Result<i64, LogError> {
        let marks = self.log.watermarks(topic, partition).await?;
        Ok(match from {
            From::Earliest => marks.log_start,
            From::Latest => marks.high,
            From::Time(time_ms) => {
                let found = self.log.offset_at(topic, partition, time_ms).await?;
                found.unwrap_or(marks.high)
            }
        })
    }
}
