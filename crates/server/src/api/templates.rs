//! `logs/templates`.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tallybook_core::{Condition, Log, Query, Result, Severity, Store, StoreExt, Template, Timestamp, Value};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::error::{ApiError, Failures};
use super::keys::percentage;
use super::page::{Conditions, Filter, List, SortBy};
use super::params::{ListParams, Paging, count, filled};
use super::schema;

/// A template of log bodies, of one severity of a service.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Template)]
pub(crate) struct TemplateItem {
    service: Arc<str>,
    #[schema(schema_with = schema::severity)]
    severity: Severity,
    /// The body with its variable parts replaced by `<*>`.
    template: Arc<str>,
    /// One body; null where examples are switched off.
    example: Option<Arc<str>>,
    /// Log records that match.
    count: u64,
    /// Of the service's log records of this severity, 0 to 100.
    percentage: f64,
    #[schema(schema_with = schema::time)]
    first_seen: Timestamp,
    #[schema(schema_with = schema::time)]
    last_seen: Timestamp,
}

/// What templates can be sorted by.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TemplateSort {
    #[default]
    Count,
    Service,
    FirstSeen,
    LastSeen,
}

impl SortBy for TemplateSort {
    fn column(self) -> Option<&'static str> {
        match self {
            Self::Count => Some("count"),
            // The key begins with it.
            Self::Service => None,
            Self::FirstSeen => Some("first_seen"),
            Self::LastSeen => Some("last_seen"),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct TemplateFilter {
    /// Of this service only.
    #[serde(default, deserialize_with = "filled")]
    #[param(min_length = 1)]
    service: Option<String>,
    /// Of this severity only.
    #[serde(default)]
    #[param(schema_with = schema::severity)]
    severity: Option<Severity>,
    /// The template holds this text, ASCII letters in any case.
    #[serde(default, deserialize_with = "filled")]
    #[param(min_length = 1)]
    contains: Option<String>,
    /// With at least this many log records.
    #[serde(default, deserialize_with = "count")]
    #[param(minimum = 0)]
    min_count: Option<i64>,
    /// What to sort by; `service` sorts by service, then severity, then template.
    #[serde(default)]
    #[param(inline)]
    sort: TemplateSort,
}

impl Filter for TemplateFilter {
    type Sort = TemplateSort;

    fn sort(&self) -> TemplateSort {
        self.sort
    }

    fn conditions(&self) -> Vec<Condition> {
        Conditions::default()
            .equals("service", self.service.as_deref())
            .equals("severity", self.severity.map(Severity::as_str))
            .contains("template", self.contains.as_deref())
            // A template that became part of a more general one keeps a row with a count of 0.
            .at_least("count", Some(self.min_count.unwrap_or(1).max(1)))
            .done()
    }
}

/// The templates of log bodies, the most frequent first.
#[utoipa::path(
    get, operation_id = "list_templates", path = "/api/v1/logs/templates", tag = "catalogue", params(TemplateFilter, Paging),
    responses((status = 200, description = "A page of templates", body = List<TemplateItem>), Failures)
)]
pub(crate) async fn list(
    State(api): State<Api>,
    params: ListParams<TemplateFilter>,
) -> Result<Json<List<TemplateItem>>, ApiError> {
    let page = api.store.list::<Template>(&params.query()?).await?;
    let items = describe(&*api.store, page.items).await?;
    Ok(Json(params.paging.list(items, page.total, page.next.as_ref())))
}

/// The most frequent templates of `service` and `severity`, where given; `limit` of them.
pub(crate) async fn top(
    store: &dyn Store,
    service: Option<&str>,
    severity: Option<Severity>,
    limit: usize,
) -> Result<Vec<TemplateItem>> {
    let mut query = Query::new(limit).sort("count", true);
    query.conditions = Conditions::default()
        .equals("service", service)
        .equals("severity", severity.map(Severity::as_str))
        .at_least("count", Some(1))
        .done();
    let page = store.list::<Template>(&query).await?;
    describe(store, page.items).await
}

async fn describe(store: &dyn Store, rows: Vec<Template>) -> Result<Vec<TemplateItem>> {
    let services: BTreeSet<&Arc<str>> = rows.iter().map(|row| &row.service).collect();
    let services: Vec<Value> = services.into_iter().cloned().map(Value::Text).collect();
    let mut records: HashMap<(Arc<str>, Severity), u64> = HashMap::new();
    if !services.is_empty() {
        let query = Query::new(services.len() * Severity::ALL.len()).filter(Condition::In("service", services));
        let page = store.list::<Log>(&query).await?;
        records.extend(page.items.into_iter().map(|row| ((row.service, row.severity), row.sample_count)));
    }
    let item = |row: Template| {
        let whole = records.get(&(row.service.clone(), row.severity)).copied().unwrap_or(row.count);
        TemplateItem {
            percentage: percentage(row.count, whole),
            service: row.service,
            severity: row.severity,
            template: row.template,
            example: row.example,
            count: row.count,
            first_seen: row.first_seen,
            last_seen: row.last_seen,
        }
    };
    Ok(rows.into_iter().map(item).collect())
}
