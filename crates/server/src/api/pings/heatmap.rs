//! `targets/{target}/heatmap`.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tallybook_core::{DAY, HeatCell, HeatMap, PingBucket, StoreExt, Timestamp};
use utoipa::{IntoParams, ToSchema};

use super::range::range;
use super::read;
use super::summary::{in_milliseconds, milliseconds};
use super::targets::known;
use crate::api::Api;
use crate::api::error::{ApiError, Failures, Missing};
use crate::api::params::{Name, Params, moment};
use crate::api::schema;

/// Clocks on Earth are ahead of UTC by at most this many minutes, or behind it.
const MAX_OFFSET_MINUTES: i32 = 14 * 60;

/// The pings of a target by weekday and hour.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HeatMap)]
pub(crate) struct HeatMapBody {
    #[schema(schema_with = schema::time)]
    from: Timestamp,
    #[schema(schema_with = schema::time)]
    to: Timestamp,
    utc_offset_minutes: i32,
    /// The 168 hours of the week, from Monday midnight on.
    cells: Vec<CellItem>,
}

/// One hour of the week.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HeatCell)]
pub(crate) struct CellItem {
    /// 1 is Monday, 7 is Sunday.
    weekday: u8,
    /// 0 to 23.
    hour: u8,
    /// Pings.
    count: u64,
    /// Pings that were not answered.
    lost: u64,
    loss_percent: Option<f64>,
    avg_ms: Option<f64>,
    max_ms: Option<f64>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeatMapFilter {
    /// The first moment, taken down to a whole hour; four weeks before `to` unless given.
    #[serde(default, deserialize_with = "moment")]
    #[param(schema_with = schema::time)]
    from: Option<Timestamp>,
    /// The first moment after, taken up to a whole hour; now unless given.
    #[serde(default, deserialize_with = "moment")]
    #[param(schema_with = schema::time)]
    to: Option<Timestamp>,
    /// How many minutes the clock that tells weekdays and hours is ahead of UTC.
    #[serde(default)]
    #[param(minimum = -840, maximum = 840, default = 0)]
    utc_offset_minutes: i32,
}

/// When in the week a target is slow or lost. `/` in the target is written `%2F`.
#[utoipa::path(
    get, operation_id = "get_target_heatmap", path = "/api/v1/targets/{target}/heatmap", tag = "pings",
    params(("target" = String, Path, description = "The target"), HeatMapFilter),
    responses((status = 200, description = "The heat map", body = HeatMapBody), Missing, Failures)
)]
pub(crate) async fn get(
    State(api): State<Api>,
    Name(target): Name,
    Params(filter): Params<HeatMapFilter>,
) -> Result<Json<HeatMapBody>, ApiError> {
    let offset = filter.utc_offset_minutes;
    if !(-MAX_OFFSET_MINUTES..=MAX_OFFSET_MINUTES).contains(&offset) {
        return Err(ApiError::invalid_query(format!("utc_offset_minutes: {offset} is not between -840 and 840")));
    }
    let mut map = HeatMap::new(offset);
    let resolution = map.resolution();
    let range = resolution.around(range(filter.from, filter.to, 28 * DAY)?);
    known(&api, &target).await?;
    let _turn = api.scans.acquire().await;
    let buckets = read::buckets(resolution, range).filter(read::of_target(&target));
    api.store.list_all::<PingBucket>(buckets).await?.iter().for_each(|bucket| map.add_bucket(bucket));
    let cells = (1..)
        .zip(map.cells())
        .flat_map(|(weekday, hours)| (0..).zip(hours).map(move |(hour, cell)| CellItem::new(weekday, hour, cell)));
    Ok(Json(HeatMapBody { from: range.from, to: range.to, utc_offset_minutes: offset, cells: cells.collect() }))
}

impl CellItem {
    fn new(weekday: u8, hour: u8, cell: &HeatCell) -> Self {
        Self {
            weekday,
            hour,
            count: cell.count,
            lost: cell.lost,
            loss_percent: cell.loss(),
            avg_ms: cell.average().map(in_milliseconds),
            max_ms: cell.max.map(milliseconds),
        }
    }
}
