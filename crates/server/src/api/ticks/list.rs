//! `GET /ticks` and `GET /ticks/recent`.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tallybook_core::{Decimal, Tick, TickKey, TickQuery, TimeRange, Timestamp};
use utoipa::{IntoParams, ToSchema};

use super::super::Api;
use super::super::error::{ApiError, Failures};
use super::super::params::{Order, Params, moment};
use super::super::schema;
use super::range;

const MAX_LIMIT: usize = 10_000;

/// A quote. Prices are texts: they come back exactly as they were sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tick)]
pub(crate) struct TickItem {
    symbol: Arc<str>,
    /// When, by the producer's clock.
    #[schema(schema_with = schema::time)]
    timestamp: Timestamp,
    /// Tells ticks of the same symbol and time apart.
    seq: u64,
    #[schema(value_type = Option<String>)]
    bid: Option<Decimal>,
    #[schema(value_type = Option<String>)]
    ask: Option<Decimal>,
    /// `ask - bid`, where both are there.
    #[schema(value_type = Option<String>)]
    spread: Option<Decimal>,
    #[schema(value_type = Option<String>)]
    volume: Option<Decimal>,
    /// Who quotes; empty where the feed does not say.
    lp: Arc<str>,
    /// `one_sided`, `crossed`, `not_positive`, `seq_assigned`.
    flags: Vec<&'static str>,
    /// When it arrived here.
    #[schema(schema_with = schema::time)]
    received: Timestamp,
}

impl From<Tick> for TickItem {
    fn from(tick: Tick) -> Self {
        Self {
            spread: tick.spread(),
            symbol: tick.symbol,
            timestamp: tick.time,
            seq: tick.seq,
            bid: tick.bid,
            ask: tick.ask,
            volume: tick.volume,
            lp: tick.source,
            flags: tick.flags.names().collect(),
            received: tick.received,
        }
    }
}

/// A page of ticks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TickPage {
    data: Vec<TickItem>,
    /// The limit that was asked for.
    limit: usize,
    /// Whether more ticks follow.
    has_more: bool,
    /// The `after` of the next page; null at the end.
    next: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct TicksFilter {
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
    /// Ticks on the page.
    #[serde(default = "default_limit")]
    #[param(minimum = 1, maximum = 10000, default = 1000)]
    limit: usize,
    /// The `next` of the page before this one, under the same filters and order.
    after: Option<String>,
    /// `asc` (the earliest first) unless told otherwise.
    #[param(inline)]
    order: Option<Order>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecentFilter {
    /// Whose ticks.
    symbol: String,
    /// Ticks at the most.
    #[serde(default = "default_recent")]
    #[param(minimum = 1, maximum = 10000, default = 100)]
    limit: usize,
}

fn default_limit() -> usize {
    1_000
}

fn default_recent() -> usize {
    100
}

fn check_limit(limit: usize) -> Result<(), ApiError> {
    if (1..=MAX_LIMIT).contains(&limit) {
        return Ok(());
    }
    Err(ApiError::invalid_query(format!("limit: {limit} is not between 1 and {MAX_LIMIT}")))
}

/// Ticks of one symbol in a range of time, by time.
#[utoipa::path(get, operation_id = "list_ticks", path = "/api/v1/ticks", tag = "ticks", params(TicksFilter),
    responses((status = 200, body = TickPage), Failures))]
pub(crate) async fn list(
    State(api): State<Api>,
    Params(filter): Params<TicksFilter>,
) -> Result<Json<TickPage>, ApiError> {
    let TicksFilter { symbol, from, to, limit, after, order } = filter;
    check_limit(limit)?;
    let query = TickQuery {
        symbol: symbol.into(),
        range: range::range(from, to)?,
        after: after.as_deref().map(range::parse_token).transpose()?,
        newest_first: order == Some(Order::Desc),
        // One more, to see whether the page is the last.
        limit: limit + 1,
    };
    let mut ticks = api.store.ticks(&query).await?;
    let has_more = ticks.len() > limit;
    ticks.truncate(limit);
    let next = ticks.last().filter(|_| has_more).map(|tick| range::token(tick.key()));
    Ok(Json(TickPage { data: ticks.into_iter().map(TickItem::from).collect(), limit, has_more, next }))
}

/// The latest ticks of one symbol to arrive, the latest first: from memory where they still are, else from the store.
#[utoipa::path(get, operation_id = "list_recent_ticks", path = "/api/v1/ticks/recent", tag = "ticks", params(RecentFilter),
    responses((status = 200, body = TickPage), Failures))]
pub(crate) async fn recent(
    State(api): State<Api>,
    Params(RecentFilter { symbol, limit }): Params<RecentFilter>,
) -> Result<Json<TickPage>, ApiError> {
    check_limit(limit)?;
    let mut ticks = api.writer.recent(&symbol, limit);
    if ticks.len() < limit {
        let everything = TimeRange { from: Timestamp(0), to: Timestamp(i64::MAX) };
        let query = TickQuery { symbol: symbol.into(), range: everything, after: None, newest_first: true, limit };
        // What is in memory alone waits for its commit.
        let known: HashSet<TickKey> = ticks.iter().map(Tick::key).collect();
        let stored = api.store.ticks(&query).await?;
        ticks.extend(stored.into_iter().filter(|tick| !known.contains(&tick.key())));
        ticks.sort_by_key(|tick| std::cmp::Reverse(tick.key()));
        ticks.truncate(limit);
    }
    Ok(Json(TickPage { data: ticks.into_iter().map(TickItem::from).collect(), limit, has_more: false, next: None }))
}
