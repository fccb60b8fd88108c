//! `metrics` and `metrics/{name}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tallybook_core::{
    Condition, Metric, MetricType, Query, Result, Scope, Signal, Store, StoreExt, Temporality, Timestamp, Value,
};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::counts::{Counts, CountsByName};
use super::error::{ApiError, Failures, Missing};
use super::keys::{Keys, KeysByName};
use super::page::{Conditions, Filter, List, SortBy, of_service};
use super::params::{ListParams, Name, Paging, Params, count, filled};
use super::schema;

/// A metric, of one service or of all together.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Metric)]
pub(crate) struct MetricItem {
    name: Arc<str>,
    #[schema(schema_with = schema::metric_type)]
    r#type: MetricType,
    /// UCUM.
    unit: Option<Arc<str>>,
    description: Option<Arc<str>>,
    /// Of sums and histograms.
    #[schema(schema_with = schema::nullable_temporality)]
    temporality: Option<Temporality>,
    /// Of sums.
    monotonic: Option<bool>,
    /// The finite explicit bounds of the latest histogram.
    bounds: Option<Vec<f64>>,
    /// The quantiles of the latest summary.
    quantiles: Option<Vec<f64>>,
    /// The instrumentation scope.
    scope_info: ScopeInfo,
    /// The keys on data points.
    label_keys: Keys,
    resource_keys: Keys,
    scope_keys: Keys,
    /// Data points received.
    sample_count: u64,
    /// Data points received, by service.
    services: Counts,
    /// Distinct label sets, estimated.
    active_series_otlp: u64,
    /// The series Prometheus would make of them: one per bucket and quantile, and `_sum` and `_count`.
    active_series_prometheus: u64,
    #[schema(schema_with = schema::time)]
    first_seen: Timestamp,
    #[schema(schema_with = schema::time)]
    last_seen: Timestamp,
}

/// The instrumentation scope that sent something last.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScopeInfo {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) version: Option<Arc<str>>,
}

/// What metrics can be sorted by.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MetricSort {
    #[default]
    Name,
    SampleCount,
    ActiveSeries,
    FirstSeen,
    LastSeen,
}

impl SortBy for MetricSort {
    fn column(self) -> Option<&'static str> {
        match self {
            Self::Name => None,
            Self::SampleCount => Some("sample_count"),
            Self::ActiveSeries => Some("active_series"),
            Self::FirstSeen => Some("first_seen"),
            Self::LastSeen => Some("last_seen"),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct MetricFilter {
    /// Of this service only; its own counts and keys, too.
    #[serde(default, deserialize_with = "filled")]
    #[param(min_length = 1)]
    service: Option<String>,
    /// The name holds this text, ASCII letters in any case.
    #[serde(default, deserialize_with = "filled")]
    #[param(min_length = 1)]
    contains: Option<String>,
    /// Of this type only.
    #[serde(default)]
    #[param(schema_with = schema::metric_type)]
    r#type: Option<MetricType>,
    /// With at least this many OTLP series.
    #[serde(default, deserialize_with = "count")]
    #[param(minimum = 0)]
    min_series: Option<i64>,
    /// With at least this many data points.
    #[serde(default, deserialize_with = "count")]
    #[param(minimum = 0)]
    min_count: Option<i64>,
    /// What to sort by.
    #[serde(default)]
    #[param(inline)]
    sort: MetricSort,
}

impl Filter for MetricFilter {
    type Sort = MetricSort;

    fn sort(&self) -> MetricSort {
        self.sort
    }

    fn conditions(&self) -> Vec<Condition> {
        Conditions::default()
            .and(of_service(self.service.as_deref()))
            .contains("name", self.contains.as_deref())
            .equals("metric_type", self.r#type.map(MetricType::as_str))
            .at_least("active_series", self.min_series)
            .at_least("sample_count", self.min_count)
            .done()
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceFilter {
    /// As this service sends it; otherwise all services together.
    #[serde(default, deserialize_with = "filled")]
    #[param(min_length = 1)]
    pub(crate) service: Option<String>,
}

/// The metrics and their keys.
#[utoipa::path(
    get, operation_id = "list_metrics", path = "/api/v1/metrics", tag = "catalogue", params(MetricFilter, Paging),
    responses((status = 200, description = "A page of metrics", body = List<MetricItem>), Failures)
)]
pub(crate) async fn list(
    State(api): State<Api>,
    params: ListParams<MetricFilter>,
) -> Result<Json<List<MetricItem>>, ApiError> {
    let page = api.store.list::<Metric>(&params.query()?).await?;
    let items = describe(&*api.store, params.filter.service.as_deref(), page.items).await?;
    Ok(Json(params.paging.list(items, page.total, page.next.as_ref())))
}

/// One metric. Its name may hold `/`, as it is or encoded.
#[utoipa::path(
    get, operation_id = "get_metric", path = "/api/v1/metrics/{name}", tag = "catalogue",
    params(("name" = String, Path, description = "The metric's name"), ServiceFilter),
    responses((status = 200, description = "The metric", body = MetricItem), Missing, Failures)
)]
pub(crate) async fn get(
    State(api): State<Api>,
    Name(name): Name,
    Params(filter): Params<ServiceFilter>,
) -> Result<Json<MetricItem>, ApiError> {
    let service = filter.service.as_deref();
    let query = Query::new(1).filter(of_service(service)).filter(Condition::Equals("name", Value::from(&*name)));
    let page = api.store.list::<Metric>(&query).await?;
    let mut items = describe(&*api.store, service, page.items).await?;
    items.pop().map(Json).ok_or_else(|| ApiError::not_found(format!("no metric `{name}` was seen")))
}

async fn describe(store: &dyn Store, service: Option<&str>, rows: Vec<Metric>) -> Result<Vec<MetricItem>> {
    let names = rows.iter().map(|row| row.name.clone());
    let records = rows.iter().map(|row| (row.name.clone(), row.sample_count));
    let (keys, mut services) = tokio::try_join!(
        KeysByName::read(store, Signal::Metric, service, names),
        CountsByName::by_service::<Metric>(store, service, "name", records),
    )?;
    let item = |row: Metric| {
        let scope = |scope| keys.of(&row.name, scope, row.sample_count);
        MetricItem {
            label_keys: scope(Scope::Attribute),
            resource_keys: scope(Scope::Resource),
            scope_keys: scope(Scope::Scope),
            services: services.take(&row.name),
            active_series_otlp: row.active_series,
            active_series_prometheus: row.prometheus_series(),
            name: row.name,
            r#type: row.metric_type,
            unit: row.unit,
            description: row.description,
            temporality: row.temporality,
            monotonic: row.monotonic,
            bounds: row.bounds.as_deref().map(finite),
            quantiles: row.quantiles.as_deref().map(finite),
            scope_info: ScopeInfo { name: row.scope_name, version: row.scope_version },
            sample_count: row.sample_count,
            first_seen: row.first_seen,
            last_seen: row.last_seen,
        }
    };
    Ok(rows.into_iter().map(item).collect())
}

/// JSON has no infinities; as a bound, one says nothing that every histogram does not say.
fn finite(numbers: &[f64]) -> Vec<f64> {
    numbers.iter().copied().filter(|number| number.is_finite()).collect()
}
