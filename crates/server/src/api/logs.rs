//! `logs` and `logs/{severity}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tallybook_core::{Condition, Log, Query, Result, Scope, Severity, Signal, Store, StoreExt, Timestamp, Value};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::counts::{Counts, CountsByName};
use super::error::{ApiError, Failures, Missing};
use super::keys::{Keys, KeysByName};
use super::metrics::ServiceFilter;
use super::page::{Conditions, Filter, List, SortBy, of_service};
use super::params::{ListParams, Name, Paging, Params, count, filled};
use super::schema;
use super::templates::{self, TemplateItem};

/// Templates that are shown with one severity; `logs/templates` has them all.
const TOP_TEMPLATES: usize = 100;

/// The log records of one severity, of one service or of all together.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Log)]
pub(crate) struct LogItem {
    #[schema(schema_with = schema::severity)]
    severity: Severity,
    attribute_keys: Keys,
    resource_keys: Keys,
    scope_keys: Keys,
    /// The keys of structured bodies.
    body_keys: Keys,
    /// How often each `event_name` was seen.
    event_names: Counts,
    bodies: Bodies,
    /// Log records received.
    sample_count: u64,
    /// Log records received, by service.
    services: Counts,
    #[schema(schema_with = schema::time)]
    first_seen: Timestamp,
    #[schema(schema_with = schema::time)]
    last_seen: Timestamp,
}

/// Log records by the type of their body.
#[derive(Debug, Serialize, ToSchema)]
struct Bodies {
    string: u64,
    /// Keys and values.
    kvlist: u64,
    array: u64,
    /// Any other, or none.
    other: u64,
}

/// The log records of one severity with their most frequent templates.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogDetail {
    #[serde(flatten)]
    log: LogItem,
    /// The most frequent templates, 100 at the most; `logs/templates` has them all.
    body_templates: Vec<TemplateItem>,
}

/// What logs can be sorted by.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogSort {
    #[default]
    Severity,
    SampleCount,
    FirstSeen,
    LastSeen,
}

impl SortBy for LogSort {
    fn column(self) -> Option<&'static str> {
        match self {
            Self::Severity => None,
            Self::SampleCount => Some("sample_count"),
            Self::FirstSeen => Some("first_seen"),
            Self::LastSeen => Some("last_seen"),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogFilter {
    /// Of this service only; its own counts and keys, too.
    #[serde(default, deserialize_with = "filled")]
    #[param(min_length = 1)]
    service: Option<String>,
    /// Of this severity only.
    #[serde(default)]
    #[param(schema_with = schema::severity)]
    severity: Option<Severity>,
    /// With at least this many log records.
    #[serde(default, deserialize_with = "count")]
    #[param(minimum = 0)]
    min_count: Option<i64>,
    /// What to sort by; `severity` sorts by its name.
    #[serde(default)]
    #[param(inline)]
    sort: LogSort,
}

impl Filter for LogFilter {
    type Sort = LogSort;

    fn sort(&self) -> LogSort {
        self.sort
    }

    fn conditions(&self) -> Vec<Condition> {
        Conditions::default()
            .and(of_service(self.service.as_deref()))
            .equals("severity", self.severity.map(Severity::as_str))
            .at_least("sample_count", self.min_count)
            .done()
    }
}

/// The log records by severity, and their keys.
#[utoipa::path(
    get, operation_id = "list_logs", path = "/api/v1/logs", tag = "catalogue", params(LogFilter, Paging),
    responses((status = 200, description = "A page of severities", body = List<LogItem>), Failures)
)]
pub(crate) async fn list(
    State(api): State<Api>,
    params: ListParams<LogFilter>,
) -> Result<Json<List<LogItem>>, ApiError> {
    let page = api.store.list::<Log>(&params.query()?).await?;
    let items = describe(&*api.store, params.filter.service.as_deref(), page.items).await?;
    Ok(Json(params.paging.list(items, page.total, page.next.as_ref())))
}

/// The log records of one severity, with their most frequent templates.
#[utoipa::path(
    get, operation_id = "get_log", path = "/api/v1/logs/{severity}", tag = "catalogue",
    params(("severity" = String, Path, description = "The severity, in any case", example = "ERROR"), ServiceFilter),
    responses((status = 200, description = "The severity", body = LogDetail), Missing, Failures)
)]
pub(crate) async fn get(
    State(api): State<Api>,
    Name(name): Name,
    Params(filter): Params<ServiceFilter>,
) -> Result<Json<LogDetail>, ApiError> {
    let Some(severity) = Severity::parse(&name.to_ascii_uppercase()) else {
        let names: Vec<&str> = Severity::ALL.iter().map(|severity| severity.as_str()).collect();
        return Err(ApiError::not_found(format!("there is no severity `{name}`; there are {}", names.join(", "))));
    };
    let service = filter.service.as_deref();
    let wanted = Condition::Equals("severity", Value::from(severity.as_str()));
    let page = api.store.list::<Log>(&Query::new(1).filter(of_service(service)).filter(wanted)).await?;
    let mut items = describe(&*api.store, service, page.items).await?;
    let log = items.pop().ok_or_else(|| ApiError::not_found(format!("no log record of {severity} was seen")))?;
    let body_templates = templates::top(&*api.store, service, Some(severity), TOP_TEMPLATES).await?;
    Ok(Json(LogDetail { log, body_templates }))
}

async fn describe(store: &dyn Store, service: Option<&str>, rows: Vec<Log>) -> Result<Vec<LogItem>> {
    let names = || rows.iter().map(|row| Arc::from(row.severity.as_str()));
    let records = names().zip(rows.iter().map(|row| row.sample_count));
    let (keys, mut services, mut events) = tokio::try_join!(
        KeysByName::read(store, Signal::Log, service, names()),
        CountsByName::by_service::<Log>(store, service, "severity", records),
        CountsByName::events(store, Signal::Log, service, names()),
    )?;
    let item = |row: Log| {
        let name = row.severity.as_str();
        let scope = |scope| keys.of(name, scope, row.sample_count);
        LogItem {
            severity: row.severity,
            attribute_keys: scope(Scope::Attribute),
            resource_keys: scope(Scope::Resource),
            scope_keys: scope(Scope::Scope),
            body_keys: scope(Scope::Body),
            event_names: events.take(name),
            bodies: Bodies {
                string: row.body_string,
                kvlist: row.body_kvlist,
                array: row.body_array,
                other: row.body_other,
            },
            sample_count: row.sample_count,
            services: services.take(name),
            first_seen: row.first_seen,
            last_seen: row.last_seen,
        }
    };
    Ok(rows.into_iter().map(item).collect())
}
