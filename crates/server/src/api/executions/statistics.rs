//! `executions/statistics`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tallybook_core::{DAY, Execution, ExecutionStatistics, Query, StoreExt, Timestamp};
use utoipa::{IntoParams, ToSchema};

use super::item::milliseconds;
use crate::api::Api;
use crate::api::error::{ApiError, Failures};
use crate::api::page::Conditions;
use crate::api::params::{Params, filled, moment};
use crate::api::schema;

/// The range, where a request names no start.
const RANGE: i64 = 30 * DAY;
/// Executions that are summed up, the newest ones.
const MAX_EXECUTIONS: usize = 100_000;
const PAGE_ROWS: usize = 5_000;

/// What the executions of a range come to, by name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Statistics {
    #[schema(schema_with = schema::time)]
    from: Timestamp,
    #[schema(schema_with = schema::time)]
    to: Timestamp,
    data: Vec<NameStatistics>,
    /// Whether the range holds more than 100,000 executions: the newest ones are summed up.
    truncated: bool,
}

/// What the executions of one name come to.
#[derive(Debug, Serialize, ToSchema)]
struct NameStatistics {
    name: Arc<str>,
    runs: u64,
    /// Runs by status.
    by_status: BTreeMap<&'static str, u64>,
    /// Of those that completed, failed or took too long, the share that completed.
    success_rate: Option<f64>,
    /// Half of those that completed took at most so long.
    p50_ms: Option<f64>,
    /// 95 of 100 that completed took at most so long.
    p95_ms: Option<f64>,
    /// How often the result differs from the one before: 0 is steady, 1 flips every time.
    flakiness: Option<f64>,
    /// By UTC day, the earliest first.
    trend: Vec<DayStatistics>,
}

/// What one UTC day brought.
#[derive(Debug, Serialize, ToSchema)]
struct DayStatistics {
    #[schema(schema_with = schema::time)]
    day: Timestamp,
    runs: u64,
    completed: u64,
    failed: u64,
    p50_ms: Option<f64>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatisticsFilter {
    /// Of this name alone.
    #[serde(default, deserialize_with = "filled")]
    #[param(min_length = 1)]
    name: Option<String>,
    /// Created at this moment or later; 30 days before `to` unless given.
    #[serde(default, deserialize_with = "moment")]
    #[param(schema_with = schema::time)]
    from: Option<Timestamp>,
    /// Created before this moment; now unless given.
    #[serde(default, deserialize_with = "moment")]
    #[param(schema_with = schema::time)]
    to: Option<Timestamp>,
}

/// How often executions end well, how long they take and how steady they are, by name.
#[utoipa::path(get, operation_id = "get_execution_statistics", path = "/api/v1/executions/statistics", tag = "executions",
    params(StatisticsFilter), responses((status = 200, body = Statistics), Failures))]
pub(crate) async fn get(
    State(api): State<Api>,
    Params(StatisticsFilter { name, from, to }): Params<StatisticsFilter>,
) -> Result<Json<Statistics>, ApiError> {
    let _turn = api.scans.acquire().await.map_err(|_| ApiError::internal())?;
    let to = to.unwrap_or_else(Timestamp::now);
    let from = from.unwrap_or_else(|| to.earlier(RANGE));
    let mut query = Query::new(PAGE_ROWS).sort("created_at", true);
    query.conditions = Conditions::default()
        .equals("name", name.as_deref())
        .at_least("created_at", Some(from.0))
        .at_most("created_at", Some(to.earlier(1).0))
        .done();
    let mut executions = Vec::new();
    let truncated = loop {
        let page = api.store.list::<Execution>(&query).await?;
        executions.extend(page.items);
        match page.next {
            Some(_) if executions.len() >= MAX_EXECUTIONS => break true,
            Some(next) => query.after = Some(next),
            None => break false,
        }
    };
    let summed_up = tokio::task::spawn_blocking(move || ExecutionStatistics::by_name(&executions)).await;
    let data = summed_up.map_err(|_| ApiError::internal())?.into_iter().map(of_name).collect();
    Ok(Json(Statistics { from, to, data, truncated }))
}

fn of_name((name, statistics): (Arc<str>, ExecutionStatistics)) -> NameStatistics {
    let ExecutionStatistics { runs, by_status, success_rate, p50, p95, flakiness, days } = statistics;
    let trend = days.into_iter().map(|day| DayStatistics {
        day: day.day,
        runs: day.runs,
        completed: day.completed,
        failed: day.failed,
        p50_ms: day.p50.map(milliseconds),
    });
    NameStatistics {
        name,
        runs,
        by_status: by_status.into_iter().map(|(status, runs)| (status.as_str(), runs)).collect(),
        success_rate,
        p50_ms: p50.map(milliseconds),
        p95_ms: p95.map(milliseconds),
        flakiness,
        trend: trend.collect(),
    }
}
