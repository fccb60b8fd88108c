//! `targets/{target}/outages`.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tallybook_core::{
    DAY, Outage, OutageFinder, OutageStep, Ping, PingBucket, Resolution, Store, StoreExt, TimeRange, Timestamp, Value,
    outage_steps,
};
use utoipa::{IntoParams, ToSchema};

use super::range::range;
use super::read;
use super::targets::known;
use crate::api::Api;
use crate::api::error::{ApiError, Failures, Missing};
use crate::api::page::{List, page_of};
use crate::api::params::{ListParams, Name, Paging, moment};
use crate::api::schema;

/// Pings that must be lost in a row to make an outage, unless told otherwise.
const DEFAULT_MIN_LOST: u64 = 3;

/// A time in which every ping was lost.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Outage)]
pub(crate) struct OutageItem {
    /// The first ping that was lost within the range.
    #[schema(schema_with = schema::time)]
    start: Timestamp,
    /// The answer that ended it; null where there was none within the range.
    #[schema(schema_with = schema::nullable_time)]
    end: Option<Timestamp>,
    /// From the start to the end; null where it has none.
    seconds: Option<f64>,
    /// Pings that were lost.
    lost: u64,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutageFilter {
    /// The first moment, taken down to a whole minute; a week before `to` unless given.
    #[serde(default, deserialize_with = "moment")]
    #[param(schema_with = schema::time)]
    from: Option<Timestamp>,
    /// The first moment after, taken up to a whole minute; now unless given.
    #[serde(default, deserialize_with = "moment")]
    #[param(schema_with = schema::time)]
    to: Option<Timestamp>,
    /// Pings that are lost in a row in an outage, at least.
    #[serde(default = "default_min_lost")]
    #[param(minimum = 1, default = 3)]
    min_lost: u64,
}

fn default_min_lost() -> u64 {
    DEFAULT_MIN_LOST
}

/// The outages of a target, the earliest first, as far back as its single pings are kept. `/` in the target is written
/// `%2F`.
#[utoipa::path(
    get, operation_id = "list_target_outages", path = "/api/v1/targets/{target}/outages", tag = "pings",
    params(("target" = String, Path, description = "The target"), OutageFilter, Paging),
    responses((status = 200, description = "A page of outages", body = List<OutageItem>), Missing, Failures)
)]
pub(crate) async fn list(
    State(api): State<Api>,
    Name(target): Name,
    params: ListParams<OutageFilter>,
) -> Result<Json<List<OutageItem>>, ApiError> {
    let ListParams { paging, filter } = params;
    if filter.min_lost == 0 {
        return Err(ApiError::invalid_query("min_lost: an outage has at least 1 lost ping"));
    }
    let range = Resolution::Minute.around(range(filter.from, filter.to, 7 * DAY)?);
    known(&api, &target).await?;
    let _turn = api.scans.acquire().await;
    let outages = find(&*api.store, &target, range, filter.min_lost).await?;
    let keyed = outages.into_iter().map(|outage| (vec![Value::from(outage.start)], OutageItem::from(outage))).collect();
    Ok(Json(page_of(&paging, paging.descending(None), keyed)?))
}

async fn find(store: &dyn Store, target: &str, range: TimeRange, min_lost: u64) -> tallybook_core::Result<Vec<Outage>> {
    let minutes = read::buckets(Resolution::Minute, range).filter(read::of_target(target));
    let minutes = store.list_all::<PingBucket>(minutes).await?;
    let mut finder = OutageFinder::new(min_lost);
    for step in outage_steps(&minutes) {
        match step {
            OutageStep::Lost { start, count } => finder.lost(start, count),
            OutageStep::Pings(range) => {
                let mut query = read::pings(range).filter(read::of_target(target));
                loop {
                    let page = store.list::<Ping>(&query).await?;
                    page.items.iter().for_each(|ping| finder.push(ping));
                    query.after = page.next;
                    if query.after.is_none() {
                        break;
                    }
                }
            }
        }
    }
    Ok(finder.finish())
}

impl From<Outage> for OutageItem {
    fn from(outage: Outage) -> Self {
        let length = |end: Timestamp| end.0.saturating_sub(outage.start.0) as f64 / 1e9;
        Self { start: outage.start, end: outage.end, seconds: outage.end.map(length), lost: outage.lost }
    }
}
