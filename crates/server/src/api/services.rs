//! `services`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tallybook_core::{Condition, Service, StoreExt, Timestamp};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::error::{ApiError, Failures};
use super::page::{Conditions, Filter, List, SortBy};
use super::params::{ListParams, Paging, filled};
use super::schema;

/// A service that sends telemetry.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Service)]
pub(crate) struct ServiceItem {
    name: Arc<str>,
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
}

impl From<Service> for ServiceItem {
    fn from(row: Service) -> Self {
        Self {
            name: row.name,
            metric_points: row.metric_points,
            spans: row.spans,
            log_records: row.log_records,
            first_seen: row.first_seen,
            last_seen: row.last_seen,
        }
    }
}

/// What services can be sorted by.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ServiceSort {
    #[default]
    Name,
    MetricPoints,
    Spans,
    LogRecords,
    FirstSeen,
    LastSeen,
}

impl SortBy for ServiceSort {
    fn column(self) -> Option<&'static str> {
        match self {
            Self::Name => None,
            Self::MetricPoints => Some("metric_points"),
            Self::Spans => Some("spans"),
            Self::LogRecords => Some("log_records"),
            Self::FirstSeen => Some("first_seen"),
            Self::LastSeen => Some("last_seen"),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceListFilter {
    /// The name holds this text, ASCII letters in any case.
    #[serde(default, deserialize_with = "filled")]
    #[param(min_length = 1)]
    contains: Option<String>,
    /// What to sort by.
    #[serde(default)]
    #[param(inline)]
    sort: ServiceSort,
}

impl Filter for ServiceListFilter {
    type Sort = ServiceSort;

    fn sort(&self) -> ServiceSort {
        self.sort
    }

    fn conditions(&self) -> Vec<Condition> {
        Conditions::default().contains("name", self.contains.as_deref()).done()
    }
}

/// The services that send telemetry.
#[utoipa::path(
    get, operation_id = "list_services", path = "/api/v1/services", tag = "catalogue", params(ServiceListFilter, Paging),
    responses((status = 200, description = "A page of services", body = List<ServiceItem>), Failures)
)]
pub(crate) async fn list(
    State(api): State<Api>,
    params: ListParams<ServiceListFilter>,
) -> Result<Json<List<ServiceItem>>, ApiError> {
    let page = api.store.list::<Service>(&params.query()?).await?;
    let items = page.items.into_iter().map(ServiceItem::from).collect();
    Ok(Json(params.paging.list(items, page.total, page.next.as_ref())))
}
