//! `span-patterns`: span names of one shape.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tallybook_core::{Condition, SpanPattern, StoreExt, Timestamp};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::counts::{Counts, CountsByName};
use super::error::{ApiError, Failures};
use super::page::{Conditions, Filter, List, SortBy, of_service};
use super::params::{ListParams, Paging, count, filled};
use super::schema;

/// Span names of one shape, of one service or of all together.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SpanPattern)]
pub(crate) struct SpanPatternItem {
    /// The names' common shape, variable parts replaced by `<*>`.
    pattern: Arc<str>,
    /// One of the names.
    example: Arc<str>,
    /// Distinct names, estimated.
    name_count: u64,
    /// Spans received.
    sample_count: u64,
    /// Spans received, by service.
    services: Counts,
    #[schema(schema_with = schema::time)]
    first_seen: Timestamp,
    #[schema(schema_with = schema::time)]
    last_seen: Timestamp,
}

/// What span patterns can be sorted by.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SpanPatternSort {
    #[default]
    Pattern,
    NameCount,
    SampleCount,
    FirstSeen,
    LastSeen,
}

impl SortBy for SpanPatternSort {
    fn column(self) -> Option<&'static str> {
        match self {
            Self::Pattern => None,
            Self::NameCount => Some("name_count"),
            Self::SampleCount => Some("sample_count"),
            Self::FirstSeen => Some("first_seen"),
            Self::LastSeen => Some("last_seen"),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpanPatternFilter {
    /// Of this service only.
    #[serde(default, deserialize_with = "filled")]
    #[param(min_length = 1)]
    service: Option<String>,
    /// The pattern holds this text, ASCII letters in any case.
    #[serde(default, deserialize_with = "filled")]
    #[param(min_length = 1)]
    contains: Option<String>,
    /// With at least this many distinct names.
    #[serde(default, deserialize_with = "count")]
    #[param(minimum = 0)]
    min_names: Option<i64>,
    /// With at least this many spans.
    #[serde(default, deserialize_with = "count")]
    #[param(minimum = 0)]
    min_count: Option<i64>,
    /// What to sort by.
    #[serde(default)]
    #[param(inline)]
    sort: SpanPatternSort,
}

impl Filter for SpanPatternFilter {
    type Sort = SpanPatternSort;

    fn sort(&self) -> SpanPatternSort {
        self.sort
    }

    fn conditions(&self) -> Vec<Condition> {
        Conditions::default()
            .and(of_service(self.service.as_deref()))
            .contains("pattern", self.contains.as_deref())
            .at_least("name_count", self.min_names)
            .at_least("sample_count", self.min_count)
            .done()
    }
}

/// The shapes of span names; `spans?pattern=` gives the names of one.
#[utoipa::path(
    get, operation_id = "list_span_patterns", path = "/api/v1/span-patterns", tag = "catalogue", params(SpanPatternFilter, Paging),
    responses((status = 200, description = "A page of span patterns", body = List<SpanPatternItem>), Failures)
)]
pub(crate) async fn list(
    State(api): State<Api>,
    params: ListParams<SpanPatternFilter>,
) -> Result<Json<List<SpanPatternItem>>, ApiError> {
    let page = api.store.list::<SpanPattern>(&params.query()?).await?;
    let records = page.items.iter().map(|row| (row.pattern.clone(), row.sample_count));
    let service = params.filter.service.as_deref();
    let mut services = CountsByName::by_service::<SpanPattern>(&*api.store, service, "pattern", records).await?;
    let item = |row: SpanPattern| SpanPatternItem {
        services: services.take(&row.pattern),
        pattern: row.pattern,
        example: row.example,
        name_count: row.name_count,
        sample_count: row.sample_count,
        first_seen: row.first_seen,
        last_seen: row.last_seen,
    };
    let items = page.items.into_iter().map(item).collect();
    Ok(Json(params.paging.list(items, page.total, page.next.as_ref())))
}
