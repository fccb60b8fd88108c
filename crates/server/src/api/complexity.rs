//! `cardinality/complexity`: names by how many keys they carry and how many values these have.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tallybook_core::{AttributeKey, Condition, Metric, Query, Result, Scope, Signal, Store, StoreExt, Value};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::error::{ApiError, Failures};
use super::page::{List, of_service, page_of};
use super::params::{ListParams, Paging, count, filled};
use super::schema;

/// Rows that are read at a time.
const ROWS_AT_A_TIME: usize = 20_000;
/// A key with more values than this counts as one of high cardinality.
const HIGH_CARDINALITY: u64 = 100;

/// How complex a metric, a span name or a severity is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Complexity)]
pub(crate) struct ComplexityItem {
    #[schema(schema_with = schema::signal)]
    signal_type: Signal,
    /// The metric's or the span's name, or the severity.
    signal_name: Arc<str>,
    /// Its keys, in all scopes.
    total_keys: u64,
    attribute_key_count: u64,
    resource_key_count: u64,
    scope_key_count: u64,
    event_key_count: u64,
    link_key_count: u64,
    body_key_count: u64,
    /// The distinct values of the key that has most.
    max_cardinality: u64,
    /// The distinct values of all keys, added up.
    sum_cardinality: u64,
    /// Keys with more than 100 distinct values.
    high_cardinality_count: u64,
    /// All keys times the greatest cardinality.
    complexity_score: u64,
    /// Of a metric: its label sets.
    estimated_series: Option<u64>,
}

/// What names can be sorted by.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ComplexitySort {
    #[default]
    Score,
    Keys,
    MaxCardinality,
    SumCardinality,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ComplexityFilter {
    /// Of this service only.
    #[serde(default, deserialize_with = "filled")]
    #[param(min_length = 1)]
    service: Option<String>,
    /// Of this kind of record only.
    #[serde(default)]
    #[param(schema_with = schema::signal)]
    signal: Option<Signal>,
    /// The least number of keys.
    #[serde(default, deserialize_with = "count")]
    #[param(minimum = 0, default = 1)]
    threshold: Option<i64>,
    /// What to sort by.
    #[serde(default)]
    #[param(inline)]
    sort: ComplexitySort,
}

/// Names by the number of their keys and values. Every call reads all keys, so it costs more than other lists.
#[utoipa::path(
    get, operation_id = "list_complexity", path = "/api/v1/cardinality/complexity", tag = "cardinality", params(ComplexityFilter, Paging),
    responses((status = 200, description = "A page of names", body = List<ComplexityItem>), Failures)
)]
pub(crate) async fn list(
    State(api): State<Api>,
    params: ListParams<ComplexityFilter>,
) -> Result<Json<List<ComplexityItem>>, ApiError> {
    let ListParams { paging, filter } = params;
    let _turn = api.scans.acquire().await;
    let service = filter.service.as_deref();
    let threshold = u64::try_from(filter.threshold.unwrap_or(1)).unwrap_or_default();
    let mut items = Vec::new();
    for &signal in Signal::ALL {
        if filter.signal.is_none_or(|wanted| wanted == signal) {
            let names = measure(&*api.store, signal, service).await?;
            items.extend(names.into_iter().filter(|name| name.total_keys >= threshold));
        }
    }
    let keyed = items.into_iter().map(|item| (item.order(filter.sort), item)).collect();
    let mut page = page_of(&paging, paging.descending(Some("score")), keyed)?;
    add_series(&*api.store, service, &mut page.data).await?;
    Ok(Json(page))
}

impl ComplexityItem {
    fn of(signal: Signal, name: Arc<str>) -> Self {
        Self {
            signal_type: signal,
            signal_name: name,
            total_keys: 0,
            attribute_key_count: 0,
            resource_key_count: 0,
            scope_key_count: 0,
            event_key_count: 0,
            link_key_count: 0,
            body_key_count: 0,
            max_cardinality: 0,
            sum_cardinality: 0,
            high_cardinality_count: 0,
            complexity_score: 0,
            estimated_series: None,
        }
    }

    fn add(&mut self, scope: Scope, cardinality: u64) {
        self.total_keys += 1;
        *match scope {
            Scope::Attribute => &mut self.attribute_key_count,
            Scope::Resource => &mut self.resource_key_count,
            Scope::Scope => &mut self.scope_key_count,
            Scope::Event => &mut self.event_key_count,
            Scope::Link => &mut self.link_key_count,
            Scope::Body => &mut self.body_key_count,
        } += 1;
        self.max_cardinality = self.max_cardinality.max(cardinality);
        self.sum_cardinality = self.sum_cardinality.saturating_add(cardinality);
        self.high_cardinality_count += u64::from(cardinality > HIGH_CARDINALITY);
        self.complexity_score = self.total_keys.saturating_mul(self.max_cardinality);
    }

    fn order(&self, sort: ComplexitySort) -> Vec<Value> {
        let by = match sort {
            ComplexitySort::Score => self.complexity_score,
            ComplexitySort::Keys => self.total_keys,
            ComplexitySort::MaxCardinality => self.max_cardinality,
            ComplexitySort::SumCardinality => self.sum_cardinality,
        };
        vec![
            Value::Int(i64::try_from(by).unwrap_or(i64::MAX)),
            Value::from(self.signal_type.as_str()),
            Value::Text(self.signal_name.clone()),
        ]
    }
}

/// Reads the keys of one signal in the order of their table's key, in which those of one name follow each other.
async fn measure(store: &dyn Store, signal: Signal, service: Option<&str>) -> Result<Vec<ComplexityItem>> {
    let mut query = Query::new(ROWS_AT_A_TIME)
        .filter(Condition::Equals("signal", Value::from(signal.as_str())))
        .filter(of_service(service));
    let mut names: Vec<ComplexityItem> = Vec::new();
    loop {
        let page = store.list::<AttributeKey>(&query).await?;
        for row in page.items {
            if names.last().is_none_or(|name| name.signal_name != row.name) {
                names.push(ComplexityItem::of(signal, row.name));
            }
            if let Some(name) = names.last_mut() {
                name.add(row.scope, row.cardinality);
            }
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(names),
        }
    }
}

async fn add_series(store: &dyn Store, service: Option<&str>, items: &mut [ComplexityItem]) -> Result<()> {
    let metrics = || items.iter().filter(|item| item.signal_type == Signal::Metric);
    let names: Vec<Value> = metrics().map(|item| Value::Text(item.signal_name.clone())).collect();
    if names.is_empty() {
        return Ok(());
    }
    let query = Query::new(names.len()).filter(of_service(service)).filter(Condition::In("name", names));
    let page = store.list::<Metric>(&query).await?;
    let series: HashMap<Arc<str>, u64> = page.items.into_iter().map(|row| (row.name, row.active_series)).collect();
    for item in items.iter_mut().filter(|item| item.signal_type == Signal::Metric) {
        item.estimated_series = series.get(&item.signal_name).copied();
    }
    Ok(())
}
