//! `services/{name}/overview`: one service on one page.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tallybook_core::{
    AttributeKey, Condition, DAY, Log, Metric, MetricType, Query, Record, Result, Service, Severity, Span, SpanPattern,
    Store, StoreExt, Template, Timestamp, Value,
};
use utoipa::ToSchema;

use super::Api;
use super::error::{ApiError, Failures, Missing};
use super::growth::{GrowthItem, new_of_service};
use super::high::{HighCardinality, top_keys};
use super::page::{number_of, of_service};
use super::params::{Name, NoParams, Params};
use super::schema;
use super::templates::{self, TemplateItem};

/// Items in each of the lists.
const TOP: usize = 10;

/// A service on one page.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Overview {
    service_name: Arc<str>,
    /// Metric data points received.
    metric_points: u64,
    /// Spans received.
    spans: u64,
    /// Log records received.
    log_records: u64,
    #[schema(schema_with = schema::time)]
    first_seen: Timestamp,
    #[schema(schema_with = schema::time)]
    last_seen: Timestamp,
    names: Names,
    /// Log records by severity.
    severities: BTreeMap<&'static str, u64>,
    /// The keys with the most values, 10 at the most.
    top_keys: Vec<HighCardinality>,
    /// The metrics with the most series, 10 at the most.
    top_metrics: Vec<TopMetric>,
    /// The most frequent spans, 10 at the most.
    top_spans: Vec<TopSpan>,
    /// The most frequent log templates, 10 at the most.
    top_templates: Vec<TemplateItem>,
    /// What was seen for the first time in the last 24 hours, the newest 10 of each kind.
    new_in_last_day: Vec<GrowthItem>,
}

/// How many different things a service sends.
#[derive(Debug, Serialize, ToSchema)]
struct Names {
    metrics: u64,
    spans: u64,
    span_patterns: u64,
    /// Keys, counted once for each name that carries them.
    attribute_keys: u64,
    templates: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct TopMetric {
    name: Arc<str>,
    #[schema(schema_with = schema::metric_type)]
    r#type: MetricType,
    unit: Option<Arc<str>>,
    sample_count: u64,
    active_series_otlp: u64,
    active_series_prometheus: u64,
}

#[derive(Debug, Serialize, ToSchema)]
struct TopSpan {
    name: Arc<str>,
    sample_count: u64,
    /// Of these, with status error.
    errors: u64,
}

impl From<Metric> for TopMetric {
    fn from(row: Metric) -> Self {
        Self {
            active_series_prometheus: row.prometheus_series(),
            name: row.name,
            r#type: row.metric_type,
            unit: row.unit,
            sample_count: row.sample_count,
            active_series_otlp: row.active_series,
        }
    }
}

impl From<Span> for TopSpan {
    fn from(row: Span) -> Self {
        Self { name: row.name, sample_count: row.sample_count, errors: row.status_error }
    }
}

/// One service: how much it sends, what stands out, and what is new.
#[utoipa::path(
    get, operation_id = "get_service_overview", path = "/api/v1/services/{name}/overview", tag = "catalogue",
    params(("name" = String, Path, description = "The service's name, `/` in it encoded")),
    responses((status = 200, description = "The service", body = Overview), Missing, Failures)
)]
pub(crate) async fn get(
    State(api): State<Api>,
    Name(name): Name,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Json<Overview>, ApiError> {
    let store = &*api.store;
    let query = Query::new(1).filter(Condition::Equals("name", Value::from(&*name)));
    let found = store.list::<Service>(&query).await?.items.pop();
    let service = found.ok_or_else(|| ApiError::not_found(format!("no service `{name}` was seen")))?;
    let day_ago = Timestamp::now().earlier(DAY);
    let severities = Query::new(Severity::ALL.len()).filter(of_service(Some(&name)));
    let (metrics, spans, span_patterns, attribute_keys, templates, severities, top_keys, top_templates, new) = tokio::try_join!(
        top::<Metric>(store, &name, "active_series"),
        top::<Span>(store, &name, "sample_count"),
        number_of(store, SpanPattern::TABLE, vec![of_service(Some(&name))]),
        number_of(store, AttributeKey::TABLE, vec![of_service(Some(&name))]),
        number_of(store, Template::TABLE, vec![of_service(Some(&name)), Condition::AtLeast("count", Value::Int(1))]),
        store.list::<Log>(&severities),
        top_keys(store, &name, TOP),
        templates::top(store, Some(&name), None, TOP),
        new_of_service(store, &name, day_ago, TOP),
    )?;
    Ok(Json(Overview {
        service_name: service.name,
        metric_points: service.metric_points,
        spans: service.spans,
        log_records: service.log_records,
        first_seen: service.first_seen,
        last_seen: service.last_seen,
        names: Names { metrics: metrics.1, spans: spans.1, span_patterns, attribute_keys, templates },
        severities: severities.items.iter().map(|row| (row.severity.as_str(), row.sample_count)).collect(),
        top_keys,
        top_metrics: metrics.0.into_iter().map(TopMetric::from).collect(),
        top_spans: spans.0.into_iter().map(TopSpan::from).collect(),
        top_templates,
        new_in_last_day: new,
    }))
}

/// The service's rows with the most of `column`, and the number of all its rows.
async fn top<R: Record>(store: &dyn Store, service: &str, column: &'static str) -> Result<(Vec<R>, u64)> {
    let mut query = Query::new(TOP).filter(of_service(Some(service))).sort(column, true);
    query.total = true;
    let page = store.list::<R>(&query).await?;
    Ok((page.items, page.total.unwrap_or_default()))
}
