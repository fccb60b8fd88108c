//! `targets` and `targets/{target}/summary`.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tallybook_core::{Condition, DAY, Ping, PingSeen, Query, Resolution, StoreExt, Timestamp, Value};
use utoipa::{IntoParams, ToSchema};

use super::range::range;
use super::read;
use super::summary::Summary;
use crate::api::Api;
use crate::api::error::{ApiError, Failures, Missing};
use crate::api::page::{Conditions, Filter, List, SortBy};
use crate::api::params::{ListParams, Name, Paging, Params, filled, moment};
use crate::api::schema;

/// A target that has pings.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Target)]
pub(crate) struct TargetItem {
    target: Arc<str>,
    #[schema(inline)]
    state: TargetState,
    /// Its earliest ping.
    #[schema(schema_with = schema::time)]
    first_seen: Timestamp,
    /// Its latest ping.
    #[schema(schema_with = schema::time)]
    last_seen: Timestamp,
    /// The latest one that was answered.
    #[schema(schema_with = schema::nullable_time)]
    last_answered: Option<Timestamp>,
    /// The latest one that was lost.
    #[schema(schema_with = schema::nullable_time)]
    last_lost: Option<Timestamp>,
    /// What its pings come to within the range, widened to whole minutes.
    summary: Summary,
}

/// Whether a target answered its latest ping.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum TargetState {
    Up,
    Down,
}

/// What targets can be sorted by.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TargetSort {
    #[default]
    Target,
    FirstSeen,
    LastSeen,
}

impl SortBy for TargetSort {
    fn column(self) -> Option<&'static str> {
        match self {
            Self::Target => None,
            Self::FirstSeen => Some("first_seen"),
            Self::LastSeen => Some("last_seen"),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct TargetFilter {
    /// The target holds this text, ASCII letters in any case.
    #[serde(default, deserialize_with = "filled")]
    #[param(min_length = 1)]
    contains: Option<String>,
    /// The start of the range that is summed up; a day before `to` unless given.
    #[serde(default, deserialize_with = "moment")]
    #[param(schema_with = schema::time)]
    from: Option<Timestamp>,
    /// The end of the range that is summed up; now unless given.
    #[serde(default, deserialize_with = "moment")]
    #[param(schema_with = schema::time)]
    to: Option<Timestamp>,
    /// What to sort by.
    #[serde(default)]
    #[param(inline)]
    sort: TargetSort,
}

impl Filter for TargetFilter {
    type Sort = TargetSort;

    fn sort(&self) -> TargetSort {
        self.sort
    }

    fn conditions(&self) -> Vec<Condition> {
        Conditions::default().contains("target", self.contains.as_deref()).done()
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct SummaryFilter {
    /// The first moment; a day before `to` unless given.
    #[serde(default, deserialize_with = "moment")]
    #[param(schema_with = schema::time)]
    from: Option<Timestamp>,
    /// The first moment after; now unless given.
    #[serde(default, deserialize_with = "moment")]
    #[param(schema_with = schema::time)]
    to: Option<Timestamp>,
}

/// The targets that have pings, with their last state and what their pings come to.
#[utoipa::path(
    get, operation_id = "list_targets", path = "/api/v1/targets", tag = "pings", params(TargetFilter, Paging),
    responses((status = 200, description = "A page of targets", body = List<TargetItem>), Failures)
)]
pub(crate) async fn list(
    State(api): State<Api>,
    params: ListParams<TargetFilter>,
) -> Result<Json<List<TargetItem>>, ApiError> {
    let range = Resolution::Minute.around(range(params.filter.from, params.filter.to, DAY)?);
    let page = api.store.list::<PingSeen>(&params.query()?).await?;
    let names: Vec<Arc<str>> = page.items.iter().map(|row| row.target.clone()).collect();
    let sums = read::summaries(&*api.store, &names, range).await?;
    let corrected = corrected(&api, &page.items).await?;
    let is_up = |row: &PingSeen| row.is_up().or_else(|| corrected.get(&row.target).copied()).unwrap_or(true);
    let item = |row: PingSeen| TargetItem {
        state: if is_up(&row) { TargetState::Up } else { TargetState::Down },
        first_seen: row.first_seen,
        last_seen: row.last_seen,
        last_answered: row.last_answered,
        last_lost: row.last_lost,
        summary: Summary::new(range, &sums.get(&row.target).cloned().unwrap_or_default()),
        target: row.target,
    };
    Ok(Json(params.paging.list(page.items.into_iter().map(item).collect(), page.total, page.next.as_ref())))
}

/// Of targets whose latest ping was corrected: whether it counts as answered now.
async fn corrected(api: &Api, targets: &[PingSeen]) -> Result<HashMap<Arc<str>, bool>, ApiError> {
    let (names, times): (Vec<Value>, Vec<Value>) = targets
        .iter()
        .filter(|row| row.is_up().is_none())
        .map(|row| (Value::Text(row.target.clone()), Value::from(row.last_seen)))
        .unzip();
    if names.is_empty() {
        return Ok(HashMap::new());
    }
    let query = Query::new(read::PAGE).filter(Condition::In("target", names)).filter(Condition::In("time", times));
    let mut pings = api.store.list_all::<Ping>(query).await?;
    // Of a target that has pings at the times of others, too, the latest.
    pings.sort_by_key(|ping| ping.time);
    Ok(pings.into_iter().map(|ping| (ping.target, ping.success)).collect())
}

/// What the pings of a target come to, exactly from `from` to `to`. Days are summed up from days, the rest from hours,
/// minutes and single pings; of what retention has removed, nothing is counted. `/` in the target is written `%2F`.
#[utoipa::path(
    get, operation_id = "get_target_summary", path = "/api/v1/targets/{target}/summary", tag = "pings",
    params(("target" = String, Path, description = "The target"), SummaryFilter),
    responses((status = 200, description = "The summary", body = Summary), Missing, Failures)
)]
pub(crate) async fn summary(
    State(api): State<Api>,
    Name(target): Name,
    Params(filter): Params<SummaryFilter>,
) -> Result<Json<Summary>, ApiError> {
    let range = range(filter.from, filter.to, DAY)?;
    let target: Arc<str> = target.into();
    known(&api, &target).await?;
    let mut sums = read::summaries(&*api.store, std::slice::from_ref(&target), range).await?;
    Ok(Json(Summary::new(range, &sums.remove(&target).unwrap_or_default())))
}

/// Says so where a target has no pings at all.
pub(super) async fn known(api: &Api, target: &str) -> Result<(), ApiError> {
    let query = Query::new(1).filter(read::of_target(target));
    if api.store.list::<PingSeen>(&query).await?.items.is_empty() {
        return Err(ApiError::not_found(format!("there are no pings of `{target}`")));
    }
    Ok(())
}
