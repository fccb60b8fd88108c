//! `ticks/quality`: what is odd about the ticks of one symbol.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tallybook_core::{Gap, QualityCheck, Timestamp};
use utoipa::{IntoParams, ToSchema};

use super::super::Api;
use super::super::error::{ApiError, Failures};
use super::super::params::{Params, moment};
use super::super::schema;
use super::range::{self, Pages};

/// A stretch without a tick.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GapItem {
    /// The tick before it.
    #[schema(schema_with = schema::time)]
    from: Timestamp,
    /// The tick after it.
    #[schema(schema_with = schema::time)]
    to: Timestamp,
    seconds: i64,
}

/// What was found in the ticks of one symbol.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QualityReport {
    symbol: Arc<str>,
    /// Ticks looked at.
    ticks: u64,
    /// Only one of bid and ask is there.
    one_sided: u64,
    /// The bid is above the ask.
    crossed: u64,
    /// A price is zero or negative.
    not_positive: u64,
    /// Stamped more than a second later than they arrived.
    future: u64,
    /// Stamped more than a minute before they arrived.
    late: u64,
    /// Equal to the tick before them.
    repeated: u64,
    /// Stretches without a tick that are at least `min_gap_seconds` long.
    gap_count: u64,
    /// The longest of them, the longest first, 100 at most.
    gaps: Vec<GapItem>,
    /// The age of the latest tick of the range in seconds; null without any.
    stale_seconds: Option<i64>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct QualityFilter {
    /// Whose ticks.
    symbol: String,
    /// From this moment on (RFC 3339); a day ago unless told otherwise.
    #[serde(default, deserialize_with = "moment")]
    #[param(schema_with = schema::time)]
    from: Option<Timestamp>,
    /// Until before this moment (RFC 3339).
    #[serde(default, deserialize_with = "moment")]
    #[param(schema_with = schema::time)]
    to: Option<Timestamp>,
    /// The shortest stretch without a tick that counts as a gap.
    #[serde(default = "default_gap")]
    #[param(minimum = 1, maximum = 31_622_400, default = 60)]
    min_gap_seconds: u32,
}

fn default_gap() -> u32 {
    60
}

/// What is odd about the ticks of one symbol: gaps, crossed or one-sided quotes, clocks that are off.
#[utoipa::path(get, operation_id = "get_tick_quality", path = "/api/v1/ticks/quality", tag = "ticks", params(QualityFilter),
    responses((status = 200, body = QualityReport), Failures))]
pub(crate) async fn get(
    State(api): State<Api>,
    Params(filter): Params<QualityFilter>,
) -> Result<Json<QualityReport>, ApiError> {
    let QualityFilter { symbol, from, to, min_gap_seconds } = filter;
    if !(1..=31_622_400).contains(&min_gap_seconds) {
        return Err(ApiError::invalid_query("min_gap_seconds: it is not between 1 and 31622400"));
    }
    let now = Timestamp::now();
    let from = from.unwrap_or_else(|| to.unwrap_or(now).earlier(tallybook_core::DAY));
    let range = range::range(Some(from), to)?;
    let symbol: Arc<str> = symbol.into();
    let gap = Duration::from_secs(min_gap_seconds.into());
    let mut check = QualityCheck::new(i64::try_from(gap.as_nanos()).unwrap_or(i64::MAX));
    let _turn = api.scans.acquire().await;
    Pages::new(api.store.clone(), symbol.clone(), range, None).for_each(|tick| check.push(tick)).await?;
    let found = check.finish(now);
    let gap = |Gap { from, to, seconds }| GapItem { from, to, seconds };
    Ok(Json(QualityReport {
        symbol,
        ticks: found.ticks,
        one_sided: found.one_sided,
        crossed: found.crossed,
        not_positive: found.not_positive,
        future: found.future,
        late: found.late,
        repeated: found.repeated,
        gap_count: found.gap_count,
        gaps: found.gaps.into_iter().map(gap).collect(),
        stale_seconds: found.stale_seconds,
    }))
}
