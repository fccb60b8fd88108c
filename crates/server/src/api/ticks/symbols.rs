//! `symbols`, `ticks/count` and `ticks/segments`: what there is.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tallybook_core::{DAY, StoreExt as _, TimeRange, Timestamp, Value};
use utoipa::{IntoParams, ToSchema};

use super::super::Api;
use super::super::error::{ApiError, Failures};
use super::super::page::{List, page_of};
use super::super::params::{ListParams, NoParams, Order, Paging, Params, moment};
use super::super::schema;
use super::range::{self, Pages};

/// What is stored of one symbol.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Symbol)]
pub(crate) struct SymbolItem {
    symbol: Arc<str>,
    /// Its ticks.
    total: u64,
    #[schema(schema_with = schema::time)]
    first: Timestamp,
    #[schema(schema_with = schema::time)]
    last: Timestamp,
}

/// A UTC day of ticks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Segment)]
pub(crate) struct SegmentItem {
    /// Its first moment.
    #[schema(schema_with = schema::time)]
    day: Timestamp,
    /// Ticks of all symbols.
    ticks: u64,
    /// Bytes on disk; 0 where the store cannot tell.
    bytes: u64,
    /// Whether it is in its compressed form.
    sealed: bool,
    /// Ticks that came after that: the next seal takes them in.
    late_ticks: u64,
    /// Why it can be neither read nor written to until somebody mends it; nothing else is known of it then.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl From<tallybook_core::Segment> for SegmentItem {
    fn from(segment: tallybook_core::Segment) -> Self {
        let tallybook_core::Segment { day, count, bytes, sealed, late, error } = segment;
        Self { day, ticks: count, bytes, sealed, late_ticks: late, error }
    }
}

/// A number of ticks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TickCount {
    symbol: Arc<str>,
    count: u64,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct CountFilter {
    /// Whose ticks.
    symbol: String,
    /// From this moment on (RFC 3339).
    #[serde(default, deserialize_with = "moment")]
    #[param(schema_with = schema::time)]
    from: Option<Timestamp>,
    /// Until before this moment (RFC 3339).
    #[serde(default, deserialize_with = "moment")]
    #[param(schema_with = schema::time)]
    to: Option<Timestamp>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct SymbolsFilter {
    /// Only ticks of UTC days that have not ended by this moment (RFC 3339).
    #[serde(default, deserialize_with = "moment")]
    #[param(schema_with = schema::time)]
    from: Option<Timestamp>,
    /// Only ticks of UTC days that begin before this moment (RFC 3339).
    #[serde(default, deserialize_with = "moment")]
    #[param(schema_with = schema::time)]
    to: Option<Timestamp>,
}

/// Symbols with their first and last tick and how many there are, in the whole UTC days that touch the range and can be read.
#[utoipa::path(get, operation_id = "list_symbols", path = "/api/v1/symbols", tag = "ticks", params(SymbolsFilter, Paging),
    responses((status = 200, body = List<SymbolItem>), Failures))]
pub(crate) async fn list(
    State(api): State<Api>,
    params: ListParams<SymbolsFilter>,
) -> Result<Json<List<SymbolItem>>, ApiError> {
    let days = range::range(params.filter.from, params.filter.to)?;
    let items = api.store.readable_symbols(days).await?.into_iter().map(|summary| {
        let order = vec![Value::Text(summary.symbol.clone())];
        let tallybook_core::SymbolSummary { symbol, count, first, last } = summary;
        (order, SymbolItem { symbol, total: count, first, last })
    });
    let descending = params.paging.order == Some(Order::Desc);
    Ok(Json(page_of(&params.paging, descending, items.collect())?))
}

/// The days that have ticks, and those that cannot be used, with what is wrong.
#[utoipa::path(get, operation_id = "list_tick_segments", path = "/api/v1/ticks/segments", tag = "ticks", params(Paging),
    responses((status = 200, body = List<SegmentItem>), Failures))]
pub(crate) async fn segments(
    State(api): State<Api>,
    params: ListParams<NoParams>,
) -> Result<Json<List<SegmentItem>>, ApiError> {
    let items = api.store.segments().await?.into_iter().map(|segment| {
        let item = SegmentItem::from(segment);
        (vec![Value::from(item.day)], item)
    });
    let descending = params.paging.order == Some(Order::Desc);
    Ok(Json(page_of(&params.paging, descending, items.collect())?))
}

/// The number of ticks of one symbol in a range of time: whole days from their totals, what is left tick by tick.
#[utoipa::path(get, operation_id = "count_ticks", path = "/api/v1/ticks/count", tag = "ticks", params(CountFilter),
    responses((status = 200, body = TickCount), Failures))]
pub(crate) async fn count(
    State(api): State<Api>,
    Params(CountFilter { symbol, from, to }): Params<CountFilter>,
) -> Result<Json<TickCount>, ApiError> {
    let symbol: Arc<str> = symbol.into();
    let TimeRange { from, to } = range::range(from, to)?;
    let first_day = Timestamp(from.day().0.saturating_add(if from == from.day() { 0 } else { DAY }));
    let last_day = if to == Timestamp(i64::MAX) { to } else { to.day() };
    let mut count = 0;
    if first_day < last_day {
        let days = api.store.symbols(TimeRange { from: first_day, to: last_day }).await?;
        count += days.iter().find(|summary| summary.symbol == symbol).map_or(0, |summary| summary.count);
        count += scan(&api, &symbol, TimeRange { from, to: first_day }).await?;
        count += scan(&api, &symbol, TimeRange { from: last_day, to }).await?;
    } else {
        count += scan(&api, &symbol, TimeRange { from, to }).await?;
    }
    Ok(Json(TickCount { symbol, count }))
}

async fn scan(api: &Api, symbol: &Arc<str>, range: TimeRange) -> Result<u64, ApiError> {
    if range.from >= range.to {
        return Ok(0);
    }
    let _turn = api.scans.acquire().await;
    let mut count = 0;
    Pages::new(api.store.clone(), symbol.clone(), range, None).for_each(|_| count += 1).await?;
    Ok(count)
}
