//! `ohlc`: bars of any length, made from ticks.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tallybook_core::{Bar, Bars, Decimal, Price, TickQuery, TimeRange, Timestamp, Volume, parse_timeframe};
use utoipa::{IntoParams, ToSchema};

use super::super::Api;
use super::super::error::{ApiError, Failures};
use super::super::params::{Params, moment};
use super::super::schema;
use super::range::{self, Pages};

const MAX_LIMIT: usize = 10_000;

/// A bar. Prices are texts: they are exact.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Bar)]
pub(crate) struct BarItem {
    /// Its first moment.
    #[schema(schema_with = schema::time)]
    time: Timestamp,
    #[schema(value_type = String)]
    open: Decimal,
    #[schema(value_type = String)]
    high: Decimal,
    #[schema(value_type = String)]
    low: Decimal,
    #[schema(value_type = String)]
    close: Decimal,
    /// Ticks, or the sum of their volumes.
    #[schema(value_type = String)]
    volume: Decimal,
}

/// Bars, the earliest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BarPage {
    data: Vec<BarItem>,
    /// The limit that was asked for.
    limit: usize,
    /// Whether more bars follow.
    has_more: bool,
    /// The `from` of the next page; null at the end.
    #[schema(schema_with = schema::nullable_time)]
    next: Option<Timestamp>,
}

/// Which price of a quote a bar is made of.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum PriceParam {
    #[default]
    Mid,
    Bid,
    Ask,
}

/// How the volume of a bar is counted.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum VolumeParam {
    #[default]
    Count,
    Sum,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct BarsFilter {
    /// Whose ticks.
    symbol: String,
    /// `1m`, `5m`, `15m`, `30m`, `1h`, `4h`, `1d` (or `M1` … `D1`), any other length, or plain seconds.
    #[param(example = "1m")]
    timeframe: String,
    /// From the bar that holds this moment on (RFC 3339). Without it, the latest bars.
    #[serde(default, deserialize_with = "moment")]
    #[param(schema_with = schema::time)]
    from: Option<Timestamp>,
    /// Until before this moment (RFC 3339).
    #[serde(default, deserialize_with = "moment")]
    #[param(schema_with = schema::time)]
    to: Option<Timestamp>,
    /// The middle, the bid or the ask. A one-sided quote has no middle.
    #[serde(default)]
    #[param(inline)]
    price: PriceParam,
    /// The number of ticks, or the sum of their volumes.
    #[serde(default)]
    #[param(inline)]
    volume: VolumeParam,
    /// Bars at the most.
    #[serde(default = "default_limit")]
    #[param(minimum = 1, maximum = 10000, default = 1000)]
    limit: usize,
}

fn default_limit() -> usize {
    1_000
}

impl From<Bar> for BarItem {
    fn from(bar: Bar) -> Self {
        let Bar { time, open, high, low, close, volume } = bar;
        Self { time, open, high, low, close, volume }
    }
}

/// Bars of one symbol. They are made from the ticks that are stored when they are asked for, so late ticks are in them.
#[utoipa::path(get, operation_id = "list_bars", path = "/api/v1/ohlc", tag = "ticks", params(BarsFilter),
    responses((status = 200, body = BarPage), Failures))]
pub(crate) async fn get(State(api): State<Api>, Params(filter): Params<BarsFilter>) -> Result<Json<BarPage>, ApiError> {
    let BarsFilter { symbol, timeframe, from, to, price, volume, limit } = filter;
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(ApiError::invalid_query(format!("limit: {limit} is not between 1 and {MAX_LIMIT}")));
    }
    let length = parse_timeframe(&timeframe).ok_or_else(|| {
        ApiError::invalid_query(format!(
            "timeframe: `{timeframe}` is none; there are 1m, 5m, 15m, 30m, 1h, 4h, 1d, other numbers of s, m, h, d or w, and \
             plain seconds, up to 366 days"
        ))
    })?;
    let symbol: Arc<str> = symbol.into();
    let range = match from {
        Some(from) => range::range(Some(start_of(from, length)), to)?,
        None => latest(&api, &symbol, to, length, limit).await?,
    };
    let price = match price {
        PriceParam::Mid => Price::Mid,
        PriceParam::Bid => Price::Bid,
        PriceParam::Ask => Price::Ask,
    };
    let volume = match volume {
        VolumeParam::Count => Volume::Count,
        VolumeParam::Sum => Volume::Sum,
    };
    let _turn = api.scans.acquire().await;
    let mut bars = Bars::new(length, price, volume);
    let mut done: Vec<Bar> = Vec::new();
    let mut pages = Pages::new(api.store.clone(), symbol, range, None);
    // One bar more than asked for shows that there are more.
    while done.len() <= limit {
        let page = pages.next().await?;
        if page.is_empty() {
            done.extend(bars.finish());
            break;
        }
        done.extend(page.iter().filter_map(|tick| bars.push(tick)));
    }
    let next = done.get(limit).map(|bar| bar.time);
    done.truncate(limit);
    Ok(Json(BarPage { data: done.into_iter().map(BarItem::from).collect(), limit, has_more: next.is_some(), next }))
}

/// The range of the last `limit` bars before `to`, or before the latest tick.
async fn latest(
    api: &Api,
    symbol: &Arc<str>,
    to: Option<Timestamp>,
    length: i64,
    limit: usize,
) -> Result<TimeRange, ApiError> {
    let until = range::range(None, to)?;
    let query = TickQuery { symbol: symbol.clone(), range: until, after: None, newest_first: true, limit: 1 };
    let Some(last) = api.store.ticks(&query).await?.pop() else { return Ok(until) };
    let bars = i64::try_from(limit).unwrap_or(i64::MAX).saturating_sub(1);
    let from = start_of(last.time, length).earlier(length.saturating_mul(bars));
    Ok(TimeRange { from: from.max(Timestamp(0)), to: until.to })
}

fn start_of(moment: Timestamp, length: i64) -> Timestamp {
    moment.earlier(moment.0.rem_euclid(length))
}
