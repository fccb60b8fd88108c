//! `pings`: single pings or buckets of one target, in the order of time.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tallybook_core::{DAY, HOUR, Ping, PingBucket, PingSummary, Query, Resolution, StoreExt, TimeRange, Timestamp};
use utoipa::{IntoParams, ToSchema};

use super::read;
use super::summary::{Sums, milliseconds};
use crate::api::Api;
use crate::api::error::{ApiError, Failures};
use crate::api::page::List;
use crate::api::params::{ListParams, Order, Paging, moment};
use crate::api::schema;

/// All of time.
const ALWAYS: TimeRange = TimeRange { from: Timestamp(i64::MIN), to: Timestamp(i64::MAX) };

/// A ping, or what the pings of a minute, hour or day come to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum PingPoint {
    /// One ping.
    Ping(PingItem),
    /// The pings of a minute, hour or day.
    Bucket(BucketItem),
}

/// A ping.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ping)]
pub(crate) struct PingItem {
    target: Arc<str>,
    /// When the probe was sent.
    #[schema(schema_with = schema::time)]
    timestamp: Timestamp,
    /// Null when lost.
    latency_ms: Option<f64>,
    success: bool,
    ttl: Option<u64>,
    /// Bytes of the probe.
    packet_size: Option<u64>,
    /// The probe's number in its series.
    sequence: Option<u64>,
    /// Interarrival jitter as of this ping, by RFC 3550.
    jitter_ms: Option<f64>,
    /// Why it was not answered.
    error: Option<Arc<str>>,
}

/// The pings of a minute, hour or day.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PingBucket)]
pub(crate) struct BucketItem {
    target: Arc<str>,
    /// Its first moment.
    #[schema(schema_with = schema::time)]
    timestamp: Timestamp,
    #[schema(inline)]
    resolution: PointResolution,
    #[serde(flatten)]
    #[schema(inline)]
    sums: Sums,
}

/// What a list of pings consists of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) enum PointResolution {
    /// Pings up to two hours, then minutes up to two days, hours up to 60 days, and days.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// Single pings.
    #[serde(rename = "raw")]
    Raw,
    #[serde(rename = "1m")]
    Minute,
    #[serde(rename = "1h")]
    Hour,
    #[serde(rename = "1d")]
    Day,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct PingFilter {
    /// Whose pings.
    target: String,
    /// The first moment; from the first ping on unless given.
    #[serde(default, deserialize_with = "moment")]
    #[param(schema_with = schema::time)]
    from: Option<Timestamp>,
    /// The first moment after; to the last ping unless given.
    #[serde(default, deserialize_with = "moment")]
    #[param(schema_with = schema::time)]
    to: Option<Timestamp>,
    /// Single pings, or how they are summed up. A bucket belongs to the range its first moment is in. Without `from`,
    /// `auto` is single pings.
    #[serde(default)]
    #[param(inline)]
    resolution: PointResolution,
}

impl PingFilter {
    fn range(&self) -> Result<TimeRange, ApiError> {
        let range = TimeRange { from: self.from.unwrap_or(ALWAYS.from), to: self.to.unwrap_or(ALWAYS.to) };
        if range.from >= range.to {
            return Err(ApiError::invalid_query(format!("from: {} is not before to: {}", range.from, range.to)));
        }
        Ok(range)
    }

    /// The length of the buckets; `None` for single pings.
    fn buckets(&self) -> Option<Resolution> {
        match self.resolution {
            PointResolution::Auto => {
                let to = self.to.unwrap_or_else(Timestamp::now);
                automatic(self.from.map_or(0, |from| to.0.saturating_sub(from.0)))
            }
            PointResolution::Raw => None,
            PointResolution::Minute => Some(Resolution::Minute),
            PointResolution::Hour => Some(Resolution::Hour),
            PointResolution::Day => Some(Resolution::Day),
        }
    }
}

/// What shows a range of this length in about as many points as a screen has.
fn automatic(nanoseconds: i64) -> Option<Resolution> {
    match nanoseconds {
        ..=7_200_000_000_000 => None,
        length if length <= 2 * DAY => Some(Resolution::Minute),
        length if length <= 1_440 * HOUR => Some(Resolution::Hour),
        _ => Some(Resolution::Day),
    }
}

impl From<Ping> for PingPoint {
    fn from(ping: Ping) -> Self {
        Self::Ping(PingItem {
            target: ping.target,
            timestamp: ping.time,
            latency_ms: ping.latency.map(milliseconds),
            success: ping.success,
            ttl: ping.ttl,
            packet_size: ping.packet_size,
            sequence: ping.sequence,
            jitter_ms: ping.jitter.map(milliseconds),
            error: ping.error,
        })
    }
}

impl From<PingBucket> for PingPoint {
    fn from(bucket: PingBucket) -> Self {
        let mut sums = PingSummary::default();
        sums.add_bucket(&bucket);
        let resolution = match bucket.resolution {
            Resolution::Minute => PointResolution::Minute,
            Resolution::Hour => PointResolution::Hour,
            Resolution::Day => PointResolution::Day,
        };
        Self::Bucket(BucketItem { target: bucket.target, timestamp: bucket.start, resolution, sums: Sums::from(&sums) })
    }
}

/// The pings of a target, or what they come to by minute, hour or day, the earliest first.
#[utoipa::path(
    get, operation_id = "list_pings", path = "/api/v1/pings", tag = "pings", params(PingFilter, Paging),
    responses((status = 200, description = "A page of pings or buckets", body = List<PingPoint>), Failures)
)]
pub(crate) async fn list(
    State(api): State<Api>,
    params: ListParams<PingFilter>,
) -> Result<Json<List<PingPoint>>, ApiError> {
    let ListParams { paging, filter } = params;
    let range = filter.range()?;
    let page_of = |query: Query| -> Result<Query, ApiError> {
        let mut query = query.filter(read::of_target(&filter.target));
        query.sort.descending = paging.order == Some(Order::Desc);
        query.after = paging.position()?;
        query.offset = paging.offset.into();
        query.limit = paging.limit as usize;
        query.total = true;
        Ok(query)
    };
    let (points, total, next) = match filter.buckets() {
        None => {
            let page = api.store.list::<Ping>(&page_of(read::pings(range))?).await?;
            (page.items.into_iter().map(PingPoint::from).collect(), page.total, page.next)
        }
        Some(resolution) => {
            let query = page_of(read::buckets(resolution, range))?.with_sketches();
            let page = api.store.list::<PingBucket>(&query).await?;
            (page.items.into_iter().map(PingPoint::from).collect(), page.total, page.next)
        }
    };
    Ok(Json(paging.list(points, total, next.as_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_range_is_shown_in_longer_steps() {
        let steps = [HOUR, 3 * HOUR, 3 * DAY, 90 * DAY].map(automatic);
        assert_eq!(steps, [None, Some(Resolution::Minute), Some(Resolution::Hour), Some(Resolution::Day)]);
    }
}
