//! A page of one partition: bounded in events and bytes.

use serde::Serialize;
use tidegate_event_log::LogError;
use utoipa::ToSchema;

use super::access::Sight;
use super::event::{Stands, StoredEvent};
use super::filter::Filter;
use crate::Gateway;

/// A page is bounded by its bytes as well.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// Events of a partition in their order.
#[derive(Serialize, ToSchema)]
pub(super) struct EventsPage {
    topic: String,
    partition: i32,
    events: Vec<StoredEvent>,
    /// The offset to read on from. With a filter a page may be empty and not the last.
    next: i64,
    /// The first offset that is kept, for readers who see every tenant's events.
    #[serde(skip_serializing_if = "Option::is_none")]
    log_start_offset: Option<i64>,
    /// The offset of the next event that comes, for readers who see every tenant's events.
    #[serde(skip_serializing_if = "Option::is_none")]
    high_watermark: Option<i64>,
}

/// What is asked for.
pub(super) struct Asked {
    pub(super) topic: String,
    pub(super) partition: i32,
    /// The first offset; the first that is kept if none is named.
    pub(super) from: Option<i64>,
    pub(super) limit: usize,
    pub(super) filter: Option<Filter>,
    pub(super) sight: Sight,
}

impl Gateway {
    pub(super) async fn events_page(&self, asked: Asked) -> Result<EventsPage, LogError> {
        let Asked {
            topic,
            partition,
            from,
            limit,
            filter,
            sight,
        } = asked;
        let marks = self.log.watermarks(&topic, partition).await?;
        let from = from.unwrap_or(marks.log_start);
        let only_one = limit == 1 && filter.is_none() && sight.is_whole();
        let max_bytes = if only_one { 0 } else { PAGE_BYTES };
        let read = self.log.read(&topic, partition, from, max_bytes).await?;
        let lanes = self.lanes();
        let stands = Stands {
            topic: &topic,
            partition,
            lane: lanes.of_topic(&topic),
            sight: &sight,
        };
        let mut events = Vec::new();
        let mut next = read.next;
        for stored in &read.records {
            if events.len() == limit {
                next = stored.offset;
                break;
            }
            if stands.is_wanted(stored, filter.as_ref()) {
                events.push(stands.show(stored));
            }
        }
        Ok(EventsPage {
            events,
            next,
            log_start_offset: sight.is_whole().then_some(marks.log_start),
            high_watermark: sight.is_whole().then_some(read.high_watermark),
            partition,
            topic,
        })
    }
}
