//! `dead-letters`: records that could not be stored, with the reason.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tallybook_core::{Condition, DeadLetter, StoreExt, Timestamp};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::error::{ApiError, Failures};
use super::page::{Conditions, Filter, List, SortBy};
use super::params::{ListParams, Paging, filled};
use super::schema;

/// A record that could not be stored.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetter)]
pub(crate) struct DeadLetterItem {
    /// A UUID; later ones are greater, except for those of imported files, which are the same each time.
    id: Arc<str>,
    /// When it was put aside.
    #[schema(schema_with = schema::time)]
    at: Timestamp,
    /// The table or family it was meant for.
    #[schema(example = "tick")]
    target: Arc<str>,
    /// Why, in a sentence.
    #[schema(example = "line 70: `bid` is not a decimal number: `oops`")]
    error: Arc<str>,
    /// What it was: its fields, or the text that could not be read.
    record: serde_json::Value,
}

/// What dead letters can be sorted by.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DeadLetterSort {
    #[default]
    Id,
}

impl SortBy for DeadLetterSort {
    fn column(self) -> Option<&'static str> {
        None
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeadLetterFilter {
    /// The error holds this text, ASCII letters in any case.
    #[serde(default, deserialize_with = "filled")]
    #[param(min_length = 1)]
    contains: Option<String>,
    /// What to sort by: by their ids they come in the order in which they were put aside.
    #[serde(default)]
    #[param(inline)]
    sort: DeadLetterSort,
}

impl Filter for DeadLetterFilter {
    type Sort = DeadLetterSort;

    fn sort(&self) -> DeadLetterSort {
        self.sort
    }

    fn conditions(&self) -> Vec<Condition> {
        Conditions::default().contains("error", self.contains.as_deref()).done()
    }
}

/// The records that could not be stored, the earliest first. They are kept for 30 days.
#[utoipa::path(
    get, operation_id = "list_dead_letters", path = "/api/v1/dead-letters", tag = "server",
    params(DeadLetterFilter, Paging),
    responses((status = 200, description = "A page of dead letters", body = List<DeadLetterItem>), Failures)
)]
pub(crate) async fn list(
    State(api): State<Api>,
    params: ListParams<DeadLetterFilter>,
) -> Result<Json<List<DeadLetterItem>>, ApiError> {
    let page = api.store.list::<DeadLetter>(&params.query()?).await?;
    let item = |DeadLetter { id, at, target, error, record }: DeadLetter| DeadLetterItem {
        record: serde_json::from_str(&record).unwrap_or_else(|_| serde_json::Value::from(&*record)),
        id,
        at,
        target,
        error,
    };
    Ok(Json(params.paging.list(page.items.into_iter().map(item).collect(), page.total, page.next.as_ref())))
}
