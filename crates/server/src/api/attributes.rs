//! `attributes` and `attributes/{key}`.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tallybook_core::{
    ALL_SERVICES, Attribute, AttributeKey, Condition, Query, Scope, Signal, StoreExt, Timestamp, Value,
};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::error::{ApiError, Failures, Missing};
use super::page::{Conditions, Filter, List, SortBy};
use super::params::{ListParams, Name, NoParams, Paging, Params, count, filled};
use super::schema;

/// Places of use that are shown with one key.
const TOP_USES: usize = 100;

/// An attribute key in one scope, over all services and names.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attribute)]
pub(crate) struct AttributeItem {
    key: Arc<str>,
    /// Records that carried it.
    count: u64,
    /// Distinct values, estimated: exact up to 128, within 2.3 % (one standard error) beyond.
    estimated_cardinality: u64,
    /// The kinds of record that carried it.
    #[schema(schema_with = schema::signals)]
    signal_types: Vec<Signal>,
    #[schema(schema_with = schema::scope)]
    scope: Scope,
    #[schema(schema_with = schema::time)]
    first_seen: Timestamp,
    #[schema(schema_with = schema::time)]
    last_seen: Timestamp,
}

/// An attribute key, over all scopes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AttributeDetail {
    key: Arc<str>,
    /// Records that carried it; one that carries it in two scopes counts twice.
    count: u64,
    /// The greatest of its scopes: distinct values, estimated.
    estimated_cardinality: u64,
    #[schema(schema_with = schema::signals)]
    signal_types: Vec<Signal>,
    #[schema(schema_with = schema::time)]
    first_seen: Timestamp,
    #[schema(schema_with = schema::time)]
    last_seen: Timestamp,
    /// The same by scope.
    scopes: Vec<AttributeItem>,
    /// Where it is used, the greatest cardinality first, 100 at the most.
    uses: Vec<AttributeUse>,
    /// The number of all uses.
    uses_total: u64,
}

/// An attribute key of one metric, span name or severity, of all services together.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AttributeUse {
    #[schema(schema_with = schema::signal)]
    signal_type: Signal,
    /// The metric's or the span's name, or the severity.
    signal_name: Arc<str>,
    #[schema(schema_with = schema::scope)]
    scope: Scope,
    count: u64,
    estimated_cardinality: u64,
    #[schema(schema_with = schema::time)]
    first_seen: Timestamp,
    #[schema(schema_with = schema::time)]
    last_seen: Timestamp,
}

/// What attributes can be sorted by.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AttributeSort {
    #[default]
    Key,
    Cardinality,
    Count,
    FirstSeen,
    LastSeen,
}

impl SortBy for AttributeSort {
    fn column(self) -> Option<&'static str> {
        match self {
            Self::Key => None,
            Self::Cardinality => Some("cardinality"),
            Self::Count => Some("count"),
            Self::FirstSeen => Some("first_seen"),
            Self::LastSeen => Some("last_seen"),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct AttributeFilter {
    /// Carried by this kind of record.
    #[serde(default)]
    #[param(schema_with = schema::signal)]
    signal: Option<Signal>,
    /// Found in this place.
    #[serde(default)]
    #[param(schema_with = schema::scope)]
    scope: Option<Scope>,
    /// The key holds this text, ASCII letters in any case.
    #[serde(default, deserialize_with = "filled")]
    #[param(min_length = 1)]
    contains: Option<String>,
    /// With at least this many distinct values.
    #[serde(default, deserialize_with = "count")]
    #[param(minimum = 0)]
    min_cardinality: Option<i64>,
    /// With at most this many distinct values.
    #[serde(default, deserialize_with = "count")]
    #[param(minimum = 0)]
    max_cardinality: Option<i64>,
    /// Carried by at least this many records.
    #[serde(default, deserialize_with = "count")]
    #[param(minimum = 0)]
    min_count: Option<i64>,
    /// What to sort by.
    #[serde(default)]
    #[param(inline)]
    sort: AttributeSort,
}

impl Filter for AttributeFilter {
    type Sort = AttributeSort;

    fn sort(&self) -> AttributeSort {
        self.sort
    }

    fn conditions(&self) -> Vec<Condition> {
        let carried_by = |signal| match signal {
            Signal::Metric => "metric_count",
            Signal::Span => "span_count",
            Signal::Log => "log_count",
        };
        Conditions::default()
            .and_some(self.signal.map(|signal| Condition::AtLeast(carried_by(signal), Value::Int(1))))
            .equals("scope", self.scope.map(Scope::as_str))
            .contains("key", self.contains.as_deref())
            .at_least("cardinality", self.min_cardinality)
            .at_most("cardinality", self.max_cardinality)
            .at_least("count", self.min_count)
            .done()
    }
}

impl From<Attribute> for AttributeItem {
    fn from(row: Attribute) -> Self {
        let counts = [(Signal::Metric, row.metric_count), (Signal::Span, row.span_count), (Signal::Log, row.log_count)];
        Self {
            signal_types: counts.into_iter().filter(|&(_, count)| count > 0).map(|(signal, _)| signal).collect(),
            key: row.key,
            count: row.count,
            estimated_cardinality: row.cardinality,
            scope: row.scope,
            first_seen: row.first_seen,
            last_seen: row.last_seen,
        }
    }
}

impl From<AttributeKey> for AttributeUse {
    fn from(row: AttributeKey) -> Self {
        Self {
            signal_type: row.signal,
            signal_name: row.name,
            scope: row.scope,
            count: row.count,
            estimated_cardinality: row.cardinality,
            first_seen: row.first_seen,
            last_seen: row.last_seen,
        }
    }
}

/// The attribute keys over all services and names, once per scope they were found in.
#[utoipa::path(
    get, operation_id = "list_attributes", path = "/api/v1/attributes", tag = "catalogue", params(AttributeFilter, Paging),
    responses((status = 200, description = "A page of attribute keys", body = List<AttributeItem>), Failures)
)]
pub(crate) async fn list(
    State(api): State<Api>,
    params: ListParams<AttributeFilter>,
) -> Result<Json<List<AttributeItem>>, ApiError> {
    let page = api.store.list::<Attribute>(&params.query()?).await?;
    let items = page.items.into_iter().map(AttributeItem::from).collect();
    Ok(Json(params.paging.list(items, page.total, page.next.as_ref())))
}

/// One attribute key, and where it is used. It may hold `/`, as it is or encoded.
#[utoipa::path(
    get, operation_id = "get_attribute", path = "/api/v1/attributes/{key}", tag = "catalogue",
    params(("key" = String, Path, description = "The key")),
    responses((status = 200, description = "The attribute key", body = AttributeDetail), Missing, Failures)
)]
pub(crate) async fn get(
    State(api): State<Api>,
    Name(key): Name,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Json<AttributeDetail>, ApiError> {
    let wanted = || Condition::Equals("key", Value::from(&*key));
    let in_scopes = Query::new(Scope::ALL.len()).filter(wanted());
    let mut in_names = Query::new(TOP_USES)
        .filter(Condition::Equals("service", Value::from(ALL_SERVICES)))
        .filter(wanted())
        .sort("cardinality", true);
    in_names.total = true;
    let (scopes, uses) =
        tokio::try_join!(api.store.list::<Attribute>(&in_scopes), api.store.list::<AttributeKey>(&in_names))?;
    let scopes: Vec<AttributeItem> = scopes.items.into_iter().map(AttributeItem::from).collect();
    let (Some(first_seen), Some(last_seen)) =
        (scopes.iter().map(|scope| scope.first_seen).min(), scopes.iter().map(|scope| scope.last_seen).max())
    else {
        return Err(ApiError::not_found(format!("no attribute `{key}` was seen")));
    };
    let signal_types: BTreeSet<Signal> = scopes.iter().flat_map(|scope| scope.signal_types.iter().copied()).collect();
    Ok(Json(AttributeDetail {
        key: key.into(),
        count: scopes.iter().map(|scope| scope.count).sum(),
        estimated_cardinality: scopes.iter().map(|scope| scope.estimated_cardinality).max().unwrap_or_default(),
        signal_types: signal_types.into_iter().collect(),
        first_seen,
        last_seen,
        scopes,
        uses: uses.items.into_iter().map(AttributeUse::from).collect(),
        uses_total: uses.total.unwrap_or_default(),
    }))
}
