//! `growth`: what is new or grew between two moments.

mod grown;
mod new;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tallybook_core::{ALL_SERVICES, DAY, Record, Result, Scope, Signal, Store, TimeRange, Timestamp, Value};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::error::{ApiError, Failures};
use super::page::{List, page_of};
use super::params::{ListParams, Paging, filled, moment};
use super::schema;

pub(crate) use new::new_of_service;

/// Rows of one kind that are looked at: the newest, or the largest of the later window.
const CANDIDATES: usize = 1000;

/// Something of a service that is new or grew.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Growth)]
pub(crate) struct GrowthItem {
    change: Change,
    kind: GrowthKind,
    /// Null for what is new over all services.
    service: Option<Arc<str>>,
    /// Of spans, metrics, templates and attribute keys.
    #[schema(schema_with = schema::nullable_signal)]
    signal_type: Option<Signal>,
    /// The metric's or the span's name, or the severity.
    name: Option<Arc<str>>,
    /// Where an attribute key was found.
    #[schema(schema_with = schema::nullable_scope)]
    scope: Option<Scope>,
    key: Option<Arc<str>>,
    template: Option<Arc<str>>,
    /// In the window that holds `from`; null for what is new.
    before: Option<u64>,
    /// In the window that ends at `to`; all there is of what is new. Series of a metric, distinct values of an attribute
    /// key, records of anything else.
    after: u64,
    /// The difference.
    growth: u64,
    /// Of what is new.
    #[schema(schema_with = schema::nullable_time)]
    first_seen: Option<Timestamp>,
}

/// How something changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Change {
    /// Seen for the first time.
    New,
    /// Larger than before.
    Grew,
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GrowthKind {
    /// A service.
    Service,
    /// A metric of a service.
    Metric,
    /// A span name of a service.
    Span,
    /// An attribute key of a name of a service.
    AttributeKey,
    /// A log template of a service.
    Template,
}

impl GrowthKind {
    const ALL: [Self; 5] = [Self::Service, Self::Metric, Self::Span, Self::AttributeKey, Self::Template];

    fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Metric => "metric",
            Self::Span => "span",
            Self::AttributeKey => "attribute_key",
            Self::Template => "template",
        }
    }
}

/// What changes can be sorted by.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GrowthSort {
    #[default]
    Growth,
    After,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct GrowthFilter {
    /// The earlier moment; a day before `to` unless given.
    #[serde(default, deserialize_with = "moment")]
    #[param(schema_with = schema::time)]
    from: Option<Timestamp>,
    /// The later moment; now unless given.
    #[serde(default, deserialize_with = "moment")]
    #[param(schema_with = schema::time)]
    to: Option<Timestamp>,
    /// Of this service only.
    #[serde(default, deserialize_with = "filled")]
    #[param(min_length = 1)]
    service: Option<String>,
    /// Of this kind only.
    #[serde(default)]
    #[param(inline)]
    kind: Option<GrowthKind>,
    /// What is new only, or what grew only.
    #[serde(default)]
    #[param(inline)]
    change: Option<Change>,
    /// What to sort by.
    #[serde(default)]
    #[param(inline)]
    sort: GrowthSort,
}

/// What is new or grew between two moments: new over all services together, unless one is asked for; growth is of each
/// service. Per kind, the 1000 newest are looked at, and the 1000 largest of the window (an hour, or a day where the moments
/// lie far apart) that ends at `to`. Only what was there in the window of `from` can have grown.
#[utoipa::path(
    get, operation_id = "list_growth", path = "/api/v1/growth", tag = "cardinality", params(GrowthFilter, Paging),
    responses((status = 200, description = "A page of changes", body = List<GrowthItem>), Failures)
)]
pub(crate) async fn list(
    State(api): State<Api>,
    params: ListParams<GrowthFilter>,
) -> Result<Json<List<GrowthItem>>, ApiError> {
    let ListParams { paging, filter } = params;
    let to = filter.to.unwrap_or_else(Timestamp::now);
    let range = TimeRange { from: filter.from.unwrap_or_else(|| to.earlier(DAY)), to };
    if range.from >= range.to {
        return Err(ApiError::invalid_query(format!("from: {} is not before to: {}", range.from, range.to)));
    }
    let _turn = api.scans.acquire().await;
    let service = filter.service.as_deref();
    let mut items = Vec::new();
    for kind in GrowthKind::ALL {
        if filter.kind.is_none_or(|wanted| wanted == kind) {
            items.extend(changes(&*api.store, kind, service, range).await?);
        }
    }
    items.retain(|item| filter.change.is_none_or(|wanted| wanted == item.change));
    let keyed = items.into_iter().map(|item| (item.order(filter.sort), item)).collect();
    Ok(Json(page_of(&paging, paging.descending(Some("growth")), keyed)?))
}

async fn changes(
    store: &dyn Store,
    kind: GrowthKind,
    service: Option<&str>,
    range: TimeRange,
) -> Result<Vec<GrowthItem>> {
    let mut changes = new::read(store, kind, service, range, CANDIDATES).await?;
    let new: BTreeSet<Vec<Value>> = changes.iter().map(GrowthItem::identity).collect();
    let mut grown = grown::read(store, kind, service, range).await?;
    grown.retain(|item| !new.contains(&item.identity()) && !new.contains(&item.identity_over_all()));
    changes.extend(grown);
    Ok(changes)
}

impl GrowthItem {
    /// A change of nothing yet: of `kind` and `service`, to `after`.
    fn of(kind: GrowthKind, service: Arc<str>, before: Option<u64>, after: u64) -> Self {
        Self {
            change: if before.is_some() { Change::Grew } else { Change::New },
            kind,
            service: Some(service).filter(|service| service.as_ref() != ALL_SERVICES),
            signal_type: None,
            name: None,
            scope: None,
            key: None,
            template: None,
            before,
            after,
            growth: after.saturating_sub(before.unwrap_or(0)),
            first_seen: None,
        }
    }

    /// What tells it from all others of its change.
    fn identity(&self) -> Vec<Value> {
        let text = |text: Option<&Arc<str>>| text.map_or_else(|| Value::from(""), |text| Value::Text(text.clone()));
        vec![
            Value::from(self.kind.as_str()),
            text(self.service.as_ref()),
            Value::from(self.signal_type.map_or("", Signal::as_str)),
            text(self.name.as_ref()),
            Value::from(self.scope.map_or("", Scope::as_str)),
            text(self.key.as_ref()),
            text(self.template.as_ref()),
        ]
    }

    /// The same of all services together.
    fn identity_over_all(&self) -> Vec<Value> {
        let mut identity = self.identity();
        identity[1] = Value::from(ALL_SERVICES);
        identity
    }

    fn order(&self, sort: GrowthSort) -> Vec<Value> {
        let by = match sort {
            GrowthSort::Growth => self.growth,
            GrowthSort::After => self.after,
        };
        let mut order = vec![Value::Int(i64::try_from(by).unwrap_or(i64::MAX))];
        order.extend(self.identity());
        order
    }
}

/// A row of which a change is made.
trait Changed: Record {
    /// The change of this row to what it is now; `before` is the same row of an earlier window.
    fn change(self, before: Option<u64>) -> GrowthItem;
}
