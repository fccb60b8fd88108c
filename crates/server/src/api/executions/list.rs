//! `executions` and `executions/{id}`.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tallybook_core::{Condition, Execution, ExecutionStatus, Position, Query, StoreExt, Timestamp};
use utoipa::{IntoParams, ToSchema};

use super::item::ExecutionItem;
use super::unknown;
use crate::api::Api;
use crate::api::error::{ApiError, Failures, Missing};
use crate::api::page::Conditions;
use crate::api::params::{Name, NoParams, Order, Params, count, filled, moment};
use crate::api::schema;

const MAX_LIMIT: usize = 1_000;

/// A page of executions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExecutionPage {
    data: Vec<ExecutionItem>,
    /// All that fit the filters, where `total=true` asks for it: that means counting them.
    total: Option<u64>,
    /// The limit that was asked for.
    limit: usize,
    /// Whether more follow.
    has_more: bool,
    /// The `after` of the next page; null at the end.
    next: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExecutionFilter {
    /// In this state.
    #[param(schema_with = schema::execution_status)]
    status: Option<ExecutionStatus>,
    /// Of exactly this name.
    #[serde(default, deserialize_with = "filled")]
    #[param(min_length = 1)]
    name: Option<String>,
    /// The name holds this text, ASCII letters in any case.
    #[serde(default, deserialize_with = "filled")]
    #[param(min_length = 1)]
    contains: Option<String>,
    /// With this tag, as `key=value`. Looked for among those that fit the other filters.
    #[param(pattern = "^[^=]+=")]
    tag: Option<String>,
    /// Created at this moment or later (RFC 3339).
    #[serde(default, deserialize_with = "moment")]
    #[param(schema_with = schema::time)]
    from: Option<Timestamp>,
    /// Created before this moment (RFC 3339).
    #[serde(default, deserialize_with = "moment")]
    #[param(schema_with = schema::time)]
    to: Option<Timestamp>,
    /// Took at least so many milliseconds.
    #[serde(default, deserialize_with = "count")]
    #[param(minimum = 0)]
    min_duration_ms: Option<i64>,
    /// Took at most so many milliseconds.
    #[serde(default, deserialize_with = "count")]
    #[param(minimum = 0)]
    max_duration_ms: Option<i64>,
    /// Executions on the page.
    #[serde(default = "default_limit")]
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: usize,
    /// The `next` of the page before this one, under the same filters and order.
    after: Option<String>,
    /// `desc` (the newest first) unless told otherwise.
    #[param(inline)]
    order: Option<Order>,
    /// Whether to count all that fit.
    #[serde(default)]
    total: bool,
}

fn default_limit() -> usize {
    50
}

/// The part of the JSON of tags that stands for one of them.
fn tag_text(tag: &str) -> Result<String, ApiError> {
    let pair = tag.split_once('=').filter(|(key, _)| !key.is_empty());
    let (key, value) = pair.ok_or_else(|| ApiError::invalid_query("tag: write it as key=value"))?;
    Ok(format!("{}:{}", serde_json::Value::from(key), serde_json::Value::from(value)))
}

impl ExecutionFilter {
    fn query(&self) -> Result<Query, ApiError> {
        if !(1..=MAX_LIMIT).contains(&self.limit) {
            return Err(ApiError::invalid_query(format!("limit: {} is not between 1 and {MAX_LIMIT}", self.limit)));
        }
        let tag = self.tag.as_deref().map(tag_text).transpose()?;
        let nanoseconds = |milliseconds: i64| milliseconds.saturating_mul(1_000_000);
        let conditions = Conditions::default()
            .equals("status", self.status.map(ExecutionStatus::as_str))
            .equals("name", self.name.as_deref())
            .contains("name", self.contains.as_deref())
            .and_some(tag.map(|tag| Condition::ContainsExactly("tags", tag)))
            .at_least("created_at", self.from.map(|from| from.0))
            .at_most("created_at", self.to.map(|to| to.earlier(1).0))
            .at_least("duration", self.min_duration_ms.map(nanoseconds))
            .at_most("duration", self.max_duration_ms.map(nanoseconds));
        let mut query = Query::new(self.limit).sort("created_at", self.order != Some(Order::Asc));
        query.conditions = conditions.done();
        query.total = self.total;
        let not_next = || ApiError::invalid_query("after: this is not the `next` of a page");
        let after = self.after.as_deref().map(|token| Position::parse(token).ok_or_else(not_next));
        query.after = after.transpose()?;
        Ok(query)
    }
}

/// Executions, the newest first.
#[utoipa::path(get, operation_id = "list_executions", path = "/api/v1/executions", tag = "executions",
    params(ExecutionFilter), responses((status = 200, body = ExecutionPage), Failures))]
pub(crate) async fn list(
    State(api): State<Api>,
    Params(filter): Params<ExecutionFilter>,
) -> Result<Json<ExecutionPage>, ApiError> {
    let page = api.store.list::<Execution>(&filter.query()?).await?;
    Ok(Json(ExecutionPage {
        data: page.items.into_iter().map(ExecutionItem::from).collect(),
        total: page.total,
        limit: filter.limit,
        has_more: page.next.is_some(),
        next: page.next.as_ref().map(Position::token),
    }))
}

/// One execution.
#[utoipa::path(get, operation_id = "get_execution", path = "/api/v1/executions/{id}", tag = "executions",
    params(("id" = String, Path)), responses((status = 200, body = ExecutionItem), Failures, Missing))]
pub(crate) async fn get(
    State(api): State<Api>,
    Name(id): Name,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Json<ExecutionItem>, ApiError> {
    Ok(Json(api.execution(&id).await?.into()))
}

impl Api {
    /// The execution of that id.
    pub(in crate::api) async fn execution(&self, id: &str) -> Result<Execution, ApiError> {
        let query = Query::new(1).filter(Condition::Equals("id", id.into()));
        self.store.list::<Execution>(&query).await?.items.pop().ok_or_else(|| unknown(id))
    }
}
