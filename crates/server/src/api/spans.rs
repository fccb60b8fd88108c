//! `spans` and `spans/{name}`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tallybook_core::{Condition, Query, Result, Scope, Signal, Span, SpanKind, Store, StoreExt, Timestamp, Value};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::counts::{Counts, CountsByName};
use super::error::{ApiError, Failures, Missing};
use super::keys::{Keys, KeysByName};
use super::metrics::{ScopeInfo, ServiceFilter};
use super::page::{Conditions, Filter, List, SortBy, of_service};
use super::params::{ListParams, Name, Paging, Params, count, filled};
use super::schema;

/// A span name, of one service or of all together.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Span)]
pub(crate) struct SpanItem {
    name: Arc<str>,
    /// The name with its variable parts replaced by `<*>`.
    pattern: Arc<str>,
    /// The kind most of them have.
    #[schema(schema_with = schema::span_kind)]
    kind: SpanKind,
    /// Spans of each kind that was seen.
    kinds: BTreeMap<&'static str, u64>,
    /// Spans of each status that was seen: `UNSET`, `OK`, `ERROR`.
    status_codes: BTreeMap<&'static str, u64>,
    /// The instrumentation scope.
    scope_info: ScopeInfo,
    attribute_keys: Keys,
    resource_keys: Keys,
    scope_keys: Keys,
    /// The keys on events, counted once for each span.
    event_keys: Keys,
    /// The keys on links, counted once for each span.
    link_keys: Keys,
    /// How often each event was seen.
    event_names: Counts,
    /// Events on these spans.
    events: u64,
    /// Links on these spans.
    links: u64,
    /// Spans received.
    sample_count: u64,
    /// Spans received, by service.
    services: Counts,
    #[schema(schema_with = schema::time)]
    first_seen: Timestamp,
    #[schema(schema_with = schema::time)]
    last_seen: Timestamp,
}

/// What spans can be sorted by.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SpanSort {
    #[default]
    Name,
    SampleCount,
    Errors,
    FirstSeen,
    LastSeen,
}

impl SortBy for SpanSort {
    fn column(self) -> Option<&'static str> {
        match self {
            Self::Name => None,
            Self::SampleCount => Some("sample_count"),
            Self::Errors => Some("status_error"),
            Self::FirstSeen => Some("first_seen"),
            Self::LastSeen => Some("last_seen"),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpanFilter {
    /// Of this service only; its own counts and keys, too.
    #[serde(default, deserialize_with = "filled")]
    #[param(min_length = 1)]
    service: Option<String>,
    /// The name holds this text, ASCII letters in any case.
    #[serde(default, deserialize_with = "filled")]
    #[param(min_length = 1)]
    contains: Option<String>,
    /// Names of this pattern only.
    #[serde(default, deserialize_with = "filled")]
    #[param(min_length = 1)]
    pattern: Option<String>,
    /// Names that were seen with this kind.
    #[serde(default)]
    #[param(schema_with = schema::span_kind)]
    kind: Option<SpanKind>,
    /// With at least this many spans.
    #[serde(default, deserialize_with = "count")]
    #[param(minimum = 0)]
    min_count: Option<i64>,
    /// With at least this many spans whose status is error.
    #[serde(default, deserialize_with = "count")]
    #[param(minimum = 0)]
    min_errors: Option<i64>,
    /// What to sort by.
    #[serde(default)]
    #[param(inline)]
    sort: SpanSort,
}

impl Filter for SpanFilter {
    type Sort = SpanSort;

    fn sort(&self) -> SpanSort {
        self.sort
    }

    fn conditions(&self) -> Vec<Condition> {
        let seen = |kind| Condition::AtLeast(kind_column(kind), Value::Int(1));
        Conditions::default()
            .and(of_service(self.service.as_deref()))
            .contains("name", self.contains.as_deref())
            .equals("pattern", self.pattern.as_deref())
            .and_some(self.kind.map(seen))
            .at_least("sample_count", self.min_count)
            .at_least("status_error", self.min_errors)
            .done()
    }
}

fn kind_column(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Unspecified => "kind_unspecified",
        SpanKind::Internal => "kind_internal",
        SpanKind::Server => "kind_server",
        SpanKind::Client => "kind_client",
        SpanKind::Producer => "kind_producer",
        SpanKind::Consumer => "kind_consumer",
    }
}

/// The span names and their keys.
#[utoipa::path(
    get, operation_id = "list_spans", path = "/api/v1/spans", tag = "catalogue", params(SpanFilter, Paging),
    responses((status = 200, description = "A page of span names", body = List<SpanItem>), Failures)
)]
pub(crate) async fn list(
    State(api): State<Api>,
    params: ListParams<SpanFilter>,
) -> Result<Json<List<SpanItem>>, ApiError> {
    let page = api.store.list::<Span>(&params.query()?).await?;
    let items = describe(&*api.store, params.filter.service.as_deref(), page.items).await?;
    Ok(Json(params.paging.list(items, page.total, page.next.as_ref())))
}

/// One span name. It may hold `/`, as it is or encoded.
#[utoipa::path(
    get, operation_id = "get_span", path = "/api/v1/spans/{name}", tag = "catalogue",
    params(("name" = String, Path, description = "The span's name"), ServiceFilter),
    responses((status = 200, description = "The span name", body = SpanItem), Missing, Failures)
)]
pub(crate) async fn get(
    State(api): State<Api>,
    Name(name): Name,
    Params(filter): Params<ServiceFilter>,
) -> Result<Json<SpanItem>, ApiError> {
    let service = filter.service.as_deref();
    let query = Query::new(1).filter(of_service(service)).filter(Condition::Equals("name", Value::from(&*name)));
    let page = api.store.list::<Span>(&query).await?;
    let mut items = describe(&*api.store, service, page.items).await?;
    items.pop().map(Json).ok_or_else(|| ApiError::not_found(format!("no span `{name}` was seen")))
}

async fn describe(store: &dyn Store, service: Option<&str>, rows: Vec<Span>) -> Result<Vec<SpanItem>> {
    let names = || rows.iter().map(|row| row.name.clone());
    let records = rows.iter().map(|row| (row.name.clone(), row.sample_count));
    let (keys, mut services, mut events) = tokio::try_join!(
        KeysByName::read(store, Signal::Span, service, names()),
        CountsByName::by_service::<Span>(store, service, "name", records),
        CountsByName::events(store, Signal::Span, service, names()),
    )?;
    let item = |row: Span| {
        let scope = |scope| keys.of(&row.name, scope, row.sample_count);
        let kinds = kinds(&row);
        SpanItem {
            attribute_keys: scope(Scope::Attribute),
            resource_keys: scope(Scope::Resource),
            scope_keys: scope(Scope::Scope),
            event_keys: scope(Scope::Event),
            link_keys: scope(Scope::Link),
            event_names: events.take(&row.name),
            services: services.take(&row.name),
            // The first of those with the greatest count, in the order of the protocol.
            kind: kinds.iter().rev().max_by_key(|(_, count)| *count).map_or(SpanKind::Unspecified, |(kind, _)| *kind),
            kinds: seen(kinds.map(|(kind, count)| (kind.as_str(), count))),
            status_codes: seen([("UNSET", row.status_unset), ("OK", row.status_ok), ("ERROR", row.status_error)]),
            name: row.name,
            pattern: row.pattern,
            scope_info: ScopeInfo { name: row.scope_name, version: row.scope_version },
            events: row.events,
            links: row.links,
            sample_count: row.sample_count,
            first_seen: row.first_seen,
            last_seen: row.last_seen,
        }
    };
    Ok(rows.into_iter().map(item).collect())
}

fn kinds(row: &Span) -> [(SpanKind, u64); 6] {
    [
        (SpanKind::Unspecified, row.kind_unspecified),
        (SpanKind::Internal, row.kind_internal),
        (SpanKind::Server, row.kind_server),
        (SpanKind::Client, row.kind_client),
        (SpanKind::Producer, row.kind_producer),
        (SpanKind::Consumer, row.kind_consumer),
    ]
}

fn seen<const N: usize>(counts: [(&'static str, u64); N]) -> BTreeMap<&'static str, u64> {
    counts.into_iter().filter(|&(_, count)| count > 0).collect()
}
