//! What pings come to, as it is shown.

use serde::Serialize;
use tallybook_core::{PingSummary, TimeRange, Timestamp};
use utoipa::ToSchema;

use crate::api::schema;

/// What pings come to. Shares and averages are null where there is nothing to take them of. Percentiles are off by 1 % at
/// the most, everything else is exact.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Summary {
    /// The first moment inside.
    #[schema(schema_with = schema::time)]
    from: Timestamp,
    /// The first moment after.
    #[schema(schema_with = schema::time)]
    to: Timestamp,
    #[serde(flatten)]
    #[schema(inline)]
    sums: Sums,
}

/// The numbers of a summary or a bucket.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Sums {
    /// Pings.
    count: u64,
    /// Pings that were not answered.
    lost: u64,
    /// The share of pings that were not answered.
    loss_percent: Option<f64>,
    /// The share of pings that were answered.
    uptime_percent: Option<f64>,
    min_ms: Option<f64>,
    avg_ms: Option<f64>,
    max_ms: Option<f64>,
    /// The standard deviation of the latencies.
    stddev_ms: Option<f64>,
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
    /// The average of the interarrival jitter of RFC 3550.
    jitter_ms: Option<f64>,
}

impl Summary {
    pub(super) fn new(range: TimeRange, sums: &PingSummary) -> Self {
        Self { from: range.from, to: range.to, sums: sums.into() }
    }
}

impl From<&PingSummary> for Sums {
    fn from(sums: &PingSummary) -> Self {
        let percentile = |share| sums.percentile(share).map(milliseconds);
        Self {
            count: sums.count(),
            lost: sums.lost(),
            loss_percent: sums.loss(),
            uptime_percent: sums.uptime(),
            min_ms: sums.min().map(milliseconds),
            avg_ms: sums.average().map(in_milliseconds),
            max_ms: sums.max().map(milliseconds),
            stddev_ms: sums.deviation().map(in_milliseconds),
            p50_ms: percentile(0.5),
            p95_ms: percentile(0.95),
            p99_ms: percentile(0.99),
            jitter_ms: sums.jitter().map(in_milliseconds),
        }
    }
}

pub(super) fn milliseconds(nanoseconds: u64) -> f64 {
    in_milliseconds(nanoseconds as f64)
}

/// Whole nanoseconds: the rest is what averaging leaves.
pub(super) fn in_milliseconds(nanoseconds: f64) -> f64 {
    nanoseconds.round() / 1e6
}
