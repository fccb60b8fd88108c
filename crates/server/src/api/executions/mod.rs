//! Executions: what jobs did, live and afterwards; their events in.

mod ansi;
mod change;
mod events;
mod follow;
mod item;
mod lines;
mod list;
mod logs;
mod parts;
mod statistics;

use axum::Router;
use axum::routing::{get, post};
use utoipa::OpenApi;

use super::Api;
use super::error::ApiError;
use crate::executions::NotTaken;

/// The addresses, below `/api/v1`.
pub(super) fn router() -> Router<Api> {
    Router::new()
        .route("/executions", get(list::list).post(change::create))
        .route("/executions/statistics", get(statistics::get))
        .route("/executions/{id}", get(list::get).delete(change::remove))
        .route("/executions/{id}/cancel", post(change::cancel))
        .route("/executions/{id}/events", post(events::post))
        .route("/executions/{id}/steps", get(parts::steps))
        .route("/executions/{id}/annotations", get(parts::annotations))
        .route("/executions/{id}/artifacts", get(parts::artifacts))
        .route("/executions/{id}/logs", get(logs::list))
        .route("/executions/{id}/logs/text", get(logs::text))
        .route("/executions/{id}/logs/follow", get(follow::follow))
}

/// Their part of the OpenAPI document.
#[derive(OpenApi)]
#[openapi(paths(
    list::list,
    list::get,
    statistics::get,
    change::create,
    change::cancel,
    change::remove,
    events::post,
    parts::steps,
    parts::annotations,
    parts::artifacts,
    logs::list,
    logs::text,
    follow::follow,
))]
pub(super) struct Document;

fn unknown(id: &str) -> ApiError {
    ApiError::not_found(format!("there is no execution `{id}`"))
}

/// What a client is told of what was not done to the execution `id`.
fn failure(id: &str, not_taken: NotTaken) -> ApiError {
    match not_taken {
        NotTaken::Unknown => unknown(id),
        NotTaken::Id(defect) => ApiError::invalid_path(defect),
        NotTaken::Event(error) => ApiError::conflict(error.to_string()),
        NotTaken::Runs => ApiError::conflict("the execution has not ended; cancel it first"),
        NotTaken::Rejected => ApiError::conflict("the store refused rows of the execution; see the dead letters"),
        NotTaken::Store(error) => error.into(),
        NotTaken::Writer(refused) => refused.into(),
    }
}
