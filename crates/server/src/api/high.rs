//! `cardinality/high`: keys by distinct values and metrics by series, in one list.

use std::cmp::Ordering;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tallybook_core::{
    AttributeKey, Condition, Metric, Position, Query, Record, Result, Row, Scope, Signal, Store, Table, Timestamp,
    Value,
};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::error::{ApiError, Failures};
use super::page::{Conditions, List, of_service, position};
use super::params::{ListParams, Paging, count, filled};
use super::schema;

const DEFAULT_THRESHOLD: i64 = 100;

/// A key with many values, or a metric with many series.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HighCardinality {
    kind: HighKind,
    #[schema(schema_with = schema::signal)]
    signal_type: Signal,
    /// The metric's or the span's name, or the severity.
    signal_name: Arc<str>,
    /// Where the key was found; null for a metric.
    #[schema(schema_with = schema::nullable_scope)]
    key_scope: Option<Scope>,
    /// Null for a metric.
    key_name: Option<Arc<str>>,
    /// Distinct values of the key, or series of the metric, estimated.
    estimated_cardinality: u64,
    /// Records that carried the key, or data points of the metric.
    key_count: u64,
    #[schema(schema_with = schema::time)]
    first_seen: Timestamp,
    #[schema(schema_with = schema::time)]
    last_seen: Timestamp,
}

/// What has many of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HighKind {
    /// A key, of values.
    Key,
    /// A metric, of series.
    Metric,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct HighFilter {
    /// Of this service only.
    #[serde(default, deserialize_with = "filled")]
    #[param(min_length = 1)]
    service: Option<String>,
    /// Of this kind of record only.
    #[serde(default)]
    #[param(schema_with = schema::signal)]
    signal: Option<Signal>,
    /// Keys only, or metrics only.
    #[serde(default)]
    #[param(inline)]
    kind: Option<HighKind>,
    /// The least number of values or series.
    #[serde(default, deserialize_with = "count")]
    #[param(minimum = 0, default = 100)]
    threshold: Option<i64>,
    /// What to sort by.
    #[serde(default)]
    #[param(inline)]
    sort: HighSort,
}

/// What they can be sorted by.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HighSort {
    #[default]
    Cardinality,
    KeyCount,
}

impl From<AttributeKey> for HighCardinality {
    fn from(row: AttributeKey) -> Self {
        Self {
            kind: HighKind::Key,
            signal_type: row.signal,
            signal_name: row.name,
            key_scope: Some(row.scope),
            key_name: Some(row.key),
            estimated_cardinality: row.cardinality,
            key_count: row.count,
            first_seen: row.first_seen,
            last_seen: row.last_seen,
        }
    }
}

impl From<Metric> for HighCardinality {
    fn from(row: Metric) -> Self {
        Self {
            kind: HighKind::Metric,
            signal_type: Signal::Metric,
            signal_name: row.name,
            key_scope: None,
            key_name: None,
            estimated_cardinality: row.active_series,
            key_count: row.sample_count,
            first_seen: row.first_seen,
            last_seen: row.last_seen,
        }
    }
}

/// The keys with the most values and the metrics with the most series, with the names that own them.
#[utoipa::path(
    get, operation_id = "list_high_cardinality", path = "/api/v1/cardinality/high", tag = "cardinality", params(HighFilter, Paging),
    responses((status = 200, description = "A page of keys and metrics", body = List<HighCardinality>), Failures)
)]
pub(crate) async fn list(
    State(api): State<Api>,
    params: ListParams<HighFilter>,
) -> Result<Json<List<HighCardinality>>, ApiError> {
    let ListParams { paging, filter } = params;
    let limit = paging.offset as usize + paging.limit as usize;
    let descending = paging.descending(Some("cardinality"));
    let after = paging.position()?.as_ref().map(Place::of).transpose()?;
    let mut rows: Vec<(Place, Row)> = Vec::new();
    let (mut total, mut more) = (0, false);
    for source in SOURCES {
        if !source.is_wanted(&filter) {
            continue;
        }
        let column = source.column(filter.sort);
        let mut query = Query::new(limit).sort(column, descending);
        query.conditions = source.conditions(&filter);
        query.total = true;
        query.after = after.as_ref().map(|place| source.resume(place, descending));
        let page = api.store.select(source.table, &query).await?;
        total += page.total.unwrap_or_default();
        more |= page.next.is_some();
        rows.extend(page.rows.into_iter().map(|row| (source.place(column, &row), row)));
    }
    rows.sort_unstable_by(|(a, _), (b, _)| if descending { b.cmp(a) } else { a.cmp(b) });
    more |= rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|(place, _)| place.position());
    let page = rows.into_iter().skip(paging.offset as usize);
    let items = page.map(|(place, row)| SOURCES[place.source].item(row)).collect::<Result<_>>()?;
    Ok(Json(paging.list(items, Some(total), next.as_ref())))
}

/// The keys of most values of `service`, `limit` of them.
pub(crate) async fn top_keys(store: &dyn Store, service: &str, limit: usize) -> Result<Vec<HighCardinality>> {
    let query = Query::new(limit).filter(of_service(Some(service))).sort("cardinality", true);
    let page = store.select(AttributeKey::TABLE, &query).await?.into_records::<AttributeKey>()?;
    Ok(page.items.into_iter().map(HighCardinality::from).collect())
}

/// One of the tables that the list merges; where two rows have as many, the order here decides.
struct Source {
    at: usize,
    kind: HighKind,
    table: &'static Table,
    cardinality: &'static str,
    count: &'static str,
}

const SOURCES: [Source; 2] = [
    Source { at: 0, kind: HighKind::Key, table: AttributeKey::TABLE, cardinality: "cardinality", count: "count" },
    Source { at: 1, kind: HighKind::Metric, table: Metric::TABLE, cardinality: "active_series", count: "sample_count" },
];

/// Sorts behind every text that the first column of a key can hold.
const LAST_TEXT: &str = "\u{10FFFF}";

impl Source {
    fn is_wanted(&self, filter: &HighFilter) -> bool {
        let has_signal = match self.kind {
            HighKind::Key => true,
            HighKind::Metric => filter.signal.is_none_or(|signal| signal == Signal::Metric),
        };
        has_signal && filter.kind.is_none_or(|kind| kind == self.kind)
    }

    fn conditions(&self, filter: &HighFilter) -> Vec<Condition> {
        let signal = filter.signal.filter(|_| self.kind == HighKind::Key);
        Conditions::default()
            .equals("signal", signal.map(Signal::as_str))
            .and(of_service(filter.service.as_deref()))
            .at_least(self.cardinality, Some(filter.threshold.unwrap_or(DEFAULT_THRESHOLD)))
            .done()
    }

    fn column(&self, sort: HighSort) -> &'static str {
        match sort {
            HighSort::Cardinality => self.cardinality,
            HighSort::KeyCount => self.count,
        }
    }

    fn place(&self, column: &str, row: &Row) -> Place {
        let sorted_by = self.table.position(column).and_then(|at| row[at].as_int());
        Place { sorted_by: sorted_by.unwrap_or_default(), source: self.at, key: row[..self.table.key_len()].to_vec() }
    }

    /// The position in this table behind which the list goes on after `place`.
    fn resume(&self, place: &Place, descending: bool) -> Position {
        let mut values = vec![Value::Int(place.sorted_by)];
        match self.at.cmp(&place.source) {
            Ordering::Equal => values.extend(place.key.iter().cloned()),
            other => {
                // Rows of this table that have exactly as many follow later, or have all been listed.
                let follow = if descending { other.is_lt() } else { other.is_gt() };
                if follow != descending {
                    values[0] = Value::Int(place.sorted_by.saturating_sub(1));
                }
                values.extend(std::iter::repeat_n(Value::from(LAST_TEXT), self.table.key_len()));
            }
        }
        position(&values)
    }

    fn item(&self, row: Row) -> Result<HighCardinality> {
        match self.kind {
            HighKind::Key => AttributeKey::from_row(row).map(HighCardinality::from),
            HighKind::Metric => Metric::from_row(row).map(HighCardinality::from),
        }
    }
}

/// The place of a row in the merged list.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    sorted_by: i64,
    source: usize,
    key: Vec<Value>,
}

impl Place {
    fn position(&self) -> Position {
        let mut values = vec![Value::Int(self.sorted_by), Value::Int(self.source as i64)];
        values.extend(self.key.iter().cloned());
        position(&values)
    }

    fn of(position: &Position) -> Result<Self, ApiError> {
        let known = |source: &Value| SOURCES.iter().find(|known| source.as_int() == Some(known.at as i64));
        match position.values() {
            [Value::Int(sorted_by), source, key @ ..]
                if known(source).is_some_and(|source| source.table.key_len() == key.len()) =>
            {
                let source = known(source).map_or(0, |source| source.at);
                Ok(Self { sorted_by: *sorted_by, source, key: key.to_vec() })
            }
            _ => Err(ApiError::invalid_query("after: the page token belongs to another list; start again without it")),
        }
    }
}
